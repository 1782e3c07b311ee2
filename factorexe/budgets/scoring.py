"""One pass: every problem of some splits answered, and what that took.

Compute is that of the evaluation itself, in block applications per problem.  Multiply-adds are counted in a second
decoding of a few problems of each split, since counting takes longer than decoding; they are those of the forward
passes as they are executed, padding of the batch included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from factorexe.arithmetic import decoding_multiply_adds
from factorexe.budgets.record import Rate, Scores
from factorexe.evaluation import Reloaded, evaluate
from factorexe.threads import threads

_COUNTED = 100  # problems of a split, at most, and one of each batch


def scored(found: Reloaded, splits: Sequence[str]) -> dict[str, Scores]:
    """Scores by split; each of them holds problems."""
    record = evaluate(found, splits)
    return {split: _scores(record, split, _multiply_adds(found, split)) for split in splits}


def _scores(record: Mapping[str, Any], split: str, multiply_adds: float) -> Scores:
    solved = record["solved"][split]
    rates, intervals, counts = (
        record[name][split] for name in ("solved_by_difficulty", "interval_by_difficulty", "n_by_difficulty")
    )
    levels = {int(level): Rate(rates[level], tuple(intervals[level]), counts[level]) for level in rates}
    compute = record["compute_per_problem"][split]
    return Scores(solved["rate"], tuple(solved["interval"]), solved["n"], levels, compute, multiply_adds)


def _multiply_adds(found: Reloaded, split: str) -> float:
    """Per problem of a split, counted on some that are spread evenly over it."""
    batches = found.built.data.evaluation_batches(split)
    apart = -(-sum(map(len, batches)) // _COUNTED)
    some = [batch.select(torch.arange(0, len(batch), apart)) for batch in batches]
    with threads(found.config.trainer.threads):
        return decoding_multiply_adds(found.built.model.eval(), found.built.objective, some)
