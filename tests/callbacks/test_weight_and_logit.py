"""Logits and weights small enough to measure by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from factorexe.callbacks.weight_and_logit import WeightAndLogit, logit_numbers, weight_numbers
from factorexe.layout import Batch
from factorexe.models.base import Output
from factorexe.optim.flat import Flat


class Learner(nn.Module):
    """Says the given logits (S, T, V), each state with its weight, in a batch of one row."""

    device = torch.device("cpu")

    def __init__(self, logits, share):
        super().__init__()
        self.part = nn.Linear(2, 2)
        states = torch.tensor(logits).unsqueeze(1)  # (S, 1, T, V)
        weight = torch.tensor(share)[:, None, None].expand(states.shape[:3])
        output = Output(states, weight, weight[0], weight[0] * 0, torch.zeros(()))
        self.objective = SimpleNamespace(read=lambda model, batch: output)
        self.model = SimpleNamespace(readout=lambda states: states)


class Problems:
    def select(self, rows):
        return self


def batch_of(targets, supervised):
    tokens = torch.tensor([targets])
    return Batch(tokens, torch.ones(1), Problems(), tokens, torch.tensor([supervised]))


def found(logits, share, targets, supervised):
    numbers = logit_numbers(Learner(logits, share), batch_of(targets, supervised), rows=8)
    return {name: float(value) for name, value in numbers.items()}


def test_scale_and_margin_are_means_over_supervised_tokens():
    logits = [[[1.0, 3.0, 5.0], [0.0, 6.0, 0.0], [9.0, 9.0, 0.0]]]
    numbers = found(logits, [1.0], [2, 0, 0], [1.0, 1.0, 0.0])
    assert numbers["logit/margin"] == (2 - 6) / 2
    assert numbers["logit/scale"] == pytest.approx((math.sqrt(8 / 3) + math.sqrt(8)) / 2)
    assert numbers["softmax/collapse"] == 0


def test_several_states_count_by_their_weight():
    numbers = found([[[4.0, 0.0]], [[0.0, 0.0]]], [0.25, 0.75], [0], [1.0])
    assert numbers["logit/margin"] == 1.0
    assert numbers["logit/scale"] == 0.5


def test_a_token_is_collapsed_where_single_precision_has_no_loss_left():
    # exp(-10) is seen beside 1, exp(-20) is not: single precision ends near exp(-16)
    logits = [[[10.0, 0.0], [20.0, 0.0], [0.0, 20.0], [0.0, 0.0]]]
    assert found(logits, [1.0], [0, 0, 0, 0], [1.0] * 4)["softmax/collapse"] == 0.25


class Weights(nn.Module):
    """A matrix of norm 3, a vector of norm 4 and a frozen one."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[3.0, 0.0], [0.0, 0.0]]))
        self.vector = nn.Parameter(torch.tensor([4.0, 0.0]))
        self.frozen = nn.Parameter(torch.tensor([100.0]), requires_grad=False)


def test_norms_are_of_what_is_trained_and_the_update_is_relative():
    module = Weights()
    flat = Flat(module.named_parameters())
    before = flat.weights()
    module.vector.data += torch.tensor([0.0, 0.5])
    numbers = {name: float(value) for name, value in weight_numbers(flat, before).items()}
    assert numbers == {
        "weight/norm": math.sqrt(9 + 16.25),
        "weight/norm_2d": 3.0,
        "update/ratio": pytest.approx(0.1),  # 0.5 of 5
    } | {"weight/norm": pytest.approx(math.sqrt(25.25))}


def looked(gradient, every=1, step=0, stats=None):
    """What the instrument says of a step whose gradient is ``gradient`` times the weights."""
    learner = Learner([[[6.0, 1.0]]], [1.0])
    module = Weights()
    learner.flat = Flat(module.named_parameters())
    learner.procedure = SimpleNamespace(stats=stats or {})
    if gradient is not None:
        for parameter in learner.flat.parameters:
            parameter.grad = gradient * parameter.data
    instrument = WeightAndLogit(every, rows=8)
    trainer = SimpleNamespace(global_step=step, logger=None)
    instrument.on_before_optimizer_step(trainer, learner, None)
    trainer.global_step += 1
    instrument.on_train_batch_end(trainer, learner, None, batch_of([0], [1.0]), 0)
    return instrument


def test_descending_by_scaling_the_weights_up_has_cosine_minus_one():
    numbers = looked(-0.5).numbers()
    assert numbers["nlm/cos"] == pytest.approx(-1)
    assert numbers["gradient/norm"] == pytest.approx(2.5)
    assert numbers["efficiency"] == pytest.approx(5 / 5)  # margin 5, norm 5
    assert numbers["update/ratio"] == 0


def test_a_rejected_step_has_no_gradient_to_speak_of():
    numbers = looked(None).numbers()
    assert not {"nlm/cos", "gradient/norm"} & set(numbers)
    assert numbers["weight/norm"] == 5


def test_only_one_step_in_so_many_is_looked_at():
    assert looked(1.0, every=3, step=0).numbers() == looked(1.0, every=3, step=1).numbers() == {}
    assert looked(1.0, every=3, step=2).numbers()["weight/norm"] == 5


def test_what_filters_did_is_told_beside_and_survives_a_restart():
    one, other = looked(1.0, stats={"filter/clip/share": torch.tensor(0.5), "aggregate/kept": 1.0}), looked(2.0)
    assert one.numbers()["filter/clip/share"] == 0.5
    assert "aggregate/kept" not in one.numbers()
    other.load_state_dict(one.state_dict())
    assert other.numbers() == one.numbers()
    assert other.result() == one.result()
    assert one.result()["weight_norm"] == 5
