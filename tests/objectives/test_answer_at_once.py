"""Answers predicted in one pass: what the loss is, what a blank hides, how an answer is decoded and counted."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import factorexe
from factorexe.cli import main
from factorexe.config import ConfigError
from factorexe.evaluation import reloaded
from factorexe.layout import SequenceLayout
from factorexe.models.base import Model, one_state
from factorexe.models.pause_token import PauseTokenConfig
from factorexe.models.transformer import TransformerConfig
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.objectives.answer_at_once import AnswerAtOnce, AnswerAtOnceConfig
from factorexe.optim.losses.cross_entropy import CrossEntropyConfig
from factorexe.run import resume
from factorexe.rundir import read_checkpoint
from factorexe.tasks.addition import Addition
from factorexe.tasks.parity import Parity
from factorexe.tasks.regression import Regression

TASK = Addition(digits=3, min_digits=1)
LAYOUT = SequenceLayout(TASK, chain=False)
V, MARK, END = LAYOUT.vocabulary, LAYOUT.answer_mark, LAYOUT.end_mark
EXAMPLES = TASK.complete(np.array([[2, 11, 3, 0, 0], [4, 5, 11, 6, 7]]))  # 1 + 2 and 34 + 56
LEVELS = np.array([1, 2, 3, 3, 1, 2])
SMALL = {"width": 32, "heads": 2}
LOOPED = {**SMALL, "layers": 1, "steps": 3}
CONFIGS = {
    "looped": UniversalTransformerConfig(**LOOPED),
    "plain": TransformerConfig(**SMALL, layers=2),
    "told": UniversalTransformerConfig(**LOOPED, depth="difficulty"),
    "halting": UniversalTransformerConfig(**LOOPED, halting={"name": "act", "halt": "sequence"}),
    "paused": PauseTokenConfig(pauses=3, inner={"name": "universal-transformer", **LOOPED}),
    "both ways": UniversalTransformerConfig(**LOOPED, prompt="bidirectional"),
}
every_model = pytest.mark.parametrize("config", list(CONFIGS.values()), ids=list(CONFIGS))


class Echo(Model):
    """A state is its token's embedding, a row of zeros, and is read out as it is; S states if given weights."""

    def __init__(self, *weights, told=None):
        super().__init__()
        self.weights, self.told, self.given = weights or (1.0,), told, {}

    def told_steps(self, difficulty):
        return self.told(difficulty) if self.told else None

    def embed(self, tokens, values=None):
        return torch.zeros(*tokens.shape, V)

    def forward(self, tokens, *, embeddings=None, **given):
        self.given = {"tokens": tokens, **given}
        output = one_state(embeddings, 3)
        share = torch.tensor(self.weights)[:, None, None].expand(-1, *tokens.shape)
        return output._replace(states=torch.cat([at * output.states for at in range(len(share), 0, -1)]), weight=share)

    def readout(self, states):
        return states


def favouring(token, share=0.5):
    """Logits (V,) that give ``token`` this share, and all the others the same."""
    return torch.full((V,), (1 - share) / (V - 1)).log().index_fill(0, torch.tensor(token), math.log(share))


def built(config=CONFIGS["looped"], task=TASK, double=True):
    """Layout, model and objective; in double precision, with weights large enough to make every path count."""
    layout = SequenceLayout(task, chain=False)
    torch.manual_seed(0)
    model = config.build(layout.vocabulary, layout.max_length)
    if task.numeric:
        model.add_number_head()
    objective = AnswerAtOnceConfig().build(model, layout)
    if double:
        model, objective = model.double().eval(), objective.double().eval()
        with torch.no_grad():
            inner = getattr(model, "inner", model)
            inner.embedding.weight.mul_(50)
            objective.blank.mul_(50)
            for block in inner.blocks:
                block.attention.out.weight.mul_(20)
                block.mlp[-1].weight.mul_(20)
    return layout, model, objective


def some(layout, levels=LEVELS):
    """A training batch."""
    examples = layout.task.sample(levels, np.random.default_rng(0))
    return layout.batch(examples, layout.length(np.unique(levels).tolist()))


# -- the loss


def test_the_mark_predicts_the_first_token_and_blanks_the_others():
    # 3 0 <end> and 0 9 0 <end>, last digits first: marks are zeros and give every token 1/V; blanks give the end mark
    # 1/2 and each of the others 1/2 (V - 1): two first tokens, two end marks, 1 + 2 digits
    batch = LAYOUT.batch(EXAMPLES, LAYOUT.length([2]))
    assert [TASK.text(row) for row in EXAMPLES.answer] == ["30", "090"]
    loss = AnswerAtOnce(LAYOUT, CrossEntropyConfig().build(), favouring(END)).eval().loss(Echo(), batch)
    by_hand = 2 * math.log(V) + 2 * math.log(2) + 3 * math.log(2 * (V - 1))
    assert loss.total.item() == pytest.approx(by_hand, rel=1e-5)
    assert loss.weight.item() == 7
    assert loss.logs["correct"].item() == 2


def test_the_loss_is_that_of_reading_the_blanks_written_out():
    layout, model, objective = built(double=True)
    batch = some(layout)
    total = 0.0
    for row in range(len(batch)):
        prompt = torch.from_numpy(batch.examples.prompt[row][batch.examples.prompt[row] != 0])
        answer = torch.from_numpy(batch.examples.answer[row][batch.examples.answer[row] != 0])
        known = model.embedding(torch.cat([prompt, torch.tensor([MARK])]))
        embeddings = torch.cat([known, objective.blank.expand(len(answer), -1)])
        anything = torch.ones(1, len(embeddings), dtype=torch.long)
        states = model(anything, embeddings=embeddings[None], prompt_length=torch.tensor([len(known)])).states[0, 0]
        scores = model.readout(states[len(prompt) :]).log_softmax(dim=-1)
        targets = torch.cat([answer, torch.tensor([END])])
        total -= scores.gather(1, targets[:, None]).sum().item()
    assert objective.loss(model, batch).total.item() == pytest.approx(total, rel=1e-5)  # logits are single precision


@every_model
def test_no_answer_token_changes_any_state(config):
    layout, model, objective = built(config)
    batch = some(layout)
    given = torch.arange(batch.tokens.shape[1]) < batch.prompt_length[:, None]
    other = batch.tokens.where(given | (batch.tokens == 0), 1 + (batch.tokens + 4) % 10)
    changed = dataclasses.replace(batch, tokens=other)
    assert (changed.tokens != batch.tokens).any(dim=1).all()
    assert torch.equal(objective.read(model, batch).states, objective.read(model, changed).states)
    prompts = dataclasses.replace(batch, tokens=batch.tokens.where(~given, 1 + (batch.tokens + 4) % 10))
    assert not torch.allclose(objective.read(model, batch).states, objective.read(model, prompts).states)


def test_no_number_of_an_answer_changes_any_state():
    layout, model, objective = built(task=Regression())
    batch = some(layout, np.zeros(4, dtype=np.int64))
    answers = torch.arange(batch.tokens.shape[1]) >= batch.prompt_length[:, None]
    changed = dataclasses.replace(batch, values=batch.values + 9.0 * answers)
    assert torch.equal(objective.read(model, batch).states, objective.read(model, changed).states)
    echo = Echo()
    AnswerAtOnce(layout, CrossEntropyConfig().build(), favouring(END)).read(echo, changed)
    assert echo.given["values"][answers].eq(1).all()


def test_the_blank_is_trained_with_the_model():
    layout, model, objective = built()
    objective.loss(model, some(layout)).total.backward()
    assert objective.blank.grad.abs().min() > 0
    assert [name for name, _ in objective.named_parameters()] == ["blank"]


def test_a_blank_begins_as_one_more_embedding():
    _, model, objective = built(double=False)
    assert objective.blank.shape == (32,)
    assert objective.blank.std().item() == pytest.approx(model.embedding.weight.std().item(), rel=0.5)
    assert not (model.embedding.weight == objective.blank).any()


# -- decoding


@every_model
def test_what_is_decoded_is_the_likeliest_under_the_states_of_the_loss(config):
    layout, model, objective = built(config)
    batch = some(layout)
    generated = objective.decode(model, batch)
    scores = model.readout(objective.read(model, batch).states[0])
    scores = scores.index_fill(-1, torch.tensor([0]), -math.inf).log_softmax(dim=-1)
    for row in range(len(batch)):
        at = int(batch.prompt_length[row]) - 1 + torch.arange(int(batch.weights[row].sum()))
        best, score = scores[row, at].argmax(dim=-1), scores[row, at].max(dim=-1).values
        written = generated.tokens[row, : len(at)]
        ended = written.eq(0)
        assert torch.equal(written[~ended], best[~ended])
        assert_close(generated.log_probability[row, : len(at)][~ended].double(), score[~ended], rtol=0, atol=1e-5)
        assert not generated.log_probability[row][generated.tokens[row] == 0].any()
    assert len(generated.tokens.unique()) > 3


def test_nothing_is_written_after_the_first_end_mark():
    objective = AnswerAtOnce(LAYOUT, CrossEntropyConfig().build(), favouring(END))
    generated = objective.decode(Echo(), LAYOUT.batch(EXAMPLES, LAYOUT.length([2])))
    assert generated.tokens.tolist() == [[1, END, 0, 0]] * 2  # of equals the first
    first, second = -math.log(V - 1), math.log(0.5 / (1 - 0.5 / (V - 1)))  # padding is no choice
    assert_close(generated.log_probability, torch.tensor([[first, second, 0, 0]] * 2), rtol=0, atol=1e-5)
    assert generated.values is None


def test_an_answer_that_never_ends_is_as_long_as_its_room_and_answers_nothing():
    generated = AnswerAtOnce(LAYOUT, CrossEntropyConfig().build(), favouring(5)).decode(
        Echo(), LAYOUT.batch(EXAMPLES, LAYOUT.length([2]))
    )
    assert generated.tokens.tolist() == [[1, 5, 5, 0], [1, 5, 5, 5]]  # a digit more than the numbers, and the end
    assert not LAYOUT.answers(generated.tokens).any()


def test_the_mixture_of_the_states_decides():
    # two states, log-odds doubled in the first: with all weight on it the blank is surer than with all on the second
    scores = [
        AnswerAtOnce(LAYOUT, CrossEntropyConfig().build(), favouring(END))
        .decode(Echo(*weights), LAYOUT.prompts(EXAMPLES))
        .log_probability[0, 1]
        for weights in ((1.0, 0.0), (0.0, 1.0), (0.25, 0.75))
    ]
    sure, less = scores[0].exp(), scores[1].exp()
    assert sure > less
    assert_close(scores[2].exp(), 0.25 * sure + 0.75 * less)


def test_every_position_that_is_processed_is_counted():
    # 1+2<answer> and two blanks are 6, 34+56<answer> and three are 9; three blocks each, whatever was written
    generated = AnswerAtOnce(LAYOUT, CrossEntropyConfig().build(), favouring(END)).decode(
        Echo(), LAYOUT.prompts(EXAMPLES)
    )
    assert generated.compute.tolist() == [18.0, 27.0]


@every_model
def test_a_problem_is_answered_and_counted_the_same_in_any_company(config):
    layout, model, objective = built(config)
    batch = some(layout)
    together = objective.decode(model, batch)
    for row in range(len(batch)):
        alone = objective.decode(model, batch.select(torch.tensor([row])))
        length = alone.tokens.shape[1]
        assert torch.equal(together.tokens[row, :length], alone.tokens[0])
        assert not together.tokens[row, length:].any()
        assert together.compute[row] == alone.compute[0]
        assert_close(together.log_probability[row, :length], alone.log_probability[0], rtol=0, atol=1e-6)


def test_prompts_alone_are_answered_as_problems_with_their_solutions_are():
    layout, model, objective = built()
    batch = some(layout)
    typed = objective.decode(model, layout.prompts(batch.examples))
    for one, other in zip(objective.decode(model, batch), typed, strict=True):
        assert one is other is None or torch.equal(one, other)


def test_numbers_are_those_of_the_head_where_a_token_has_one():
    layout, model, objective = built(task=Regression())
    with torch.no_grad():
        model.head.weight[2:] = 0.0
        model.head.weight[2, 0], model.head.weight[layout.end_mark, 0] = 1.0, -1.0  # either y= or the end is written
    batch = some(layout, np.zeros(20, dtype=np.int64))
    generated = objective.decode(model, batch)
    numbers = model.number(objective.read(model, batch).states)[0, :, 1:3].float()  # x=, the mark, a blank
    numeric = generated.tokens == 2
    assert numeric.any()
    assert not numeric.all()
    assert_close(generated.values[numeric], numbers[numeric], rtol=0, atol=1e-5)
    assert generated.values[~numeric].eq(1).all()


def test_steps_are_told_by_the_problem_unless_they_are_given():
    echo, objective = (
        Echo(told=lambda difficulty: 2 * difficulty),
        AnswerAtOnce(LAYOUT, CrossEntropyConfig().build(), favouring(END)),
    )
    objective.decode(echo, LAYOUT.prompts(EXAMPLES))
    assert echo.given["steps"].tolist() == [2, 4]
    objective.loss(echo, LAYOUT.batch(EXAMPLES, LAYOUT.length([2])))
    assert echo.given["steps"].tolist() == [2, 4]
    objective.decode(echo, LAYOUT.prompts(EXAMPLES), steps=7)
    assert echo.given["steps"] == 7


def test_deeper_loops_cost_more():
    layout, model, objective = built()
    batch = some(layout)
    three, six = (objective.decode(model, batch, steps=steps).compute for steps in (None, 6))
    assert torch.equal(2 * three, six)
    assert torch.equal(objective.decode(model, batch, steps=torch.tensor([3, 6] * 3)).compute[::2], three[::2])


# -- learning


@pytest.mark.parametrize("task", [TASK, Parity()], ids=["addition", "parity"])
def test_a_looped_model_that_knows_a_few_examples_by_heart_answers_them(task):
    layout, model, objective = built(task=task, double=False)
    batch = some(layout, np.resize(np.arange(1, 4) if task is TASK else np.array([4, 5, 6]), 6))
    optimizer = torch.optim.AdamW([*model.parameters(), *objective.parameters()], lr=1e-2)
    for _ in range(150):
        loss = objective.loss(model, batch)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    assert (loss.total / loss.weight).item() < 0.1
    generated = objective.eval().decode(model.eval(), batch)
    assert task.solved(batch.examples, layout.answers(generated.tokens)).all()


def test_a_model_that_reads_places_is_refused():
    layout = SequenceLayout(TASK, chain=False, places=True)
    model = TransformerConfig(width=16, heads=2, places=True).build(layout.vocabulary, layout.max_length)
    with pytest.raises(ValueError, match=r"use --model\.places false"):
        AnswerAtOnceConfig().build(model, layout)


# -- in a run

OPTIONS = {
    "task": "addition",
    "objective": "answer-at-once",
    "data.eval_size": 30,
    "trainer.max_steps": 20,
    "trainer.val_check_interval": 20,
    "trainer.enable_progress_bar": False,
    "trainer.threads": 1,
    "optim.horizon": 40,
}


def fitted(runs, **changes):
    return factorexe.fit({**OPTIONS, **changes}, preset="tiny", runs=runs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("runs"))


def weights_of(run, checkpoint="last"):
    return read_checkpoint(run.directory.checkpoint(checkpoint))["state_dict"]


def test_places_are_refused_before_a_run_begins(tmp_path):
    with pytest.raises(ConfigError, match=r"^objective answer-at-once: places .*use --model.places false$"):
        fitted(tmp_path, **{"model.places": True})
    assert not list(tmp_path.iterdir())


def test_a_reloaded_blank_is_the_trained_one(run):
    fresh, again = run.build().objective.blank, reloaded(run).built.objective.blank
    assert torch.equal(again, weights_of(run, "best")["objective.blank"])
    assert not torch.equal(fresh, again)


def test_validating_finds_what_training_found(run, capsys):
    assert main(["validate", str(run.path), "--checkpoint", "last", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    for split in ("val", "ood"):
        assert record["loss"][split] == pytest.approx(run.result["loss"][split], rel=1e-6)
        assert record["solved"][split]["rate"] == run.result["solved"][split]["final"]
    assert record["compute_per_problem"]["val"] == run.result["compute_per_problem"]["val"]


def test_typed_problems_are_answered(run, capsys):
    assert main(["predict", str(run.path), "--prompt", "12+34", "--prompt", "4+3", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["prompt"] for answer in answers] == ["12+34", "4+3"]
    assert [answer["compute"] for answer in answers] == [9 * 3, 6 * 3]  # 6 and 4 tokens with the mark, 3 and 2 blanks


def test_a_resumed_run_is_an_uninterrupted_one(run, tmp_path):
    whole = fitted(tmp_path / "whole", **{"trainer.max_steps": 40})
    broken = fitted(tmp_path / "broken")
    resumed = resume(broken.path, trainer={"max_steps": 40})
    one, other = weights_of(whole), weights_of(resumed)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["objective.blank"], weights_of(run)["objective.blank"])
