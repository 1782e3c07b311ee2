"""Gradients written by hand, and what an aggregator makes of them."""

import torch
from torch import nn

from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


def flat_of(*sizes):
    """Tensors of so many numbers each."""
    return Flat((f"p{index}", nn.Parameter(torch.zeros(size))) for index, size in enumerate(sizes))


def rule_of(config, *sizes):
    return config.build(flat_of(*sizes))


def merged(rule, rows, weights=None, guide=None):
    """What a rule makes of ``rows`` (K, P), given one after the other."""
    rows = torch.as_tensor(rows, dtype=torch.float32)
    weights = torch.ones(len(rows)) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    guide = None if guide is None else torch.as_tensor(guide, dtype=torch.float32)
    return rule((Part(row.clone(), weight) for row, weight in zip(rows, weights, strict=True)), guide)


def gradient(config, rows, weights=None, guide=None):
    """The gradient alone, of one tensor."""
    rows = torch.as_tensor(rows, dtype=torch.float32)
    return merged(rule_of(config, rows.shape[1]), rows, weights, guide).gradient


def noise(parts, size, seed=0):
    return torch.randn(parts, size, generator=torch.Generator().manual_seed(seed))
