"""A run's weights in its model again, with options of task and model changed that hold no weights.

    reloaded(run, {"model.steps": 8})           deeper than in training
    reloaded(run, {"model.width": 64})          refused: weights of width 32 cannot follow, and which one cannot is said

A changed task says how hard the problems are; which of them may be looked at is still for the run's own task to
say.  So no problem it trained on is in ``val`` or ``ood``, and none of its ``test`` problems is there either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from factorexe.config import ConfigError, Parse, Resolved, flattened, resolve
from factorexe.run import Built, Run, build
from factorexe.rundir import RunError, read_checkpoint
from factorexe.weights import model_weights, objective_weights, unfit

_CHANGEABLE = ("data.eval_size", "trainer.precision", "trainer.accelerator", "trainer.threads")
_CHANGE_NO_NUMBER = _CHANGEABLE[2:]


class Reloaded(NamedTuple):
    """A run's weights, ready to answer."""

    run: Run
    config: Any  # the run's, with the changes
    built: Built  # the model holds the weights
    checkpoint: str
    step: int  # of training, when the weights were saved
    changed: dict[str, tuple[Any, Any]]  # option -> as trained, now


def reloaded(
    run: Run,
    changes: Mapping[str, Any] | None = None,
    *,
    checkpoint: str = "best",
    said: dict[str, str] | None = None,
    parse: Parse | None = None,
    length: int = 0,
) -> Reloaded:
    """A run's weights in its model, with options of task and model changed.

    Args:
        changes: option path -> value.
        checkpoint: ``best`` or ``last``.
        said, parse: as in ``config.resolve``, for changes typed on a command line.
        length: positions that will be needed, where the task does not say.

    Raises:
        ConfigError: an option does not exist, or cannot be changed here.
        RunError: the weights do not fit a change; says which.
    """
    content = read_checkpoint(run.directory.checkpoint(checkpoint))
    resolved = resolve(changes, files=[run.directory.config], said=said, parse=parse)
    changed = _changed(run, resolved)
    built = _built(run, resolved.config, length)
    weights = _as_far_as_needed(built.model, model_weights(content))
    wrong = unfit(built.model, weights)
    trained_on = run.record.get("symbols") or build(run.config).layout.symbols
    if not wrong and list(built.layout.symbols) != list(trained_on):
        wrong = ["its tokens stand for other symbols"]
    if wrong:
        raise RunError(_refusal(run, changed, wrong, weights, length))
    built.model.load_state_dict(weights)
    built.objective.load_state_dict(objective_weights(content))
    if any(path.startswith("task.") for path in changed) and hasattr(built.data, "splits"):
        built.data.splits.home = run.config.task
    return Reloaded(run, resolved.config, built, checkpoint, int(content["global_step"]), changed)


def changed_by(run: Run, said: dict[str, str], parse: Parse) -> dict[str, Any]:
    """What words typed on a command line change of a run: option path -> value, as ``reloaded`` takes them.  Plug-ins
    that are named by a class path are among them.

    Raises:
        ConfigError: an option does not exist, or cannot be changed here.
    """
    resolved = resolve(files=[run.directory.config], said=said, parse=parse)
    _changed(run, resolved)
    before, now = flattened(run.config), flattened(resolved.config)
    by_path = {where: name for where, (name, _) in resolved.plugins.items() if ":" in name}
    return {**by_path, **{path: now[path] for path in now if path not in before or before[path] != now[path]}}


def _changed(run: Run, resolved: Resolved) -> dict[str, tuple[Any, Any]]:
    """Every option that differs from the run's.

    Raises:
        ConfigError: one of them cannot be changed once a model is trained.
    """
    before, now = flattened(run.config), flattened(resolved.config)
    differing = [path for path in {**before, **now} if before.get(path) != now.get(path)]
    for path in sorted(differing, key=lambda path: not path.endswith(".name")):
        if path in ("task.name", "model.name") or not path.startswith(("task.", "model.", *_CHANGEABLE)):
            raise ConfigError(
                f"{path}: it was {before.get(path)!r} in training and cannot be {now.get(path)!r} now; options of task"
                f" and model that hold no weights can be changed, and {', '.join(_CHANGEABLE)}"
            )
    return {path: (before.get(path), now.get(path)) for path in differing if path not in _CHANGE_NO_NUMBER}


def _as_far_as_needed(model: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Without rows for numbers that the model does not reach, such as steps of a shorter loop."""
    own = model.state_dict()
    return {
        name: weight[: len(own[name])] if name in model.numbered_rows and name in own else weight
        for name, weight in weights.items()
    }


def _built(run: Run, config: Any, length: int) -> Built:
    """The parts of a run, for sequences as long as those of its training at least."""
    trained = build(run.config).layout.max_length
    return build(config, least_length=max(trained, length))


def _refusal(
    run: Run, changed: Mapping[str, tuple[Any, Any]], wrong: Sequence[str], weights: Mapping[str, Any], length: int
) -> str:
    """Which change it is that the weights cannot follow, as far as each alone shows it."""
    culprits = [path for path in changed if _misfits(run, path, changed[path][1], weights)] or list(changed)
    if not culprits:
        return f"{run.path}: its weights cannot take sequences of {length} tokens: {wrong[0]}"
    said = ", ".join(f"{path} {changed[path][1]} (it was {changed[path][0]})" for path in culprits)
    return f"{run.path}: its weights cannot be used with {said}: {wrong[0]}"


def _misfits(run: Run, path: str, value: Any, weights: Mapping[str, Any]) -> bool:
    try:
        alone = resolve({path: value}, files=[run.directory.config]).config
        built = _built(run, alone, 0)
    except (ConfigError, ValueError):
        return False
    return bool(unfit(built.model, _as_far_as_needed(built.model, weights))) or len(built.layout.symbols) != len(
        build(run.config).layout.symbols
    )
