"""The gradient of held-out problems, and of the same problems written otherwise."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from trained import configured, learned, weights

from factorexe.micro_step import MicroStep
from factorexe.optim.flat import Flat
from factorexe.optim.measures.augment import AugmentConfig
from factorexe.optim.measures.guide import GuideConfig
from factorexe.run import build


def step_of(config, number=0):
    built = build(config)
    flat = Flat(built.model.named_parameters())
    return built, MicroStep(flat, built.model, built.objective, built.data, number=number)


def gradient(built, batch):
    flat = Flat(built.model.named_parameters())
    loss = built.objective.loss(built.model, batch)
    return flat.vector(torch.autograd.grad(loss.total / loss.weight, flat.parameters))


def test_the_guide_gradient_is_that_of_held_out_problems():
    built, step = step_of(configured())
    pending = GuideConfig(rows=6).build().begin(step, built.data.batch("train", 0))
    wanted = gradient(built, built.data.batch("guide", 0).select(torch.arange(6)))
    assert_close(pending.guide(), wanted)
    (part,) = pending.parts()
    assert_close(part.gradient, gradient(built, built.data.batch("train", 0)))


def test_guide_problems_are_in_no_other_split_and_come_up_by_turns():
    built, _ = step_of(configured())
    task, data = built.data.task, built.data

    def keys(split, batches):
        rows = [data.batch(split, number).examples for number in range(batches)]
        return {bytes(key) for examples in rows for key in np.ascontiguousarray(task.key(examples))}

    guide = keys("guide", 4)
    assert len(guide) > 5
    assert not guide & (keys("train", 20) | keys("val", 4) | keys("seen", 4))
    first = data.batch("guide", 0).examples.difficulty
    assert set(first.tolist()) == {1, 2}  # difficulties are mixed in every batch


def test_looking_at_guide_problems_changes_nothing_by_itself():
    guided = learned(configured({"measure": "guide"}))
    assert torch.equal(weights(guided), weights(learned(configured())))


def test_a_task_without_guide_problems_is_told():
    config = configured(task={"name": "factorial", "held_out": "range"})
    built, step = step_of(config)
    with pytest.raises(ValueError, match="keeps no problems for guide"):
        GuideConfig().check(step, built.data.batch("train", 0))


def test_variants_of_a_product_are_its_factors_the_other_way_round():
    built, step = step_of(configured(task={"name": "multiplication", "digits": 2}))
    batch = built.data.batch("train", 0)
    turned = step.variants(batch)
    task = built.data.task
    for row in range(len(batch)):
        first, second = task.text(batch.examples.prompt[row]).split("*")
        assert task.text(turned.examples.prompt[row]) == f"{second}*{first}"
    assert torch.equal(batch.weights, turned.weights)


def test_augmenting_trains_on_both_forms():
    config = configured({"measure": "augment"}, task={"name": "multiplication", "digits": 2})
    built, step = step_of(config)
    batch = built.data.batch("train", 0)
    own, other = AugmentConfig().build().begin(step, batch).parts()
    assert_close(own.gradient, gradient(built, batch))
    assert_close(other.gradient, gradient(built, step.variants(batch)))
    learner = learned(config)
    assert learner.procedure.measure.passes == 2


def test_a_task_without_variants_is_told():
    built, step = step_of(configured(task="c-vpr"))
    with pytest.raises(ValueError, match="no label-preserving variants"):
        AugmentConfig().check(step, built.data.batch("train", 0))


def test_what_would_be_another_problem_is_no_variant():
    ordered, _ = step_of(configured(task={"name": "modular", "operation": "multiply", "modulus": 13}))
    assert ordered.data.variants(ordered.data.batch("train", 0), np.random.default_rng(0)) is None
    unordered = {"name": "modular", "operation": "multiply", "modulus": 13, "pairs": "unordered"}
    built, _ = step_of(configured(task=unordered))
    batch = built.data.batch("train", 0)
    turned = built.data.variants(batch, np.random.default_rng(0))
    assert np.array_equal(turned.examples.prompt[:, [2, 1, 0]], batch.examples.prompt)


def test_a_planted_wrong_answer_stays():
    config = configured(task={"name": "multiplication", "digits": 2}, data={"batch_size": 12, "corrupt": 1.0})
    built, step = step_of(config)
    batch = built.data.batch("train", 0)
    right = built.data.task.complete(batch.examples.prompt)
    assert not built.data.task.solved(right, batch.examples.answer).any()
    assert np.array_equal(step.variants(batch).examples.answer, batch.examples.answer)
