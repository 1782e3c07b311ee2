"""From names and values to a run.

bound = bind({"task": "multiplication"})              the classes that were chosen, and the values so far
bound.resolved({"data": {"train_size": 5000}})        a run; many of them from one binding
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from factorexe.blocks import merged, nested
from factorexe.choice import Binder
from factorexe.config.error import ConfigError, sentence
from factorexe.config.files import read_files
from factorexe.config.options import RunConfig
from factorexe.config.presets import preset_layers


class Resolved(NamedTuple):
    """A validated run and where its plug-ins came from."""

    config: Any  # RunConfig, bound to the chosen classes
    plugins: Mapping[str, tuple[str, str]]  # option path -> name, origin
    notes: Sequence[str]  # what was dropped or replaced, for the user to read


Parse = Callable[[type[BaseModel]], tuple[dict[str, Any], list[str]]]


class Binding(NamedTuple):
    """Chosen plug-ins with the options given so far: runs that choose the same need binding once."""

    cls: type[BaseModel]  # RunConfig with the options of everything that was chosen
    values: Mapping[str, Any]  # nested
    plugins: Mapping[str, tuple[str, str]]
    notes: Sequence[str]

    def resolved(self, more: Mapping[str, Any] | None = None) -> Resolved:
        """The run with ``more`` options, nested, which choose no plug-in.

        Raises:
            ConfigError: with one message for each thing that is wrong.
        """
        config, errors = self._validated(merged(self.values, more) if more else self.values)
        if errors:
            raise ConfigError(*dict.fromkeys(errors))
        return Resolved(_settled(config), self.plugins, self.notes)

    def _validated(self, values: Mapping[str, Any]) -> tuple[Any, list[str]]:
        try:
            return self.cls.model_validate(values), []
        except ValidationError as error:
            return None, [sentence(detail, self.cls) for detail in error.errors()]


def resolve(
    given: Mapping[str, Any] | None = None,
    *,
    files: Sequence[str | Path] = (),
    preset: str | None = None,
    said: dict[str, str] | None = None,
    parse: Parse | None = None,
) -> Resolved:
    """A run from the caller's own ``given`` dictionary over a preset and files.

    Args:
        said: choices made on the command line, option path -> name; used ones are taken out.
        parse: turns the rest of the command line into a dictionary, and what is wrong with it into messages,
            once the options are known.

    Raises:
        ConfigError: with one message for each thing that is wrong.
    """
    own = nested(given or {})
    bound, errors = _bound(merged(read_files(files), own), own, preset, {} if said is None else said)
    if parse:
        typed, wrong = parse(bound.cls)
        bound = bound._replace(values=merged(bound.values, typed))
        errors = [*errors, *wrong]
    _refuse(bound, errors)
    return bound.resolved()


def bind(given: Mapping[str, Any], *, preset: str | None = None) -> Binding:
    """The plug-ins that ``given`` chooses, by names as in a file, with its options over those of presets.

    Raises:
        ConfigError: a plug-in or the preset cannot be had, or an option is wrong.
    """
    bound, errors = _bound(nested(given), {}, preset, {})
    _refuse(bound, errors)
    return bound


def _refuse(bound: Binding, errors: Sequence[str]) -> None:
    """Refuse what has errors, with all else that is wrong with it."""
    if errors:
        _, also_wrong = bound._validated(bound.values)
        raise ConfigError(*dict.fromkeys([*errors, *also_wrong]))


def _bound(
    layers: Mapping[str, Any], own: Mapping[str, Any], preset: str | None, said: dict[str, str]
) -> tuple[Binding, list[str]]:
    """``own``: what of the options may name a class by its path."""
    defaults, errors = preset_layers(said, layers, preset)
    binder = Binder(said, merged(defaults, layers), own)
    cls = binder.bind(RunConfig)
    return Binding(cls, binder.given, binder.plugins, binder.notes), [*errors, *binder.errors]


def _settled(config: Any) -> Any:
    """With what follows from other options where it was not given."""
    if config.optim.horizon is None:
        optim = config.optim.model_copy(update={"horizon": config.trainer.max_steps})
        config = config.model_copy(update={"optim": optim})
    curriculum = config.data.curriculum.settled(config.trainer.max_steps)
    if curriculum is not config.data.curriculum:
        config = config.model_copy(update={"data": config.data.model_copy(update={"curriculum": curriculum})})
    return config
