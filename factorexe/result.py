"""What a run found, as one record.

result.json holds the final and best solved rate of each split, losses, gaps, the event steps, and what it all
cost.  ``best`` is the evaluation with the highest solved rate on val (then the lowest val loss), for every
split alike: val chose it.  An event that is null was not reached by step ``events_censored_at``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from factorexe.arithmetic import known_multiply_adds
from factorexe.callbacks.generalization import GeneralizationMonitor
from factorexe.metrics import events, lowest_val_after_t_gen
from factorexe.tasks.base import Examples, solved_by

_SPLITS = ("seen", "val", "ood")


def result_of(run: Any, built: Any, learner: Any, monitor: GeneralizationMonitor, steps: int) -> dict[str, Any]:
    """The record of a finished run."""
    last, best = monitor.rows[-1], monitor.rows[monitor.best or 0]
    examples = steps * monitor.problems_per_step
    training_time = max(monitor.wall_time - monitor.evaluation_time, 1e-9)
    in_play = last.get("curriculum/difficulty")
    batch_cost = known_multiply_adds(run.config.model, learner, built.data) * learner.procedure.measure.passes
    return {
        "solved": {split: _solved(split, monitor, last, best) for split in _SPLITS},
        "loss": {split: last.get(f"loss/{split}") for split in ("train", *_SPLITS)},
        "token_accuracy": {split: last.get(f"token_accuracy/{split}") for split in _SPLITS},
        "solved_by_difficulty": _by_difficulty(monitor, "rate"),
        "interval_by_difficulty": _by_difficulty(monitor, "interval"),
        "n_by_difficulty": _by_difficulty(monitor, "n"),
        "gap": {kind: last.get(f"gap/{kind}") for kind in ("solved", "loss")},
        "events": events(monitor.rows),
        "events_censored_at": int(last["step"]),
        "lowest_val_after_t_gen": lowest_val_after_t_gen(monitor.rows),
        "steps": steps,
        "best_step": int(best["step"]),
        "examples": examples,
        "parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
        "compute_per_problem": {split: last.get(f"compute/{split}") for split in _SPLITS},
        "train_multiply_adds": batch_cost * steps * run.config.trainer.accumulate_grad_batches,
        "examples_per_s": round(examples / training_time, 1),
        "wall_time_s": round(monitor.wall_time, 2),
        "evaluation_time_s": round(monitor.evaluation_time, 2),
        "qualities": {split: found["qualities"] for split, found in monitor.latest.items()},
        "baselines": baselines(built.data),
        **({} if in_play is None else {"curriculum": {"difficulty": in_play}}),
    }


def _by_difficulty(monitor: GeneralizationMonitor, what: str) -> dict[str, dict[str, Any]]:
    return {
        split: {level: rate[what] for level, rate in found["by_difficulty"].items()}
        for split, found in monitor.latest.items()
    }


def _solved(split: str, monitor: GeneralizationMonitor, last: Any, best: Any) -> dict[str, Any] | None:
    if split not in monitor.latest:
        return None
    name, found = f"solved/{split}", monitor.latest[split]
    return {"final": last[name], "best": best[name], "n": found["n"], "interval": found["interval"]}


def baselines(data: Any) -> dict[str, Any]:
    """What knowing no problem is worth: always giving one answer, the most frequent in seen at that difficulty, or
    in all of seen where it does not hold the difficulty.

    ``majority`` is the mean over the difficulties of val; ``majority_by_difficulty`` has val and ood.
    """
    if not hasattr(data, "splits"):
        return {"majority": None, "majority_by_difficulty": None}
    task, seen = data.task, data.splits.evaluation("seen")
    rates: dict[str, dict[str, float]] = {}
    for split in ("val", "ood"):
        problems = data.splits.evaluation(split)
        rates[split] = {
            str(level): _constant(task, seen, problems.select(problems.difficulty == level), level)
            for level in np.unique(problems.difficulty)
        }
    of_val = list(rates["val"].values())
    return {"majority": sum(of_val) / len(of_val) if of_val else None, "majority_by_difficulty": rates}


def _constant(task: Any, seen: Examples, problems: Examples, level: int) -> float:
    """Share of ``problems`` that one constant answer solves."""
    known = seen.select(seen.difficulty == level)
    known = known if len(known) else seen
    _, first, counts = np.unique(known.answer, axis=0, return_index=True, return_counts=True)
    common = known.select(np.repeat(first[counts.argmax()], len(problems)))
    if known.values is not None and common.values is not None:  # a constant number: the median
        median = np.median(known.values.answer, axis=0)
        numbers = np.broadcast_to(median, common.answer.shape)
        common = dataclasses.replace(common, values=common.values._replace(answer=numbers))
    return float(solved_by(task, problems, common).mean())
