"""The command: exit codes, short errors that name the mistake, nothing written for bad input."""

import json
import subprocess
import sys

import pytest
import yaml

from factorexe import __version__
from factorexe.cli import main
from factorexe.registry import Registry
from factorexe.tasks.multiplication import Multiplication


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs one command in an empty directory: exit code, stdout, stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(line):
        try:
            code = main(line.split())
        except SystemExit as left:  # argparse leaves after --help and --version
            code = left.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(command, tmp_path):
    """Runs a command that has to be refused; returns the lines on stderr."""

    def run(line):
        (tmp_path / "work" / "kept.txt").touch()
        code, out, err = command(line)
        lines = err.splitlines()
        assert code == 2
        assert out == "" or "--help" in line
        assert 1 <= len(lines) <= 5
        assert all(": error: " in text for text in lines)
        assert "Traceback" not in err
        assert [path.name for path in (tmp_path / "work").iterdir()] == ["kept.txt"]
        return lines

    return run


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("fit", "give --task NAME, one of: addition, bin-packing"),
        ("fit --task multiplicaton", "did you mean multiplication"),
        ("fit --task addition --model transfromer", "did you mean transformer"),
        ("fit --task addition --objective chian", "did you mean chain"),
        (
            "fit --task addition --model universal-transformer --model.halting act --model.halting.cst 1",
            "did you mean --model.halting.cost",
        ),
        ("fit --task addition --model transformer --model.halting act", "universal-transformer have halting"),
        ("fit --task addition --task.digit 3", "did you mean --task.digits"),
        ("fit --task addition --task.digits three", "task.digits: "),
        ("fit --task addition --task.digits 0", "greater than or equal to 1"),
        ("fit --task addition --task.min_digits 5", "min_digits (5) must not exceed digits (3)"),
        ("fit --task addition --model.width 30", "heads (8) must divide width (30)"),
        ("fit --task addition --preset absent", "there is no preset 'absent'"),
        ("fit --task addition --data.mixture 9=1", "data.mixture: expected weights"),
        ("fit --task toys:Successor --task.size 1 --trainer.max_steps 1", "1 problems in all, too few for its splits"),
        ("fit --config absent.yaml", "absent.yaml: cannot be read"),
        ("fit --config", "expected one argument"),
        ("fit --resume absent", "absent is not a run"),
        ("fit --resume absent --seed 3", "--resume goes on with a run as it is"),
        ("fit --task addition --help --model absent", "nothing in models is called 'absent'"),
        ("tasks show multiplicaton", "did you mean multiplication"),
        ("tasks show addition --split trian", "there is no split 'trian'; did you mean train"),
        ("tasks show addition --difficulty 9", "train has difficulties 3 to 3 (got 9)"),
        ("tasks show addition --count 0", "--count must be at least 1"),
        ("tasks show addition --count x", "invalid int value"),
        ("tasks check absent", "nothing in tasks is called 'absent'"),
        ("models show absent", "nothing in models is called 'absent'"),
        ("fti", "fti"),
        ("tasks lst", "lst"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(refused, line, part):
    assert part in "\n".join(refused(line))


def test_several_mistakes_are_named_together_and_in_few_lines(refused):
    wrong = "--task.digits 0 --seed x --model.width 30 --task.bse 2 --trainer.max_steps 0 --data.eval_size 0"
    lines = refused(f"fit --task addition {wrong}")
    text = "\n".join(lines)
    for part in ("task.digits", "seed", "model", "--task.bse", "trainer.max_steps", "data.eval_size"):
        assert part in text


def test_many_mistakes_still_make_five_lines(refused):
    wrong = " ".join(
        f"--data.{name} x" for name in ("batch_size", "train_size", "eval_size", "corrupt", "split_seed", "num_workers")
    )
    assert len(refused(f"fit --task addition {wrong} --seed x")) == 5


@pytest.mark.parametrize("more", ["", " --help"])
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("task: [\n", "run.yaml, line 2: not valid YAML"),
        ("- task\n", "expected options as `name: value`"),
        ("task: factorexe.tasks.addition:Addition\n", "a file may only use registered names"),
        ("task: ./mine.py:Mine\n", "a file may only use registered names"),
        ("task: adition\n", "did you mean addition"),
    ],
)
def test_a_mistake_in_a_file_is_named(refused, tmp_path, text, part, more):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    assert part in "\n".join(refused(f"fit --config {path}{more}"))


def test_an_unknown_option_in_a_file_is_named(refused, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("task: addition\ndata: {trian_size: 3}\n")
    assert "data.trian_size: there is no such option; did you mean train_size" in "\n".join(
        refused(f"fit --config {path}")
    )


def test_tasks_are_listed_by_name_with_their_package(command):
    code, out, _ = command("tasks list")
    assert code == 0
    assert f"addition        factorexe {__version__}" in out.splitlines()
    assert [line.split()[0] for line in out.splitlines()] == Registry("tasks").names()


def test_the_long_list_says_what_each_task_is_and_loads_what_it_can(command, install):
    code, out, _ = command("tasks list --long")
    assert code == 0
    for part in ("Add two numbers", "digits of the first number", "Lee et al. 2023, arXiv:2307.03381"):
        assert part in " ".join(out.split())
    install("their-package", {"factorexe.tasks": ["plus = their_broken:Plus"]}, their_broken="raise RuntimeError('no')")
    code, out, _ = command("tasks list --long")
    assert code == 1
    assert "cannot be loaded: RuntimeError: no" in " ".join(out.split()) or "RuntimeError" in out
    assert "multiplication" in out


def test_the_long_list_of_models_says_what_each_is_and_loads_what_it_can(command, install):
    code, out, _ = command("models list --long")
    assert code == 0
    for part in (
        "A pre-norm decoder",
        "Dehghani et al. 2019,",
        "arXiv:1807.03819",
        "as inner",
        "397,952",
        "16 symbols",
    ):
        assert part in " ".join(out.split())
    unbuilt = 'from factorexe.models.base import ModelConfig\nclass Unbuilt(ModelConfig):\n    """Never done."""\n'
    names = ["gone = their_gone:Gone", "unbuilt = their_unbuilt:Unbuilt"]
    install("their-package", {"factorexe.models": names}, their_gone="raise RuntimeError('no')", their_unbuilt=unbuilt)
    code, out, _ = command("models list --long")
    assert code == 1
    assert "cannot be loaded:" in out
    assert "cannot be built: NotImplementedError" in " ".join(out.split())
    assert "397,952" in out


def test_a_model_is_shown_with_what_it_chooses_from(command, refused):
    code, out, _ = command("models show universal-transformer")
    assert code == 0
    for part in (
        "paper: Dehghani et al. 2019",
        "--model.halting NAME, one of (add it to see its options): act",
        "Halting is a distribution over steps, trained on the expected loss. Banino et al. 2021",
        "--model.depth NAME, one of",
    ):
        assert part in " ".join(out.split())
    assert "--model.halting.epsilon" not in out
    assert "--model.halting.epsilon" in command("models show universal-transformer --model.halting act")[1]
    nested = command("models show pause-token --model.inner universal-transformer --model.inner.halting ponder")[1]
    assert "--model.inner.halting.prior" in nested
    assert "--model.inner.depth NAME, one of" in nested
    assert "did you mean --model.steps" in refused("models show universal-transformer --model.step 2")[0]
    assert "universal-transformer have halting" in refused("models show transformer --model.halting act")[0]
    assert "model: heads (3) must divide width (128)" in refused("models show transformer --model.heads 3")[0]


def test_parameters_of_a_model_are_those_of_the_options_given(command):
    out = command("models show universal-transformer --model.width 64")[1]
    attention, perceptron, norms, symbols = 4 * 64**2, 8 * 64**2, 4 * 64, 2 * 16 * 64
    assert f"parameters: {attention + perceptron + norms + symbols:,} for 16 symbols" in out


def test_a_broken_policy_is_shown_among_the_others(command, install):
    install("their-package", {"factorexe.halting": ["gone = their_gone:Gone"]}, their_gone="raise RuntimeError('no')")
    code, out, _ = command("models show universal-transformer")
    assert code == 0
    assert "cannot be loaded:" in out
    assert "stick-breaking" in out
    assert "  any  " in command("models list --long")[1]


def test_a_task_is_shown_and_checked_with_options_and_presets(command, refused):
    _, out, _ = command("tasks show addition --task.digits 5 --task.digit_order plain --count 1 --json")
    (problem,) = json.loads(out)
    first, second = problem["prompt"].split("+")
    assert int(problem["answer"]) == int(first) + int(second)
    assert len(first) == 5
    assert "A=[]" in command("tasks show addition --preset detailed --count 1")[1]
    assert command("tasks check copy --task.length 5")[0] == 0
    assert "did you mean --task.digits" in refused("tasks show addition --task.digts 5")[0]
    assert "did you mean detailed" in refused("tasks show addition --preset detaled")[0]
    assert "task: min_digits (4) must not exceed digits (3)" in refused("tasks show addition --task.min_digits 4")[0]


def test_a_broken_plugin_is_listed_and_harms_no_other(command, install):
    install("their-package", {"factorexe.tasks": ["plus = their_broken:Plus"]}, their_broken="raise RuntimeError('no')")
    assert "plus" in command("tasks list")[1]
    assert command("tasks show addition")[0] == 0
    code, _, err = command("tasks show plus")
    assert code == 2
    assert "from their-package 1.0) cannot be loaded: RuntimeError: no" in err


def test_a_task_is_shown_with_its_options_and_problems(command):
    code, out, _ = command("tasks show multiplication --count 2")
    assert code == 0
    for part in ("--task.second_digits", "Digits of the second number", "presets: default, tiny", "prompt"):
        assert part in out


@pytest.mark.parametrize("split", ["train", "val", "guide", "test", "ood", "ood_test"])
def test_problems_shown_as_json_are_right(command, split):
    code, out, _ = command(f"tasks show multiplication --count 3 --seed 1 --split {split} --json")
    assert code == 0
    found = json.loads(out)
    assert len(found) == 3
    for problem in found:
        first, second = map(int, problem["prompt"].split("*"))
        assert int(problem["answer"][::-1]) == first * second
        assert problem["difficulty"] == len(problem["prompt"]) // 2 == (4 if split.startswith("ood") else 3)


@pytest.mark.parametrize("name", ["addition", "multiplication"])
def test_a_task_that_keeps_its_promises_is_said_to(command, name):
    code, out, _ = command(f"tasks check {name}")
    assert code == 0
    assert "ok      same_seed_same_problems" in out
    assert "FAILED" not in out


def test_a_task_that_breaks_a_promise_fails_the_check(command, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from factorexe.tasks.addition import Addition\nclass Mine(Addition):\n    presets = {}\n")
    code, out, _ = command(f"tasks check {path}:Mine")
    assert code == 1
    assert "FAILED  presets_hold: Mine.presets lacks default and tiny" in out
    assert "ok      splits_are_disjoint" in out


def test_a_printed_config_describes_the_same_run(command, tmp_path):
    code, first, _ = command("fit --task multiplication --task.digits 2 --model.layers 1 --seed 3 --print-config")
    assert code == 0
    path = tmp_path / "printed.yaml"
    path.write_text(first)
    assert command(f"fit --config {path} --print-config")[1] == first
    assert yaml.safe_load(first)["model"]["layers"] == 1
    assert not (tmp_path / "work" / "runs").exists()


def test_a_preset_is_applied_in_full(command):
    config = yaml.safe_load(command("fit --task multiplication --preset tiny --print-config")[1])
    for path, value in Multiplication.presets["tiny"].items():
        block, option = path.split(".")
        assert config[block][option] == value


def test_help_of_a_config_file_lists_the_options_of_its_task(command, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("task: multiplication\n")
    code, out, _ = command(f"fit --config {path} --help")
    assert code == 0
    assert "--task.second_digits" in out


@pytest.mark.parametrize(
    "line", ["--help", "fit --help", "fit -h", "tasks", "tasks --help", "models --help", "tasks show --help", ""]
)
def test_help_is_not_an_error(command, line):
    code, out, err = command(line)
    assert code == 0
    assert "usage" in out
    assert err == ""


def test_the_version_is_printed(command):
    assert command("--version")[:2] == (0, f"factorexe {__version__}\n")


@pytest.mark.parametrize(
    ("line", "unwanted"),
    [
        ("--help", "torch"),
        ("fit --help", "torch"),
        ("tasks list", "torch"),
        ("models list", "torch"),
        ("tasks show multiplication", "torch"),
        ("tasks check multiplication", "torch"),
        ("fit --task multiplication --help", "lightning"),
        ("fit --task multiplication --print-config", "lightning"),
    ],
)
def test_what_a_verb_does_not_need_is_not_imported(line, unwanted):
    code = (
        "import sys; from factorexe.cli import main\n"
        f"try: left = main({line.split()!r})\n"
        "except SystemExit as error: left = error.code\n"
        f"sys.exit(left or {unwanted!r} in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
