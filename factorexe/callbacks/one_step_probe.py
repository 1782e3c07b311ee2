"""How much of what one update gains on its own batch does it gain elsewhere?

Before and after every 100th update the loss is computed on the same problems, in evaluation mode: those of the batch
itself, train problems that are not in it (``seen``), and problems that are never trained on (``val``, ``ood``)::

    loss of     before    after   decrease
    batch        2.000    1.900     0.100
    seen         2.000    1.920     0.080      osgr/seen      0.080 / 0.100 = 0.8
    val          2.000    1.940     0.060      osgr/val       0.060 / 0.100 = 0.6
                                               osgr/mem_gap   (0.080 - 0.060) / 0.080 = 0.25

``osgr/val`` is the one-step generalization ratio of Liu et al. 2020, arXiv:2001.07384: 1 where the update follows the
rule, 0 where it only memorizes its batch, below 0 where it does harm.  There both decreases are expectations; here the
ratio is one of running means over the probes, never a mean of ratios.  ``osgr/mem_gap`` leaves the batch out: neither
``seen`` nor ``val`` took part in the update, but only ``seen`` ever did, so what they differ by is memorization.

``decrease/<set>`` are the running means themselves.  A ratio is left out while what it would be divided by is not
positive: where nothing is gained there is nothing to have a share of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import lightning.pytorch as lightning
import torch
from torch import Tensor

from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.callbacks.loggers import Charts
from factorexe.callbacks.looking import looking
from factorexe.layout import Batch
from factorexe.metrics import Row, events

_ELSEWHERE = ("seen", "val", "ood")


class OneStepProbe(ChosenInstrument):
    """Measures one update in ``every``.

    Args:
        rows: problems of each set; half of those that a step trains on if None.
        memory: of the running means, per probe.
    """

    charts: ClassVar[Charts] = {
        "what one step gains elsewhere": {
            "one-step generalization ratio": ["Multiline", ["osgr/(seen|val|ood)"]],
            "memorized share of what seen gains": ["Multiline", ["osgr/mem_gap"]],
            "decrease of the loss": ["Multiline", ["decrease/(batch|seen|val|ood)"]],
        }
    }

    logs_itself = True

    def __init__(self, every: int, rows: int | None, memory: float) -> None:
        self.every, self.rows, self.memory = every, rows, memory
        self._sums: dict[str, list[float]] = {}  # set -> decreases and their number, both fading with each probe
        self._gained = {"batch": 0.0, "val": 0.0}  # since the run began
        self._probes = 0
        self._evaluations: list[Row] = []  # what had been gained at each
        self._looked_at: dict[str, list[Batch]] = {}
        self._before: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """What was measured."""
        return {
            "sums": dict(self._sums),
            "gained": dict(self._gained),
            "probes": self._probes,
            "evaluations": list(self._evaluations),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self._sums, self._gained = state_dict["sums"], state_dict["gained"]
        self._probes, self._evaluations = state_dict["probes"], state_dict["evaluations"]

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """The losses before an update that is to be measured."""
        due = (trainer.global_step + 1) % self.every == 0
        if due and batch_idx % trainer.accumulate_grad_batches == 0:
            self._looked_at = self._sets(trainer, batch)
            self._before = _losses(pl_module, self._looked_at)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """The losses after it."""
        if not self._before or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        after = _losses(pl_module, self._looked_at)
        self.add({name: before - after[name] for name, before in self._before.items()})
        self._looked_at, self._before = {}, {}
        if trainer.logger is not None:
            trainer.logger.log_metrics(dict(self.numbers()), trainer.global_step)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Notes what had been gained by now, for the mean up to t_mem."""
        if "seen" not in pl_module.scores:
            return
        step = trainer.global_step
        self._evaluations = [row for row in self._evaluations if row["step"] != step]
        self._evaluations.append({"step": step, "solved/seen": pl_module.scores["seen"].solved, **self._gained})

    def add(self, decreases: Mapping[str, float]) -> None:
        """Adds the decreases of one update, by set."""
        self._probes += 1
        for name, decrease in decreases.items():
            total, count = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = [self.memory * total + decrease, self.memory * count + 1]
        self._gained = {name: gained + decreases.get(name, 0.0) for name, gained in self._gained.items()}

    def numbers(self) -> dict[str, float]:
        """Running means and their ratios."""
        mean = {name: total / count for name, (total, count) in self._sums.items()}
        found = {f"decrease/{name}": value for name, value in mean.items()}
        if mean.get("batch", 0.0) > 0:
            found |= {f"osgr/{name}": mean[name] / mean["batch"] for name in _ELSEWHERE if name in mean}
        if mean.get("seen", 0.0) > 0 and "val" in mean:
            found["osgr/mem_gap"] = (mean["seen"] - mean["val"]) / mean["seen"]
        return found

    def result(self) -> Mapping[str, Any]:
        """The last numbers; ``val_until_t_mem`` is what all probes up to t_mem gained on val, as a share of what they
        gained on their batches; null where t_mem was not reached."""
        if not self._probes:
            return {}
        told: dict[str, dict[str, float | None]] = {"osgr": {}, "decrease": {}}
        for tag, value in self.numbers().items():
            kind, name = tag.split("/")
            told[kind][name] = value
        told["osgr"]["val_until_t_mem"] = self._until_memorized()
        return {**told, "probes": self._probes}

    def _until_memorized(self) -> float | None:
        memorized = events(self._evaluations)["t_mem"]
        (gained,) = [row for row in self._evaluations if row["step"] == memorized] or [self._gained | {"batch": 0.0}]
        return gained["val"] / gained["batch"] if gained["batch"] > 0 and "val" in self._sums else None

    def _sets(self, trainer: lightning.Trainer, first: Batch) -> dict[str, list[Batch]]:
        """The problems to look at: of the micro-batches of this step, equally many of each; and of the splits."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        count = trainer.accumulate_grad_batches
        more = [data.batch("train", trainer.global_step * count + micro) for micro in range(1, count)]
        trained = [first, *(batch.to(first.tokens.device) for batch in more)]
        rows = self.rows or max(1, sum(map(len, trained)) // 2)
        sets = {"batch": [_first(batch, -(-rows // count)) for batch in trained]}
        for split in data.evaluated:
            if split in _ELSEWHERE and (others := self._elsewhere(trainer, split, rows, trained)):
                sets[split] = others
        return sets

    def _elsewhere(self, trainer: Any, split: str, rows: int, trained: Sequence[Batch]) -> list[Batch]:
        """Problems of a split that are not trained on now, others in the next probe."""
        number, count = trainer.global_step // self.every, -(-rows // len(trained[0]))
        drawn = [trainer.datamodule.batch(split, number * count + each) for each in range(count)]
        others = [batch.to(trained[0].tokens.device) for batch in drawn]
        others = _without(others, trained) if split == "seen" else others
        return [_first(batch, -(-rows // count)) for batch in others]


def _losses(learner: Any, sets: Mapping[str, Sequence[Batch]]) -> dict[str, float]:
    """The mean loss over the supervised tokens of each set."""
    with looking(learner):
        found = [[learner.objective.loss(learner.model, batch) for batch in batches] for batches in sets.values()]
        sums = [(sum(one.total for one in losses), sum(one.weight for one in losses)) for losses in found]
        pairs = torch.stack([torch.stack(pair) for pair in sums]).tolist()
    return {name: total / weight for name, (total, weight) in zip(sets, pairs, strict=True)}


def _first(batch: Batch, rows: int) -> Batch:
    return batch if len(batch) <= rows else batch.select(torch.arange(rows, device=batch.tokens.device))


def _without(batches: Sequence[Batch], trained: Sequence[Batch]) -> list[Batch]:
    """``batches`` without the rows that stand in ``trained``, and without those that are left empty."""
    known = torch.cat([_keys(batch) for batch in trained])
    fresh = [(~torch.isin(_keys(batch), known)).nonzero()[:, 0] for batch in batches]
    return [batch.select(rows) for batch, rows in zip(batches, fresh, strict=True) if len(rows)]


def _keys(batch: Batch) -> Tensor:
    """(B,) a number for each row, equal where tokens and the numbers behind them are; padding does not count."""
    column = torch.arange(1, batch.tokens.shape[1] + 1, device=batch.tokens.device)
    odd = 2 * (column * 0x5851F42D4C957F2D) + 1  # wraps around, as a hash may
    keys = ((batch.tokens * odd) ^ (batch.tokens * odd >> 29)).sum(dim=1)
    if batch.values is not None:
        numbers = batch.values.float().contiguous().view(torch.int32).long() * (batch.tokens != 0)
        keys = keys + (numbers * (odd >> 7)).sum(dim=1)
    return keys
