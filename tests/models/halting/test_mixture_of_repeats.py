"""Mixture of repeats: who goes on in training, counted by hand; thresholds, and the shares that they let through."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.testing import assert_close

from factorexe.layout import SequenceLayout
from factorexe.models.cotformer import CoTFormerConfig
from factorexe.models.halting.base import Look
from factorexe.models.halting.mixture_of_repeats import MixtureOfRepeatsConfig
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.tasks.addition import Addition

LAYOUT = SequenceLayout(Addition(min_digits=1, digits=2), chain=True)
SEED = 4  # draws capacities that leave some tokens in every repeat


def policy(steps=4, width=4, **options):
    """One whose routers read a state's first feature, in double precision."""
    built = MixtureOfRepeatsConfig(**options).build(width, steps).double()
    with torch.no_grad():
        built.routers.zero_()
        built.routers[:, 0] = 1
    return built


def walk(policy, scores, capacities=None, real=None, limit=None):
    """How many repeats each token makes, and the gates of each repeat, for scores (R, B, T) of every router."""
    batch = scores.shape[1]
    drawn = (
        {} if capacities is None else {"capacity": torch.tensor(capacities).double().expand(batch, scores.shape[2], -1)}
    )
    limit = torch.full(scores.shape[1:], len(scores)) if limit is None else limit
    kept, going = policy.begin(scores[0], drawn), torch.ones(scores.shape[1:], dtype=torch.bool)
    made, gates = torch.zeros(scores.shape[1:], dtype=torch.long), []
    for step, score in enumerate(scores, start=1):
        made += going
        state = torch.stack([score, *[torch.ones_like(score)] * 3], dim=-1)
        said = policy.decide(Look(step, state, limit, kept, None, None, real))
        kept = {
            name: torch.where(going.view(*going.shape, *[1] * (value.ndim - 2)), value, kept[name])
            for name, value in said.kept.items()
        }
        gates.append(said.gate)
        assert said.take.all()
        going = going & ~said.halted
    assert not going.any()
    return made, gates


def scores(*rows):
    """(R, B, T) the same for every repeat."""
    return torch.tensor(rows, dtype=torch.float64).expand(4, -1, -1)


def test_the_highest_scores_go_on_as_many_as_capacities_say():
    made, _ = walk(policy().train(), scores([0.1, 0.4, 0.9, 0.2], [4.0, 3.0, 2.0, 1.0]), [1.0, 0.8, 0.3])
    assert made.tolist() == [[2, 3, 4, 3], [4, 3, 3, 2]]


def test_who_has_halted_never_comes_back():
    changing = torch.tensor([[[1.0, 2, 3, 4]], [[9.0, 2, 3, 1]], [[9.0, 9, 3, 2]], [[9.0, 9, 9, 9]]]).double()
    made, _ = walk(policy().train(), changing, [0.5, 0.5, 0.5])
    assert made.tolist() == [[1, 1, 4, 4]]


def test_places_are_rounded_down_once():
    made, _ = walk(policy().train(), scores([0.1, 0.4, 0.9, 0.2, 0.3]), [0.79, 0.59, 0.19])
    assert made.tolist() == [[1, 3, 3, 1, 2]]  # int(3.95), int(2.95) and int(0.95) places


def test_equal_scores_take_no_more_places_than_there_are():
    made, _ = walk(policy().train(), scores([0.5] * 4), [0.5, 0.25, 0.25])
    assert sorted(made[0].tolist()) == [1, 1, 2, 4]


def test_padding_takes_no_places():
    real = torch.tensor([[True] * 4, [True, True, False, False]])
    made, _ = walk(policy().train(), scores([1.0, 2, 3, 4], [1.0, 2, 3, 4]), [0.5, 0.5, 0.5], real)
    assert made.tolist() == [[1, 1, 4, 4], [1, 4, 1, 1]]


def test_a_token_at_its_limit_stops_and_leaves_its_place_free():
    limit = torch.tensor([[4, 4, 4, 2]])
    made, _ = walk(policy().train(), scores([1.0, 2, 3, 4]), [1.0, 0.5, 0.5], limit=limit)
    assert made.tolist() == [[2, 2, 4, 2]]


def test_without_a_draw_everybody_goes_on():
    made, _ = walk(policy().train(), scores([1.0, 2, 3, 4]))
    assert made.tolist() == [[4] * 4]


@pytest.mark.parametrize("training", [True, False])
def test_the_gate_is_the_sigmoid_of_the_score_and_the_last_repeat_has_none(training):
    said = scores([0.1, -0.4, 0.9, 0.2])
    _, gates = walk(policy().train(training), said)
    for gate in gates[:3]:
        assert_close(gate, said[0].sigmoid(), rtol=0, atol=0)
    assert gates[3] is None


def test_capacities_are_drawn_once_a_batch_falling_and_never_above_one():
    batch = LAYOUT.batch(LAYOUT.task.sample(np.array([1, 2, 2]), np.random.default_rng(0)), 24)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([policy(steps=3).prepare(batch, generator)["capacity"] for _ in range(2000)])
    assert drawn.shape == (2000, 3, 2)
    assert (drawn == drawn[:, :1]).all()
    assert (drawn[..., 0] >= drawn[..., 1]).all()
    assert (drawn.min() >= 0, drawn.max() == 1) == (True, True)
    # both are above 0.5 with chance (0.55 / 1.05)^2, and the higher is 1 with chance 1 - (1 / 1.05)^2
    assert_close((drawn[:, 0, 1] > 0.5).double().mean().item(), (0.55 / 1.05) ** 2, rtol=0, atol=0.04)
    assert_close((drawn[:, 0, 0] == 1).double().mean().item(), 1 - 1 / 1.05**2, rtol=0, atol=0.03)


def test_there_is_a_router_for_every_choice():
    assert policy(steps=4).routers.shape == (3, 4)
    assert policy(steps=1).routers.shape == (0, 4)


# -- at test time


def trained(steps=2, batches=50, tokens=400, **options):
    """A policy that has seen normal scores in training."""
    built, generator = policy(steps=steps, **options).train(), torch.Generator().manual_seed(0)
    for _ in range(batches):
        walk(built, torch.randn(steps, 1, tokens, generator=generator).double())
    return built.eval()


@pytest.mark.parametrize("capacity", [0.1, 0.37, 0.5, 0.9])
def test_about_the_share_that_capacity_says_goes_on(capacity):
    built = trained(capacity=capacity)
    made, _ = walk(built, torch.randn(2, 1, 20_000, generator=torch.Generator().manual_seed(1)).double())
    assert_close((made == 2).double().mean().item(), capacity, rtol=0, atol=0.02)


def test_thresholds_are_the_quantiles_of_the_scores_seen():
    found = trained(batches=1, tokens=65).quantiles[0]
    seen = torch.randn(2, 1, 65, generator=torch.Generator().manual_seed(0)).double()[0].sort().values[0]
    assert_close(found, seen, rtol=0, atol=1e-12)


def test_quantiles_are_plain_means_at_first_and_forget_later():
    built = policy(steps=2).train()
    for value in (1.0, 2.0, 6.0):
        walk(built, torch.full((2, 1, 5), value).double())
    assert_close(built.quantiles[0, 0].item(), 3.0)
    for _ in range(1000):
        walk(built, torch.full((2, 1, 5), 10.0).double())
    assert_close(built.quantiles[0, 0].item(), 10.0, rtol=0, atol=1e-3)


def test_padding_and_halted_tokens_say_nothing_of_thresholds():
    real = torch.tensor([[True, True, True, False]])
    built = policy(steps=3).train()
    walk(built, scores([1.0, 2, 3, 99])[:3], [0.7, 0.3], real)
    assert built.quantiles[:, 0].tolist() == [1.0, 2.0]
    assert built.quantiles[:, -1].tolist() == [3.0, 3.0]


def test_nothing_is_noted_where_nobody_competes_or_no_gradient_is_asked_for():
    built = policy(steps=3).train()
    walk(built, scores([1.0, 2, 3, 4])[:3], [0.0, 0.0])
    assert built.batches.tolist() == [1, 0]
    with torch.no_grad():
        walk(built, scores([1.0, 2, 3, 4])[:3])
    assert built.batches.tolist() == [1, 0]


def test_before_training_and_with_capacity_one_everybody_goes_on():
    for built in (policy(capacity=0.1).eval(), trained(steps=4, capacity=1.0)):
        made, _ = walk(built, scores([-99.0, 0, 99, 0]))
        assert made.tolist() == [[4] * 4]


def test_a_decision_is_the_same_whatever_other_tokens_are_there():
    built = trained(steps=4, capacity=0.5)
    said = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(2)).double()
    together, _ = walk(built, said)
    alone = torch.stack(
        [walk(built, said[:, row : row + 1, at : at + 1])[0][0, 0] for row in range(3) for at in range(5)]
    )
    assert together.flatten().tolist() == alone.tolist()


# -- in a model


def small(config, **options):
    torch.manual_seed(0)
    halting = {"name": "mixture-of-repeats", **options.pop("halting", {})}
    sizes = {"layers": 1, "steps": 3, "width": 16, "heads": 2, "prelude": 1}
    return config(**{**sizes, **options}, halting=halting).build(LAYOUT.vocabulary, 40).double()


def prepared(model, seed):
    levels = np.array([1, 2, 2, 1])
    batch = LAYOUT.batch(LAYOUT.task.sample(levels, np.random.default_rng(0)), 24)
    return model.prepare(batch, 0, torch.Generator().manual_seed(seed))


def forward(model, batch):
    return model(batch.tokens, prompt_length=batch.prompt_length, extra=batch.extra)


@pytest.mark.parametrize("config", [CoTFormerConfig, UniversalTransformerConfig])
def test_training_sends_as_many_tokens_on_as_was_drawn(config):
    model = small(config).train()
    batch = prepared(model, SEED)
    capacities = batch.extra["halting.capacity"][0].tolist()
    assert 0.1 < capacities[1] < capacities[0] < 1
    around = len(model.prelude) + len(model.coda)
    made = (forward(model, batch).compute - around) * (batch.tokens != 0)
    for row, tokens in enumerate((batch.tokens != 0).sum(dim=1).tolist()):
        assert (made[row] >= 2).sum() == int(capacities[0] * tokens)
        assert (made[row] >= 3).sum() == int(capacities[1] * tokens)


@pytest.mark.parametrize("config", [CoTFormerConfig, UniversalTransformerConfig])
def test_every_router_learns_by_its_gate(config):
    model = small(config).train()
    forward(model, prepared(model, SEED)).states.square().sum().backward()
    assert (model.policy.routers.grad != 0).all()


def test_capacity_one_is_every_repeat_going_as_far_as_its_gate_says():
    """With routers at zero that is half way, from the second repeat on."""
    model = small(UniversalTransformerConfig, injection="none", prelude=0).eval()
    with torch.no_grad():
        model.policy.routers.zero_()
    batch = prepared(model, 0)
    from factorexe.models.layers import Context, as_bias, attention_mask

    tokens = batch.tokens
    context = Context(model.rotary(torch.arange(24)), as_bias(attention_mask(tokens, None, None)), None)
    state = model.loop_norm(model.blocks[0](model.embed(tokens), context, 0))
    for _ in range(2):
        state = (state + model.loop_norm(model.blocks[0](state, context, 0))) / 2
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            assert_close(model(tokens).states[0], state, rtol=1e-10, atol=1e-12)


def test_thresholds_are_saved_with_the_weights():
    model, again = (small(CoTFormerConfig, halting={"capacity": 0.4}) for _ in range(2))
    for seed in range(3):
        forward(model.train(), prepared(model, seed))
    again.load_state_dict(model.state_dict())
    batch = prepared(model, 0)
    mine, theirs = (forward(one.eval(), batch) for one in (model, again))
    assert torch.equal(mine.compute, theirs.compute)
    assert len(mine.compute.unique()) == 3
    forward(again.train(), batch)
    forward(model.train(), batch)
    assert torch.equal(model.policy.quantiles, again.policy.quantiles)


@pytest.mark.parametrize("capacity", [0, -0.5, 1.5])
def test_a_capacity_outside_zero_and_one_is_refused(capacity):
    with pytest.raises(ValidationError, match=r"capacity\n  Input should be (greater|less) than"):
        MixtureOfRepeatsConfig(capacity=capacity)


def test_more_repeats_than_there_are_routers_for_are_refused_and_fewer_are_not():
    model = small(CoTFormerConfig).eval()
    batch = prepared(model, 0)
    assert model(batch.tokens, steps=2).compute.unique().tolist() == [1 + 2 + 1]
    with pytest.raises(ValueError, match=r"4 steps; the halting policy of this model knows 3 \(model\.steps\)"):
        model(batch.tokens, steps=4)
    with pytest.raises(ValidationError, match=r"depth makes up to 5 steps; the halting policy knows steps \(3\)"):
        small(CoTFormerConfig, depth={"name": "uniform", "most": 5})


def test_a_row_is_not_routed_as_one():
    with pytest.raises(ValidationError, match="halt"):
        small(CoTFormerConfig, halting={"halt": "sequence"})


def test_dials_offer_shares_and_no_more_repeats_than_are_known():
    dials = CoTFormerConfig(halting="mixture-of-repeats").dials()
    assert dials["steps"] == [1, 2, 3, 4, 5]
    assert dials["halting.capacity"] == (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
