"""A finished run's weights: scored again, with options changed, on problems kept for last, on typed ones."""

import io
import json

import numpy as np
import pytest
import torch

import factorexe
from factorexe.config import ConfigError
from factorexe.evaluation import evaluate, predict, reloaded
from factorexe.rundir import RunError
from factorexe.tasks.base import SPLITS

ROWS = {"final": "rate", "n": "n", "interval": "interval"}


def fitted(runs, **changes):
    options = {
        "task": "addition",
        "model": "universal-transformer",
        "model.layers": 1,
        "model.steps": 2,
        "model.positions": "rotary",
        "objective": "chain",
        "data.eval_size": 30,
        "trainer.max_steps": 60,
        "trainer.val_check_interval": 30,
        "trainer.enable_progress_bar": False,
        "optim.optimizer.lr": 1e-2,
    }
    return factorexe.fit({**options, **changes}, preset="tiny", runs=runs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two-digit sums in base 5, rotary positions, two steps."""
    return fitted(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The same with learned positions and a learned step embedding."""
    changes = {"model.positions": "learned", "model.step_embedding": "learned", "trainer.max_steps": 1}
    return fitted(tmp_path_factory.mktemp("learned"), **changes)


def refused(answer, *parts):
    code, out, err = answer
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) <= 5
    assert "Traceback" not in err
    for part in parts:
        assert part in err


# -- validate and test


@pytest.mark.parametrize(("checkpoint", "kept"), [("last", "final"), ("best", "best")])
def test_validating_finds_what_training_found(run, checkpoint, kept):
    record = evaluate(reloaded(run, checkpoint=checkpoint), ("seen", "val", "ood"))
    for split in ("seen", "val", "ood"):
        assert record["solved"][split]["rate"] == run.result["solved"][split][kept]
        assert record["solved"][split]["n"] == run.result["solved"][split]["n"]
    if checkpoint == "last":
        for name in ("loss", "token_accuracy", "compute_per_problem"):
            assert record[name]["val"] == pytest.approx(run.result[name]["val"], rel=1e-6)
        assert record["solved_by_difficulty"] == run.result["solved_by_difficulty"]
        assert record["samples"] == run.result["samples"]
    assert record["step"] == (run.result["steps"] if checkpoint == "last" else run.result["best_step"])
    assert record["changed"] == {}


def test_evaluating_leaves_the_callers_random_state_and_threads(run):
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    evaluate(reloaded(run, {"trainer.threads": 2}), ("val",))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_only_test_reads_the_problems_kept_for_last_and_writes_what_it_found(run, command):
    code, out, err = command("test", run.path)
    assert code == 0
    record = json.loads((run.path / "test.json").read_text())
    assert set(record["solved"]) == {"test", "ood_test"}
    assert record["solved"]["test"]["n"] == 16  # of the 210 sums of two-digit numbers in base 5, the hash keeps 16
    assert record["solved"]["ood_test"]["n"] == 30
    assert "test.json" in err
    assert "ood_test" in out
    kept = {sample["problem"] for sample in record["samples"]}
    shown = {s["problem"] for s in evaluate(reloaded(run), ("seen", "val", "ood"))["samples"]}
    assert not kept & shown


def test_scores_of_other_weights_or_options_stand_in_files_of_their_own(run, command):
    command("test", run.path)
    before = (run.path / "test.json").read_text()
    assert command("test", run.path, "--model.steps", "3")[0] == 0
    assert command("test", run.path, "--checkpoint", "last")[0] == 0
    assert (run.path / "test.json").read_text() == before
    others = [json.loads(path.read_text()) for path in run.path.glob("test-*.json")]
    assert sorted(json.dumps(other["changed"]) for other in others) == ['{"model.steps": [2, 3]}', "{}"]


def test_more_steps_cost_more_and_are_said_aloud(run, command):
    code, out, _ = command("validate", run.path, "--model.steps", "5")
    assert code == 0
    assert "CHANGED  model.steps: 2 in training, 5 here" in out
    plain, deeper = (
        json.loads(command("validate", run.path, "--json", *more)[1]) for more in ((), ("--model.steps", "5"))
    )
    assert deeper["changed"] == {"model.steps": [2, 5]}
    assert deeper["compute_per_problem"]["seen"] == pytest.approx(2.5 * plain["compute_per_problem"]["seen"], rel=0.2)


def test_harder_problems_are_scored_and_nothing_trained_on_counts(run):
    found = reloaded(run, {"task.digits": 3, "task.min_digits": 1})
    record = evaluate(found, ("seen", "val", "ood"))
    assert record["solved"]["seen"] is None
    assert set(record["solved_by_difficulty"]["val"]) == {"1", "2", "3"}
    assert set(record["solved_by_difficulty"]["ood"]) == {"4"}
    task, splits = run.config.task, found.built.data.splits
    for split, allowed in (("val", ("val", "ood")), ("ood", ("val", "ood")), ("test", ("test", "ood_test"))):
        home = task.split(splits.evaluation(split), run.config.data.split_seed)
        assert set(np.unique(home)) <= {SPLITS.index(name) for name in allowed}
    assert len(splits.evaluation("test"))


def test_more_problems_can_be_asked_for(run):
    record = evaluate(reloaded(run, {"data.eval_size": 70}), ("ood",))
    assert record["solved"]["ood"]["n"] == 70
    assert record["changed"] == {"data.eval_size": [30, 70]}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--model.width", "64"], ["cannot be used with model.width 64 (it was 32)"]),
        (["--model.layers", "2", "--model.steps", "3"], ["model.layers 2 (it was 1)", "there is no blocks.1"]),
        (["--model.heads", "3"], ["heads (3) must divide width (32)"]),
        (["--task.base", "10"], ["task.base 10 (it was 5)"]),
        (["--model.positions", "learned"], ["model.positions learned (it was rotary)"]),
        (["--model", "transformer"], ["model.name: it was 'universal-transformer' in training"]),
        (["--task", "multiplication"], ["task.name: it was 'addition' in training"]),
        (["--optim.optimizer.lr", "1"], ["optim.optimizer.lr: it was 0.01 in training and cannot be 1.0 now"]),
        (["--objective", "answer"], ["objective.name"]),
        (["--seed", "3"], ["seed: it was 0"]),
        (["--model.stepz", "3"], ["did you mean --model.steps"]),
        (["--model.steps", "0"], ["greater than or equal to 1"]),
        (["--checkpoint", "first"], ["invalid choice: 'first'"]),
        (["--trainer.threads", "0"], ["trainer.threads"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and value[0].startswith("--") else "",
)
def test_a_change_that_the_weights_cannot_follow_is_named(run, command, words, parts):
    refused(command("validate", run.path, *words), *parts)


def test_learned_positions_and_steps_say_how_far_they_reach(learned, command):
    refused(command("validate", learned.path, "--task.digits", "4"), "task.digits 4 (it was 2)", "position.weight")
    refused(command("validate", learned.path, "--model.steps", "3"), "model.steps 3 (it was 2)", "step.weight")
    refused(command("predict", learned.path, "--prompt", "1234+4321"), "cannot take sequences of")
    assert command("validate", learned.path, "--task.digits", "1")[0] == 0  # shorter ones fit


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_a_run_that_is_none_is_named(command, tmp_path, verb):
    refused(command(verb, tmp_path / "absent"), "absent is not a run: it has no config.yaml")
    refused(command(verb), "the following arguments are required: RUN")


def test_a_run_without_a_checkpoint_is_named(run, command, tmp_path):
    for name in ("config.yaml", "run.json"):
        (tmp_path / name).write_text((run.path / name).read_text())
    refused(command("validate", tmp_path), "best.ckpt: there is no such checkpoint")


# -- predict


def test_typed_problems_are_answered_with_chain_and_price(run, command):
    code, out, err = command("predict", run.path, "--prompt", "12+34", "--prompt", "3+4", "--json")
    assert (code, err) == (0, "")
    first, second = json.loads(out)
    assert first["prompt"] == "12+34"
    assert first["right_answer"] == "101"  # 12 + 34 = 101 in base 5, the same from both ends
    assert (first["difficulty"], second["difficulty"]) == (2, 1)
    assert second["right_answer"] == "21"  # 12 in base 5, ones first
    assert first["right"] == (first["answer"] == "101")
    assert first["compute"] > second["compute"] > 0
    assert first["log_probability"] < 0


def test_predictions_are_those_of_the_evaluation(run):
    samples = run.result["samples"]
    answers, found = predict(run, [sample["problem"] for sample in samples], checkpoint="last")
    for answer, sample in zip(answers, samples, strict=True):
        assert (answer.chain, answer.answer) == (sample["chain"], sample["prediction"])
        assert (answer.right, answer.compute) == (sample["right"], sample["compute"])
    assert found.step == run.result["steps"]


def test_problems_longer_than_any_in_training_are_answered_where_positions_allow_it(run):
    (answer,), _ = predict(run, ["1234123412341234+4321432143214321"])
    assert answer.difficulty == 16
    assert answer.right is not None


def test_problems_come_from_files_and_from_standard_input(run, command, tmp_path, monkeypatch):
    path = tmp_path / "problems.txt"
    path.write_text("12+34\n\n  3+4  \n")
    from_file = command("predict", run.path, "--file", path, "--json")
    assert from_file[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("12+34\n3+4\n"))
    assert command("predict", run.path, "--json") == from_file
    code, out, _ = command("predict", run.path, "--prompt", "12+34")
    assert code == 0
    assert out.splitlines()[2].split() == ["prompt", "chain", "answer", "right", "answer", "compute"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--prompt", "12x34"], ["prompt '12x34': 'x': not in the alphabet 0 1 2 3 4 + >"]),
        (["--prompt", "19+3"], ["prompt '19+3': '9': not in the alphabet"]),
        (["--prompt", "12"], ["prompt '12': expected two numbers such as 12+34"]),
        (["--prompt", ""], ["prompt '': it is empty"]),
        (["--prompt", "1+", "--prompt", "x"], ["prompt '1+'", "prompt 'x'"]),
        (["--file", "absent.txt"], ["absent.txt: cannot be read: No such file or directory"]),
    ],
)
def test_what_cannot_be_answered_is_named(run, command, words, parts):
    refused(command("predict", run.path, *words), *parts)


def test_nothing_to_answer_is_refused(run, command, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    refused(command("predict", run.path), "there is no problem to answer")


def test_a_task_that_solves_no_typed_problems_still_has_its_prompts_answered(tmp_path):
    run = factorexe.fit(
        {
            "task": "toys:Tally",
            "model": "universal-transformer",
            "objective": "answer",
            "trainer.max_steps": 1,
            "trainer.enable_progress_bar": False,
            "data.eval_size": 5,
        },
        preset="tiny",
        runs=tmp_path,
    )
    (answer,), _ = predict(run, ["101"], said={"task": "toys:Tally"})
    assert answer.prompt == "101"
    assert (answer.right, answer.right_answer, answer.difficulty) == (None, None, None)
    assert answer.compute > 0


def test_from_python_mistakes_are_exceptions(run):
    with pytest.raises(RunError, match=r"model\.width 64"):
        reloaded(run, {"model.width": 64})
    with pytest.raises(ConfigError, match=r"prompt 'x'"):
        predict(run, ["x"])
