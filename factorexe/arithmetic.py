"""How much arithmetic a training batch takes.

Counting takes as long as ten steps, and thousands of runs of one model would count the same.  A model that says so
(``Model.same_arithmetic``) is counted once in a process, on each set of options and shapes::

    multiply_adds(learner, data)                           12_345_678, forward and backward, as counted by torch
    known_multiply_adds(config.model, learner, data)       the same number, counted only if it is new
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from factorexe.objectives.base import Objective

_MOST = 1024
_KNOWN: dict[Hashable, int] = {}


def multiply_adds(learner: Any, data: Any) -> int:
    """Multiply-adds of one micro-batch, forward and backward, as counted by torch."""
    batch = data.batch("train", 0).to(learner.device)
    parameters = [p for p in learner.parameters() if p.requires_grad]
    level = logging.root.manager.disable
    stance = torch.compiler.set_stance("force_eager")  # what is compiled is not counted
    logging.disable(logging.WARNING)  # the counter warns of every operation it has no formula for
    try:
        with stance, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            loss = learner.objective.loss(learner.model, batch)
            torch.autograd.grad(loss.total, parameters, allow_unused=True)
    finally:
        logging.disable(level)
    return int(counter.get_total_flops()) // 2


def known_multiply_adds(options: Any, learner: Any, data: Any) -> int:
    """The same for a model of these options, counted anew only where it may be another number."""
    if not _same(learner):
        return multiply_adds(learner, data)
    key = _key(options, learner, data.batch("train", 0))
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST:
            _KNOWN.clear()
        _KNOWN[key] = multiply_adds(learner, data)
    return _KNOWN[key]


def _same(learner: Any) -> bool:
    """Whether nothing but options and shapes counts.  A class has to say so itself: one that is derived from it may
    let tokens halt early."""
    model, objective = type(learner.model), type(learner.objective)
    return bool(vars(model).get("same_arithmetic", False)) and objective.loss is Objective.loss


def _key(options: Any, learner: Any, batch: Any) -> Hashable:
    """All that the number depends on: the network, what of it is trained, and the shapes of a batch."""
    network = type(learner.model), options.model_dump_json(), learner.model.training
    weights = tuple((name, tuple(p.shape), p.requires_grad) for name, p in learner.named_parameters())
    shapes = tuple((name, tuple(one.shape)) for name, one in vars(batch).items() if isinstance(one, torch.Tensor))
    return network, weights, shapes, int((batch.weights != 0).sum())
