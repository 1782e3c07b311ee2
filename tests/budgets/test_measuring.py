"""Budgets of trained runs: each point is an evaluation, and none is made twice."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from sketched_budgets import scores

import factorexe
from factorexe.arithmetic import decoding_multiply_adds
from factorexe.budgets import measuring
from factorexe.config import ConfigError
from factorexe.evaluation import evaluate, reloaded
from factorexe.rundir import RunError

OPTIONS = {
    "task": "addition",
    "model": "universal-transformer",
    "model.layers": 1,
    "model.steps": 2,
    "model.positions": "rotary",
    "objective": "chain",
    "data.eval_size": 20,
    "trainer.val_check_interval": 1000,
    "trainer.logger": "none",
    "trainer.enable_progress_bar": False,
    "optim.optimizer.lr": 1e-2,
}


def fitted(runs, **changes):
    return factorexe.fit({**OPTIONS, "trainer.max_steps": 1, **changes}, preset="tiny", runs=runs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs by name: a loop that has learned something, the same with a learned step embedding, one that ponders, and a
    plain transformer."""
    runs = tmp_path_factory.mktemp("runs")
    plain = {"model": "transformer", "model.layers": 1}
    return {
        "loop": fitted(runs, **{"trainer.max_steps": 60}),
        "learned": fitted(runs, **{"model.step_embedding": "learned"}),
        "ponder": fitted(runs, **{"model.halting": "ponder", "model.halting.deploy": "threshold"}),
        "plain": factorexe.fit(
            {
                **{name: value for name, value in OPTIONS.items() if name != "model.steps"},
                **plain,
                "trainer.max_steps": 1,
            },
            preset="tiny",
            runs=runs,
        ),
    }


@pytest.fixture
def run(trained, tmp_path):
    """A run of this name of which no budget is known yet."""

    def copied(name="loop"):
        path = tmp_path / name
        if not path.exists():
            shutil.copytree(trained[name].path, path)
            (path / "budget.json").unlink(missing_ok=True)
        return factorexe.load(path)

    return copied


@pytest.fixture
def made(monkeypatch):
    """The splits of every pass that is made; none is really, and each solves half."""
    found = []

    def scored(of, splits):
        found.append(list(splits))
        return {split: scores(10.0, d1=0.5) for split in splits}

    monkeypatch.setattr(measuring, "scored", scored)
    return found


def refused(answer, part):
    code, out, err = answer
    assert (code, out) == (2, "")
    assert part in err
    assert len(err.splitlines()) == 1


# -- what a point is


def test_each_point_is_the_evaluation_with_the_same_change(run):
    (curve,) = factorexe.budget(run(), dial="steps", values=(1, 3)).curves
    assert [(point.value, point.trained) for point in curve.points] == [(1, False), (2, True), (3, False)]
    for point in curve.points:
        record = evaluate(reloaded(run(), {"model.steps": point.value}), ("val", "ood"))
        for split, found in point.scores.items():
            assert found.solved == record["solved"][split]["rate"]
            assert list(found.interval) == record["solved"][split]["interval"]
            assert found.n == record["solved"][split]["n"]
            assert found.compute == record["compute_per_problem"][split]
            rates = {str(level): rate.rate for level, rate in found.by_difficulty.items()}
            assert rates == record["solved_by_difficulty"][split]
    assert curve.points[1].scores["val"].solved == run().result["solved"]["val"]["best"]


def test_every_dial_is_turned_with_the_others_as_in_training(run, made):
    budget = factorexe.budget(run("ponder"), splits=("val",))
    steps, threshold = budget.curves
    assert (steps.dial, threshold.dial) == ("model.steps", "model.halting.threshold")
    assert {point.value for point in steps.points} >= {1, 2, 8}
    at_trained = [next(point for point in curve.points if point.trained) for curve in budget.curves]
    assert at_trained[0].scores == at_trained[1].scores
    assert (at_trained[0].value, at_trained[1].value) == (2, 0.9)
    changes = [entry["changes"] for entry in json.loads((run("ponder").path / "budget.json").read_text())["passes"]]
    assert max(map(len, changes)) == 1


def test_where_halting_deploys_an_approximation_the_trained_budget_is_measured_with_all_tokens_running_too(run):
    budget = factorexe.budget(run("ponder"), dial="steps", values=(1,), splits=("val",))
    record = evaluate(reloaded(run("ponder"), {"model.halting.others_see": "running"}), ("val",))
    assert budget.running.scores["val"].compute == record["compute_per_problem"]["val"]
    assert budget.running.scores["val"].solved == record["solved"]["val"]["rate"]
    assert factorexe.budget(run(), dial="steps", values=(1,)).running is None


def test_a_shorter_loop_uses_the_first_steps_of_a_learned_embedding_and_a_longer_one_is_refused(run):
    (curve,) = factorexe.budget(run("learned"), dial="steps", values=(3, 1), splits=("val",)).curves
    shorter, trained, longer = curve.points
    assert (shorter.value, shorter.refused, trained.value) == (1, None, 2)
    assert longer.refused.startswith("its weights cannot be used with model.steps 3 (it was 2)")
    found = reloaded(run("learned"))
    batch = found.built.data.evaluation_batches("val")[0]
    with torch.no_grad():
        told = found.built.objective.decode(found.built.model.eval(), batch, steps=1)
        short = reloaded(run("learned"), {"model.steps": 1}).built
        assert torch.equal(short.objective.decode(short.model.eval(), batch).tokens, told.tokens)


def test_other_options_hold_in_every_pass(run):
    changes = {"task.digits": 3, "data.eval_size": 5}
    budget = factorexe.budget(run(), changes, dial="steps", values=(1,))
    assert budget.changed == changes
    for point in budget.curves[0].points:
        record = evaluate(reloaded(run(), {**changes, "model.steps": point.value}), ("val", "ood"))
        assert {split: scores.n for split, scores in point.scores.items()} == {
            split: record["solved"][split]["n"] for split in ("val", "ood")
        }
        assert point.scores["ood"].compute == record["compute_per_problem"]["ood"]


def test_dials_of_a_halting_that_was_chosen_afterwards_are_turned_too(run, made):
    changes = {"model.halting": "confidence", "model.steps": 8}
    budget = factorexe.budget(run(), changes, dial="halting.patience", values=(1, 3), splits=("val",))
    assert {point.value for point in budget.curves[0].points} >= {1, 3}
    assert budget.unturned == "changed"
    assert factorexe.budget(run(), {"task.digits": 3}, dial="steps", values=()).unturned == "trained"


# -- multiply-adds


class Product:
    """An objective that answers by one product and one attention."""

    def decode(self, model, batch):
        batch[:, :3] @ model.weight.T  # (2, 3) by (3, 4): 24 multiply-adds
        one = torch.ones(1, 1, 2, 4)
        torch.nn.functional.scaled_dot_product_attention(one, one, one)  # 2 x 4 x 2 for scores, as many for values


class Row(torch.nn.Linear):
    """Returns a row of its weight, as a step embedding does."""

    def forward(self, x):
        return self.weight[0]


def test_multiply_adds_are_those_of_products_and_attention_per_problem():
    assert decoding_multiply_adds(torch.nn.Linear(3, 4), Product(), [torch.ones(2, 3)]) == (24 + 16 + 16) / 2


def test_a_module_that_returns_a_row_of_its_weight_is_counted_and_left_as_it_was():
    class Asks:
        def decode(self, model, batch):
            with torch.no_grad():
                batch @ model(None)[:, None]  # (2, 3) by (3, 1)

    row = Row(3, 4)
    assert decoding_multiply_adds(row, Asks(), [torch.ones(2, 3)]) == 6 / 2
    assert all(parameter.requires_grad for parameter in row.parameters())


def test_the_multiply_adds_of_a_point_are_those_of_decoding_a_problem(run):
    (curve,) = factorexe.budget(run(), dial="steps", values=(), splits=("val",)).curves
    built = reloaded(run()).built
    (batch,) = built.data.evaluation_batches("val")  # few enough to be counted in one batch
    counted = decoding_multiply_adds(built.model.eval(), built.objective, [batch])
    assert curve.points[0].scores["val"].multiply_adds == counted
    width, vocabulary, tokens = 32, built.layout.vocabulary, 4  # at least the prompt and its mark, to the first token
    assert counted > tokens * 2 * 12 * width**2 + width * vocabulary  # a block of 12 width^2, twice; the readout


# -- what is known already


def test_what_was_measured_is_not_measured_again(run, made):
    first = factorexe.budget(run(), dial="steps", values=(1,))
    assert made == [["val", "ood"], ["val", "ood"]]
    assert factorexe.budget(run(), dial="steps", values=(1,)) == first
    assert len(made) == 2
    factorexe.budget(run(), dial="steps", values=(1, 3), splits=("seen", "val"))
    assert made[2:] == [["seen"], ["seen"], ["seen", "val"]]
    assert factorexe.budget(run(), dial="steps", values=(1,), force=True) == first
    assert len(made) == 7


def test_other_weights_and_other_problems_are_measured_anew(run, made):
    one = run()
    factorexe.budget(one, dial="steps", values=(), splits=("val",))
    factorexe.budget(one, {"data.eval_size": 10}, dial="steps", values=(), splits=("val",))
    assert len(made) == 2
    path = one.directory.checkpoint("best")
    content = torch.load(path, weights_only=True)
    content["state_dict"]["model.embedding.weight"] += 1.0
    torch.save(content, path)
    factorexe.budget(one, dial="steps", values=(), splits=("val",))
    assert len(made) == 3


def test_an_interrupted_budget_goes_on_where_it_stood(run, made, monkeypatch, command):
    words = ("budget", run().path, "--dial", "steps", "--values", "1,3,4", "--split", "val")
    scored = measuring.scored

    def interrupted(found, splits):
        if len(made) == 2:
            raise KeyboardInterrupt
        return scored(found, splits)

    monkeypatch.setattr(measuring, "scored", interrupted)
    code, out, err = command(*words)
    assert (code, out) == (130, "")
    assert "kept in budget.json; retype the command to go on" in err
    kept = json.loads((run().path / "budget.json").read_text())
    assert [entry["changes"] for entry in kept["passes"]] == [{}, {"model.steps": 1}]
    assert [point["value"] for point in kept["latest"]["curves"][0]["points"]] == [1, 2]
    monkeypatch.setattr(measuring, "scored", scored)
    assert command(*words)[0] == 0
    assert len(made) == 4


# -- the commands


def test_the_command_prints_tables_and_leaves_a_figure_and_the_passes_in_the_run(run, made, command):
    path = run().path
    code, out, err = command("budget", path, "--dial", "model.steps", "--values", "1,4", "--split", "val")
    assert code == 0
    assert "2 (trained)" in out
    assert "overthinking" in out
    assert "model.steps 4: val" in err
    assert f"written: {path / 'budget.png'}" in err
    assert (path / "budget.png").read_bytes().startswith(b"\x89PNG")
    latest = json.loads((path / "budget.json").read_text())["latest"]
    code, out, _ = command("budget", path, "--dial", "steps", "--values", "1,4", "--split", "val", "--json")
    assert json.loads(out) == latest
    assert [point["value"] for point in latest["curves"][0]["points"]] == [1, 2, 4]


def test_a_figure_can_be_written_elsewhere(run, made, command, tmp_path):
    words = ("budget", run().path, "--dial", "steps", "--values", "1", "--data.eval_size", "4")
    code, out, _ = command(*words, "--output", tmp_path / "loop.svg")
    assert code == 0
    assert "CHANGED  data.eval_size: 4 here" in out
    assert (tmp_path / "loop.svg").read_text().count("<svg") == 1
    assert not (run().path / "budget.png").exists()


def test_a_value_that_is_refused_has_a_line_and_the_others_go_on(run, made, command):
    code, out, err = command("budget", run().path, "--dial", "steps", "--values", "0,x,1", "--split", "val")
    assert code == 0
    assert "model.steps 0: refused: model.steps: Input should be greater than or equal to 1" in out
    assert "model.steps x: refused" in err
    assert "model.steps 1: val" in err


@pytest.mark.parametrize(
    ("name", "words", "part"),
    [
        ("loop", ["--dial", "stepz"], "universal-transformer has no dial 'stepz'; did you mean steps?"),
        ("loop", ["--values", ","], "--values: expected values with commas between them"),
        ("loop", ["--split", "test"], "test is kept for a last look, which is factorexe test"),
        ("loop", ["--split", "vla"], "there is no split 'vla'; did you mean val"),
        ("loop", ["--split", ","], "--split: expected some of seen, val, ood"),
        ("loop", ["--model.steps", "3"], "model.steps is turned here; give what to try as --dial model.steps --values"),
        ("loop", ["--model.width", "64"], "cannot be used with model.width 64"),
        ("loop", ["--model.stepz", "3"], "did you mean --model.steps"),
        ("loop", ["--output", "loop.pdf"], "expected a file that ends in .png or .svg"),
        ("ponder", ["--values", "1"], "of which dial? say --dial NAME, one of: model.steps, model.halting.threshold"),
        ("plain", [], "transformer has no dial"),
    ],
)
def test_what_cannot_be_measured_is_named(run, command, name, words, part):
    refused(command("budget", run(name).path, *words), part)


def test_a_run_that_is_none_or_not_finished_is_named(run, command, tmp_path):
    (run().path / "result.json").unlink()
    for verb in ("budget", "compare"):
        refused(command(verb, tmp_path / "absent"), "absent is not a run")
        refused(command(verb, run().path), "is unfinished; go on with it first: factorexe fit --resume")


def test_runs_are_compared_with_what_is_known_of_them_and_measured_where_nothing_is(run, command, made, tmp_path):
    factorexe.budget(run(), dial="steps", splits=("val",))
    factorexe.budget(run(), dial="steps", values=(7,), splits=("val",))
    before = len(made)
    figure = tmp_path / "both.png"
    words = ("compare", run().path, run("plain").path, run().path, "--split", "val", "--output", figure)
    code, out, _ = command(*words, "--json")
    assert code == 0
    assert made[before:] == [["val"]]  # of the plain transformer
    record = json.loads(out)
    loop, plain = record["runs"]
    assert {point["value"] for point in loop["budget"]["curves"][0]["points"]} >= {1, 2, 4, 7, 8}
    (alone,) = plain["budget"]["curves"]
    assert (alone["dial"], len(alone["points"])) == (None, 1)
    assert [loop["parameters"], plain["parameters"]] == [run(n).result["parameters"] for n in ("loop", "plain")]
    assert figure.read_bytes().startswith(b"\x89PNG")
    _, out, _ = command(*words, "--at", "multiply-adds", "--x", "multiply-adds")
    assert "NOT of equal multiply-adds in training" in out  # 60 steps and one


def test_runs_of_other_problems_are_not_compared(run, made, command, tmp_path):
    other = fitted(tmp_path / "other", **{"task.digits": 3})
    reverse = factorexe.fit(
        {"task": "reverse", "objective": "answer", "trainer.max_steps": 1, "trainer.enable_progress_bar": False},
        preset="tiny",
        runs=tmp_path / "other",
    )
    refused(command("compare", run().path, reverse.path), "task.name is addition in")
    refused(command("compare", run().path, other.path), "task.digits is 2 in")
    words = ("--task.digits", "3", "--data.eval_size", "3", "--split", "ood", "--output", tmp_path / "x.png")
    assert command("compare", run().path, other.path, *words)[0] == 0


def test_from_python_mistakes_are_exceptions(run):
    with pytest.raises(ConfigError, match="no dial 'width'"):
        factorexe.budget(run(), dial="width")
    (run().path / "result.json").unlink()
    with pytest.raises(RunError, match="is unfinished"):
        factorexe.compare([run()])


@pytest.mark.slow
def test_as_a_user_types_it(tmp_path):
    fit = ["fit", "--task", "parity", "--preset", "tiny", "--data.eval_size", "50", "--trainer.max_steps", "40"]
    program = [sys.executable, "-m", "factorexe"]

    def typed(*words):
        return subprocess.run([*program, *map(str, words)], cwd=tmp_path, capture_output=True, text=True, timeout=300)

    for model in (["universal-transformer", "--model.halting", "act"], ["transformer"]):
        assert typed(*fit, "--model", *model).returncode == 0
    loop, plain = sorted(tmp_path.glob("runs/parity/*/*"), key=lambda path: path.parts[-2], reverse=True)
    words = [*program, "budget", str(loop), "--dial", "steps", "--values", ",".join(map(str, range(1, 40)))]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not process.stderr.readline().startswith("model.steps 2:"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, "")
    assert "kept in budget.json" in err
    assert len(json.loads((loop / "budget.json").read_text())["passes"]) >= 3
    found = typed("budget", loop)
    assert found.returncode == 0
    assert "model.steps 1: " in found.stderr
    assert "model.halting.epsilon" in found.stdout
    compared = typed("compare", loop, plain)
    assert compared.returncode == 0
    assert (tmp_path / "compare.png").exists()
