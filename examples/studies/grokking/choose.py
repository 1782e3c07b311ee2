"""The second look's sweep files, from the rows of the first.

    python examples/studies/grokking/choose.py masks     reads select.csv, writes masks.yaml
    python examples/studies/grokking/choose.py points    reads select.csv and masks.csv, writes chosen.yaml

``masks``: each point of sign agreement again, with as many coordinates kept as it kept, but by lot.  The share is the
one of its last 50 steps that were looked at, the mean of its seeds.

``points``: the point of each method whose runs took the fewest steps (median) to 99 % of val, a run that did not get
there counting as 3,000; of equals, to 95 %.  A method of which runs are missing is left out, and named.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from points import AGGREGATE, CAP, DECAY, LR, METHODS, Values, best, lines, of_method, points, read, told

HERE = Path(__file__).parent
KEPT = "gradient_agreement.aggregate_kept"
SELECTION, REPORT = [0, 1], [2, 3, 4, 5, 6]  # seeds
_MASKS = "# What is left of sign agreement if as many coordinates are kept by lot?"
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
    return _file(_MASKS, "masks", _unique(listed), SELECTION)


def chosen(here: Path) -> str:
    """What chosen.yaml holds.

    Raises:
        SystemExit: no method has ended.
    """
    found = points(read(here / "select.csv", here / "masks.csv"))
    missing = [name for name in METHODS if best(name, found) is None]
    if len(missing) == len(METHODS):
        raise SystemExit("select.csv: expected every run of at least one method to have ended; run select.yaml first")
    if missing:
        print(f"left out until all of their runs have ended: {', '.join(missing)}", file=sys.stderr)
    named = [f"{line.name}: {told(line.values)}" for line in lines(found)]
    return _file(_CHOSEN, "chosen", _unique([line.values for line in lines(found)]), REPORT, named)


def _unique(listed: Iterable[Values]) -> list[Values]:
    """Each once: a best point may also be the published one, and two points may have kept as much."""
    return list({repr(sorted(values.items())): values for values in listed}.values())


def _file(question: str, name: str, listed: Sequence[Values], seeds: Sequence[int], told_of: Sequence[str] = ()) -> str:
    count, folder = len(listed) * len(seeds), "examples/studies/grokking"
    head = [
        question,
        "#",
        f"# Written by choose.py.  {count} runs, at most {count * CAP:,} steps of 0.1 s on one thread (an estimate).",
        "# To go on after an interruption, retype the command.",
        "#",
        f"#     factorexe sweep run {folder}/{name}.yaml",
        f"#     factorexe sweep results sweeps/{name} --each --output {folder}/{name}.csv",
        *(["#", *(f"# {line}" for line in told_of)] if told_of else []),
    ]
    content = {"config": "setting.yaml", "list": listed, "seeds": list(seeds)}
    return "\n".join(head) + "\n\n" + yaml.safe_dump(content, sort_keys=False, width=110)


FILES = {"masks": ("masks.yaml", masks), "points": ("chosen.yaml", chosen)}


def main(words: Sequence[str]) -> None:
    """Write one of the two."""
    if len(words) != 1 or words[0] not in FILES:
        raise SystemExit(f"expected one of: {', '.join(FILES)}")
    name, made = FILES[words[0]]
    (HERE / name).write_text(made(HERE), encoding="utf-8")
    print(f"{name}: now factorexe sweep run {HERE / name}")


if __name__ == "__main__":
    main(sys.argv[1:])
