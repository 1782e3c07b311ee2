"""Every registered task keeps every promise, as it comes and in its small preset."""

import pytest

from factorexe.config import resolve
from factorexe.registry import Registry
from factorexe.splits import Splits
from factorexe.testing import task_checks

NAMES = Registry("tasks").names()


def options_of(cls, preset):
    return {
        path.removeprefix("task."): value for path, value in cls.presets[preset].items() if path.startswith("task.")
    }


def cases():
    for name in NAMES:
        cls = Registry("tasks").get(name).cls
        for preset in ("default", "tiny"):
            for check in task_checks(cls, **options_of(cls, preset)):
                if preset == "default" or check.__name__ != "import_is_light":
                    yield pytest.param(check, id=f"{name}-{preset}-{check.__name__}")


@pytest.mark.parametrize("check", list(cases()))
def test_task_keeps_its_promise(check):
    check()


@pytest.mark.parametrize("preset", ["default", "tiny"])
@pytest.mark.parametrize("name", NAMES)
def test_presets_describe_a_run_whose_splits_are_filled(name, preset):
    config = resolve({"task": name}, preset=preset).config
    Splits(config.task, train_size=config.data.train_size, eval_size=50).check()
