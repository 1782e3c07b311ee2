"""One way or the other through a loop."""

from __future__ import annotations

from torch import Tensor

from factorexe.models.layers import Context
from factorexe.models.loop.compact import Compact
from factorexe.models.loop.masked import Masked
from factorexe.models.loop.parts import Loop, State, Walked
from factorexe.models.loop.remembered import Remembered, Told, decided_in


def walk(loop: Loop, state: State, entry: Tensor, limit: Tensor, context: Context, *, compact: bool) -> Walked:
    """Make at most ``limit`` (B, T) steps from ``state`` (B, T, D) with embedded input ``entry`` (B, T, D).

    Args:
        compact: whether halted tokens are left out of the batch; nothing may need gradients then.
    """
    if loop.decider is None or context.cache is None:
        return _walked(loop, state, entry, limit, context, compact)
    told = decided_in(context.cache)
    if told is not None:
        return _walked(loop._replace(policy=Told(loop.policy, told)), state, entry, limit, context, compact)
    remembered = Remembered(loop.policy, len(loop.decider), int(limit.max()))
    walked = _walked(loop._replace(policy=remembered), state, entry, limit, context, compact)
    remembered.keep(context.cache)
    return walked


def _walked(loop: Loop, state: State, entry: Tensor, limit: Tensor, context: Context, compact: bool) -> Walked:
    keeps_all = loop.policy.every_state or loop.others_see == "running"
    way = Compact if compact and not keeps_all else Masked
    return way(loop, state, entry, limit, context).walked()
