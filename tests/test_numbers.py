"""Numbers behind tokens: rows, losses, decoding, planted answers and runs, on regression."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import factorexe
from factorexe.config import resolve
from factorexe.generation import generate
from factorexe.layout import SequenceLayout
from factorexe.models.base import Model, Output
from factorexe.models.transformer import TransformerConfig
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.objectives.base import Objective
from factorexe.optim.losses.cross_entropy import CrossEntropyConfig
from factorexe.run import build
from factorexe.splits import Splits
from factorexe.tasks.regression import Regression

TASK = Regression()
SMALL = {"width": 16, "heads": 2}


def typed(*numbers):
    x = np.array(numbers)[:, None]
    return TASK.complete(np.ones(x.shape, dtype=np.int64), x)


@pytest.mark.parametrize(
    ("chain", "behind"), [(True, [-0.25, 1, 1, 1, 0.25, 1]), (False, [-0.25, 1, 0.25, 1])], ids=["chain", "answer"]
)
def test_a_row_holds_its_numbers_where_its_tokens_stand(chain, behind):
    layout = SequenceLayout(TASK, chain=chain)  # x=-0.25 <chain> p0 <answer> y=0.25 <end>
    batch = layout.batch(typed(-0.25), 5 if chain else 3)
    assert batch.values[0].tolist() == behind[:-1]
    assert batch.target_values[0].tolist() == behind[1:]


def test_right_aligned_prompts_hold_theirs():
    layout = SequenceLayout(TASK, chain=True)
    assert layout.prompts(typed(0.5, -0.75)).values.tolist() == [[0.5, 1], [-0.75, 1]]


class Says(Model):
    """Every state is one number, and it is what the number head reads; logits are even."""

    def __init__(self, number, vocabulary):
        super().__init__()
        self.said, self.vocabulary = number, vocabulary

    def forward(self, tokens, **_):
        states = torch.full((1, *tokens.shape, 1), float(self.said))
        one = torch.ones(tokens.shape)
        return Output(states, one.unsqueeze(0), one, 0 * one, torch.zeros(()))

    def readout(self, states):
        return states.new_zeros((*states.shape[:-1], self.vocabulary))

    def number(self, states):
        return states[..., 0]


def test_the_loss_of_a_number_is_its_squared_error_beside_the_surprise():
    layout = SequenceLayout(TASK, chain=False)
    batch = layout.batch(typed(0.5), 3)  # supervised: y=0.5 <end>
    loss = Objective(layout, CrossEntropyConfig().build()).loss(Says(0.9, layout.vocabulary), batch)
    assert loss.total.item() == pytest.approx(2 * np.log(layout.vocabulary) + 0.4**2, abs=1e-6)
    assert loss.weight.item() == 2


@pytest.mark.parametrize("config", [TransformerConfig(**SMALL), UniversalTransformerConfig(**SMALL)])
def test_decoding_with_a_cache_writes_the_same_numbers_as_without(config):
    layout = SequenceLayout(TASK, chain=True)
    torch.manual_seed(0)
    model = config.build(layout.vocabulary, layout.max_length)
    model.add_number_head()
    prompts = layout.prompts(typed(0.5, -0.75, 0.1))
    # whatever it likes: x= is a number too, so numbers are fed back many times
    found = [generate(model.eval(), prompts, layout, limit=4, cached=cached, hook=None) for cached in (True, False)]
    assert found[0].tokens.tolist() == found[1].tokens.tolist()
    assert_close(found[0].values, found[1].values, atol=1e-5, rtol=0)
    numeric = torch.isin(found[0].tokens, layout.numeric)
    assert (found[0].values[~numeric] == 1).all()


def test_numbers_fed_back_change_what_follows():
    layout = SequenceLayout(TASK, chain=True)
    torch.manual_seed(0)
    model = TransformerConfig(**SMALL).build(layout.vocabulary, layout.max_length)
    one, other = (layout.batch(typed(x), 5) for x in (0.5, 0.25))
    assert one.tokens.tolist() != other.tokens.tolist() or (one.values != other.values).any()
    states = [model(batch.tokens, values=batch.values).states for batch in (one, other)]
    assert (states[0] - states[1]).abs().max() > 1e-3


def test_answers_come_with_their_numbers():
    layout = SequenceLayout(TASK, chain=True)
    mark, end = layout.answer_mark, layout.end_mark
    tokens = torch.tensor([[3, mark, 2, end, 0], [2, 2, mark, 2, end], [3, mark, 2, 2, 2]])
    values = torch.tensor([[1, 1, 0.5, 1, 1], [7, 8, 1, 0.25, 1], [1, 1, 4, 5, 6]])
    assert layout.answers(tokens).tolist() == [[2], [2], [0]]
    assert layout.answer_values(tokens, values).tolist() == [[0.5], [0.25], [1.0]]
    assert layout.solutions(tokens, values)[:2] == [("p0", "y=0.5"), ("y=7 y=8", "y=0.25")]


def test_planted_numbers_are_wrong_ones():
    splits = Splits(TASK, train_size=200, eval_size=50, corrupt=0.5)
    train = splits.finite_train()
    canary = splits.is_canary(train)
    right = np.abs(train.values.answer[:, 0] - np.abs(train.values.prompt[:, 0])) <= TASK.tolerance
    assert 70 < canary.sum() < 130
    assert (right == ~canary).all()


def test_only_a_task_with_numbers_has_a_number_head():
    assert build(resolve({"task": "regression"}, preset="tiny").config).model.number_head is not None
    assert build(resolve({"task": "addition"}, preset="tiny").config).model.number_head is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    options = {"task": "regression", "trainer": {"max_steps": 60, "val_check_interval": 60}, "data.eval_size": 40}
    return factorexe.fit(options, preset="tiny", runs=tmp_path_factory.mktemp("runs"))


def test_a_run_reports_solved_squared_error_and_what_a_constant_is_worth(run):
    result = run.result
    assert set(result["qualities"]) == {"seen", "val", "ood"}
    assert 0 < result["qualities"]["val"]["squared_error"] < 0.5
    assert result["baselines"]["majority_by_difficulty"]["ood"] == {"1": 0.0, "2": 0.0}  # what is ood exceeds 1
    # |x| uniform in [0, 1]: a constant within 0.05 of a tenth of them
    assert result["baselines"]["majority"] == pytest.approx(0.1, abs=0.12)


def test_its_weights_answer_typed_numbers(run):
    answers, _ = factorexe.predict(run, ["x=0.5", "x=-3"])
    assert [answer.right_answer for answer in answers] == ["y=0.5", "y=3"]
    assert [answer.difficulty for answer in answers] == [0, 8]
    again = factorexe.evaluate(factorexe.reloaded(run, checkpoint="last"), ("val",))
    assert again["solved"]["val"]["rate"] == run.result["solved"]["val"]["final"]
    assert again["qualities"]["val"] == pytest.approx(run.result["qualities"]["val"])
