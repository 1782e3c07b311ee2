"""``factorexe validate RUN`` and ``factorexe test RUN``: score a run's weights again, or on problems kept for last."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from factorexe.cli.command import DONE, add_run, loaded, refusing, say

SPLITS = {"validate": ("seen", "val", "ood"), "test": ("test", "ood_test")}
_EPILOG = """\
options that hold no weights can be changed, such as
  factorexe {verb} RUN --task.digits 4          harder problems than in training
  factorexe {verb} RUN --model.steps 8          more steps than in training
  factorexe {verb} RUN --data.eval_size 5000    more problems
"""


def add(verbs: Any) -> None:
    """``validate`` and ``test``."""
    for name, what in (
        ("validate", "score a run's weights on seen, val and ood"),
        ("test", "score a run's weights on test and ood_test, and write test.json"),
    ):
        verb = verbs.add_parser(
            name,
            help=what,
            description=what,
            epilog=_EPILOG.format(verb=name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add_run(verb)
        verb.add_argument("--json", action="store_true", help="print the record instead of tables")
        verb.set_defaults(act=partial(_score, name), takes_options=True)


def _score(name: str, given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.commandline import Words

    typed = Words(rest, f"factorexe {name}")
    with refusing():
        run = loaded(given, typed)
        from factorexe.evaluation import evaluate, reloaded

        found = reloaded(run, checkpoint=given.checkpoint, said=typed.said, parse=typed.parse)
        record = evaluate(found, SPLITS[name])
    if name == "test":
        _kept(found, record)
    if given.json:
        print(json.dumps(record, indent=2))
        return DONE
    from factorexe.tables import heading, predictions, score_tables

    print(heading(found) + "\n\n" + score_tables(record) + "\n\n" + predictions(record))
    return DONE


def _kept(found: Any, record: dict[str, Any]) -> None:
    """Write test.json; scores of other weights than the best, or of changed options, stand in a file of their own."""
    from factorexe.rundir import write

    unusual = [] if found.checkpoint == "best" else [found.checkpoint]
    unusual += [f"{path}={now}" for path, (_, now) in found.changed.items()]
    digest = hashlib.sha256(" ".join(sorted(unusual)).encode()).hexdigest()[:8]
    target = found.run.path / f"test-{digest}.json" if unusual else found.run.directory.test
    write(target, json.dumps(record, indent=2) + "\n")
    say(f"written: {target}")
