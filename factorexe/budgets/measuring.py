"""Measure budget curves: one pass over the splits for each position of each dial, the others as in training.

    budget(run)                                        every dial of the model, at the values it proposes
    budget(run, dial="steps", values=(1, 2, 3, 6))     one of them, at these
    budget(run, {"task.digits": 4})                    on harder problems

Passes are those of ``evaluate``.  Each is written to budget.json of the run as soon as it is made, and never made
again for the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from factorexe.budgets.dials import Dial, dials_of, running_instead, turned
from factorexe.budgets.passes import NAME, Passes
from factorexe.budgets.record import Budget, Curve, Point, Scores, as_json
from factorexe.budgets.scoring import scored
from factorexe.config import ConfigError, flattened
from factorexe.evaluation import Reloaded, reloaded
from factorexe.registry import suggestion
from factorexe.run import Run
from factorexe.rundir import RunError
from factorexe.weights import content_hash

Say = Callable[[str], None]
SPLITS = ("val", "ood")
_ALLOWED, _LAST = ("seen", *SPLITS), ("test", "ood_test")


def budget(
    run: Run,
    changes: Mapping[str, Any] | None = None,
    *,
    dial: str | None = None,
    values: Sequence[Any] | None = None,
    splits: Sequence[str] = SPLITS,
    checkpoint: str = "best",
    force: bool = False,
    say: Say = lambda line: None,
) -> Budget:
    """What the run's model solves for what it may spend.

    Args:
        changes: option path -> value, in every pass; as ``reloaded`` takes them.
        dial: ``steps`` or ``model.steps``; every dial of the model, one after the other, if not given.
        values: of that dial, in place of those that the model proposes.
        splits: of seen, val and ood.
        force: make passes again that are known.
        say: takes each line of progress.

    Raises:
        ConfigError: no such dial or split, or as in ``reloaded``.
        RunError: the run is unfinished, its splits hold no problem, or as in ``reloaded``.
    """
    bench = Bench(run, changes, splits, checkpoint, force, say)
    dials = turned(dials_of(bench.base.config), dial, values, run.config.model.name)
    for one in dials:
        if one.path in bench.base.changed and one.path in flattened(run.config):
            raise ConfigError(f"{one.path} is turned here; give what to try as --dial {one.path} --values A,B")
    return bench.measured(dials)


def known_budget(
    run: Run, changes: Mapping[str, Any] | None, splits: Sequence[str], checkpoint: str, say: Say
) -> Budget:
    """Every dial at the values that the model proposes and at all others of which a pass is known.  A model without
    dials has a curve of one point.

    Raises:
        ConfigError, RunError: as ``budget``.
    """
    bench = Bench(run, changes, splits, checkpoint, False, say)
    return bench.measured([dial._replace(values=bench.known_values(dial)) for dial in dials_of(bench.base.config)])


class Bench:
    """A run's weights, and the passes made with them; arguments as of ``budget``."""

    def __init__(
        self,
        run: Run,
        changes: Mapping[str, Any] | None,
        splits: Sequence[str],
        checkpoint: str,
        force: bool,
        say: Say,
    ) -> None:
        _refuse_splits(splits)
        refuse_unfinished(run)
        self.run, self.checkpoint, self.force, self.say = run, checkpoint, force, say
        self.changes = dict(changes or {})
        self.base = reloaded(run, self.changes, checkpoint=checkpoint)
        self.splits = _holding(self.base, splits)
        self.passes = Passes(run.path, content_hash(run.path, checkpoint), self.base.step)

    def known_values(self, dial: Dial) -> tuple[Any, ...]:
        """Those of the dial, and others that were tried."""
        return (*dial.values, *self.passes.values(dial.path, _now(self.base)))

    def measured(self, dials: Sequence[Dial]) -> Budget:
        """The curve of each dial; without any there is one point."""
        scores = self._scores(self.base, "as it is")
        curves = {dial.path: Curve(dial.path, (Point(dial.trained, scores, trained=True),)) for dial in dials}
        curves = curves or {"": Curve("", (Point(None, scores, trained=True),))}
        running = None
        self._tell(curves, running)
        for path, value in running_instead(self.base.config).items():
            running = self._point(path, value, [])
            self._tell(curves, running)
        for dial in dials:
            made = [_now(self.base)]
            for value in dial.values:
                if point := self._point(dial.path, value, made):
                    points = sorted((*curves[dial.path].points, point), key=dial.budget_of)
                    curves[dial.path] = Curve(dial.path, tuple(points))
                    self._tell(curves, running)
        return self._so_far(curves, running)

    def _tell(self, curves: Mapping[str, Curve], running: Point | None) -> None:
        self.passes.latest(as_json(self._so_far(curves, running)))

    def _so_far(self, curves: Mapping[str, Curve], running: Point | None) -> Budget:
        base, path = self.base, self.run.path
        return Budget(path, self.checkpoint, base.step, self.splits, _now(base), list(curves.values()), running)

    def _point(self, path: str, value: Any, made: list[dict[str, Any]]) -> Point | None:
        """An option at a value; None if the same changes are ``made`` already, else they are from now on."""
        try:
            found = reloaded(self.run, {**self.changes, path: value}, checkpoint=self.checkpoint)
            now = _now(found)
            if now in made:
                return None
            made.append(now)
            return Point(now.get(path, value), self._scores(found, f"{path} {now.get(path, value)}"))
        except (RunError, ValueError) as error:
            reason = str(error).removeprefix(f"{self.run.path}: ")
            self.say(f"{path} {value}: refused: {reason}")
            return Point(value, {}, refused=reason)

    def _scores(self, found: Reloaded, name: str) -> dict[str, Scores]:
        """By split, as far as possible from what is known."""
        now = _now(found)
        known = {} if self.force else self.passes.known(now)
        missing = [split for split in self.splits if split not in known]
        began = time.perf_counter()
        if missing:
            known |= scored(found, missing)
            self.passes.add(now, known)
        scores = {split: known[split] for split in self.splits}
        took = f"{time.perf_counter() - began:.1f} s" if missing else f"known ({NAME})"
        self.say(f"{name}: {_told(scores)}; {took}")
        return scores


def refuse_unfinished(run: Run) -> None:
    """A run whose weights are on their way has no budget.

    Raises:
        RunError: it is one.
    """
    if not run.finished:
        raise RunError(f"{run.path} is unfinished; go on with it first: factorexe fit --resume {run.path}")


def _refuse_splits(splits: Sequence[str]) -> None:
    if not splits:
        raise ConfigError(f"--split: expected some of {', '.join(_ALLOWED)}, with commas between them")
    for split in splits:
        if split in _LAST:
            raise ConfigError(f"--split: {split} is kept for a last look, which is factorexe test; budgets choose")
        if split not in _ALLOWED:
            raise ConfigError(f"--split: there is no split {split!r}; {suggestion(split, _ALLOWED)}")


def _holding(base: Reloaded, splits: Sequence[str]) -> tuple[str, ...]:
    """The splits that hold problems.  Under a changed task none counts as seen."""
    task_changed = any(path.startswith("task.") for path in base.changed)
    wanted = [split for split in dict.fromkeys(splits) if not (task_changed and split == "seen")]
    found = tuple(split for split in wanted if base.built.data.evaluation_batches(split))
    if not found:
        raise RunError(f"{base.run.path}: its task has no problems in {' or '.join(splits)}")
    return found


def _now(found: Reloaded) -> dict[str, Any]:
    """The options that differ from the run's."""
    return {path: now for path, (_, now) in found.changed.items()}


def _told(scores: Mapping[str, Scores]) -> str:
    return ", ".join(f"{split} {one.solved:.3f} for {one.compute:.1f}" for split, one in scores.items())
