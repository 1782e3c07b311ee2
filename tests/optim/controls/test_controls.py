"""What happens around a step: matrices of bounded length, decay that waits."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from factorexe.optim.controls.delayed_weight_decay import DelayedWeightDecayConfig
from factorexe.optim.controls.weight_norm_clamp import WeightNormClampConfig
from factorexe.optim.flat import Flat
from factorexe.optim.optimizers.adamw import AdamWConfig
from factorexe.optim.optimizers.muon import MuonConfig


class Weights(nn.Module):
    """Two matrices of length 6 and 8, together 10, and a vector."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.full((2, 2), 3.0))
        self.b = nn.Parameter(torch.full((4, 1), 4.0))
        self.gain = nn.Parameter(torch.ones(3))


def after(config, module, grown=1.0):
    control = config.build(Flat(module.named_parameters()))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(grown)
    control.after(None, 1)
    return module


def test_matrices_of_length_10_are_halved_to_5_and_vectors_left_alone():
    module = after(WeightNormClampConfig(norm=5.0), Weights())
    assert_close(module.a.detach(), torch.full((2, 2), 1.5))
    assert_close(module.b.detach(), torch.full((4, 1), 2.0))
    assert torch.equal(module.gain.detach(), torch.ones(3))


def test_what_is_short_enough_stays_bit_for_bit_unless_the_length_is_to_be_exact():
    module = after(WeightNormClampConfig(norm=11.0), Weights())
    assert torch.equal(module.a.detach(), torch.full((2, 2), 3.0))
    exact = after(WeightNormClampConfig(norm=20.0, exact=True), Weights())
    assert_close(exact.b.detach(), torch.full((4, 1), 8.0))


@pytest.mark.parametrize("exact", [False, True])
def test_without_a_norm_the_bound_is_the_length_at_the_beginning(exact):
    grown = after(WeightNormClampConfig(exact=exact), Weights(), 3.0)
    assert_close(grown.a.detach(), torch.full((2, 2), 3.0))
    assert_close(grown.gain.detach(), torch.full((3,), 3.0))
    shrunk = after(WeightNormClampConfig(exact=exact), Weights(), 0.5)
    assert_close(shrunk.a.detach(), torch.full((2, 2), 3.0 if exact else 1.5))


def test_the_bound_of_the_beginning_survives_a_checkpoint():
    first = WeightNormClampConfig().build(Flat(Weights().named_parameters()))
    other = Weights()
    with torch.no_grad():
        other.a.mul_(9)
    second = WeightNormClampConfig().build(Flat(other.named_parameters()))
    second.load_state_dict(first.state_dict())
    second.after(None, 1)
    assert_close(torch.cat([other.a.flatten(), other.b.flatten()]).norm().item(), 10.0)


def test_matrices_of_zeros_and_no_matrices_are_left_alone():
    module = after(WeightNormClampConfig(norm=5.0, exact=True), Weights(), 0.0)
    assert not module.a.any()
    assert torch.equal(after(WeightNormClampConfig(), nn.LayerNorm(3)).weight.detach(), torch.ones(3))


def decays(control, optimizer, step):
    control.before(optimizer, step)
    return [group["weight_decay"] for group in optimizer.param_groups]


def solved(share):
    return {"seen": SimpleNamespace(solved=share)}


def delayed(module=None, config=None, optimizer=None):
    module = module or Weights()
    control = (config or DelayedWeightDecayConfig()).build(Flat(module.named_parameters()))
    return control, (optimizer or AdamWConfig(weight_decay=0.5)).build(module)


def test_decay_begins_at_the_first_evaluation_that_finds_seen_solved_and_stays():
    control, optimizer = delayed()
    assert decays(control, optimizer, 0) == [0.0, 0.0]
    control.learned(10, solved(0.98))
    assert decays(control, optimizer, 10) == [0.0, 0.0]
    control.learned(20, solved(0.99))
    assert decays(control, optimizer, 20) == [0.5, 0.0]
    control.learned(30, solved(0.2))
    assert decays(control, optimizer, 30) == [0.5, 0.0]


def test_what_is_not_seen_decides_nothing():
    control, optimizer = delayed()
    control.learned(10, {"val": SimpleNamespace(solved=1.0)})
    assert decays(control, optimizer, 10) == [0.0, 0.0]


def test_decay_may_begin_at_a_step_whatever_is_solved():
    control, optimizer = delayed(config=DelayedWeightDecayConfig(step=3))
    control.learned(0, solved(1.0))
    assert [decays(control, optimizer, step)[0] for step in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]


def test_without_decay_weights_move_as_those_of_an_optimizer_that_has_none():
    module, plain = Weights(), Weights()
    control, optimizer = delayed(module)
    other = AdamWConfig(weight_decay=0.0).build(plain)
    for step in range(3):
        for each in (module, plain):
            for parameter in each.parameters():
                parameter.grad = torch.ones_like(parameter)
        control.before(optimizer, step)
        optimizer.step()
        other.step()
    assert torch.equal(module.a, plain.a)
    control.learned(3, solved(1.0))
    control.before(optimizer, 3)
    optimizer.step()
    other.step()
    assert module.a.norm() < plain.a.norm()


@pytest.mark.parametrize("kind", [AdamWConfig, MuonConfig])
@pytest.mark.parametrize("learnt", [False, True])
def test_a_resumed_run_decays_when_the_uninterrupted_one_does(kind, learnt):
    # the checkpoint holds groups whose decay is 0 at that moment
    options = kind(weight_decay=0.5)
    control, optimizer = delayed(optimizer=options)
    configured = [group["weight_decay"] for group in optimizer.param_groups]
    decays(control, optimizer, 0)
    if learnt:
        control.learned(1, solved(1.0))
    again, resumed = delayed(optimizer=options)
    again.load_state_dict(control.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    assert (
        decays(again, resumed, 1)
        == decays(control, optimizer, 1)
        == (configured if learnt else [0.0] * 3)[: len(configured)]
    )
    again.learned(2, solved(1.0))
    assert decays(again, resumed, 2) == configured
