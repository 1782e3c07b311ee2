"""How many threads a run takes, and that it gives them back."""

import os

import pytest
import torch

import factorexe
from factorexe.threads import MOST, default_threads, threads


@pytest.fixture(autouse=True)
def _given_back():
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("said", "most"), [("1", 1), ("64", MOST), ("", MOST), ("nonsense", MOST)])
def test_no_more_than_the_process_may_use_or_the_environment_allows(monkeypatch, said, most):
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: set(range(16)))
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert default_threads() == most


def test_a_process_bound_to_one_processor_takes_one(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: {3})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert default_threads() == 1


def test_threads_are_set_within_and_given_back_even_after_an_error():
    before = torch.get_num_threads()
    inside = []

    def failing():
        with threads(before + 1):
            inside.append(torch.get_num_threads())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert (inside, torch.get_num_threads()) == ([before + 1], before)
    with threads(None):
        assert torch.get_num_threads() == before


def test_the_number_is_settled_when_a_run_is_created_and_changes_no_id(tmp_path):
    options = {"task": "addition", "trainer.max_steps": 1, "trainer.enable_progress_bar": False}
    runs = [
        factorexe.fit({**options, "trainer.threads": count}, preset="tiny", runs=tmp_path / str(count))
        for count in (None, 2)
    ]
    assert runs[0].path.name == runs[1].path.name
    assert [run.record["machine"]["threads"] for run in runs] == [default_threads(), 2]
    assert factorexe.load(runs[1].path).config.trainer.threads == 2
