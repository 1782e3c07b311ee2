"""What runs cost, and whether their parts fit together: each kind of run is built once, however many there are of it.

costs = Costs()
costs.check(config)                 ConfigError where the run could not begin
costs.of(config)                    Cost(parameters=210048, multiply_adds=12900000000000)

Runs that differ in their seed, their optimizer or their length are of one kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from factorexe.config import ConfigError


class Cost(NamedTuple):
    """What one run costs."""

    parameters: int
    multiply_adds: int  # of its training; an estimate, for they are those of one batch of one run of its kind


class Costs:
    """Looks at each kind of run once."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._multiply_adds: dict[str, Any] = {}  # of a micro-batch, forward and backward
        self._checked: dict[str, Any] = {}

    def of(self, config: Any) -> Cost:
        """Parameters, and multiply-adds of all steps.

        Raises:
            ConfigError: the run cannot be built.
        """
        batches = config.trainer.max_steps * config.trainer.accumulate_grad_batches
        return Cost(self.parameters(config), self._of_a_batch(config) * batches)

    def parameters(self, config: Any) -> int:
        """Parameters alone, which is quicker.

        Raises:
            ConfigError: the run cannot be built.
        """
        found: int = _once(self._parameters, _kind(config), lambda: _counted(config))
        return found

    def check(self, config: Any) -> None:
        """Whether the run can begin: its parts fit together, and its problems are enough.

        Raises:
            ConfigError: it cannot.
        """
        self.parameters(config)
        _once(self._checked, _key(config, "task", "data", "objective"), lambda: _check(config))

    def _of_a_batch(self, config: Any) -> int:
        kind = _key(config, "task", "model", "objective") + str(config.data.batch_size)
        found: int = _once(self._multiply_adds, kind, lambda: _added_up(config))
        return found


def _once(known: dict[str, Any], key: str, find: Callable[[], Any]) -> Any:
    """What was found for this key, or refused."""
    if key not in known:
        try:
            known[key] = find()
        except ConfigError as error:
            known[key] = error
    if isinstance(known[key], ConfigError):
        raise known[key]
    return known[key]


def _key(config: Any, *parts: str) -> str:
    return json.dumps([getattr(config, part).model_dump(mode="json") for part in parts])


def _kind(config: Any) -> str:
    return _key(config, "task", "model", "objective", "data")


def _counted(config: Any) -> int:
    from factorexe.run import build

    return sum(parameter.numel() for parameter in build(config).model.parameters())


def _added_up(config: Any) -> int:
    from factorexe.arithmetic import multiply_adds
    from factorexe.learner import Learner
    from factorexe.run import build

    built = build(config)
    return multiply_adds(Learner(built.model, built.objective, config.optim, config.seed), built.data)


def _check(config: Any) -> None:
    from factorexe.preflight import check_data, check_instruments, check_procedure
    from factorexe.run import build

    built = build(config)
    check_data(built.data, config, say=lambda line: None)
    check_procedure(built, config)
    check_instruments(config)
