"""The directory of one run, and how things are written into it.

Every file is written beside its target, fsynced and renamed, so a reader, or a resumed run, finds the old
content or the new, never half of one.  Checkpoints rotate: what was ``last`` becomes ``previous``, which
stands in when ``last`` turns out to be damaged::

    runs/multiplication/transformer/3f2a9c01be77/
        config.yaml  run.json  metrics.csv  result.json  events.out.*  checkpoints/{last,previous,best}.ckpt

Checkpoints are read with ``weights_only``: a stranger's file can hold tensors and plain values, never code.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


class RunError(RuntimeError):
    """A run directory that cannot be used as asked; the message says what to do."""


class RunInUse(RunError):
    """A run that another process holds."""


class RunDirectory:
    """Paths of one run, its lock and its checkpoints."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.record = self.path / "run.json"
        self.metrics = self.path / "metrics.csv"
        self.curve = self.path / "curve.csv"
        self.result = self.path / "result.json"
        self.test = self.path / "test.json"
        self.checkpoints = self.path / "checkpoints"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; the operating system lets go when the process ends, however it ends.

        Raises:
            RunInUse: another process holds it.
            RunError: the directory cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise RunInUse(f"{self.path} is in use by another process; wait for it or stop it") from None
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written: {error.strerror}; choose another place with --runs"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def checkpoint(self, name: str) -> Path:
        """``last``, ``previous`` or ``best``."""
        return self.checkpoints / f"{name}.ckpt"

    def save_checkpoint(self, save: Callable[[Path], None], *, best: bool) -> None:
        """Write a checkpoint with ``save(path)``; it becomes ``last``, and ``best`` too if it is."""
        self.checkpoints.mkdir(exist_ok=True)
        fresh = self.checkpoints / "writing.ckpt"
        save(fresh)
        _sync(fresh)
        if best:
            copy = self.checkpoints / "copying.ckpt"
            shutil.copyfile(fresh, copy)
            _sync(copy)
            os.replace(copy, self.checkpoint("best"))
        if self.checkpoint("last").exists():
            os.replace(self.checkpoint("last"), self.checkpoint("previous"))
        os.replace(fresh, self.checkpoint("last"))
        _sync(self.checkpoints)

    def set_aside(self) -> Path | None:
        """Rename the directory, deleting nothing; None if there is none."""
        if not self.path.exists():
            return None
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.aside-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.aside-{stamp}-{number}")
        os.replace(self.path, aside)
        return aside


def write(path: Path, text: str) -> None:
    """Replace a file's content in one step."""
    fresh = path.with_name(path.name + ".writing")
    with open(fresh, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def read_json(path: Path) -> Any:
    """A JSON file's content.

    Raises:
        RunError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.parent} is not a run: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU.

    Raises:
        RunError: missing, empty, truncated, not a checkpoint, or holding anything but tensors and plain
            values.
    """
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"{path}: there is no such checkpoint") from None
    except pickle.UnpicklingError:
        raise RunError(
            f"{path}: refused: not a checkpoint, or one that asks to run code (they hold tensors and plain values)"
        ) from None
    except Exception as error:  # whatever a damaged file makes the reader trip over
        reason = (
            "it is empty" if path.stat().st_size == 0 else str(error)[:120].partition("\n")[0] or type(error).__name__
        )
        raise RunError(f"{path}: damaged: {reason}") from None
    if not isinstance(content, dict) or "state_dict" not in content:
        raise RunError(f"{path}: not a checkpoint of a run")
    return content


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
