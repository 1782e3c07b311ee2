"""What is known of a Ray cluster without one: how many workers it has room for, what a death means, what is refused."""

import socket

import pytest
from handmade import plan_of

from factorexe.cli import main
from factorexe.rundir import RunError
from factorexe.sweeps import cluster
from factorexe.sweeps.actor import unfit
from factorexe.sweeps.claims import Claim, Claims
from factorexe.sweeps.cluster import joined, room, told
from factorexe.sweeps.place import Place
from factorexe.sweeps.ray_slot import cause_of

NODE = {"CPU": 16.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers"),
    [(1, None, 16), (3, None, 5), (17, None, 0), (1, 0.25, 8), (1, 0.3, 6), (4, 0.25, 4), (1, 0.7, 2), (1, 2, 1)],
)
def test_as_many_workers_as_fit_on_each_node(cpus, gpus, workers):
    assert room([NODE], cpus, gpus) == workers
    assert room([NODE, {"CPU": 1.0}, NODE], cpus, gpus) == 2 * workers + (cpus == 1 and gpus is None)


def test_a_cluster_is_told_in_one_line():
    assert told([NODE, {"CPU": 1.0}]) == "2 nodes with 17 CPUs and 2 GPUs"
    assert told([{"CPU": 1.0}]) == "1 node with 1 CPU"


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("The actor is dead because its worker process has died. Worker exit type: ...", "died without a word"),
        ("The actor died because its node has died. Node Id: 7", "the node of its worker was lost"),
        ("Memory on the node was low:\nkilled due to the node running low on memory.", "its node ran low on memory"),
        ("failed to import\n  File ...\nModuleNotFoundError: No module named 'factorexe'\n", "'factorexe'"),
    ],
)
def test_a_death_is_told_in_a_few_words(said, means):
    assert means in cause_of(Exception(said))
    assert len(cause_of(Exception(said)).splitlines()) == 1


def test_a_claim_passes_on_at_once_where_its_owner_is_known_to_be_gone(tmp_path):
    claims = Claims(tmp_path)
    elsewhere = Place("node7", "another boot", 4711, 1)
    (tmp_path / "run.1").write_text('{"host": "node7", "space": "another boot", "pid": 4711, "started": 1}')
    assert claims.take("run") == "uncertain"
    claims.know_gone(elsewhere._replace(pid=4712))
    assert claims.take("run") == "uncertain"
    claims.know_gone(elsewhere)
    claim = claims.take("run")
    assert isinstance(claim, Claim)
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_does_not_see_the_sweep_or_its_runs_says_so(tmp_path):
    sweep = tmp_path / "sweep"
    assert f"does not see {sweep}: the sweep and its runs have to be on a file system" in unfit(sweep)
    plan = plan_of(tmp_path)
    assert f"does not see {plan.runs}: the sweep and its runs have to be on a file system" in unfit(sweep)
    plan.runs.mkdir()
    assert unfit(sweep) == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--gpus-per-run 0.5", "--gpus-per-run is for --executor ray"),
        ("--address a:1", "--address is for --executor ray"),
        ("--executor ray --gpus-per-run 1.5", "expected a share of a GPU such as 0.25, or a whole number (got '1.5')"),
        ("--executor ray --gpus-per-run 0", "expected a share of a GPU such as 0.25, or a whole number (got '0')"),
    ],
)
def test_what_is_for_ray_alone_is_refused_elsewhere(tmp_path, capsys, words, line):
    pytest.importorskip("ray")
    plan_of(tmp_path)
    assert main(["sweep", "run", str(tmp_path / "sweep"), *words.split()]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert len(err.splitlines()) == 1


def test_without_ray_it_is_told_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    plan_of(tmp_path)
    assert main(["sweep", "run", str(tmp_path / "sweep"), "--executor", "ray"]) == 2
    assert "--executor ray needs Ray: pip install 'factorexe[ray]'" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["nonsense", "ray://node:10001", "node:port", "node:99999"])
def test_an_address_has_a_host_and_a_port(address):
    with pytest.raises(RunError, match=r"expected HOST:PORT of a cluster that this machine belongs to \(got"):
        joined(address).__enter__()


def test_an_address_where_nobody_answers_is_refused_at_once():
    with socket.socket() as taken:  # and not listened to
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(RunError, match="refused; --address local starts a cluster of its own"):
            joined(f"127.0.0.1:{taken.getsockname()[1]}").__enter__()
