"""PonderNet: halting is a distribution over steps, trained on the expected loss (Banino et al. 2021, arXiv:2107.05407).

After step n a token that is still going halts with probability l[n] = sigmoid(w z[n] + b), and surely at its limit N.
So it halts at step n with probability p[n] = l[n] (1 - l[1]) ... (1 - l[n-1]), and these sum to one::

    l   0.5   0.5   1       p   0.5   0.25   0.25

In training every state is kept, S = N, weighted by p: the loss of a token is the sum of p[n] times the loss of state n.
The penalty is ``weight * KL(p || q)``, where q is the geometric distribution with parameter g = ``prior``, renormalised
over steps 1 to N: q[n] = g (1-g)^(n-1) / (1 - (1-g)^N).  With g = 0.5 and N = 3, q is 4/7, 2/7, 1/7, and
KL(p || q) = 0.040.  It is added up step by step in logarithms, so p[n] may underflow: it then adds 0, with finite
gradients.

``deploy`` says what becomes of p at test time:

- ``sample`` (the paper's): halts after step n with probability l[n].  With one uniform number u for each token, that is
  the first n with p[1] + ... + p[n] > u.
- ``threshold``: halts at the first n with p[1] + ... + p[n] >= ``threshold``.
- ``most-likely``: the state with the largest p, the first of several; halts when no later p can be larger.
- ``expected``: nobody halts; the prediction is the mean of the predictions of all steps, weighted by p as in training.

Every token makes every step in training, so deployed with tokens that halt, and are seen frozen by others, it is an
approximation; ``others_see: running`` is not.  Where tokens halt, KL(p || q) is not known, and the penalty is 0.

Unlike the paper: N is the depth of training, where the paper takes the first step at which the p so far exceed 0.95.
The gate begins at the prior; the paper's beginning is not known to us.  Prior 0.2 and weight 0.01 are the defaults of
public reimplementations; they were not compared with the paper's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from factorexe.models.halting.base import AdaptiveConfig, Decision, Halting, Look
from factorexe.models.halting.gate import Gate, exact


class PonderConfig(AdaptiveConfig):
    """Halting is a distribution over steps, trained on the expected loss."""

    paper: ClassVar[str] = "Banino et al. 2021, arXiv:2107.05407"
    approximate_when_halting: ClassVar[bool] = True

    prior: float = Field(0.2, gt=0, lt=1)
    """Parameter of the geometric prior over steps; its mean is 1 / prior where no limit cuts it."""
    weight: float = Field(0.01, ge=0)
    """Weight of the divergence from the prior in the loss."""
    deploy: Literal["sample", "threshold", "most-likely", "expected"] = "sample"
    """At test time: halt at random, when the probability of having halted reaches `threshold`, at the most likely step,
    or never, with the mean over all steps as prediction."""
    threshold: float = Field(0.9, gt=0, le=1)
    """Deployment `threshold`: probability of having halted that is enough."""

    def build(self, width: int, steps: int) -> Ponder:
        """The policy."""
        return _DEPLOYED[self.deploy](self, width)

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """The threshold, where one decides."""
        return {"threshold": (0.3, 0.5, 0.7, 0.9, 0.99, 0.999)} if self.deploy == "threshold" else {}


class Chances(NamedTuple):
    """A token's distribution as far as it is known, (...) each."""

    log_here: Tensor  # of halting after this very step
    log_left: Tensor  # of going on after it; at the limit meaningless, and finite
    last: Tensor  # bool: this step is the limit


class Ponder(Halting):
    """Keeps every state, in training and in evaluation (`expected`)."""

    def __init__(self, config: PonderConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.gate = Gate(width, math.log(config.prior / (1 - config.prior)))

    @property
    def every_state(self) -> bool:
        """Always."""
        return True

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``log_left`` (...): logarithm of the probability of still going."""
        return {"log_left": torch.zeros_like(like, dtype=exact(like))}

    def decide(self, look: Look) -> Decision:
        """Nobody halts before the limit; the price is the step's part of the divergence."""
        chances = self.chances(look)
        here = chances.log_here.exp()
        price = self.config.weight * here * (chances.log_here - self.log_prior(look))
        return Decision(here, chances.last, {**look.kept, "log_left": chances.log_left}, price)

    def chances(self, look: Look) -> Chances:
        """What the gate says after a step."""
        logit, before, last = self.gate(look.state), look.kept["log_left"], look.limit <= look.step
        log_here = before + torch.where(last, 0, F.logsigmoid(logit))
        return Chances(log_here, before + F.logsigmoid(-logit), last)

    def log_prior(self, look: Look) -> Tensor:
        """(...) of this step under the geometric distribution, renormalised over the steps up to the limit."""
        log_halt, log_go = math.log(self.config.prior), math.log1p(-self.config.prior)
        limit = look.limit.to(exact(look.state))
        return log_halt + (look.step - 1) * log_go - torch.log(-torch.expm1(limit * log_go))


class Deployed(Ponder):
    """Keeps every state in training; in evaluation tokens halt."""

    @property
    def every_state(self) -> bool:
        """In training."""
        return self.training

    def decide(self, look: Look) -> Decision:
        """In evaluation a token's output is the one state that was taken last."""
        if self.training:
            return super().decide(look)
        chances = self.chances(look)
        take, halted, kept = self.choose(look, chances)
        return Decision(
            share=take.to(look.state.dtype), halted=halted, kept={**kept, "log_left": chances.log_left}, take=take
        )

    def choose(self, look: Look, chances: Chances) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        """Whether (...) this state is taken, whether (...) the token halts, and what else is kept."""
        halted = chances.last | self.enough(look, chances)
        return halted, halted, {}

    def enough(self, look: Look, chances: Chances) -> Tensor:
        """Whether (...) a token halts after this step."""
        raise NotImplementedError


class Sampled(Deployed):
    """Halts at random."""

    needs_luck: ClassVar[bool] = True

    def enough(self, look: Look, chances: Chances) -> Tensor:
        """The first step at which the probability of having halted exceeds the token's luck."""
        assert look.luck is not None
        return chances.log_left.exp() < 1 - look.luck


class Reached(Deployed):
    """Halts when it would have halted with enough probability."""

    def enough(self, look: Look, chances: Chances) -> Tensor:
        """Whether no more than the rest is left."""
        return chances.log_left.exp() <= 1 - self.config.threshold


class MostLikely(Deployed):
    """Takes the state of the most likely step."""

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``log_best`` (...) too: logarithm of the largest probability so far."""
        kept = super().begin(like, drawn)
        return {**kept, "log_best": torch.full_like(kept["log_left"], -torch.inf)}

    def choose(self, look: Look, chances: Chances) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        """A later step has at most what is left, so none can win when the best so far has as much."""
        take = chances.log_here > look.kept["log_best"]
        best = torch.maximum(chances.log_here, look.kept["log_best"])
        return take, chances.last | (best >= chances.log_left), {"log_best": best}


_DEPLOYED: Mapping[str, type[Ponder]] = {
    "sample": Sampled,
    "threshold": Reached,
    "most-likely": MostLikely,
    "expected": Ponder,
}
