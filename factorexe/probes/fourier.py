"""Whether a table of modular arithmetic is computed with a few waves, or remembered cell by cell.

The logits of all n x n cells are written as sums of waves over x and y (``coordinates``: the answer depends on
(x + y) mod n).  A model that has found the rule uses waves of x + y at a few frequencies k, cos(2 pi k (x + y) / n) and
the sine beside it; one that remembers its cells spreads over all n^2 of them.

After Nanda et al. 2023 (arXiv:2301.05217, section 5.1), whose wording was read in a transcript:

- *restricted loss*: all is set to 0 but the constant and the waves of x + y at the key frequencies; low once these
  alone compute the answer.  The paper names no split; here it is the mean over all cells.
- *excluded loss*: the waves of x + y at the key frequencies are taken away, all of them at once, everything else
  stays; on problems of training.  Remembered answers survive, so it rises as the rule takes over.
- *gini*: the Gini coefficient of the norms of all components but the constant; 0 where all are alike, near 1 where few
  are all there is.  The paper takes it of embedding and neuron-to-logit map; a logit table needs no part of a model to
  be named.

The paper's key frequencies have "nontrivial coefficients" in a trained model's weights (no threshold is given; it
found 3 to 5).  Here they are the ``count`` of greatest norm in the table at hand, and may change during training.
Logits are those of the residues, less their mean in each cell, on which no probability depends.

Worked example: n = 3, and the logit of c at (x, y) is 10 where c = x + y mod 3, else 0.  There are no waves but those
of x + y at k = 1, so without them nothing is left: excluded loss log 3, restricted loss log(1 + 2 e^-10).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Waves(NamedTuple):
    """What the waves of a table tell."""

    gini: Tensor  # ()
    share: Tensor  # () of the power of all components but the constant, what the key frequencies have
    excluded: Tensor  # () loss on the trained cells; NaN without any
    restricted: Tensor  # () loss on all cells
    frequencies: Tensor  # (count,) the key frequencies, strongest first


def waves(logits: Tensor, answers: Tensor, trained: Tensor, count: int) -> Waves:
    """Of one table.

    Args:
        logits: (n, n, C) of the C residues, n at least 3.
        answers: (n, n) the right residue.
        trained: (N,) cells, counted row by row, whose problems were trained on.
        count: key frequencies, of the n // 2 that there are.
    """
    n = len(logits)
    table = logits.double()
    table = table - table.mean(dim=-1, keepdim=True)
    components = torch.fft.fft2(table, dim=(0, 1), norm="ortho")  # (n, n, C)
    norms = components.abs().square().sum(dim=-1).sqrt()  # (n, n)
    shift = torch.arange(1, n // 2 + 1, device=logits.device)
    keys = 1 + norms[shift, shift].topk(min(count, n // 2)).indices
    kept = torch.zeros_like(norms, dtype=torch.bool)
    kept[keys, keys] = kept[n - keys, n - keys] = True
    key = torch.fft.ifft2(components * kept.unsqueeze(-1), dim=(0, 1), norm="ortho").real
    power = norms.square()
    every = power.sum() - power[0, 0]
    restricted = key + table.mean(dim=(0, 1))
    return Waves(
        gini(norms.flatten()[1:]),
        power[kept].sum() / every.clamp_min(torch.finfo(every.dtype).tiny),
        F.cross_entropy((table - key).flatten(0, 1)[trained], answers.flatten()[trained]),
        F.cross_entropy(restricted.flatten(0, 1), answers.flatten()),
        keys,
    )


def gini(values: Tensor) -> Tensor:
    """Gini coefficient () of non-negative numbers (N,): 0 for equal ones, 1 - 1/N for a single one among zeros
    (Hurley & Rickard 2009, arXiv:0811.4706); 0 where all are 0."""
    ordered = values.sort().values
    count = len(ordered)
    above = (count - torch.arange(1, count + 1, device=values.device) + 0.5) / count  # share of what is larger
    total = ordered.sum()
    return torch.where(total > 0, 1 - 2 * (ordered * above).sum() / total, total)
