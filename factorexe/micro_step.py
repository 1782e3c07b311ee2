"""What a gradient procedure may ask for while one micro-batch is at hand: losses, held-out problems, variants.

``optim`` knows neither data nor tasks; this is where the learner lets it look::

    step = MicroStep(learner.flat, model, objective, data, number=7)
    step.loss(batch)          a forward pass, in the precision of training
    step.guide(32)            32 problems of guide, prepared as training batches are
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from factorexe.layout import Batch
from factorexe.models.base import Model
from factorexe.objectives.base import Loss, Objective
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Pending
from factorexe.optim.one_pass import Rows, in_one_pass

_VARIANTS = 5_000_011  # a number of its own, so that no other draw shares its stream


class MicroStep:
    """One micro-batch of one step.

    Args:
        data: the data module.
        number: of the micro-batch, counted over the run.
        seed: of the run.
        made: optimizer steps that were made.
        precision: makes a context in which forward passes run.
    """

    def __init__(
        self,
        flat: Flat,
        model: Model,
        objective: Objective,
        data: Any,
        *,
        number: int = 0,
        seed: int = 0,
        made: int = 0,
        precision: Callable[[], Any] = contextlib.nullcontext,
    ) -> None:
        self.flat, self.model, self.objective, self.data = flat, model, objective, data
        self.number, self.seed, self.made, self.precision = number, seed, made, precision
        self.device = flat.parameters[0].device if flat.parameters else torch.device("cpu")

    def loss(self, batch: Batch) -> Loss:
        """One forward pass."""
        with torch.enable_grad(), self.precision():
            return self.objective.loss(self.model, batch)

    def in_one_pass(self, batch: Batch, parts: Sequence[Any], otherwise: Callable[[], Pending]) -> Pending | None:
        """The loss of all parts (row numbers of each), to be asked for the gradient of each; None where parameters
        enter it in ways of which parts cannot be told apart, or where they cannot be watched, as in a compiled core."""
        if self.model.compiled:
            return None
        order, random = np.concatenate(parts), self.random()
        in_order = np.array_equal(order, np.arange(len(batch)))
        together = batch if in_order else batch.select(torch.from_numpy(order).to(self.device))
        assert together.weights is not None
        (count, length), sizes = together.tokens.shape, [len(part) for part in parts]
        told, firsts = together.weights.cpu().numpy(), [0, *itertools.accumulate(sizes[:-1])]
        weights = np.add.reduceat(told.sum(axis=1), firsts).tolist()
        rows = Rows(sizes, length, np.add.reduceat(np.count_nonzero(told, axis=1), firsts).tolist())

        def of_each() -> Pending:
            self.again(random)
            with torch.enable_grad():
                return otherwise()

        modules = [self.model, self.objective]
        found = in_one_pass(modules, lambda: self.loss(together), rows, weights, self.flat, of_each)
        if found is None and together.positions is None:  # a table of them is entered by rows if each row tells its own
            self.again(random)
            positions = torch.arange(length, device=self.device).expand(count, -1)
            placed = dataclasses.replace(together, positions=positions)
            found = in_one_pass(modules, lambda: self.loss(placed), rows, weights, self.flat, of_each)
        if found is None:
            self.again(random)
        return found

    def random(self) -> list[Tensor]:
        """The state of the default generators."""
        states = [torch.get_rng_state()]
        if self.device.type != "cpu":
            states.append(torch.get_device_module(self.device).get_rng_state(self.device))
        return states

    def again(self, random: list[Tensor]) -> None:
        """From here on the same is drawn as after ``random()``."""
        torch.set_rng_state(random[0])
        if self.device.type != "cpu":
            torch.get_device_module(self.device).set_rng_state(random[1], self.device)

    def guide(self, rows: int | None) -> Batch:
        """Problems of guide, other ones in every micro-batch until all have come up.

        Raises:
            ValueError: there are none.
        """
        try:
            batch = self.data.batch("guide", self.number)
        except (ValueError, LookupError, ZeroDivisionError):
            raise ValueError(
                "this task keeps no problems for guide: use a measure without one, or a task or options that split by"
                " the hash of the problem"
            ) from None
        chosen = batch if rows is None else batch.select(torch.arange(min(rows, len(batch))))
        return self._prepared(chosen)

    def variants(self, batch: Batch) -> Batch:
        """The same problems in another form.

        Raises:
            ValueError: the task offers none.
        """
        rng = np.random.default_rng([self.seed, _VARIANTS, self.number])
        found = self.data.variants(batch, rng) if hasattr(self.data, "variants") else None
        if found is None:
            raise ValueError("this task offers no label-preserving variants of its problems: use another measure")
        return self._prepared(found)

    def _prepared(self, batch: Batch) -> Batch:
        return self.objective.prepare(self.model, batch.to(self.device), self.made, torch.default_generator)
