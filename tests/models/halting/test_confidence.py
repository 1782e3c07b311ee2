"""Confidence: cases that can be followed by eye."""

import pytest
import torch
from by_hand import walk
from torch.testing import assert_close

from factorexe.models.halting.confidence import ConfidenceConfig
from factorexe.models.halting.fixed import FixedConfig

SAID = torch.tensor([[7, 3], [3, 3], [3, 5], [3, 5], [4, 5]])  # five steps of two tokens


def deciding(**options):
    return ConfidenceConfig(**options).build(4, 3).eval()


def saying(tokens, probability):
    """States (N, ..., V) that are their own logits: these tokens (N, ...), each with a probability (N, ...)."""
    rest = (1 - probability) / 9
    logits = rest.unsqueeze(-1).log().expand(*tokens.shape, 10).clone()
    return logits.scatter(-1, tokens.unsqueeze(-1), probability.log().unsqueeze(-1))


def read(state):
    return state


@pytest.mark.parametrize(("patience", "steps"), [(1, [3, 2]), (2, [4, 5]), (3, [5, 5]), (4, [5, 5])])
def test_a_prediction_is_stable_when_it_has_been_repeated(patience, steps):
    states = saying(SAID, torch.full(SAID.shape, 0.6))
    walked = walk(deciding(rule="stable", patience=patience), states, readout=read)
    assert walked.steps.tolist() == steps
    for token, step in enumerate(steps):
        assert torch.equal(walked.output[token], states[step - 1, token])


def test_no_prediction_is_stable_after_one_step():
    first = saying(torch.zeros(3, 1, dtype=torch.long), torch.full((3, 1), 0.9))
    assert walk(deciding(rule="stable"), first, readout=read).steps.tolist() == [2]


@pytest.mark.parametrize(("threshold", "step"), [(0.3, 1), (0.45, 2), (0.9, 4), (0.99, 5)])
def test_a_prediction_is_certain_when_it_is_likely_enough(threshold, step):
    states = saying(SAID[:, :1], torch.tensor([[0.4], [0.5], [0.8], [0.95], [0.3]]))
    walked = walk(deciding(rule="certain", threshold=threshold), states, readout=read)
    assert walked.steps.tolist() == [step]
    assert_close(walked.output, states[step - 1], rtol=0, atol=0)


@pytest.mark.parametrize("rule", ["stable", "certain"])
def test_training_is_that_of_fixed_depth(rule):
    states = saying(SAID, torch.full(SAID.shape, 0.99))
    limit = torch.tensor([3, 5])
    trained = walk(deciding(rule=rule).train(), states, limit=limit, readout=None)  # nothing is read out
    fixed = walk(FixedConfig().build(4, 3), states, limit=limit)
    assert torch.equal(trained.output, fixed.output)
    assert torch.equal(trained.steps, fixed.steps)


def test_a_policy_has_no_weights():
    assert not list(deciding(rule="stable").parameters()) + list(deciding(rule="certain").parameters())


@pytest.mark.parametrize(("rule", "dial"), [("stable", "patience"), ("certain", "threshold")])
def test_the_dial_spends_more_and_more(rule, dial):
    count = torch.arange(1, 41, dtype=torch.float64)[:, None]
    states = saying(torch.zeros(40, 1, dtype=torch.long), 1 - 0.8**count)
    values = ConfidenceConfig(rule=rule).dials()[dial]
    steps = [walk(deciding(rule=rule, **{dial: value}), states, readout=read).steps.item() for value in values]
    assert steps == sorted(set(steps))
