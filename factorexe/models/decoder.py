"""What every decoder here shares: tokens and their positions go in, states come out of a core, logits of a readout.

A model adds its *core*, what happens between embedding and readout, and says how often a block is applied::

    class Transformer(Decoder):
        def core(self, x, context, reading): ...        # embedded tokens (B, T, D) to an Output
        def applications(self, steps): ...              # block applications per position, at most

Where a token stands is told in up to two ways.  ``positions`` count tokens: rotary, learned or none.
``places`` couple tokens that mean the same place, such as the digits of equal significance in different numbers
(position coupling, Cho et al. 2024, arXiv:2405.20671; Abacus, McLeish et al. 2024, arXiv:2405.17399)::

    1 2 * 3 4 <answer> 8 0 4 0        12 x 34 = 408, written with its last digit first
    3 2 0 3 2 1        2 3 4 5        ones are at place 2; place 1 is a mark that ones follow

In training every sequence is shifted by an offset of its own, so that the embeddings of places beyond the
trained range are trained too; in evaluation the offset is 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from factorexe.models.base import Cache, Model, ModelConfig, Output
from factorexe.models.layers import Block, Context, Rotary, as_bias, attention_mask, norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from factorexe.layout import Batch

_EMBEDDING_STD = 0.02


class Reading(NamedTuple):
    """What a core may want to know of a forward pass besides the embedded tokens."""

    tokens: Tensor  # (B, T)
    positions: Tensor  # (B or none, T)
    prompt_length: Tensor | None  # (B,)
    steps: int | Tensor | None  # as asked for
    drawn: Mapping[str, Tensor]  # what ``prepare`` drew, (B, ...) each


class DecoderConfig(ModelConfig):
    """Options of embedding, positions, blocks and readout."""

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
    places: bool = False
    """Embed each token's place too, as the task tells it (a digit's significance, the entry that a number names);
    shifted at random in training."""
    max_place: int = Field(64, ge=1)
    """Places that can be told apart, the random shift of training included."""
    prompt: Literal["causal", "bidirectional"] = "causal"
    """Whether the prompt is read from left to right or in both directions."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> DecoderConfig:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise ValueError(f"rotary positions need an even width per head (width {self.width}, heads {self.heads})")
        return self

    @property
    def reads_places(self) -> bool:
        """Whether batches have to hold places."""
        return self.places

    def block(self) -> Block:
        """One block of these options."""
        return Block(self.width, self.heads, self.hidden or 4 * self.width, self.dropout)


class Decoder(Model):
    """Token embedding, positions, a core, norm, readout."""

    symbol_rows: ClassVar[tuple[str, ...]] = ("embedding.weight", "head.weight")
    numbered_rows: ClassVar[tuple[str, ...]] = ("position.weight", "place.weight")

    def __init__(self, config: DecoderConfig, vocabulary: int, max_length: int) -> None:
        super().__init__()
        self.config, self.max_length = config, max_length
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.position = nn.Embedding(max_length, config.width) if config.positions == "learned" else None
        self.place = nn.Embedding(config.max_place + 1, config.width, padding_idx=0) if config.places else None
        self.rotary = Rotary(config.width // config.heads, max_length) if config.positions == "rotary" else None
        self.norm = norm(config.width)
        self.head = nn.Linear(config.width, vocabulary, bias=False)
        self._compiled: Callable[..., Output] | None = None
        for table in (self.embedding, self.position, self.place):
            if table is not None:
                nn.init.normal_(table.weight, std=_EMBEDDING_STD)
        if self.place is not None:
            with torch.no_grad():
                self.place.weight[0] = 0
        nn.init.normal_(self.head.weight, std=config.width**-0.5)

    def core(self, x: Tensor, context: Context, reading: Reading) -> Output:
        """States of embedded tokens (B, T, D), and what they cost."""
        raise NotImplementedError

    def applications(self, steps: int | Tensor | None) -> int | Tensor:
        """Blocks that are applied to each position at most; per row (B,) if ``steps`` is a tensor.

        Raises:
            ValueError: ``steps`` cannot be taken.
        """
        raise NotImplementedError

    def cached_bytes(self, steps: int | None) -> int:
        """A key and a value, as wide as the model, for every block application."""
        return 2 * self.config.width * self.head.weight.element_size() * int(self.applications(steps))

    def compile_core(self) -> None:
        """What happens between embedding and readout runs compiled in training."""
        self._compiled = torch.compile(self.core, dynamic=False)

    def prepare(self, batch: Batch, step: int, generator: torch.Generator | None) -> Batch:
        """The batch with the places of each row shifted by an offset drawn for it."""
        if batch.places is None:
            return batch
        most = batch.places.amax(dim=1)
        room = (self.config.max_place - most).clamp_min(0)
        offset = (torch.rand(len(most), generator=generator).to(most.device) * (room + 1)).long()
        return dataclasses.replace(batch, places=batch.places + offset[:, None] * (batch.places > 0))

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
        extra: Mapping[str, Tensor] | None = None,
    ) -> Output:
        """One state per position.

        Raises:
            ValueError: the sequence is longer than the model was built for, has a higher place than it knows, or
                ``steps`` cannot be taken.
        """
        self.applications(steps)
        length = tokens.shape[1]
        held = cache.length if cache is not None else 0
        if positions is None:
            positions = torch.arange(held, held + length, device=tokens.device)
            furthest = held + length
        else:
            furthest = int(positions.max()) + 1 if self.config.positions != "none" else 0
        if self.config.positions != "none" and furthest > self.max_length:
            raise ValueError(f"{furthest} positions; this model was built for at most {self.max_length}")
        x = self.embed(tokens, values) if embeddings is None else embeddings
        if self.position is not None:
            x = x + self.position(positions)
        if self.place is not None:
            x = x + self.place(self._within(places))
        opened = prompt_length if self.config.prompt == "bidirectional" and held == 0 else None
        bias = as_bias(attention_mask(tokens, opened, cache))
        turn = self.rotary(positions) if self.rotary is not None else None
        compiled = self._compiled if self.training and cache is None else None
        reading = Reading(tokens, positions, prompt_length, steps, extra or {})
        return (compiled or self.core)(x, Context(turn, bias, cache), reading)

    def _within(self, places: Tensor | None) -> Tensor:
        if places is None:
            raise ValueError("this model reads places; give those of every token")
        if (most := int(places.max())) > self.config.max_place:
            raise ValueError(f"place {most}; this model knows places up to {self.config.max_place} (model.max_place)")
        return places

    def readout(self, states: Tensor) -> Tensor:
        """(..., D) to (..., V)."""
        logits: Tensor = self.head(self.norm(states))
        return logits
