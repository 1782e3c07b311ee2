"""How many ways there are to change the weights without losing anything: the local learning coefficient.

Around a minimum the volume in which the loss rises by less than e shrinks like e^lambda; a low lambda is a broad,
degenerate basin, a simple model.  Where all d directions curve, lambda = d / 2; for the loss w^4 it is 1/4, and for a
direction along which nothing changes, 0.  It is estimated by a random walk that is drawn back to where it began,

    estimate = n beta (mean loss of the walk - loss at the start),     n beta = n / log n,

each step being  w += step / 2 (-n beta gradient - localization (w - start)) + sqrt(step) noise:  stochastic gradient
Langevin dynamics with a localizing term, after Lau et al. 2023 (arXiv:2308.12108).  The formulas were read in the
documentation of the authors' package devinterp, not in the paper.

The walk knows only its own reach: a direction that curves by h counts for n beta h / (2 (n beta h + localization)), not
for 1/2, so what is flatter than localization / (n beta) counts for little.  With h = localization / (n beta) it is 1/4.
The walk flies off where step (n beta h + localization) reaches 4 for the sharpest direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Walk(NamedTuple):
    """How the neighbourhood is explored."""

    chains: int = 2
    draws: int = 200  # of each chain that count
    burn_in: int = 50  # draws before them
    step: float = 1e-5
    localization: float = 100.0


class Estimate(NamedTuple):
    """What the chains found."""

    value: float  # the mean over the chains
    deviation: float  # between the chains, about this value; NaN for one chain


def learning_coefficient(
    loss: Callable[[Tensor, int], Tensor], start: Tensor, *, batches: int, count: int, walk: Walk, seed: int = 0
) -> Estimate:
    """The estimate at weights ``start`` (P,), which are left as they are.

    The loss at the start is that of the same batches as in the walk, so what differs between batches cancels.

    Args:
        loss: the mean loss () of weights (P,) on one of the batches.
        batches: how many there are; the walk goes around them.
        count: n, the supervised tokens in all of them; at least 3.
        seed: of the noise, which is drawn from a generator of its own.
    """
    inverse_temperature = count / math.log(count)
    generator = torch.Generator(start.device).manual_seed(seed)
    with torch.no_grad():
        known = [loss(start, batch) for batch in range(batches)]
    means = [_wander(loss, start, known, inverse_temperature, walk, generator) for _ in range(walk.chains)]
    found = inverse_temperature * torch.stack(means)
    return Estimate(float(found.mean()), float(found.std()) if walk.chains > 1 else math.nan)


def _wander(
    loss: Callable[[Tensor, int], Tensor],
    start: Tensor,
    known: list[Tensor],
    inverse_temperature: float,
    walk: Walk,
    generator: torch.Generator,
) -> Tensor:
    """The mean () over one chain by how much the loss is higher than at its start."""
    weights, above = start.clone(), torch.zeros((), dtype=torch.float64, device=start.device)
    for draw in range(walk.burn_in + walk.draws):
        batch = draw % len(known)
        with torch.enable_grad():
            here = weights.requires_grad_()
            value = loss(here, batch)
            (slope,) = torch.autograd.grad(value, here)
        weights = here.detach()
        if draw >= walk.burn_in:
            above += value.detach() - known[batch]
        noise = torch.randn(weights.shape, generator=generator, device=weights.device, dtype=weights.dtype)
        drift = inverse_temperature * slope + walk.localization * (weights - start)
        weights = weights - walk.step / 2 * drift + math.sqrt(walk.step) * noise
    return above / walk.draws
