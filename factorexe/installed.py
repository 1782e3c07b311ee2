"""The entry points of what is installed, read again only after something has changed.

Reading them takes some ten milliseconds, and a run asks for seven names.  What was read is kept for as long as the
same files stand in the places where Python looks for packages, so a plug-in that is installed later is found::

    >>> installed("factorexe.objectives")[0]
    Installed(entry=EntryPoint(name='answer', ...), distribution='factorexe', version='0.1.0')
"""

from __future__ import annotations

import functools
import os
import re
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

_INFORMATION = (".dist-info", "egg-info")  # how a folder is called that describes a distribution


class Installed(NamedTuple):
    """One entry point and where it comes from."""

    entry: EntryPoint
    distribution: str  # its name as pip compares names; "?" if unknown
    version: str


def installed(group: str) -> tuple[Installed, ...]:
    """Every entry point of a group."""
    return _read(group, _state())


def normalized(distribution: str) -> str:
    """A distribution's name as pip compares names: ``Their_Package`` is ``their-package``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@functools.lru_cache(maxsize=32)
def _read(group: str, state: Any) -> tuple[Installed, ...]:
    return tuple(_described(entry) for entry in entry_points(group=group))


def _described(entry: EntryPoint) -> Installed:
    if entry.dist is None:
        return Installed(entry, "?", "?")
    return Installed(entry, normalized(entry.dist.name), entry.dist.version)


def _state() -> Any:
    """All that the entry points depend on: who finds packages, and which files say so."""
    files = [file for place in sys.path for file in _files(place, _stamp(place))]
    return tuple(sys.meta_path), tuple((file, _stamp(file)) for file in files)


@functools.lru_cache(maxsize=64)
def _files(place: str, stamp: Any) -> tuple[str, ...]:
    """The files that may hold entry points in a place with this stamp; an archive is one itself."""
    try:
        names = os.listdir(place or ".")
    except OSError:
        return (place,)
    return tuple(os.path.join(place, name, "entry_points.txt") for name in names if name.lower().endswith(_INFORMATION))


def _stamp(path: str) -> tuple[int, int, int] | None:
    """What changes when a file or the list of a folder does; None if there is none."""
    try:
        found = os.stat(path or ".")
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
