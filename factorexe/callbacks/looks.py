"""What ``DeepProbe`` asks of a learner: the measurements of ``factorexe.probes`` on a few fixed problems.

    problems = fixed(data, "val", 256, learner.device)
    spectral(learner, problems)         {"repr/spectral_entropy": 0.4, "repr/effective_rank": 7.0, ...}

A look that has no problems to look at finds nothing.  All of it happens inside ``looking``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from factorexe.callbacks.looking import supervised
from factorexe.callbacks.residue_table import ResidueTable
from factorexe.layout import Batch
from factorexe.probes.fourier import waves
from factorexe.probes.hessian import largest_eigenvalue
from factorexe.probes.learning_coefficient import Walk, learning_coefficient
from factorexe.probes.spectral import ranks, spread

Numbers = dict[str, float]


def fixed(data: Any, split: str, count: int, device: torch.device) -> list[Batch]:
    """At most ``count`` problems of a split, evenly from all difficulties; none of a split that is empty."""
    batches = data.evaluation_batches(split)
    total = sum(len(batch) for batch in batches)
    rows = np.arange(total) if total <= count else np.arange(count) * total // count
    starts = np.cumsum([0, *map(len, batches)])
    parts = [rows[(rows >= low) & (rows < high)] - low for low, high in itertools.pairwise(starts)]
    chosen = zip(batches, parts, strict=True)
    return [batch.select(torch.from_numpy(part)).to(device) for batch, part in chosen if len(part)]


def spectral(learner: Any, batches: Sequence[Batch]) -> Numbers:
    """Hidden states at supervised tokens, and weight matrices."""
    found: Numbers = {}
    if batches:
        over = spread(torch.cat([_states(learner, batch) for batch in batches]))
        found |= {"repr/spectral_entropy": float(over.entropy), "repr/effective_rank": float(over.effective_rank)}
    mean = ranks([parameter for parameter in _trained(learner).values() if parameter.dim() == 2])
    return found | {"weight/effective_rank": float(mean.effective), "weight/stable_rank": float(mean.stable)}


def fourier(learner: Any, data: Any, table: ResidueTable, frequencies: int) -> Numbers:
    """Waves of a modular task's table; the problems of seen are those that count as trained on."""
    cells = [table.cells(batch.examples) for batch in data.evaluation_batches("seen")]
    logits = table.logits(learner)
    trained = torch.cat([torch.zeros(0, dtype=torch.long), *cells]).to(logits.device)
    found = waves(logits, table.answers.to(logits.device), trained, frequencies)
    return {
        "fourier/gini": float(found.gini),
        "fourier/top_share": float(found.share),
        "fourier/excluded_loss": float(found.excluded),
        "fourier/restricted_loss": float(found.restricted),
    }


def sharpness(learner: Any, batches: Sequence[Batch], iterations: int) -> Numbers:
    """The largest eigenvalue of the Hessian of the mean loss."""
    if not batches:
        return {}

    def loss() -> Tensor:
        parts = [learner.objective.loss(learner.model, batch) for batch in batches]
        return torch.stack([one.total for one in parts]).sum() / torch.stack([one.weight for one in parts]).sum()

    found = largest_eigenvalue(loss, list(_trained(learner).values()), iterations=iterations)
    return {"sharpness/largest_eigenvalue": found}


def degeneracy(learner: Any, batches: Sequence[Batch], walk: Walk) -> Numbers:
    """The local learning coefficient; n counts the supervised tokens of the batches."""
    trained, losses = _trained(learner), _Losses(learner)
    start = torch.cat([parameter.detach().reshape(-1) for parameter in trained.values()])
    sizes = [parameter.numel() for parameter in trained.values()]

    def loss(weights: Tensor, batch: int) -> Tensor:
        pieces = zip(trained.items(), weights.split_with_sizes(sizes), strict=True)
        changed = {name: piece.view_as(parameter) for (name, parameter), piece in pieces}
        value: Tensor = torch.func.functional_call(losses, changed, (batches[batch],))
        return value

    count = round(sum(float(batch.weights.sum()) for batch in batches if batch.weights is not None))
    if count < 3:
        return {}
    found = learning_coefficient(loss, start, batches=len(batches), count=count, walk=walk)
    return {"llc/estimate": found.value, "llc/deviation": found.deviation}


class _Losses(nn.Module):
    """The mean loss of a batch, of parameters that are named as in the learner."""

    def __init__(self, learner: Any) -> None:
        super().__init__()
        self.model, self.objective = learner.model, learner.objective

    def forward(self, batch: Batch) -> Tensor:
        found = self.objective.loss(self.model, batch)
        mean: Tensor = found.total / found.weight
        return mean


def _trained(learner: Any) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in learner.named_parameters() if parameter.requires_grad}


def _states(learner: Any, batch: Batch) -> Tensor:
    """(M, D) the expected state at each supervised token."""
    found = supervised(learner, batch)
    return (found.share.unsqueeze(-1) * found.states).sum(dim=0)
