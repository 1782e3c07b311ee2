"""How deep training goes, where gradients stop, and what two states do: against loops written out."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from factorexe.layout import SequenceLayout
from factorexe.models.layers import Context, as_bias, attention_mask
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.objectives.answer import AnswerConfig
from factorexe.tasks.addition import Addition

LAYOUT = SequenceLayout(Addition(min_digits=1, digits=2), chain=False)
LENGTH = LAYOUT.length([1, 2])


def batch(count=6):
    levels = np.arange(count) % 2 + 1
    return LAYOUT.batch(LAYOUT.task.sample(levels, np.random.default_rng(0)), LENGTH)


def build(seed=0, **options):
    torch.manual_seed(seed)
    small = {"width": 16, "heads": 2, "steps": 4}
    model = UniversalTransformerConfig(**{**small, **options}).build(LAYOUT.vocabulary, LAYOUT.max_length)
    with torch.no_grad():
        model.embedding.weight.mul_(50)
    return model.double().train()


def loss_of(model, prepared):
    objective = AnswerConfig().build(model, LAYOUT)
    loss = objective.loss(model, prepared)
    return loss.total / loss.weight


def prepared(model, seed=0, rows=None):
    whole = batch() if rows is None else batch().select(torch.tensor(rows))
    return AnswerConfig().build(model, LAYOUT).prepare(model, whole, 0, torch.Generator().manual_seed(seed))


def by_hand(model, tokens, quiet, loud):
    """The loop of a model with one block, written out."""
    entry = model.embed(tokens)
    context = Context(model.rotary(torch.arange(tokens.shape[1])), as_bias(attention_mask(tokens, None, None)), None)
    state = torch.zeros_like(entry)
    with torch.no_grad():
        for _ in range(quiet):
            state = model.loop_norm(model.blocks[0](state + entry, context, 0))
    for _ in range(loud):
        state = model.loop_norm(model.blocks[0](state + entry, context, 0))
    return state


def cross_entropy(model, states, examples):
    at = examples.weights.flatten().nonzero()[:, 0]
    logits = model.readout(states).flatten(0, 1)[at]
    return torch.nn.functional.cross_entropy(logits.float(), examples.targets.flatten()[at])


def gradients(model, loss):
    return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)


@pytest.mark.parametrize("backprop", [1, 3, 9])
def test_gradients_pass_through_the_last_steps_alone(backprop):
    model, examples = build(backprop=backprop), batch()
    loud = min(backprop, 4)
    found = gradients(model, loss_of(model, examples))
    expected = gradients(model, cross_entropy(model, by_hand(model, examples.tokens, 4 - loud, loud), examples))
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_progressive_loss_is_the_mean_of_full_depth_and_a_late_stretch():
    model = build(depth={"name": "progressive", "alpha": 0.25})
    drawn = prepared(model)
    steps, quiet, weight = drawn.extra["passes"][0, 1].tolist()
    full = cross_entropy(model, by_hand(model, drawn.tokens, 0, 4), drawn)
    late = cross_entropy(model, by_hand(model, drawn.tokens, int(quiet), int(steps - quiet)), drawn)
    assert weight == 0.25
    found, expected = loss_of(model, drawn), 0.75 * full + 0.25 * late
    assert_close(found, expected, rtol=1e-5, atol=1e-6, check_dtype=False)
    for one, other in zip(gradients(model, found), gradients(model, expected), strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("depth", ["uniform", "poisson-lognormal", "progressive"])
def test_depth_is_a_function_of_the_step_alone(depth):
    model = build(depth=depth)
    whole = [prepared(model, seed).extra.get("passes") for seed in range(20)]
    again = [prepared(model, seed).extra.get("passes") for seed in range(20)]
    some = [prepared(model, seed, rows=[4, 1]).extra.get("passes") for seed in range(20)]
    assert [None if one is None else one[0].tolist() for one in whole] == [
        None if one is None else one[0].tolist() for one in again
    ]
    assert [None if one is None else one[0].tolist() for one in whole] == [
        None if one is None else one[0].tolist() for one in some
    ]
    assert len({str(None if one is None else one[0].tolist()) for one in whole}) > 2


def test_evaluation_makes_the_models_own_steps_whatever_training_draws():
    model, examples = build(depth="poisson-lognormal"), batch()
    expected = by_hand(model, examples.tokens, 4, 0)
    assert_close(model.eval()(examples.tokens).states[0], expected, rtol=1e-10, atol=1e-10)


def test_a_problem_tells_its_depth_in_training_and_in_evaluation():
    model = build(depth={"name": "difficulty", "per_difficulty": 2})
    drawn = prepared(model)
    assert drawn.steps.tolist() == [2, 4, 2, 4, 2, 4]
    rows = [
        cross_entropy(model, by_hand(model, one.tokens, 0, depth), one) * one.weights.sum()
        for depth, one in ((int(drawn.steps[row]), drawn.select(torch.tensor([row]))) for row in range(6))
    ]
    expected = sum(rows) / drawn.weights.sum()
    assert_close(loss_of(model, drawn), expected, rtol=1e-5, atol=1e-6, check_dtype=False)
    assert_close(loss_of(model.eval(), batch()), expected, rtol=1e-5, atol=1e-6, check_dtype=False)
    objective = AnswerConfig().build(model, LAYOUT)
    easy, hard = objective.decode(model, batch(2)).compute.tolist()
    positions = [2 * digits + 2 for digits in (1, 2)]  # prompt with its mark
    written = [int((row != 0).sum()) for row in objective.decode(model, batch(2)).tokens]
    assert [easy, hard] == [2 * (positions[0] + written[0] - 1), 4 * (positions[1] + written[1] - 1)]


def test_two_states_are_a_recursion_of_one_group():
    model, examples = build(states=2, low_steps=3, steps=2), batch()
    entry = model.embed(examples.tokens)
    context = Context(model.rotary(torch.arange(LENGTH)), as_bias(attention_mask(examples.tokens, None, None)), None)

    def group(x):
        return model.loop_norm(model.blocks[0](x, context, 0))

    high = low = torch.zeros_like(entry)
    for _ in range(2):
        for _ in range(3):
            low = group(low + high + entry)
        high = group(low + high)
    output = model(examples.tokens)
    assert_close(output.states[0], high, rtol=1e-10, atol=1e-10)
    assert output.compute.unique().tolist() == [2 * (3 + 1)]


def test_deep_supervision_with_detached_steps_is_a_loss_for_each_step_alone():
    halting = {"name": "deep-supervision", "detach": True}
    model, examples = build(states=2, low_steps=1, steps=3, halting=halting), batch()
    entry = model.embed(examples.tokens)
    context = Context(model.rotary(torch.arange(LENGTH)), as_bias(attention_mask(examples.tokens, None, None)), None)

    def group(x):
        return model.loop_norm(model.blocks[0](x, context, 0))

    high = low = torch.zeros_like(entry)
    losses = []
    for _ in range(3):
        low = group(low.detach() + high.detach() + entry)
        high = group(low + high.detach())
        losses.append(cross_entropy(model, high, examples))
    found, expected = loss_of(model, examples), sum(losses) / 3
    assert_close(found, expected, rtol=1e-5, atol=1e-6, check_dtype=False)
    for one, other in zip(gradients(model, found), gradients(model, expected), strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_training_begins_with_noise_and_evaluation_with_its_mean():
    noisy, plain, tokens = build(start_noise=0.5), build(), batch().tokens
    assert_close(noisy.eval()(tokens).states, plain.eval()(tokens).states, rtol=0, atol=0)
    torch.manual_seed(0)
    first = noisy.train()(tokens).states
    second = noisy(tokens).states
    torch.manual_seed(0)
    assert torch.equal(noisy(tokens).states, first)
    assert not torch.allclose(first, second)


def test_mean_arithmetic_of_a_drawn_depth_is_that_of_the_mean_depth():
    def counted(model, weighted):
        total = 0.0
        for weight, one in weighted:
            with FlopCounterMode(display=False) as counter:
                gradients(model, loss_of(model, one))
            total += weight * counter.get_total_flops()
        return total

    three = build(depth={"name": "uniform", "least": 3, "most": 3}, backprop=2)
    exact = prepared(three)
    assert exact.extra["passes"][0].tolist() == [[3, 0, 1]]
    expected = counted(three, [(1.0, exact)])
    assert counted(three, three.arithmetic_batches(batch())) == pytest.approx(expected, rel=1e-9)
    fixed = build()
    [(weight, one)] = fixed.arithmetic_batches(batch())
    assert weight == 1.0
    assert not one.extra


def test_training_deeper_than_a_learned_step_embedding_is_refused():
    with pytest.raises(ValidationError, match=r"depth makes up to 9 steps; .* knows steps \(4\)"):
        build(step_embedding="learned", depth={"name": "uniform", "most": 9})
    with pytest.raises(ValidationError, match="depth makes any number of steps; "):
        build(step_embedding="learned", depth="difficulty")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sharing": "sequence", "halting": "act"}, "with halting or two states use cycle"),
        ({"states": 2, "injection": "none"}, "injection has to be add"),
        ({"injection": "none", "backprop": 2}, "its embedding would learn nothing; leave backprop out"),
    ],
)
def test_what_does_not_fit_a_loop_is_refused_in_a_line(options, message):
    with pytest.raises(ValidationError, match=message):
        build(**options)


def test_dials_are_one_to_four_times_the_steps():
    assert UniversalTransformerConfig(steps=3).dials()["steps"] == [1, 2, 3, 4, 5, 6, 9, 12]
    assert UniversalTransformerConfig(steps=3, step_embedding="learned").dials()["steps"] == [1, 2, 3]
