"""Decode answers: continue a batch of prompts, greedily or by sampling, until every row has ended.

Prompts are right-aligned, so all rows continue at the same column; the cache holds keys and values of what
was processed, so each new token costs one position.  Rows that have ended leave the batch once they are half
of it, and a batch whose cache would outgrow a bound is decoded in chunks::

    generated = generate(model, layout.prompts(examples), layout, limit=layout.limit([3]))
    generated.tokens      # (B, L) with the end mark, then 0
    generated.compute     # (B,) block applications spent on each problem

A *hook* sees every step before its token is chosen, and may change what happens::

    def no_nines(step):                       # a token that is never written
        banned = step.log_probability.clone()
        banned[:, NINE] = -math.inf
        return Change(log_probability=banned)

    generate(model, prompts, layout, limit=20, hook=no_nines)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from factorexe.layout import Batch, SequenceLayout
from factorexe.models.base import Cache, Model, Output

CACHE_BYTES = 512 * 2**20  # of keys and values at once; a batch that needs more is decoded in chunks


class Generated(NamedTuple):
    """What a model wrote after each prompt."""

    tokens: Tensor  # (B, L) up to and including the end mark, then 0
    values: Tensor | None  # (B, L) the numbers behind tokens, elsewhere 1; None: none has one
    log_probability: Tensor  # (B, L) of each token when it was chosen; 0 where it was forced, and after the end
    compute: Tensor  # (B,) block applications over all positions processed, the prompt's included


class Step(NamedTuple):
    """What a hook sees.  R rows are still being processed, those that have just ended among them."""

    column: int  # tokens written so far
    rows: Tensor  # (R,) which rows of the prompts these are
    sequence: Tensor  # (R, T) the right-aligned prompts, and what was written
    states: Tensor  # (S, R, D) of the last position
    weight: Tensor  # (S, R) of each state
    log_probability: Tensor  # (R, V) of the next token; never padding
    cache: Cache | None  # of these rows; None where decoding is uncached


class Change(NamedTuple):
    """What a hook wants otherwise; None leaves it as it is."""

    log_probability: Tensor | None = None  # (R, V) in place of the model's; need not be normalised
    tokens: Tensor | None = None  # (R,) to be written, whatever is likely; 0 leaves the choice
    values: Tensor | None = None  # (R,) the numbers behind the tokens
    embeddings: Tensor | None = None  # (R, D) fed in place of the chosen token's
    rows: Tensor | None = None  # (R,) row i goes on as row rows[i] stands, which may be taken several times


Hook = Callable[[Step], Change | None]


@torch.no_grad()
def generate(
    model: Model,
    prompts: Batch,
    layout: SequenceLayout,
    *,
    limit: int,
    steps: int | Tensor | None = None,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    hook: Hook | None = None,
    cached: bool = True,
    cache_bytes: int = CACHE_BYTES,
) -> Generated:
    """Continue every prompt for at most ``limit`` tokens, or to the layout's end mark.

    Args:
        steps: depth of a looped model, per row if a tensor (B,).
        temperature: of sampling; 0 takes the likeliest token.
        generator: of the samples.
        hook: called before each token is chosen.
        cached: whether keys and values are kept; without, every token reprocesses its whole row, which is
            slow and serves to verify the cache.
        cache_bytes: bound on keys and values held at once, for models that say what they need.
    """
    size = _rows_within(model, prompts, steps, limit, cache_bytes) if cached else len(prompts)
    parts = []
    for start in range(0, len(prompts), size):
        rows = torch.arange(start, min(start + size, len(prompts)), device=prompts.tokens.device)
        chunk = prompts if size >= len(prompts) else prompts.select(rows)
        depth = steps[rows] if isinstance(steps, Tensor) else steps
        writing = _Writing(model, chunk, layout, rows, depth, limit, cached)
        parts.append(writing.to_the_end(limit, temperature, generator, hook))
    values = [part.values if part.values is not None else torch.ones_like(part.log_probability) for part in parts]
    return Generated(
        torch.cat([part.tokens for part in parts]),
        torch.cat(values) if any(part.values is not None for part in parts) else None,
        torch.cat([part.log_probability for part in parts]),
        torch.cat([part.compute for part in parts]),
    )


def log_probability(model: Model, output: Output) -> Tensor:
    """(R, V) of the next token under the weighted mixture of the last position's states; never padding."""
    return mixture(model, output.states[:, :, -1], output.weight[:, :, -1])


def mixture(model: Model, states: Tensor, weight: Tensor) -> Tensor:
    """Log-probabilities (..., V) under states (S, ..., D) weighted by (S, ...); never padding."""
    logits = model.readout(states).float()
    padding = torch.zeros(1, dtype=torch.long, device=logits.device)
    each = logits.index_fill(-1, padding, -torch.inf).log_softmax(dim=-1)
    return each[0] if len(each) == 1 else (weight.unsqueeze(-1).float().log() + each).logsumexp(dim=0)


def _rows_within(model: Model, prompts: Batch, steps: int | Tensor | None, limit: int, most: int) -> int:
    """Rows whose keys and values stay within ``most`` bytes, one at least."""
    deepest = int(steps.max()) if isinstance(steps, Tensor) else steps
    row = model.cached_bytes(deepest) * (prompts.tokens.shape[1] + limit)
    return max(1, most // row) if row else len(prompts)


@dataclasses.dataclass
class _Rows:
    """The rows that have not left, and what the next token of each needs.  R rows, T tokens so far."""

    number: Tensor  # (R,) which rows of the chunk
    done: Tensor  # (R,) whether the row has ended
    sequence: Tensor  # (R, T)
    given: Tensor  # (R,) tokens of the prompt
    positions: Tensor | None  # (R, T), this and the next three kept up to date only without a cache
    places: Tensor | None  # (R, T)
    values: Tensor | None  # (R, T) where tokens have numbers behind them
    embeddings: Tensor | None  # (R, T, D) once a hook has fed one
    steps: int | Tensor | None

    def take(self, rows: Tensor, cache: Cache | None) -> None:
        """Keep, reorder or repeat rows."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                setattr(self, field.name, value[rows])
        if cache is not None:
            cache.select(rows)


class _Writing:
    """One chunk of prompts being continued."""

    def __init__(
        self,
        model: Model,
        prompts: Batch,
        layout: SequenceLayout,
        names: Tensor,
        steps: int | Tensor | None,
        limit: int,
        cached: bool,
    ) -> None:
        self.model, self.layout, self.names, self.end = model, layout, names, layout.end_mark
        count, width = prompts.tokens.shape
        device = prompts.tokens.device
        self.tokens = torch.zeros((count, limit), dtype=torch.long, device=device)
        self.scores = torch.zeros((count, limit), device=device)
        self.values: Tensor | None = None
        self.compute = torch.zeros(count, device=device)
        self.cache = Cache(room=width + limit) if cached else None
        everyone = torch.arange(count, device=device)
        self.rows = _Rows(
            everyone,
            torch.zeros(count, dtype=torch.bool, device=device),
            prompts.tokens,
            prompts.prompt_length,
            prompts.positions,
            prompts.places,
            prompts.values,
            None,
            steps,
        )

    def to_the_end(
        self, limit: int, temperature: float, generator: torch.Generator | None, hook: Hook | None
    ) -> Generated:
        """Write token after token."""
        rows = self.rows
        output = self._read_all()
        spent = (output.compute * (rows.sequence != 0)).sum(dim=1)
        for column in range(limit):
            self.compute[rows.number[~rows.done]] += spent[~rows.done]
            scores = log_probability(self.model, output)
            change = self._asked(hook, column, output, scores)
            if change.rows is not None:
                self._taken(change.rows)
            following, score = _chosen(scores, change, temperature, generator)
            value, embedding = self._numbers(output, following, change), change.embeddings
            self._write(column, following, score, value)
            remaining = int((~rows.done).sum())
            if not remaining or column + 1 == limit:
                break
            if 2 * remaining <= len(rows.done):
                kept = (~rows.done).nonzero()[:, 0]
                rows.take(kept, self.cache)
                following = following[kept]
                value, embedding = (None if part is None else part[kept] for part in (value, embedding))
            output = self._read_next(column, following, value, embedding)
            spent = output.compute[:, -1]
        return Generated(self.tokens, self.values, self.scores, self.compute)

    def _asked(self, hook: Hook | None, column: int, output: Output, scores: Tensor) -> Change:
        """What the hook wants."""
        if hook is None:
            return Change()
        rows, last = self.rows, (slice(None), slice(None), -1)
        names, states, weight = self.names[rows.number], output.states[last], output.weight[last]
        return hook(Step(column, names, rows.sequence, states, weight, scores, self.cache)) or Change()

    def _taken(self, chosen: Tensor) -> None:
        """Every row goes on as another stands: what was written, and everything the next token needs."""
        rows = self.rows
        if len(chosen) != len(rows.number):
            raise ValueError(
                f"a hook that selects rows gives one for each of the {len(rows.number)} (got {len(chosen)})"
            )
        number, source = rows.number, rows.number[chosen]
        for kept in (self.tokens, self.scores, self.compute, self.values):
            if kept is not None:
                kept[number] = kept[source]
        rows.take(chosen, self.cache)
        rows.number = number

    def _numbers(self, output: Output, following: Tensor, change: Change) -> Tensor | None:
        """The numbers (R,) behind the tokens that were chosen; None where none can have one."""
        if not len(self.layout.numeric):
            return change.values
        numbers = change.values
        if numbers is None:
            weight = output.weight[:, :, -1]
            numbers = (weight * self.model.number(output.states[:, :, -1]).float()).sum(dim=0)
            numbers = numbers if change.rows is None else numbers[change.rows]
        return torch.where(torch.isin(following, self.layout.numeric.to(following.device)), numbers, 1.0)

    def _write(self, column: int, following: Tensor, score: Tensor, values: Tensor | None) -> None:
        rows = self.rows
        going = ~rows.done
        number = rows.number[going]
        self.tokens[number, column] = following[going]
        self.scores[number, column] = score[going]
        if values is not None:
            self.values = torch.ones_like(self.scores) if self.values is None else self.values
            self.values[number, column] = values[going].to(self.values)
        rows.done = rows.done | (following == self.end)

    def _read_all(self) -> Output:
        """States of every token so far."""
        rows = self.rows
        output: Output = self.model(
            rows.sequence,
            embeddings=rows.embeddings,
            values=rows.values,
            positions=rows.positions,
            places=rows.places,
            prompt_length=rows.given,
            steps=rows.steps,
            cache=self.cache,
        )
        return output

    def _read_next(self, column: int, following: Tensor, value: Tensor | None, embedding: Tensor | None) -> Output:
        """States after one more token; without a cache all are read again."""
        rows = self.rows
        if self.cache is None and value is not None and rows.values is None:
            rows.values = torch.ones_like(rows.sequence, dtype=value.dtype)
        if self.cache is None and embedding is not None and rows.embeddings is None:
            rows.embeddings = self.model.embed(rows.sequence, rows.values)
        rows.sequence = torch.cat([rows.sequence, following[:, None]], dim=1)
        position = (rows.given + column)[:, None]
        place = self.layout.following_places(rows.sequence, rows.given)
        values = None if value is None else value[:, None]
        fed = None if embedding is None else embedding[:, None]
        if self.cache is not None:
            output: Output = self.model(
                following[:, None],
                embeddings=fed,
                values=values,
                positions=position,
                places=place,
                steps=rows.steps,
                cache=self.cache,
            )
            return output
        rows.positions = None if rows.positions is None else torch.cat([rows.positions, position], dim=1)
        rows.places = None if rows.places is None or place is None else torch.cat([rows.places, place], dim=1)
        if rows.values is not None:
            one = values if values is not None else torch.ones_like(rows.values[:, :1])
            rows.values = torch.cat([rows.values, one], dim=1)
        if rows.embeddings is not None:
            new = self.model.embed(following[:, None], values) if fed is None else fed
            rows.embeddings = torch.cat([rows.embeddings, new], dim=1)
        return self._read_all()


def _chosen(
    scores: Tensor, change: Change, temperature: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """The next token of each row and its log-probability, both (R,)."""
    if change.log_probability is not None:
        scores = change.log_probability.log_softmax(dim=-1)
    elif change.rows is not None:
        scores = scores[change.rows]
    if temperature > 0:
        scores = (scores / temperature).log_softmax(dim=-1)
        following = torch.multinomial(scores.exp(), 1, generator=generator)[:, 0]
    else:
        following = scores.argmax(dim=-1)
    score = scores.gather(1, following[:, None])[:, 0]
    if change.tokens is None:
        return following, score
    forced = change.tokens != 0
    return torch.where(forced, change.tokens, following), score.masked_fill(forced, 0.0)
