"""Sweeps made by hand: one tiny run for each value, none of which takes longer than a moment."""

from pathlib import Path

from factorexe.blocks import nested
from factorexe.config import run_id
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.plan import Plan, Planned, save

BASE = {
    "task": "addition",
    "data.batch_size": 8,
    "data.eval_size": 8,
    "optim.warmup": 2,
    "trainer.max_steps": 4,
    "trainer.val_check_interval": 2,
    "trainer.threads": 1,
}


def plan_of(path, *, seeds=(0,), values=None, **base):
    """Save a plan in ``path/sweep`` whose runs are kept in ``path/runs``; ``__`` stands for a dot."""
    options = BASE | {name.replace("__", "."): value for name, value in base.items()}
    values = [{"seed": seed} for seed in seeds] if values is None else values
    axes = tuple(dict.fromkeys(axis for run in values for axis in run))
    plan = Plan("sweep", Path(path) / "runs", "tiny", nested(options), axes, ())
    plan = plan._replace(planned=tuple(planned(plan, run) for run in values))
    directory = SweepDirectory(Path(path) / "sweep")
    directory.path.mkdir(parents=True, exist_ok=True)
    save(plan, directory)
    return plan


def planned(plan, values):
    resolved = plan.resolved(Planned("", "", values))
    identity = run_id(resolved.config, resolved.plugins)
    return Planned(identity, f"{resolved.config.task.name}/{resolved.config.model.name}/{identity}", values)
