"""Confidence: at test time a token stops when its prediction has settled; training knows nothing of it.

The state of every step is read out.  Rule ``stable`` stops when the likeliest token has been repeated ``patience``
times in a row; rule ``certain`` when its probability is at least ``threshold``.  With four steps::

    likeliest      7       3       3       3
    probability    0.4     0.5     0.8     0.95
    stable, patience 1: after step 3        certain, threshold 0.9: after step 4

The output is the state at which the token stopped.  ``stable`` is the patience-based early exit of Zhou et al. 2020
(arXiv:2006.04152), with the model's one readout in place of a classifier for each layer; ``certain`` is a confidence
exit as in Schuster et al. 2022 (CALM, arXiv:2207.07061), by the largest probability, where theirs takes its distance
from the second.  Both papers train every exit, which is what ``deep-supervision`` does here; a model that was trained
on its last step alone may say nothing sensible before it.

It costs a readout for every step, which is not counted as compute: that is counted in block applications.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from factorexe.models.halting.base import AdaptiveConfig, Decision, Halting, Look
from factorexe.models.halting.fixed import latest
from factorexe.models.halting.gate import exact


class ConfidenceConfig(AdaptiveConfig):
    """At test time a token stops when its prediction is stable or certain; training is that of `fixed`."""

    paper: ClassVar[str] = "Schuster et al. 2022, arXiv:2207.07061"
    approximate_when_halting: ClassVar[bool] = True

    rule: Literal["stable", "certain"] = "stable"
    """Stop when the likeliest token stays the same (`stable`), or when it is likely enough (`certain`)."""
    patience: int = Field(1, ge=1)
    """Rule `stable`: steps in a row that must repeat the prediction."""
    threshold: float = Field(0.9, gt=0, le=1)
    """Rule `certain`: probability that is enough."""

    def build(self, width: int, steps: int) -> Confidence:
        """The policy."""
        return Stable(self.patience) if self.rule == "stable" else Certain(self.threshold)

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """The rule's own number."""
        if self.rule == "stable":
            return {"patience": (1, 2, 3, 4, 6, 8)}
        return {"threshold": (0.3, 0.5, 0.7, 0.9, 0.99, 0.999)}


class Confidence(Halting):
    """In training fixed; in evaluation a token stops where ``settled`` says so."""

    def decide(self, look: Look) -> Decision:
        """Takes each state as it comes, up to the one where the prediction has settled."""
        decision = latest(look)
        if self.training:
            return decision
        settled, kept = self.settled(look)
        return decision._replace(halted=decision.halted | settled, kept=kept)

    def settled(self, look: Look) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Whether (...) the prediction is good enough, and what is kept of it."""
        raise NotImplementedError


class Stable(Confidence):
    """The likeliest token has been repeated ``patience`` times in a row."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self.patience = patience

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The last prediction (...), none yet, and how often it has been repeated (...)."""
        nothing = torch.zeros_like(like, dtype=torch.long)
        return {"prediction": nothing - 1, "repeated": nothing}

    def settled(self, look: Look) -> tuple[Tensor, Mapping[str, Tensor]]:
        """A prediction that differs from the last starts anew."""
        prediction = look.readout(look.state).argmax(dim=-1)
        repeated = torch.where(prediction == look.kept["prediction"], look.kept["repeated"] + 1, 0)
        return repeated >= self.patience, {"prediction": prediction, "repeated": repeated}


class Certain(Confidence):
    """The likeliest token has at least the probability ``threshold``."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def settled(self, look: Look) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Nothing is kept."""
        logits = look.readout(look.state)
        return logits.to(exact(logits)).softmax(dim=-1).amax(dim=-1) >= self.threshold, {}
