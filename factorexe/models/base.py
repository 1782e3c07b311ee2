"""What a model is: tokens in, a weighted list of states out, and the compute it spent.

Every model answers a forward pass with the same record, ``Output``: S candidate states per position and a
weight for each.  A model of fixed depth has S = 1; one that may stop at any of its steps has a state and a
weight for each step, and is trained on the expected loss.  ``readout`` turns states into logits and is
applied only where something is supervised or decoded.

Compute is counted in block applications per position: a token that passes two blocks three times costs 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from factorexe.choice import Options

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import Any

    from factorexe.layout import Batch


class Output(NamedTuple):
    """One forward pass.  S candidate states, B examples, T positions, D width."""

    states: Tensor  # (S, B, T, D)
    weight: Tensor  # (S, B, T) sums to 1 over S; in eval mode the deployed policy
    compute: Tensor  # (B, T) block applications spent on each position
    penalty: Tensor  # (B, T) price of that compute, averaged by the objective's weights
    regulariser: Tensor  # () what cannot be split over examples, else 0


def one_state(states: Tensor, compute: int | Tensor) -> Output:
    """The output of a model with one state (B, T, D) for each position, for which it spent ``compute``, a number
    or one for each row (B,)."""
    batch, length, _ = states.shape
    one = states.new_ones(())
    spent = (one * compute).expand(batch, length) if isinstance(compute, int) else compute.to(one)[:, None]
    return Output(
        states=states.unsqueeze(0),
        weight=one.expand(1, batch, length),
        compute=spent.expand(batch, length),
        penalty=states.new_zeros(()).expand(batch, length),
        regulariser=states.new_zeros(()),
    )


class Cache:
    """Keys and values of the positions processed so far, one entry per attention that is ever applied.

    Where gradients are needed, keys and values are concatenated, so they pass through several forwards.
    Without them they are written into a buffer that doubles when it is full.

    Args:
        room: positions that will be held in the end, where that is known: the buffer need never grow.
    """

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self._entries: dict[Hashable, tuple[Tensor, Tensor]] = {}  # slot -> (B, H, room, head) twice
        self._filled: dict[Hashable, int] = {}
        self.notes: dict[str, Tensor] = {}  # what a model notes of every position held, (B, length) each
        self.rows: dict[str, Tensor] = {}  # and of every row, (B, ...) each
        self.padding: Tensor | None = None  # (B, length) True where a position is padding; None: nowhere

    @property
    def length(self) -> int:
        """Positions held."""
        return next(iter(self._filled.values()), 0)

    def append(self, slot: Hashable, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add positions (B, H, T, head) to a slot; returns all keys and values it now holds."""
        start = self._filled.get(slot, 0)
        stop = start + keys.shape[2]
        self._filled[slot] = stop
        if keys.requires_grad:
            if start:
                old_keys, old_values = self._entries[slot]
                keys = torch.cat([old_keys[:, :, :start], keys], dim=2)
                values = torch.cat([old_values[:, :, :start], values], dim=2)
            self._entries[slot] = keys, values
            return keys, values
        entry = self._entries.get(slot)
        if entry is None or entry[0].shape[2] < stop:
            entry = _grown(entry, keys, values, start, max(stop, self.room))
            self._entries[slot] = entry
        entry[0][:, :, start:stop], entry[1][:, :, start:stop] = keys, values
        return entry[0][:, :, :stop], entry[1][:, :, :stop]

    def append_padding(self, padding: Tensor | None, new: Tensor) -> None:
        """Record which of the newest positions (B, T) are padding; ``padding`` is None if none is."""
        if padding is None and self.padding is None:
            return
        before = self.padding if self.padding is not None else new.new_zeros((len(new), self.length), dtype=torch.bool)
        after = padding if padding is not None else torch.zeros_like(new, dtype=torch.bool)
        self.padding = torch.cat([before, after], dim=1)

    def append_note(self, name: str, note: Tensor) -> None:
        """Note something of the newest positions (B, T)."""
        held = self.notes.get(name)
        self.notes[name] = note if held is None else torch.cat([held, note], dim=1)

    def select(self, rows: Tensor) -> None:
        """Keep only these rows of the batch."""
        for slot, (keys, values) in self._entries.items():
            filled = self._filled[slot]
            kept = keys[:, :, :filled][rows], values[:, :, :filled][rows]
            self._entries[slot] = kept if keys.requires_grad else _grown(kept, *kept, filled, max(filled, self.room))
        if self.padding is not None:
            self.padding = self.padding[rows]
        self.notes = {name: note[rows] for name, note in self.notes.items()}
        self.rows = {name: told[rows] for name, told in self.rows.items()}

    def crop(self, length: int) -> None:
        """Forget every position from ``length`` on."""
        self._filled = {slot: min(filled, length) for slot, filled in self._filled.items()}
        self._entries = {
            slot: (keys[:, :, :length], values[:, :, :length]) for slot, (keys, values) in self._entries.items()
        }
        if self.padding is not None:
            self.padding = self.padding[:, :length]
        self.notes = {name: note[:, :length] for name, note in self.notes.items()}


def _grown(
    entry: tuple[Tensor, Tensor] | None, keys: Tensor, values: Tensor, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """Buffers for at least ``stop`` positions like ``keys`` and ``values``, with the first ``start`` of ``entry``."""
    batch, heads, _, width = keys.shape
    room = stop if stop > 2 * start else 2 * start
    grown = keys.new_empty((batch, heads, room, width)), values.new_empty((batch, heads, room, width))
    if entry is not None:
        grown[0][:, :, :start], grown[1][:, :, :start] = entry[0][:, :, :start], entry[1][:, :, :start]
    return grown


class Model(nn.Module):
    """A network on the contract: ``embed``, ``forward``, ``readout``.

    Class attributes:
        symbol_rows: parameters with one row for each token; another run's rows are taken over symbol by symbol.
        numbered_rows: parameters with one row for each number, such as a position; rows in common are taken over.
        same_arithmetic: whether batches of one shape take the same multiply-adds whatever they and the weights hold,
            as where no token halts early.  Not inherited: a class says it of itself.
    """

    symbol_rows: ClassVar[tuple[str, ...]] = ()
    numbered_rows: ClassVar[tuple[str, ...]] = ()
    same_arithmetic: ClassVar[bool] = False
    number_head: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.number_head = None
        self.compiled = False

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
        """States for ``tokens`` (B, T), id 0 being padding.

        Args:
            embeddings: (B, T, D) in place of ``embed(tokens, values)``.
            values: (B, T) factors of the numeric tokens' embeddings.
            positions: (B, T) position ids; counted on from the cache if not given.
            places: (B, T) place ids, such as a digit's significance; 0 where a token has none.
            prompt_length: (B,) given tokens of each row, for models that treat a prompt differently.
            steps: depth at test time, per row if a tensor; refused by models that do not loop.
            cache: extended by the new positions, which also attend to what it holds.
            extra: what ``prepare`` drew for these rows, in training.
        """
        raise NotImplementedError

    def prepare(self, batch: Batch, step: int, generator: torch.Generator | None) -> Batch:
        """A training batch with everything random that the model needs drawn; here nothing is.  What the model draws
        for itself goes into ``batch.extra``, rows first, and comes back as ``extra`` of ``forward``."""
        return batch

    def arithmetic_batches(self, batch: Batch) -> Sequence[tuple[float, Batch]]:
        """Batches like an unprepared one, and weights with which their arithmetic adds up to what training takes on
        average; where training draws nothing that costs, the batch itself."""
        return ((1.0, batch),)

    def told_steps(self, difficulty: Tensor) -> Tensor | None:
        """Steps (B,) that problems of these difficulties (B,) are given; None where depth is not tied to them."""
        return None

    def cached_bytes(self, steps: int | None) -> int:
        """Memory that a cache needs for each position of a row; 0 if unknown, and then rows are never held back."""
        return 0

    @property
    def compiles(self) -> bool:
        """Whether ``compile_core`` is defined."""
        return type(self).compile_core is not Model.compile_core

    def compile_core(self) -> None:
        """From now on what costs most runs compiled in training, where every batch has the same shape."""
        raise NotImplementedError(f"{type(self).__name__} has no core that can be compiled")

    def embed(self, tokens: Tensor, values: Tensor | None = None) -> Tensor:
        """Embeddings (B, T, D) of ``tokens`` (B, T), scaled by ``values`` where given."""
        raise NotImplementedError

    def readout(self, states: Tensor) -> Tensor:
        """Logits (..., V) of ``states`` (..., D)."""
        raise NotImplementedError

    def add_number_head(self) -> None:
        """From now on states can be read as numbers too, beside the readout (Golkar et al. 2023, arXiv:2310.02989)."""
        width = self.embed(torch.zeros((1, 1), dtype=torch.long)).shape[-1]
        self.number_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def number(self, states: Tensor) -> Tensor:
        """Numbers (...) behind the tokens that follow ``states`` (..., D), for a model with a number head."""
        assert self.number_head is not None
        numbers: Tensor = self.number_head(states).squeeze(-1)
        return numbers


class ModelConfig(Options):
    """Options of a model; ``build`` makes the network.

    Class attributes:
        layout: how problems become tensors for it (a name in ``factorexe.layout``).
        paper: where it comes from ("Author et al. year, arXiv:id").
        presets: name -> {option path: value} over the whole run; ``default`` and ``tiny`` are required.
    """

    api_version: ClassVar[int] = 1
    layout: ClassVar[str] = "sequence"
    paper: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @property
    def reads_places(self) -> bool:
        """Whether batches have to hold places."""
        return False

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """Options that spend more or less compute at test time (``steps``, ``halting.threshold``, ``inner.steps``), and
        values worth trying, least compute first.  They hold no weights."""
        return {}

    def build(self, vocabulary: int, max_length: int) -> Model:
        """The network for token ids below ``vocabulary`` and sequences up to ``max_length``."""
        raise NotImplementedError
