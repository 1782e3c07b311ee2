"""Predict the whole answer in one pass, so that no token of it sees the value of another.

The row is written as for ``answer``, and read with one learned embedding, the *blank*, wherever a token of the answer
would be an input.  The mark predicts the first token, each blank the next one::

    written     1 2 * 3 4 <answer> 8 0 4 0 <end>
    read        1 2 * 3 4 <answer> _ _ _ _              12 x 34 = 408, its last digit first
    predicted             8        0 4 0 <end>

The answer is decoded in a single forward pass too: a looped model computes all of it inside, in as many steps as it is
given, where ``answer`` would make these steps again for every token.

This is what Fan et al. 2024 (arXiv:2409.15647) train looped transformers with.  The paper itself was not at hand; as
others summarise it, the input behind the problem is filled with a token that the vocabulary has anyway (the end mark).
Ours is a parameter of the objective instead, and what stands behind the answer's end is not supervised.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from factorexe.generation import Generated, mixture
from factorexe.layout import Batch, SequenceLayout
from factorexe.models.base import Model, Output
from factorexe.objectives.base import Contents, Objective, ObjectiveConfig


class AnswerAtOnce(Objective):
    """Supervised answers that are read as blanks.

    Args:
        blank: (D,) how the blank is embedded at first.
    """

    def __init__(self, layout: SequenceLayout, token_loss: nn.Module, blank: Tensor) -> None:
        super().__init__(layout, token_loss)
        self.blank = nn.Parameter(blank)

    def read(
        self, model: Model, batch: Batch, *, embeddings: Tensor | None = None, steps: int | Tensor | None = None
    ) -> Output:
        """The states that the model has where every token after the prompt is a blank."""
        real = batch.tokens != 0
        blank = real & (real.cumsum(dim=1) > batch.prompt_length[:, None])  # (B, T) rows may be padded on either side
        tokens = batch.tokens.masked_fill(blank, self.layout.answer_mark)
        values = None if batch.values is None else batch.values.masked_fill(blank, 1.0)
        if embeddings is None:
            embeddings = model.embed(tokens, values)
        embeddings = torch.where(blank.unsqueeze(-1), self.blank.to(embeddings.dtype), embeddings)
        hidden = dataclasses.replace(batch, tokens=tokens, values=values)
        return super().read(model, hidden, embeddings=embeddings, steps=steps)

    @torch.no_grad()
    def decode(self, model: Model, batch: Batch, *, steps: int | Tensor | None = None) -> Generated:
        """The likeliest token at the mark and at every blank, up to the first end mark.

        A row has as many blanks as its difficulty may need, whatever else is in the batch.  All of them are counted as
        compute, those after the end mark too: where that stands is only known when they have been processed.
        """
        prompts = self.layout.prompts(batch.examples).to(batch.tokens.device)
        room = self._room(batch).to(batch.tokens.device)
        longest = int(room.max())
        asked = self._with_blanks(prompts, room)
        output = self.read(model, asked, steps=steps)
        states, weight = output.states[:, :, -longest:], output.weight[:, :, -longest:]
        scores = mixture(model, states, weight)  # (B, L, V)
        tokens = scores.argmax(dim=-1)
        ended = (tokens == self.layout.end_mark).long()
        column = torch.arange(longest, device=tokens.device)
        kept = (column < room[:, None]) & (ended.cumsum(dim=1) - ended == 0)
        score = scores.gather(2, tokens.unsqueeze(-1)).squeeze(-1)
        return Generated(
            tokens * kept,
            self._numbers(model, states, weight, tokens, kept),
            score.masked_fill(~kept, 0.0),
            (output.compute.float() * (asked.tokens != 0)).sum(dim=1),
        )

    def _room(self, batch: Batch) -> Tensor:
        """(B,) tokens that each answer may have, its end mark included; more where the right one is longer."""
        examples = batch.examples
        levels, level = np.unique(examples.difficulty, return_inverse=True)
        limits = np.array([self.layout.limit([each]) for each in levels.tolist()])[level]
        return torch.from_numpy(np.maximum(limits, (examples.answer != 0).sum(axis=1) + 1))

    def _with_blanks(self, prompts: Batch, room: Tensor) -> Batch:
        """Right-aligned prompts with ``room - 1`` tokens after each, and padding after those that have fewer."""
        assert prompts.positions is not None
        column = torch.arange(int(room.max()) - 1, device=room.device)
        there = column < room[:, None] - 1
        positions = (prompts.prompt_length[:, None] + column) * there
        tokens, values = there * self.layout.answer_mark, prompts.values
        return dataclasses.replace(
            prompts,
            tokens=torch.cat([prompts.tokens, tokens], dim=1),
            positions=torch.cat([prompts.positions, positions], dim=1),
            values=None if values is None else torch.cat([values, torch.ones_like(there, dtype=values.dtype)], dim=1),
        )

    def _numbers(self, model: Model, states: Tensor, weight: Tensor, tokens: Tensor, kept: Tensor) -> Tensor | None:
        """(B, L) the numbers behind the numeric tokens that are kept, elsewhere 1; None where the task has none."""
        if not len(self.layout.numeric):
            return None
        numbers = (weight.float() * model.number(states).float()).sum(dim=0)
        return torch.where(kept & torch.isin(tokens, self.layout.numeric.to(tokens.device)), numbers, 1.0)


class AnswerAtOnceConfig(ObjectiveConfig):
    """Supervise the answer, all of it predicted in one pass; no chain."""

    def contents(self) -> Contents:
        """Prompt and answer."""
        return Contents(chain=False)

    def build(self, model: Model, layout: SequenceLayout) -> AnswerAtOnce:
        """The blank begins as a random embedding, with the spread that those of ``model`` have.

        Raises:
            ValueError: the model reads places, which only the answer's tokens would tell.
        """
        if layout.reads_places:
            raise ValueError("places of answer tokens are unknown before the answer is; use --model.places false")
        with torch.no_grad():
            known = model.embed(torch.arange(layout.vocabulary)[None])[0]  # (V, D)
        return AnswerAtOnce(layout, self.loss.build(), torch.randn(known.shape[1]) * known.std())
