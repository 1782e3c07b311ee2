"""Predict a real number: the value of a piecewise-linear function, written as one numeric token.

With two pieces the function is the ancestor's |x| (clement-bonnet/FactorExe, regression); with k pieces it is a
zigzag between 1 and 0 on [-1, 1], and its outermost pieces go on outside.  The chain names the piece, the discrete
factor that makes the rest linear::

    x=-0.25    chain p0    answer y=0.25         two pieces: y = -x left of 0
    x=0.75     chain p1    answer y=0.75

A number is one token whose embedding is multiplied by the number, and is read from a number head beside the readout
(Golkar et al. 2023, arXiv:2310.02989).  Training knows x in [-1, 1]; difficulty 0 is inside, difficulty d lies
``(d - 1) * reach`` to ``d * reach`` outside of it, on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import BoolArray, Examples, FloatArray, IntArray, Task, Values, Widths

_X, _Y = 1, 2  # tokens; those of the pieces follow


class Regression(Task):
    """Value of a piecewise-linear function at a real number; the chain is the piece."""

    pieces: int = Field(2, ge=1, le=64)
    """Linear pieces on [-1, 1]; 2 is y = |x|."""
    tolerance: float = Field(0.05, gt=0, le=1)
    """Largest error of an answer that counts as solved."""
    decimals: int = Field(4, ge=2, le=9)
    """Decimals of x; there are 2 * 10^decimals problems in training."""
    reach: float = Field(0.25, gt=0, le=100)
    """How much further outside of the training interval each ood difficulty lies."""
    ood_levels: int = Field(2, ge=1, le=100)
    """Difficulties outside of the training interval."""

    axis: ClassVar = "distance from the training interval"
    paper: ClassVar = "Golkar et al. 2023, arXiv:2310.02989"
    # The default, seed 0, one thread: seen and val 1.000 from step 600 on; ood 0.41 at the end, and 0.16 to 0.41 on the
    # way (77 s).
    presets: ClassVar = {
        "default": {
            "objective": "chain",
            "model.positions": "learned",
            "data.batch_size": 128,
            "optim.optimizer.lr": 1e-3,
            "trainer.max_steps": 1500,
            "trainer.val_check_interval": 150,
        },
        "tiny": {
            "data.batch_size": 64,
            "data.eval_size": 100,
            "optim.optimizer.lr": 3e-3,
            "optim.warmup": 20,
            "trainer.max_steps": 300,
            "trainer.val_check_interval": 100,
        },
    }

    @model_validator(mode="after")
    def _reach_is_seen(self) -> Regression:
        if self._step < 1:
            raise ValueError(f"reach ({self.reach:g}) must be at least 10^-decimals (decimals is {self.decimals})")
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """``x=`` and ``y=``, each with a number behind it, and the pieces from left to right."""
        return ("", "x=", "y=", *(f"p{piece}" for piece in range(self.pieces)))

    @property
    def numeric(self) -> tuple[int, ...]:
        """The tokens of x and y."""
        return (_X, _Y)

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Inside."""
        return (0, 0)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """Outside, ever further."""
        return (1, self.ood_levels)

    def widths(self, difficulty: int) -> Widths:
        """One token each."""
        return Widths(1, 1, 1)

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """x uniform among the multiples of 10^-decimals at that distance."""
        count, one = len(difficulty), self._one
        inside = rng.integers(-one, one + 1, count)
        beyond = (difficulty - 1) * self._step + rng.integers(1, self._step + 1, count)
        outside = rng.choice([-1, 1], count) * (one + beyond)
        return self._worked_out(np.where(difficulty == 0, inside, outside), difficulty, chain)

    def key(self, examples: Examples) -> IntArray:
        """x, as a whole number of steps of 10^-decimals."""
        assert examples.values is not None
        return self._steps(examples.values.prompt)

    def solved(self, examples: Examples, answer: IntArray, values: FloatArray | None = None) -> BoolArray:
        """Whether the answer is one number, no further than ``tolerance`` from the right one."""
        if values is None:
            raise ValueError("answers of regression are numbers: give the values behind the tokens")
        solved: BoolArray = self._is_number(answer) & (self._error(examples, values) <= self.tolerance)
        return solved

    def qualities(
        self, examples: Examples, answer: IntArray, values: FloatArray | None = None
    ) -> Mapping[str, FloatArray]:
        """Squared error of the answers that are a number."""
        assert values is not None
        return {"squared_error": np.where(self._is_number(answer), self._error(examples, values) ** 2, np.nan)}

    def complete(self, prompt: IntArray, values: FloatArray | None = None) -> Examples:
        """Typed problems such as ``x=0.25``, solved."""
        if prompt.shape[1] != 1 or (prompt != _X).any() or values is None:
            got = self.text(prompt[0], None if values is None else values[0])
            raise ValueError(f"expected a number such as x=0.25 (got {got!r})")
        steps = self._steps(values)[:, 0]
        beyond = np.maximum(np.abs(steps) - self._one, 0)
        return self._worked_out(steps, -(-beyond // self._step), chain=True)

    @property
    def _one(self) -> int:
        """1 in steps, a step being the last decimal of x."""
        return int(10**self.decimals)

    @property
    def _step(self) -> int:
        """``reach`` in steps."""
        return round(self.reach * self._one)

    def _steps(self, x: FloatArray) -> IntArray:
        steps: IntArray = np.rint(x * self._one).astype(np.int64)
        return steps

    def _worked_out(self, steps: IntArray, difficulty: IntArray, chain: bool) -> Examples:
        """The problems at these numbers of steps."""
        count = len(steps)
        x = steps / self._one
        piece = np.clip(np.floor((x + 1) * self.pieces / 2), 0, self.pieces - 1).astype(np.int64)
        one, nothing = np.ones((count, 1), dtype=np.int64), np.zeros((count, 0), dtype=np.int64)
        named = piece[:, None] + _Y + 1 if chain else nothing
        return Examples(
            prompt=_X * one,
            chain=named,
            chain_step=np.zeros_like(named),
            answer=_Y * one,
            difficulty=np.asarray(difficulty),
            values=Values(x[:, None], np.ones(named.shape), self._function(x, piece)[:, None]),
        )

    def _function(self, x: FloatArray, piece: IntArray) -> FloatArray:
        """The zigzag, which begins with 1 at x = -1 and changes by 1 in each piece."""
        gone = (x + 1) * self.pieces / 2 - piece  # share of the piece; beyond 0 to 1 outside of [-1, 1]
        return np.where(piece % 2 == 0, 1 - gone, gone)

    @staticmethod
    def _is_number(answer: IntArray) -> BoolArray:
        """Whether an answer is one number."""
        said: BoolArray = (answer[:, 0] == _Y) & ~answer[:, 1:].any(axis=1)
        return said

    def _error(self, examples: Examples, values: FloatArray) -> FloatArray:
        assert examples.values is not None
        return np.abs(values[:, 0] - examples.values.answer[:, 0])
