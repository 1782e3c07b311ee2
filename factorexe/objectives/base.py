"""What an objective is: what a sequence holds, how it is scored, how an answer is decoded.

The loss of a batch is the expected loss of a token over a model's candidate states, at supervised positions
only: with S states, weights w and M supervised tokens,

    total = sum over tokens m of  sum over s of  w[s, m] * CE(readout(state[s, m]), target[m])  +  penalty[m]

CE is the loss of a token, an option: cross-entropy unless another is named.  A target with a number behind it adds the
squared error of ``number(state)`` to it.  The mean is ``total / weight``, ``weight`` being M.  ``prepare`` draws
everything random, once per micro-batch; ``loss`` is deterministic, so that a probe or a second pass sees the same draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from factorexe.choice import Choice, Options
from factorexe.generation import Generated, generate
from factorexe.layout import Batch, SequenceLayout
from factorexe.models.base import Model, Output


class Loss(NamedTuple):
    """A sum and what it is divided by, so that parts of a batch can be added up."""

    total: Tensor  # () summed over supervised tokens
    weight: Tensor  # () supervised tokens
    logs: Mapping[str, Tensor]  # () each: sums over supervised tokens, in eval mode


class Contents(NamedTuple):
    """What a row holds between prompt and answer."""

    chain: bool
    keep_steps: int = 1


class Objective(nn.Module):
    """Supervised next-token training on what the layout wrote.

    Args:
        token_loss: logits (M, V) and right tokens (M,) to losses (M,).
    """

    def __init__(self, layout: SequenceLayout, token_loss: nn.Module) -> None:
        super().__init__()
        self.layout, self.token_loss = layout, token_loss

    def prepare(self, model: Model, batch: Batch, step: int, generator: torch.Generator | None) -> Batch:
        """The batch with everything random drawn: here by the model alone.  Evaluation leaves it out."""
        return model.prepare(batch, step, generator)

    def read(
        self, model: Model, batch: Batch, *, embeddings: Tensor | None = None, steps: int | Tensor | None = None
    ) -> Output:
        """The states that the model has for a prepared batch.

        Args:
            embeddings: (B, T, D) in place of the model's own.
            steps: in place of the depth that the batch or its problems ask for.
        """
        steps = batch.steps if steps is None else steps
        output: Output = model(
            batch.tokens,
            embeddings=embeddings,
            values=batch.values,
            positions=batch.positions,
            places=batch.places,
            prompt_length=batch.prompt_length,
            steps=told_steps(model, batch) if steps is None else steps,
            **({"extra": batch.extra} if batch.extra else {}),
        )
        return output

    def loss(self, model: Model, batch: Batch) -> Loss:
        """The expected loss of a prepared batch."""
        assert batch.targets is not None
        assert batch.weights is not None
        output = self.read(model, batch)
        at = batch.weights.flatten().nonzero()[:, 0]  # (M,) supervised positions
        weights = batch.weights.flatten()[at]
        targets = batch.targets.flatten()[at]
        states = output.states.flatten(1, 2).index_select(1, at)  # (S, M, D)
        logits = model.readout(states).float()  # (S, M, V)
        share = output.weight.flatten(1).index_select(1, at)  # (S, M)
        each = self.token_loss(logits.flatten(0, 1), targets.repeat(len(logits))).view_as(share)
        if batch.target_values is not None:
            error = model.number(states).float() - batch.target_values.flatten()[at]
            each = each + error.square() * torch.isin(targets, self.layout.numeric.to(targets.device))
        expected = (share * each).sum(dim=0)
        weight = weights.sum()
        total = (weights * (expected + output.penalty.flatten()[at])).sum() + weight * output.regulariser
        logs = {} if self.training else {"correct": (weights * (_guess(share, logits) == targets)).sum()}
        return Loss(total, weight, logs)

    def decode(self, model: Model, batch: Batch, *, steps: int | Tensor | None = None) -> Generated:
        """What the model answers to the batch's prompts, in the form it was trained in.

        Args:
            steps: depth of a looped model, for each row if a tensor.
        """
        prompts = self.layout.prompts(batch.examples).to(batch.tokens.device)
        limit = self.layout.limit_for(batch.examples)
        steps = told_steps(model, prompts) if steps is None else steps
        return generate(model, prompts, self.layout, limit=limit, steps=steps)


class ObjectiveConfig(Options):
    """Options of an objective; ``build`` makes the working object."""

    api_version: ClassVar[int] = 1

    loss: Annotated[Any, Choice("losses", "cross-entropy")] = Field(None, validate_default=True)
    """Loss of a token."""

    def contents(self) -> Contents:
        """What the layout shall write."""
        raise NotImplementedError

    def build(self, model: Model, layout: SequenceLayout) -> Objective:
        """The working object; ``model`` may be looked at, and is given again to every call."""
        return Objective(layout, self.loss.build())


def told_steps(model: Model, batch: Batch) -> Tensor | None:
    """The depth (B,) at which a model wants these problems to be read; None: its own."""
    return model.told_steps(torch.from_numpy(batch.examples.difficulty).to(batch.tokens.device))


def _guess(share: Tensor, logits: Tensor) -> Tensor:
    """(M,) the likeliest token under the weighted mixture of the states."""
    if len(logits) == 1:
        return logits[0].argmax(dim=-1)
    return (share.unsqueeze(-1) * logits.softmax(dim=-1)).sum(dim=0).argmax(dim=-1)
