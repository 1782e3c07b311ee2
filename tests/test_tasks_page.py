"""What docs/tasks.md shows is what the commands print, and every task is on it and in the README's table."""

import re
from pathlib import Path

import pytest

from factorexe.cli import main
from factorexe.registry import Registry

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```\n\$ factorexe (tasks show .*)\n((?:.*\n)*?)```", PAGE)
NAMES = Registry("tasks").names()


@pytest.mark.parametrize(("words", "printed"), SHOWN, ids=[words for words, _ in SHOWN])
def test_problems_are_as_printed(words, printed, capsys):
    assert main(words.split()) == 0
    out = capsys.readouterr().out
    assert printed.strip()
    for line in printed.splitlines():
        assert line.rstrip() in [row.rstrip() for row in out.splitlines()], line


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_its_section_and_its_row(name):
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, f"docs/tasks.md has no section {name}"
    for part in (f"$ factorexe tasks show {name}", "**Compares to.**", "**Shortcut.**", "**Source.**"):
        assert part in section.group(1), f"section {name} lacks {part}"
    assert re.search(rf"^\|.* `{name}`.*\|", README, re.MULTILINE), f"the README's table lacks {name}"
