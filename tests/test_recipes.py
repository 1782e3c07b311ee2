"""Recipes: each describes a run, and can be listed, read, copied and trained by its name."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from test_plugin_package import setuptools_is_new, succeed

from factorexe.cli import main
from factorexe.config import read_yaml, resolve
from factorexe.recipe import find, names, question
from factorexe.run import build

ROOT = Path(__file__).parents[1]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs one command in an empty directory: exit code, stdout, stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(line):
        code = main(line.split())
        return code, *capsys.readouterr()

    return run


def test_every_file_of_the_folder_is_a_recipe():
    folder = files("factorexe") / "recipes"
    assert names() == sorted(path.name.removesuffix(".yaml") for path in folder.iterdir())
    assert {"default-multiplication", "scarce-data", "depth-at-test-time"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_a_recipe_describes_a_run_and_says_what_it_asks(name):
    resolved = resolve(files=[find(name)])
    assert not resolved.notes
    build(resolved.config)  # its parts fit together
    assert "?" in question(name)
    assert f"\n#     factorexe fit --recipe {name}\n" in find(name).read_text(encoding="utf-8")


def test_the_default_run_is_the_one_that_is_spelled_out():
    spelled, default = resolve(files=[find("default-multiplication")]), resolve({"task": "multiplication"})
    assert spelled.config.model_dump() == default.config.model_dump()
    assert spelled.plugins == default.plugins


def test_recipes_are_listed_with_what_they_ask(command):
    code, out, _ = command("recipes list")
    assert code == 0
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [[name, question(name)] for name in names()]


def test_a_recipe_is_shown_as_it_is_written(command):
    assert command("recipes show scarce-data") == (0, find("scarce-data").read_text(encoding="utf-8"), "")


def test_a_recipe_is_copied_and_trained_from_the_copy(command):
    code, out, err = command("recipes copy scarce-data")
    assert (code, out) == (0, "scarce-data.yaml\n")
    assert "factorexe fit --config scarce-data.yaml" in err
    assert Path("scarce-data.yaml").read_bytes() == find("scarce-data").read_bytes()
    copied = command("fit --config scarce-data.yaml --print-config")
    assert copied == command("fit --recipe scarce-data --print-config")
    Path("folder").mkdir()
    assert command("recipes copy scarce-data folder")[1] == str(Path("folder", "scarce-data.yaml")) + "\n"
    assert command("recipes copy scarce-data mine.yaml")[1] == "mine.yaml\n"


def test_a_file_that_exists_is_kept(command):
    Path("mine.yaml").write_text("task: addition\n")
    code, out, err = command("recipes copy scarce-data mine.yaml")
    assert (code, out) == (2, "")
    assert "mine.yaml exists and is kept" in err
    assert Path("mine.yaml").read_text() == "task: addition\n"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("recipes show scarce", "there is no recipe 'scarce'; did you mean scarce-data?"),
        ("recipes copy ../recipes/scarce-data", "there is no recipe"),
        ("recipes copy scarce-data absent/mine.yaml", "cannot be written: No such file or directory"),
        ("recipes lst", "lst"),
        ("fit --recipe scarce", "there is no recipe 'scarce'; did you mean scarce-data?"),
        ("fit --recipe scarce --help", "did you mean scarce-data?"),
        ("fit --recipe scarce-data --resume absent", "--resume goes on with a run as it is"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(command, line, part):
    code, out, err = command(line)
    assert (code, out) == (2, "")
    assert part in err
    assert len(err.splitlines()) == 1
    assert not list(Path().iterdir())


def test_a_recipe_stands_between_presets_and_files(command):
    Path("own.yaml").write_text("data: {eval_size: 30}\nseed: 30\n")
    recipe = read_yaml(find("depth-at-test-time"))
    line = "fit --preset tiny --recipe depth-at-test-time --config own.yaml --seed 40 --print-config"
    config = yaml.safe_load(command(line)[1])
    assert config["task"]["base"] == 5  # the preset
    assert config["trainer"]["max_steps"] == recipe["trainer"]["max_steps"]  # the recipe over the preset
    assert config["data"]["batch_size"] == recipe["data"]["batch_size"]
    assert config["data"]["eval_size"] == 30  # the file over the recipe
    assert config["seed"] == 40  # the words over the file


def test_help_of_a_recipe_lists_the_options_of_its_plugins(command):
    code, out, _ = command("fit --recipe depth-at-test-time --help")
    assert code == 0
    assert "--model.steps" in out
    assert "--recipe NAME" in out


@pytest.mark.slow
def test_a_wheel_holds_them(tmp_path):
    source = tmp_path / "source"
    kept = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "runs")
    shutil.copytree(ROOT, source, ignore=kept)
    here = importlib.util.find_spec("pip") is not None and setuptools_is_new()
    isolation = ["--no-build-isolation"] if here else []
    succeed([sys.executable, "-m", "pip", "wheel", "--no-deps", *isolation, "-w", tmp_path, source])
    (wheel,) = tmp_path.glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert {f"factorexe/recipes/{name}.yaml" for name in names()} <= set(held)
    assert "factorexe/py.typed" in held
