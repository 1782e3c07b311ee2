"""One run, fully described: what is trained on what, how, and with which numbers.

A run is described by options in a tree.  Values come from, later over earlier: defaults, the ``default``
preset of the task and of the model, ``--preset``, files in order, the command line::

    config = resolve({"task": "multiplication", "data": {"train_size": 5000}})
    config.task.digits, config.trainer.max_steps

This module imports no plug-in: tasks, models, objectives and optimizers are found by name when chosen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from factorexe.blocks import merged, nested
from factorexe.choice import Binder, Choice, Chosen, Options
from factorexe.registry import PluginError, Registry, suggestion


class ConfigError(ValueError):
    """Options that cannot describe a run; one message for each thing that is wrong."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class NotInId:
    """Marks a field that changes no number, and so is not part of a run's id."""


class RunPath:
    """Marks a field that names a run by its directory; what is in the id is the content of its weights."""


class DataConfig(Options):
    """Which problems are trained on and scored."""

    batch_size: int = Field(64, ge=1)
    """Problems per batch."""
    train_size: int | None = Field(None, ge=1)
    """Distinct train problems; an endless stream if not given."""
    train_fraction: float | None = Field(None, gt=0, lt=1)
    """Share of a small task's table to train on, to the problem; val, guide and test share the rest.  Instead of
    `train_size`."""
    eval_size: int = Field(1000, ge=1)
    """Distinct problems per difficulty in each scored split, or all that it holds."""
    mixture: dict[int, float] | None = None
    """Weight of each difficulty in training (2=1,3=4); uniform if not given."""
    curriculum: Annotated[Any, Choice("curricula", "uniform")] = None
    """Which difficulties are in play as training goes on."""
    corrupt: float = Field(0.0, ge=0, le=1)
    """Share of train problems whose answer is replaced by a wrong one (canaries)."""
    split_seed: int = Field(0, ge=0)
    """Decides which problems are in which split."""
    num_workers: Annotated[int, NotInId()] = Field(0, ge=0)
    """Processes that make training batches; 0 makes them in the training process."""

    @model_validator(mode="after")
    def _training_set_is_one(self) -> DataConfig:
        if self.train_size is not None and self.train_fraction is not None:
            raise ValueError(
                f"train_size ({self.train_size}) and train_fraction ({self.train_fraction}) exclude each other: set one"
                " of them to None (null in a file)"
            )
        return self

    @model_validator(mode="after")
    def _batches_can_wait_for_scores(self) -> DataConfig:
        if self.num_workers and getattr(self.curriculum, "adapts", False):
            raise ValueError(
                "an adaptive curriculum decides between two batches, so the training process has to make them:"
                f" expected num_workers 0 (got {self.num_workers})"
            )
        return self


class OptimConfig(Options):
    """From gradients to updates."""

    optimizer: Annotated[Any, Choice("optimizers", "adamw")]
    """Optimizer."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up: down to 0 at the horizon, or constant."""
    warmup: int = Field(100, ge=0)
    """Steps over which the learning rate rises from 0."""
    horizon: int | None = Field(None, ge=1)
    """Step at which cosine and linear reach 0; the run's first `max_steps` if not given."""


class TrainerConfig(Options):
    """How long and on what; names are those of Lightning's Trainer."""

    max_steps: int = Field(1000, ge=1)
    """Optimizer steps."""
    val_check_interval: int = Field(100, ge=1)
    """Optimizer steps between evaluations."""
    log_every_n_steps: int = Field(20, ge=1)
    """Optimizer steps between points of the training curve."""
    accumulate_grad_batches: int = Field(1, ge=1)
    """Batches whose gradients are added up for one step."""
    gradient_clip_val: float | None = Field(1.0, gt=0)
    """Largest norm of the gradient; None does not clip."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic of the forward pass."""
    compile: bool = False
    """Compile the model's core for training: some twenty seconds, then steps get a little faster."""
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], NotInId()] = "auto"
    """Device."""
    threads: Annotated[int | None, NotInId()] = Field(None, ge=1)
    """Processor threads of the arithmetic; as many as this process may use, at most 4, if not given."""
    enable_progress_bar: Annotated[bool, NotInId()] = True
    """Show progress on stderr."""


class RunConfig(Options):
    """Everything that describes a run."""

    task: Annotated[Any, Choice("tasks")]
    """Family of problems."""
    model: Annotated[Any, Choice("models", "universal-transformer")]
    """Network."""
    objective: Annotated[Any, Choice("objectives", "answer")]
    """What is trained."""
    optim: OptimConfig
    """Gradients to updates."""
    data: DataConfig = Field(default_factory=DataConfig)
    """Which problems."""
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)
    """How long and on what."""
    seed: int = Field(0, ge=0)
    """Seed of weights, batches and dropout."""
    init_from: Annotated[str | None, RunPath()] = None
    """Run whose best weights this one begins with, symbol by symbol."""


class Resolved(NamedTuple):
    """A validated run and where its plug-ins came from."""

    config: Any  # RunConfig, bound to the chosen classes
    plugins: Mapping[str, tuple[str, str]]  # option path -> name, origin
    notes: Sequence[str]  # what was dropped or replaced, for the user to read


Parse = Callable[[type[BaseModel]], tuple[dict[str, Any], list[str]]]


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
    said = {} if said is None else said
    own = nested(given or {})
    layers = merged(read_files(files), own)
    defaults, errors = preset_layers(said, layers, preset)
    binder = Binder(said, merged(defaults, layers), own)
    bound = binder.bind(RunConfig)
    values = binder.given
    if parse:
        typed, wrong = parse(bound)
        values = merged(values, typed)
        errors += wrong
    errors += binder.errors
    try:
        config: Any = bound.model_validate(values)
    except ValidationError as error:
        errors += [sentence(detail, bound) for detail in error.errors()]
    if errors:
        raise ConfigError(*dict.fromkeys(errors))
    if config.optim.horizon is None:
        optim = config.optim.model_copy(update={"horizon": config.trainer.max_steps})
        config = config.model_copy(update={"optim": optim})
    settled = config.data.curriculum.settled(config.trainer.max_steps)
    if settled is not config.data.curriculum:
        config = config.model_copy(update={"data": config.data.model_copy(update={"curriculum": settled})})
    return Resolved(config, binder.plugins, binder.notes)


def read_files(files: Sequence[str | Path]) -> dict[str, Any]:
    """Configuration files merged in order.

    Raises:
        ConfigError: one of them cannot be used.
    """
    merged_files: dict[str, Any] = {}
    for path in files:
        merged_files = merged(merged_files, read_yaml(path))
    return merged_files


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A configuration file as a dictionary.

    Raises:
        ConfigError: unreadable, not YAML (with the line), or not a mapping.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}: not valid YAML: {problem}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: expected options as `name: value`, found {type(content).__name__}")
    return nested(content)


def run_id(config: BaseModel, plugins: Mapping[str, tuple[str, str]], contents: Mapping[str, str] = {}) -> str:
    """Twelve hex digits for everything that changes a run's numbers: options, plug-in versions, and the
    ``contents`` of the runs that options name, by option."""
    origins = {path: origin for path, (_, origin) in sorted(plugins.items())}
    content = json.dumps([_in_id(config, "", contents), origins], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def flattened(config: BaseModel) -> dict[str, Any]:
    """Every option by its path, as it stands in a file."""

    def leaves(tree: Any, path: str) -> dict[str, Any]:
        if not isinstance(tree, dict) or not tree:
            return {path: tree}
        return {where: leaf for key, part in tree.items() for where, leaf in leaves(part, f"{path}.{key}").items()}

    return {where.removeprefix("."): leaf for where, leaf in leaves(config.model_dump(mode="json"), "").items()}


def named_runs(config: BaseModel, path: str = "") -> dict[str, str]:
    """Every run that an option names: option path -> directory."""
    found: dict[str, str] = {}
    for name, info in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            found |= named_runs(value, f"{path}{name}.")
        elif value is not None and any(isinstance(mark, RunPath) for mark in info.metadata):
            found[path + name] = value
    return found


def as_yaml(config: BaseModel) -> str:
    """The run as a file that ``--config`` reads back."""
    return yaml.safe_dump(_names_first(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)


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
    options = _layered([of_task, of_model], wanted)
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


def _block(value: Any) -> dict[str, Any]:
    return {"name": value} if isinstance(value, str) else dict(value)


def _name(block: Any) -> str | None:
    return block if isinstance(block, str) else block.get("name") if isinstance(block, dict) else None


def sentence(detail: Any, bound: type[BaseModel]) -> str:
    """A validation error as ``option: what was expected (got what came)``."""
    path = [str(part) for part in detail["loc"]]
    where = ".".join(path) or "run"
    if detail["type"] == "extra_forbidden":
        block: Any = bound
        for part in path[:-1]:
            block = block.model_fields[part].annotation if part in getattr(block, "model_fields", {}) else None
        known = [name for name in getattr(block, "model_fields", {}) if name != "name"]
        return f"{where}: there is no such option; {suggestion(path[-1], known)}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] in ("value_error", "missing"):
        return f"{where}: {message}"
    return f"{where}: {message} (got {detail['input']!r})"


def _in_id(value: Any, path: str, contents: Mapping[str, str]) -> Any:
    """A model's JSON values without the fields that change no number."""
    if not isinstance(value, BaseModel):
        return value
    dumped = value.model_dump(mode="json")
    fields = type(value).model_fields
    found = {
        name: _in_id(child, f"{path}{name}.", contents)
        if isinstance(child := getattr(value, name), BaseModel)
        else contents.get(path + name, dumped[name])
        for name in fields
        if not any(isinstance(mark, NotInId) for mark in fields[name].metadata)
    }
    return list(found.items()) if isinstance(value, Chosen) else found  # the order of a set counts


def _names_first(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    ordered = {"name": tree["name"]} if "name" in tree else {}
    return ordered | {key: _names_first(value) for key, value in tree.items() if key != "name"}
