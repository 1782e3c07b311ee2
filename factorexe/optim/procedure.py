"""A gradient procedure: from a batch to what the optimizer is given, and to what is done around its step.

measure (which gradients) -> aggregate (K to 1) -> filters (1 to 1) -> a torch optimizer, with controls around it::

    procedure = Procedure(options, Flat(learner.named_parameters()))
    loss = procedure.begin(step, batch)        in the training step: forward passes
    procedure.backward(1 / accumulated)        in the backward pass: adds to p.grad
    procedure.before(optimizer, step)          once, before the optimizer's step: filters, controls
    procedure.after(optimizer, step)           once, after it

A micro-batch that the aggregator rejects adds nothing.  Where none of a step was accepted every ``p.grad`` is None:
the optimizer then moves nothing, decay and momentum included, and filters do not run.

On several processes each brings its own parts: an aggregator is given those of all, in the order of ranks, and so
comes to the same on each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from factorexe.optim.aggregate import Aggregator, Coordinatewise, Merged
from factorexe.optim.control import Control
from factorexe.optim.filter import Filter
from factorexe.optim.flat import Flat, owned
from factorexe.optim.measure import Part, Pending, Step


class Procedure(nn.Module):
    """What a run does with gradients.

    Args:
        options: an ``OptimConfig``.
        flat: the trained parameters.

    Attributes:
        stats: numbers that say what was done in the latest step, by name.
        watch: whether the parts of the next backward pass are compared.
        gram: (K, K) their inner products, if they were.
    """

    def __init__(self, options: Any, flat: Flat) -> None:
        super().__init__()
        self.flat = flat
        self.measure = options.measure.build()
        self.aggregator: Aggregator = options.aggregate.build(flat)
        self.filters = nn.ModuleDict({key: chosen.build(flat) for key, chosen in dict(options.filters).items()})
        self.controls = nn.ModuleDict({key: chosen.build(flat) for key, chosen in dict(options.controls).items()})
        self.stats: dict[str, Tensor | float] = {}
        self.watch = False
        self.gram: Tensor | None = None
        self._pending: Pending | None = None

    def begin(self, step: Step, batch: Any) -> Tensor:
        """The mean loss () of a prepared batch, as a number to show; its gradients are taken in ``backward``."""
        self._pending = self.measure.begin(step, batch)
        with torch.no_grad():
            losses = self._pending.losses
            if len(losses) == 1:
                return losses[0].total / losses[0].weight
            total = torch.stack([loss.total for loss in losses]).sum()
            return total / torch.stack([loss.weight for loss in losses]).sum()

    def backward(self, share: float) -> None:
        """Adds ``share`` of the batch's gradient to ``p.grad``; nothing if it is rejected.  What no part used stays
        None, and so is not decayed."""
        pending, self._pending = self._pending, None
        assert pending is not None
        guide = pending.guide()
        used: list[tuple[bool, ...] | None] = []
        rows: list[Tensor] = []

        def told() -> Iterator[Part]:
            for part in everywhere(pending.parts(), self.flat):
                used.append(part.used)
                if self.watch:
                    rows.append(part.gradient)
                yield part

        merged = self._by_tensor(pending)
        if merged is None:
            merged = self.aggregator(told(), None if guide is None else mean_everywhere(guide))
        self.stats = {f"aggregate/{name}": value for name, value in merged.stats.items()}
        self.gram = (stacked := torch.stack(rows)) @ stacked.T if rows else None
        if merged.gradient is not None:
            self._add(merged.gradient, share, used)

    def _by_tensor(self, pending: Pending) -> Merged | None:
        """What a rule makes of one tensor at a time; None where all are needed at once."""
        if self.watch or _shared() or not isinstance(self.aggregator, Coordinatewise):
            return None
        found = pending.by_tensor(self.aggregator.merge)
        return None if found is None else Merged(found)

    def _add(
        self, gradient: Tensor | Sequence[Tensor | None], share: float, used: Sequence[tuple[bool, ...] | None]
    ) -> None:
        """Adds to ``p.grad``; what no part used stays as it is."""
        pieces = self.flat.pieces(gradient) if isinstance(gradient, Tensor) else owned(gradient)
        if used and all(each is not None and not all(each) for each in used):
            never = [not any(flags) for flags in zip(*(each for each in used if each is not None), strict=True)]
            pieces = [None if no else piece for no, piece in zip(never, pieces, strict=True)]
        for parameter, piece in zip(self.flat.parameters, pieces, strict=True):
            if piece is None:
                continue
            if parameter.grad is None:
                parameter.grad = piece if share == 1.0 else piece * share
            else:
                parameter.grad.add_(piece, alpha=share)

    @torch.no_grad()
    def before(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Edits ``p.grad``; ``step`` updates have been made."""
        if self.filters and (gradient := self.flat.gradient()) is not None:
            for key, each in self._filters():
                gradient = each(gradient)
                self.stats |= {f"filter/{key}/{name}": value for name, value in each.stats.items()}
            for parameter, piece in zip(self.flat.parameters, self.flat.pieces(gradient), strict=True):
                if parameter.grad is not None:
                    parameter.grad = piece.clone()  # what is clipped in place may be a filter's memory
        for control in self._controls():
            control.before(optimizer, step)

    @torch.no_grad()
    def after(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """After the update number ``step``, counted from 1."""
        for control in self._controls():
            control.after(optimizer, step)

    def learned(self, step: int, scores: Mapping[str, Any]) -> None:
        """After an evaluation, the scores of ``seen`` alone."""
        for control in self._controls():
            control.learned(step, scores)

    def _filters(self) -> list[tuple[str, Filter]]:
        return cast("list[tuple[str, Filter]]", list(self.filters.items()))

    def _controls(self) -> list[Control]:
        return cast("list[Control]", list(self.controls.values()))


def everywhere(parts: Iterator[Part], flat: Flat) -> Iterator[Part]:
    """The parts of all processes; those of this one where there is no other."""
    if not _shared():
        yield from parts
        return
    for part in parts:
        flags = part.weight.new_tensor(part.used or [True] * len(flat.sizes))
        told = [_gathered(tensor) for tensor in (part.gradient, part.weight.reshape(1), flags)]
        for gradient, weight, used in zip(*told, strict=True):
            pieces = zip(flat.pieces(gradient), used.tolist(), strict=True)
            yield Part([piece if is_used else None for piece, is_used in pieces], weight[0], flat)


def _gathered(tensor: Tensor) -> list[Tensor]:
    """That of each process, by rank."""
    found = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, tensor)
    return found


def mean_everywhere(vector: Tensor) -> Tensor:
    """The mean over all processes."""
    if not _shared():
        return vector
    distributed.all_reduce(vector)
    return vector / distributed.get_world_size()


def _shared() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
