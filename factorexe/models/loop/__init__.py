"""Loops: walk through one until every token has halted, and build up each one's output as the policy says.

Two ways that come to the same.  Where gradients are needed all tokens take every step together and what halted ones
would have done is masked out.  In evaluation halted tokens leave the batch, so that they cost nothing::

    step      1         2         3
    masked    a b c     a . c     a . .      3 + 3 + 3 tokens computed
    compact   a b c     a c       a          3 + 2 + 1
"""

from factorexe.models.loop.parts import Group, Loop, State, Walked
from factorexe.models.loop.walk import walk

__all__ = ["Group", "Loop", "State", "Walked", "walk"]
