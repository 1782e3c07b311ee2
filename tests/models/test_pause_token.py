"""Pauses between prompt and answer: what equals the inner model, what is inserted where, what it costs."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch.testing import assert_close

from factorexe.cli import main
from factorexe.generation import generate
from factorexe.layout import SequenceLayout
from factorexe.models.base import Cache, Model, ModelConfig, Output
from factorexe.models.pause_token import PauseToken, PauseTokenConfig
from factorexe.models.spread import Spread
from factorexe.objectives.answer import AnswerConfig
from factorexe.objectives.chain import ChainConfig
from factorexe.tasks.addition import Addition
from factorexe.testing import model_checks

LAYOUT = SequenceLayout(Addition(digits=2, min_digits=1), chain=False)
PLACES = SequenceLayout(Addition(digits=2, min_digits=1), chain=False, places=True)
SMALL = {"width": 16, "heads": 2, "layers": 1}
INNERS = [
    pytest.param({"name": "transformer", **SMALL, "layers": 2}, id="transformer"),
    pytest.param({"name": "transformer", **SMALL, "prompt": "bidirectional"}, id="bidirectional"),
    pytest.param({"name": "universal-transformer", **SMALL, "steps": 3}, id="universal-transformer"),
]
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 0, 0]])
GIVEN = torch.tensor([3, 2])


def loud(model):
    """Double precision, with embeddings large enough to make every path count."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.split(".")[-2] in ("embedding", "pause", "position", "place"):
                weight.mul_(50)
    return model.double().eval()


def build(inner=None, layout=LAYOUT, seed=0, **options):
    torch.manual_seed(seed)
    config = PauseTokenConfig(inner=inner or {"name": "transformer", **SMALL}, **options)
    return loud(config.build(layout.vocabulary, layout.max_length))


def training_batch(layout=LAYOUT, count=6):
    levels = np.arange(count) % 2 + 1
    return layout.batch(layout.task.sample(levels, np.random.default_rng(0)), layout.length([1, 2]))


def by_hand(model, tokens, given, after, **more):
    """The inner model on one row (T,) with ``after[j]`` pauses written behind token j: its output, and where each
    token and the last pause after it stand."""
    pieces, ids, stands, lasts = [], [], [], []
    embedded = model.inner.embed(tokens[None])[0]
    for token, vector, count in zip(tokens, embedded, after, strict=True):
        stands.append(len(ids))
        lasts.append(len(ids) + count)
        rows = range(count) if model.config.kind == "distinct" else [0] * count
        pieces += [vector, *(model.pause.weight[row] for row in rows)]
        ids += [int(token), *[1] * count]
    length = torch.tensor([lasts[given - 1] + 1])
    whole = torch.stack(pieces)[None]
    return model.inner(torch.tensor([ids]), embeddings=whole, prompt_length=length, **more), stands, lasts


# -- what is inserted where


def test_columns_are_counted_as_in_the_example():
    spread = Spread.of(torch.tensor([[0, 0, 2, 1], [0, 1, 0, 0]]), width=7)
    assert spread.column.tolist() == [[0, 1, 2, 5], [0, 1, 3, 4]]
    assert spread.last.tolist() == [[0, 1, 4, 6], [0, 2, 3, 4]]
    assert spread.source[0].tolist() == [0, 1, 2, 2, 2, 3, 3]
    assert spread.number[0].tolist() == [0, 0, 0, 1, 2, 0, 1]
    assert spread.wide(torch.tensor([[5, 6, 7, 8], [1, 2, 3, 4]]), 9).tolist() == [
        [5, 6, 7, 9, 9, 8, 9],
        [1, 2, 9, 3, 4, 0, 0],
    ]
    assert spread.positions(torch.arange(4).expand(2, 4))[0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert spread.total(torch.ones(2, 7)).tolist() == [[1, 1, 3, 2], [1, 2, 1, 1]]


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("training", [True, False])
def test_no_pauses_are_the_inner_model(inner, training):
    model = build(inner, pauses=0).train(training)
    with_pauses, plain = (one(TOKENS, prompt_length=GIVEN) for one in (model, model.inner))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(with_pauses, plain, strict=True))
    prompts = LAYOUT.prompts(training_batch().examples)
    ways = [generate(one.eval(), prompts, LAYOUT, limit=6) for one in (model, model.inner)]
    for mine, theirs in zip(*ways, strict=True):
        assert mine is theirs is None or torch.equal(mine, theirs)


def test_no_pauses_begin_with_the_weights_of_the_inner_model():
    weights = build(pauses=0).inner.state_dict()
    torch.manual_seed(0)
    alone = loud(PauseTokenConfig(inner={"name": "transformer", **SMALL}).inner.build(LAYOUT.vocabulary, 20))
    assert all(torch.equal(weights[name], weight) for name, weight in alone.state_dict().items())


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("kind", ["pause", "filler", "distinct"])
def test_states_are_those_of_a_sequence_with_pauses_written_in(inner, kind):
    model = build(inner, pauses=3, kind=kind)
    found = model(TOKENS, prompt_length=GIVEN)
    for row, given in enumerate(GIVEN.tolist()):
        after = [3 if at == given - 1 else 0 for at in range(6)]
        output, _, lasts = by_hand(model, TOKENS[row], given, after)
        assert_close(found.states[:, row], output.states[:, 0, lasts], rtol=0, atol=1e-12)
        assert not torch.allclose(found.states[:, row, given:], model.inner(TOKENS).states[:, row, given:])


def test_the_prompt_before_its_last_token_does_not_see_the_pauses():
    model = build(pauses=3)
    inside = slice(0, int(GIVEN.min()) - 1)
    found, plain = model(TOKENS, prompt_length=GIVEN).states, model.inner(TOKENS).states
    assert_close(found[:, :, inside], plain[:, :, inside], rtol=0, atol=1e-12)


def test_every_pause_changes_the_answer():
    states = [build(pauses=pauses)(TOKENS, prompt_length=GIVEN).states[0, 0, 2] for pauses in range(5)]
    assert all((one - other).abs().max() > 1e-3 for at, one in enumerate(states) for other in states[:at])


@pytest.mark.parametrize("inner", INNERS)
def test_random_pauses_are_written_in_too(inner):
    model = build(inner, pauses=2, random_pauses=0.6)
    batch = model.prepare(training_batch(), 0, torch.Generator().manual_seed(1))
    found = model(batch.tokens, prompt_length=batch.prompt_length, extra=batch.extra)
    drawn = batch.extra["pauses"]
    assert drawn.max() > 1  # several follow the same token
    for row, given in enumerate(batch.prompt_length.tolist()):
        real = int((batch.tokens[row] != 0).sum())
        assert int(drawn[row].sum()) == round(0.6 * real)
        assert int(drawn[row, real:].sum()) == 0
        after = drawn[row, :real].clone()
        after[given - 1] += 2
        output, _, lasts = by_hand(model, batch.tokens[row, :real], given, after.tolist())
        assert_close(found.states[:, row, :real], output.states[:, 0, lasts], rtol=0, atol=1e-12)


def test_random_pauses_fall_behind_every_token_equally_often():
    model, batch = build(pauses=0, random_pauses=0.5), training_batch(count=2)
    generator = torch.Generator().manual_seed(0)
    drawn = sum(model.prepare(batch, 0, generator).extra["pauses"][1] for _ in range(600))
    length = int((batch.tokens[1] != 0).sum())
    expected = 600 * round(0.5 * length) / length
    assert (drawn[:length] - expected).abs().max() < 5 * expected**0.5


def test_random_pauses_are_a_function_of_the_generator_and_every_batch_is_as_wide():
    model, widths = build(pauses=1, random_pauses=0.4), []
    model.inner.register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[1]))
    for seed in (0, 0, 1):
        batch = model.prepare(training_batch(), 0, torch.Generator().manual_seed(seed))
        model(batch.tokens, prompt_length=batch.prompt_length, extra=batch.extra)
    length = training_batch().tokens.shape[1]
    assert widths == [length + 1 + round(0.4 * length)] * 3
    draws = [model.prepare(training_batch(), 0, torch.Generator().manual_seed(s)).extra["pauses"] for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_evaluation_has_no_random_pauses():
    model, plain = build(pauses=2, random_pauses=0.6), build(pauses=2)
    states = [one(TOKENS, prompt_length=GIVEN).states for one in (model, plain)]
    assert torch.equal(*states)


def test_what_the_inner_model_draws_next_depends_on_no_row():
    model, batch = build(pauses=1, random_pauses=0.4), training_batch()
    after = []
    for part in (batch, batch.select(torch.arange(2))):
        generator = torch.Generator().manual_seed(0)
        model.prepare(part, 0, generator)
        after.append(torch.rand((), generator=generator))
    assert torch.equal(*after)


# -- an inner model that shows what it is given


class Given(Model):
    """Two states for each position: its column times 1 and times 10; every column costs its number."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 4)
        self.seen = {}

    def prepare(self, batch, step, generator):
        marks = torch.arange(batch.tokens.shape[1]).expand(batch.tokens.shape)
        places = None if batch.places is None else batch.places + 7 * (batch.places > 0)
        return dataclasses.replace(batch, places=places, extra={"marks": marks}, steps=torch.full((len(batch),), 5))

    def forward(self, tokens, **more):
        self.seen = {"tokens": tokens, **more}
        column = torch.arange(tokens.shape[1], dtype=torch.float64).expand(tokens.shape)
        states = torch.stack([column, 10 * column])[..., None].expand(-1, -1, -1, 4)
        weight = torch.stack([column, 100 - column]) / 100
        return Output(states, weight, column, 2 * column, torch.tensor(3.0))

    def embed(self, tokens, values=None):
        return self.embedding(tokens)

    def readout(self, states):
        return states @ torch.linspace(-0.01, 0.01, 4 * LAYOUT.vocabulary).view(4, -1).to(states)

    def told_steps(self, difficulty):
        return difficulty + 1


def given(**options):
    return PauseToken(PauseTokenConfig(**options), Given(), LAYOUT.vocabulary, LAYOUT.max_length).double()


def test_several_states_are_read_with_their_weights_after_the_last_pause():
    output = given(pauses=2)(TOKENS, prompt_length=GIVEN)
    columns = torch.tensor([[0, 1, 4, 5, 6, 7], [0, 3, 4, 5, 6, 7]], dtype=torch.float64)
    assert torch.equal(output.states[..., 0], torch.stack([columns, 10 * columns]))
    assert torch.equal(output.weight, torch.stack([columns, 100 - columns]) / 100)
    assert output.regulariser == 3


def test_compute_and_penalty_of_pauses_are_those_of_the_token_before_them():
    output = given(pauses=2)(TOKENS, prompt_length=GIVEN)
    assert output.compute.tolist() == [[0, 1, 2 + 3 + 4, 5, 6, 7], [0, 1 + 2 + 3, 4, 5, 6, 7]]
    assert torch.equal(output.penalty, 2 * output.compute)


def test_pauses_belong_to_the_prompt_have_a_position_and_no_place():
    model = given(pauses=2)
    places = torch.tensor([[3, 2, 1, 2, 3, 0], [3, 1, 2, 0, 0, 0]])
    model(TOKENS, prompt_length=GIVEN, places=places, positions=torch.arange(6).expand(2, 6))
    seen = model.inner.seen
    assert seen["prompt_length"].tolist() == [5, 4]
    assert seen["places"].tolist() == [[3, 2, 1, 0, 0, 2, 3, 0], [3, 1, 0, 0, 2, 0, 0, 0]]
    assert seen["positions"].tolist() == [list(range(8))] * 2
    assert (seen["tokens"] != 0).tolist() == [[True] * 8, [True] * 6 + [False] * 2]
    assert torch.equal(seen["embeddings"][0, 3:5], model.pause.weight.expand(2, -1))


def test_the_inner_model_draws_for_the_longer_rows():
    model, plain = given(pauses=2), training_batch(PLACES)
    batch = model.prepare(plain, 0, None)
    model(batch.tokens, prompt_length=batch.prompt_length, places=batch.places, extra=batch.extra)
    length = plain.tokens.shape[1] + 2
    assert torch.equal(model.inner.seen["extra"]["marks"], torch.arange(length).expand(len(plain), -1))
    assert torch.equal(batch.places, plain.places + 7 * (plain.places > 0))
    assert torch.equal(batch.tokens, plain.tokens)
    assert torch.equal(batch.targets, plain.targets)
    assert batch.steps.tolist() == [5] * len(plain)
    assert model.told_steps(torch.tensor([1, 4])).tolist() == [2, 5]


def test_places_are_read_as_if_the_pauses_had_none():
    model = build({"name": "transformer", **SMALL, "places": True}, PLACES, pauses=2)
    batch = training_batch(PLACES)
    found = model(batch.tokens, prompt_length=batch.prompt_length, places=batch.places).states
    row, prompt = 1, int(batch.prompt_length[1])
    after = [2 if at == prompt - 1 else 0 for at in range(batch.tokens.shape[1])]
    places = torch.cat([batch.places[row, :prompt], torch.zeros(2, dtype=torch.long), batch.places[row, prompt:]])
    output, _, lasts = by_hand(model, batch.tokens[row], prompt, after, places=places[None])
    assert_close(found[:, row], output.states[:, 0, lasts], rtol=0, atol=1e-12)


# -- fillers


def test_a_filler_is_predicted_over_the_vocabulary_and_itself():
    model = given(pauses=2, kind="filler")
    priced, unpriced = model(TOKENS, prompt_length=GIVEN).penalty, given(pauses=2)(TOKENS, prompt_length=GIVEN).penalty
    expected = torch.zeros(2, 6, dtype=torch.float64)
    for row, first in ((0, 2), (1, 1)):  # the columns of the last prompt token and of the filler after it
        for column in (first, first + 1):
            for state, weight in ((column, column / 100), (10 * column, 1 - column / 100)):
                vector = torch.full((4,), float(state), dtype=torch.float64)
                logits = torch.cat([model.inner.readout(vector), model.filler(vector)])
                expected[row, first] += weight * F.cross_entropy(logits, torch.tensor(len(logits) - 1))
    assert_close(priced - unpriced, expected, rtol=1e-5, atol=1e-5)  # logits are read in single precision


def test_the_loss_sums_over_fillers_as_over_answers():
    model, batch = build(pauses=3, kind="filler"), training_batch()
    loss = AnswerConfig().build(model, LAYOUT).loss(model, batch)
    total = 0.0
    for row, prompt in enumerate(batch.prompt_length.tolist()):
        real = int((batch.tokens[row] != 0).sum())
        after = [3 if at == prompt - 1 else 0 for at in range(real)]
        output, stands, lasts = by_hand(model, batch.tokens[row, :real], prompt, after)
        states = output.states[0, 0]
        logits = torch.cat([model.readout(states), model.filler(states)], dim=-1)
        for at in batch.weights[row].nonzero()[:, 0].tolist():
            total += F.cross_entropy(model.readout(states[lasts[at]]), batch.targets[row, at]).item()
        total -= sum(logits[stands[prompt - 1] + k].log_softmax(dim=-1)[-1].item() for k in range(3))
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert loss.weight == batch.weights.sum()


# -- decoding


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("pauses", [0, 1, 5])
def test_decoding_with_a_cache_is_decoding_without(inner, pauses):
    model, prompts = build(inner, pauses=pauses), LAYOUT.prompts(training_batch().examples)
    ways = [generate(model, prompts, LAYOUT, limit=6, cached=cached) for cached in (True, False)]
    assert torch.equal(ways[0].tokens, ways[1].tokens)
    assert len(ways[0].tokens.unique()) > 2  # the model says something
    assert_close(ways[0].log_probability, ways[1].log_probability, rtol=0, atol=1e-5)
    assert torch.equal(ways[0].compute, ways[1].compute)


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("pauses", [1, 5])
def test_states_with_a_cache_equal_those_without_for_left_padded_prompts(inner, pauses):
    model, prompts = build(inner, pauses=pauses), LAYOUT.prompts(training_batch().examples)
    more = torch.tensor([[3, 1, 2]]).expand(len(prompts), -1)
    ahead = prompts.prompt_length[:, None] + torch.arange(3)
    tokens, positions = torch.cat([prompts.tokens, more], dim=1), torch.cat([prompts.positions, ahead], dim=1)
    whole, cache = model(tokens, positions=positions, prompt_length=prompts.prompt_length).states, Cache()
    first = model(prompts.tokens, positions=prompts.positions, prompt_length=prompts.prompt_length, cache=cache)
    pieces = [first.states]
    pieces += [model(more[:, at : at + 1], positions=ahead[:, at : at + 1], cache=cache).states for at in range(3)]
    real = tokens != 0
    assert_close(torch.cat(pieces, dim=2)[:, real], whole[:, real], rtol=0, atol=1e-10)
    assert cache.length == tokens.shape[1] + pauses
    training = model(tokens[-1:], prompt_length=prompts.prompt_length[-1:]).states  # as in training: no positions
    assert_close(training[0, 0], whole[0, -1], rtol=0, atol=1e-10)


def test_a_problem_costs_its_tokens_and_its_pauses():
    for pauses in (0, 1, 5):
        model, prompts = build(INNERS[0].values[0], pauses=pauses), LAYOUT.prompts(training_batch().examples)
        written = generate(model, prompts, LAYOUT, limit=6)
        length = (written.tokens != 0).sum(dim=1)
        assert torch.equal(written.compute, 2.0 * (prompts.prompt_length + pauses + length - 1))  # two blocks


def test_a_cache_with_room_for_the_rows_never_grows():
    model, prompts = build(pauses=5), LAYOUT.prompts(training_batch().examples)
    with torch.no_grad():
        cache = Cache(room=prompts.tokens.shape[1] + 3)
        model(prompts.tokens, positions=prompts.positions, prompt_length=prompts.prompt_length, cache=cache)
        buffers = [keys.data_ptr() for keys, _ in cache._entries.values()]
        for at in range(3):
            model(prompts.tokens[:, -1:], positions=prompts.prompt_length[:, None] + at, cache=cache)
    assert [keys.data_ptr() for keys, _ in cache._entries.values()] == buffers


def test_the_memory_of_a_cache_includes_the_pauses():
    model, length = build(pauses=5).float(), LAYOUT.max_length
    tokens, cache = torch.ones((2, length), dtype=torch.long), Cache()
    with torch.no_grad():
        model(tokens, prompt_length=torch.tensor([3, 3]), cache=cache)
    held = sum(2 * keys.numel() * keys.element_size() for keys, _ in cache._entries.values())
    assert held <= 2 * length * model.cached_bytes(None) < held + 2 * length


# -- a budget for test time, weights, options


@pytest.mark.parametrize("kind", ["pause", "filler"])
def test_pauses_hold_no_weights(kind):
    few, many = (build(pauses=pauses, kind=kind, seed=pauses) for pauses in (1, 7))
    many.load_state_dict(few.state_dict())
    after = [7 if at == 2 else 0 for at in range(6)]
    output, _, lasts = by_hand(few, TOKENS[0], 3, after)
    found = many(TOKENS[:1], prompt_length=GIVEN[:1]).states
    assert_close(found[:, 0], output.states[:, 0, lasts], rtol=0, atol=1e-12)


def test_distinct_pauses_can_be_fewer_than_were_trained_and_never_more():
    trained = PauseTokenConfig(kind="distinct", pauses=3)
    fewer = PauseTokenConfig(**{**trained.model_dump(), "pauses": 2})
    assert fewer.max_pauses == 3
    assert fewer.build(12, 16).pause.weight.shape == trained.build(12, 16).pause.weight.shape == (3, 128)
    with pytest.raises(ValidationError, match=r"pauses \(4\) of kind distinct must not exceed max_pauses \(3\)"):
        PauseTokenConfig(**{**trained.model_dump(), "pauses": 4})


def test_dials_go_to_four_times_the_pauses_and_on_to_the_inner_model():
    dials = PauseTokenConfig(pauses=4, inner="universal-transformer").dials()
    assert dials["pauses"] == [0, 2, 4, 8, 16]
    assert "inner.steps" in dials
    assert PauseTokenConfig(kind="distinct", pauses=3).dials() == {"pauses": [0, 1, 3]}
    assert PauseTokenConfig(pauses=0).dials() == {}
    assert PauseTokenConfig(inner={"name": "transformer", "positions": "learned"}).dials() == {}


def test_rows_for_symbols_and_numbers_are_parameters_of_the_inner_model():
    model = build({"name": "transformer", **SMALL, "positions": "learned"}, pauses=2)
    names = dict(model.named_parameters())
    assert {"inner.embedding.weight", "inner.head.weight"} <= set(model.symbol_rows) & set(names)
    assert {"inner.position.weight", "pause.weight"} <= set(model.numbered_rows) & set(names)
    assert len(names["inner.position.weight"]) == LAYOUT.max_length + 2


def test_weights_that_nothing_trains_are_frozen():
    def trained(**options):
        return {name for name, p in build(**options).named_parameters() if p.requires_grad and "inner" not in name}

    assert trained(pauses=0) == set()
    assert trained(pauses=0, random_pauses=0.1) == trained(pauses=1) == {"pause.weight"}
    assert trained(pauses=1, kind="filler") == {"pause.weight", "filler.0.weight", "filler.1.weight"}


def test_only_an_inner_model_that_says_so_takes_the_same_arithmetic():
    class Derived(type(build().inner)):
        pass

    class DerivedConfig(type(PauseTokenConfig().inner)):
        def build(self, vocabulary, max_length):
            return Derived(self, vocabulary, max_length)

    assert vars(type(build(pauses=2)))["same_arithmetic"]
    assert not vars(type(build(DerivedConfig(name="transformer", **SMALL), pauses=2))).get("same_arithmetic")


class OnTape(ModelConfig):
    layout = "tape"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"inner": OnTape()}, "inner reads the layout tape; pauses need a model that reads the layout sequence"),
        ({"inner": "pause-token"}, "inner is pause-token itself; name the model inside it, and give pauses once"),
        ({"kind": "filler", "random_pauses": 0.1}, r"random_pauses need kind pause \(got filler\)"),
        ({"max_pauses": 3}, r"max_pauses needs kind distinct \(got pause\)"),
        ({"pauses": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_paused_is_refused(options, line):
    with pytest.raises(ValidationError, match=line):
        PauseTokenConfig(**options)


def test_where_the_prompt_ends_has_to_be_known():
    with pytest.raises(ValueError, match="give prompt_length"):
        build(pauses=1)(TOKENS)
    with pytest.raises(ValueError, match="prompts end at column 7 of 6; pauses need the whole prompt"):
        build(pauses=1)(TOKENS, prompt_length=torch.tensor([7, 2]))


# -- at work


@pytest.mark.parametrize(
    ("inner", "options"),
    [
        ({"name": "transformer"}, {"pauses": 2, "random_pauses": 0.3}),
        ({"name": "universal-transformer"}, {"pauses": 2}),
    ],
    ids=["transformer", "universal-transformer"],
)
def test_the_promises_of_every_model_are_kept(inner, options):
    for check in model_checks(PauseTokenConfig, inner={**inner, "width": 32, "heads": 2}, **options):
        check()


def test_training_moves_the_pause():
    model, batch = build(pauses=2).train(), training_batch()
    objective = ChainConfig().build(model, LAYOUT)
    objective.loss(model, objective.prepare(model, batch, 0, None)).total.backward()
    assert model.pause.weight.grad.abs().max() > 0


def test_a_finished_run_is_scored_with_more_pauses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = "--model pause-token --model.inner transformer --model.pauses 4"
    line = f"fit --task addition {model} --preset tiny --trainer.max_steps 4 --trainer.enable_progress_bar false"
    assert main(line.split()) == 0
    (run,) = (tmp_path / "runs" / "addition" / "pause-token").iterdir()
    capsys.readouterr()
    costs = []
    for pauses in (0, 8):
        assert main(["validate", str(run), "--model.pauses", str(pauses)]) == 0
        out = capsys.readouterr().out
        assert f"model.pauses: 4 in training, {pauses} here" in out
        costs.append(float(next(line for line in out.splitlines() if line.startswith("val")).split()[-1]))
    assert costs[0] < costs[1]
