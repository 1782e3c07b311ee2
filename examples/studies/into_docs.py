"""Puts the tables of the studies into the pages that quote them, so that a page never says what the rows do not.

    python examples/studies/into_docs.py            after report.py of a study; tells which pages changed

A page says where a table belongs; what stands between the two lines is replaced::

    <!-- table: examples/studies/scarce-data/table.md -->
    <!-- end of table -->
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(page: str, root: Path = ROOT) -> str:
    """A page with the tables that it asks for as they are now.

    Raises:
        FileNotFoundError: of a table that there is not.
    """

    def found(place: re.Match[str]) -> str:
        table = (root / place[2]).read_text(encoding="utf-8")
        return f"{place[1]}\n{table}\n{place[3]}"

    return PLACE.sub(found, page)


def main() -> None:
    """All pages of docs/."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
