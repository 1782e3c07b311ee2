"""Positions, attention, cache and block against formulas one line long."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from factorexe.models.base import Cache
from factorexe.models.layers import Attention, Block, Context, Rotary, as_bias, attend, attention_mask, dropped, turned


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# -- rotary


def meet(rotary, m, n):
    """The product of one query at m with one key at n."""
    query, key = normal(1, 1, 1, 1, 8, seed=1), normal(1, 1, 1, 1, 8, seed=2)
    at = [rotary(torch.tensor([[place]])) for place in (m, n)]
    return (turned(query, at[0]) * turned(key, at[1])).sum()


def test_two_rotated_vectors_meet_in_a_product_of_their_distance_alone():
    rotary = Rotary(8, 64)
    assert_close(meet(rotary, 5, 2), meet(rotary, 40, 37), rtol=0, atol=1e-5)
    assert_close(meet(rotary, 0, 0), meet(rotary, 63, 63), rtol=0, atol=1e-5)
    assert abs(meet(rotary, 5, 2) - meet(rotary, 2, 5)) > 1e-2


def test_rotation_keeps_the_norm_and_position_zero_changes_nothing():
    rotary = Rotary(8, 64)
    x = normal(2, 5, 2, 3, 8)
    there = turned(x, rotary(torch.tensor([[0, 7, 13, 40, 63]])))
    assert_close(there.norm(dim=-1), x.norm(dim=-1), rtol=1e-6, atol=0)
    assert_close(there[:, 0], x[:, 0], rtol=0, atol=0)
    assert (there[:, 1:] - x[:, 1:]).abs().amin(dim=(0, 2, 3, 4)).max() > 0


def test_each_row_turns_by_positions_of_its_own():
    rotary, x = Rotary(8, 64), normal(2, 3, 2, 1, 8)
    places = torch.tensor([[0, 1, 2], [5, 9, 40]])
    together = turned(x, rotary(places))
    for row in range(2):
        assert torch.equal(together[row], turned(x[row : row + 1], rotary(places[row]))[0])


def test_complex_and_real_arithmetic_turn_alike(monkeypatch):
    turn, x = Rotary(8, 64)(torch.tensor([[0, 7, 13]])), normal(2, 3, 2, 1, 8)
    as_complex = turned(x, turn)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert_close(turned(x, turn), as_complex, rtol=0, atol=1e-15)


def test_half_precision_is_turned_in_single():
    turn, x = Rotary(8, 64)(torch.tensor([[63]])), normal(1, 1, 1, 1, 8, dtype=torch.float32)
    half = turned(x.bfloat16(), turn)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, turned(x.bfloat16().float(), turn).bfloat16())


def test_the_first_pair_turns_by_one_radian_per_position():
    x = torch.tensor([1.0, 0.0], dtype=torch.float64).view(1, 1, 1, 1, 2)
    there = turned(x, Rotary(2, 4)(torch.tensor([[3]])))
    assert_close(there.flatten(), torch.tensor([math.cos(3), math.sin(3)], dtype=torch.float64), rtol=0, atol=1e-6)


# -- attend

MASKS = {
    "no mask": None,
    "causal": torch.ones(6, 6).tril().bool()[None, None],
    "one per row": torch.stack([torch.ones(6, 6).tril().bool(), torch.eye(6).bool()])[:, None],
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_attention_by_plain_products_is_scaled_dot_product_attention(name, dtype, close):
    queries, keys, values = (normal(2, 3, 6, 8, seed=s, dtype=dtype) for s in range(3))
    mine = attend(queries, keys, values, as_bias(MASKS[name]), 0.0)
    theirs = F.scaled_dot_product_attention(queries, keys, values, attn_mask=MASKS[name])
    assert mine.dtype == dtype
    assert_close(mine, theirs, rtol=0, atol=close)


def test_the_gradients_of_both_paths_agree():
    found = []
    for path in (attend, lambda q, k, v, mask, dropout: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)):
        parts = [normal(2, 3, 6, 8, seed=s).requires_grad_() for s in range(3)]
        path(*parts, MASKS["causal"] if path is not attend else as_bias(MASKS["causal"]), 0.0).square().sum().backward()
        found.append([part.grad for part in parts])
    for mine, theirs in zip(*found, strict=True):
        assert_close(mine, theirs, rtol=0, atol=1e-11)


def test_equal_keys_are_averaged():
    values = torch.tensor([[1.0], [3.0]]).view(1, 1, 2, 1)
    assert attend(torch.ones(1, 1, 1, 4), torch.zeros(1, 1, 2, 4), values, None, 0.0).item() == 2.0


def test_many_keys_take_the_fused_path_to_the_same_result():
    queries, keys, values = (normal(1, 2, 200, 8, seed=s) for s in range(3))
    last = queries[:, :, -1:]
    fused = attend(last, keys, values, None, 0.0)
    by_hand = ((last @ keys.mT) / math.sqrt(8)).softmax(-1) @ values
    assert_close(fused, by_hand, rtol=0, atol=1e-12)


# -- dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_its_share_independently_and_keeps_the_mean(rate):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = dropped(torch.ones(1001, 999), rate)
        again = dropped(torch.ones(1001, 999), rate)
    kept = found != 0
    assert set(found.unique().tolist()) == {0.0, torch.tensor(1 / (1 - rate)).item()}
    deviation = math.sqrt(rate * (1 - rate) / found.numel())
    assert abs(kept.float().mean() - (1 - rate)) < 5 * deviation
    for other in (kept.roll(1, 1), kept.roll(2, 1), kept.roll(4, 1), kept.roll(1, 0), again != 0):  # no two are coupled
        assert abs((kept & other).float().mean() - (1 - rate) ** 2) < 0.003


def test_dropout_is_drawn_from_the_default_generator():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = dropped(torch.ones(7, 5), 0.5)
        torch.manual_seed(3)
        assert torch.equal(dropped(torch.ones(7, 5), 0.5), first)


# -- attention_mask


def drawn(mask):
    """Rows of `x` (may look) and `.`."""
    return ["".join("x" if may else "." for may in row) for row in mask.tolist()]


def test_a_causal_mask_looks_back_and_at_itself():
    mask = attention_mask(torch.tensor([[5, 6, 7]]), None, None)
    assert drawn(mask[0, 0]) == ["x..", "xx.", "xxx"]


def test_padding_on_the_left_is_hidden_from_all_but_itself():
    mask = attention_mask(torch.tensor([[0, 0, 7, 8], [5, 6, 7, 8]]), None, None)
    assert drawn(mask[0, 0]) == ["x...", ".x..", "..x.", "..xx"]
    assert drawn(mask[1, 0]) == ["x...", "xx..", "xxx.", "xxxx"]


def test_padding_on_the_right_needs_no_mask_of_its_own():
    mask = attention_mask(torch.tensor([[5, 6, 0]]), None, None)
    assert drawn(mask[0, 0]) == ["x..", "xx.", "xxx"]


def test_a_prompt_is_open_to_itself_in_both_directions():
    mask = attention_mask(torch.tensor([[5, 6, 7, 8]]), torch.tensor([2]), None)
    assert drawn(mask[0, 0]) == ["xx..", "xx..", "xxx.", "xxxx"]


def test_an_open_prompt_begins_after_its_padding():
    mask = attention_mask(torch.tensor([[0, 6, 7, 8]]), torch.tensor([2]), None)
    assert drawn(mask[0, 0])[1:] == [".xx.", ".xx.", ".xxx"]


def held(cache, count, batch=1):
    """Let the cache hold ``count`` more positions."""
    cache.append(0, torch.zeros(batch, 1, count, 2), torch.zeros(batch, 1, count, 2))


def test_one_new_token_may_look_at_everything_that_is_held():
    cache = Cache()
    assert attention_mask(torch.tensor([[5, 6]]), None, cache) is not None
    held(cache, 2)
    assert attention_mask(torch.tensor([[7]]), None, cache) is None


def test_new_tokens_see_what_is_held_and_each_other_causally_but_never_its_padding():
    cache = Cache()
    attention_mask(torch.tensor([[0, 6], [5, 6]]), None, cache)
    held(cache, 2, batch=2)
    mask = attention_mask(torch.tensor([[7, 8], [7, 8]]), None, cache)
    assert drawn(mask[0, 0]) == [".xx.", ".xxx"]
    assert drawn(mask[1, 0]) == ["xxx.", "xxxx"]


def test_padding_that_is_longer_than_the_first_chunk_stays_hidden():
    cache = Cache()
    attention_mask(torch.tensor([[0, 0], [5, 6]]), None, cache)
    held(cache, 2, batch=2)
    mask = attention_mask(torch.tensor([[0, 8], [7, 8]]), None, cache)
    assert drawn(mask[0, 0])[1] == "...x"


# -- cache


def test_a_cache_returns_everything_appended_so_far_slot_by_slot():
    cache = Cache()
    assert cache.length == 0
    first, second = normal(2, 1, 3, 4, seed=1), normal(2, 1, 2, 4, seed=2)
    cache.append(0, first, -first)
    cache.append(1, 7 * first, first)
    keys, values = cache.append(0, second, -second)
    assert_close(keys, torch.cat([first, second], dim=2))
    assert_close(values, -keys)
    assert cache.length == 5


def test_a_cache_grows_past_its_first_buffer():
    cache = Cache()
    parts = [normal(1, 2, 1, 4, seed=s) for s in range(100)]
    for part in parts:
        keys, values = cache.append(0, part, 2 * part)
    assert_close(keys, torch.cat(parts, dim=2))
    assert_close(values, 2 * keys)


def test_select_keeps_rows_and_crop_forgets_positions():
    cache = Cache()
    x, new = normal(3, 1, 4, 2), normal(2, 1, 1, 2, seed=5)
    cache.padding = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]).bool()
    cache.append(0, x, x)
    cache.select(torch.tensor([2, 0]))
    cache.crop(3)
    assert cache.length == 3
    assert cache.padding.tolist() == [[True, True, False], [True, False, False]]
    keys, _ = cache.append(0, new, new)
    assert_close(keys, torch.cat([x[[2, 0], :, :3], new], dim=2))


def test_crop_to_more_than_is_held_forgets_nothing():
    cache = Cache()
    held(cache, 3)
    cache.crop(10)
    assert cache.length == 3


def test_what_was_returned_is_not_changed_by_a_select():
    cache = Cache()
    x = normal(2, 1, 2, 2)
    keys, _ = cache.append(0, x, x)
    cache.select(torch.tensor([1]))
    cache.append(0, x[:1, :, :1] + 9, x[:1, :, :1])
    assert_close(keys, x)


def causal(x, attention, sizes):
    """Attention over ``x`` in chunks of these sizes, with a cache."""
    cache, parts = Cache(), []
    for chunk in x.split(sizes, dim=1):
        mask = attention_mask(torch.ones(chunk.shape[:2], dtype=torch.long), None, cache)
        parts.append(attention(chunk, Context(None, as_bias(mask), cache), slot=0))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("sizes", [[2, 3, 1], [1] * 6, [5, 1]])
def test_gradients_pass_through_several_forwards_with_a_cache(sizes):
    torch.manual_seed(0)
    attention = Attention(8, 2, 0.0).double()
    found = []
    for chunks in ([6], sizes):
        x = normal(2, 6, 8).requires_grad_()
        out = causal(x, attention, chunks)
        gradients = torch.autograd.grad(out.square().sum(), [x, *attention.parameters()])
        found.append((out, *gradients))
    for whole, parts in zip(*found, strict=True):
        assert_close(parts, whole, rtol=0, atol=1e-12)


def test_a_cache_filled_without_gradients_can_be_continued_with_them():
    torch.manual_seed(0)
    attention = Attention(8, 2, 0.0).double()
    x = normal(1, 4, 8)
    cache = Cache()
    with torch.no_grad():
        attention(x[:, :3], Context(None, as_bias(attention_mask(torch.ones(1, 3).long(), None, cache)), cache), slot=0)
    last = attention(x[:, 3:], Context(None, None, cache), slot=0)
    last.sum().backward()
    assert_close(last, causal(x, attention, [4])[:, 3:], rtol=0, atol=1e-12)


# -- block


def test_what_writes_into_the_residual_stream_begins_smaller():
    torch.manual_seed(0)
    block = Block(128, 4, 512, 0.0)
    block.initialise(depth=8)
    spread = {name: weight.std().item() for name, weight in block.named_parameters() if weight.ndim == 2}
    one = 1 / math.sqrt(128)
    assert spread["attention.project.weight"] == pytest.approx(one, rel=0.03)
    assert spread["mlp.0.weight"] == pytest.approx(one, rel=0.03)
    assert spread["attention.out.weight"] == pytest.approx(one / 4, rel=0.03)  # sqrt(2 * 8) = 4
    assert spread["mlp.2.weight"] == pytest.approx(1 / math.sqrt(512) / 4, rel=0.03)


def test_a_block_that_writes_nothing_is_the_identity():
    block = Block(8, 2, 16, 0.0)
    with torch.no_grad():
        block.attention.out.weight.zero_()
        block.mlp[-1].weight.zero_()
    x = normal(2, 3, 8, dtype=torch.float32)
    assert torch.equal(block(x, Context(None, None, None), 0), x)
