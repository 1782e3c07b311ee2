"""Small real runs: what they leave behind, and that stopping and resuming changes nothing."""

import csv
import os
import shutil
import subprocess
import sys
import threading

import pytest
import torch
from stops import StopAfter
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import factorexe
from factorexe.callbacks.checkpoints import Stop, Stopped
from factorexe.metrics import read_rows
from factorexe.run import resume
from factorexe.rundir import RunError, read_checkpoint

STEPS, CADENCE = 10, 4  # evaluations at 4, 8 and 10


def config(**changes):
    options = {
        "task": "addition",
        "objective": "chain",
        "model.dropout": 0.1,
        "optim.warmup": 2,
        "data.batch_size": 8,
        "data.eval_size": 8,
        "trainer.max_steps": STEPS,
        "trainer.val_check_interval": CADENCE,
        "trainer.log_every_n_steps": 3,
        "trainer.accumulate_grad_batches": 2,
        "trainer.enable_progress_bar": False,
    }
    return options | changes


def fit(runs, *, stop=None, say=None, force=False, **changes):
    return factorexe.fit(config(**changes), preset="tiny", runs=runs, stop=stop, say=say, force=force)


class PowerCut(StopAfter):
    """Ends the run without a word."""

    @property
    def requested(self):
        if StopAfter.requested.fget(self):
            raise ConnectionAbortedError("power cut")
        return False


class Never(Stop):
    """Fails the test if training begins."""

    def arm(self):
        raise AssertionError("training began")


def weights(run, checkpoint="last"):
    return read_checkpoint(run.directory.checkpoint(checkpoint))["state_dict"]


def rows(run):
    return list(csv.DictReader(run.directory.metrics.read_text().splitlines()))


def without_times(record):
    """A row or result without wall times and speeds."""
    return {k: v for k, v in record.items() if k not in ("wall_time_s", "evaluation_time_s", "examples_per_s")}


def assert_same_run(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert [without_times(row) for row in rows(one)] == [without_times(row) for row in rows(other)]
    assert without_times(one.result) == without_times(other.result)


def events(run):
    """What TensorBoard reads from the run's directory."""
    return EventAccumulator(str(run.path), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def steps(accumulator, tag):
    return [point.step for point in accumulator.Scalars(tag)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One uninterrupted run."""
    return fit(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run stopped at step 8: ``last`` is of step 8, ``previous`` of step 4."""
    runs = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(Stopped, match="step 8"):
        fit(runs, stop=StopAfter(16))
    (path,) = runs.glob("*/*/*")
    return path


@pytest.fixture
def copied(interrupted, tmp_path):
    """The interrupted run, to be damaged."""
    shutil.copytree(interrupted, tmp_path / interrupted.name)
    return tmp_path / interrupted.name


# -- what a run leaves behind


def test_the_result_holds_every_key_of_the_design(finished):
    result = finished.result
    assert set(result) >= {
        *("solved", "loss", "solved_by_difficulty", "gap", "events", "steps", "examples", "parameters"),
        *("compute_per_problem", "train_multiply_adds", "wall_time_s", "baselines"),
    }
    assert set(result["solved"]) == {"seen", "val", "ood"}
    for found in result["solved"].values():
        assert set(found) == {"final", "best", "n", "interval"}
        assert found["interval"][0] <= found["final"] <= found["interval"][1]
    assert set(result["gap"]) == {"solved", "loss"}
    assert set(result["events"]) == {"t_mem", "t_gen", "t_gen_95", "t_ood", "delay"}
    assert set(result["solved_by_difficulty"]) == {"seen", "val", "ood"}
    assert list(result["solved_by_difficulty"]["ood"]) == ["3"]


def test_the_result_counts_what_was_spent(finished):
    result = finished.result
    assert (result["steps"], result["examples"]) == (10, 160)  # 10 steps of 2 batches of 8
    model = finished.model()
    assert result["parameters"] == sum(weight.numel() for weight in model.parameters())
    # a forward and backward pass costs about three multiply-adds per weight and position
    low = 160 * 3 * sum(w.numel() for name, w in model.named_parameters() if name.startswith("blocks"))
    assert low < result["train_multiply_adds"] < 100 * low
    assert 0 < result["evaluation_time_s"] < result["wall_time_s"]


def test_one_row_is_written_per_evaluation_and_one_after_the_last_step(finished):
    assert [row["step"] for row in rows(finished)] == ["4", "8", "10"]
    assert [row["examples"] for row in rows(finished)] == ["64", "128", "160"]
    assert float(rows(finished)[-1]["solved/val"]) == finished.result["solved"]["val"]["final"]
    assert float(rows(finished)[-1]["loss/val"]) == finished.result["loss"]["val"]


def test_the_directory_holds_the_documented_files_and_nothing_half_written(finished):
    found = {path.name for path in finished.path.iterdir() if not path.name.startswith((".lock", "events.out"))}
    assert found == {"config.yaml", "run.json", "metrics.csv", "result.json", "checkpoints"}
    assert {path.name for path in finished.directory.checkpoints.iterdir()} == {
        "last.ckpt",
        "previous.ckpt",
        "best.ckpt",
    }
    assert finished.path.name == finished.record["id"]


def test_model_loads_the_best_checkpoint_for_evaluation(finished):
    model = finished.model()
    best = weights(finished, "best")
    assert not model.training
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, best[f"model.{name}"])
    assert read_checkpoint(finished.directory.checkpoint("best"))["global_step"] == finished.result["best_step"]


def test_a_run_can_be_loaded_from_its_directory(finished):
    again = factorexe.load(finished.path)
    assert again.config.model_dump() == finished.config.model_dump()
    assert again.finished
    assert again.result == finished.result


def test_the_seed_changes_the_weights(finished, tmp_path):
    other = fit(tmp_path, seed=1)
    assert other.path.name != finished.path.name
    name = "model.blocks.0.attention.project.weight"
    assert not torch.equal(weights(other)[name], weights(finished)[name])


def test_the_same_run_elsewhere_is_the_same_run_and_leaves_the_callers_random_state(finished, tmp_path):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = fit(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert again.path.name == finished.path.name
    assert_same_run(again, finished)


# -- TensorBoard


def test_every_documented_tag_is_in_the_event_file(finished):
    tags = set(events(finished).Tags()["scalars"])
    for split in ("seen", "val", "ood"):
        assert {f"loss/{split}", f"solved/{split}", f"token_accuracy/{split}", f"compute/{split}"} <= tags
    assert {"loss/train", "gap/loss", "gap/solved", "optim/lr"} <= tags
    assert {"solved_by_difficulty/seen/2", "solved_by_difficulty/val/2", "solved_by_difficulty/ood/3"} <= tags
    assert any(tag.startswith("perf/") for tag in tags)


def test_training_is_logged_on_its_cadence_and_before_evaluations(finished):
    assert steps(events(finished), "loss/train") == [3, 4, 6, 8, 9, 10]
    assert steps(events(finished), "optim/lr") == [3, 4, 6, 8, 9, 10]
    assert steps(events(finished), "solved/val") == [4, 8, 10]


def test_events_and_metrics_hold_the_same_numbers(finished):
    found = events(finished)
    for tag in ("loss/val", "solved/seen", "gap/loss", "compute/ood"):
        logged = [point.value for point in found.Scalars(tag)]
        assert logged == pytest.approx([float(row[tag]) for row in rows(finished)], rel=1e-6)


def test_the_event_file_holds_one_layout_the_options_and_samples(finished):
    found = events(finished)
    assert len(found.Tensors("custom_scalars__config__")) == 1
    hparams = found.PluginTagToContent("hparams")
    assert set(hparams) == {f"_hparams_/{part}" for part in ("experiment", "session_start_info", "session_end_info")}
    assert b"task.digits" in hparams["_hparams_/session_start_info"]
    texts = [point.tensor_proto.string_val[0].decode() for point in found.Tensors("samples/text_summary")]
    assert len(texts) == 3
    assert all("| split | problem |" in text and "| val |" in text for text in texts)


def test_options_and_numbers_are_one_run_to_tensorboard(finished):
    assert [path.parent for path in finished.path.rglob("events.out.*")] == [finished.path]


# -- asking again


def test_retyping_a_finished_run_returns_it_without_training(finished):
    said = []
    before = finished.directory.result.stat().st_mtime_ns
    again = fit(finished.path.parents[2], stop=Never(), say=said.append)
    assert again.result == finished.result
    assert finished.directory.result.stat().st_mtime_ns == before
    assert "is finished" in " ".join(said)


def test_force_sets_the_finished_run_aside_and_trains_again(finished, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished.path.parents[2], runs)
    said = []
    again = fit(runs, force=True, say=said.append)
    (aside,) = again.path.parent.glob(f"{again.path.name}.aside-*")
    assert str(aside) in " ".join(said)
    assert factorexe.load(aside).result == finished.result
    assert_same_run(again, finished)


# -- stopping and resuming


@pytest.mark.parametrize(
    ("batches", "step"),
    [(2, 1), (8, 4), (12, 6), (16, 8), (19, 10)],
    ids=["before any evaluation", "on the cadence", "off the cadence", "twice on it", "in the last step"],
)
def test_a_stopped_run_goes_on_to_the_same_end_bit_for_bit(finished, tmp_path, batches, step):
    if step == STEPS:  # requested within the last step: it is made, and the run is finished
        run = fit(tmp_path, stop=StopAfter(batches))
    else:
        with pytest.raises(Stopped, match=f"step {step}"):
            fit(tmp_path, stop=StopAfter(batches))
        said = []
        run = fit(tmp_path, say=said.append)
        assert any(line.endswith(f"at step {step}") for line in said)
    assert_same_run(run, finished)
    assert steps(events(run), "loss/train") == steps(events(finished), "loss/train")
    assert steps(events(run), "solved/val") == [4, 8, 10]
    assert len(events(run).Tensors("custom_scalars__config__")) == 1


def test_a_request_within_a_step_is_heard_after_it(tmp_path):
    with pytest.raises(Stopped, match="step 3"):
        fit(tmp_path, stop=StopAfter(5))


def test_a_run_may_be_stopped_again_and_again(finished, tmp_path):
    for _ in range(4):
        with pytest.raises(Stopped):
            fit(tmp_path, stop=StopAfter(4))
    assert_same_run(fit(tmp_path), finished)


def test_a_run_stopped_before_its_first_step_begins_afterwards(finished, tmp_path):
    with pytest.raises(Stopped, match="step 0"):
        fit(tmp_path, stop=StopAfter(0))
    assert_same_run(fit(tmp_path), finished)


class Threads(StopAfter):
    """Notes how many threads there are, batch by batch."""

    def __init__(self, batches):
        super().__init__(batches)
        self.noted = set()

    @property
    def requested(self):
        self.noted.add(torch.get_num_threads())
        return StopAfter.requested.fget(self)


@pytest.mark.parametrize("asked", [{}, {"trainer.threads": 1}], ids=["none named", "another number named"])
def test_a_retyped_command_goes_on_with_the_threads_that_the_run_was_begun_with(tmp_path, asked):
    begun, again, said = Threads(2), Threads(2), []
    with pytest.raises(Stopped):
        fit(tmp_path, stop=begun, **{"trainer.threads": 2})
    with pytest.raises(Stopped):
        fit(tmp_path, stop=again, say=said.append, **asked)
    assert (begun.noted, again.noted) == ({2}, {2})
    assert any("2 threads" in line for line in said) == bool(asked)


def test_resume_takes_the_directory(finished, copied):
    assert_same_run(resume(copied), finished)


def test_a_finite_training_set_goes_on_where_it_was(tmp_path):
    finite = {"data.train_size": 4, "data.corrupt": 0.3}
    whole = fit(tmp_path / "whole", **finite)
    with pytest.raises(Stopped):
        fit(tmp_path / "parts", stop=StopAfter(10), **finite)
    assert_same_run(fit(tmp_path / "parts", **finite), whole)


@pytest.mark.parametrize("batches", [7, 13], ids=["before the first checkpoint", "after it"])
def test_a_run_that_was_cut_off_ends_the_same_and_repeats_no_point(finished, tmp_path, batches):
    with pytest.raises(ConnectionAbortedError):
        fit(tmp_path, stop=PowerCut(batches))
    run = fit(tmp_path)
    assert_same_run(run, finished)
    assert steps(events(run), "loss/train") == [3, 4, 6, 8, 9, 10]
    assert steps(events(run), "solved/val") == [4, 8, 10]


def test_extending_keeps_directory_and_id_and_records_it(finished, tmp_path):
    path = tmp_path / finished.path.name
    shutil.copytree(finished.path, path)
    run = resume(path, trainer={"max_steps": 14})
    assert run.path == path
    assert run.record["id"] == finished.record["id"]
    assert run.record["extended"] == [{"from": 10, "max_steps": 14}]
    assert run.result["steps"] == 14
    assert [row["step"] for row in rows(run)] == ["4", "8", "10", "12", "14"]
    assert [without_times(row) for row in rows(run)][:3] == [without_times(row) for row in rows(finished)]
    with pytest.raises(RunError, match="must be more"):
        resume(path, trainer={"max_steps": 12})
    assert resume(path, stop=Never()).result == run.result


def test_an_extended_run_ends_like_one_that_was_that_long_with_the_same_horizon(tmp_path):
    horizon = {"optim.horizon": 20}
    short = fit(tmp_path / "short", **horizon)
    extended = resume(short.path, trainer={"max_steps": 14})
    long = fit(tmp_path / "long", **horizon, **{"trainer.max_steps": 14})
    for name, weight in weights(long).items():
        assert torch.equal(weights(extended)[name], weight)


def test_an_extension_may_be_interrupted_too(finished, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for path in (whole, parts):
        shutil.copytree(finished.path, path)
    with pytest.raises(Stopped):
        resume(parts, trainer={"max_steps": 14}, stop=StopAfter(2))
    assert not factorexe.load(parts).finished
    assert_same_run(resume(parts), resume(whole, trainer={"max_steps": 14}))


# -- damage


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def damage(path, kind, finished, marker):
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("not a checkpoint at all\n")
    elif kind == "one word":
        path.write_bytes(b"empty")  # an opcode that pops from an empty stack
    elif kind == "another run's":
        content = read_checkpoint(path)
        content["callbacks"]["Checkpoints"]["run"] = "0123456789ab"
        torch.save(content, path)
    elif kind == "a bare tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "a stranger's":
        torch.save({"state_dict": {}, "callbacks": ["something", "else"]}, path)
    elif kind == "a bomb":
        torch.save({"state_dict": Bomb(marker)}, path)


KINDS = ["empty", "truncated", "text", "one word", "another run's", "a bare tensor", "a stranger's", "a bomb"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(kind, finished, copied, tmp_path):
    marker = tmp_path / "exploded"
    damage(copied / "checkpoints" / "last.ckpt", kind, finished, marker)
    said = []
    run = resume(copied, say=said.append)
    assert "last.ckpt" in said[0]
    assert "going on from the one before" in said[0]
    assert said[1].endswith("at step 4")
    assert not marker.exists()
    assert_same_run(run, finished)
    assert steps(events(run), "loss/train") == [3, 4, 6, 8, 9, 10]


def test_a_damaged_checkpoint_never_takes_the_place_of_the_good_one(copied):
    damage(copied / "checkpoints" / "last.ckpt", "empty", None, None)
    with pytest.raises(Stopped, match="step 5"):
        resume(copied, stop=StopAfter(2))
    for name in ("last", "previous"):
        read_checkpoint(copied / "checkpoints" / f"{name}.ckpt")


def test_two_damaged_checkpoints_are_an_error_that_names_both(copied):
    for name in ("last", "previous"):
        damage(copied / "checkpoints" / f"{name}.ckpt", "empty", None, None)
    with pytest.raises(RunError, match=r"no checkpoint can be used.*last\.ckpt.*previous\.ckpt"):
        resume(copied)


def test_a_run_without_its_checkpoints_is_not_silently_started_again(copied):
    for name in ("last", "previous"):
        (copied / "checkpoints" / f"{name}.ckpt").unlink()
    with pytest.raises(RunError, match="--force"):
        resume(copied)


def test_a_missing_last_checkpoint_is_replaced_by_the_one_before(finished, copied):
    (copied / "checkpoints" / "last.ckpt").unlink()
    assert_same_run(resume(copied), finished)


def test_a_directory_in_use_is_refused(copied):
    run = factorexe.load(copied)
    with run.directory.locked(), pytest.raises(RunError, match="in use by another process"):
        resume(copied)
    resume(copied)  # and free afterwards


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="is not a run"):
        resume(tmp_path)
    assert not list(tmp_path.iterdir())


# -- where and how it runs


def test_worker_processes_change_no_number(finished, tmp_path):
    run = fit(tmp_path, **{"data.num_workers": 2})
    assert run.path.name == finished.path.name
    assert_same_run(run, finished)


def test_a_run_with_workers_goes_on_without_them(finished, tmp_path):
    with pytest.raises(Stopped, match="step 6"):
        fit(tmp_path, stop=StopAfter(12), **{"data.num_workers": 2})
    assert_same_run(fit(tmp_path), finished)


def test_a_run_may_be_trained_in_a_thread(finished, tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(tmp_path)))
    thread.start()
    thread.join()
    assert_same_run(found[0], finished)


SCRIPT = """
import json, sys, factorexe
factorexe.fit(json.loads(sys.argv[1]), preset="tiny", runs=sys.argv[2])
"""


def test_ranks_left_in_the_environment_switch_off_nothing(finished, tmp_path):
    import json

    left = {"RANK": "1", "LOCAL_RANK": "1", "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "queue"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(config()), str(tmp_path)],
        env=os.environ | left,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*/*/*")
    run = factorexe.load(path)
    assert [row["step"] for row in rows(run)] == ["4", "8", "10"]
    assert steps(events(run), "solved/val") == [4, 8, 10]
    assert run.result["steps"] == 10
    assert done.stdout == ""


def solved_at(rate, runs, **more):
    """Parity, of which a guess solves half."""
    options = {"trainer.max_steps": 60, "trainer.val_check_interval": 5, "trainer.stop_when_solved": rate}
    task = {"task": "parity", "objective": "answer"}
    return factorexe.fit({**config(), **task, **options, **more}, preset="tiny", runs=runs)


def test_a_run_ends_once_val_is_solved_three_times(tmp_path):
    run = solved_at(0.3, tmp_path)
    rows = [row["solved/val"] for row in read_rows(run.directory.metrics)]
    first = next(at for at in range(2, len(rows)) if min(rows[at - 2 : at + 1]) >= 0.3)
    assert len(rows) == first + 1
    assert run.result["steps"] == 5 * len(rows) < 60
    assert run.result["ended"] == "solved"
    assert run.finished


def test_a_run_that_is_never_solved_makes_all_its_steps(tmp_path):
    run = solved_at(1.0, tmp_path, **{"trainer.max_steps": 10})
    assert run.result["steps"] == 10
    assert "ended" not in run.result


def test_a_run_killed_before_its_result_ends_where_it_was(tmp_path):
    run = solved_at(0.3, tmp_path)
    before = run.result
    run.directory.result.unlink()
    again = solved_at(0.3, tmp_path).result
    assert (again["steps"], again["solved"], again["ended"]) == (before["steps"], before["solved"], "solved")
