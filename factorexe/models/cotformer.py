"""A decoder that repeats blocks, each repeat seeing those before it (Mohtashami et al. 2023, arXiv:2310.10845).

A token of a chain of thought attends to every token before it.  So does a token here that is put through the same
blocks again: in repeat r it attends, in each of the shared blocks, to the keys and values that its predecessors and
itself had there in repeats 1 to r.  With two tokens, what the second attends to in the third repeat::

    block universal transformer    a3 b3
    CoTFormer                      a1 b1 a2 b2 a3 b3

With e the embedded input after the prelude, z[0] = e, and repeat r of R is::

    z[r] = norm(group(z[r-1] + (R - r) v))

``steps`` is R.  ``prelude`` and ``coda`` are the reserved first and last blocks, ``loop_norm`` is the norm that makes
it an LN-CoTFormer, and ``step_embedding remaining`` is v, the published ``linear_learned`` depth embedding.  A token
has one rotary position in all repeats.

The adaptive LN-CoTFormer, which sends some tokens through fewer repeats, is ``--model.halting mixture-of-repeats``;
every other policy halts tokens here as well.  A halted token adds nothing more; what it was in its repeats stays
visible::

    factorexe fit --task addition --model cotformer --model.halting mixture-of-repeats

Defaults are those of the published LN-CoTFormer (2 reserved blocks, 21 shared ones repeated 5 times, 1 reserved), as
small as they get with every part still there: 1, 1 and 1 blocks, and 5 repeats; with the depth embedding, which
published runs have and have not.  Blocks are those of every model here (SiLU and a readout of its own, where theirs
have GELU and a tied one), and begin smaller: by the unrolled depth, where theirs count every block once.  All this is
from the published code (github.com/epfml/CoTFormer, read, not run); of the paper only the abstract could be read.

Attention in R repeats takes R (R + 1) / 2 times the arithmetic of one, everything else R times.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from factorexe.models.layers import Context
from factorexe.models.loop import State
from factorexe.models.looped import Looped, LoopedConfig
from factorexe.models.repeats import Repeats


class CoTFormerConfig(LoopedConfig):
    """A pre-norm decoder that repeats one shared group of blocks, each repeat seeing those before it."""

    steps: int = Field(5, ge=1)
    """Repeats of the group."""
    prelude: int = Field(1, ge=0)
    """Reserved blocks before the repeats, each applied once."""
    coda: int = Field(1, ge=0)
    """Reserved blocks after the repeats, each applied once."""
    step_embedding: Literal["none", "learned", "sinusoidal", "remaining"] = "remaining"
    """What tells a repeat which one it is; `remaining` counts the repeats that are left."""

    paper: ClassVar[str] = "Mohtashami et al. 2023, arXiv:2310.10845"
    presets: ClassVar = {"default": {}, "tiny": {"model.width": 32, "model.heads": 2}}

    @model_validator(mode="after")
    def _every_repeat_counts(self) -> CoTFormerConfig:
        if getattr(self.halting, "others_see", None) == "soft":
            raise ValueError(
                "a CoTFormer keeps what tokens were in every repeat, which halting.others_see soft would replace: use"
                " frozen or running"
            )
        return self

    @property
    def reads_input_once(self) -> bool:
        """In the first repeat."""
        return True

    def build(self, vocabulary: int, max_length: int) -> CoTFormer:
        """The network."""
        return CoTFormer(self, vocabulary, max_length)


class CoTFormer(Looped):
    """Token embedding, prelude, repeated group, coda, norm, readout."""

    config: CoTFormerConfig
    same_arithmetic: ClassVar[bool] = True

    def memory(self, steps: int, *, halts: bool) -> Repeats:
        """Every repeat so far."""
        return Repeats(steps, halts=halts, detaches=self.policy.detaches)

    def start(self, entry: Tensor) -> State:
        """The input itself."""
        return State(self.noisy(entry))

    def advance(self, state: State, entry: Tensor, step: int, limit: int | Tensor, context: Context) -> State:
        """One repeat."""
        x, signal = state.high, self.signal(step, limit, entry)
        if signal is not None:
            x = x + signal
        for layer, block in enumerate(self.blocks):
            x = block(x, context, (step, layer))
        return State(self.loop_norm(x))
