"""Decreases that can be worked out, a learner of the rule, and one that keeps a table."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from factorexe.callbacks.one_step_probe import OneStepProbe
from factorexe.layout import Batch
from factorexe.objectives.base import Loss


class Problems:
    """Stands for the examples of a batch, of which nothing is asked here."""

    def select(self, rows):
        return self


def batch_of(numbers):
    """Problems that are one token each, whose target is its remainder modulo 2."""
    tokens = torch.tensor(numbers)[:, None]
    one = torch.ones_like(tokens)
    return Batch(tokens, one[:, 0], Problems(), tokens % 2, one.float())


class Data:
    """Splits of a few problems; batch 0 of train, batch 1, ..."""

    def __init__(self, train, **splits):
        self.train, self.splits = train, splits
        self.evaluated = tuple(splits)

    def batch(self, split, index):
        return batch_of(self.train[index] if split == "train" else self.splits[split])


class Learner(nn.Module):
    """Loss of a batch by a function of model and batch."""

    device = torch.device("cpu")

    def __init__(self, model, loss):
        super().__init__()
        self.model = model
        self.objective = SimpleNamespace(loss=lambda model, batch: Loss(*loss(model, batch), {}))


def slope(model, batch):
    """The weight times the token: its loss is linear."""
    return (model.weight * batch.tokens).sum(), torch.tensor(float(len(batch)))


def likelihood(model, batch):
    return F.cross_entropy(model(batch.tokens[:, 0]), batch.targets[:, 0], reduction="sum"), batch.weights.sum()


def trainer_of(data, accumulate=1):
    return SimpleNamespace(
        datamodule=data, global_step=0, accumulate_grad_batches=accumulate, logger=None, optimizers=[]
    )


def step(probe, trainer, learner, update):
    """One optimizer step as Lightning makes it, ``update`` standing for it."""
    count = trainer.accumulate_grad_batches
    start = trainer.global_step * count
    for micro in range(count):
        batch = trainer.datamodule.batch("train", start + micro)
        probe.on_train_batch_start(trainer, learner, batch, start + micro)
        if micro == count - 1:
            update(batch)
            trainer.global_step += 1
        probe.on_train_batch_end(trainer, learner, None, batch, start + micro)


def linear(every=1, rows=100):
    """A probe, and a learner whose one weight falls by 0.25 in each step."""
    learner = Learner(nn.Linear(1, 1, bias=False), slope)
    nn.init.ones_(learner.model.weight)
    return OneStepProbe(every, rows, 0.5), learner, lambda batch: learner.model.weight.data.sub_(0.25)


def test_a_linear_loss_falls_by_what_can_be_worked_out():
    probe, learner, update = linear()
    data = Data([[12, 20]], seen=[12, 8], val=[4, 8], ood=[2])
    step(probe, trainer_of(data), learner, update)
    assert probe.numbers() == {
        "decrease/batch": 4.0,  # a quarter of the mean of 12 and 20
        "decrease/seen": 2.0,  # of 8 alone: 12 is in the batch
        "decrease/val": 1.5,
        "decrease/ood": 0.5,
        "osgr/seen": 0.5,
        "osgr/val": 0.375,
        "osgr/ood": 0.125,
        "osgr/mem_gap": 0.25,
    }


def test_ratios_are_of_running_means_and_no_means_of_ratios():
    probe = OneStepProbe(1, None, memory=0.5)
    probe.add({"batch": 4.0, "val": 4.0})
    probe.add({"batch": 1.0, "val": -2.0})
    found = probe.numbers()
    assert found["decrease/batch"] == pytest.approx((4 / 2 + 1) / 1.5)
    assert found["osgr/val"] == pytest.approx((4 / 2 - 2) / (4 / 2 + 1))  # 0; the mean of ratios would be negative


def test_a_share_of_nothing_is_left_out_and_harm_is_negative():
    probe = OneStepProbe(1, None, memory=0.0)
    probe.add({"batch": -1.0, "seen": 0.0, "val": 1.0})
    assert set(probe.numbers()) == {"decrease/batch", "decrease/seen", "decrease/val"}
    probe.add({"batch": 2.0, "seen": 1.0, "val": -1.0})
    assert probe.numbers()["osgr/val"] == -0.5
    assert probe.numbers()["osgr/mem_gap"] == 2.0


def test_a_split_the_task_leaves_empty_and_seen_within_the_batch_are_left_out():
    probe, learner, update = linear()
    step(probe, trainer_of(Data([[12, 20]], seen=[20, 12], val=[4])), learner, update)
    assert set(probe.numbers()) == {"decrease/batch", "decrease/val", "osgr/val"}


def test_the_batch_is_all_that_the_step_trains_on():
    probe, learner, update = linear()
    data = Data([[8], [16], [1], [1]], seen=[8, 16, 4], val=[4])
    step(probe, trainer_of(data, accumulate=2), learner, update)
    assert probe.numbers()["decrease/batch"] == 3.0  # a quarter of 12
    assert probe.numbers()["decrease/seen"] == 1.0  # 8 and 16 are both in it


@pytest.mark.parametrize(("every", "measured"), [(1, 6), (2, 3), (4, 1), (7, 0)])
def test_one_update_in_so_many_is_measured(every, measured):
    probe, learner, update = linear(every)
    trainer = trainer_of(Data([[2]] * 6, val=[2]))
    for _ in range(6):
        step(probe, trainer, learner, update)
    assert probe.result().get("probes", 0) == measured


def test_half_of_what_a_step_trains_on_is_looked_at_by_default():
    probe, learner, update = linear(rows=None)
    step(probe, trainer_of(Data([[4, 8, 100, 100]], val=[8, 8, 100, 100])), learner, update)
    assert (probe.numbers()["decrease/batch"], probe.numbers()["decrease/val"]) == (1.5, 2.0)


class Parity(nn.Module):
    """Knows the rule's one feature: whether a number is odd."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(2, 2))

    def forward(self, numbers):
        return self.table[numbers % 2]


class Table(nn.Module):
    """A row of its own for each number."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(64, 2))

    def forward(self, numbers):
        return self.table[numbers]


def trained(model):
    """What the probe says of a few steps of gradient descent on four numbers."""
    learner, probe = Learner(model, likelihood), OneStepProbe(1, 100, 0.9)
    trainer = trainer_of(Data([[1, 2, 3, 4]] * 5, seen=[1, 2, 5, 6], val=[10, 11, 20, 21], ood=[50, 61]))

    def descend(batch):
        total, weight = likelihood(model, batch)
        (gradient,) = torch.autograd.grad(total / weight, list(model.parameters()))
        model.table.data -= gradient

    for _ in range(5):
        step(probe, trainer, learner, descend)
    return probe.numbers()


def test_who_follows_the_rule_gains_everywhere_alike():
    found = trained(Parity())
    assert found["decrease/batch"] > 0.01
    assert [found[f"osgr/{split}"] for split in ("seen", "val", "ood")] == pytest.approx([1, 1, 1], abs=1e-5)
    assert found["osgr/mem_gap"] == pytest.approx(0, abs=1e-5)


def test_who_keeps_a_table_gains_nothing_elsewhere():
    found = trained(Table())
    assert found["decrease/batch"] > 0.01
    assert [found[f"osgr/{split}"] for split in ("seen", "val", "ood")] == [0, 0, 0]


def test_numbers_behind_tokens_tell_problems_apart_and_padding_does_not():
    probe, learner, _ = linear(rows=1)
    tokens, values = torch.tensor([[5, 0], [5, 0]]), torch.tensor([[0.5, 1.0], [0.25, 1.0]])
    weights, count = torch.ones(2, 2), torch.ones(2)
    trained = Batch(tokens[:1, :1], count[:1], Problems(), weights=weights[:1, :1], values=values[:1, :1])
    seen = Batch(tokens, count, Problems(), weights=weights, values=values)
    data = SimpleNamespace(evaluated=("seen",), batch=lambda split, index: trained if split == "train" else seen)
    probe.on_train_batch_start(trainer_of(data), learner, trained, 0)
    (looked_at,) = probe._looked_at["seen"]
    assert looked_at.values.tolist() == [[0.25, 1.0]]


def evaluated(probe, step, seen):
    scores = {"seen": SimpleNamespace(solved=seen)}
    probe.on_validation_end(SimpleNamespace(global_step=step), SimpleNamespace(scores=scores))


def test_the_share_until_memorization_is_of_everything_gained_up_to_there():
    probe = OneStepProbe(1, None, 0.9)
    for at, (batch, val, seen) in enumerate([(4.0, 2.0, 0.5), (2.0, 2.0, 1.0), (1.0, -9.0, 1.0), (1.0, 9.0, 1.0)]):
        probe.add({"batch": batch, "val": val})
        evaluated(probe, at, seen)
    assert probe.result()["osgr"]["val_until_t_mem"] == (2 + 2) / (4 + 2)


def test_without_memorization_there_is_no_share_until_it():
    probe = OneStepProbe(1, None, 0.9)
    assert probe.result() == {}
    probe.add({"batch": 1.0, "val": 1.0})
    evaluated(probe, 1, 0.5)
    assert probe.result()["osgr"] == {"val": 1.0, "val_until_t_mem": None}


def test_a_restored_probe_goes_on_as_if_nothing_had_happened():
    one, other = OneStepProbe(1, None, 0.9), OneStepProbe(1, None, 0.9)
    decreases = [{"batch": 1 / (at + 3), "val": 1 / (at + 7), "seen": 0.1} for at in range(6)]
    for at, decrease in enumerate(decreases):
        if at == 3:
            other.load_state_dict(one.state_dict())
        for probe in (one, other) if at >= 3 else (one,):
            probe.add(decrease)
            evaluated(probe, at, 1.0)
    assert other.numbers() == one.numbers()
    assert other.result() == one.result()
