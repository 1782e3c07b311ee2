"""The promises of the contract, as checks: for our own tests, and for whoever writes a plug-in.

A check is a callable without arguments whose name says what it promises; it raises AssertionError::

    from factorexe.testing import check_task, check_model

    def test_cycle_keeps_the_promises():
        check_task(Cycle, size=5)

``factorexe tasks check NAME`` runs the same checks.  Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from factorexe.testing.tasks import TaskPromises

if TYPE_CHECKING:
    from factorexe.models.base import ModelConfig
    from factorexe.tasks.base import Task

Check = Callable[[], None]

__all__ = ["Check", "check_model", "check_task", "model_checks", "task_checks"]


def task_checks(task_cls: type[Task], **options: Any) -> list[Check]:
    """Every promise of a task with these options."""
    return _checks(TaskPromises(task_cls, options))


def check_task(task_cls: type[Task], **options: Any) -> None:
    """Run ``task_checks``.

    Raises:
        AssertionError: a promise is not kept.
    """
    _run(task_checks(task_cls, **options))


def model_checks(config_cls: type[ModelConfig], **options: Any) -> list[Check]:
    """Every promise of a model with these options; small ones, since it is trained for a moment."""
    from factorexe.testing.models import ModelPromises

    return _checks(ModelPromises(config_cls, options))


def check_model(config_cls: type[ModelConfig], **options: Any) -> None:
    """Run ``model_checks``.

    Raises:
        AssertionError: a promise is not kept.
    """
    _run(model_checks(config_cls, **options))


def _checks(promises: object) -> list[Check]:
    """The public methods, in the order they are written."""
    return [getattr(promises, name) for name in vars(type(promises)) if not name.startswith("_")]


def _run(checks: list[Check]) -> None:
    for check in checks:
        check()
