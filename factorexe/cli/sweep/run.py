"""``factorexe sweep run`` and ``factorexe sweep worker``: compute a sweep.

    factorexe sweep run widths.yaml --workers auto
    factorexe sweep run widths.yaml --executor ray --gpus-per-run 0.25
    sbatch --array=0-31 --wrap "factorexe sweep worker sweeps/widths"
    srun -n 4 sh -c 'factorexe sweep worker sweeps/widths --shard $SLURM_PROCID/4'

Workers share a sweep by themselves; ``--shard`` is for file systems whose exclusive creation is not to be trusted.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factorexe.cli.command import DONE, FAILED, INTERRUPTED, BadInput, refusing, say
from factorexe.cli.signals import SignalStop
from factorexe.cli.sweep import numbers
from factorexe.cli.sweep.plan import add_places, planned

_MOST_FAILURES = 20  # of which a line is printed
_AGAIN = ("--retry-failed", "--retry_failed")


def add(verbs: Any) -> None:
    """``run`` and ``worker``."""
    run = verbs.add_parser("run", help="plan a sweep and compute it; retype it to go on", allow_abbrev=False)
    run.add_argument("sweep", metavar="FILE", help="the sweep's file, or the directory of one that is planned")
    add_places(run)
    run.add_argument("--workers", type=numbers.workers, metavar="N", help="how many (default: auto, as there is room)")
    run.add_argument("--executor", choices=("local", "ray"), default="local", help="what workers run on")
    run.add_argument(
        *("--gpus-per-run", "--gpus_per_run"),
        type=numbers.gpus,
        metavar="SHARE",
        help="with ray: GPUs of each worker, such as 0.25 for four on each (default: none)",
    )
    run.add_argument(
        "--address", metavar="HOST:PORT", help="with ray: its cluster (default: one that runs here, or one of its own)"
    )
    run.add_argument(*_AGAIN, action="store_true", help="begin again with runs that failed for good")
    _add_common(run)
    run.set_defaults(act=_run, shard=None)
    worker = verbs.add_parser("worker", help="one worker more for a sweep that is planned", allow_abbrev=False)
    worker.add_argument("sweep", metavar="DIR", help="the sweep's directory, on a file system that all workers share")
    worker.add_argument(
        "--shard",
        type=numbers.shard,
        metavar="I/N",
        help="only every N-th run, beginning with number I, from 0 to N-1 as SLURM_PROCID counts",
    )
    _add_common(worker)
    worker.set_defaults(act=_worker)


def _add_common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--retries", type=numbers.whole("retries", 0), default=3, metavar="N", help="how often a run is tried again (3)"
    )
    verb.add_argument(
        "--time-limit",
        "--time_limit",
        type=numbers.seconds,
        metavar="SECONDS",
        help="end an attempt at a run that takes longer (default: none)",
    )
    verb.add_argument(
        "--threads",
        type=numbers.whole("threads", 1),
        metavar="N",
        help="processor threads of each worker (default: its share of the processors)",
    )


def _run(given: argparse.Namespace, rest: Sequence[str]) -> int:
    executor = _executor(given)
    directory = _directory(given, executor)
    if given.retry_failed:
        _forget_failures(directory)
    return _supervised(given, directory, executor)


def _worker(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.sweeps.local import Local

    return _supervised(given, Path(given.sweep), Local(1, given.threads))


def _executor(given: argparse.Namespace) -> Any:
    """What workers run on."""
    from factorexe.sweeps.local import Local

    if given.executor == "ray":
        from factorexe.sweeps.on_ray import OnRay

        with refusing():
            return OnRay(given.workers, given.threads, given.gpus_per_run, given.address)
    if given.gpus_per_run is not None:
        raise BadInput("--gpus-per-run is for --executor ray; here all workers share the GPUs: set --workers N")
    if given.address is not None:
        raise BadInput("--address is for --executor ray")
    return Local(given.workers, given.threads)


def _directory(given: argparse.Namespace, executor: Any) -> Path:
    """The directory of the sweep, planned if a file was named."""
    if Path(given.sweep).is_dir():
        if given.dir or given.runs or given.logger:
            raise BadInput(f"{given.sweep} is planned already: --dir, --runs and --trainer.logger are for a FILE")
        return Path(given.sweep)
    return Path(planned(given.sweep, given, priced=False, before_new=executor.prepare).directory.path)


def _forget_failures(directory: Path) -> None:
    from factorexe.sweeps import status
    from factorexe.sweeps.directory import SweepDirectory
    from factorexe.sweeps.plan import read

    with refusing():
        plan = read(SweepDirectory(directory))
    forgotten = sum(status.forget(plan.directory(run)) for run in plan.planned)
    say(f"{forgotten} {'run' if forgotten == 1 else 'runs'} that failed will be tried again")


def _supervised(given: argparse.Namespace, directory: Path, executor: Any) -> int:
    from factorexe.sweeps.supervisor import supervise

    stop = SignalStop()
    stop.arm()
    with refusing():
        outcome = supervise(
            directory,
            executor,
            shard=given.shard,
            retries=given.retries,
            time_limit=given.time_limit,
            stop=stop,
            say=say,
        )
    return _told(outcome, directory, [word for word in given.words if word not in _AGAIN])


def _told(outcome: Any, directory: Path, words: Sequence[str]) -> int:
    """Say what came of it; returns the exit code."""
    from factorexe.sweeps.ledger import described

    for run, line in outcome.failed[:_MOST_FAILURES]:
        say(f"failed: {described(run)}: {line}")
    if outcome.failed:
        say(f"tracebacks are in status.json of each run; factorexe sweep status {directory} lists all that failed")
    counts = f"{outcome.finished} of {outcome.total} runs finished"
    counts += f", {len(outcome.failed)} failed" if outcome.failed else ""
    print(counts + (f", {outcome.left} left" if outcome.left else ""))
    if outcome.fault:
        print(f"factorexe sweep {words[1]}: error: {outcome.fault}", file=sys.stderr)
    if outcome.left and (outcome.stopped or outcome.fault):
        say(f"what was saved before is intact; to go on, retype the command:\n  {shlex.join(['factorexe', *words])}")
        return INTERRUPTED if outcome.stopped else FAILED
    if outcome.left:
        say("the others are at work elsewhere")
    return FAILED if outcome.failed or outcome.fault else DONE
