"""What the README says is so: its task keeps the contract, its commands are understood, its tree is complete."""

import re
from pathlib import Path

import pytest

from factorexe.cli import main
from factorexe.testing import check_task

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TREE = re.search(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL).group(1)
COMMANDS = [
    part.partition("  #")[0].split()
    for line in README.splitlines()
    for part in re.split(r"&&|>", line)
    if part.strip().startswith("factorexe fit ") and "RUN" not in part
]


def test_the_two_setup_commands_stand_there_exactly():
    assert "\npip install -c constraints.txt . && factorexe fit --task multiplication\n" in README
    assert '\npip install -c constraints.txt -e ".[dev]" && pytest\n' in README


def test_the_task_of_the_readme_keeps_the_contract(tmp_path):
    code = re.search(r"```python\n(\"\"\"Is the number.*?)```", README, re.DOTALL).group(1)
    assert len(code.partition("class ")[2].splitlines()) <= 20
    names = {"__name__": "__main__"}
    exec(code, names)
    check_task(names["Parity"])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_of_the_readme_is_understood(words, tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(\"\"\"Is the number.*?)```", README, re.DOTALL).group(1)
    (tmp_path / "parity.py").write_text(code)
    (tmp_path / "run.yaml").write_text("task: multiplication\n")
    monkeypatch.chdir(tmp_path)
    try:
        status = main([*words[1:], "--print-config"])
    except SystemExit as stop:
        status = stop.code
    assert status == 0, capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((ROOT / "factorexe").glob("*")), ids=lambda path: path.name)
def test_every_part_of_the_house_is_in_the_tree(path):
    if path.name.startswith("__") or path.name == "py.typed":
        return
    assert re.search(rf"^  {re.escape(path.name)}/?\s", TREE, re.MULTILINE), path.name


@pytest.mark.parametrize("folder", ["tasks", "models", "objectives", "optim", "callbacks", "config", "sweeps", "plots"])
def test_every_file_of_a_folder_is_named_in_the_tree(folder):
    for path in (ROOT / "factorexe" / folder).glob("[a-z]*.py"):
        assert path.name in TREE


def test_pictures_and_files_that_are_linked_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
