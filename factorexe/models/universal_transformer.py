"""A decoder that applies one shared group of blocks again and again (Dehghani et al. 2019, arXiv:1807.03819).

Between an optional prelude and an optional coda, whose blocks are applied once, a group of ``layers`` blocks
is applied ``steps`` times.  With e the embedded input after the prelude, step t = 1, 2, ... is::

    z[t] = norm(group(inject(z[t-1], e) + signal[t]))

    factorexe fit --task multiplication --model universal-transformer --model.layers 2 --model.steps 4

``injection`` says how the input stays in sight: ``add`` is z + e from z[0] = 0 (Yang et al. 2024,
arXiv:2311.12424), ``concat`` a linear map of z and e side by side (Geiping et al. 2025, arXiv:2502.05171), and
``none`` begins with z[0] = e.  ``signal`` tells a step which one it is.  So one step without a signal is one
plain transformer layer.

``sharing`` says which block of the group comes when in the unrolled depth (Takase & Kiyono 2021,
arXiv:2104.06022, section 3); with 3 blocks and 2 steps::

    cycle 1 2 3 1 2 3        sequence 1 1 2 2 3 3        cycle-reversed 1 2 3 3 2 1

Halting, depth and the rest of a loop are described in ``looped``.  ``steps`` may be overridden in a forward pass,
beyond training and for each row; a row that has taken its steps counts as halted.

With ``states: 2`` a step is a recursion of two states, the one that is read out and one to reason with (HRM, Wang et
al. 2025, arXiv:2506.21734; as one network, TRM, Jolicoeur-Martineau 2025, arXiv:2510.04871, section 4)::

    low  <- norm(group(low + z + e))       low_steps times
    z    <- norm(group(low + z))

Those train it with ``--model.halting deep-supervision --model.halting.detach true``: a loss at every step, no gradient
from one step to the one before.  Theirs makes an update of the weights after each step and carries the state over; ours
makes one update for all of them.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from factorexe.models.halting.fixed import FixedConfig
from factorexe.models.layers import Context
from factorexe.models.loop import State
from factorexe.models.looped import Looped, LoopedConfig


class UniversalTransformerConfig(LoopedConfig):
    """A pre-norm decoder that applies one shared group of blocks several times."""

    injection: Literal["add", "concat", "none"] = "add"
    """How each step sees the input again."""
    sharing: Literal["cycle", "sequence", "cycle-reversed"] = "cycle"
    """Order of the shared blocks over the unrolled depth."""
    states: int = Field(1, ge=1, le=2)
    """States that a step works on; the second is for reasoning and is never read out."""
    low_steps: int = Field(2, ge=1)
    """With two states, updates of the second in each step."""

    paper: ClassVar[str] = "Dehghani et al. 2019, arXiv:1807.03819"
    presets: ClassVar = {"default": {}, "tiny": {"model.width": 32, "model.heads": 2}}

    @model_validator(mode="after")
    def _order_of_blocks_is_one(self) -> UniversalTransformerConfig:
        if self.sharing != "cycle" and (not isinstance(self.halting, FixedConfig) or self.states > 1):
            raise ValueError(
                f"sharing {self.sharing} orders blocks by the number of steps; with halting or two states use cycle"
            )
        if self.states > 1 and self.injection != "add":
            raise ValueError(f"states 2 adds the input in every step: injection has to be add (got {self.injection})")
        return self

    @property
    def reads_input_once(self) -> bool:
        """Without injection."""
        return self.injection == "none"

    def build(self, vocabulary: int, max_length: int) -> UniversalTransformer:
        """The network."""
        return UniversalTransformer(self, vocabulary, max_length)


class UniversalTransformer(Looped):
    """Token embedding, prelude, looped group, coda, norm, readout."""

    config: UniversalTransformerConfig
    same_arithmetic: ClassVar[bool] = True

    def __init__(self, config: UniversalTransformerConfig, vocabulary: int, max_length: int) -> None:
        super().__init__(config, vocabulary, max_length)
        width = config.width
        self.adapter = nn.Linear(2 * width, width, bias=False) if config.injection == "concat" else None
        if self.adapter is not None:  # begins as ``add``
            with torch.no_grad():
                self.adapter.weight.copy_(torch.eye(width).repeat(1, 2))

    @property
    def group_passes(self) -> int:  # type: ignore[override]
        """One for each update of a state."""
        return 1 if self.config.states == 1 else self.config.low_steps + 1

    def start(self, entry: Tensor) -> State:
        """Nothing, or the input itself where no step sees it again."""
        if self.config.injection == "none":
            return State(self.noisy(entry))
        zero = torch.zeros_like(entry)
        return State(self.noisy(zero), zero if self.config.states == 2 else None)

    def advance(self, state: State, entry: Tensor, step: int, limit: int | Tensor, context: Context) -> State:
        """One step."""
        signal = self.signal(step, limit, entry)
        if state.low is None:
            fresh = self._injected(state.high, entry, step)
            return State(self._group(fresh if signal is None else fresh + signal, step, 0, limit, context))
        low = state.low
        seen = entry if signal is None else entry + signal
        for update in range(self.config.low_steps):
            low = self._group(low + state.high + seen, step, update, limit, context)
        return State(self._group(low + state.high, step, self.config.low_steps, limit, context), low)

    def _group(self, x: Tensor, step: int, update: int, limit: int | Tensor, context: Context) -> Tensor:
        """The shared blocks in their order, and the norm."""
        layers = len(self.blocks)
        order = self.order(limit) if isinstance(limit, int) else None
        for layer in range(layers):
            block = self.blocks[layer if order is None else order[step * layers + layer]]
            x = block(x, context, (step, update * layers + layer))
        normed: Tensor = self.loop_norm(x)
        return normed

    def order(self, steps: int) -> list[int]:
        """Which shared block is applied at each place of the unrolled loop."""
        layers = len(self.blocks)
        if self.config.sharing == "sequence":
            return [at // steps for at in range(layers * steps)]
        order = list(range(layers)) * steps
        if self.config.sharing == "cycle-reversed":
            order[-layers:] = reversed(range(layers))
        return order

    def applications(self, steps: int | Tensor | None) -> int | Tensor:
        """Blocks of prelude, loop and coda.

        Raises:
            ValueError: as for every loop, or a number for each row where the order of the blocks depends on it.
        """
        if isinstance(steps, Tensor) and self.config.sharing != "cycle":
            raise ValueError(f"steps for each row need model.sharing cycle (got {self.config.sharing})")
        return super().applications(steps)

    def _injected(self, state: Tensor, entry: Tensor, step: int) -> Tensor:
        """What a step begins with."""
        if self.adapter is not None:
            adapted: Tensor = self.adapter(torch.cat([state, entry], dim=-1)).to(entry.dtype)
            return adapted
        if self.config.injection == "none":
            return state
        return state + entry if step or self.config.start_noise else entry
