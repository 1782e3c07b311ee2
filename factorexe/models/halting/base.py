"""What a halting policy is: after each step of a loop it says how much of the output this state is, and who stops.

A looped model makes states z[1], z[2], ... z[N] of every token.  After step n the policy looks at z[n] of the tokens
that are still going and decides.  The output of a token is built up as ``output = output + share * z[n]``, or, where
the policy *takes* a state, ``output = z[n]``.  With two steps, Graves' ACT that gives 0.3 to the first::

    n = 1    p = 0.3    share 0.3    halted False    output 0.3 z[1]
    n = 2    last       share 0.7    halted True     output 0.3 z[1] + 0.7 z[2]

A policy that is trained on the expected loss (PonderNet) keeps every state in training instead, weighted by share:
the model's output then has S = N states.  Policies look at one token at a time, so they hold for tokens in any
arrangement, which is what lets the model drop halted ones from its batch.  In training, where none is dropped, they may
compare the tokens of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from factorexe.choice import Options

if TYPE_CHECKING:
    import torch

    from factorexe.layout import Batch


class Look(NamedTuple):
    """What a policy sees after a step.  ``...`` is (B, T), always in training, or (M,) for M tokens in no arrangement,
    or (B,) where one position decides for its row."""

    step: int  # that was just made, counted from 1
    state: Tensor  # (..., D)
    limit: Tensor  # (...) steps the token may make at most; it must be halted at that one
    kept: Mapping[str, Tensor]  # what ``begin`` and the previous decision kept, (...) each
    luck: Tensor | None  # (...) a uniform number in [0, 1) for each token, the same at every step; see ``needs_luck``
    readout: Callable[[Tensor], Tensor]  # states (..., D) to logits (..., V)
    real: Tensor | None = None  # (B, T) False at padding, in training


class Decision(NamedTuple):
    """What is to happen with tokens that have made a step; (...) each, as in ``Look``."""

    share: Tensor  # weight of this state in the output; over a token's steps they sum to 1 unless it takes states
    halted: Tensor  # bool: the token makes no further step
    kept: Mapping[str, Tensor]  # for the next look
    price: Tensor | None = None  # what this step adds to the penalty
    take: Tensor | None = None  # bool: this state replaces the output so far; None: nowhere
    gate: Tensor | None = None  # how far the next step moves the state: old + gate * (new - old); None: all the way


class Halting(nn.Module):
    """A policy at work; an nn.Module since it may be learned.

    Class attributes:
        numbered_rows: parameters and buffers with one row for each step.
        needs_luck: whether decisions are drawn, in evaluation.  Luck is a function of the tokens up to the position,
            so a row has the same in any batch, with a cache or without.
        training_halts: whether tokens stop in training too; else all make every step there.
    """

    numbered_rows: ClassVar[tuple[str, ...]] = ()
    needs_luck: ClassVar[bool] = False
    training_halts: ClassVar[bool] = False

    @property
    def every_state(self) -> bool:
        """Whether the output keeps the state of every step, weighted by its share, in the present mode."""
        return False

    @property
    def detaches(self) -> bool:
        """Whether a step begins with a state that passes no gradient back, in training."""
        return False

    def prepare(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What has to be drawn for a training batch, (B, ...) each; ``begin`` is given it back."""
        return {}

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is kept of each token before its first step, of the shape (...) and type of ``like``.

        Args:
            drawn: what ``prepare`` drew, for the same tokens; empty in evaluation.
        """
        return {}

    def decide(self, look: Look) -> Decision:
        """What is to happen after a step."""
        raise NotImplementedError


class HaltingConfig(Options):
    """Options of a policy; ``build`` makes the working object.

    Class attributes:
        approximate_when_halting: whether the policy is trained with every token making every step, so that, deployed
            with tokens that stop (`others_see` frozen), the others see something else than in training.
        knows_steps: whether the policy has weights for each step of the loop, which then makes no more of them.
        paper: where it comes from ("Author et al. year, arXiv:id").
    """

    api_version: ClassVar[int] = 1
    paper: ClassVar[str] = ""
    approximate_when_halting: ClassVar[bool] = False
    knows_steps: ClassVar[bool] = False

    def build(self, width: int, steps: int) -> Halting:
        """The policy for states of ``width`` and a loop trained with ``steps`` steps."""
        raise NotImplementedError

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """Options that spend more or less compute at test time, and values worth trying, least compute first."""
        return {}


class AdaptiveConfig(HaltingConfig):
    """Options that policies share by which tokens stop at different steps."""

    halt: Literal["token", "sequence"] = "token"
    """Who decides: every token for itself, or the last position of the prompt for its whole row, answer included."""
    others_see: Literal["frozen", "soft", "running"] = "frozen"
    """What other tokens see of one that has halted: its keys and values of the last step it made (`frozen`), those of
    its output so far, with what is left of its weight on the present state (`soft`), or it goes on although its output
    is settled, which saves nothing (`running`)."""
