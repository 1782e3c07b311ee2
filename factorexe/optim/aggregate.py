"""What an aggregator is: it makes one gradient of several, or none.

The contract to read and to test is (K, P) -> (P,).  Parts come one after the other, each made when it is asked for: a
rule that needs them all at once is a ``Stacked`` one, any other keeps only what it needs of those gone by::

    class Mean(Aggregator):                             2 P numbers, whatever K is
        def forward(self, parts, guide): ...

    class Lightest(Stacked):                            K P numbers
        def merge(self, rows, weights, guide):          (K, P), (K,) -> Merged
            return Merged(rows[rows.norm(dim=1).argmin()])

and one that looks at a coordinate at a time is ``Coordinatewise``.  Where the parts come from one pass it is given one
tensor of the model at a time, and their K gradients of the others are not there::

    class Median(Coordinatewise):                       K times the largest tensor
        def merge(self, rows, shares):                  (K, ...), (K,) -> (...)
            return rows.median(dim=0).values

``weights`` are numbers of supervised tokens, so that parts of unequal size can be told.  A rule may *reject* the whole
batch: it then adds nothing, and if no batch of an optimizer's step was accepted there is no step at all, so that
neither decay nor the momentum of earlier steps moves anything.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from factorexe.choice import Options
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part, stacked, together


class Merged(NamedTuple):
    """What became of the parts."""

    gradient: Tensor | Sequence[Tensor | None] | None  # (P,), or one tensor for each parameter; None: rejected
    stats: Mapping[str, Tensor | float] = {}  # numbers () that say what was done, under names such as kept

    def vector(self, flat: Flat) -> Tensor | None:
        """The gradient as a vector (P,)."""
        if self.gradient is None or isinstance(self.gradient, Tensor):
            return self.gradient
        return flat.vector(self.gradient)


class Aggregator(nn.Module, abc.ABC):
    """K gradients to one.  Buffers are its state, and lie in checkpoints.

    Attributes:
        flat: where each parameter stands in a vector.

    Class attributes:
        guided: whether it needs the gradient of held-out problems.
        least: how many parts it needs to do anything.
    """

    guided: ClassVar[bool] = False
    least: ClassVar[int] = 1

    def __init__(self, flat: Flat) -> None:
        super().__init__()
        self.flat = flat

    @abc.abstractmethod
    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """One gradient (P,) of those of ``parts``; ``guide`` (P,) is that of held-out problems, if there is one."""


class Stacked(Aggregator):
    """A rule that needs all parts at once."""

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """Stacks them."""
        return self.merge(*stacked(list(parts), self.flat), guide)

    @abc.abstractmethod
    def merge(self, rows: Tensor, weights: Tensor, guide: Tensor | None) -> Merged:
        """One gradient (P,) of ``rows`` (K, P), which speak for ``weights`` (K,) supervised tokens."""


class Coordinatewise(Aggregator):
    """A rule that looks at one coordinate at a time, and so need not be given all of them at once."""

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """Tensor by tensor where they lie so, to the same bits as if they had come so; else stacks them."""
        every = list(parts)
        weights = torch.stack([part.weight for part in every])
        shares, whole = weights / weights.sum(), together(every)
        if whole is None:
            return Merged(self.merge(stacked(every, self.flat)[0], shares))
        return Merged([None if rows is None else self.merge(rows, shares) for rows in whole])

    @abc.abstractmethod
    def merge(self, rows: Tensor, shares: Tensor) -> Tensor:
        """(...) of the parts ``rows`` (K, ...) of any tensor, which speak for ``shares`` (K,) of the tokens."""


class AggregatorConfig(Options):
    """Options of an aggregator; ``build`` makes it."""

    api_version: ClassVar[int] = 1

    def build(self, flat: Flat) -> Aggregator:
        """The working object."""
        raise NotImplementedError


def mean_of(rows: Tensor, weights: Tensor) -> Tensor:
    """(P,) the mean over all tokens of ``rows`` (K, P), which speak for ``weights`` (K,) of them."""
    return (weights / weights.sum()).to(rows.dtype) @ rows
