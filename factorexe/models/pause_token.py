"""Time to think before answering: pauses are put between prompt and answer (Goyal et al. 2023, arXiv:2310.02226).

A pause is a learned embedding that says nothing.  Each is one more position that the model passes through before its
first answer token is read, and that later tokens attend to.  With ``pauses = 2``, what is given, and what the inner
model reads::

    1 2 + 3 4 <answer>                 4 6 <end>
    1 2 + 3 4 <answer> pause pause     4 6 <end>
                             ^ the state that answers "4"

Positions whose next token is a pause are ignored: the state of the last prompt token is that of the last pause, and
compute and penalty of pauses are added to those of the token that they follow.  So layouts, objectives and decoding
know nothing of them.  Position ids count the pauses.  They belong to the prompt: a model that reads prompts in both
directions reads them so, and what a row decides at the end of its prompt is decided at the last pause.

``random_pauses`` inserts more of them in training, anywhere, as Goyal et al. do in pretraining: each follows a token of
its row that is drawn uniformly, and the state of a token is that of the last pause after it.  Evaluation has none.
The share of pauses that they pretrained with could not be verified; none is the default here.

``kind`` says what stands there.  ``pause`` is one embedding for all, as published.  ``distinct`` gives each pause its
own.  ``filler`` is a token that is predicted too, as the dots of Pfau et al. 2024 (arXiv:2404.15758) where the loss is
that of everything after the prompt: it has an embedding, and a row of a readout beside the model's.  The cross-entropy
of every filler, over the vocabulary and the filler, is added to the penalty of the last prompt token, so that in the
sum over tokens a filler counts as much as one of the answer, while the mean is over those of the answer alone.
Fillers are always written, as many as there are, and are no candidate within the answer.  Pfau et al. found that
they need chains of thought among the training examples; those are for the objective to give.

The number of pauses holds no weights, so a finished run can be given another::

    factorexe validate RUN --model.pauses 8

but no more than there are if they are ``distinct``, and no other where the inner model learns a row for every position.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from factorexe.choice import Choice
from factorexe.models.base import Cache, Model, ModelConfig, Output
from factorexe.models.layers import norm
from factorexe.models.spread import Spread, at, start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from factorexe.layout import Batch

_EMBEDDING_STD = 0.02
_DRAWN = "pauses"  # in ``Batch.extra``: (B, T) random pauses after each token


class PauseTokenConfig(ModelConfig):
    """A sequence model that is given pauses between prompt and answer."""

    inner: Annotated[Any, Choice("models", "transformer")]
    """The model that reads the longer sequence."""
    pauses: int = Field(4, ge=0)
    """Pauses after the prompt."""
    kind: Literal["pause", "filler", "distinct"] = "pause"
    """What stands there: one embedding for all, a token that is predicted too, or an embedding for each."""
    max_pauses: int | None = Field(None, ge=1)
    """Embeddings of `distinct` pauses; as many as `pauses` in training if not given."""
    random_pauses: float = Field(0.0, ge=0, le=1)
    """Pauses inserted anywhere in training, as a share of the row's tokens."""

    paper: ClassVar[str] = "Goyal et al. 2023, arXiv:2310.02226"
    presets: ClassVar = {"default": {}, "tiny": {"model.inner.width": 32, "model.inner.heads": 2}}

    @model_validator(mode="before")
    @classmethod
    def _has_as_many_embeddings_as_pauses(cls, given: Any) -> Any:
        """Told once, so that a finished run with fewer pauses still has them all, and none with more."""
        if not isinstance(given, dict) or given.get("kind") != "distinct" or given.get("max_pauses") is not None:
            return given
        return {**given, "max_pauses": given.get("pauses", cls.model_fields["pauses"].default) or 1}

    @model_validator(mode="after")
    def _can_be_paused(self) -> PauseTokenConfig:
        if isinstance(self.inner, PauseTokenConfig):
            raise ValueError("inner is pause-token itself; name the model inside it, and give pauses once")
        if (layout := getattr(self.inner, "layout", "sequence")) != "sequence":
            raise ValueError(f"inner reads the layout {layout}; pauses need a model that reads the layout sequence")
        if self.max_pauses is not None and self.kind != "distinct":
            raise ValueError(f"max_pauses needs kind distinct (got {self.kind})")
        if self.max_pauses is not None and self.pauses > self.max_pauses:
            raise ValueError(f"pauses ({self.pauses}) of kind distinct must not exceed max_pauses ({self.max_pauses})")
        if self.kind != "pause" and self.random_pauses:
            raise ValueError(f"random_pauses need kind pause (got {self.kind})")
        return self

    @property
    def reads_places(self) -> bool:
        """Whether the inner model does."""
        return bool(self.inner.reads_places)

    @property
    def prompt(self) -> str:
        """How the inner model reads a prompt."""
        return str(getattr(self.inner, "prompt", "causal"))

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """From none to four times the pauses, and what the inner model offers."""
        inner = {f"inner.{option}": values for option, values in self.inner.dials().items()}
        if not self._learns or getattr(self.inner, "positions", None) == "learned":
            return inner
        some = max(1, self.pauses)
        values = {0, some // 2, some, 2 * some, 4 * some}
        return {"pauses": sorted(value for value in values if value <= (self.max_pauses or 4 * some)), **inner}

    @property
    def _learns(self) -> bool:
        """Whether there are pauses in training."""
        return self.pauses > 0 or self.random_pauses > 0

    def build(self, vocabulary: int, max_length: int) -> PauseToken:
        """The inner network, for sequences that have room for the pauses, and their embeddings."""
        inner = self.inner.build(vocabulary, max_length + self.most(max_length))
        regular = bool(vars(type(inner)).get("same_arithmetic", False))
        return (RegularPauseToken if regular else PauseToken)(self, inner, vocabulary, max_length)

    def most(self, length: int) -> int:
        """Pauses in a row of so many tokens at most."""
        return self.pauses + round(self.random_pauses * length)


class PauseToken(Model):
    """The inner model, reading pauses that nobody else sees.

    A cache holds the pauses too, so its length counts them; the first forward with it has to bring the whole prompt.
    """

    def __init__(self, config: PauseTokenConfig, inner: Model, vocabulary: int, max_length: int) -> None:
        super().__init__()
        self.config, self.inner, self.max_length = config, inner, max_length
        self.token = vocabulary  # an id that no symbol has; embeddings stand in for what it would mean
        width = inner.embed(torch.ones((1, 1), dtype=torch.long)).shape[-1]
        self.pause = nn.Embedding(config.max_pauses or 1, width)
        nn.init.normal_(self.pause.weight, std=_EMBEDDING_STD)
        self.pause.requires_grad_(config._learns)
        self.filler: nn.Sequential | None = None
        if config.kind == "filler":
            row = nn.Linear(width, 1, bias=False)
            nn.init.normal_(row.weight, std=width**-0.5)
            self.filler = nn.Sequential(norm(width), row).requires_grad_(config.pauses > 0)
        self.symbol_rows = tuple(f"inner.{name}" for name in inner.symbol_rows)  # type: ignore[misc]
        self.numbered_rows = ("pause.weight", *(f"inner.{name}" for name in inner.numbered_rows))  # type: ignore[misc]

    def prepare(self, batch: Batch, step: int, generator: torch.Generator | None) -> Batch:
        """The batch with random pauses drawn, and what the inner model draws for the longer rows."""
        drawn = {_DRAWN: self._drawn(batch.tokens, generator)} if self.config.random_pauses else {}
        spread, given = self._spread(batch.tokens, batch.prompt_length, drawn.get(_DRAWN))
        if spread is None:
            return self.inner.prepare(batch, step, generator)
        assert given is not None
        longer = dataclasses.replace(
            batch,
            tokens=spread.wide(batch.tokens, self.token),
            prompt_length=given,
            positions=None if batch.positions is None else spread.positions(batch.positions),
            places=None if batch.places is None else spread.wide(batch.places, 0),
            values=None,
            targets=None,
            weights=None,
            target_values=None,
        )
        ready = self.inner.prepare(longer, step, generator)
        places = None if ready.places is None else ready.places.gather(1, spread.column)
        return dataclasses.replace(batch, places=places, steps=ready.steps, extra={**ready.extra, **drawn})

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
        """The inner model's states, each read after the last pause that follows its token.

        Raises:
            ValueError: it is not said where the prompt ends, or it ends beyond ``tokens``; or what the inner model
                refuses.
        """
        drawn = dict(extra or {})
        random = drawn.pop(_DRAWN, None)
        more: dict[str, Any] = {"steps": steps, "cache": cache, **({"extra": drawn} if drawn else {})}
        going_on = cache is not None and cache.length > 0
        spread, given = (None, None) if going_on else self._spread(tokens, prompt_length, random)
        if spread is None:
            if going_on and positions is not None:
                positions = positions + self.config.pauses
            more.update(embeddings=embeddings, values=values, positions=positions, places=places)
            output: Output = self.inner(tokens, prompt_length=prompt_length, **more)
            return output
        if cache is not None and cache.room:
            cache.room += self.config.pauses
        longer: Output = self.inner(
            spread.wide(tokens, self.token),
            embeddings=self._embedded(self.embed(tokens, values) if embeddings is None else embeddings, spread),
            positions=None if positions is None else spread.positions(positions),
            places=None if places is None else spread.wide(places, 0),
            prompt_length=given,
            **more,
        )
        return self._read(longer, spread, tokens, prompt_length)

    def _drawn(self, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
        """How many random pauses follow each token (B, T); a row of L tokens has ``round(random_pauses * L)``."""
        share, (batch, length) = self.config.random_pauses, tokens.shape
        real = (tokens != 0).sum(dim=1, keepdim=True)
        seed = int(torch.randint(2**62, (), generator=generator))  # one draw, so that the next depends on no row
        own = torch.Generator().manual_seed(seed)
        luck = torch.rand((batch, round(share * length)), dtype=torch.float64, generator=own).to(tokens.device)
        counted = torch.arange(luck.shape[1], device=tokens.device) < (share * real.double()).round()
        where = start(tokens)[:, None] + (luck * real).long()
        return torch.zeros_like(tokens).scatter_add(1, where, counted.long())

    def _spread(
        self, tokens: Tensor, prompt_length: Tensor | None, random: Tensor | None
    ) -> tuple[Spread | None, Tensor | None]:
        """Where everything stands and how long prompts are with their pauses; None where there are no pauses."""
        pauses, length = self.config.pauses, tokens.shape[1]
        if not pauses and random is None:
            return None, prompt_length
        count = torch.zeros_like(tokens) if random is None else random
        if prompt_length is not None:
            end = (start(tokens) + prompt_length - 1)[:, None]
            if int(end.max()) >= length:
                raise ValueError(
                    f"prompts end at column {int(end.max()) + 1} of {length}; pauses need the whole prompt"
                )
            count = count.scatter_add(1, end, torch.full_like(end, pauses))
            prompt_length = prompt_length + count.cumsum(dim=1).gather(1, end)[:, 0]
        elif pauses:
            raise ValueError("pauses follow the prompt; give prompt_length, the number of its tokens in each row")
        return Spread.of(count, length + (pauses if random is None else self.config.most(length))), prompt_length

    def _embedded(self, embeddings: Tensor, spread: Spread) -> Tensor:
        """Embeddings (B, T, D) as (B, W, D), with those of the pauses."""
        which = (spread.number - 1).clamp_min(0) if self.config.kind == "distinct" else torch.zeros_like(spread.number)
        which = which.masked_fill(~spread.pause, 0)
        return torch.where(spread.pause[..., None], self.pause(which).to(embeddings), at(embeddings, spread.source))

    def _read(self, longer: Output, spread: Spread, tokens: Tensor, prompt_length: Tensor | None) -> Output:
        """What the inner model made of the longer rows, for the given tokens alone."""
        penalty = spread.total(longer.penalty)
        if self.filler is not None and self.config.pauses:
            assert prompt_length is not None
            end = (start(tokens) + prompt_length - 1)[:, None]
            penalty = penalty.scatter_add(1, end, self._filler_loss(longer, spread.column.gather(1, end)).to(penalty))
        return Output(
            states=at(longer.states, spread.last),
            weight=longer.weight.gather(2, spread.last.expand(len(longer.weight), -1, -1)),
            compute=spread.total(longer.compute),
            penalty=penalty,
            regulariser=longer.regulariser,
        )

    def _filler_loss(self, longer: Output, end: Tensor) -> Tensor:
        """Cross-entropy (B, 1) of the fillers after columns ``end`` (B, 1), summed over them."""
        assert self.filler is not None
        before = end + torch.arange(self.config.pauses, device=end.device)  # (B, pauses)
        states = at(longer.states, before)  # (S, B, pauses, D)
        logits = torch.cat([self.inner.readout(states), self.filler(states)], dim=-1).float()
        each = -logits.log_softmax(dim=-1)[..., -1]
        share = longer.weight.gather(2, before.expand(len(each), -1, -1))
        return (share * each).sum(dim=(0, 2))[:, None]

    def arithmetic_batches(self, batch: Batch) -> Sequence[tuple[float, Batch]]:
        """Those of the inner model; random pauses are not counted."""
        return self.inner.arithmetic_batches(batch)

    def told_steps(self, difficulty: Tensor) -> Tensor | None:
        """As the inner model wants it."""
        return self.inner.told_steps(difficulty)

    def cached_bytes(self, steps: int | None) -> int:
        """Those of the inner model, with the pauses shared out among the positions of the longest sequence."""
        return -(-self.inner.cached_bytes(steps) * (self.max_length + self.config.pauses) // self.max_length)

    @property
    def compiles(self) -> bool:
        """Whether the inner model does."""
        return self.inner.compiles

    def compile_core(self) -> None:
        """That of the inner model."""
        self.inner.compile_core()

    def embed(self, tokens: Tensor, values: Tensor | None = None) -> Tensor:
        """(B, T, D)."""
        return self.inner.embed(tokens, values)

    def readout(self, states: Tensor) -> Tensor:
        """(..., D) to (..., V)."""
        return self.inner.readout(states)

    def add_number_head(self) -> None:
        """In the inner model."""
        self.inner.add_number_head()

    def number(self, states: Tensor) -> Tensor:
        """(..., D) to (...)."""
        return self.inner.number(states)


class RegularPauseToken(PauseToken):
    """One whose inner model takes the same multiply-adds whatever a batch holds: the pauses change nothing of that."""

    same_arithmetic: ClassVar[bool] = True
