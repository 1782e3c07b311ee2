"""One run of a plan, as a worker trains it: without a bar, without curves unless the sweep asks for them.

    resolved = described(plan, planned, threads=1)
    train(plan, resolved, stop)

Options that change no number are the worker's to choose; the id tells whether the rest means here what was planned.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from factorexe.blocks import value_at
from factorexe.config import Resolved, run_id
from factorexe.contents import Contents
from factorexe.rundir import RunError
from factorexe.sweeps.plan import Plan, Planned


class OtherRun(RunError):
    """A description that means another run here than where it was planned."""


def described(plan: Plan, planned: Planned, threads: int | None) -> Resolved:
    """The run with a worker's options.

    Raises:
        ConfigError: it cannot be described here.
        OtherRun: it would be another one here than the one that was planned.
    """
    resolved = plan.resolved(planned)
    found = run_id(resolved.config, resolved.plugins, Contents().of(resolved.config))
    if found != planned.id:
        origins = ", ".join(f"{name} from {origin}" for name, origin in resolved.plugins.values())
        raise OtherRun(
            f"run {planned.id} of the plan would be {found} here, since plug-ins or the runs it begins with have"
            f" changed (here: {origins}); factorexe sweep plan FILE plans it anew"
        )
    trainer = resolved.config.trainer.model_copy(update=_options(plan, planned, resolved.config.trainer, threads))
    return resolved._replace(config=resolved.config.model_copy(update={"trainer": trainer}))


def train(plan: Plan, resolved: Resolved, stop: Any) -> None:
    """Train the run to its end, and leave nothing of it in memory."""
    from factorexe.run import fit

    try:
        fit(resolved, runs=plan.runs, stop=stop)
    finally:
        _clean_up(resolved.config.trainer.compile)


def _options(plan: Plan, planned: Planned, trainer: Any, threads: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {"enable_progress_bar": False, "threads": trainer.threads or threads}
    asked = value_at(plan.base, "trainer.logger") or planned.values.get("trainer.logger")
    if not asked:
        options["logger"] = "none"
    return options


def _clean_up(compiled: bool) -> None:
    import torch

    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if compiled and "torch._dynamo" in sys.modules:
        torch._dynamo.reset()  # or the next run would count as a recompilation
