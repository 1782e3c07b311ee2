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

``steps`` may be overridden in a forward pass, beyond training and for each row: a row that has taken its steps
keeps its state, is charged for no more, and its keys and values of the last step are what it attends to.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from factorexe.models.decoder import Decoder, DecoderConfig
from factorexe.models.layers import Context, norm

_SIGNAL_STD = 0.02  # as large as the token embedding


class UniversalTransformerConfig(DecoderConfig):
    """A pre-norm decoder that applies one shared group of blocks several times."""

    layers: int = Field(1, ge=1)
    """Blocks in the shared group."""
    steps: int = Field(3, ge=1)
    """Times the group is applied."""
    prelude: int = Field(0, ge=0)
    """Blocks before the loop, each applied once."""
    coda: int = Field(0, ge=0)
    """Blocks after the loop, each applied once."""
    injection: Literal["add", "concat", "none"] = "add"
    """How each step sees the input again."""
    step_embedding: Literal["none", "learned", "sinusoidal", "remaining"] = "none"
    """What tells a step which one it is; `remaining` counts the steps that are left."""
    loop_norm: bool = True
    """Normalise the state after every step."""
    sharing: Literal["cycle", "sequence", "cycle-reversed"] = "cycle"
    """Order of the shared blocks over the unrolled depth."""

    presets: ClassVar = {"default": {}, "tiny": {"model.width": 32, "model.heads": 2}}

    def build(self, vocabulary: int, max_length: int) -> UniversalTransformer:
        """The network."""
        return UniversalTransformer(self, vocabulary, max_length)


class UniversalTransformer(Decoder):
    """Token embedding, prelude, looped group, coda, norm, readout."""

    config: UniversalTransformerConfig
    numbered_rows: ClassVar[tuple[str, ...]] = (*Decoder.numbered_rows, "step.weight")
    same_arithmetic: ClassVar[bool] = True

    def __init__(self, config: UniversalTransformerConfig, vocabulary: int, max_length: int) -> None:
        super().__init__(config, vocabulary, max_length)
        width = config.width
        self.prelude = nn.ModuleList(config.block() for _ in range(config.prelude))
        self.blocks = nn.ModuleList(config.block() for _ in range(config.layers))
        self.coda = nn.ModuleList(config.block() for _ in range(config.coda))
        self.loop_norm = norm(width) if config.loop_norm else nn.Identity()
        self.adapter = nn.Linear(2 * width, width, bias=False) if config.injection == "concat" else None
        if self.adapter is not None:  # begins as ``add``
            with torch.no_grad():
                self.adapter.weight.copy_(torch.eye(width).repeat(1, 2))
        rows = {"learned": config.steps, "remaining": 1}.get(config.step_embedding, 0)
        self.step = nn.Embedding(rows, width) if rows else None
        if self.step is not None:
            nn.init.normal_(self.step.weight, std=_SIGNAL_STD)
        depth = self.applications(config.steps)
        assert isinstance(depth, int)
        for block in (*self.prelude, *self.blocks, *self.coda):
            block.initialise(depth)

    def core(self, x: Tensor, context: Context, steps: int | Tensor | None) -> Tensor:
        """Prelude, loop, coda.  The coda's slots in the cache come before the loop's, whose number may change."""
        steps = self.config.steps if steps is None else steps
        ahead, behind = len(self.prelude), len(self.coda)
        for slot, block in enumerate(self.prelude):
            x = block(x, context, slot)
        state = x if self.config.injection == "none" else torch.zeros_like(x)
        total = int(steps.max()) if isinstance(steps, Tensor) else steps
        order, layers = self.order(total), len(self.blocks)
        for step in range(total):
            fresh = self._injected(state, x, step)
            if (signal := self._signal(step, steps, x)) is not None:
                fresh = fresh + signal
            for at in range(step * layers, (step + 1) * layers):
                fresh = self.blocks[order[at]](fresh, context, ahead + behind + at)
            fresh = self.loop_norm(fresh)
            state = torch.where((steps > step)[:, None, None], fresh, state) if isinstance(steps, Tensor) else fresh
        for slot, block in enumerate(self.coda):
            state = block(state, context, ahead + slot)
        return state

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
            ValueError: fewer steps than one, more than a learned step embedding knows, or a number for each row
                where the order of the blocks depends on it.
        """
        steps = self.config.steps if steps is None else steps
        least, most = (int(steps.min()), int(steps.max())) if isinstance(steps, Tensor) else (steps, steps)
        if least < 1:
            raise ValueError(f"steps must be at least 1 (got {least})")
        if self.config.step_embedding == "learned" and most > self.config.steps:
            raise ValueError(
                f"{most} steps; the learned step embedding of this model knows {self.config.steps} (model.steps)"
            )
        if isinstance(steps, Tensor) and self.config.sharing != "cycle":
            raise ValueError(f"steps for each row need model.sharing cycle (got {self.config.sharing})")
        return len(self.prelude) + len(self.blocks) * steps + len(self.coda)

    def _injected(self, state: Tensor, x: Tensor, step: int) -> Tensor:
        """What a step begins with."""
        if self.adapter is not None:
            adapted: Tensor = self.adapter(torch.cat([state, x], dim=-1)).to(x.dtype)
            return adapted
        if self.config.injection == "none":
            return state
        return state + x if step else x

    def _signal(self, step: int, steps: int | Tensor, x: Tensor) -> Tensor | None:
        """What is added to every position in this step, (D,) or (B, 1, D); counted from 0."""
        if self.step is None:
            return _sinusoid(step + 1, x) if self.config.step_embedding == "sinusoidal" else None
        if self.config.step_embedding == "learned":
            return self.step.weight[step]
        left = steps - 1 - step
        weight = self.step.weight[0]
        return left.clamp_min(0)[:, None, None] * weight if isinstance(left, Tensor) else left * weight


def _sinusoid(step: int, like: Tensor) -> Tensor:
    """The step's sines and cosines (D,), with wavelengths from 2 pi to 20,000 pi (Vaswani et al. 2017, section 3.5),
    as large as an embedding."""
    half = like.shape[-1] // 2
    rates = torch.exp(torch.arange(half, device=like.device) * (-math.log(10_000.0) / max(1, half)))
    waves = torch.cat([(step * rates).sin(), (step * rates).cos()])
    return (math.sqrt(2) * _SIGNAL_STD * nn.functional.pad(waves, (0, like.shape[-1] - len(waves)))).to(like.dtype)
