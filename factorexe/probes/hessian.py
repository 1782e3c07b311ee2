"""How sharply the loss curves upwards: the largest eigenvalue of its Hessian.

A product of the Hessian with a vector is the gradient of (gradient . vector), so no matrix is ever formed.  After k
products the Hessian is known on the space of start, product, product of the product, ...; its largest eigenvalue on
that space (Lanczos 1950) is never above the true one and grows with k.  The plain power iteration sees the last vector
alone: it finds -c where that is the larger in size, and settles on nothing beside c and -c, as in the loss a b::

    Hessian ((0, 1), (1, 0))     eigenvalues 1 and -1     power iteration: v, Hv, v, Hv, ...     Lanczos, k = 2: 1

Ghorbani et al. 2019 (arXiv:1901.10159) look at the Hessians of networks with Lanczos' method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

_SEED = 0  # where the search begins is the same every time


def largest_eigenvalue(loss: Callable[[], Tensor], parameters: Sequence[Tensor], *, iterations: int = 20) -> float:
    """The largest eigenvalue of the Hessian of ``loss`` in ``parameters``, which are left as they are; a lower bound
    that is exact once ``iterations`` reaches their number P.

    Args:
        loss: a forward pass; twice differentiable, and the same every time.
        iterations: k, products with the Hessian; as many vectors (P,) are kept.
    """
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        slopes = torch.autograd.grad(loss(), parameters, create_graph=True, allow_unused=True)
        pairs = [(s, p) for s, p in zip(slopes, parameters, strict=True) if s is not None and s.requires_grad]
        return float(_largest(_Hessian(pairs), iterations)) if pairs else 0.0


class _Hessian:
    """Products of the Hessian with vectors (P,), all from one pass forward and one backward."""

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.slopes, self.parameters = [slope for slope, _ in pairs], [parameter for _, parameter in pairs]
        self.sizes = [parameter.numel() for parameter in self.parameters]

    def times(self, vector: Tensor) -> Tensor:
        """(P,)"""
        parts = vector.split_with_sizes(self.sizes)
        pieces = [part.view_as(p) for part, p in zip(parts, self.parameters, strict=True)]
        found = torch.autograd.grad(self.slopes, self.parameters, pieces, retain_graph=True, allow_unused=True)
        rows = [torch.zeros_like(p) if h is None else h for h, p in zip(found, self.parameters, strict=True)]
        return torch.cat([row.reshape(-1) for row in rows])

    def start(self) -> Tensor:
        """A unit vector (P,), drawn from a generator of its own."""
        generator = torch.Generator().manual_seed(_SEED)
        vector = torch.randn(sum(self.sizes), generator=generator).to(self.parameters[0])
        unit: Tensor = vector / vector.norm()
        return unit


def _largest(hessian: _Hessian, iterations: int) -> Tensor:
    """The largest eigenvalue () on the space that k products span."""
    vector = hessian.start()
    basis, diagonal, beside = [vector], [], []
    for _ in range(min(iterations, len(vector))):
        image = hessian.times(basis[-1])
        diagonal.append(basis[-1] @ image)
        known = torch.stack(basis)
        for _ in range(2):  # once leaves rounding errors, along which known directions come back
            image = image - known.T @ (known @ image)
        beside.append(image.norm())
        if not beside[-1] > 1e-6 * torch.stack(diagonal + beside).abs().max():
            break  # nothing is left outside of the space
        basis.append(image / beside[-1])
    matrix = torch.diag(torch.stack(diagonal))
    if len(diagonal) > 1:
        off = torch.stack(beside[: len(diagonal) - 1])
        matrix = matrix + torch.diag(off, 1) + torch.diag(off, -1)
    largest: Tensor = torch.linalg.eigvalsh(matrix.double())[-1]
    return largest
