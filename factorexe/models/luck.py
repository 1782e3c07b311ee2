"""A uniform number for every token, that is a function of the tokens up to it and of nothing else.

A policy that stops a token at random needs a number for it.  Drawn from a generator it would change with the batch a
row is in, with the order of batches, and with the use of a cache.  Hashed from what the row holds so far it does not:
the same row stops at the same places wherever it is read, while rows and positions are as good as independent::

    prefix[t] = prefix[t-1] + token[t] * mix(position[t])        modulo 2**64
    luck[t]   = mix(prefix[t]) / 2**64

``mix`` is the finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195, figure 15).
"""

from __future__ import annotations

from torch import Tensor

from factorexe.models.base import Cache

_NOTE = "prefix"


def luck(tokens: Tensor, positions: Tensor, cache: Cache | None) -> Tensor:
    """(B, T) in [0, 1) for ``tokens`` (B, T) at ``positions`` (B or none, T), which go on from what the cache holds."""
    prefix = (tokens * _mix(positions + 1)).cumsum(dim=1)  # wraps around
    if cache is not None:
        held = cache.notes.get(_NOTE)
        if held is not None and held.shape[1]:
            prefix = prefix + held[:, -1:]
        cache.append_note(_NOTE, prefix)
    return (_shifted(_mix(prefix), 11)).double() * 2.0**-53


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """To the right, zeros following; torch repeats the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
