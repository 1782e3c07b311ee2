"""A stranger's package: installed into an environment of its own, found, checked and trained."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).parents[1] / "examples" / "plugin"
ORIGIN = "factorexe-example 0.1.0"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with the package, and with everything that is installed here."""
    home = tmp_path_factory.mktemp("environment")
    pip_is_here = importlib.util.find_spec("pip") is not None
    succeed([sys.executable, "-m", "venv", *(["--without-pip"] if pip_is_here else []), home])
    here = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    lines = [f"import site; site.addsitedir({place!r})\n" for place in here]  # reads .pth files there too
    interpreter = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    own = succeed([interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    Path(own, "installed-here.pth").write_text("".join(lines))
    source = home / "source"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    isolation = ["--no-build-isolation"] if pip_is_here and setuptools_is_new() else []
    succeed([interpreter, "-m", "pip", "install", "--no-deps", *isolation, source])
    return interpreter


def setuptools_is_new():
    try:
        return int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        return False


def succeed(command, **options):
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def factorexe(python, *words, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return succeed([python, "-m", "factorexe", *words], cwd=cwd, env={**environment, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize(
    ("group", "name"), [("tasks", "doubling"), ("tasks", "numerals"), ("models", "gated-recurrent")]
)
def test_lists_say_which_package_a_name_comes_from(python, tmp_path, group, name):
    rows = [line.split(maxsplit=1) for line in factorexe(python, group, "list", cwd=tmp_path).splitlines()]
    assert [name, ORIGIN] in rows


def test_its_problems_are_shown(python, tmp_path):
    (problem,) = json.loads(factorexe(python, "tasks", "show", "doubling", "--count", "1", "--json", cwd=tmp_path))
    assert int(problem["answer"][::-1]) == 2 * int(problem["prompt"])
    assert "gated recurrence" in factorexe(python, "models", "show", "gated-recurrent", cwd=tmp_path)


@pytest.mark.parametrize("name", ["doubling", "numerals"])
def test_its_tasks_keep_the_promises(python, tmp_path, name):
    report = factorexe(python, "tasks", "check", name, cwd=tmp_path)
    assert report.startswith("ok")
    assert "FAILED" not in report


CHECK_MODEL = """
from factorexe.registry import Registry
from factorexe.testing import check_model

check_model(Registry("models").get("gated-recurrent").cls)
"""


def test_its_model_keeps_the_promises(python, tmp_path):
    succeed([python, "-c", CHECK_MODEL], cwd=tmp_path)


@pytest.mark.parametrize(
    "chosen",
    [{"task": "doubling"}, {"task": "doubling", "model": "gated-recurrent"}, {"task": "numerals"}],
    ids=lambda chosen: " ".join(chosen.values()),
)
def test_it_trains_and_the_run_records_package_and_version(python, tmp_path, chosen):
    options = [word for field, name in chosen.items() for word in (f"--{field}", name)]
    factorexe(python, "fit", *options, "--preset", "tiny", "--runs", "kept", cwd=tmp_path)
    (result,) = tmp_path.glob("kept/*/*/*/result.json")
    solved = json.loads(result.read_text())["solved"]
    assert all(solved[split]["n"] > 0 for split in ("seen", "val", "ood"))
    plugins = json.loads((result.parent / "run.json").read_text())["plugins"]
    assert {field: plugins[field] for field in chosen} == {field: [name, ORIGIN] for field, name in chosen.items()}


def test_a_module_of_its_own_refuses_options_it_cannot_honour(python, tmp_path):
    command = [python, "-m", "factorexe", "fit", "--task", "numerals", "--data.train-size", "50", "--runs", "kept"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 2
    assert "leave out --data.train_size" in done.stderr
    assert not (tmp_path / "kept").exists()


RESUME = """
import numpy, torch
from factorexe.config import resolve
from factorexe.run import build
data = build(resolve({"task": "numerals", "data.batch_size": 10}).config).data
rounds = numpy.concatenate([data.batch("train", i).examples.answer for i in range(140)])
held = len(data.problems["train"])
assert len(numpy.unique(rounds[:held], axis=0)) == len(numpy.unique(rounds[held : 2 * held], axis=0)) == held

class Trainer:
    global_step, accumulate_grad_batches = 7, 2

data.trainer = Trainer()
for workers in (0, 2):
    data.options = data.options.model_copy(update={"num_workers": workers})
    stream = iter(data.train_dataloader())
    for index in range(14, 18):
        assert torch.equal(next(stream).tokens, data.batch("train", index).tokens)
"""


def test_a_module_of_its_own_goes_on_where_the_run_stands(python, tmp_path):
    succeed([python, "-c", RESUME], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
