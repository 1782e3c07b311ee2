"""What every options class promises: defaults hold, JSON loses nothing, unknown options and presets are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from factorexe.config import RunConfig
from factorexe.registry import Registry

REQUIRED_PRESETS = ("default", "tiny")


def survive_json(options: BaseModel) -> None:
    """The options read back from their JSON are the same."""
    again = type(options).model_validate_json(options.model_dump_json())
    assert again == options, f"after a round trip through JSON {options!r} became {again!r}"


def refuse_the_unknown(cls: type[BaseModel], options: Mapping[str, Any]) -> None:
    """An option that does not exist is an error."""
    try:
        cls(**options, option_that_does_not_exist=1)
    except ValidationError:
        return
    raise AssertionError(f"{cls.__name__} takes an option that does not exist; inherit its model_config")


def hold_presets(cls: Any, path: str) -> None:
    """``default`` and ``tiny`` exist, and every preset sets options that a run has.

    Args:
        path: where the options of ``cls`` stand in a run, such as "task".
    """
    missing = [name for name in REQUIRED_PRESETS if name not in cls.presets]
    assert not missing, f"{cls.__name__}.presets lacks {' and '.join(missing)}"
    for name, options in cls.presets.items():
        own = {
            option.removeprefix(f"{path}."): value for option, value in options.items() if option.startswith(f"{path}.")
        }
        try:
            cls(**{option: value for option, value in own.items() if "." not in option})
        except ValidationError as error:
            raise AssertionError(f"preset {name!r} of {cls.__name__}: {error}") from None
        for option, value in options.items():
            if not option.startswith(f"{path}."):
                _is_an_option(f"preset {name!r} of {cls.__name__}", option, value)


def _is_an_option(whose: str, option: str, value: Any) -> None:
    """Follows a path as far as it goes without importing a plug-in."""
    cls: Any = RunConfig
    for part in option.split("."):
        assert part in cls.model_fields, f"{whose}: a run has no option {option!r}"
        field = cls.model_fields[part]
        group = next((mark.group for mark in field.metadata if hasattr(mark, "group")), None)
        if group:
            known = Registry(group).names()
            assert option != part or value in known, f"{whose}: {value!r} is not one of {group}: {', '.join(known)}"
            return
        cls = field.annotation
