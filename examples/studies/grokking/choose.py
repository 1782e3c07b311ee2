"""Each look's sweep files, from the rows of the one before.

    python examples/studies/grokking/choose.py masks     reads select.csv, writes masks.yaml
    python examples/studies/grokking/choose.py again     reads select.csv and masks.csv, writes again.yaml
    python examples/studies/grokking/choose.py points    reads these and again.csv, writes chosen.yaml

``masks``: each point of sign agreement again, with as many coordinates kept as it kept, but by lot.  The share is the
one of its last 50 steps that were looked at.

``again``: the three points of each method whose run took the fewest steps to 99 % of val, a run that did not get there
counting as its last step; of equals, to 95 %, then the one that solved most of val.  With another seed.

``points``: the one of these three whose two runs took the fewest steps (median), likewise; those that were soonest
come first.  A method of which runs are missing is left out, and named.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from points import (
    AGGREGATE,
    CAP,
    DECAY,
    FIRST,
    LR,
    METHODS,
    REPORT,
    SECOND,
    Values,
    best,
    good,
    lines,
    of_method,
    points,
    read,
    selected,
    told,
)

HERE = Path(__file__).parent
KEPT = "gradient_agreement.aggregate_kept"
SHORT = 1000  # steps of the first two looks, as in select.yaml
_MASKS = "# What is left of sign agreement if as many coordinates are kept by lot?"
_AGAIN = "# Which of the three best points of each method is best, if luck is given a second chance?"
_CHOSEN = "# How many steps does the best point of each method take, with seeds that had no say in choosing it?"


def masks(here: Path) -> str:
    """What masks.yaml holds.

    Raises:
        SystemExit: a run of sign agreement is missing, or was too short to be looked at.
    """
    signs = of_method("sign agreement", points(read(here / "select.csv")))
    if not signs or not all(point.ended for point in signs):
        raise SystemExit("select.csv: expected every run of sign agreement to have ended; run select.yaml to the end")
    shares = [point.mean(KEPT) for point in signs]
    listed = [
        {LR: point.values[LR], DECAY: point.values[DECAY], AGGREGATE: "random-mask", f"{AGGREGATE}.keep": share}
        for point, share in zip(signs, (share and round(share, 4) for share in shares), strict=True)
    ]
    if not all(shares):
        raise SystemExit(f"select.csv: expected {KEPT} of every point of sign agreement; see its column")
    return _file(_MASKS, "masks", _unique(listed), FIRST, SHORT)


def again(here: Path) -> str:
    """What again.yaml holds.

    Raises:
        SystemExit: no method has ended its first look.
    """
    found = points(read(here / "select.csv", here / "masks.csv"))
    methods = _ended({name: good(name, found) for name in METHODS}, "select.csv")
    return _file(
        _AGAIN, "again", _unique(point.values for name in methods for point in good(name, found)), SECOND, SHORT
    )


def chosen(here: Path) -> str:
    """What chosen.yaml holds.

    Raises:
        SystemExit: no method has ended.
    """
    found = selected(here)
    _ended({name: best(name, found) for name in METHODS}, "again.csv")
    named = [f"{line.name}: {told(line.values)}" for line in lines(found)]
    rank = {_told(point.values): point.rank for point in found}
    soonest_first = sorted(
        _unique(line.values for line in lines(found)), key=lambda values: rank.get(_told(values), (0.0,))
    )
    return _file(_CHOSEN, "chosen", soonest_first, REPORT, CAP, named)


def _ended(chosen: Mapping[str, Any], rows: str) -> list[str]:
    """The methods of which something is chosen; the others are named."""
    missing = [name for name, what in chosen.items() if not what]
    if len(missing) == len(METHODS):
        raise SystemExit(f"{rows}: expected every run of at least one method to have ended; run its sweep first")
    if missing:
        print(f"left out until all of their runs have ended: {', '.join(missing)}", file=sys.stderr)
    return [name for name in chosen if name not in missing]


def _unique(listed: Iterable[Values]) -> list[Values]:
    """Each once: a best point may also be the published one, and two points may have kept as much."""
    return list({_told(values): values for values in listed}.values())


def _told(values: Values) -> str:
    return repr(sorted(values.items()))


def _file(
    question: str, name: str, listed: Sequence[Values], seeds: list[int], cap: int, told_of: Sequence[str] = ()
) -> str:
    count, folder = len(listed) * len(seeds), "examples/studies/grokking"
    head = [
        question,
        "#",
        f"# Written by choose.py.  {count} runs, at most {count * cap:,} steps of 0.1 s on one thread (an estimate).",
        "# To go on after an interruption, retype the command.",
        "#",
        f"#     factorexe sweep run {folder}/{name}.yaml",
        f"#     factorexe sweep results sweeps/{name} --each --output {folder}/{name}.csv",
        *(["#", *(f"# {line}" for line in told_of)] if told_of else []),
    ]
    base = {"trainer": {"max_steps": cap}}
    content = {"config": "setting.yaml", "base": base, "list": listed, "seeds": seeds}
    return "\n".join(head) + "\n\n" + yaml.safe_dump(content, sort_keys=False, width=110)


FILES = {"masks": ("masks.yaml", masks), "again": ("again.yaml", again), "points": ("chosen.yaml", chosen)}


def main(words: Sequence[str]) -> None:
    """Write one of the two."""
    if len(words) != 1 or words[0] not in FILES:
        raise SystemExit(f"expected one of: {', '.join(FILES)}")
    name, made = FILES[words[0]]
    (HERE / name).write_text(made(HERE), encoding="utf-8")
    print(f"{name}: now factorexe sweep run {HERE / name}")


if __name__ == "__main__":
    main(sys.argv[1:])
