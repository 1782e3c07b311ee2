"""A token's luck: uniform, a function of the tokens so far, and of nothing else."""

import torch
from torch.testing import assert_close

from factorexe.models.base import Cache
from factorexe.models.luck import luck


def drawn(rows=200, length=50, symbols=3):
    tokens = torch.randint(1, symbols, (rows, length), generator=torch.Generator().manual_seed(0))
    return tokens, luck(tokens, torch.arange(length), None)


def test_luck_is_uniform_and_positions_are_unrelated():
    _, lucks = drawn(symbols=5)
    assert ((lucks >= 0) & (lucks < 1)).all()
    counts = torch.histc(lucks.float(), bins=10, min=0, max=1)
    assert ((counts - 1000).square() / 1000).sum() < 27.9  # chi-square with 9 degrees of freedom, 0.1 %
    pairs = torch.corrcoef(torch.stack([lucks[:, :-1].flatten(), lucks[:, 1:].flatten()]))[0, 1]
    assert abs(pairs) < 4 / len(lucks[:, 1:].flatten()) ** 0.5


def test_luck_knows_the_whole_prefix_and_nothing_later():
    tokens, lucks = drawn()
    changed = tokens.clone()
    changed[:, 20] = 3 - changed[:, 20]
    after = luck(changed, torch.arange(50), None)
    assert torch.equal(after[:, :20], lucks[:, :20])
    assert (after[:, 20:] != lucks[:, 20:]).all()


def test_luck_goes_on_from_a_cache_and_ignores_padding():
    tokens, lucks = drawn()
    cache = Cache()
    pieces = [luck(tokens[:, a:b], torch.arange(a, b), cache) for a, b in ((0, 30), (30, 31), (31, 50))]
    assert_close(torch.cat(pieces, dim=1), lucks, rtol=0, atol=0)
    padded = torch.cat([torch.zeros(200, 4, dtype=torch.long), tokens], dim=1)
    positions = torch.arange(-4, 50).clamp_min(0).expand(200, -1)
    assert_close(luck(padded, positions, None)[:, 4:], lucks, rtol=0, atol=0)
    cache.crop(31)
    assert_close(luck(tokens[:, 31:], torch.arange(31, 50), cache), lucks[:, 31:], rtol=0, atol=0)
    cache.select(torch.tensor([3, 3]))
    cache.crop(40)
    assert_close(luck(tokens[[3, 3], 40:], torch.arange(40, 50), cache), lucks[[3, 3], 40:], rtol=0, atol=0)
