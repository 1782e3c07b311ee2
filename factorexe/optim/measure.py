"""What a measure is: which gradients a batch is asked for, before anything is made of them.

A batch of 64 problems can be asked for the gradient of its mean loss (``plain``), for those of 8 parts
(``microbatch``), for the gradient a little way uphill (``sam``)...  Each comes as a *part*: a vector, and the number
of supervised tokens that it speaks for.  Losses are computed in the training step, where Lightning wants a number to
show; their gradients when Lightning asks for the backward pass::

    pending = measure.begin(step, batch)       forward passes
    pending.losses                             what the training loss is the mean of
    for part in pending.parts(): ...           backward passes, one after the other

Measures nest: ``inner`` says what each part, or each point, is asked for in turn.  ``microbatch`` of ``sam`` goes
uphill for each part alone, ``sam`` of ``microbatch`` for all of them together.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from factorexe.choice import Options
from factorexe.optim.flat import Flat


class Loss(Protocol):
    """A sum over supervised tokens, and how many they are (``objectives.base.Loss``)."""

    @property
    def total(self) -> Tensor:
        """()."""

    @property
    def weight(self) -> Tensor:
        """()."""


class Step(Protocol):
    """What the learner offers to a measure, for one micro-batch.  Batches are ``layout.Batch``, prepared."""

    flat: Flat

    def loss(self, batch: Any) -> Loss:
        """One forward pass, in the precision of training.  Equal batches and random states give equal losses."""

    def in_one_pass(self, batch: Any, parts: Sequence[Any], otherwise: Callable[[], Pending]) -> Pending | None:
        """The loss of a batch that can be asked for the gradient of each part (row numbers); None where only forward
        passes of their own (``otherwise``) can tell parts apart."""

    def random(self) -> Any:
        """The state of everything random, for ``again``."""

    def again(self, random: Any) -> None:
        """From here on the same is drawn as after ``random()``, so that two passes see one dropout."""

    def guide(self, rows: int | None) -> Any:
        """A batch of ``guide``, which holds problems that are neither trained on nor scored; as many rows as the
        training batch has, if None.

        Raises:
            ValueError: the task keeps no problem for it.
        """

    def variants(self, batch: Any) -> Any:
        """The problems of a batch in another form with the same label, such as commuted operands.

        Raises:
            ValueError: the task offers none.
        """


class Part:
    """One gradient.  P parameters.

    Args:
        gradient: (P,) of the mean loss, or one tensor for each parameter, None for those that it does not depend on.
        weight: () supervised tokens in that mean.
        flat: where each parameter stands in a vector, if ``gradient`` is no vector.
    """

    def __init__(self, gradient: Tensor | Sequence[Tensor | None], weight: Tensor, flat: Flat | None = None) -> None:
        self.weight, self.flat = weight, flat
        self._vector = gradient if isinstance(gradient, Tensor) else None
        self._tensors = None if isinstance(gradient, Tensor) else gradient

    @property
    def gradient(self) -> Tensor:
        """(P,), made when it is first asked for: a copy."""
        if self._vector is None:
            assert self.flat is not None
            assert self._tensors is not None
            self._vector = self.flat.vector(self._tensors)
        return self._vector

    def pieces(self, flat: Flat) -> Sequence[Tensor | None]:
        """One tensor for each parameter; None for those that it does not depend on, if that is known."""
        return flat.pieces(self.gradient) if self._tensors is None else self._tensors

    @property
    def used(self) -> tuple[bool, ...] | None:
        """Which parameters it depends on; None: all, as far as is known."""
        return None if self._tensors is None else tuple(tensor is not None for tensor in self._tensors)


class OneOf(Part):
    """One of K gradients that are all there already.

    Args:
        whole: for each parameter the gradients of all parts (K, *shape), in their order; None where it has none.
        number: which of them.
        weight: () supervised tokens in that mean.
    """

    def __init__(self, whole: Sequence[Tensor | None], number: int, weight: Tensor, flat: Flat) -> None:
        super().__init__([None if of_all is None else of_all[number] for of_all in whole], weight, flat)
        self.whole, self.number = whole, number


def together(parts: Sequence[Part]) -> Sequence[Tensor | None] | None:
    """For each parameter the gradients (K, *shape) of ``parts``, in their order, without a copy; None where they do
    not lie so."""
    found = [part for part in parts if isinstance(part, OneOf)]
    whole = found[0].whole if len(found) == len(parts) else ()
    if any(part.whole is not whole or part.number != place for place, part in enumerate(found)):
        return None
    return whole if len(parts) == next((len(of_all) for of_all in whole if of_all is not None), 0) else None


def stacked(parts: Sequence[Part], flat: Flat) -> tuple[Tensor, Tensor]:
    """The gradients (K, P) of parts, in their order, and what they speak for (K,)."""
    weights, whole = torch.stack([part.weight for part in parts]), together(parts)
    if whole is None:
        return torch.stack([part.gradient for part in parts]), weights
    count = len(parts)
    pairs = zip(whole, flat.parameters, strict=True)
    rows = [(p.new_zeros(count, p.numel()) if t is None else t).view(count, -1) for t, p in pairs]
    return torch.cat(rows, dim=1), weights


class Pending(abc.ABC):
    """Losses whose gradients will be asked for, once."""

    losses: Sequence[Loss]

    @abc.abstractmethod
    def parts(self) -> Iterator[Part]:
        """The gradients, each made when it is asked for."""

    def by_tensor(self, rule: Callable[[Tensor, Tensor], Tensor]) -> Sequence[Tensor | None] | None:
        """The gradients of all parts merged one tensor at a time, so that they need not all be there at once.

        Args:
            rule: the gradients (K, *shape) of a parameter, and which shares (K,) of the tokens they speak for, to one
                gradient (*shape).

        Returns:
            One tensor for each parameter, None for those that no part depends on.  None where the gradients do not
            come by tensor; ``parts`` can still be asked then, else not.
        """
        return None

    def guide(self) -> Tensor | None:
        """(P,) the gradient of held-out problems, where the measure asks for one."""
        return None


class One(Pending):
    """The gradient of one loss."""

    def __init__(self, loss: Loss, flat: Flat) -> None:
        self.losses, self.flat = [loss], flat

    def parts(self) -> Iterator[Part]:
        """That of the mean over supervised tokens."""
        (loss,) = self.losses
        mean = loss.total / loss.weight
        found = torch.autograd.grad(mean, self.flat.parameters, allow_unused=True)
        yield Part(found, loss.weight.detach(), self.flat)


class Several(Pending):
    """The gradients of several, one after the other."""

    def __init__(self, pending: Sequence[Pending]) -> None:
        self.pending = pending
        self.losses = [loss for one in pending for loss in one.losses]

    def parts(self) -> Iterator[Part]:
        """All of them."""
        for one in self.pending:
            yield from one.parts()

    def guide(self) -> Tensor | None:
        """The mean of those there are."""
        found = [vector for one in self.pending if (vector := one.guide()) is not None]
        return torch.stack(found).mean(dim=0) if found else None


class Measure(abc.ABC):
    """Asks for gradients.  Holds no state of its own.

    Attributes:
        guides: whether it asks for the gradient of held-out problems too.
        gradients: that it asks one batch for, at most.
        passes: forward and backward passes of a whole batch that it takes.
    """

    guides: bool = False
    gradients: int = 1
    passes: int = 1

    @abc.abstractmethod
    def begin(self, step: Step, batch: Any) -> Pending:
        """The losses of a prepared batch."""


class MeasureConfig(Options):
    """Options of a measure; ``build`` makes it."""

    api_version: ClassVar[int] = 1

    def build(self) -> Measure:
        """The working object."""
        raise NotImplementedError

    def check(self, step: Step, batch: Any) -> None:
        """Refuse, before a run begins, what its batches (one of them is given) cannot be asked for.

        Raises:
            ValueError: one line, what is lacking and what to use instead.
        """
