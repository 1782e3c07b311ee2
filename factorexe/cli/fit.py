"""``factorexe fit``: train the run that the options describe, go on with it, or show what it found."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from factorexe.cli.command import DONE, INTERRUPTED, BadInput, refusing, say
from factorexe.cli.recipes import recipe_file
from factorexe.cli.signals import SignalStop

FIT_OPTIONS = """\
  --task NAME           family of problems (factorexe tasks list)
  --model NAME          network (factorexe models list)
  --objective NAME      what is trained: answer, answer-at-once, chain
  --preset NAME         options that a task and a model keep under a name, such as tiny
  --recipe NAME         options that ship with the package (factorexe recipes list); files go over them
  --config FILE         options from a YAML file; may be given several times, later ones win
  --OPTION VALUE        any option of the run, such as --task.digits 4 or --optim.optimizer.lr 1e-3
  --init-from RUN       begin with the best weights of that run, symbol by symbol
  --print-config        print the resolved run as YAML and stop
  --runs DIR            where runs are kept (default: runs)
  --resume RUN          go on with the run in this directory; --trainer.max_steps N extends it
  --force               start again; the earlier run is set aside, never deleted
  --json                print result.json instead of tables
"""


def add(verbs: Any) -> None:
    """``fit``."""
    verb = verbs.add_parser("fit", help="train a model on a task", add_help=False, allow_abbrev=False)
    verb.add_argument("--config", action="append", default=[])
    for option in ("--preset", "--recipe", "--resume"):
        verb.add_argument(option)
    verb.add_argument("--runs", default="runs")
    verb.add_argument("--print-config", "--print_config", action="store_true")
    for flag in ("--force", "--json"):
        verb.add_argument(flag, action="store_true")
    verb.add_argument("-h", "--help", action="store_true")
    verb.set_defaults(act=_fit, takes_options=True)


def _fit(own: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.commandline import Words
    from factorexe.config import as_yaml, resolve

    if own.resume:
        return _resume(own, rest)
    typed = Words(rest, "factorexe fit")
    if own.help:
        return _fit_help(typed, own)
    with refusing():
        resolved = resolve(files=_files(own), preset=own.preset, said=typed.said, parse=typed.parse)
    for note in resolved.notes:
        say(note)
    if own.print_config:
        print(as_yaml(resolved.config), end="")
        return DONE

    def train(stop: Any) -> Any:
        from factorexe.run import fit

        command = ["factorexe", *own.words]
        return fit(resolved, runs=own.runs, force=own.force, stop=stop, say=say, command=command)

    return _trained(train, own.json, ["factorexe", *[word for word in own.words if word != "--force"]])


def _files(own: argparse.Namespace) -> list[str | Path]:
    """The recipe, then the configuration files in their order."""
    return [*([recipe_file(own.recipe)] if own.recipe else []), *own.config]


def _fit_help(typed: Any, own: argparse.Namespace) -> int:
    from factorexe.blocks import merged
    from factorexe.choice import Binder
    from factorexe.config import RunConfig, preset_layers, read_files

    usage = "usage: factorexe fit --task NAME [options]\n\n" + FIT_OPTIONS
    with refusing():
        layers = read_files(_files(own))
    if "task" not in typed.said and "task" not in layers:
        print(usage, end="")
        print("\nfactorexe fit --task NAME --help lists every option of that run.")
        return DONE
    defaults, errors = preset_layers(typed.said, layers, own.preset)
    binder = Binder(typed.said, merged(defaults, layers))
    bound = binder.bind(RunConfig)
    if errors + binder.errors:
        raise BadInput(*errors, *binder.errors)
    print(usage + "\n" + typed.help(bound), end="")
    return DONE


def _resume(own: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.commandline import Words

    typed = Words(rest, "factorexe fit --resume")
    trainer: dict[str, Any] = {}
    steps = typed.said.pop("trainer.max_steps", None)
    if steps is not None:
        if not steps.isdigit() or int(steps) < 1:
            raise BadInput(f"trainer.max_steps: expected a whole number of steps (got {steps!r})")
        trainer["max_steps"] = int(steps)
    others = [option for option in typed.said if ":" not in typed.said[option]]
    if others or own.config or own.preset or own.recipe or own.force:
        raise BadInput(
            "--resume goes on with a run as it is; besides it only --trainer.max_steps, and plug-ins named by a class"
            f" path, can be given (got {', '.join(f'--{o}' for o in others) or 'a config, recipe, preset or --force'})"
        )

    def train(stop: Any) -> Any:
        from factorexe.run import resume

        return resume(own.resume, said=typed.said, trainer=trainer, stop=stop, say=say)

    return _trained(train, own.json, ["factorexe", *own.words])


def _trained(train: Callable[[Any], Any], as_json: bool, command: Sequence[str]) -> int:
    """Train, and print what came of it."""
    from factorexe.callbacks.checkpoints import Stopped

    stop = SignalStop(_say_stopping)
    try:
        with refusing():
            run = train(stop)
    except Stopped as error:
        print(f"\n{error}; to go on, retype the command:\n  {shlex.join(command)}", file=sys.stderr)
        return INTERRUPTED
    result = run.result
    if as_json:
        print(json.dumps(result, indent=2))
        return DONE
    from factorexe.tables import predictions, tables

    print(tables(result))
    print("\n" + predictions(result))
    print(f"\nrun      {run.path}\ncurves   {_curves(run)}")
    return DONE


def _curves(run: Any) -> str:
    """Where a run's curves are."""
    if run.config.trainer.logger == "tensorboard":
        return f"tensorboard --logdir {run.path}"
    return str(run.directory.curve if run.config.trainer.logger == "csv" else run.directory.metrics)


def _say_stopping() -> None:
    say("\nstopping after this step (again to stop at once, without saving)")
