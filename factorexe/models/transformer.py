"""A plain decoder: every block has weights of its own and is applied once.

The baseline that every looped model is compared with::

    factorexe fit --task multiplication --model transformer --model.layers 2 --model.width 128

Causal throughout, or with the prompt read in both directions (``--model.prompt bidirectional``; a prefix
language model, Raffel et al. 2020, arXiv:1910.10683, section 3.2.1).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from factorexe.models.base import Cache, Model, ModelConfig, Output
from factorexe.models.layers import Block, Context, Rotary, attention_mask


class TransformerConfig(ModelConfig):
    """A pre-norm decoder with weights of its own in every layer."""

    layers: int = Field(2, ge=1)
    """Blocks, each applied once."""
    width: int = Field(128, ge=2)
    """Width of the residual stream."""
    heads: int = Field(4, ge=1)
    """Attention heads; they divide the width into even parts."""
    hidden: int | None = Field(None, ge=1)
    """Width inside the perceptron; four times the width if not given."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on attention weights and on what each part adds."""
    positions: Literal["rotary", "learned", "none"] = "rotary"
    """How the model knows where a token stands."""
    prompt: Literal["causal", "bidirectional"] = "causal"
    """Whether the prompt is read from left to right or in both directions."""

    presets: ClassVar = {"default": {}, "tiny": {"model.width": 32, "model.heads": 2}}

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise ValueError(f"rotary positions need an even width per head (width {self.width}, heads {self.heads})")
        return self

    def build(self, vocabulary: int, max_length: int) -> Transformer:
        """The network."""
        return Transformer(self, vocabulary, max_length)


class Transformer(Model):
    """Token embedding, blocks, norm, readout."""

    def __init__(self, config: TransformerConfig, vocabulary: int, max_length: int) -> None:
        super().__init__()
        self.config, self.max_length = config, max_length
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.position = nn.Embedding(max_length, config.width) if config.positions == "learned" else None
        self.rotary = Rotary(config.width // config.heads, max_length) if config.positions == "rotary" else None
        hidden = config.hidden or 4 * config.width
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, hidden, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(config.width, eps=1e-6)
        self.head = nn.Linear(config.width, vocabulary, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.02)
        if self.position is not None:
            nn.init.normal_(self.position.weight, std=0.02)
        for block in self.blocks:
            assert isinstance(block, Block)
            block.initialise(depth=len(self.blocks))
        nn.init.normal_(self.head.weight, std=self.config.width**-0.5)

    def embed(self, tokens: Tensor, values: Tensor | None = None) -> Tensor:
        """(B, T, D)."""
        x: Tensor = self.embedding(tokens)
        return x if values is None else x * values.unsqueeze(-1)

    def forward(
        self,
        tokens: Tensor,
        *,
        embeddings: Tensor | None = None,
        values: Tensor | None = None,
        positions: Tensor | None = None,
        places: Tensor | None = None,
        prompt_length: Tensor | None = None,
        steps: int | Tensor | None = None,
        cache: Cache | None = None,
    ) -> Output:
        """One state per position.  ``places`` are not used.

        Raises:
            ValueError: ``steps`` is given, or the sequence is longer than the model was built for.
        """
        if steps is not None:
            raise ValueError("transformer applies each block once: steps cannot be set; use a looped model")
        batch, length = tokens.shape
        held = cache.length if cache is not None else 0
        if positions is None:
            positions = torch.arange(held, held + length, device=tokens.device)
            furthest = held + length
        else:
            furthest = int(positions.max()) + 1
        if self.config.positions != "none" and furthest > self.max_length:
            raise ValueError(f"{furthest} positions; this model was built for at most {self.max_length}")
        x = self.embed(tokens, values) if embeddings is None else embeddings
        if self.position is not None:
            x = x + self.position(positions)
        opened = prompt_length if self.config.prompt == "bidirectional" and held == 0 else None
        mask = attention_mask(tokens, opened, cache)
        turn = self.rotary(positions) if self.rotary is not None else None
        context = Context(turn, mask, cache)
        for slot, block in enumerate(self.blocks):
            x = block(x, context, slot)
        one = x.new_ones(())
        return Output(
            states=x.unsqueeze(0),
            weight=one.expand(1, batch, length),
            compute=(one * len(self.blocks)).expand(batch, length),
            penalty=x.new_zeros(()).expand(batch, length),
            regulariser=x.new_zeros(()),
        )

    def readout(self, states: Tensor) -> Tensor:
        """(..., D) to (..., V)."""
        logits: Tensor = self.head(self.norm(states))
        return logits
