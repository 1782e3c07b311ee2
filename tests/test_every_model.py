"""Every registered model keeps every promise, small enough to be trained for a moment."""

import typing

import pytest
import torch
from pydantic import ValidationError

from factorexe.choice import mark_of
from factorexe.registry import Registry
from factorexe.testing import model_checks

SMALL = {"width": 32, "heads": 2, "prelude": 1, "coda": 1}


def variants(cls):
    """The small model, each option that has a few named values at each of them, and every plug-in it may be given."""
    own = {name: value for name, value in SMALL.items() if name in cls.model_fields}
    if "inner" in cls.model_fields:
        own["inner"] = {"name": "transformer", "width": 32, "heads": 2}
    yield "small", own
    for option, info in cls.model_fields.items():
        mark = mark_of(info)
        if mark is not None and mark.group != "models":
            names = [name for name in Registry(mark.group).names() if name != mark.default]
            yield from ((f"{option}={name}", {**own, option: name}) for name in names)
        others = [value for value in typing.get_args(info.annotation) if isinstance(value, str)]
        if info.annotation is bool:
            others = [True, False]
        yield from ((f"{option}={value}", {**own, option: value}) for value in others if value != info.default)


def cases():
    for name in Registry("models").names():
        cls = Registry("models").get(name).cls
        for label, options in variants(cls):
            try:
                cls(**options)
            except ValidationError:
                continue  # the two do not go together; their refusals are tested where they are made
            for check in model_checks(cls, **options):
                yield pytest.param(check, id=f"{name}-{label}-{check.__name__}")


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("check", list(cases()))
def test_model_keeps_its_promise(check):
    check()
