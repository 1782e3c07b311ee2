"""What docs/models.md says is so: its commands are understood, its figures computed, and nothing is missing."""

import argparse
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from factorexe.cards import POSITIONS, SYMBOLS, card, halting
from factorexe.choice import mark_of
from factorexe.cli import main, parser
from factorexe.config import RunConfig
from factorexe.layout import SequenceLayout
from factorexe.models.base import Model
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.registry import Registry
from factorexe.tasks.addition import Addition

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
COMMANDS = [line.split() for line in PAGE.replace("\\\n", " ").splitlines() if line.startswith("factorexe ")]
PARTS = {"models": "Models", "halting": "Halting", "depths": "Depth"}
ENTRIES = [(group, name) for group in PARTS for name in Registry(group).names()]


def sections(text, level):
    """Heading -> what stands below it."""
    found = re.split(rf"^{'#' * level} (.*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[1] == "fit"], ids=" ".join)
def test_every_run_of_the_page_is_understood(words, capsys):
    assert main([*words[1:], "--print-config"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[1] != "fit"], ids=" ".join)
def test_every_other_command_lacks_nothing_but_the_run(words, capsys):
    assert main(words[1:]) == 2
    assert capsys.readouterr().err == f"factorexe {words[1]}: error: RUN is not a run: it has no config.yaml\n"


def options_below(cls, path="", above=()):
    """Every option path that some choice of plug-ins has."""
    for field, info in cls.model_fields.items():
        where, mark = f"{path}{field}", mark_of(info)
        yield where
        if mark is not None and not isinstance(mark.default, tuple):
            for name in Registry(mark.group).names():
                if (plugin := Registry(mark.group).get(name).cls) not in above:
                    yield from options_below(plugin, f"{where}.", (*above, plugin))
        elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from options_below(info.annotation, f"{where}.", above)


def flags_below(verbs):
    """Every flag of the verbs themselves."""
    for action in verbs._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from flags_below(verb)


def test_every_option_that_is_named_exists():
    known = {f"--{option}" for option in options_below(RunConfig)} | set(flags_below(parser()))
    named = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", PAGE))
    assert len(named) > 20
    assert named - known == set()


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_everything_registered_has_its_section(group, name):
    section = sections(sections(PAGE, 2)[PARTS[group]], 3)[name]
    for label in ("**Defaults.**", "**Differs.**", "**Verified by.**"):
        assert label in section, f"section {name} lacks {label}"
    assert re.search(r"`test_\w+`", section.partition("**Verified by.**")[2])


@pytest.mark.parametrize("group", PARTS)
def test_no_section_is_about_what_is_not_there(group):
    assert set(sections(sections(PAGE, 2)[PARTS[group]], 3)) == set(Registry(group).names())


def test_every_test_and_file_that_is_named_exists():
    for name in set(re.findall(r"`(test_\w+)`", PAGE)):
        assert f"def {name}(" in TESTS, name
    for path in set(re.findall(r"\b(?:factorexe|tests|benchmarks)/[\w/.]+\w", PAGE)):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", Registry("models").names())
def test_the_table_is_what_is_computed(name):
    found = card(Registry("models").get(name).cls)
    row = re.search(rf"^\| `{name}` \| .* \| (.*) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE).groups()
    assert row == (found.paper, found.halting, f"{found.parameters:,}")
    assert found.layout == "sequence"


def test_parameters_are_counted_for_the_symbols_and_positions_of_addition():
    layout = SequenceLayout(Addition(), chain=False)
    assert (layout.vocabulary, layout.max_length) == (SYMBOLS, POSITIONS)


def test_a_model_that_takes_some_policies_is_listed_with_those():
    class Picky(UniversalTransformerConfig):
        def build(self, vocabulary, max_length):
            if self.halting.name not in ("act", "fixed"):
                raise ValueError("only these")
            return Model()

    assert halting(Picky) == "act, fixed"
    assert halting(UniversalTransformerConfig) == "any"
