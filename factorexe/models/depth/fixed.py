"""Train with as many steps as are made at test time."""

from __future__ import annotations

import torch

from factorexe.models.depth.base import DepthConfig, Pass


class FixedDepthConfig(DepthConfig):
    """As many steps in training as at test time."""

    def passes(self, steps: int, generator: torch.Generator | None) -> tuple[Pass, ...]:
        """One, with gradients all the way."""
        return (Pass(steps, 0, 1.0),)
