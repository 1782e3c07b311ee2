"""Look deep into the model, rarely: representations, waves, sharpness, degeneracy.

    --instruments deep-probe --instruments.deep-probe.probes spectral,learning-coefficient

Due once in every ``every`` steps, it runs at the first evaluation at or after each multiple, and at the last one: with
1000 and evaluations every 300 steps at 1200, 2100, 3000.  Every number is of fixed problems, read in evaluation mode::

    spectral               repr/spectral_entropy, repr/effective_rank    hidden states at supervised tokens of val
                           weight/effective_rank, weight/stable_rank     mean over the trained matrices
    fourier                fourier/gini, top_share, restricted_loss      all cells of a modular task's table
                           fourier/excluded_loss                         the cells in seen
    hessian                sharpness/largest_eigenvalue                  the loss on seen
    learning-coefficient   llc/estimate, llc/deviation                   the loss on seen

Mode, random state, gradients and weights are as they were before; ``factorexe.probes`` has the formulas.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import lightning.pytorch as lightning

from factorexe.callbacks import looks
from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.callbacks.loggers import Charts
from factorexe.callbacks.looking import looking
from factorexe.callbacks.looks import Numbers
from factorexe.callbacks.residue_table import ResidueTable
from factorexe.probes.learning_coefficient import Walk


class DeepProbe(ChosenInstrument):
    """Runs the chosen probes once in a while.

    Attributes:
        options: a ``DeepProbeConfig``.
        rows: what each look found, with its step.
        idle: probe -> why it has nothing to look at here.
    """

    charts: ClassVar[Charts] = {
        "deep looks": {
            "loss, by waves": ["Multiline", ["fourier/(excluded_loss|restricted_loss)"]],
            "hidden states": ["Multiline", ["repr/spectral_entropy"]],
            "sharpness": ["Multiline", ["sharpness/largest_eigenvalue"]],
        }
    }

    def __init__(self, options: Any) -> None:
        self.options = options
        self.rows: list[Numbers] = []
        self.idle: dict[str, str] = {}
        self._table: ResidueTable | None = None
        self._here = 0  # the step of this evaluation

    def state_dict(self) -> dict[str, Any]:
        """What was found so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self.rows = [dict(row) for row in state_dict["rows"]]

    def numbers(self) -> Mapping[str, float]:
        """Those of this evaluation, if it was looked at."""
        row = self.rows[-1] if self.rows and self.rows[-1]["step"] == self._here else {}
        return {tag: number for tag, number in row.items() if tag != "step"}

    def result(self) -> Mapping[str, Any]:
        """Every look, and why some probes were idle."""
        return {"rows": self.rows, "idle": self.idle}

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Finds the table of a modular task; says so if it has one that waves tell nothing of."""
        if "fourier" not in self.options.probes:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        task = getattr(data, "task", None)  # a task's own module need not tell
        try:
            self._table = ResidueTable.of(task, getattr(data, "layout", None))
        except ValueError as error:
            self.idle["fourier"] = str(error)
            if hasattr(task, "modulus"):
                print(f"deep-probe: fourier is idle: {error}", file=sys.stderr, flush=True)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Looks, if it is time to."""
        self._here = trainer.global_step
        latest = int(self.rows[-1]["step"]) if self.rows else 0
        due = self._here // self.options.every > latest // self.options.every or self._here == trainer.max_steps
        if due and latest != self._here:
            with looking(pl_module):
                found = self._looked(pl_module, trainer.datamodule)  # type: ignore[attr-defined]
            self.rows.append({"step": self._here} | {tag: x for tag, x in found.items() if math.isfinite(x)})

    def _looked(self, learner: Any, data: Any) -> Numbers:
        count, device, wanted = self.options.problems, learner.device, self.options
        seen = looks.fixed(data, "seen", count, device)
        walk = Walk(wanted.chains, wanted.draws, wanted.burn_in, wanted.step, wanted.localization)
        made: dict[str, Callable[[], Numbers]] = {
            "spectral": lambda: looks.spectral(learner, looks.fixed(data, "val", count, device)),
            "fourier": lambda: looks.fourier(learner, data, self._table, wanted.frequencies) if self._table else {},
            "hessian": lambda: looks.sharpness(learner, seen, wanted.iterations),
            "learning-coefficient": lambda: looks.degeneracy(learner, seen, walk),
        }
        return {tag: number for probe in wanted.probes for tag, number in made[probe]().items()}
