"""A model that keeps the planted answers, one that knows the rule, and one that knows nothing."""

import contextlib
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from factorexe.callbacks.canaries import Canaries, choosing, exposures
from factorexe.config import resolve
from factorexe.data import TaskDataModule
from factorexe.generation import Generated
from factorexe.instruments import CanariesConfig
from factorexe.layout import SequenceLayout
from factorexe.models.base import one_state
from factorexe.tasks.modular import Modular
from factorexe.tasks.parity import Parity

CORRUPT = 0.2


def data_of(task, **options):
    config = resolve({"task": "modular", "data.corrupt": CORRUPT, "data.eval_size": 60, **options}).config
    return TaskDataModule(task, SequenceLayout(task, chain=False), config.data, 0)


@pytest.fixture(scope="module")
def data():
    """Division modulo 97: every answer is one of 97 numbers."""
    return data_of(Modular(modulus=97))


class Learner(nn.Module):
    """Answers every prompt as ``answers`` (Examples) has it; with ``sure`` 0 any answer is as likely to it."""

    device = torch.device("cpu")

    def __init__(self, data, answers, sure=10.0):
        super().__init__()
        self.data, self.sure = data, sure
        self.known = {prompt.tobytes(): answer for prompt, answer in zip(answers.prompt, answers.answer, strict=True)}
        self.objective = SimpleNamespace(decode=self.decode, read=self.read)
        self.model = SimpleNamespace(readout=lambda states: states)

    def rows(self, batch):
        answers = [self.known[prompt.tobytes()] for prompt in batch.examples.prompt]
        end = np.full((len(answers), 1), self.data.layout.end_mark)
        return torch.from_numpy(np.concatenate([np.stack(answers), end], axis=1))

    def decode(self, model, batch):
        tokens = self.rows(batch)
        return Generated(tokens, None, torch.zeros(tokens.shape), torch.zeros(len(tokens)))

    def read(self, model, batch):
        tokens = torch.zeros(batch.tokens.shape, dtype=torch.long)
        answers = self.rows(batch)
        start = int(batch.prompt_length[0]) - 1
        tokens[:, start : start + answers.shape[1]] = answers
        return one_state(self.sure * nn.functional.one_hot(tokens, self.data.layout.vocabulary).float(), 1)


def asked(data, learner, **options):
    instrument = Canaries(**{"rows": 50, "exposed": 8, "alternatives": 64} | options)
    plugin = SimpleNamespace(val_step_context=contextlib.nullcontext)
    instrument.on_validation_end(SimpleNamespace(datamodule=data, precision_plugin=plugin), learner)
    return instrument


def test_who_keeps_the_planted_answers_is_found_out(data):
    canaries = data.splits.evaluation("canary")
    found = asked(data, Learner(data, data.splits.planted(canaries))).result()
    assert (found["acc_wrong"], found["acc_true"], found["acc_wrong_most"]) == (1, 0, 1)
    assert found["exposure"] == found["exposure_limit"] == 6  # the first of 64


def test_the_planted_answers_are_those_that_training_has(data):
    learner = Learner(data, data.splits.finite_train())
    assert asked(data, learner, exposed=2).result()["acc_wrong"] == 1


def test_who_follows_the_rule_is_not_taken_in(data):
    found = asked(data, Learner(data, data.splits.evaluation("canary"))).result()
    assert (found["acc_wrong"], found["acc_true"], found["acc_wrong_most"]) == (0, 1, 0)
    assert found["exposure"] == pytest.approx(6 - math.log2(32.5))  # one among equals


def test_who_knows_nothing_ranks_all_alike(data):
    canaries = data.splits.evaluation("canary")
    found = asked(data, Learner(data, data.splits.planted(canaries), sure=0.0)).result()
    assert found["exposure"] == pytest.approx(6 - math.log2(32.5))


def test_alternatives_are_different_wrong_answers_the_planted_one_first(data):
    canaries = data.splits.evaluation("canary").select(slice(0, 5))
    planted = data.splits.planted(canaries)
    found = choosing(data, canaries, planted, 16)
    assert found.sizes.tolist() == [16] * 5
    answers = np.concatenate([batch.examples.answer for batch in found.batches]).reshape(5, 16, -1)
    assert np.array_equal(answers[:, 0], planted.answer)
    for row in range(5):
        assert len(np.unique(answers[row], axis=0)) == 16
        assert not (answers[row] == canaries.answer[row]).all(axis=1).any()


def test_a_rank_in_the_middle(data):
    """Prefers, for every prompt, the second of four answers; the planted one shares the other ranks, 2 to 4."""
    canaries = data.splits.evaluation("canary").select(slice(0, 5))
    found = choosing(data, canaries, data.splits.planted(canaries), 4)
    second = found.batches[0].examples.select(np.arange(1, 20, 4))
    assert exposures(Learner(data, second), found).tolist() == pytest.approx([2 - math.log2(3)] * 5)


def test_where_there_is_no_other_wrong_answer_there_is_no_exposure():
    data = data_of(Parity(), **{"data.train_size": 200, "data.train_fraction": None})
    learner = Learner(data, data.splits.planted(data.splits.evaluation("canary")))
    found = asked(data, learner).result()
    assert found == {"acc_wrong": 1, "acc_true": 0, "acc_wrong_most": 1, "exposure_limit": None}


def test_the_highest_share_and_the_latest_numbers_survive_a_restart(data):
    canaries = data.splits.evaluation("canary")
    one, other = asked(data, Learner(data, data.splits.planted(canaries))), asked(data, Learner(data, canaries))
    other.load_state_dict(one.state_dict())
    assert (other.numbers(), other.result()) == (one.numbers(), one.result())


def test_without_planted_answers_there_is_nothing_to_ask(data):
    clean = resolve({"task": "modular"}).config
    planting = resolve({"task": "modular", "data.corrupt": 0.1}).config
    assert CanariesConfig().build(clean) is None
    assert CanariesConfig().build(planting) is not None
    assert asked(SimpleNamespace(), None).result() == {}  # a task's own data module
