"""One group of blocks, many times: what equals what, what is counted, what a step may see."""

import pytest
import torch
from torch.testing import assert_close

from factorexe.generation import generate
from factorexe.layout import SequenceLayout
from factorexe.models.base import Cache
from factorexe.models.decoder import Reading
from factorexe.models.layers import Context
from factorexe.models.transformer import TransformerConfig
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.tasks.addition import Addition

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])


def loud(model):
    """Double precision, with weights large enough to make every path count."""
    model = model.double().eval()
    with torch.no_grad():
        for table in (model.embedding, model.position, getattr(getattr(model, "signal", None), "step", None)):
            if table is not None:
                table.weight.mul_(50)
    return model


def build(seed=0, **options):
    torch.manual_seed(seed)
    small = {"layers": 1, "steps": 2, "width": 16, "heads": 2, "loop_norm": False, "injection": "none"}
    return loud(UniversalTransformerConfig(**{**small, **options}).build(12, 16))


def plain_like(model, order):
    """A plain transformer whose layers are these blocks of ``model``."""
    plain = loud(TransformerConfig(layers=len(order), width=16, heads=2).build(12, 16))
    for part in ("embedding", "norm", "head"):
        getattr(plain, part).load_state_dict(getattr(model, part).state_dict())
    for block, source in zip(plain.blocks, order, strict=True):
        block.load_state_dict(source.state_dict())
    return plain


@pytest.mark.parametrize("injection", ["none", "add", "concat"])
@pytest.mark.parametrize("layers", [1, 2])
def test_one_loop_is_one_pass_through_a_plain_transformer(injection, layers):
    looped = build(injection=injection, layers=layers, steps=1)
    plain = plain_like(looped, list(looped.blocks))
    assert torch.equal(looped(TOKENS).states, plain(TOKENS).states)


def test_one_loop_with_a_norm_reads_out_the_same():
    looped = build(loop_norm=True, steps=1)
    plain = plain_like(looped, list(looped.blocks))
    mine, theirs = (model.readout(model(TOKENS).states) for model in (looped, plain))
    assert_close(mine, theirs, rtol=0, atol=1e-5)  # normalised twice is normalised once, but for the norm's epsilon


def test_one_loop_with_remaining_steps_is_plain_for_nothing_remains():
    looped = build(step_embedding="remaining", steps=1)
    assert torch.equal(looped(TOKENS).states, plain_like(looped, list(looped.blocks))(TOKENS).states)
    assert not torch.allclose(looped(TOKENS, steps=2).states, plain_like(looped, [*looped.blocks] * 2)(TOKENS).states)


@pytest.mark.parametrize(
    ("sharing", "order"),
    [("cycle", [0, 1, 2, 0, 1, 2]), ("sequence", [0, 0, 1, 1, 2, 2]), ("cycle-reversed", [0, 1, 2, 2, 1, 0])],
)
def test_sharing_is_a_plain_transformer_with_the_blocks_in_that_order(sharing, order):
    looped = build(layers=3, steps=2, sharing=sharing, prelude=1, coda=1)
    blocks = [*looped.prelude, *(looped.blocks[at] for at in order), *looped.coda]
    assert looped.order(2) == order
    assert_close(looped(TOKENS).states, plain_like(looped, blocks)(TOKENS).states, rtol=0, atol=1e-12)


def test_sharing_over_three_steps_is_that_of_takase_and_kiyono():
    model = build(layers=2)
    assert model.order(3) == [0, 1, 0, 1, 0, 1]
    assert build(layers=2, sharing="sequence").order(3) == [0, 0, 0, 1, 1, 1]
    assert build(layers=2, sharing="cycle-reversed").order(3) == [0, 1, 0, 1, 1, 0]


def test_added_input_is_seen_again_by_every_step():
    model = build(injection="add", steps=3)
    x = model.embed(TOKENS)
    alone = Context(model.rotary(torch.arange(6)), None, None)
    state = torch.zeros_like(x)
    for _ in range(3):
        state = model.blocks[0](state + x, alone, 0)
    everywhere = Reading(TOKENS, torch.arange(6), None, None, {})
    assert_close(model.core(x, alone, everywhere).states[0], state, rtol=0, atol=0)


def test_concatenated_input_begins_as_added_input():
    added, adapted = build(injection="add", steps=3), build(injection="concat", steps=3)
    adapted.load_state_dict(added.state_dict(), strict=False)
    assert_close(adapted(TOKENS).states, added(TOKENS).states, rtol=0, atol=1e-12)
    assert adapted.adapter.weight.shape == (16, 32)


@pytest.mark.parametrize("embedding", ["none", "sinusoidal", "remaining"])
def test_parameters_do_not_depend_on_steps(embedding):
    def shapes(steps):
        state = UniversalTransformerConfig(steps=steps, step_embedding=embedding).build(12, 16).state_dict()
        return {name: weight.shape for name, weight in state.items()}

    assert shapes(1) == shapes(9)


def test_a_learned_step_embedding_has_a_row_for_each_step_and_refuses_more():
    model = build(step_embedding="learned", steps=3)
    assert model.signal.step.weight.shape == (3, 16)
    model(TOKENS, steps=2)
    with pytest.raises(ValueError, match=r"4 steps; .* knows 3 \(model\.steps\)"):
        model(TOKENS, steps=4)


def test_every_step_has_a_signal_of_its_own():
    for embedding in ("learned", "sinusoidal", "remaining"):
        model = build(step_embedding=embedding, steps=3)
        signals = [model.signal(step, 3, model.embed(TOKENS)) for step in range(3)]
        assert len({tuple(signal.tolist()) for signal in signals}) == 3


def test_remaining_steps_count_down_to_zero_for_each_row():
    model = build(step_embedding="remaining")
    rows = model.signal(1, torch.tensor([2, 4]), model.embed(TOKENS))  # in the second step 0 and 2 are left
    assert_close(rows, torch.cat([0 * model.signal.step.weight, 2 * model.signal.step.weight]), rtol=0, atol=0)


def test_compute_counts_prelude_loop_and_coda():
    model = build(layers=2, steps=3, prelude=1, coda=2)
    assert model(TOKENS).compute.tolist() == [[9.0] * 6] * 2
    assert model(TOKENS, steps=1).compute.tolist() == [[5.0] * 6] * 2
    assert model(TOKENS, steps=torch.tensor([1, 4])).compute.tolist() == [[5.0] * 6, [11.0] * 6]


@pytest.mark.parametrize("embedding", ["none", "sinusoidal", "remaining"])
@pytest.mark.parametrize("coda", [0, 1])
def test_a_row_with_steps_of_its_own_is_as_if_it_were_alone(embedding, coda):
    model = build(injection="add", loop_norm=True, step_embedding=embedding, layers=2, coda=coda)
    together = model(TOKENS, steps=torch.tensor([5, 2])).states
    for row, steps in ((0, 5), (1, 2)):
        alone = model(TOKENS[row : row + 1], steps=steps).states
        assert_close(together[:, row], alone[:, 0], rtol=0, atol=1e-12)


def test_rows_with_steps_of_their_own_are_decoded_with_a_cache_as_without():
    layout = SequenceLayout(Addition(digits=3, min_digits=1), chain=True)
    torch.manual_seed(0)
    config = UniversalTransformerConfig(width=16, heads=2, layers=1, coda=1, step_embedding="remaining")
    model = loud(config.build(layout.vocabulary, layout.max_length))
    prompts = layout.prompts(layout.task.complete(torch.tensor([[2, 11, 3, 0, 0], [4, 5, 11, 6, 7]]).numpy()))
    steps = torch.tensor([1, 4])
    ways = [generate(model, prompts, layout, limit=12, steps=steps, cached=cached) for cached in (True, False)]
    assert torch.equal(ways[0].tokens, ways[1].tokens)
    assert len(ways[0].tokens.unique()) > 2  # the model says something
    assert_close(ways[0].log_probability, ways[1].log_probability, rtol=0, atol=1e-5)
    assert torch.equal(ways[0].compute, ways[1].compute)


@pytest.mark.parametrize("sharing", ["sequence", "cycle-reversed"])
def test_steps_for_each_row_are_refused_where_the_order_depends_on_them(sharing):
    with pytest.raises(ValueError, match=r"need model\.sharing cycle"):
        build(layers=2, sharing=sharing)(TOKENS, steps=torch.tensor([1, 2]))


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match=r"at least 1 \(got 0\)"):
        build()(TOKENS, steps=0)


@pytest.mark.parametrize("sizes", [[2, 3, 1], [1, 1, 4]])
@pytest.mark.parametrize("injection", ["none", "add", "concat"])
def test_chunks_with_a_cache_equal_one_forward(sizes, injection):
    model, cache = build(injection=injection, loop_norm=True, prelude=1, coda=1, steps=3), Cache()
    parts = [model(chunk, cache=cache).states for chunk in TOKENS.split(sizes, dim=1)]
    assert_close(torch.cat(parts, dim=2), model(TOKENS).states, rtol=0, atol=1e-10)


def test_a_cache_says_what_it_will_need():
    model, cache = build(prelude=1, steps=3).float(), Cache()
    with torch.no_grad():
        model(TOKENS, cache=cache, steps=5)
    held = sum(2 * keys.numel() * keys.element_size() for keys, _ in cache._entries.values())
    assert held == 2 * 6 * model.cached_bytes(5) == 2 * 6 * (2 * 16 * 4) * 6  # rows, positions, key and value, blocks


def test_causality_holds_at_every_depth():
    model = build(injection="add", loop_norm=True)
    other = TOKENS.clone()
    other[:, 3] = 7
    for steps in (1, 2, 5, 9):
        before, after = (model(tokens, steps=steps).states for tokens in (TOKENS, other))
        assert torch.equal(before[:, :, :3], after[:, :, :3])
        assert not torch.allclose(before[:, :, 5], after[:, :, 5])
