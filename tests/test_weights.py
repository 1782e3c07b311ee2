"""Weights that move: into a new run's model, symbol by symbol, and what is refused."""

import json
import shutil

import pytest
import torch

import factorexe
import factorexe.run
from factorexe.cli import main
from factorexe.config import ConfigError
from factorexe.rundir import RunError, read_checkpoint
from factorexe.weights import content_hash, model_weights, take_over

BASE = {
    "task": "addition",
    "model": "universal-transformer",
    "model.layers": 2,
    "model.positions": "learned",
    "objective": "chain",
    "data.eval_size": 10,
    "trainer.max_steps": 2,
    "trainer.val_check_interval": 1,
    "trainer.enable_progress_bar": False,
}


def fit(runs, say=None, **changes):
    return factorexe.fit({**BASE, **changes}, preset="tiny", runs=runs, say=say)


def weights(run, checkpoint="best"):
    return model_weights(read_checkpoint(run.directory.checkpoint(checkpoint)))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two-digit sums in base 5."""
    return fit(tmp_path_factory.mktemp("source"))


def begun(source, **changes):
    """A fresh model with the source's weights, and what was taken over."""
    resolved = factorexe.resolve({**BASE, **changes}, preset="tiny")
    built = factorexe.run.build(resolved.config)
    fresh = {name: weight.clone() for name, weight in built.model.state_dict().items()}
    taken = take_over(built.model, built.layout.symbols, source.path)
    return built, fresh, taken


def test_the_same_symbols_take_every_weight(source):
    built, _, taken = begun(source)
    for name, weight in weights(source).items():
        assert torch.equal(built.model.state_dict()[name], weight)
    assert taken.known == ["", "0", "1", "2", "3", "4", "+", ">", "<chain>", "<answer>", "<end>"]
    assert taken.new == []


def test_rows_for_tokens_go_by_symbol_and_new_symbols_keep_their_own(source):
    built, fresh, taken = begun(source, **{"task.base": 7})
    assert taken.new == ["5", "6"]
    found, there = built.model.state_dict(), weights(source)
    here, before = list(built.layout.symbols), source.record["symbols"]
    for name in ("embedding.weight", "head.weight"):
        for symbol in before:
            assert torch.equal(found[name][here.index(symbol)], there[name][before.index(symbol)])
        for symbol in ("5", "6"):
            assert torch.equal(found[name][here.index(symbol)], fresh[name][here.index(symbol)])
    block = "blocks.0.attention.project.weight"
    assert torch.equal(found[block], there[block])


def test_symbols_that_are_gone_are_left_behind(source):
    built, _, taken = begun(source, **{"task.base": 3})
    assert taken.new == []
    assert built.model.embedding.weight.shape[0] == len(taken.known) == 9


def test_positions_go_by_number(source):
    built, fresh, _ = begun(source, **{"task.digits": 3})
    found, there = built.model.position.weight, weights(source)["position.weight"]
    assert len(found) > len(there)
    assert torch.equal(found[: len(there)], there)
    assert torch.equal(found[len(there) :], fresh["position.weight"][len(there) :])


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"model.width": 64}, "has shape"),
        ({"model.layers": 1}, "blocks.1.attention_norm.weight is not used"),
        ({"model.coda": 1}, "there is no coda.0.attention_norm.weight"),
        ({"model.positions": "rotary"}, "position.weight is not used"),
        ({"model": "transformer", "model.layers": 3}, "there is no blocks.2"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(source, changes, part):
    with pytest.raises(RunError, match="do not fit this model") as error:
        begun(source, **changes)
    assert part in str(error.value)


def test_a_new_run_begins_where_the_other_ended(source, tmp_path):
    said = []
    run = fit(tmp_path, say=said.append, **{"init_from": str(source.path), "optim.optimizer.lr": 1e-12, "task.base": 7})
    assert any("11 symbols are known to it, new are 5 6" in line for line in said)
    block = "blocks.0.attention.project.weight"
    assert torch.allclose(weights(run, "last")[block], weights(source)[block], rtol=0, atol=1e-9)
    assert run.record["contents"] == {"init_from": content_hash(source.path)}


def test_the_id_holds_the_weights_and_not_where_they_are_kept(source, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(source.path, elsewhere)
    here = fit(tmp_path / "a", **{"init_from": str(source.path)})
    there = fit(tmp_path / "b", **{"init_from": str(elsewhere)})
    alone = fit(tmp_path / "c")
    assert here.path.name == there.path.name != alone.path.name
    other = fit(tmp_path / "d", **{"init_from": str(here.path)})
    assert other.path.name != here.path.name


def test_a_run_goes_on_when_the_one_it_began_with_is_gone(source, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(source.path, elsewhere)
    run = fit(tmp_path / "runs", **{"init_from": str(elsewhere)})
    shutil.rmtree(elsewhere)
    longer = factorexe.run.resume(run.path, trainer={"max_steps": 4})
    assert longer.result["steps"] == 4
    assert factorexe.load(run.path).model() is not None


def test_what_cannot_be_begun_with_is_refused_and_nothing_is_written(source, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["fit", "--task", "addition", "--preset", "tiny", "--objective", "chain", "--model.positions", "learned"]
    for more, part in (
        (["--init-from", "absent"], "init_from: absent is not a run: it has no config.yaml"),
        (["--init-from", str(source.path), "--model.width", "64"], "its weights do not fit this model"),
    ):
        assert main([*words, *more]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert part in err
        assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_does_not_say_its_symbols_is_refused(source, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(source.path, old)
    record = json.loads((old / "run.json").read_text())
    del record["symbols"]
    (old / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="does not say which symbols"):
        fit(tmp_path / "runs", **{"init_from": str(old)})
