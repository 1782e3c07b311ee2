"""What a run found, as one record.

result.json holds the final and best solved rate of each split, losses, gaps, the event steps, and what it all
cost.  ``best`` is the evaluation with the highest solved rate on val (then the lowest val loss), for every
split alike: val chose it.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from factorexe.callbacks.generalization import GeneralizationMonitor
from factorexe.metrics import events

_SPLITS = ("seen", "val", "ood")


def result_of(run: Any, built: Any, learner: Any, monitor: GeneralizationMonitor, steps: int) -> dict[str, Any]:
    """The record of a finished run."""
    last, best = monitor.rows[-1], monitor.rows[monitor.best or 0]
    examples = steps * monitor.problems_per_step
    training_time = max(monitor.wall_time - monitor.evaluation_time, 1e-9)
    return {
        "solved": {split: _solved(split, monitor, last, best) for split in _SPLITS},
        "loss": {split: last.get(f"loss/{split}") for split in ("train", *_SPLITS)},
        "token_accuracy": {split: last.get(f"token_accuracy/{split}") for split in _SPLITS},
        "solved_by_difficulty": _by_difficulty(monitor, "rate"),
        "interval_by_difficulty": _by_difficulty(monitor, "interval"),
        "n_by_difficulty": _by_difficulty(monitor, "n"),
        "gap": {kind: last.get(f"gap/{kind}") for kind in ("solved", "loss")},
        "events": events(monitor.rows),
        "steps": steps,
        "best_step": int(best["step"]),
        "examples": examples,
        "parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
        "compute_per_problem": {split: last.get(f"compute/{split}") for split in _SPLITS},
        "train_multiply_adds": multiply_adds(learner, built.data) * steps * run.config.trainer.accumulate_grad_batches,
        "examples_per_s": round(examples / training_time, 1),
        "wall_time_s": round(monitor.wall_time, 2),
        "evaluation_time_s": round(monitor.evaluation_time, 2),
        "baselines": {"majority": majority(built.data)},
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


def multiply_adds(learner: Any, data: Any) -> int:
    """Multiply-adds of one micro-batch, forward and backward, as counted by torch."""
    batch = data.batch("train", 0).to(learner.device)
    parameters = [p for p in learner.parameters() if p.requires_grad]
    level = logging.root.manager.disable
    stance = torch.compiler.set_stance("force_eager")  # what is compiled is not counted
    logging.disable(logging.WARNING)  # the counter warns of every operation it has no formula for
    try:
        with stance, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            loss = learner.objective.loss(learner.model, batch)
            torch.autograd.grad(loss.total, parameters, allow_unused=True)
    finally:
        logging.disable(level)
    return int(counter.get_total_flops()) // 2


def majority(data: Any) -> float | None:
    """Share of val solved by the most frequent answer of seen: what knowing no problem at all is worth."""
    if not hasattr(data, "splits"):
        return None
    seen, val = data.splits.evaluation("seen"), data.splits.evaluation("val")
    rates = []
    for level in np.unique(val.difficulty):
        answers, counts = np.unique(seen.answer[seen.difficulty == level], axis=0, return_counts=True)
        if len(answers):
            problems = val.select(val.difficulty == level)
            common = np.repeat(answers[[counts.argmax()]], len(problems), axis=0)
            rates.append(float(data.task.solved(problems, common).mean()))
    return sum(rates) / len(rates) if rates else None
