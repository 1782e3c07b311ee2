"""Weights of a finished run in another model: the same one changed by options that hold no weights, or a new run's.

What a parameter's rows stand for decides how they are taken over.  Rows for tokens go by symbol, so a run on
base 10 may begin with the weights of one on base 8; rows for numbers (a position, a place, a step) go by number;
everything else has to have the same shape::

    embedding.weight  (14, 128) from (12, 128)     0..7 * + > and the marks are known, 8 and 9 are new
    position.weight   (71, 128) from (49, 128)     0 to 48 are known
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from factorexe.rundir import RunDirectory, RunError, read_checkpoint, read_json


def model_weights(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The model's part of a checkpoint's content."""
    return _part(content, "model.")


def objective_weights(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The objective's part of a checkpoint's content; most objectives have no weights."""
    return _part(content, "objective.")


def _part(content: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    state = content["state_dict"]
    return {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}


def unfit(model: Any, weights: Mapping[str, Tensor]) -> list[str]:
    """One line for each weight that ``model`` lacks, has besides, or has in another shape."""
    own = model.state_dict()
    wrong = [
        f"{name} has shape {_shape(weights[name])} and would need {_shape(own[name])}"
        for name in own
        if name in weights and own[name].shape != weights[name].shape
    ]
    wrong += [f"there is no {name}" for name in own if name not in weights]
    return wrong + [f"{name} is not used" for name in weights if name not in own]


def content_hash(run: str | Path, checkpoint: str = "best") -> str:
    """Sixteen hex digits for the weights of a run's checkpoint, wherever the run is kept.

    Raises:
        RunError: not a run, or it has no such checkpoint.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(_weights(run, checkpoint).items()):
        digest.update(f"{name} {weight.dtype} {_shape(weight)}".encode())
        digest.update(weight.contiguous().view(torch.uint8).numpy().tobytes() if weight.numel() else b"")
    return digest.hexdigest()[:16]


class Taken(NamedTuple):
    """What a new run's model took over."""

    known: list[str]  # symbols
    new: list[str]  # symbols whose rows stay as they were drawn


def take_over(model: Any, symbols: Sequence[str], run: str | Path) -> Taken:
    """Put the weights of a run's best checkpoint into ``model``, whose tokens are ``symbols``.

    Raises:
        RunError: not a run, it has no such checkpoint, or its weights do not fit.
    """
    weights = _weights(run, "best")
    there = read_json(RunDirectory(run).record).get("symbols")
    if there is None:
        raise RunError(f"{run}: its run.json does not say which symbols it was trained on; train it again")
    rows = {symbol: row for row, symbol in enumerate(there)}
    pairs = [(row, rows[symbol]) for row, symbol in enumerate(symbols) if symbol in rows]
    own = model.state_dict()
    fitted = {name: _fitted(model, name, own[name], weights[name], pairs) for name in own if name in weights}
    if wrong := unfit(model, {**weights, **fitted}):
        more = f", and {len(wrong) - 2} more" if len(wrong) > 2 else ""
        raise RunError(f"{run}: its weights do not fit this model: {'; '.join(wrong[:2])}{more}")
    model.load_state_dict(fitted)
    known = {row for row, _ in pairs}
    return Taken(
        [symbol for row, symbol in enumerate(symbols) if row in known],
        [symbol for row, symbol in enumerate(symbols) if row not in known],
    )


def _fitted(model: Any, name: str, own: Tensor, there: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """The weight as the model needs it; as it was where it cannot be had."""
    if own.shape[1:] != there.shape[1:] or not own.ndim:
        return there
    if name in model.symbol_rows:
        here, source = (list(column) for column in zip(*pairs, strict=True))
    elif name in model.numbered_rows:
        here = source = list(range(min(len(own), len(there))))
    else:
        return there
    fitted = own.clone()
    fitted[here] = there[source]
    return fitted


def _weights(run: str | Path, checkpoint: str) -> dict[str, Tensor]:
    directory = RunDirectory(run)
    if not directory.config.exists():
        raise RunError(f"{run} is not a run: it has no config.yaml")
    return model_weights(read_checkpoint(directory.checkpoint(checkpoint)))


def _shape(weight: Tensor) -> str:
    return "x".join(map(str, weight.shape)) or "1"
