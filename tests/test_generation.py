"""Decoding, with a model that counts down: after token k it writes k - 1, and 1 ends a row."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from factorexe.generation import Change, generate, log_probability
from factorexe.layout import Batch, SequenceLayout
from factorexe.models.base import Model, Output
from factorexe.models.transformer import TransformerConfig
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.tasks.addition import Addition
from factorexe.tasks.base import Examples

END = 1


class Marks:
    """What decoding asks of a layout."""

    end_mark = END
    numeric = torch.zeros(0, dtype=torch.long)

    @staticmethod
    def following_places(tokens, prompt_length):
        return None


class Countdown(Model):
    """Likes padding best, then one less than the token it has just read.  Every position costs 3."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, tokens, **_):
        self.batches.append(len(tokens))
        logits = torch.zeros(*tokens.shape, 12)
        logits.scatter_(-1, (tokens - 1).clamp_min(0).unsqueeze(-1), 5.0)
        logits[..., 0] = 10.0
        one = torch.ones(tokens.shape)
        return Output(logits.unsqueeze(0), one.unsqueeze(0), 3 * one, 0 * one, torch.zeros(()))

    def readout(self, states):
        return states


def prompts(*rows):
    """Right-aligned prompts."""
    width = max(map(len, rows))
    tokens = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows])
    none = np.zeros((len(rows), 0), dtype=np.int64)
    examples = Examples(none, none, none, none, np.zeros(len(rows), dtype=np.int64))
    given = torch.tensor([len(row) for row in rows])
    positions = (torch.arange(width) - (width - given)[:, None]).clamp_min(0)
    return Batch(tokens, given, examples, positions=positions)


@pytest.mark.parametrize("cached", [True, False])
def test_every_row_is_written_to_its_end_and_padded_after_it(cached):
    found = generate(Countdown(), prompts([2], [3], [9], [5]), Marks, limit=10, cached=cached)
    assert found.tokens.tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [8, 7, 6, 5, 4, 3, 2, 1, 0, 0],
        [4, 3, 2, 1, 0, 0, 0, 0, 0, 0],
    ]


def test_rows_that_have_ended_leave_once_they_are_half_of_the_batch():
    model = Countdown()
    generate(model, prompts([2], [3], [9], [9]), Marks, limit=10)
    # the first row ends at once, one of four: all go on; then the second, two of four: they leave
    assert model.batches == [4, 4, 2, 2, 2, 2, 2, 2]


def test_generation_stops_at_the_limit():
    model = Countdown()
    found = generate(model, prompts([9], [2]), Marks, limit=3)
    assert found.tokens.tolist() == [[8, 7, 6], [1, 0, 0]]
    assert len(model.batches) == 3  # the prompt and two tokens; the third is never processed


@pytest.mark.parametrize("cached", [True, False])
def test_compute_counts_the_prompt_and_every_token_that_was_processed_but_no_padding(cached):
    found = generate(Countdown(), prompts([7, 7, 7, 2], [4], [9, 9]), Marks, limit=5, cached=cached)
    # 4 + 0, 1 + 2 and 2 + 4 positions of 3 each: what is written last is not processed
    assert found.compute.tolist() == [12.0, 9.0, 18.0]


def test_padding_is_never_generated():
    model = Countdown()
    found = generate(model, prompts([6], [6]), Marks, limit=3)
    assert found.tokens.tolist() == [[5, 4, 3], [5, 4, 3]]


def test_a_single_row_is_decoded():
    assert generate(Countdown(), prompts([3]), Marks, limit=4).tokens.tolist() == [[2, 1, 0, 0]]


class Readable(Model):
    def readout(self, states):
        return states


def mixture(first, weight):
    """Two states at one position: probabilities of tokens 0 to 3, and the weight of the first."""
    second = [0.05, 0.05, 0.8, 0.1]
    states = torch.tensor([[[first]], [[second]]]).log()
    shares = torch.tensor([[[weight]], [[1 - weight]]])
    zero = torch.zeros(1, 1)
    return Output(states, shares, zero, zero, torch.zeros(()))


def likeliest(output):
    return log_probability(Readable(), output).argmax(dim=-1).tolist()


def test_a_weighted_mixture_picks_its_own_likeliest_token():
    first = [0.05, 0.5, 0.4, 0.05]
    # token 1: 0.6 x 0.5 + 0.4 x 0.05 = 0.32; token 2: 0.6 x 0.4 + 0.4 x 0.8 = 0.56
    assert likeliest(mixture(first, 0.6)) == [2]
    assert likeliest(mixture(first, 1.0)) == [1]


def test_probabilities_are_mixed_not_logits():
    # token 2: 0.5 x 0.001 + 0.4 = 0.4005 beats token 1's 0.5 x 0.7 + 0.025 = 0.375; geometrically token 1 leads
    assert likeliest(mixture([0.049, 0.7, 0.001, 0.25], 0.5)) == [2]


@pytest.mark.parametrize("prompt", ["causal", "bidirectional"])
@pytest.mark.parametrize("positions", ["rotary", "learned", "none"])
def test_cached_decoding_writes_the_same_tokens_as_uncached(positions, prompt):
    task = Addition(digits=4, min_digits=1)
    layout = SequenceLayout(task, chain=True)
    torch.manual_seed(0)
    config = TransformerConfig(layers=2, width=16, heads=2, positions=positions, prompt=prompt)
    model = config.build(layout.vocabulary, layout.max_length).double().eval()
    with torch.no_grad():
        model.embedding.weight.mul_(50)
    examples = task.sample(np.array([1, 4, 2, 3, 1, 4]), np.random.default_rng(0))
    batch = layout.prompts(examples)
    ways = [generate(model, batch, layout, limit=20, cached=cached) for cached in (True, False)]
    assert len(torch.unique(ways[0].tokens)) > 3  # the model says something
    assert torch.equal(ways[0].tokens, ways[1].tokens)
    assert torch.equal(ways[0].compute, ways[1].compute)


def test_a_row_is_decoded_as_if_it_were_alone():
    task = Addition(digits=4, min_digits=1)
    layout = SequenceLayout(task, chain=False)
    torch.manual_seed(1)
    model = TransformerConfig(layers=2, width=16, heads=2).build(layout.vocabulary, layout.max_length).double().eval()
    examples = task.sample(np.array([1, 4, 2]), np.random.default_rng(0))
    together = generate(model, layout.prompts(examples), layout, limit=6)
    for row in range(3):
        alone = generate(model, layout.prompts(examples.select([row])), layout, limit=6)
        assert torch.equal(alone.tokens[0], together.tokens[row])
        assert alone.compute[0] == together.compute[row]


# -- log-probabilities, sampling, hooks, chunks


def counted(token):
    """Log-probability of what ``Countdown`` likes best, at 5 against ten others at 0 (padding is never written)."""
    return 5.0 - math.log(math.exp(5.0) + 10.0) + 0 * token


def test_log_probabilities_are_those_of_the_tokens_written():
    found = generate(Countdown(), prompts([3], [2]), Marks, limit=4)
    assert found.tokens.tolist() == [[2, 1, 0, 0], [1, 0, 0, 0]]
    assert found.log_probability[0, :2].tolist() == pytest.approx([counted(2), counted(1)], abs=1e-6)
    assert found.log_probability[1].tolist() == pytest.approx([counted(1), 0, 0, 0], abs=1e-6)
    assert found.values is None


def test_samples_come_as_often_as_they_are_likely():
    many = prompts(*[[5]] * 4000)
    found = generate(Countdown(), many, Marks, limit=1, temperature=2.0, generator=torch.Generator().manual_seed(0))
    odds = math.exp(2.5) / (math.exp(2.5) + 10)  # 5 / temperature against ten others
    share = (found.tokens[:, 0] == 4).float().mean().item()
    assert share == pytest.approx(odds, abs=4 * math.sqrt(odds * (1 - odds) / 4000))
    likeliest = found.tokens[:, 0] == 4
    assert found.log_probability[likeliest, 0].unique().tolist() == pytest.approx([math.log(odds)], abs=1e-5)
    assert found.log_probability[~likeliest, 0].unique().tolist() == pytest.approx(
        [math.log((1 - odds) / 10)], abs=1e-5
    )
    assert (found.tokens[:, 0] != 0).all()


def test_the_same_generator_draws_the_same_samples():
    ways = [
        generate(Countdown(), prompts([9], [9]), Marks, limit=6, temperature=3.0, generator=torch.manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(ways[0].tokens, ways[1].tokens)
    assert not torch.equal(ways[0].tokens, ways[2].tokens)


def test_a_hook_sees_every_step_of_the_rows_that_go_on():
    seen = []
    generate(Countdown(), prompts([2], [3], [9]), Marks, limit=4, hook=seen.append)
    assert [step.column for step in seen] == [0, 1, 2, 3]
    assert [step.rows.tolist() for step in seen] == [[0, 1, 2], [0, 1, 2], [2], [2]]
    assert seen[3].sequence.tolist() == [[9, 8, 7, 6]]
    assert seen[0].states.shape == (1, 3, 12)
    assert seen[0].weight.tolist() == [[1.0, 1.0, 1.0]]
    assert seen[0].log_probability.exp().sum(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert seen[0].log_probability[:, 0].tolist() == [-math.inf] * 3


def test_a_hook_may_forbid_a_token():
    def no_sevens(step):
        banned = step.log_probability.clone()
        banned[:, 7] = -math.inf
        return Change(log_probability=banned)

    found = generate(Countdown(), prompts([9]), Marks, limit=2, hook=no_sevens)
    assert found.tokens[0, 0] == 8
    assert found.tokens[0, 1] not in (0, 7)
    assert found.log_probability[0, 1].item() == pytest.approx(math.log(1 / 10))  # ten others, equally likely


@pytest.mark.parametrize("cached", [True, False])
def test_a_hook_may_force_tokens_and_leave_others_free(cached):
    def forced(step):
        return Change(tokens=torch.tensor([5, 0])[step.rows]) if step.column == 1 else None

    found = generate(Countdown(), prompts([9], [9]), Marks, limit=3, hook=forced, cached=cached)
    assert found.tokens.tolist() == [[8, 5, 4], [8, 7, 6]]
    assert found.log_probability[0].tolist() == pytest.approx([counted(8), 0.0, counted(4)], abs=1e-6)


@pytest.mark.parametrize("cached", [True, False])
def test_a_hook_may_let_rows_go_on_as_others_stand(cached):
    def swapped(step):
        return Change(rows=torch.tensor([1, 1, 0])) if step.column == 1 else None

    found = generate(Countdown(), prompts([9], [7, 6], [4]), Marks, limit=3, hook=swapped, cached=cached)
    assert found.tokens.tolist() == [[5, 4, 3], [5, 4, 3], [8, 7, 6]]
    assert found.compute.tolist() == [12.0, 12.0, 9.0]  # what was written and read counts with it


def test_a_hook_that_selects_too_few_rows_is_refused():
    with pytest.raises(ValueError, match=r"one for each of the 2 \(got 1\)"):
        generate(Countdown(), prompts([9], [7]), Marks, limit=3, hook=lambda step: Change(rows=torch.tensor([0])))


def small(seed=0, **options):
    """A loud model in double precision, its layout, and prompts of different lengths."""
    task = Addition(digits=4, min_digits=1)
    config = UniversalTransformerConfig(**{"width": 16, "heads": 2, "steps": 3, **options})
    layout = SequenceLayout(task, chain=True, places=config.reads_places)
    torch.manual_seed(seed)
    model = config.build(layout.vocabulary, layout.max_length).double().eval()
    with torch.no_grad():
        model.embedding.weight.mul_(50)
    examples = task.sample(np.array([1, 4, 2, 3, 1, 4]), np.random.default_rng(0))
    return model, layout, layout.prompts(examples)


@pytest.mark.parametrize(("factor", "same"), [(1.0, True), (-1.0, False)])
def test_feeding_the_embedding_of_the_token_written_changes_nothing_and_another_does(factor, same):
    model, layout, batch = small()
    plain = generate(model, batch, layout, limit=8)

    def repeated(step):
        return Change(embeddings=model.embed(step.log_probability.argmax(dim=-1)) * factor)

    ways = [generate(model, batch, layout, limit=8, hook=repeated, cached=cached) for cached in (True, False)]
    assert torch.equal(ways[0].tokens, ways[1].tokens)
    assert torch.equal(ways[0].tokens, plain.tokens) == same


def test_values_behind_tokens_are_fed_and_kept():
    model, layout, batch = small()

    def doubled(step):
        return Change(values=torch.full((len(step.rows),), 2.0, dtype=torch.float64)) if step.column == 1 else None

    def embedded(step):  # the same, said with embeddings
        return Change(embeddings=2 * model.embed(step.log_probability.argmax(dim=-1))) if step.column == 1 else None

    ways = [generate(model, batch, layout, limit=6, hook=doubled, cached=cached) for cached in (True, False)]
    assert torch.equal(ways[0].tokens, ways[1].tokens)
    assert torch.equal(ways[0].tokens, generate(model, batch, layout, limit=6, hook=embedded).tokens)
    assert ways[0].values[:, :3].tolist() == [[1.0, 2.0, 1.0]] * 6


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("places", [True, False])
def test_chunks_write_what_one_batch_writes(places, rows):
    model, layout, batch = small(places=places)
    whole = generate(model, batch, layout, limit=12)
    bound = rows * model.cached_bytes(None) * (batch.tokens.shape[1] + 12)
    sizes = []
    chunked = generate(
        model, batch, layout, limit=12, cache_bytes=bound, hook=lambda step: sizes.append(len(step.rows))
    )
    assert torch.equal(chunked.tokens, whole.tokens)
    assert_close(chunked.log_probability, whole.log_probability, rtol=0, atol=1e-6)
    assert torch.equal(chunked.compute, whole.compute)
    assert max(sizes) == rows


def test_the_cache_of_a_chunk_stays_within_the_bound():
    model, layout, batch = small()
    bound = 2 * model.cached_bytes(None) * (batch.tokens.shape[1] + 12) + 1
    held = []

    def weighed(step):
        held.append(sum(2 * keys.numel() * keys.element_size() for keys, _ in step.cache._entries.values()))

    generate(model, batch, layout, limit=12, cache_bytes=bound, hook=weighed)
    assert 0 < max(held) <= bound


def test_decoding_leaves_the_states_a_hook_sees_as_the_model_made_them():
    seen = []
    generate(Countdown(), prompts([3]), Marks, limit=1, hook=seen.append)
    assert seen[0].states[0, 0, :3].tolist() == [10.0, 0.0, 5.0]  # its readout gives out the states themselves
