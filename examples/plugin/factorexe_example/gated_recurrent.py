"""A recurrence whose gates see the input alone.

Each layer keeps a state h and, at every token, forgets a part z of it in favour of a candidate c, both linear
in the input x (minGRU, Feng et al. 2024, arXiv:2410.01201, section 3.1)::

    h[t] = (1 - z[t]) * h[t-1] + z[t] * c[t]        z = 1/2, c = 4, 8 from h = 0:   h = 2, 5

A gated perceptron follows.  Nothing is looked up in the past: a token costs the same wherever it stands.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from factorexe.models.base import Cache, Model, ModelConfig, Output, one_state


class GatedRecurrentConfig(ModelConfig):
    """Layers of a gated recurrence and a gated perceptron."""

    layers: int = Field(2, ge=1)
    """Layers, each applied once."""
    width: int = Field(128, ge=1)
    """Width of the residual stream and of each layer's state."""

    presets: ClassVar = {"default": {}, "tiny": {"model.width": 32}}

    def build(self, vocabulary: int, max_length: int) -> GatedRecurrent:
        """The network; it takes sequences of any length."""
        return GatedRecurrent(self, vocabulary)


class GatedRecurrent(Model):
    """Token embedding, layers, norm, readout."""

    symbol_rows: ClassVar[tuple[str, ...]] = ("embedding.weight", "head.weight")

    def __init__(self, config: GatedRecurrentConfig, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config.width) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=1e-6)
        self.head = nn.Linear(config.width, vocabulary, bias=False)

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
        """One state per position.  ``positions``, ``places`` and ``prompt_length`` are not used.

        Raises:
            ValueError: ``steps`` is given.
        """
        if steps is not None:
            raise ValueError("gated-recurrent applies each layer once: steps cannot be set; use a looped model")
        x = self.embed(tokens, values) if embeddings is None else embeddings
        started = cache is not None and cache.length > 0
        real = torch.ones_like(tokens, dtype=torch.bool) if started else (tokens != 0).cumsum(dim=1) > 0
        for slot, layer in enumerate(self.layers):
            x = layer(x, real.unsqueeze(-1), cache, slot)
        return one_state(x, len(self.layers))

    def readout(self, states: Tensor) -> Tensor:
        """(..., D) to (..., V)."""
        logits: Tensor = self.head(self.norm(states))
        return logits


class Layer(nn.Module):
    """A recurrence and a gated perceptron, each added to the residual stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.mlp_norm = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.gates = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor, real: Tensor, cache: Cache | None, slot: int) -> Tensor:
        """(B, T, D) to (B, T, D); where not ``real`` (B, T, 1), before a row begins, the state stays 0."""
        forget, candidate = self.gates(self.norm(x)).to(x.dtype).chunk(2, dim=-1)
        forget = forget.sigmoid() * real
        keep, write = 1 - forget, forget * candidate
        state = torch.zeros_like(write[:, 0])
        if cache is not None:  # holds what was kept and written at every position, in place of keys and values
            keeps, writes = (past.squeeze(1) for past in cache.append(slot, keep.unsqueeze(1), write.unsqueeze(1)))
            held = keeps.shape[1] - keep.shape[1]
            state = _state_after(keeps[:, :held], writes[:, :held])
        states = []
        for kept, written in zip(keep.unbind(dim=1), write.unbind(dim=1), strict=True):
            state = kept * state + written
            states.append(state)
        x = x + self.out(torch.stack(states, dim=1))
        gate, value = self.up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * value)


def _state_after(keep: Tensor, write: Tensor) -> Tensor:
    """The state (B, D) after positions (B, T, D): what each wrote, times what all later ones kept of it."""
    later = keep.flip(1).cumprod(dim=1).flip(1)[:, 1:]
    return (write * torch.cat([later, torch.ones_like(keep[:, :1])], dim=1)).sum(dim=1)
