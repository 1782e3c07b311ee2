"""The plain decoder: who sees whom, and what is refused."""

import pytest
import torch
from torch.testing import assert_close

from factorexe.config import ConfigError, resolve
from factorexe.models.base import Cache
from factorexe.models.transformer import TransformerConfig

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])


def build(seed=0, max_length=16, **options):
    """A small model in double precision, with weights large enough to make every path count."""
    torch.manual_seed(seed)
    model = TransformerConfig(**{"layers": 2, "width": 16, "heads": 2, **options}).build(12, max_length).double()
    with torch.no_grad():
        for name in ("embedding", "position"):
            if getattr(model, name) is not None:
                getattr(model, name).weight.mul_(50)
    return model.eval()


def changed(tokens, column, to=7):
    other = tokens.clone()
    other[:, column] = to
    return other


def test_output_has_one_state_of_weight_one_and_costs_one_application_per_layer():
    output = build(layers=3)(TOKENS)
    assert output.states.shape == (1, 2, 6, 16)
    assert output.weight.tolist() == [[[1.0] * 6] * 2]
    assert output.compute.tolist() == [[3.0] * 6] * 2
    assert output.penalty.tolist() == [[0.0] * 6] * 2
    assert output.regulariser.item() == 0


def test_a_later_token_changes_no_earlier_state():
    model = build()
    before, after = model(TOKENS).states, model(changed(TOKENS, 3)).states
    assert torch.equal(before[:, :, :3], after[:, :, :3])
    assert not torch.allclose(before[:, :, 5], after[:, :, 5])


def test_a_bidirectional_prompt_sees_ahead():
    model, given = build(prompt="bidirectional"), torch.tensor([4, 4])
    before, after = (model(t, prompt_length=given).states for t in (TOKENS, changed(TOKENS, 3)))
    assert (before[:, :, 0] - after[:, :, 0]).abs().max() > 1e-3


def test_answer_tokens_do_not_leak_into_a_bidirectional_prompt_or_each_other():
    model, given = build(prompt="bidirectional"), torch.tensor([4, 4])
    before, after = (model(t, prompt_length=given).states for t in (TOKENS, changed(TOKENS, 5)))
    assert_close(before[:, :, :5], after[:, :, :5], rtol=0, atol=1e-12)
    before, after = (model(t, prompt_length=given).states for t in (TOKENS, changed(TOKENS, 4)))
    assert_close(before[:, :, :4], after[:, :, :4], rtol=0, atol=1e-12)


def test_a_causal_model_does_not_care_where_the_prompt_ends():
    model = build()
    assert torch.equal(model(TOKENS).states, model(TOKENS, prompt_length=torch.tensor([2, 4])).states)


def test_a_bidirectional_prompt_of_one_token_is_causal():
    causal, both = build(), build(prompt="bidirectional")
    assert_close(both(TOKENS, prompt_length=torch.tensor([1, 1])).states, causal(TOKENS).states, rtol=0, atol=1e-12)


@pytest.mark.parametrize("prompt", ["causal", "bidirectional"])
@pytest.mark.parametrize("positions", ["rotary", "learned", "none"])
def test_padding_on_the_left_changes_nothing(positions, prompt):
    model = build(positions=positions, prompt=prompt)
    padded = torch.cat([torch.zeros(2, 3, dtype=torch.long), TOKENS], dim=1)
    places = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4, 5]] * 2)
    given = torch.tensor([4, 3])
    plain = model(TOKENS, prompt_length=given).states
    assert_close(model(padded, positions=places, prompt_length=given).states[:, :, 3:], plain, rtol=0, atol=1e-10)


@pytest.mark.parametrize("positions", ["rotary", "learned", "none"])
def test_padding_on_the_right_changes_nothing(positions):
    model = build(positions=positions)
    padded = torch.cat([TOKENS, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    assert_close(model(padded).states[:, :, :6], model(TOKENS).states, rtol=0, atol=1e-10)


def test_without_positions_a_bidirectional_prompt_is_a_bag_of_tokens():
    model, given = build(positions="none", prompt="bidirectional"), torch.tensor([4, 4])
    shuffled = TOKENS[:, [2, 0, 3, 1, 4, 5]]
    one, other = (model(t, prompt_length=given).states[:, :, 5] for t in (TOKENS, shuffled))
    assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_with_positions_order_matters(positions):
    model, given = build(positions=positions, prompt="bidirectional"), torch.tensor([4, 4])
    shuffled = TOKENS[:, [2, 0, 3, 1, 4, 5]]
    one, other = (model(t, prompt_length=given).states[:, :, 5] for t in (TOKENS, shuffled))
    assert (one - other).abs().max() > 1e-3


def test_rotary_positions_count_differences_only_and_learned_ones_do_not():
    later = torch.arange(5, 11)
    rotary, learned = build(positions="rotary"), build(positions="learned")
    assert_close(rotary(TOKENS, positions=later).states, rotary(TOKENS).states, rtol=0, atol=1e-5)
    assert (learned(TOKENS, positions=later).states - learned(TOKENS).states).abs().max() > 1e-3


@pytest.mark.parametrize("sizes", [[2, 3, 1], [1, 1, 4], [6]])
@pytest.mark.parametrize("positions", ["rotary", "learned", "none"])
def test_chunks_with_a_cache_equal_one_forward(positions, sizes):
    model, cache = build(positions=positions), Cache()
    parts = [model(chunk, cache=cache).states for chunk in TOKENS.split(sizes, dim=1)]
    assert_close(torch.cat(parts, dim=2), model(TOKENS).states, rtol=0, atol=1e-10)
    assert cache.length == 6


def test_chunks_after_a_bidirectional_padded_prompt_equal_one_forward():
    model, cache = build(prompt="bidirectional"), Cache()
    tokens = torch.tensor([[0, 0, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
    places, given = torch.tensor([[0, 0, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]), torch.tensor([2, 4])
    whole = model(tokens, positions=places, prompt_length=given).states
    first = model(tokens[:, :4], positions=places[:, :4], prompt_length=given, cache=cache).states
    second = model(tokens[:, 4:], positions=places[:, 4:], cache=cache).states
    got = torch.cat([first, second], dim=2)
    assert_close(got[:, 0, 2:], whole[:, 0, 2:], rtol=0, atol=1e-10)
    assert_close(got[:, 1], whole[:, 1], rtol=0, atol=1e-10)


def test_a_cropped_cache_goes_on_as_if_the_rest_had_never_been():
    model, cache = build(), Cache()
    with torch.no_grad():
        model(changed(TOKENS, 4)[:, :5], cache=cache)
        cache.crop(4)
        assert_close(model(TOKENS[:, 4:], cache=cache).states, model(TOKENS).states[:, :, 4:], rtol=0, atol=1e-10)


def test_embeddings_take_the_place_of_tokens():
    model = build()
    other = changed(TOKENS, 2)
    assert torch.equal(model(other, embeddings=model.embed(TOKENS)).states, model(TOKENS).states)


def test_values_scale_embeddings():
    model = build()
    values = torch.full((2, 6), 3.0, dtype=torch.float64)
    assert_close(model.embed(TOKENS, values), 3 * model.embed(TOKENS))


def test_readout_gives_one_logit_per_token_of_the_vocabulary():
    model = build()
    assert model.readout(model(TOKENS).states).shape == (1, 2, 6, 12)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_a_sequence_longer_than_the_model_is_refused(positions):
    model = build(positions=positions, max_length=5)
    with pytest.raises(ValueError, match=r"6 positions.*at most 5"):
        model(TOKENS)
    cache = Cache()
    model(TOKENS[:, :4], cache=cache)
    with pytest.raises(ValueError, match=r"6 positions.*at most 5"):
        model(TOKENS[:, 4:], cache=cache)


def test_without_positions_any_length_will_do():
    build(positions="none", max_length=2)(TOKENS)


def test_steps_are_refused():
    with pytest.raises(ValueError, match="use a looped model"):
        build()(TOKENS, steps=4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 10, "heads": 3}, r"heads \(3\).*width \(10\)"),
        ({"width": 6, "heads": 2, "positions": "rotary"}, "even width per head"),
    ],
)
def test_heads_that_do_not_fit_the_width_are_refused_in_one_line(options, words):
    with pytest.raises(ConfigError, match=words) as error:
        resolve({"task": "addition", "model": {"name": "transformer", **options}})
    assert len(error.value.messages) == 1
    assert "\n" not in error.value.messages[0]


def test_an_odd_width_per_head_is_fine_without_rotary_positions():
    build(width=6, heads=2, positions="learned")(TOKENS)
