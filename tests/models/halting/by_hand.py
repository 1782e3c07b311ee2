"""A loop over given states, in the plainest way; and gates that say what a test wants.

States are (N, ..., D): N steps of tokens in any arrangement, whose first feature is the logit of halting.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from factorexe.models.halting.base import Look


class Walked(NamedTuple):
    output: Tensor  # (..., D)
    shares: Tensor  # (N, ...) 0 after a token has halted
    penalty: Tensor  # (...)
    steps: Tensor  # (...) made


def walk(policy, states, *, limit=None, luck=None, readout=None, drawn=None):
    """What becomes of ``states`` (N, ..., D) under ``policy``; without ``limit`` (...) a token may make N steps."""
    tokens = states.shape[1:-1]
    limit = torch.full(tokens, len(states)) if limit is None else limit
    kept, going = policy.begin(states[0, ..., 0], drawn or {}), torch.ones(tokens, dtype=torch.bool)
    output, penalty = torch.zeros_like(states[0]), torch.zeros_like(states[0, ..., 0])
    steps, shares = torch.zeros(tokens, dtype=torch.long), []
    for step, state in enumerate(states, start=1):
        if not bool(going.any()):
            break
        said = policy.decide(Look(step, state, limit, kept, luck, readout))
        kept, shares = said.kept, [*shares, said.share * going]
        if said.take is None:
            output = output + shares[-1].unsqueeze(-1) * state
        else:
            output = torch.where((said.take & going).unsqueeze(-1), state, output)
        penalty = penalty if said.price is None else penalty + said.price * going
        steps, going = steps + going, going & ~said.halted
    assert not bool(going.any()), "a token went on beyond its limit"
    return Walked(output, torch.stack(shares), penalty, steps)


def states_of(logits, width=4, seed=0):
    """States (N, ..., D) with these logits (N, ...) and random other features."""
    rest = torch.randn(*logits.shape, width - 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat([logits.unsqueeze(-1), rest.to(logits.dtype)], dim=-1)


def listening(policy):
    """The policy with a gate that reads its logit off a state's first feature."""
    with torch.no_grad():
        gate = getattr(policy.gate, "linear", None)
        if gate is not None:
            gate.bias.zero_()
            gate.weight.zero_()
            gate.weight[0, 0] = 1
            return policy
        for weight in (policy.hidden.weight, policy.hidden.bias, policy.gate.weight):
            weight.zero_()
        policy.hidden.weight[1, 0] = 1  # hidden units: 300, and 300 plus the logit, where GELU changes nothing
        policy.hidden.bias[:2] = 300
        policy.gate.weight[0, 0] = policy.gate.weight[1, 1] = 1
    return policy


def logit(probability):
    """The logits that give these probabilities, in double precision."""
    return torch.as_tensor(probability, dtype=torch.float64).logit()
