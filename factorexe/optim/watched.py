"""Parameters that say what they enter, while a loss is computed and differentiated.

A trained weight W enters ``y = F.linear(x, W)``.  While it is watched, the operation is given its numbers alone, and
what each part of a batch adds to its gradient is summed (``part_sums``) when the backward pass comes to y::

    notes = Notes(split_of)
    with watching([model], [W], notes):
        loss = ...                          y = F.linear(x, W.detach()), y.register_hook(...)
    notes.expected = True
    torch.autograd.grad(loss, ...)          notes.of(W) = dy[:2]^T x[:2], dy[2:]^T x[2:]

A watched parameter is a tensor subclass, so that torch asks about the operations that it enters and about no others.
Linear maps, embeddings and layer norms are known; through any other a parameter cannot be followed (``Unknown``).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from factorexe.optim.part_sums import Entry, Gain, Lookup, Product, Split, Sum


class Unknown(Exception):
    """A parameter entered something of which parts cannot be told apart."""


class Notes:
    """What the backward pass finds about watched parameters.

    Args:
        split_of: how the rows of a tensor are shared out, of a shape without its last axis; None: unknown.

    Attributes:
        leaves: results of operations from which no gradient flows on; the backward pass has to be asked for theirs.
        expected: whether the backward pass is on its way.
        rule: what is made of the gradients (K, *shape) of a parameter as soon as all that it entered has been passed;
            None: they are kept.
    """

    def __init__(self, split_of: Callable[[torch.Size], Split | None]) -> None:
        self.split_of = split_of
        self.leaves: list[Tensor] = []
        self.expected = False
        self.rule: Callable[[Tensor], Tensor] | None = None
        self._splits: dict[torch.Size, Split | None] = {}
        self._left: Counter[int] = Counter()  # operations that a parameter entered and that were not passed
        self._sums: dict[int, Tensor] = {}
        self._merged: dict[int, Tensor] = {}

    def split(self, shape: torch.Size) -> Split:
        """How the rows of a tensor are shared out, of a shape without its last axis.

        Raises:
            Unknown: it could not be told.
        """
        if shape not in self._splits:
            self._splits[shape] = self.split_of(shape) if shape else None
        found = self._splits[shape]
        if found is None:
            raise Unknown
        return found

    def note(self, result: Tensor, *entries: tuple[Tensor | None, Entry]) -> Tensor:
        """The result of an operation, whose gradient will say what is to be added to those of parameters."""
        entered = [(each.parameter, entry) for each, entry in entries if isinstance(each, Watched)]
        for parameter, _ in entered:
            self._left[id(parameter)] += 1
        if not result.requires_grad:
            self.leaves.append(result.requires_grad_())
        elif not self.leaves:  # its gradient flows on to something of which nothing is known
            raise Unknown

        def passed(dy: Tensor) -> None:
            for parameter, entry in entered:
                self._add(parameter, entry, dy)
            entered.clear()  # frees what they kept, as a backward pass does

        result.register_hook(passed)  # type: ignore[no-untyped-call]
        return result

    def _add(self, parameter: Tensor, entry: Entry, dy: Tensor) -> None:
        if not self.expected or not entry.whole:  # the loss holds a gradient of its own, or x was written into
            raise Unknown
        key = id(parameter)
        self._sums[key] = entry.added(dy, self._sums.get(key), parameter.dtype)
        self._left[key] -= 1
        if self.rule is not None and not self._left[key]:
            self._merged[key] = self.rule(self._sums.pop(key))

    def of(self, parameter: Tensor) -> Tensor | None:
        """The gradients of a parameter, or what was made of them; None if the loss does not depend on it."""
        key = id(parameter)
        if key in self._sums and self.rule is not None:  # it also entered operations of which nothing came
            self._merged[key] = self.rule(self._sums.pop(key))
        return self._sums.get(key, self._merged.get(key))


class Watched(Tensor):
    """A trained parameter while a loss is computed."""

    parameter: Tensor
    value: Tensor  # the same numbers; no gradient comes back to it
    notes: Notes

    @classmethod
    def of(cls, parameter: Tensor, notes: Notes) -> Watched:
        """One parameter."""
        watched = parameter.as_subclass(cls)
        watched.parameter, watched.value, watched.notes = parameter, parameter.detach(), notes
        return watched

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The operation, or one in its place."""
        with torch._C.DisableTorchFunctionSubclass():
            known = KNOWN.get(func)
            if known is not None and torch.is_grad_enabled():
                return known(*args, **kwargs or {})
            found = func(*args, **kwargs or {})
            if any(isinstance(each, Tensor) and each.requires_grad for each in tree_leaves(found)):
                raise Unknown
            return found


@contextlib.contextmanager
def watching(modules: Iterable[nn.Module], trained: Iterable[Tensor], notes: Notes) -> Iterator[None]:
    """A context in which those parameters of some modules are watched."""
    watched = {id(parameter): Watched.of(parameter, notes) for parameter in trained}
    places = [
        (each._parameters, name, parameter)
        for module in modules
        for each in module.modules()
        for name, parameter in each._parameters.items()
        if id(parameter) in watched
    ]
    try:
        for own, name, parameter in places:
            own[name] = watched[id(parameter)]  # type: ignore[assignment]
        yield
    finally:
        for own, name, parameter in places:
            own[name] = parameter


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    notes = _notes(weight, bias)
    split = notes.split(input.shape[:-1])
    result = F.linear(input, _value(weight), None if bias is None else _value(bias))
    return notes.note(result, (weight, Product(split, input)), (bias, Sum(split)))


def _embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise Unknown
    notes = _notes(weight)
    split = notes.split(input.shape)
    return notes.note(F.embedding(input, _value(weight)), (weight, Lookup(split, input, len(weight), padding_idx)))


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    if len(normalized_shape) != 1:
        raise Unknown
    notes = _notes(weight, bias)
    split = notes.split(input.shape[:-1])
    x = input if weight is None else input.to(torch.promote_types(input.dtype, weight.dtype))
    gain, shift = (None if each is None else _value(each) for each in (weight, bias))
    result, mean, scale = torch.native_layer_norm(x, normalized_shape, gain, shift, eps)
    return notes.note(result, (weight, Gain(split, x, mean, scale)), (bias, Sum(split)))


KNOWN: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.linear: _linear,
    F.embedding: _embedding,
    F.layer_norm: _layer_norm,
}


def _notes(weight: Tensor | None, bias: Tensor | None = None) -> Notes:
    watched = weight if isinstance(weight, Watched) else bias
    if not isinstance(watched, Watched):  # it is what goes through the operation
        raise Unknown
    return watched.notes


def _value(given: Tensor) -> Tensor:
    return given.value if isinstance(given, Watched) else given
