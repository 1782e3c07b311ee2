"""Gradients of parts from one pass are those of a pass for each part."""

import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close
from trained import configured

from factorexe.micro_step import MicroStep
from factorexe.objectives.base import Loss
from factorexe.optim.aggregators.mean import MeanConfig
from factorexe.optim.aggregators.median import MedianConfig
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Several
from factorexe.optim.measures.microbatch import MicrobatchConfig
from factorexe.optim.measures.plain import Plain
from factorexe.optim.one_pass import OnePass, Rows, in_one_pass
from factorexe.optim.part_sums import Split
from factorexe.run import build

TWO = Rows([1, 1], 1, [1, 1])  # two examples of one token each


def never():
    raise AssertionError("one pass is enough")


def gradients(module, loss_of, rows=TWO):
    """Of each part, and of the whole."""
    flat = Flat(module.named_parameters())
    pending = in_one_pass([module], lambda: Loss(loss_of(), torch.tensor(2.0), {}), rows, [1.0, 1.0], flat, never)
    return None if pending is None else [part.gradient for part in pending.parts()]


def test_of_a_linear_map_by_hand():
    linear = nn.Linear(2, 1)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    slope = torch.tensor([[10.0], [1.0]])
    assert_close(
        gradients(linear, lambda: (linear(x) * slope).sum()), [torch.tensor([10.0, 20, 10]), torch.tensor([3.0, 4, 1])]
    )


def test_of_an_embedding_by_hand():
    table = nn.Embedding(3, 1, padding_idx=0)
    rows = torch.tensor([[2], [0]])
    found = gradients(table, lambda: (table(rows)[..., 0] * torch.tensor([[5.0], [7.0]])).sum())
    assert_close(found, [torch.tensor([0.0, 0, 5]), torch.tensor([0.0, 0, 0])])


def test_of_a_layer_norm_by_hand():
    norm = nn.LayerNorm(2, eps=0.0)
    x = torch.tensor([[1.0, 3.0], [8.0, 6.0]])  # normalized: -1, 1 and 1, -1
    found = gradients(norm, lambda: (norm(x) * torch.tensor([[2.0, 2.0], [1.0, 1.0]])).sum())
    assert_close(found, [torch.tensor([-2.0, 2, 2, 2]), torch.tensor([1.0, -1, 1, 1])])


def test_a_parameter_that_is_used_twice_has_the_sum_of_both():
    table, tokens = nn.Embedding(2, 2), torch.tensor([[0], [1]])

    def loss():
        return F.linear(F.linear(table(tokens), table.weight), table.weight).square().sum()

    parts = gradients(table, loss)
    assert_close(sum(parts), torch.autograd.grad(loss(), table.weight)[0].flatten())
    assert not torch.equal(parts[0], parts[1])


def test_operations_may_be_given_their_arguments_by_name():
    table, norm, linear = nn.Embedding(3, 2), nn.LayerNorm(2), nn.Linear(2, 1)
    module, tokens = nn.ModuleList([table, norm, linear]), torch.tensor([[2], [0]])

    def by_name():
        x = F.embedding(input=tokens, weight=table.weight)
        x = F.layer_norm(input=x, normalized_shape=(2,), weight=norm.weight, bias=norm.bias)
        return F.linear(input=x, weight=linear.weight, bias=linear.bias).sum()

    assert_close(gradients(module, by_name), gradients(module, lambda: linear(norm(table(tokens))).sum()))


def test_a_frozen_parameter_takes_no_part():
    linear = nn.Linear(2, 1)
    linear.weight.requires_grad_(False)
    assert_close(gradients(linear, lambda: linear(torch.ones(2, 2)).sum()), [torch.ones(1), torch.ones(1)])


@pytest.mark.parametrize(
    "use",
    [
        lambda weight, x: (x * weight).sum(),
        lambda weight, x: F.linear(x, weight[:1]).sum(),
        lambda weight, x: torch.cat([weight, x]).sum(),
        lambda weight, x: F.linear(x.mean(dim=0), weight).sum(),
        lambda weight, x: F.linear(weight, x).sum(),
        lambda weight, x: torch.linalg.svd(weight)[1].sum(),
        lambda weight, x: F.embedding(torch.tensor([[0], [1]]), weight, max_norm=1.0).sum(),
        lambda weight, x: slope_of(lambda given: F.linear(given, weight).square().sum(), x).sum(),
        lambda weight, x: F.linear(x.clone().requires_grad_(), weight).sum(),
    ],
    ids=[
        "product",
        "a piece of it",
        "in a list",
        "other rows",
        "as rows",
        "several of one",
        "renormalized",
        "slope",
        "behind another leaf",
    ],
)
def test_what_cannot_be_told_apart_is_left_to_a_pass_for_each_part(use):
    linear = nn.Linear(2, 2, bias=False)
    weight = linear.weight
    assert gradients(linear, lambda: use(linear.weight, torch.ones(2, 2))) is None
    assert linear.weight is weight, "as it was before"


def slope_of(function, x):
    """A gradient that is itself differentiated, as in a model that minimizes an energy."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x), x, create_graph=True)[0]


def test_what_is_used_without_a_gradient_adds_nothing_to_it():
    linear = nn.Linear(2, 1, bias=False)
    nn.init.ones_(linear.weight)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    def loss():
        with torch.no_grad():
            held = linear(x)  # 3 and 7
        return (linear(x) * held).sum()

    assert_close(gradients(linear, loss), [torch.tensor([3.0, 6.0]), torch.tensor([21.0, 28.0])])


def test_an_input_that_is_written_into_is_left_to_a_pass_for_each_part():
    linear, asked = nn.Linear(2, 1), []

    def loss_of():
        x = torch.ones(2, 2)
        total = linear(x).sum()
        x.zero_()
        return Loss(total, torch.tensor(2.0), {})

    def otherwise():
        asked.append(True)
        return Several([])

    pending = in_one_pass([linear], loss_of, TWO, [1.0, 1.0], Flat(linear.named_parameters()), otherwise)
    assert list(pending.parts()) == []
    assert asked


def test_no_activation_outlives_the_backward_pass():
    table, linear, alive = nn.Embedding(3, 2), nn.Linear(2, 1), []
    both = nn.ModuleList([table, linear])

    def loss():
        states = table(torch.tensor([[2], [0]]))
        alive.append(weakref.ref(states))
        return linear(states).sum()

    gc.disable()
    try:
        assert gradients(both, loss) is not None
        assert alive[0]() is None
    finally:
        gc.enable()


def test_rows_are_known_by_their_number_unless_it_could_mean_both():
    rows = Rows([2, 1], 5, [3, 4])
    assert rows.of(torch.Size([3, 5])) == Split(0, [2, 1], False)
    assert rows.of(torch.Size([3])) == Split(0, [2, 1], False)
    assert rows.of(torch.Size([9, 7])) == Split(1, [3, 4], False)
    assert rows.of(torch.Size([3, 7])) == Split(1, [3, 4], False), "three states of seven tokens, not three examples"
    assert rows.of(torch.Size([4, 6])) is None
    assert Rows([1, 1], 2, [1, 1]).of(torch.Size([2, 2])) is None, "2 examples of 2 tokens, or 2 states of 2"
    assert Rows([1, 2], 3, [4, 5]).of(torch.Size([3, 3])) is None, "examples first, or tokens first"


def at_hand(model, dtype=torch.float64, **options):
    """A micro-step of 12 additions, and its batch."""
    built = build(configured(model=model, **options))
    built.model.to(dtype).train()
    flat = Flat([*built.model.named_parameters(), *built.objective.named_parameters()])
    step = MicroStep(flat, built.model, built.objective, built.data)
    return step, built.objective.prepare(built.model, built.data.batch("train", 0), 0, torch.Generator().manual_seed(0))


def of_each(step, batch, rows):
    return list(Several([Plain().begin(step, batch.select(torch.from_numpy(part))) for part in rows]).parts())


MODELS = {
    "rotary": {"name": "transformer", "dropout": 0.0},
    "learned positions": {"name": "transformer", "dropout": 0.0, "positions": "learned"},
    "places": {"name": "transformer", "dropout": 0.0, "places": True, "max_place": 8},
    "looped": {"name": "universal-transformer", "dropout": 0.0, "steps": 3},
    "looped, two losses": {"name": "universal-transformer", "dropout": 0.0, "steps": 3, "halting": "deep-supervision"},
    "gated": {"name": "universal-transformer", "dropout": 0.0, "steps": 3, "halting": "act"},
}
PARTS = {"equal": [range(6), range(6, 12)], "unequal": [[0, 5, 2], [1, 3, 4, 6, 7], [8, 11, 10, 9]]}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", MODELS)
def test_one_pass_gives_what_a_pass_for_each_part_gives(name, parts):
    step, batch = at_hand(MODELS[name])
    rows = [np.array(part) for part in PARTS[parts]]
    pending = step.in_one_pass(batch, rows, never)
    assert pending is not None
    found, expected = list(pending.parts()), of_each(step, batch, rows)
    assert [part.used for part in found] == [part.used for part in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.weight == other.weight
        assert_close(one.gradient, other.gradient, rtol=1e-5, atol=1e-6)  # logits are in single precision
    assert found[0].gradient.abs().max() > 0.1


COORDINATEWISE = {"mean": MeanConfig(), "median": MedianConfig()}


@pytest.mark.parametrize("rule", COORDINATEWISE)
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", MODELS)
def test_merged_one_tensor_at_a_time_it_is_what_the_rule_makes_of_all_parts(name, parts, rule):
    step, batch = at_hand(MODELS[name])
    rows, built = [np.array(part) for part in PARTS[parts]], COORDINATEWISE[rule].build(step.flat)
    expected = built(iter(of_each(step, batch, rows)), None).vector(step.flat)
    found, parts_of_it = (step.in_one_pass(batch, rows, never) for _ in range(2))
    found = found.by_tensor(built.merge)
    at_once = built(parts_of_it.parts(), None).gradient
    assert all(one is other is None or torch.equal(one, other) for one, other in zip(found, at_once, strict=True))
    assert_close(step.flat.vector(found), expected, rtol=1e-5, atol=1e-6)
    assert expected.abs().max() > 0.1


def test_what_also_entered_an_operation_that_came_to_nothing_is_merged_all_the_same():
    linear = nn.Linear(2, 1, bias=False)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    def loss_of():
        linear(x + 1)
        return Loss(linear(x).sum(), torch.tensor(2.0), {})

    pending = in_one_pass([linear], loss_of, TWO, [1.0, 1.0], Flat(linear.named_parameters()), never)
    (found,) = pending.by_tensor(lambda rows, shares: rows.max(dim=0).values)
    assert_close(found, torch.tensor([[3.0, 4.0]]))


def test_in_bf16_too():
    step, batch = at_hand(MODELS["rotary"], torch.float32)
    step.precision = lambda: torch.autocast("cpu", torch.bfloat16)
    rows = [np.array(part) for part in PARTS["unequal"]]
    pending = step.in_one_pass(batch, rows, never)
    for one, other in zip(pending.parts(), of_each(step, batch, rows), strict=True):
        assert one.gradient.dtype == torch.float32
        cosine = torch.cosine_similarity(one.gradient, other.gradient, dim=0)
        assert cosine > 0.999


@pytest.mark.parametrize("compiled", [False, True])
def test_where_parts_cannot_be_told_apart_each_has_a_pass_of_its_own_and_no_draw_is_lost(compiled):
    step, batch = at_hand({"name": "cotformer"} if not compiled else {"name": "transformer"})
    step.model.compiled = compiled
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        assert step.in_one_pass(batch, [np.arange(6), np.arange(6, 12)], never) is None
        assert torch.equal(torch.get_rng_state(), before)
        pending = MicrobatchConfig(parts=2, inner={"name": "plain"}).build().begin(step, batch)
        assert isinstance(pending, Several)
        assert len(list(pending.parts())) == 2


class Doubled(torch.autograd.Function):
    """An operation of which torch tells no one."""

    @staticmethod
    def forward(ctx, weight):
        return 2 * weight

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def test_what_only_the_backward_pass_finds_is_left_to_a_pass_for_each_part():
    step, batch = at_hand(MODELS["rotary"])
    plain = step.model.readout
    step.model.readout = lambda states: plain(states) + 0.01 * Doubled.apply(step.model.head.weight).sum()
    measure = MicrobatchConfig(parts=2, inner={"name": "plain"}).build()
    pending = measure.begin(step, batch)
    assert isinstance(pending, OnePass)
    expected = of_each(step, batch, [np.arange(6), np.arange(6, 12)])
    assert measure.begin(step, batch).by_tensor(lambda rows, shares: rows[0]) is None
    for one, other in zip(pending.parts(), expected, strict=True):
        assert_close(one.gradient, other.gradient)
