"""A file that a verb writes: refused before anything is read, written in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from factorexe.cli.command import BadInput

FIGURES = (".png", ".svg")


def target_of(output: str, suffixes: Sequence[str]) -> Path:
    """The file to write.

    Raises:
        BadInput: it does not end in one of the suffixes, or its directory does not exist.
    """
    target = Path(output)
    if target.suffix.lower() not in suffixes:
        raise BadInput(f"--output: expected a file that ends in {_either(suffixes)} (got {output!r})")
    if not target.parent.is_dir():
        raise BadInput(f"--output: there is no directory {target.parent}; make it or name another")
    return target


def save(target: Path, content: bytes, told: Callable[[str], None] = print) -> None:
    """Write the file and tell its name, on stdout unless that holds something else.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        target.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror}; name another file with --output") from None
    told(str(target))


def _either(suffixes: Sequence[str]) -> str:
    *most, last = suffixes
    return f"{', '.join(most)} or {last}"
