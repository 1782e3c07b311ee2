"""The parts of a transformer: positions, attention, block.

A block is pre-norm: ``x + attention(norm(x))``, then ``x + mlp(norm(x))`` (Xiong et al. 2020,
arXiv:2002.04745), with LayerNorm (Ba et al. 2016, arXiv:1607.06450), SiLU (Elfwing et al. 2018,
arXiv:1702.03118) and no biases.

Weights begin as N(0, 1/fan_in); what writes into the residual stream is smaller by ``sqrt(2 * depth)``,
``depth`` being the number of block applications (Radford et al. 2019, section 2.3).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from factorexe.models.active import Active, Rows
from factorexe.models.base import Cache
from factorexe.models.memory import Made, Memory


class Context(NamedTuple):
    """What every block of a forward pass shares."""

    turn: tuple[Tensor, Tensor] | None  # cosines and sines (B or none, T, 1, 1, head / 2); None: no rotary positions
    bias: Tensor | None  # (B or 1, 1, T, keys) added to scores: 0 where a query may look, else -inf; None: everywhere
    cache: Cache | None
    memory: Memory | None = None  # in a loop where tokens halt: what is seen of them
    going: Tensor | None = None  # (B, T) True where a token has not halted; None: none has, or ``active`` says
    active: Active | None = None  # the tokens that have not halted, where the others are left out
    soft: tuple[Tensor, Tensor] | None = None  # each token's output so far (..., D) and the weight left (..., 1)


class Rotary(nn.Module):
    """Rotary position embedding (Su et al. 2021, arXiv:2104.09864, eq. 34): neighbours turn as pairs.

    Two vectors at positions m and n meet in a product that depends on m - n alone.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, width: int, max_length: int, base: float = 10_000.0) -> None:
        super().__init__()
        frequencies = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.arange(max_length, dtype=torch.float64)[:, None] * frequencies
        self.register_buffer("cosines", angles.cos().float(), persistent=False)
        self.register_buffer("sines", angles.sin().float(), persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (..., T, 1, 1, width / 2) at ``positions`` (..., T)."""
        cosines, sines = self.cosines[positions], self.sines[positions]
        return cosines[..., None, None, :], sines[..., None, None, :]


def turned(vectors: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """``vectors`` (B, T, N, H, head) rotated by their positions, in single precision at least.

    As complex numbers, in one pass over memory where real ones take four.
    """
    exact = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    pairs = exact.view(*exact.shape[:-1], -1, 2)
    if torch.compiler.is_compiling():  # which knows no complex numbers, and fuses the passes anyway
        (cosines, sines), (left, right) = turn, pairs.unbind(dim=-1)
        there = torch.stack([left * cosines - right * sines, right * cosines + left * sines], dim=-1)
    else:
        there = torch.view_as_real(torch.view_as_complex(pairs) * torch.complex(*turn))
    return there.flatten(-2).to(vectors.dtype)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, context: Context, slot: Hashable, seen: Tensor | None = None) -> Tensor:
        """``slot`` names this application in the cache; keys and values are made of ``seen``, or of ``x``."""
        if context.memory is not None:
            return self._among_halted(x, context, slot, seen)
        batch, length, width = x.shape
        heads = self.project(x).view(batch, length, 3, self.heads, width // self.heads)
        asked, values = heads.split([2, 1], dim=2)
        if context.turn is not None:
            asked = turned(asked, context.turn)
        queries, keys = (part.transpose(1, 2) for part in asked.unbind(dim=2))  # (B, H, T, head) each
        values = values.squeeze(2).transpose(1, 2)
        if context.cache is not None:
            keys, values = context.cache.append(slot, keys, values)
        mixed = attend(queries, keys, values, context.bias, self.dropout if self.training else 0.0)
        added: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return added

    def _among_halted(self, x: Tensor, context: Context, slot: Any, seen: Tensor | None) -> Tensor:
        """The same in a loop: ``x`` holds all tokens (B, T, D), or (M, D) those that have not halted."""
        assert context.memory is not None
        active = context.active
        queries, made = self._projected(x, context, seen)
        keys, values, bias = context.memory.see(slot, made, context)
        rows = None if active is None else active.fetch
        queries = queries.transpose(1, 2) if active is None else active.pack(queries)
        mixed = attend(queries, keys, values, bias, self.dropout if self.training else 0.0, rows)
        added: Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape) if active is None else active.unpack(mixed))
        return added

    def _projected(self, x: Tensor, context: Context, seen: Tensor | None) -> tuple[Tensor, Made]:
        """Queries, and keys and values, (..., H, head) each, of ``x`` (..., D)."""
        width = x.shape[-1]
        if seen is None:
            heads = self.project(x)
        else:
            weight = self.project.weight
            heads = torch.cat([F.linear(x, weight[:width]), F.linear(seen, weight[width:])], dim=-1)
        asked, values = heads.view(*x.shape[:-1], 3, self.heads, width // self.heads).split([2, 1], dim=-3)
        if context.turn is not None:
            asked = turned(asked, context.turn)
        queries, keys = asked.unbind(dim=-3)
        return queries, (keys, values.squeeze(-3))

    def settled(self, seen: Tensor, context: Context, slot: Any) -> None:
        """The tokens of ``context.active`` have halted: from now on they show keys and values of ``seen`` (M, D)."""
        assert context.memory is not None
        context.memory.merged(slot[1], self._projected(seen, context, None)[1], context)


# On a CPU, torch's fused attention loses to plain products up to about this many keys: 64 x 4 heads x 43 tokens
# forward and backward, 2 cores: fp32 6.1 against 3.2 ms, bf16 17.8 against 1.7 ms; at 128 keys 21 against 21 and
# 40 against 8 ms; at 512 keys fused wins in fp32.
_FEW_KEYS = 128


def attend(
    queries: Tensor,
    keys: Tensor | Sequence[Tensor],
    values: Tensor | Sequence[Tensor],
    bias: Tensor | None,
    dropout: float,
    rows: Rows | None = None,
) -> Tensor:
    """Scaled dot-product attention (B, H, T, head) of queries (B, H, T, head) over keys (B, H, K, head).

    Keys and values may come in several pieces, which are then never put together; scores, which are, have no width.

    Args:
        rows: those of keys and values, where they have more rows than queries have; nothing passes a gradient then.
    """

    def of_rows(part: Tensor) -> Tensor:
        return part if rows is None else rows.fetched(part)

    scale = queries.shape[-1] ** -0.5
    if not isinstance(keys, Tensor) or not isinstance(values, Tensor):
        scaled = queries * scale
        scores = torch.cat([scaled @ of_rows(piece).transpose(-1, -2) for piece in keys], dim=-1)
        weights = _weights(scores, bias, dropout).to(values[0].dtype)
        parts = weights.split_with_sizes([piece.shape[2] for piece in values], dim=-1)
        return torch.stack([part @ of_rows(piece) for part, piece in zip(parts, values, strict=True)]).sum(dim=0)
    if queries.device.type != "cpu" or keys.shape[2] > _FEW_KEYS:
        bias = None if bias is None else bias.to(queries.dtype)
        keys, values = (part if rows is None else part.index_select(0, rows.index) for part in (keys, values))
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, dropout_p=dropout)
    scores = (queries * scale) @ of_rows(keys).transpose(-1, -2)
    mixed: Tensor = _weights(scores, bias, dropout).to(values.dtype) @ of_rows(values)
    return mixed


def _weights(scores: Tensor, bias: Tensor | None, dropout: float) -> Tensor:
    """What attention gives to each key, from scores (B, H, T, K) that may be overwritten."""
    if bias is not None:
        scores += bias
    weights = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return dropped(weights, dropout) if dropout else weights


def dropped(x: Tensor, rate: float) -> Tensor:
    """``x`` with a share of its entries 0 and the others scaled up (Srivastava et al. 2014).

    torch draws 64 random bits for each entry on a CPU, which took a fifth of a training step; 16 are enough.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, rate)
    quarter = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = quarter.view(torch.int16)[: x.numel()].view(x.shape)  # uniform over 2**16 numbers
    return x * ((bits >= round(rate * 2**16) - 2**15) * (1 / (1 - rate)))


class Dropout(nn.Module):
    """``dropped`` in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """As large as ``x`` on average."""
        return dropped(x, self.rate) if self.training and self.rate else x


def norm(width: int) -> nn.LayerNorm:
    """LayerNorm with a gain and no bias; forward and backward are one operation each on a CPU, which those of
    RMSNorm are not: 0.4 against 2.7 ms at (128, 43, 128)."""
    return nn.LayerNorm(width, eps=1e-6, bias=False)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to the residual stream."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = norm(width)
        self.attention = Attention(width, heads, dropout)
        self.mlp_norm = norm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden, bias=False), nn.SiLU(), nn.Linear(hidden, width, bias=False))
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, context: Context, slot: Hashable) -> Tensor:
        """(B, T, D) to (B, T, D); in a loop (M, D) to (M, D) where halted tokens are left out."""
        seen = None
        if context.soft is not None:
            output, left = context.soft
            seen = self.attention_norm(output + left * x)
        x = x + self.drop(self.attention(self.attention_norm(x), context, slot, seen))
        added: Tensor = self.drop(self.mlp(self.mlp_norm(x)))
        return x + added

    def settle(self, output: Tensor, context: Context, slot: Hashable) -> None:
        """The tokens of ``context.active`` have halted with ``output`` (M, D), which is what others see from now on."""
        self.attention.settled(self.attention_norm(output), context, slot)

    def initialise(self, depth: int) -> None:
        """Weights for a stack in which blocks are applied ``depth`` times in all."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        for last in (self.attention.out, self.mlp[-1]):
            assert isinstance(last, nn.Linear)
            with torch.no_grad():
                last.weight.mul_(1 / math.sqrt(2 * depth))


def attention_mask(tokens: Tensor, prompt_length: Tensor | None, cache: Cache | None) -> Tensor | None:
    """Who may look where (B or 1, 1, T, keys), or None where every query may look at every key.

    Padding on the right needs no mask: nothing real stands after it.  Padding on the left is hidden from all
    but itself.  ``prompt_length`` opens the prompt to itself in both directions.
    """
    length = tokens.shape[1]
    held = cache.length if cache is not None else 0
    padding = _left_padding(tokens) if held == 0 else None
    if held and cache is not None and cache.padding is not None:  # left padding may reach beyond the first chunk
        padding = cache.padding.all(dim=1, keepdim=True) & ((tokens != 0).cumsum(dim=1) == 0)
    if cache is not None:
        cache.append_padding(padding, tokens)
        padding = cache.padding
    if padding is None and prompt_length is None and length == 1:
        return None
    reach = torch.arange(held + length, device=tokens.device)
    query = reach[held:, None]
    mask = (reach <= query)[None]
    if prompt_length is not None:
        start = padding.sum(dim=1) if padding is not None else torch.zeros_like(prompt_length)
        mask = mask | (reach < (start + prompt_length)[:, None, None])
    if padding is not None:
        mask = (mask & ~padding[:, None, :]) | (reach == query)
    return mask[:, None]


def as_bias(mask: Tensor | None) -> Tensor | None:
    """What is added to scores so that a query sees nothing where ``mask`` is False."""
    if mask is None:
        return None
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, float("-inf"))


def _left_padding(tokens: Tensor) -> Tensor | None:
    """(B, T) True at the zeros before each row's first token; None if there are none."""
    if bool((tokens[:, 0] != 0).all()):
        return None
    return (tokens != 0).cumsum(dim=1) == 0
