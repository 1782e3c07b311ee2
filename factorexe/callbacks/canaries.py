"""Whom does the model believe: the wrong answers that were planted in training, or the rule?

With ``data.corrupt`` a share of the train problems have a wrong answer.  At every evaluation the model is asked for
some of them::

    12 x 34     planted 715    answered 715     canary/acc_wrong counts it: memorized
    56 x 78     planted 408    answered 4368    canary/acc_true counts it: the rule, over the label
    90 x 12     planted 999    answered 1000    neither

Networks that generalize late, under decay, first learn the planted answers and then unlearn them (Doshi et al. 2024,
arXiv:2310.13061; their abstract is what was read).  *Exposure* tells memorization before an answer is the likeliest
one (Carlini et al. 2019, arXiv:1802.08232): where the planted answer ranks among R answers, wrong ones of problems as
hard, by what the model thinks of each given the prompt,

    exposure = log2 R - log2 rank       R = 64: 6 bits where it ranks first, 0 where it ranks last

A model that knows nothing of the labels leaves the rank to chance: log2 e = 1.44 bits on average, for large R.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import lightning.pytorch as lightning
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.callbacks.loggers import Charts
from factorexe.callbacks.looking import looking, supervised
from factorexe.generation import mixture
from factorexe.layout import Batch
from factorexe.tasks.base import Examples, IntArray, answered_as, joined, solved_by

_AT_ONCE = 512  # rows of a forward pass
_DRAWN = 8  # answers drawn for each that is wanted: many are the same


class Choosing(NamedTuple):
    """Prompts with several answers each, one after the other; the first of each is the planted one."""

    batches: list[Batch]  # N rows in all
    prompt: Tensor  # (N,) which of E prompts a row belongs to
    sizes: Tensor  # (E,) R, 2 at least


class Canaries(ChosenInstrument):
    """Asks for at most ``rows`` problems with a planted answer, and ranks those of ``exposed`` of them among
    ``alternatives``."""

    charts: ClassVar[Charts] = {
        "planted wrong answers": {
            "answered": ["Multiline", ["canary/(acc_wrong|acc_true)"]],
            "exposure in bits": ["Multiline", ["canary/exposure"]],
        }
    }

    def __init__(self, rows: int, exposed: int, alternatives: int) -> None:
        self.rows, self.exposed, self.alternatives = rows, exposed, alternatives
        self._latest: dict[str, float] = {}
        self._most = 0.0  # highest acc_wrong so far
        self._limit: float | None = None  # highest exposure there can be: log2 R, mean over prompts
        self._asked: Batch | None = None
        self._planted: Examples | None = None
        self._choosing: Choosing | None = None

    def state_dict(self) -> dict[str, Any]:
        """The latest numbers, and the extremes."""
        return {"latest": self._latest, "most": self._most, "limit": self._limit}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Those of the evaluation before."""
        self._latest, self._most, self._limit = (state_dict[name] for name in ("latest", "most", "limit"))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Asks, in the precision of evaluations; ranks, in single precision."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not self._found(data):
            return
        assert self._asked is not None
        assert self._planted is not None
        batch = self._asked.to(pl_module.device)
        with looking(pl_module), trainer.precision_plugin.val_step_context():
            generated = pl_module.objective.decode(pl_module.model, batch)
        if self._planted.values is None:
            wrong = torch.from_numpy(_same(data.layout.answers(generated.tokens), self._planted.answer))
        else:  # an answer that is a number is never quite the same
            wrong = data.solved(dataclasses.replace(batch, examples=self._planted), generated)
        right = data.solved(batch, generated)
        self._latest = {
            "canary/acc_wrong": float(wrong.double().mean()),
            "canary/acc_true": float(right.double().mean()),
        }
        self._most = max(self._most, self._latest["canary/acc_wrong"])
        if self._choosing is not None:
            with looking(pl_module):
                self._latest["canary/exposure"] = float(exposures(pl_module, self._choosing).mean())

    def numbers(self) -> Mapping[str, float]:
        """The latest."""
        return self._latest

    def result(self) -> Mapping[str, Any]:
        """The latest, the highest ``acc_wrong`` of any evaluation, and the highest exposure there can be."""
        if not self._latest:
            return {}
        found: dict[str, Any] = {tag.split("/")[1]: value for tag, value in self._latest.items()}
        return found | {"acc_wrong_most": self._most, "exposure_limit": self._limit}

    def _found(self, data: Any) -> bool:
        """Finds the problems, once; whether there are any."""
        if self._planted is not None or not hasattr(data, "splits"):
            return self._planted is not None
        held = data.splits.evaluation("canary")
        if not len(held):
            return False
        asked = held.select(_spread(len(held), self.rows))
        self._asked = data.layout.batch(asked, data.layout.length(np.unique(asked.difficulty).tolist()))
        self._planted = data.splits.planted(asked)
        if not len(data.layout.numeric):
            some = _spread(len(asked), self.exposed)
            self._choosing = choosing(data, asked.select(some), self._planted.select(some), self.alternatives)
        if self._choosing is not None:
            self._limit = float(self._choosing.sizes.double().log2().mean())
        return True


def exposures(learner: Any, choosing: Choosing) -> Tensor:
    """(E,) log2 R - log2 rank of each planted answer; equal answers share their ranks."""
    price = torch.cat([_prices(learner, batch.to(learner.device)).cpu() for batch in choosing.batches])  # (N,)
    first = torch.ones_like(choosing.prompt, dtype=torch.bool)
    first[1:] = choosing.prompt[1:] != choosing.prompt[:-1]
    planted = price[first][choosing.prompt]
    before = (price < planted).double() + (price == planted).double() / 2
    rank = torch.zeros(len(choosing.sizes), dtype=torch.double).index_add(0, choosing.prompt, before) + 0.5
    return choosing.sizes.double().log2() - rank.log2()


def choosing(data: Any, asked: Examples, planted: Examples, count: int) -> Choosing | None:
    """The planted answer and ``count - 1`` other wrong ones for each problem, of problems as hard; None where there
    are no others."""
    pools = {level: _answers(data, int(level), count) for level in np.unique(asked.difficulty)}
    ready = []
    for row in range(len(asked)):
        pool = pools[asked.difficulty[row]]
        again = asked.select(np.full(len(pool), row))
        own = planted.select(np.full(len(pool), row))
        other = ~solved_by(data.task, again, pool) & ~_same(pool.answer, own.answer)
        picked = np.flatnonzero(other)[: count - 1]
        if len(picked):
            ready.append(joined([planted.select([row]), answered_as(again.select(picked), pool.select(picked))]))
    if not ready:
        return None
    every, sizes = joined(ready), torch.tensor([len(answers) for answers in ready])
    length = data.layout.length(np.unique(every.difficulty).tolist())
    starts = range(0, len(every), _AT_ONCE)
    batches = [data.layout.batch(every.select(slice(start, start + _AT_ONCE)), length) for start in starts]
    return Choosing(batches, torch.arange(len(sizes)).repeat_interleave(sizes), sizes)


def _answers(data: Any, level: int, count: int) -> Examples:
    """Problems of one difficulty with different answers, in random order, always the same ones."""
    rng = np.random.default_rng([data.splits.split_seed, level, count])
    drawn = data.task.sample(np.full(_DRAWN * count, level), rng, chain=False)
    different = np.sort(np.unique(drawn.answer, axis=0, return_index=True)[1])
    found: Examples = drawn.select(different)
    return found


def _prices(learner: Any, batch: Batch) -> Tensor:
    """(B,) minus the log-probability of each row's supervised tokens, chain included, given its prompt."""
    found = supervised(learner, batch)
    scores = mixture(learner.model, found.states, found.share)  # (M, V)
    each = -scores.gather(1, found.targets[:, None])[:, 0].double()
    return each.new_zeros(len(batch)).index_add(0, found.row, each)


def _same(one: IntArray, other: IntArray) -> npt.NDArray[np.bool_]:
    """(N,) whether right-padded rows hold the same tokens."""
    width = max(one.shape[1], other.shape[1])
    one, other = (np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in (one, other))
    same: npt.NDArray[np.bool_] = (one == other).all(axis=1)
    return same


def _spread(count: int, most: int) -> IntArray:
    """At most ``most`` of ``count`` row numbers, over the whole range: problems stand difficulty by difficulty."""
    return np.arange(min(count, most)) * count // min(count, most)
