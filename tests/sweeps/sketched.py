"""Sweeps that were never computed: a plan, and the files that a reader of results looks at."""

import json
from typing import Any

from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.plan import Plan, Planned, save


def result(
    val=0.9, *, seen=1.0, ood: float | None = 0.0, t_mem: int | None = 100, t_gen: int | None = None, steps=500, **more
) -> dict[str, Any]:
    """A result.json, shortened; ``ood=None`` for a task without."""
    solved = {"seen": seen, "val": val, "ood": ood}
    delay = None if t_mem is None or t_gen is None else t_gen - t_mem
    return {
        "solved": {
            split: None if rate is None else {"final": rate, "best": rate, "n": 1000, "interval": [0.0, 1.0]}
            for split, rate in solved.items()
        },
        "loss": {"train": 0.5, "seen": 0.25, "val": 0.75, "ood": None if ood is None else 8.0},
        "gap": {"solved": seen - val, "loss": 0.5},
        "events": {"t_mem": t_mem, "t_gen": t_gen, "t_ood": None, "delay": delay},
        "steps": steps,
        "parameters": 1000,
        "train_multiply_adds": 2_000_000,
        "wall_time_s": 1.5,
        "samples": [{"split": "val", "right": True}],
        **more,
    }


def sketch(tmp_path, runs, *, name="widths", question="What does width buy?") -> SweepDirectory:
    """Write a sweep of ``runs``, pairs of what tells one from the others and of what it left behind.

    That is a result, ``{"state": ...}`` for a status.json, "begun" for a run.json alone, None for nothing.
    """
    directory = SweepDirectory(tmp_path / "sweeps" / name)
    directory.path.mkdir(parents=True)
    directory.file.write_text(f"# {question}\nbase: {{task: addition}}\n")
    planned = tuple(
        Planned(f"{number:012x}", f"addition/transformer/{number:012x}", values)
        for number, (values, _) in enumerate(runs)
    )
    names = tuple(dict.fromkeys(option for values, _ in runs for option in values))
    plan = Plan(name, tmp_path / "runs", None, {"task": "addition"}, names, planned)
    save(plan, directory)
    for one, (_, left) in zip(planned, runs, strict=True):
        if left is not None:
            leave(plan.directory(one), left)
    return directory


def leave(path, left):
    """What a run left behind."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "run.json").write_text(json.dumps({"id": path.name}))
    if left != "begun":
        (path / ("status.json" if "state" in left else "result.json")).write_text(json.dumps(left))
