"""Grokfast-MA: the gradient, and the mean of the last ``window`` gradients once more.

As published (Lee et al. 2024, arXiv:2405.20233, the variant with a windowed mean) nothing is added before the window
is full; the gradient at hand is part of it::

    window 2, gain 5:   gradients 1, 3, 5       used 1,  3 + 5 * (1 + 3) / 2 = 13,  5 + 5 * (3 + 5) / 2 = 25

A sum to which one adds the new and from which one subtracts the old drifts by rounding, and to add the window up
anew at each step would read ``window`` vectors.  Here nothing is ever subtracted.  When all rows have been written,
each is replaced by the mean of itself and those after it: what the window still holds of them when the row before is
overwritten.  Of the gradients since then a running mean is kept::

    window 4, after 6 gradients        rows: g5, g6, mean(g3, g4), g4        recent: mean(g5, g6)

So a step costs a few vectors, and every ``window`` steps one costs ``window`` of them.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.filter import Filter, FilterConfig
from factorexe.optim.flat import Flat


class GrokfastMA(Filter):
    """Adds ``gain`` times the mean (P,) of the last ``window`` gradients."""

    rows: Tensor  # (window, P)
    recent: Tensor  # (P,)
    seen: Tensor  # () gradients so far

    def __init__(self, flat: Flat, window: int, gain: float) -> None:
        super().__init__(flat)
        self.window, self.gain = window, gain
        zeros = torch.zeros_like(flat.weights())
        self.register_buffer("rows", zeros.repeat(window, 1))
        self.register_buffer("recent", zeros)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, gradient: Tensor) -> Tensor:
        """(P,) the gradient and ``gain`` times the window's mean, or the gradient while the window is not full."""
        before = int(self.seen)
        at = before % self.window
        self.rows[at] = gradient
        self.recent.lerp_(gradient, 1 / (at + 1))
        self.seen += 1
        if before + 1 < self.window:
            return gradient
        mean = self.recent
        if at + 1 < self.window:
            mean = torch.lerp(self.rows[at + 1], self.recent, (at + 1) / self.window)
        amplified = gradient + self.gain * mean
        if at + 1 == self.window:
            self._turn()
        return amplified

    def _turn(self) -> None:
        """Row i becomes the mean of itself and all rows after it."""
        for row in range(self.window - 2, -1, -1):
            self.rows[row].lerp_(self.rows[row + 1], 1 - 1 / (self.window - row))


class GrokfastMAConfig(FilterConfig):
    """Add the mean of the last gradients to the gradient (Grokfast-MA)."""

    window: int = Field(100, ge=1)
    """Gradients in the mean; all of them are kept, in checkpoints too."""
    gain: float = Field(5.0, ge=0)
    """How much of the mean is added (lambda of the paper); 0 changes nothing."""

    def build(self, flat: Flat) -> GrokfastMA:
        """The filter."""
        return GrokfastMA(flat, self.window, self.gain)
