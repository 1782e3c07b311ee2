"""The column that a word means: its whole name, or an end of it that no other column has.

val.final   solved.val.final       width   model.width       final   several: say which
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from factorexe.config import ConfigError

_MOST = 12  # columns named in a message


def column_of(word: str, known: Sequence[str], nothing: str) -> str:
    """The column that ``word`` means.

    Args:
        nothing: what to say of a word that means none, as ``no run of this sweep varies it``.

    Raises:
        ConfigError: it means none of the ``known`` ones, or several.
    """
    meant = [column for column in known if column.endswith(f".{word}")]
    if word in known or len(meant) == 1:
        return word if word in known else meant[0]
    if meant:
        raise ConfigError(f"{word}: expected one column; say which: {_some(meant)}")
    raise ConfigError(f"{word}: {nothing}; {_suggestion(word, known)}")


def _suggestion(word: str, known: Sequence[str]) -> str:
    """Columns that are spelled much like the word, or whose last part is; some of all where none is."""
    last = {column.rpartition(".")[2]: column for column in reversed(known)}
    near = [last.get(name, name) for name in get_close_matches(word, [*known, *last], n=3)]
    return f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else f"known: {_some(known) or 'none'}"


def _some(columns: Sequence[str]) -> str:
    more = len(columns) - _MOST
    return ", ".join(columns[:_MOST]) + (f" and {more} more" if more > 0 else "")
