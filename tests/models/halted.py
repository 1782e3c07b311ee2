"""What every loop in which tokens halt keeps, asked of a model in double precision; problems to ask it with."""

import numpy as np
import torch
from torch.testing import assert_close

from factorexe.generation import generate
from factorexe.layout import SequenceLayout
from factorexe.models.base import Cache
from factorexe.tasks.addition import Addition

LAYOUT = SequenceLayout(Addition(min_digits=1, digits=2), chain=True)
LENGTH, COLUMNS = 40, 24


def problems():
    """Eight of one digit or two."""
    levels = torch.randint(1, 3, (8,), generator=torch.Generator().manual_seed(0)).numpy()
    return LAYOUT.task.sample(levels, np.random.default_rng(0))


def read(model, batch, **more):
    return model(batch.tokens, positions=batch.positions, prompt_length=batch.prompt_length, **more)


def states(output):
    """The mixture (B, T, D)."""
    return (output.weight.unsqueeze(-1) * output.states).sum(dim=0)


@torch.no_grad()
def assert_leaving_tokens_out_changes_nothing(model):
    """What is spent (M,) on the tokens of problems."""
    for batch in (LAYOUT.prompts(problems()), LAYOUT.batch(problems(), COLUMNS)):
        compact = read(model, batch)
        model.compacts = False
        masked = read(model, batch)
        model.compacts = True
        real = batch.tokens != 0
        for one, other in zip(compact[:4], masked[:4], strict=True):
            axis = (slice(None), real) if one.ndim > 2 else real
            assert_close(one[axis], other[axis], rtol=1e-10, atol=1e-10)
    return compact.compute[real]


@torch.no_grad()
def assert_token_by_token_is_as_in_one_pass(model, **more):
    prompts = LAYOUT.prompts(problems())
    width, given = prompts.tokens.shape[1], prompts.prompt_length
    new = torch.randint(1, LAYOUT.vocabulary, (len(prompts), 4), generator=torch.Generator().manual_seed(1))
    tokens = torch.cat([prompts.tokens, new], dim=1)
    positions = torch.cat([prompts.positions, given[:, None] + torch.arange(4)], dim=1)
    whole = model(tokens, positions=positions, prompt_length=given, **more)
    cache = Cache()
    pieces = [read(model, prompts, cache=cache, **more)]
    for at, many in ((width, 1), (width + 1, 2), (width + 3, 1)):
        columns = slice(at, at + many)
        pieces.append(model(tokens[:, columns], positions=positions[:, columns], cache=cache, **more))
    real = tokens != 0
    found = torch.cat([states(piece) for piece in pieces], dim=1)
    assert_close(found[real], states(whole)[real], rtol=1e-10, atol=1e-10)
    spent = torch.cat([piece.compute for piece in pieces], dim=1)
    assert_close(spent[real], whole.compute[real], rtol=0, atol=0)


def assert_decoding_writes_the_same_at_the_same_price(model):
    """With a cache, without, and with halted tokens masked out."""
    prompts = LAYOUT.prompts(problems())
    cached, plain = (generate(model, prompts, LAYOUT, limit=8, cached=choice) for choice in (True, False))
    model.compacts = False
    masked = generate(model, prompts, LAYOUT, limit=8)
    model.compacts = True
    for other in (plain, masked):
        assert torch.equal(cached.tokens, other.tokens)
        assert_close(cached.compute, other.compute, rtol=0, atol=0)


@torch.no_grad()
def assert_later_tokens_change_nothing(model, halt):
    """Where a row's prompt decides for it, after the prompt."""
    batch = LAYOUT.batch(problems(), COLUMNS)
    before = read(model, batch)
    first = 1 if halt == "token" else int(batch.prompt_length.max())
    for cut in range(first, COLUMNS, 4):
        tokens = batch.tokens.clone()
        tokens[:, cut:] = tokens[:, cut:] % (LAYOUT.vocabulary - 1) + 1
        after = model(tokens, positions=batch.positions, prompt_length=batch.prompt_length)
        assert_close(states(after)[:, :cut], states(before)[:, :cut], rtol=1e-10, atol=1e-10)
        assert_close(after.compute[:, :cut], before.compute[:, :cut], rtol=0, atol=0)


@torch.no_grad()
def assert_padding_on_the_left_changes_nothing(model):
    examples = problems()
    prompts = LAYOUT.prompts(examples)
    together = states(read(model, prompts))
    for row, length in enumerate(prompts.prompt_length.tolist()):
        alone = states(read(model, LAYOUT.prompts(examples.select([row]))))[0]
        assert_close(together[row, -length:], alone, rtol=1e-10, atol=1e-10)


def assert_rows_with_their_own_steps_are_as_alone(model):
    batch, steps = LAYOUT.batch(problems(), COLUMNS), torch.tensor([1, 5, 3, 2, 4, 5, 1, 3])
    for mode in (model.train(), model.eval()):
        together = read(mode, batch, steps=steps)
        for row, depth in enumerate(steps.tolist()):
            alone = read(mode, batch.select(torch.tensor([row])), steps=depth)
            assert_close(together.states[:, row], alone.states[:, 0], rtol=1e-10, atol=1e-10)
            assert_close(together.compute[row], alone.compute[0], rtol=0, atol=0)
