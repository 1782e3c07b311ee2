"""Losses a person can check: log 2 for one half, and so on."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from factorexe.layout import Batch, SequenceLayout
from factorexe.models.base import Model, Output
from factorexe.models.transformer import TransformerConfig
from factorexe.objectives.answer import AnswerConfig
from factorexe.objectives.base import Objective
from factorexe.objectives.chain import ChainConfig
from factorexe.optim.losses.cross_entropy import CrossEntropyConfig
from factorexe.tasks.addition import Addition

LN2 = math.log(2)
LAYOUT = SequenceLayout(Addition(digits=1), chain=False)
EXAMPLES = LAYOUT.task.sample(np.array([1]), np.random.default_rng(0))


class Fixed(Model):
    """Gives the same output whatever it reads; its states are logarithms of probabilities."""

    def __init__(self, probabilities, weight=None, penalty=None, regulariser=0.0):
        super().__init__()
        self.states = torch.tensor(probabilities, dtype=torch.float64).log()  # (S, B, T, V)
        shape = self.states.shape[:3]
        self.weight = torch.ones(shape) if weight is None else torch.tensor(weight)
        self.penalty = torch.zeros(shape[1:]) if penalty is None else torch.tensor(penalty)
        self.regulariser = torch.tensor(regulariser)

    def forward(self, tokens, **_):
        return Output(self.states, self.weight, torch.ones(tokens.shape), self.penalty, self.regulariser)

    def readout(self, states):
        return states


def batch(targets, weights):
    targets = torch.tensor(targets)
    rows = [0] * len(targets)
    return Batch(torch.ones_like(targets), torch.ones(len(rows)), EXAMPLES.select(rows), targets, torch.tensor(weights))


EVEN, SURE = [0.5, 0.25, 0.25], [0.125, 0.75, 0.125]
TWO = batch([[2, 0, 1]], [[0.0, 1.0, 1.0]])  # the first position is not supervised


def loss_of(model, given=TWO):
    return Objective(LAYOUT, CrossEntropyConfig().build()).eval().loss(model, given)


def test_the_loss_of_two_tokens_is_the_sum_of_their_surprises():
    loss = loss_of(Fixed([[[EVEN, EVEN, EVEN]]]))
    assert loss.total.item() == pytest.approx(LN2 + 2 * LN2)  # probabilities 1/2 and 1/4
    assert loss.weight.item() == 2


def test_the_expected_loss_weighs_the_states():
    # position 1, target 0: 3/4 log 2 + 1/4 log 8; position 2, target 1: 1/2 log 4 + 1/2 log 4/3
    model = Fixed([[[EVEN] * 3], [[SURE] * 3]], weight=[[[0.0, 0.75, 0.5]], [[1.0, 0.25, 0.5]]])
    by_hand = 0.75 * LN2 + 0.25 * 3 * LN2 + 0.5 * 2 * LN2 + 0.5 * math.log(4 / 3)
    assert loss_of(model).total.item() == pytest.approx(by_hand)


def test_two_equal_states_are_one_state_whatever_their_weights():
    one = loss_of(Fixed([[[EVEN, SURE, EVEN]]]))
    two = loss_of(Fixed([[[EVEN, SURE, EVEN]]] * 2, weight=[[[0.1, 0.3, 0.9]], [[0.9, 0.7, 0.1]]]))
    assert two.total.item() == pytest.approx(one.total.item())


def test_logits_and_targets_elsewhere_change_nothing():
    here = loss_of(Fixed([[[EVEN, EVEN, EVEN]]]))
    logits = loss_of(Fixed([[[SURE, EVEN, EVEN]]]))
    targets = loss_of(Fixed([[[EVEN, EVEN, EVEN]]]), batch([[0, 0, 1]], [[0.0, 1.0, 1.0]]))
    assert here.total == logits.total == targets.total


def test_the_penalty_counts_at_supervised_positions_only():
    free = loss_of(Fixed([[[EVEN] * 3]]))
    priced = loss_of(Fixed([[[EVEN] * 3]], penalty=[[100.0, 0.5, 0.25]]))
    assert (priced.total - free.total).item() == pytest.approx(0.75)
    assert priced.weight == free.weight


def test_the_regulariser_enters_the_mean_once():
    free, dear = (loss_of(Fixed([[[EVEN] * 3]], regulariser=price)) for price in (0.0, 0.1))
    assert (dear.total / dear.weight - free.total / free.weight).item() == pytest.approx(0.1)


def test_right_tokens_are_counted_in_eval_mode_only():
    model = Fixed([[[EVEN, EVEN, SURE]]])  # guesses 0 and 1: both right
    assert loss_of(model).logs["correct"].item() == 2
    assert loss_of(Fixed([[[SURE, SURE, SURE]]])).logs["correct"].item() == 1
    assert not Objective(LAYOUT, CrossEntropyConfig().build()).train().loss(model, TWO).logs


def test_the_guess_is_that_of_the_mixture():
    # target 1 at both: mixture of EVEN and SURE gives token 1 half of 0.25 + 0.75 = 0.5, token 0 0.3125
    model = Fixed([[[EVEN] * 3], [[SURE] * 3]], weight=[[[0.5] * 3]] * 2)
    assert loss_of(model, batch([[1, 1, 1]], [[0.0, 1.0, 1.0]])).logs["correct"].item() == 2


def real(chain=False, **options):
    task = Addition(digits=2, base=4)
    objective = ChainConfig() if chain else AnswerConfig()
    layout = SequenceLayout(task, chain=objective.contents().chain)
    torch.manual_seed(0)
    model = TransformerConfig(layers=2, width=32, heads=2, **options).build(layout.vocabulary, layout.max_length)
    return task, layout, model, objective.build(model, layout)


def test_two_halves_add_up_to_the_whole():
    task, layout, model, objective = real(chain=True)
    model.double().eval()
    whole = layout.batch(task.sample(np.full(6, 2), np.random.default_rng(0)), layout.length([2]))
    parts = [objective.eval().loss(model, whole.select(rows)) for rows in (torch.arange(2), torch.arange(2, 6))]
    together = objective.loss(model, whole)
    assert_close(parts[0].total + parts[1].total, together.total, rtol=0, atol=1e-5)
    assert parts[0].weight + parts[1].weight == together.weight
    assert parts[0].logs["correct"] + parts[1].logs["correct"] == together.logs["correct"]


def test_nothing_supervised_is_a_total_of_zero_with_gradients_of_zero():
    task, layout, model, objective = real()
    whole = layout.batch(task.sample(np.full(2, 2), np.random.default_rng(0)), layout.length([2]))
    whole.weights.zero_()
    loss = objective.eval().loss(model, whole)
    assert (loss.total.item(), loss.weight.item(), loss.logs["correct"].item()) == (0.0, 0.0, 0.0)
    loss.total.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("prompt", ["causal", "bidirectional"])
@pytest.mark.parametrize("chain", [False, True], ids=["answer", "chain"])
def test_a_model_that_knows_four_examples_by_heart_answers_them(chain, prompt):
    task, layout, model, objective = real(chain, prompt=prompt)
    batch = layout.batch(task.sample(np.full(4, 2), np.random.default_rng(0)), layout.length([2]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = objective.loss(model, batch)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    assert (loss.total / loss.weight).item() < 0.1
    generated = objective.decode(model.eval(), batch)
    assert task.solved(batch.examples, layout.answers(generated.tokens)).all()
    if chain:
        assert [task.text(row) for row in layout.chains(generated.tokens)] == [
            task.text(row) for row in batch.examples.chain
        ]
