"""The passes that were drawn for a batch: how it carries them, what they cost on average, how their losses add up.

A pass is ``Pass(steps, quiet, weight)``.  A batch carries its passes in ``extra``, the same for every row.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from factorexe.models.base import Output
from factorexe.models.depth.base import DepthConfig, Pass

if TYPE_CHECKING:
    from factorexe.layout import Batch

_NAME = "passes"
_DRAWS = 300  # of depth, to know what training costs on average


def with_passes(batch: Batch, passes: Sequence[Pass]) -> Batch:
    """The batch that carries these."""
    drawn = torch.tensor(passes, dtype=torch.float64, device=batch.tokens.device)
    return dataclasses.replace(batch, extra={**batch.extra, _NAME: drawn.expand(len(batch), -1, -1)})


def carried(extra: Mapping[str, Tensor]) -> list[Pass]:
    """The passes of a batch; none if it carries none."""
    drawn = extra.get(_NAME)
    return [] if drawn is None else [Pass(int(one[0]), int(one[1]), one[2]) for one in drawn[0].tolist()]


def typical(depth: DepthConfig, steps: int, backprop: int | None, batch: Batch) -> Sequence[tuple[float, Batch]]:
    """Batches and weights with which arithmetic adds up to what training takes on average.

    What a pass costs is a + b quiet steps + c steps with gradients, which three batches tell.  Each pass is counted
    with prelude and readout of its own.
    """
    generator = torch.Generator().manual_seed(0)
    draws = [depth.passes(steps, generator) for _ in range(_DRAWS)]
    if all(drawn == (Pass(steps, 0, 1.0),) for drawn in draws):
        return [(1.0, batch)]
    made = torch.tensor([(one.steps, one.quiet) for drawn in draws for one in drawn], dtype=torch.float64)
    quiet = made[:, 1].maximum(made[:, 0] - (backprop or math.inf)).clamp_min(0)
    passes, quietly = len(made) / _DRAWS, float(quiet.sum()) / _DRAWS  # a batch
    more = float((made[:, 0] - quiet).sum()) / _DRAWS - passes  # steps with gradients beyond the first of each pass
    weights = {(1, 0): passes - quietly - more, (2, 1): quietly, (2, 0): more}
    return [(weight, with_passes(batch, [Pass(*one, 1.0)])) for one, weight in weights.items() if weight]


def joined(outputs: Sequence[Output], weights: Sequence[float]) -> Output:
    """The outputs of several passes as one, its loss the weighted mean of theirs."""
    if len(outputs) == 1:
        return outputs[0]
    pairs = list(zip(weights, outputs, strict=True))
    return Output(
        torch.cat([output.states for output in outputs]),
        torch.cat([weight * output.weight for weight, output in pairs]),
        torch.stack([output.compute for output in outputs]).sum(dim=0),
        torch.stack([weight * output.penalty for weight, output in pairs]).sum(dim=0),
        outputs[0].regulariser,
    )
