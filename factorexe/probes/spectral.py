"""How many directions representations and weights really use.

A spectrum of non-negative numbers, divided by its sum, is a distribution; the exponential of its entropy counts the
directions that matter::

    4 4 0 0     shares 1/2 1/2 0 0     entropy log 2     effective rank 2     entropy / log 4 = 1/2
    3 0 0 0     shares 1 0 0 0         entropy 0         effective rank 1

- Representations: the spectrum is that of the covariance of hidden states.  Its entropy over log D is the normalised
  spectral entropy of Truong et al. 2026 (arXiv:2604.13123, from its abstract: on one-layer transformers it fell below
  about 0.61 before generalization, and in MLPs that never generalized too: necessary there, not sufficient).
- Weights: the spectrum is that of the singular values, and the exponential of its entropy is the effective rank of
  Roy & Vetterli 2007 (EUSIPCO, definition 2).  The stable rank is |W|_F^2 / |W|_2^2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class Spread(NamedTuple):
    """Over how many directions something is spread out."""

    entropy: Tensor  # () over the logarithm of their number: 0 for one direction, 1 for all of them alike
    effective_rank: Tensor  # () from 1 to their number


class Ranks(NamedTuple):
    """Of weight matrices, in the mean."""

    effective: Tensor  # ()
    stable: Tensor  # ()


def spread(states: Tensor) -> Spread:
    """Of hidden states (M, D), by the covariance of their D entries."""
    centred = states.double() - states.double().mean(dim=0)
    variances = torch.linalg.eigvalsh(centred.T @ centred / len(centred)).clamp_min(0)
    bits = _entropy(variances)
    return Spread(bits / math.log(max(2, states.shape[1])), bits.exp())


def ranks(matrices: Iterable[Tensor]) -> Ranks:
    """Mean effective and stable rank of matrices, at least one."""
    spectra = [torch.linalg.svdvals(matrix.detach().double()) for matrix in matrices]
    stable = [(values.square().sum() / values[0].square().clamp_min(_TINY)).clamp_min(1) for values in spectra]
    return Ranks(torch.stack([_entropy(values).exp() for values in spectra]).mean(), torch.stack(stable).mean())


_TINY = 1e-300


def _entropy(spectrum: Tensor) -> Tensor:
    """Entropy () of non-negative numbers (N,) over their sum; 0 where all of them are 0."""
    shares = spectrum / spectrum.sum().clamp_min(_TINY)
    entropy: Tensor = torch.special.entr(shares).sum()
    return entropy
