"""How much arithmetic a training batch takes, and how much an answer.

Counting takes as long as ten steps, and thousands of runs of one model would count the same.  A model that says so
(``Model.same_arithmetic``) is counted once in a process, on each set of options and shapes::

    multiply_adds(learner, data)                           12_345_678, forward and backward, as counted by torch
    known_multiply_adds(config.model, learner, data)       the same number, counted only if it is new
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from factorexe.objectives.base import Objective

_MOST = 1024
_KNOWN: dict[Hashable, int] = {}


def multiply_adds(learner: Any, data: Any) -> int:
    """Multiply-adds of one micro-batch, forward and backward, as counted by torch; the mean where depth is drawn."""
    batch = data.batch("train", 0).to(learner.device)
    parameters = [p for p in learner.parameters() if p.requires_grad]
    total = 0.0
    for weight, one in learner.model.arithmetic_batches(batch):
        with _counting() as counter:
            loss = learner.objective.loss(learner.model, one)
            torch.autograd.grad(loss.total, parameters, allow_unused=True)
        total += weight * counter.get_total_flops() / 2
    return round(total)


def decoding_multiply_adds(model: Any, objective: Any, batches: Sequence[Any]) -> float:
    """Multiply-adds per problem of answering the prompts of these batches, as counted by torch: matrix products and
    those of attention, of everything that is processed, padding included; norms, activations and the cache are not."""
    with _frozen(model), _counting() as counter:
        for batch in batches:
            objective.decode(model, batch)
    return counter.get_total_flops() / 2 / sum(len(batch) for batch in batches)


@contextlib.contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """No parameter takes a gradient here: the counter trips over a module that returns a row of one."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextlib.contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """What is done here is counted.  Compiled code and fused attention are not, so neither is used."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the counter warns of every operation it has no formula for
    stance = torch.compiler.set_stance("force_eager")
    try:
        with stance, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        logging.disable(level)


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
