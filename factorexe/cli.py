"""The command line: verbs, exit codes, signals.

    factorexe fit --task multiplication        train; retype it to go on, or to see the result again
    factorexe fit --resume RUN
    factorexe tasks list|show NAME|check NAME
    factorexe models list|show NAME

stdout carries results, stderr progress and errors.  Exit codes: 0 done, 2 bad input, 1 failure, 130
interrupted.  What a verb needs is imported when it runs: help and lists import no torch.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from factorexe import __version__

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_MOST_LINES = 5

FIT_OPTIONS = """\
  --task NAME           family of problems (factorexe tasks list)
  --model NAME          network (factorexe models list)
  --objective NAME      what is trained: answer, chain
  --preset NAME         options that a task and a model keep under a name, such as tiny
  --config FILE         options from a YAML file; may be given several times, later ones win
  --OPTION VALUE        any option of the run, such as --task.digits 4 or --optim.optimizer.lr 1e-3
  --print-config        print the resolved run as YAML and stop
  --runs DIR            where runs are kept (default: runs)
  --resume RUN          go on with the run in this directory; --trainer.max_steps N extends it
  --force               start again; the earlier run is set aside, never deleted
  --json                print result.json instead of tables
"""


class _BadInput(Exception):
    """Something typed is wrong; the messages say what."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _BadInput(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = " ".join(["factorexe", *words[: 2 if words[:1] in (["tasks"], ["models"]) else 1]])
    verb = verb if len(words) and not words[0].startswith("-") else "factorexe"
    try:
        return _run(words)
    except _BadInput as error:
        return _refuse(verb, error.messages)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 the reader is gone; nothing may be flushed at exit
        return FAILED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO):
            raise
        print(f"{verb}: error: {error.strerror}: {error.filename or 'writing failed'}", file=sys.stderr)
        print("what was saved before is intact; retype the command to go on", file=sys.stderr)
        return FAILED


def _refuse(verb: str, messages: Sequence[str]) -> int:
    lines = [" ".join(message.split()) for message in messages]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = ["; ".join(lines[_MOST_LINES - 1 :])]
    for line in lines:
        print(f"{verb}: error: {line}", file=sys.stderr)
    return BAD_INPUT


def _run(words: list[str]) -> int:
    parser = _Parser(
        prog="factorexe",
        description="A small model applied many times, trained to learn the rule instead of the examples.",
        epilog="factorexe fit --help explains training; factorexe fit --task NAME --help lists every option of a run.",
    )
    parser.add_argument("--version", action="version", version=f"factorexe {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="{fit,tasks,models}")
    verbs.add_parser("fit", help="train a model on a task", add_help=False)
    _add_tasks(verbs)
    _add_models(verbs)
    if words[:1] == ["fit"]:
        return _fit(words[1:])
    given = parser.parse_args(words)
    if not hasattr(given, "act"):
        parser.print_help()
        return DONE
    act: Callable[[argparse.Namespace], int] = given.act
    return act(given)


# -- fit


def _fit(words: list[str]) -> int:
    from factorexe.commandline import Words, underscored
    from factorexe.config import ConfigError, as_yaml, resolve

    parser = _Parser(prog="factorexe fit", add_help=False, allow_abbrev=False)
    for option in ("--config", "--preset", "--runs", "--resume"):
        parser.add_argument(option, action="append" if option == "--config" else "store")
    for flag in ("--print_config", "--force", "--json", "--help"):
        parser.add_argument(flag, action="store_true")
    own, rest = parser.parse_known_args([underscored(word) for word in _long_help(words)])
    if own.resume:
        return _resume(own, rest, words)
    typed = Words(rest, "factorexe fit")
    if own.help:
        return _fit_help(typed, own)
    try:
        resolved = resolve(files=own.config or [], preset=own.preset, said=typed.said, parse=typed.parse)
    except ConfigError as error:
        raise _BadInput(*error.messages) from None
    for note in resolved.notes:
        print(note, file=sys.stderr)
    if own.print_config:
        print(as_yaml(resolved.config), end="")
        return DONE

    def train(stop: Any) -> Any:
        from factorexe.run import fit

        return fit(
            resolved,
            runs=own.runs or "runs",
            force=own.force,
            stop=stop,
            say=_say,
            command=["factorexe", "fit", *words],
        )

    return _trained(train, own.json, ["factorexe", "fit", *[word for word in words if word != "--force"]])


def _long_help(words: Sequence[str]) -> list[str]:
    return ["--help" if word == "-h" else word for word in words]


def _fit_help(typed: Any, own: argparse.Namespace) -> int:
    from factorexe.choice import Binder, merged
    from factorexe.config import ConfigError, RunConfig, preset_layers, read_files

    usage = "usage: factorexe fit --task NAME [options]\n\n" + FIT_OPTIONS
    try:
        layers = read_files(own.config or [])
    except ConfigError as error:
        raise _BadInput(*error.messages) from None
    if "task" not in typed.said and "task" not in layers:
        print(usage, end="")
        print("\nfactorexe fit --task NAME --help lists every option of that run.")
        return DONE
    defaults, errors = preset_layers(typed.said, layers, own.preset)
    binder = Binder(typed.said, merged(defaults, layers))
    bound = binder.bind(RunConfig)
    if errors + binder.errors:
        raise _BadInput(*errors, *binder.errors)
    print(usage + "\n" + typed.help(bound), end="")
    return DONE


def _resume(own: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from factorexe.commandline import Words

    typed = Words(rest, "factorexe fit --resume")
    trainer: dict[str, Any] = {}
    steps = typed.said.pop("trainer.max_steps", None)
    if steps is not None:
        if not steps.isdigit() or int(steps) < 1:
            raise _BadInput(f"trainer.max_steps: expected a whole number of steps (got {steps!r})")
        trainer["max_steps"] = int(steps)
    others = [option for option in typed.said if ":" not in typed.said[option]]
    if others or own.config or own.preset or own.force:
        raise _BadInput(
            "--resume goes on with a run as it is; besides it only --trainer.max_steps, and plug-ins named by a class"
            f" path, can be given (got {', '.join(f'--{o}' for o in others) or 'a config, preset or --force'})"
        )

    def train(stop: Any) -> Any:
        from factorexe.run import resume

        return resume(own.resume, said=typed.said, trainer=trainer, stop=stop, say=_say)

    return _trained(train, own.json, ["factorexe", "fit", *words])


def _trained(train: Callable[[Any], Any], as_json: bool, command: Sequence[str]) -> int:
    """Train, and print what came of it."""
    from factorexe.callbacks.checkpoints import Stopped
    from factorexe.config import ConfigError
    from factorexe.rundir import RunError

    stop = _signal_stop()
    try:
        run = train(stop)
    except (ConfigError, RunError) as error:
        raise _BadInput(*getattr(error, "messages", [str(error)])) from None
    except Stopped as error:
        print(f"\n{error}; to go on, retype the command:\n  {shlex.join(command)}", file=sys.stderr)
        return INTERRUPTED
    result = run.result
    if as_json:
        print(json.dumps(result, indent=2))
        return DONE
    from factorexe.result import predictions, tables

    print(tables(result))
    print("\n" + predictions(result))
    print(f"\nrun      {run.path}\ncurves   tensorboard --logdir {run.path}")
    return DONE


def _signal_stop() -> Any:
    """A request to stop that SIGINT and SIGTERM set; a second one does not wait for the step to end."""
    from factorexe.callbacks.checkpoints import Stop

    class SignalStop(Stop):
        def arm(self) -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._asked)

        def _asked(self, number: int, frame: Any) -> None:
            if self.requested:
                raise KeyboardInterrupt
            self.requested = True
            print("\nstopping after this step (again to stop at once, without saving)", file=sys.stderr)

    return SignalStop()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# -- tasks and models


def _add_tasks(verbs: Any) -> None:
    verb = verbs.add_parser("tasks", help="list, show and check tasks")
    verb.set_defaults(act=lambda given: _print_help(verb))
    tasks = verb.add_subparsers(metavar="{list,show,check}")
    listing = tasks.add_parser("list", help="every installed task; imports none of them")
    listing.set_defaults(act=lambda given: _list("tasks"))
    show = tasks.add_parser("show", help="options of a task, and sample problems", allow_abbrev=False)
    show.add_argument("name")
    show.add_argument("--count", type=int, default=5, help="sample problems")
    show.add_argument("--seed", type=int, default=0, help="seed of the sample")
    show.add_argument("--split", default="train", help="train, val, guide, test, ood or ood_test")
    show.add_argument("--difficulty", type=int, help="only problems of this difficulty")
    show.add_argument("--json", action="store_true", help="the problems as a list of objects")
    show.set_defaults(act=_show_task)
    check = tasks.add_parser("check", help="whether a task keeps the promises of the contract", allow_abbrev=False)
    check.add_argument("name")
    check.set_defaults(act=_check_task)


def _add_models(verbs: Any) -> None:
    verb = verbs.add_parser("models", help="list and show models")
    verb.set_defaults(act=lambda given: _print_help(verb))
    models = verb.add_subparsers(metavar="{list,show}")
    listing = models.add_parser("list", help="every installed model; imports none of them")
    listing.set_defaults(act=lambda given: _list("models"))
    show = models.add_parser("show", help="options of a model", allow_abbrev=False)
    show.add_argument("name")
    show.set_defaults(act=_show_model)


def _print_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return DONE


def _list(group: str) -> int:
    from tabulate import tabulate

    from factorexe.registry import Registry

    print(tabulate(Registry(group).listing(), tablefmt="plain"))
    return DONE


def _loaded(group: str, name: str) -> Any:
    from factorexe.registry import PluginError, Registry

    try:
        return Registry(group).get(name)
    except PluginError as error:
        raise _BadInput(str(error)) from None


def _show_model(given: argparse.Namespace) -> int:
    print(_described(_loaded("models", given.name)))
    return DONE


def _show_task(given: argparse.Namespace) -> int:
    from factorexe.show import problems, rendered

    plugin = _loaded("tasks", given.name)
    try:
        found = problems(plugin.cls(), given.split, given.count, given.seed, given.difficulty)
    except ValueError as error:
        raise _BadInput(str(error)) from None
    if given.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return DONE
    print(_described(plugin) + "\n\n" + rendered(found))
    return DONE


def _described(plugin: Any) -> str:
    from factorexe.show import described

    return described(plugin.name, plugin.cls, plugin.origin)


def _check_task(given: argparse.Namespace) -> int:
    from factorexe.testing import task_checks

    plugin = _loaded("tasks", given.name)
    failed = 0
    for check in task_checks(plugin.cls):
        try:
            check()
        except Exception as error:
            failed += 1
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"FAILED  {check.__name__}: {reason}")
        else:
            print(f"ok      {check.__name__}")
    return FAILED if failed else DONE


if __name__ == "__main__":
    sys.exit(main())
