"""Loops with halted tokens: leaving them out, masking them out and caching come to the same; nobody sees the future."""

import itertools

import halted
import pytest
import torch
from halted import LAYOUT, LENGTH, problems, read, states
from torch.testing import assert_close

from factorexe.models.universal_transformer import UniversalTransformerConfig

STEPS = 5
POLICIES = {
    "act": {"name": "act", "bias": -1.0},
    "sampled": {"name": "ponder", "deploy": "sample"},
    "threshold": {"name": "ponder", "deploy": "threshold"},
    "most-likely": {"name": "ponder", "deploy": "most-likely"},
    "expected": {"name": "ponder", "deploy": "expected"},
    "stick-breaking": {"name": "stick-breaking", "threshold": 0.7},
    "stable": {"name": "confidence", "rule": "stable", "patience": 2},
    "certain": {"name": "confidence", "rule": "certain", "threshold": 0.3},
}
OFTEN = [("token", "frozen"), ("sequence", "frozen"), ("token", "soft")]
EVERY = [
    pytest.param(policy, halt, others_see, marks=[] if (halt, others_see) in OFTEN else pytest.mark.slow)
    for policy, halt, others_see in itertools.product(POLICIES, ["token", "sequence"], ["frozen", "soft", "running"])
]
every_setting = pytest.mark.parametrize(("policy", "halt", "others_see"), EVERY)


def build(policy, halt="token", others_see="frozen", **options):
    """A model in double precision whose tokens halt at various steps."""
    torch.manual_seed(3)
    halting = {**POLICIES[policy], "halt": halt, "others_see": others_see}
    small = {"width": 16, "heads": 2, "layers": 2, "prelude": 1, "coda": 1, "steps": STEPS}
    model = UniversalTransformerConfig(**{**small, **options}, halting=halting).build(LAYOUT.vocabulary, LENGTH)
    with torch.no_grad():
        model.embedding.weight.mul_(50)
        model.head.weight.mul_(2)
        for parameter in model.policy.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.7 if parameter.ndim > 1 else 0.0))
    return model.double().eval()


@every_setting
def test_leaving_halted_tokens_out_changes_nothing(policy, halt, others_see):
    halted.assert_leaving_tokens_out_changes_nothing(build(policy, halt, others_see))


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "expected"])
def test_these_settings_halt_tokens_at_various_steps(policy):
    spent = halted.assert_leaving_tokens_out_changes_nothing(build(policy))
    assert len(spent.unique()) >= 3
    assert 2 + 2 <= spent.min() <= spent.max() <= 2 + 2 * STEPS


@every_setting
def test_token_by_token_with_a_cache_as_in_one_pass(policy, halt, others_see):
    halted.assert_token_by_token_is_as_in_one_pass(build(policy, halt, others_see))


@every_setting
def test_decoding_with_a_cache_writes_the_same_tokens_at_the_same_price(policy, halt, others_see):
    halted.assert_decoding_writes_the_same_at_the_same_price(build(policy, halt, others_see))


@every_setting
def test_no_state_depends_on_later_tokens(policy, halt, others_see):
    halted.assert_later_tokens_change_nothing(build(policy, halt, others_see), halt)


@every_setting
def test_padding_on_the_left_changes_nothing(policy, halt, others_see):
    halted.assert_padding_on_the_left_changes_nothing(build(policy, halt, others_see))


@pytest.mark.parametrize("steps", [2, torch.tensor([1, 5, 3, 2, 4, 5, 1, 3])], ids=["all", "rows"])
@pytest.mark.parametrize("policy", POLICIES)
@torch.no_grad()
def test_nobody_makes_more_steps_than_asked_for(policy, steps):
    model, batch = build(policy), LAYOUT.batch(problems(), 24)
    output = read(model, batch, steps=steps)
    most = steps if isinstance(steps, int) else steps[:, None]
    assert (output.compute <= 2 + 2 * most + (model.config.coda * (len(output.states) - 1))).all()
    assert_close(output.weight.sum(dim=0), torch.ones(8, 24).double(), rtol=0, atol=1e-12)
    model.compacts = False
    assert_close(states(read(model, batch, steps=steps)), states(output), rtol=1e-10, atol=1e-10)


def test_a_row_with_its_own_steps_is_the_row_alone_with_that_depth():
    torch.manual_seed(0)
    small = {"width": 16, "heads": 2, "layers": 2, "coda": 1, "steps": STEPS}
    model = UniversalTransformerConfig(**small).build(LAYOUT.vocabulary, LENGTH).double()
    halted.assert_rows_with_their_own_steps_are_as_alone(model)


@torch.no_grad()
def test_a_frozen_token_shows_the_keys_and_values_of_its_last_step():
    """By hand: two tokens, the first of which makes one step and the second three."""
    torch.manual_seed(0)
    model = UniversalTransformerConfig(
        width=4, heads=1, steps=3, injection="none", loop_norm=False, positions="none", halting="fixed"
    ).build(5, 4)
    model = model.double().eval()
    block, limit = model.blocks[0], torch.tensor([[1, 3]])
    tokens = torch.tensor([[1, 2]])
    from factorexe.models.layers import Context, as_bias, attention_mask
    from factorexe.models.loop import Loop, State, walk
    from factorexe.models.looped import _Group
    from factorexe.models.memory import Memory

    entry = model.embed(tokens)
    first, second = entry[0, 0], entry[0, 1]
    shown = block.attention_norm(first)  # what the first token showed in its only step
    context = Context(None, as_bias(attention_mask(tokens, None, None)), None, Memory())
    loop = Loop(_Group(model), model.policy, model.readout, "frozen", None, None, {})
    walked = walk(loop, State(entry), entry, limit, context, compact=True)

    def attend(mine):
        normed = block.attention_norm(mine)
        query, _, _ = block.attention.project(normed).chunk(3)
        keys, values = [], []
        for seen in (shown, normed):
            _, key, value = block.attention.project(seen).chunk(3)
            keys.append(key)
            values.append(value)
        weights = (torch.stack(keys) @ query / 2).softmax(dim=0)
        after = mine + block.attention.out(weights @ torch.stack(values))
        return after + block.mlp(block.mlp_norm(after))

    expected = attend(attend(attend(second)))
    assert_close(walked.states[0, 0, 1], expected, rtol=1e-12, atol=1e-12)
    alone = first + block.attention.out(block.attention.project(shown).chunk(3)[2])
    assert_close(walked.states[0, 0, 0], alone + block.mlp(block.mlp_norm(alone)), rtol=1e-12, atol=1e-12)
    assert walked.steps.tolist() == [[1, 3]]
