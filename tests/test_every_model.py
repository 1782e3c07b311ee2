"""Every registered model keeps every promise, small enough to be trained for a moment."""

import typing

import pytest
import torch

from factorexe.registry import Registry
from factorexe.testing import model_checks

SMALL = {"width": 32, "heads": 2, "prelude": 1, "coda": 1}


def variants(cls):
    """The small model, and each option that has a few named values at each of them."""
    own = {name: value for name, value in SMALL.items() if name in cls.model_fields}
    yield "small", own
    for option, info in cls.model_fields.items():
        others = [value for value in typing.get_args(info.annotation) if isinstance(value, str)]
        if info.annotation is bool:
            others = [True, False]
        yield from ((f"{option}={value}", {**own, option: value}) for value in others if value != info.default)


def cases():
    for name in Registry("models").names():
        cls = Registry("models").get(name).cls
        for label, options in variants(cls):
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
