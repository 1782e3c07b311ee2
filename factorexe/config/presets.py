"""Options that a task and a model keep under a name: ``default``, which always holds, and what ``--preset`` asks for.

The model may be named by the task's preset.  Where another one is chosen, the task's options for its model hold as
far as the chosen one has them.  A learning rate or a decay is no such thing: options for an optimizer hold for that one
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from factorexe.blocks import merged, name_at, nested
from factorexe.config.options import OptimConfig, RunConfig
from factorexe.registry import PluginError, Registry, suggestion


def preset_layers(
    said: Mapping[str, str], layers: Mapping[str, Any], preset: str | None
) -> tuple[dict[str, Any], list[str]]:
    """The options of the task's and the model's presets, and what is wrong with ``preset``.

    The model may be named by the task's preset.
    """
    wanted = ["default", *([preset] if preset else [])]
    of_task = _presets_of("tasks", said.get("task") or _name(layers.get("task")))
    default = RunConfig.model_fields["model"].metadata[0].default
    chosen = (
        said.get("model") or _name(layers.get("model")) or _name(_layered([of_task], wanted).get("model")) or default
    )
    of_model = _presets_of("models", chosen)
    of_task = {label: _for_model(options, chosen) for label, options in of_task.items()}
    optimizer = said.get("optim.optimizer") or name_at(layers, "optim.optimizer")
    options = _for_optimizer(_layered([of_task, of_model], wanted), optimizer)
    if preset and preset not in (*of_task, *of_model):
        return options, [f"there is no preset {preset!r}; {suggestion(preset, dict.fromkeys([*of_task, *of_model]))}"]
    return options, []


def _presets_of(group: str, name: str | None) -> dict[str, dict[str, Any]]:
    try:
        presets = getattr(Registry(group).get(name).cls, "presets", {}) if name else {}
    except PluginError:
        return {}  # the binder says what is wrong with it
    return {label: nested(options) for label, options in presets.items()}


def _layered(presets: Sequence[Mapping[str, Mapping[str, Any]]], wanted: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for label in wanted:
        for known in presets:
            options = merged(options, known.get(label, {}))
    return options


def _for_model(options: dict[str, Any], chosen: str) -> dict[str, Any]:
    """A task's preset with those of its options for another model that the chosen one has too."""
    block = _block(options.get("model") or {})
    if block.get("name", chosen) == chosen:
        return options
    try:
        known = Registry("models").get(chosen).cls.model_fields
    except PluginError:
        known = {}  # the binder says what is wrong with it
    return {**options, "model": {option: value for option, value in block.items() if option in known}}


def _for_optimizer(options: dict[str, Any], chosen: Any) -> dict[str, Any]:
    """Presets without options for another optimizer than the chosen one."""
    default = OptimConfig.model_fields["optimizer"].metadata[0].default
    of_presets = name_at(options, "optim.optimizer") or default
    if chosen is None or chosen == of_presets or "optim" not in options:
        return options
    return {**options, "optim": {name: value for name, value in options["optim"].items() if name != "optimizer"}}


def _block(value: Any) -> dict[str, Any]:
    return {"name": value} if isinstance(value, str) else dict(value)


def _name(block: Any) -> str | None:
    return block if isinstance(block, str) else block.get("name") if isinstance(block, dict) else None
