"""The gradients of K parts of a batch from one forward and one backward pass of all of it.

A weight's gradient is a sum over the rows that went through it; summed part by part it is K gradients, for the same
multiplications.  4 problems of 5 tokens in 2 parts, through ``nn.Linear(3, 2)``::

    x (4, 5, 3), dy (4, 5, 2)           grad[0] = dy[:2]^T x[:2], grad[1] = dy[2:]^T x[2:]

So operations that trained parameters enter (a linear map, an embedding, a layer norm) are replaced, while the loss is
computed, by ones that note each part's sum (cf. Goodfellow 2015, arXiv:1510.01799, section 4, for parts of one
example).  They have to know which part a row belongs to: rows are those of examples (B, ...) or of supervised tokens
(..., M, D).  A model in which a parameter enters anything else, or other rows, has to be asked part by part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from factorexe.optim.flat import Flat
from factorexe.optim.measure import Loss, OneOf, Part, Pending
from factorexe.optim.part_sums import PartSums, Split, embedded, normal, through


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


class Unknown(Exception):
    """A parameter entered something of which parts cannot be told apart."""


class Noting(TorchFunctionMode):
    """While it is entered, operations note what each part's gradient is.

    Args:
        sums: where it is noted.
        flat: the trained parameters.
    """

    def __init__(self, sums: PartSums, rows: Rows, flat: Flat) -> None:
        super().__init__()
        self.sums, self.rows = sums, rows
        self.trained = {id(parameter) for parameter in flat.parameters}
        self._known: dict[torch.Size, Split | None] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The operation, or one in its place."""
        if not self._enters(args) and not (kwargs and self._enters(kwargs.values())):
            return func(*args, **kwargs) if kwargs else func(*args)
        kwargs = kwargs or {}
        if func is F.linear:
            return self._linear(*args, **kwargs)
        if func is F.embedding:
            return self._embedding(*args, **kwargs)
        if func is F.layer_norm:
            return self._layer_norm(*args, **kwargs)
        found = func(*args, **kwargs)
        if any(isinstance(each, Tensor) and each.requires_grad for each in tree_leaves(found)):
            raise Unknown
        return found

    def _enters(self, given: Iterable[Any]) -> bool:
        """Whether a trained parameter is among what an operation is given, be it in a list, as ``torch.cat`` has it."""
        if not self.trained.isdisjoint(map(id, given)):
            return True
        return any(self._enters(each) for each in given if type(each) is list or type(each) is tuple)

    def _split(self, shape: torch.Size) -> Split:
        if shape not in self._known:
            self._known[shape] = self.rows.of(shape) if shape else None
        found = self._known[shape]
        if found is None:
            raise Unknown
        return found

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return through(x, weight, bias, self.sums, self._split(x.shape[:-1]))

    def _embedding(
        self,
        index: Tensor,
        weight: Tensor,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Tensor:
        if max_norm is not None or scale_grad_by_freq or sparse:
            raise Unknown
        return embedded(index, weight, padding_idx, self.sums, self._split(index.shape))

    def _layer_norm(
        self,
        x: Tensor,
        normalized_shape: Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        if len(normalized_shape) != 1:
            raise Unknown
        return normal(x, weight, bias, eps, self.sums, self._split(x.shape[:-1]))


class OnePass(Pending):
    """Parts whose gradients come all at once.

    Args:
        loss: of the whole batch.
        sums: what its backward pass notes.
        weights: supervised tokens of each part, as the loss weights them.
        otherwise: asks for the same parts by a pass for each.
    """

    def __init__(
        self, loss: Loss, sums: PartSums, flat: Flat, weights: Sequence[float], otherwise: Callable[[], Pending]
    ) -> None:
        self.losses, self.sums, self.flat, self.weights, self.otherwise = [loss], sums, flat, weights, otherwise

    def parts(self) -> Iterator[Part]:
        """One for each part, in order."""
        (loss,) = self.losses
        equal = len(set(self.weights)) == 1
        total = loss.total / self.weights[0] if equal else loss.total
        unseen = torch.autograd.grad(total, self.flat.parameters, allow_unused=True)
        if any(gradient is not None for gradient in unseen):  # of an operation that torch does not let be watched
            yield from self.otherwise().parts()
            return
        noted = [self.sums.of(parameter) for parameter in self.flat.parameters]
        weights = loss.weight.new_tensor(self.weights)
        for sums in noted:
            if sums is not None and not equal:
                sums.div_(weights.to(sums.dtype).view(-1, *[1] * (sums.dim() - 1)))
        for number, weight in enumerate(weights.unbind()):
            yield OneOf(noted, number, weight, self.flat)


def in_one_pass(
    loss_of: Callable[[], Loss], rows: Rows, weights: Sequence[float], flat: Flat, otherwise: Callable[[], Pending]
) -> OnePass | None:
    """The loss of a batch whose parts lie as ``rows`` says and weigh ``weights``, ready to be asked for their
    gradients; None if parameters enter it in ways of which parts cannot be told apart.

    Args:
        otherwise: asks for the same parts by a pass for each, should the backward pass find such a way.
    """
    sums = PartSums(len(rows.examples))
    try:
        with Noting(sums, rows, flat):
            loss = loss_of()
    except Unknown:
        return None
    return OnePass(loss, sums, flat, weights, otherwise)
