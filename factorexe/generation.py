"""Decode answers: continue a batch of prompts greedily until every row has ended.

Prompts are right-aligned, so all rows continue at the same column; the cache holds keys and values of what
was processed, so each new token costs one position.  Rows that have ended leave the batch once they are half
of it::

    generated = generate(model, layout.prompts(examples), limit=layout.limit([3]), end=layout.end_mark)
    generated.tokens      # (B, L) with the end mark, then 0
    generated.compute     # (B,) block applications spent on each problem
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from factorexe.layout import Batch
from factorexe.models.base import Cache, Model, Output


class Generated(NamedTuple):
    """What a model wrote after each prompt."""

    tokens: Tensor  # (B, L) up to and including the end mark, then 0
    compute: Tensor  # (B,) block applications over all positions processed, the prompt's included


@torch.no_grad()
def generate(model: Model, prompts: Batch, *, limit: int, end: int, cached: bool = True) -> Generated:
    """Continue every prompt greedily for at most ``limit`` tokens.

    Args:
        end: the token after which a row has ended.
        cached: whether keys and values are kept; without, every token reprocesses its whole row, which is
            slow and serves to verify the cache.
    """
    batch = len(prompts)
    tokens = torch.zeros((batch, limit), dtype=torch.long, device=prompts.tokens.device)
    compute = torch.zeros(batch, device=prompts.tokens.device)
    going = torch.arange(batch, device=prompts.tokens.device)  # rows of the batch still being processed
    done = torch.zeros(batch, dtype=torch.bool, device=prompts.tokens.device)  # among ``going``
    sequence, positions, given = prompts.tokens, prompts.positions, prompts.prompt_length
    cache = Cache() if cached else None
    output = model(sequence, positions=positions, prompt_length=given, cache=cache)
    spent = (output.compute * (sequence != 0)).sum(dim=1)
    for column in range(limit):
        compute[going[~done]] += spent[~done]
        following = best_token(model, output)
        tokens[going[~done], column] = following[~done]
        done = done | (following == end)
        remaining = int((~done).sum())
        if not remaining or column + 1 == limit:
            break
        if 2 * remaining <= len(done):
            rows = (~done).nonzero()[:, 0]
            going, done, given, following = going[rows], done[rows], given[rows], following[rows]
            sequence, positions = sequence[rows], positions[rows] if positions is not None else None
            if cache is not None:
                cache.select(rows)
        place = (given + column)[:, None]
        if cache is not None:
            output = model(following[:, None], positions=place, cache=cache)
            spent = output.compute[:, 0]
        else:
            sequence = torch.cat([sequence, following[:, None]], dim=1)
            positions = torch.cat([positions, place], dim=1) if positions is not None else None
            output = model(sequence, positions=positions, prompt_length=given)
            spent = output.compute[:, -1]
    return Generated(tokens, compute)


def best_token(model: Model, output: Output) -> Tensor:
    """The likeliest next token (B,) under the weighted mixture of the last position's states; never padding."""
    logits = model.readout(output.states[:, :, -1])  # (S, B, V)
    weight = output.weight[:, :, -1, None]
    scores = logits[0] if len(logits) == 1 else (weight * logits.softmax(dim=-1)).sum(dim=0)
    return scores[:, 1:].argmax(dim=-1) + 1
