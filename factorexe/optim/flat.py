"""The trained parameters of a module, laid end to end: gradients are vectors of P numbers.

A rule that compares or edits gradients is about all parameters at once, or about each tensor::

    flat = Flat(model.named_parameters())         embedding.weight (14, 64), norm.weight (64,), ...
    flat.vector(gradients)[flat.spans[1]]         what a vector says of norm.weight
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class Flat:
    """Where each trained parameter stands in a vector of all of them.

    Args:
        named: names and parameters; those that are not trained are left out.  A tied parameter comes once, as in
            ``named_parameters``.

    Attributes:
        spans: the part of a vector that belongs to each parameter.
        size: P.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        trained = [(name, parameter) for name, parameter in named if parameter.requires_grad]
        self.names = [name for name, _ in trained]
        self.parameters = [parameter for _, parameter in trained]
        self.sizes = [parameter.numel() for parameter in self.parameters]
        ends = list(itertools.accumulate(self.sizes, initial=0))
        self.spans = [slice(*pair) for pair in itertools.pairwise(ends)]
        self.size = ends[-1]

    def vector(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """(P,) from one tensor for each parameter, 0 where there is none."""
        pairs = zip(tensors, self.parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if t is None else t).reshape(-1) for t, p in pairs])

    def pieces(self, vector: Tensor) -> list[Tensor]:
        """A vector (P,) as one tensor for each parameter; they share its memory."""
        parts = vector.split_with_sizes(self.sizes)
        return [part.view(parameter.shape) for part, parameter in zip(parts, self.parameters, strict=True)]

    @torch.no_grad()
    def weights(self) -> Tensor:
        """(P,) a copy of the parameters."""
        return self.vector([parameter.detach() for parameter in self.parameters])

    def put(self, vector: Tensor) -> None:
        """Set the parameters to a vector (P,), behind autograd's back: whoever puts others there while a backward pass
        is still to come has to put these back before it."""
        torch._foreach_copy_([parameter.data for parameter in self.parameters], self.pieces(vector))

    def gradient(self) -> Tensor | None:
        """(P,) what stands in ``p.grad``, 0 where nothing does; None where nothing does anywhere."""
        gradients = [parameter.grad for parameter in self.parameters]
        return None if all(gradient is None for gradient in gradients) else self.vector(gradients)


def owned(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The same tensors, each in memory of its own and in one piece, so that it may be written into: autograd gives one
    to several parameters, or expands it."""
    taken: set[int] = set()
    found: list[Tensor | None] = []
    for tensor in tensors:
        if tensor is not None and (tensor.data_ptr() in taken or not tensor.is_contiguous()):
            tensor = tensor.clone(memory_format=torch.contiguous_format)
        if tensor is not None:
            taken.add(tensor.data_ptr())
        found.append(tensor)
    return found
