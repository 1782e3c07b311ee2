"""Shrink each coordinate by how unsure the parts are of it: its gradient signal-to-noise ratio.

Of K parts with mean g and unbiased variance v, v / K is the variance of g itself.  What is left of g is

    g * max(0, 1 - v / (K g^2))        2 and 6: g = 4, v = 8, 1 - 8 / (2 * 16) = 3/4, so 3
                                       -1 and 6: g = 2.5, v = 24.5, less than nothing, so 0

and so for two parts the harmonic mean of what has one sign: a sign agreement without a threshold.

The ratio g^2 / v of each parameter is that of Liu et al. 2020, arXiv:2001.07384, in which it decides how much better
an update makes what was not trained on.  To shrink by it is our own, after James and Stein, who show that to shrink a
noisy mean brings it nearer to the truth; we know of no publication that does so in training.

Parts of unequal size count by their tokens, w_k of W: then g is the sum of w_k g_k / W, and v / K becomes the sum of
w_k (g_k - g)^2 / ((K - 1) W), unbiased where a part's variance is one token's over w_k, as of a mean of independent
tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class GSNR(Aggregator):
    """Shrinks the mean.  3 P numbers: the mean and the spread around it are updated part by part (Welford 1962, with
    weights West 1979)."""

    least = 2

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The shrunk mean; of one part, whose noise is not known, that part."""
        first = next(parts)
        mean, tokens, count = first.gradient, first.weight, 1
        spread = torch.zeros_like(mean)
        for part in parts:
            tokens = tokens + part.weight
            away = part.gradient - mean
            mean = mean + away * (part.weight / tokens)
            spread = spread + part.weight * away * (part.gradient - mean)
            count += 1
        factor = shrinkage(mean, spread / (tokens * max(1, count - 1)))
        shrunk = mean * factor
        live = ((mean != 0) | (spread != 0)).sum().clamp(min=1)
        stats = {"kept": (factor > 0).sum() / live, "length": shrunk.norm() / mean.norm().clamp(min=1e-30)}
        return Merged(shrunk, stats)


def shrinkage(mean: Tensor, noise: Tensor) -> Tensor:
    """(P,) what is left of each coordinate of ``mean`` (P,) whose variance is ``noise`` (P,); 0 where the mean is 0."""
    left = (1 - noise.sqrt().div(mean).square()).clamp(min=0)
    return torch.where(mean == 0, 0.0, left)


class GSNRConfig(AggregatorConfig):
    """The mean, each coordinate shrunk by the noise that the parts show in it."""

    def build(self, flat: Flat) -> GSNR:
        """The rule."""
        return GSNR(flat)
