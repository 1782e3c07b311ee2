"""Give each problem the steps that its difficulty asks for, in training and at test time.

    steps = ceil(per_difficulty * difficulty) + extra

With ``per_difficulty`` 1 and ``extra`` 1, as many steps as a sum of n digits has carries to make: problems of
difficulty 3 and 7 in one batch make 4 and 8 steps.  Where a problem is harder than in training, the loop makes more
steps than it ever did.

After Fan et al. 2024 (arXiv:2409.15647), who train looped transformers with a known number T(n) of steps for problems
of length n, supervised after the last alone, and tell it at test time too (their *oracle*).  As others summarise the
paper, which itself was not at hand, T(n) is n for parity and copying, n + 1 for addition.  T is linear here.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from factorexe.models.depth.base import DepthConfig, Pass


class DifficultyDepthConfig(DepthConfig):
    """As many steps as the problem's difficulty asks for, at test time too."""

    paper: ClassVar[str] = "Fan et al. 2024, arXiv:2409.15647"

    per_difficulty: float = Field(1.0, gt=0)
    """Steps for each unit of difficulty; fractions of the product count as a whole step."""
    extra: int = Field(0, ge=0)
    """Steps beside those."""

    def passes(self, steps: int, generator: torch.Generator | None) -> tuple[Pass, ...]:
        """One, of the model's own depth: where no problem tells, that is all there is."""
        return (Pass(steps, 0, 1.0),)

    def told(self, steps: int, difficulty: Tensor) -> Tensor:
        """Steps (B,) of problems of these difficulties (B,), at least one."""
        product = self.per_difficulty * difficulty.double()
        whole = torch.ceil(product - 1e-9 * product.abs())  # 0.1 * 30 is 3.0000000000000004 and shall be three steps
        return (whole.long() + self.extra).clamp_min(1)

    def deepest(self, steps: int) -> None:
        """As many as a problem is given."""
