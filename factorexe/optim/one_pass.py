"""The gradients of K parts of a batch from one forward and one backward pass of all of it.

A weight's gradient is a sum over the rows that went through it, so that of a part is the sum over the part's rows, for
the same multiplications (cf. Goodfellow 2015, arXiv:1510.01799, section 4, for parts of one example).  It has to be
known which part a row belongs to.  4 problems of 5 tokens in 2 parts, of which 3 and 4 tokens are supervised::

    x (4, 5, 128)       rows of examples: 2 and 2 of the first axis
    x (1, 7, 128)       rows of supervised tokens: 3 and 4 of the last but one
    x (6, 128)          neither: such a model has to be asked part by part

So has one in which a parameter enters what is not known (``watched``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from factorexe.optim.flat import Flat
from factorexe.optim.measure import Loss, OneOf, Part, Pending
from factorexe.optim.part_sums import Split
from factorexe.optim.watched import Notes, Unknown, watching


class Rows(NamedTuple):
    """Where parts lie in a batch that holds one after the other.  B examples of T tokens, M of them supervised."""

    examples: Sequence[int]  # of each part
    length: int  # T
    supervised: Sequence[int]  # tokens of each part

    def of(self, shape: torch.Size) -> Split | None:
        """How the rows of a tensor are shared out, of a shape without its last axis; None: unknown.

        An axis says what it is by its size, so a tensor that could be read in two ways is unknown.
        """
        found, count = [], sum(self.examples)
        if len(shape) > 1 and shape[:2] == (count, count):  # examples first, or tokens first?
            return None
        if shape[0] == count and (len(shape) == 1 or shape[1] == self.length):
            found.append((0, self.examples))
        if shape[-1] == sum(self.supervised):
            found.append((len(shape) - 1, self.supervised))
        if not found or found[0] != found[-1]:
            return None
        axis, rows = found[0]
        return Split(axis, rows, len(set(rows)) == 1 and shape[:axis].numel() == 1)


class OnePass(Pending):
    """Parts whose gradients come all at once.

    Args:
        loss: of the whole batch.
        notes: what its backward pass finds.
        weights: supervised tokens of each part, as the loss weights them.
        otherwise: asks for the same parts by a pass for each.
    """

    def __init__(
        self, loss: Loss, notes: Notes, flat: Flat, weights: Sequence[float], otherwise: Callable[[], Pending]
    ) -> None:
        self.losses, self.notes, self.flat, self.otherwise = [loss], notes, flat, otherwise
        self.weights = loss.weight.new_tensor(weights)
        self._common = weights[0] if len(set(weights)) == 1 else None
        self._failed = False

    def parts(self) -> Iterator[Part]:
        """One for each part, in order."""
        if not self._seen(None):
            yield from self.otherwise().parts()
            return
        noted = [self.notes.of(parameter) for parameter in self.flat.parameters]
        means = [None if sums is None else self._means(sums) for sums in noted]
        for number, weight in enumerate(self.weights.unbind()):
            yield OneOf(means, number, weight, self.flat)

    def by_tensor(self, rule: Callable[[Tensor, Tensor], Tensor]) -> Sequence[Tensor | None] | None:
        """Merged while the backward pass goes on: the gradients of one tensor are forgotten before the next ones come,
        unless it enters more than one operation."""
        shares = self.weights / self.weights.sum()
        if not self._seen(lambda sums: rule(self._means(sums), shares)):
            return None
        return [self.notes.of(parameter) for parameter in self.flat.parameters]

    def _means(self, sums: Tensor) -> Tensor:
        """Gradients (K, ...) of the means over the parts' tokens, in place of those of sums."""
        if self._common is not None:
            return sums
        return sums.div_(self.weights.to(sums.dtype).view(-1, *[1] * (sums.dim() - 1)))

    def _seen(self, rule: Callable[[Tensor], Tensor] | None) -> bool:
        """The backward pass, unless it has failed before; whether no parameter entered the loss unseen."""
        if self._failed:
            return False
        (loss,), notes = self.losses, self.notes
        total = loss.total if self._common is None else loss.total / self._common
        notes.expected, notes.rule = True, rule
        leaves, parameters = notes.leaves, self.flat.parameters
        try:
            found = torch.autograd.grad(total, [*leaves, *parameters], allow_unused=True)
            self._failed = any(gradient is not None for gradient in found[len(leaves) :])
        except Unknown:
            self._failed = True
        leaves.clear()  # whose hooks hold the notes, which hold them
        return not self._failed


def in_one_pass(
    modules: Sequence[nn.Module],
    loss_of: Callable[[], Loss],
    rows: Rows,
    weights: Sequence[float],
    flat: Flat,
    otherwise: Callable[[], Pending],
) -> OnePass | None:
    """The loss of a batch whose parts lie as ``rows`` says and weigh ``weights``, ready to be asked for their
    gradients; None if parameters enter it in ways of which parts cannot be told apart.

    Args:
        modules: hold the parameters of which ``loss_of`` makes the loss; nothing else in it should ask for a gradient.
        otherwise: asks for the same parts by a pass for each, should the backward pass find such a way.
    """
    notes = Notes(rows.of)
    try:
        with watching(modules, flat.parameters, notes):
            loss = loss_of()
    except Unknown:
        notes.leaves.clear()
        return None
    return OnePass(loss, notes, flat, weights, otherwise)
