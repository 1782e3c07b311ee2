"""The table of a modular task as a model answers it: logits for every pair of operands.

For ``add`` modulo 97 these are 97 x 97 cells of 97 logits each, read where the first token after the prompt is
predicted::

    table = ResidueTable.of(task, layout)
    table.logits(learner)                       (97, 97, 97), cells in the order of ``coordinates``
    table.cells(batch.examples)                 where problems stand in it
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from factorexe.generation import mixture
from factorexe.layout import SequenceLayout
from factorexe.probes.coordinates import Coordinates, IntArray, coordinates

_ROWS = 1000  # cells in one forward pass


class ResidueTable:
    """Every problem of two operands that has coordinates.

    Attributes:
        answers: (n, n) the right residue of each cell.
    """

    def __init__(self, task: Any, layout: SequenceLayout, places: Coordinates) -> None:
        self.layout, self.places, self._sign = layout, places, task.modulus + 1
        first, second = (places.pairs + 1).T
        self.examples = task.complete(np.stack([first, np.full_like(first, self._sign), second], axis=1))
        n = len(places.first)
        self.answers = torch.from_numpy(self.examples.answer[:, 0] - 1).view(n, n)
        self._residues = torch.arange(1, task.modulus + 1)

    @classmethod
    def of(cls, task: Any, layout: SequenceLayout | None) -> ResidueTable:
        """The table of a modular task in this layout.

        Raises:
            ValueError: it has none that waves could tell anything of; the message says why.
        """
        if not hasattr(task, "modulus") or not hasattr(task, "operation"):
            raise ValueError("the task is no table of modular arithmetic")
        if layout is None:
            raise ValueError("the task's own data module has no layout to write the table in")
        if 2 not in task.difficulties("train"):
            raise ValueError("no problem of two operands is trained on")
        if layout.chain and layout.keep_steps > 1:
            raise ValueError("the token after the prompt is no residue: it needs objective.keep_steps 1")
        places = coordinates(task.operation, task.modulus)
        if places is None:
            raise ValueError(f"{task.operation} modulo {task.modulus} has no coordinates in which it is an addition")
        return cls(task, layout, places)

    def cells(self, examples: Any) -> Tensor:
        """(N,) cells of problems of two operands, counted row by row; all others are left out."""
        pairs = examples.prompt[examples.difficulty == 2]
        operands: IntArray = pairs[:, [0, 2]] - 1
        return torch.from_numpy(self.places.cells(operands[:, 0], operands[:, 1]))

    def logits(self, learner: Any) -> Tensor:
        """(n, n, C) log-probabilities of the C residues, up to a constant in each cell."""
        parts = []
        for start in range(0, len(self.examples), _ROWS):
            examples = self.examples.select(slice(start, start + _ROWS))
            batch = self.layout.batch(examples, self.layout.length([2])).to(learner.device)
            output = learner.objective.read(learner.model, batch)
            row, last = torch.arange(len(batch), device=learner.device), batch.prompt_length - 1
            scores = mixture(learner.model, output.states[:, row, last], output.weight[:, row, last])
            parts.append(scores[:, self._residues.to(scores.device)])
        n = len(self.places.first)
        return torch.cat(parts).view(n, n, -1)
