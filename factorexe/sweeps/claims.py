"""Claims: who has which run, decided without a server, by files that only one process can create.

The claim of a run is a file ``ID.N``; N counts its generations, and whoever created the highest has the run::

    claims/3f2a9c01be77.1    {"host": "node3", "space": "...", "pid": 4711, "started": 918273, "token": "9be0..."}
    claims/3f2a9c01be77.2    the worker above was judged dead, and this one goes on with its run

A claim is judged dead at once if its process was one of this place and is gone.  Of any other only the heartbeat
tells: its owner touches the file every ten seconds, and a file that does not change while somebody looks at it for
ninety seconds is dead.  Times are compared with what was seen before, never with a clock, so clocks may differ; only
time spent looking counts, so an observer that was suspended itself knows nothing.  Nobody deletes or renames a claim
that may be alive: generation N+1 is created beside it, and an owner that was only suspended finds it there.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from factorexe.sweeps.place import Place, here, place_of

Judgement = Literal["dead", "alive", "uncertain", "free"]
_MOST_BYTES = 4096  # of a claim; whatever is longer is none


class _Seen(NamedTuple):
    """What was seen of a claim's heartbeat."""

    mark: tuple[int, int]
    looked: float  # when it was looked at last
    quiet: float  # seconds of looking since it changed
    moved: bool  # whether it has ever changed while it was looked at


class Claim:
    """A run that this process has, kept by a heartbeat until it is released.

    Attributes:
        run: its id.
    """

    def __init__(self, claims: Claims, run: str, generation: int, token: str) -> None:
        self.run, self._generation, self._token = run, generation, token
        self._claims, self._lost, self._beaten = claims, False, claims.clock()
        self._ended = threading.Event()
        threading.Thread(target=self._keep_beating, name=f"claim of {run}", daemon=True).start()

    @property
    def lost(self) -> bool:
        """Whether somebody else has the run by now; looks for itself after a pause, as when it was suspended."""
        if not self._lost and self._claims.clock() - self._beaten > 2 * self._claims.beat:
            self.beat()
        return self._lost

    def beat(self) -> None:
        """Show that the owner lives, and see whether it still is the owner."""
        path = self._claims.path(self.run, self._generation)
        try:
            if not self._is_ours(path) or self._claims.path(self.run, self._generation + 1).exists():
                self._lost = True
                return
            os.utime(path)
            self._beaten = self._claims.clock()
        except FileNotFoundError:
            self._lost = True
        except OSError:  # a file server that is away: others cannot see this heart beat
            self._lost = self._lost or self._claims.clock() - self._beaten > self._claims.expire

    def release(self) -> None:
        """Let go of a run after everything that is known of it has been written.

        Lower generations go first: while this file stands, nobody else can take what it took.
        """
        self._ended.set()
        if not self.lost:
            for generation in range(1, self._generation):
                self._claims.path(self.run, generation).unlink(missing_ok=True)
        self.give_back()

    def give_back(self) -> None:
        """Leave the run to whoever had it before."""
        self._ended.set()
        path = self._claims.path(self.run, self._generation)
        with contextlib.suppress(OSError):
            if self._is_ours(path):
                path.unlink()

    def _is_ours(self, path: Path) -> bool:
        return self._token.encode() in path.read_bytes()[:_MOST_BYTES]

    def _keep_beating(self) -> None:
        while not self._ended.wait(self._claims.beat) and not self._lost:
            self.beat()


class Claims:
    """The claims of one sweep, as one worker sees them.

    Args:
        beat: seconds between two heartbeats.
        expire: seconds of looking at a heart that does not beat until it is dead.
        clock: seconds that only ever grow.
    """

    def __init__(
        self, directory: Path, *, beat: float = 10, expire: float = 90, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.directory, self.beat, self.expire, self.clock = directory, beat, expire, clock
        self._seen: dict[str, _Seen] = {}
        self._gone: set[Place] = set()

    def know_gone(self, place: Place) -> None:
        """Take the word of whoever started a process that it is gone, wherever it was."""
        self._gone.add(place)

    def path(self, run: str, generation: int) -> Path:
        """The file of one generation."""
        return self.directory / f"{run}.{generation}"

    def listed(self) -> dict[str, int]:
        """The highest generation of every run that is claimed, from one look at the directory."""
        highest: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.directory):
                run, _, generation = name.rpartition(".")
                if run and generation.isdecimal():
                    highest[run] = max(highest.get(run, 0), int(generation))
        return highest

    def take(self, run: str) -> Claim | Judgement:
        """Claim a run, or say of the claim that stands why not; ``free`` if it was just being let go of.

        Raises:
            OSError: claims cannot be written.
        """
        taken = self._taken(run)
        return self._taken(run) if taken == "free" else taken

    def _taken(self, run: str) -> Claim | Judgement:
        highest = self.listed().get(run, 0)
        before = self._content(run, highest) if highest else b""
        judged = self.judge(run, highest) if highest else "dead"
        if judged != "dead":
            return judged
        return self._created(run, highest + 1, before) or "free"

    def judge(self, run: str, generation: int) -> Judgement:
        """What is known of a claim from here."""
        path = self.path(run, generation)
        try:
            content, mark = _looked_into(path)
        except FileNotFoundError:
            self._seen.pop(path.name, None)
            return "free"
        seen = self._looked(path.name, mark)
        place = place_of(_parsed(content))
        if (place and (place.gone() or place in self._gone)) or seen.quiet >= self.expire:
            return "dead"
        return "alive" if seen.moved or (place and place.is_here()) else "uncertain"

    def _looked(self, name: str, mark: tuple[int, int]) -> _Seen:
        now, before = self.clock(), self._seen.get(name)
        if before is None or before.mark != mark:
            seen = _Seen(mark, now, 0.0, before is not None)
        else:
            seen = before._replace(looked=now, quiet=before.quiet + min(now - before.looked, self.beat))
        self._seen[name] = seen
        return seen

    def _created(self, run: str, generation: int, before: bytes | None) -> Claim | None:
        """The claim, unless somebody else was faster; ``before`` is what the judged one held."""
        token, path = secrets.token_hex(8), self.path(run, generation)
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        try:
            os.write(descriptor, json.dumps({**here()._asdict(), "token": token}).encode())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        claim = Claim(self, run, generation, token)
        # what was judged may have been released while it was judged: then this generation stands on nothing
        alone = generation == 1 or self._content(run, generation - 1) == before
        if alone and self.listed().get(run) == generation:
            return claim
        claim.give_back()
        return None

    def _content(self, run: str, generation: int) -> bytes | None:
        try:
            return self.path(run, generation).read_bytes()
        except OSError:
            return None


def _looked_into(path: Path) -> tuple[bytes, tuple[int, int]]:
    """A claim's content and heartbeat; opened for it, since a file server may remember old times of a closed file."""
    try:
        with open(path, "rb") as file:
            content, status = file.read(_MOST_BYTES), os.fstat(file.fileno())
    except (PermissionError, IsADirectoryError):  # whose it is cannot be told, yet its heartbeat can
        content, status = b"", os.stat(path)
    return content, (status.st_mtime_ns, status.st_size)


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
