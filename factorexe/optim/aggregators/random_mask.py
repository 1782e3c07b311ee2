"""The control: keep as much as a rule of agreement keeps, but by lot.

Whatever is gained with a rule that lets 0.3 of the coordinates through, and is gained with ``--keep 0.3`` too, is not
the rule's: masking at random can help by itself (arXiv:2602.15322 on masked updates, known here from its abstract)::

    keep 0.5, unit coordinate     each coordinate of the mean is kept with probability 1/2      beside sign-agreement
    keep 0.5, unit part           each part is kept with probability 1/2                        beside gaf

With ``rescale`` the coordinates of a tensor are divided by the share of them that was kept, as in ``sign-agreement``,
and kept parts are averaged among themselves; without it, what was not kept counts as 0.  Where no part is kept the
batch is rejected.

What is drawn depends on the seed and on how many batches came before (``lot``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.aggregators.lot import Lot
from factorexe.optim.aggregators.mean import Mean
from factorexe.optim.aggregators.per_tensor import rescaled
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class RandomMask(Aggregator):
    """What both forms share.

    Args:
        flat: where each parameter stands in a vector.
        keep: the probability to be kept.
        rescale: whether what is left makes up for what is not.
        seed: which lots are drawn.
    """

    def __init__(self, flat: Flat, keep: float, rescale: bool, seed: int) -> None:
        super().__init__(flat)
        self.keep, self.rescale = keep, rescale
        self.lot = Lot("random-mask", seed)

    def drawing(self, device: torch.device | str) -> torch.Generator:
        """A generator for this batch; the next call is for the next one."""
        return torch.Generator(device).manual_seed(self.lot())


class RandomCoordinates(RandomMask):
    """Masks the mean.  2 P numbers, and P to draw."""

    def __init__(self, flat: Flat, keep: float, rescale: bool, seed: int) -> None:
        super().__init__(flat, keep, rescale, seed)
        self.mean = Mean(flat)

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean where it is kept, 0 elsewhere."""
        gradient = self.mean(parts, None).vector(self.flat)
        assert gradient is not None
        drawn = torch.rand(self.flat.size, device=gradient.device, generator=self.drawing(gradient.device))
        live = gradient != 0
        kept = live & (drawn < self.keep)
        masked = gradient * kept
        stats = {"kept": kept.sum() / live.sum().clamp(min=1)}
        return Merged(rescaled(masked, kept, live, self.flat) if self.rescale else masked, stats)


class RandomParts(RandomMask):
    """Leaves parts out.  2 P numbers."""

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean of what is kept."""
        drawing = self.drawing("cpu")
        kept: list[Tensor] = []
        weights: list[Tensor] = []
        total: Tensor | None = None
        for part in parts:
            weights.append(part.weight)
            if float(torch.rand((), generator=drawing)) < self.keep:
                kept.append(part.weight)
                own = part.gradient * part.weight
                total = own if total is None else total + own
        stats = {"kept": len(kept) / len(weights), "skipped": float(not kept)}
        if total is None:
            return Merged(None, stats)
        return Merged(total / torch.stack(kept if self.rescale else weights).sum(), stats)


UNITS: dict[str, type[RandomMask]] = {"coordinate": RandomCoordinates, "part": RandomParts}


class RandomMaskConfig(AggregatorConfig):
    """The mean of what is kept by lot: the control of rules that ask for agreement."""

    keep: float = Field(0.5, gt=0, le=1)
    """Probability to be kept; give it the share that the rule beside it keeps."""
    unit: Literal["coordinate", "part"] = "coordinate"
    """Keep or drop single coordinates, or whole parts."""
    rescale: bool = True
    """Let what is kept make up for what is not."""
    seed: int = Field(0, ge=0)
    """Which lots are drawn."""

    def build(self, flat: Flat) -> RandomMask:
        """The rule."""
        return UNITS[self.unit](flat, self.keep, self.rescale, self.seed)
