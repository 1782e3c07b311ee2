"""Look at a model in the midst of training, and leave no trace.

    with looking(learner):
        loss = learner.objective.loss(learner.model, batch)

Inside, the learner is in evaluation mode (no dropout; a model that halts follows its deployed policy), nothing is
recorded for gradients, and arithmetic is in single precision also where training is in bf16: the loss of one update
falls by less than bf16 can tell.  Afterwards every module's mode and the default generators are as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from factorexe.layout import Batch


@contextlib.contextmanager
def looking(learner: Any) -> Iterator[None]:
    """A context in which ``learner`` may be looked at."""
    training = [module for module in learner.modules() if module.training]
    device = learner.device
    kept = {} if device.type == "cpu" else {"device_type": device.type}
    with (
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
        torch.random.fork_rng([device] if kept else [], **kept),
    ):
        learner.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True


class Supervised(NamedTuple):
    """What a model holds where a token is supervised.  S states, M supervised tokens, D width."""

    states: Tensor  # (S, M, D)
    share: Tensor  # (S, M) the weight of each state
    targets: Tensor  # (M,)
    row: Tensor  # (M,) the row of the batch that each token stands in


def supervised(learner: Any, batch: Batch) -> Supervised:
    """The states of a batch's supervised tokens, read as the objective reads them."""
    assert batch.targets is not None
    assert batch.weights is not None
    output = learner.objective.read(learner.model, batch)
    at = batch.weights.flatten().nonzero()[:, 0]
    return Supervised(
        output.states.flatten(1, 2).index_select(1, at),
        output.weight.flatten(1).index_select(1, at),
        batch.targets.flatten()[at],
        at // batch.weights.shape[1],
    )
