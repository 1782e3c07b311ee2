"""Gradient agreement filtering: what parts have in common is followed, what points elsewhere is left out.

Agreement is the cosine of two gradients, as one vector over all parameters.  Of three parts, two point the same way and
one across::

    [1, 0]  [1, 0]  [0, 1]       tau 0.97 keeps cosines of at least 0.03
    mean             ask each for its cosine with the mean of the others: 0.71, 0.71, 0; the first two are kept
    max-neighbours   0 and 1 agree with each other, 2 with nobody; the largest group is kept
    running          the first is the reference; the second agrees and is averaged in; the third does not

``running`` is the published form (Chaubard et al. 2024, arXiv:2412.18052, as in the authors' repository
Fchaubard/gradient_agreement_filtering; Algorithm 1 of the paper was not compared): the average so far and the next part
are averaged half and half, so four parts that all agree weigh 1/8, 1/8, 1/4 and 1/2 whatever their sizes, and what is
accepted depends on the order.  The other two do not depend on it, and weigh parts by their tokens.  With two parts of
one size all three are the same.

Agreement among training problems alone is no evidence of generalization: gradients of random labels can agree too
(Chatterjee & Zielinski 2020, arXiv:2008.01217, known here from its abstract).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim import chance
from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged, Stacked, mean_of
from factorexe.optim.aggregators.cosine import cosine, cosines, scaled
from factorexe.optim.aggregators.rejection import Reject, rejected
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part

_DRAW = 1e-6  # cosines are no more exact than this in single precision


class Filtering(Aggregator):
    """What all three forms are told.

    Args:
        flat: where each parameter stands in a vector.
        distance: the largest cosine distance that still agrees.
        reject: what becomes of a batch in which nothing agrees.
    """

    least = 2

    def __init__(self, flat: Flat, distance: float, reject: Reject) -> None:
        super().__init__(flat)
        self.distance, self.reject = distance, reject


class Running(Filtering):
    """The published form: each part in turn is compared with the average so far.  2 P numbers; 3 P to reject to the
    mean."""

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The running half-average of what agrees; of one part, that part."""
        first = next(parts)
        current, found = first.gradient, []
        plain: Tensor | None = first.gradient * first.weight if self.reject == "mean" else None
        tokens = first.weight
        for part in parts:
            found.append(cosine(current, part.gradient))
            agrees = 1 - found[-1] <= self.distance
            current = torch.where(agrees, (current + part.gradient) / 2, current)
            tokens = tokens + part.weight
            plain = None if plain is None else plain + part.gradient * part.weight
        if not found:
            return _alone(current)
        told = torch.stack(found)
        agreed = int((1 - told <= self.distance).sum())
        gradient = current if agreed else rejected(self.reject, current if plain is None else plain / tokens)
        return Merged(gradient, _stats(agreed + 1 if agreed else 0, len(found) + 1, told.mean()))


class Grouped(Filtering, Stacked):
    """A rule that keeps a group of parts, whatever their order, and averages it."""

    def merge(self, rows: Tensor, weights: Tensor, guide: Tensor | None) -> Merged:
        """The mean of the group over its tokens; of one part, that part."""
        if len(rows) == 1:
            return _alone(rows[0])
        group, told = self.group((rows @ rows.T).double(), weights.double())
        kept = int(group.sum())
        gradient = mean_of(rows, weights * group) if kept else rejected(self.reject, mean_of(rows, weights))
        return Merged(gradient, _stats(kept, len(rows), told.to(rows.dtype)))

    def group(self, inner: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(K,) which parts are kept, and () the mean of the cosines looked at, from inner products (K, K)."""
        raise NotImplementedError


class WithOthers(Grouped):
    """Keeps parts that agree with the mean of the others; their own share is left out, for it agrees by itself."""

    def group(self, inner: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """By the cosine of each part with the sum of the others over their tokens."""
        others = weights * (1 - torch.eye(len(weights), dtype=weights.dtype, device=weights.device))
        sizes = ((others @ inner) * others).sum(dim=1).clamp(min=0).sqrt()
        told = scaled((others * inner).sum(dim=1), inner.diagonal().sqrt(), sizes)
        return 1 - told <= self.distance, told.mean()


class MaxNeighbours(Grouped):
    """Keeps the part that most others agree with, and those others.

    Of several such parts the one that agrees with them most closely (the largest sum of cosines) decides.  If two are
    exactly as close but stand for different groups it is a draw, and nothing agrees: only their order could decide.
    """

    def group(self, inner: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """By the cosine of each part with each other."""
        alone = torch.eye(len(inner), dtype=torch.bool, device=inner.device)
        pairs = cosines(inner)
        near = (1 - pairs <= self.distance) & ~alone
        most = near.sum(dim=1) == near.sum(dim=1).max()
        closeness = torch.where(most, (pairs * near).sum(dim=1), -torch.inf)
        groups = (near | alone)[closeness >= closeness.max() - _DRAW]
        decided = near.any() & (groups == groups[0]).all()
        return groups[0] & decided, pairs[~alone].mean()


def _alone(gradient: Tensor) -> Merged:
    """The only part, which nothing disagrees with."""
    return Merged(gradient, _stats(1, 1, 1.0))


def _stats(kept: int, parts: int, agreement: Tensor | float) -> dict[str, Tensor | float]:
    return {"kept": kept / parts, "cosine": agreement, "skipped": float(not kept)}


RULES: dict[str, type[Running | Grouped]] = {"running": Running, "mean": WithOthers, "max-neighbours": MaxNeighbours}


class GAFConfig(AggregatorConfig):
    """The mean of parts whose gradients point the same way; no step if none do."""

    tau: float = Field(0.97, ge=0, le=2)
    """Largest cosine distance that still agrees: 0.97 keeps cosines of at least 0.03, 2 keeps everything."""
    deviations: float | None = Field(None, ge=0)
    """Least cosine that still agrees, in standard deviations of that of noise (1 / sqrt(P)), instead of `tau`."""
    reference: Literal["running", "mean", "max-neighbours"] = "running"
    """What a part has to agree with: the average so far, as published; the mean of the others; most of the others."""
    reject: Reject = "skip"
    """Where nothing agrees: no step, a gradient of zeros (decay and momentum still move), or the plain mean."""

    def build(self, flat: Flat) -> Aggregator:
        """The rule."""
        least = None if self.deviations is None else self.deviations * chance.cosine_deviation(flat.size)
        return RULES[self.reference](flat, self.tau if least is None else 1 - least, self.reject)
