"""How long it takes to plan a sweep of ten thousand runs and to look at it, and what a second worker is worth.

Wall time of whole processes, medians:

    factorexe sweep plan FILE      goal <= 20 s: 25 networks, 5 training sets, 16 optimizers, 5 seeds
    factorexe sweep status DIR     goal <= 2 s: made-up files of finished, failed and begun runs

Runs that two workers finish in the time in which one finishes one, from the first result to the last, torch having been
imported before; one and two by turns, with a thread each:

    factorexe sweep run FILE       goal >= 1.85 on two processors

    python benchmarks/sweeps.py [repetitions]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from quiet import warn_if_busy
from startup import seconds

from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.plan import Plan, Planned, save

RUNS, STATUS_GOAL, PLAN_GOAL = 10_000, 2.0, 20.0
SHORT_RUNS, WORKERS_GOAL = 40, 1.85
MANY = """
preset: tiny
base: {task: multiplication, task.digits: 1}
grid:
  model.width: [16, 32, 48, 64, 80]
  model.steps: [1, 2, 3, 4, 6]
  data.train_size: [10, 15, 20, 25, 30]
  optim.optimizer.lr: [1e-4, 3e-4, 1e-3, 3e-3]
  optim.optimizer.weight_decay: [0.0, 0.1, 0.3, 1.0]
seeds: 5
"""
SHORT = f"""
preset: tiny
base: {{task: multiplication, task.digits: 1, trainer: {{max_steps: 50, val_check_interval: 50}}}}
seeds: {SHORT_RUNS}
"""
_LEFT = ("finished",) * 7 + ("failed", "begun", "waiting")  # what becomes of every ten runs


def sweep_of(folder: Path, count: int) -> Path:
    """The directory of a sweep that looks as if seven of ten runs were finished."""
    planned = tuple(_planned(number) for number in range(count))
    directory = SweepDirectory(folder / "sweep")
    directory.path.mkdir()
    plan = Plan("sweep", folder / "runs", None, {"task": "addition"}, ("model.width", "seed"), planned)
    save(plan, directory)
    for number, run in enumerate(planned):
        _leave(plan.directory(run), _LEFT[number % len(_LEFT)])
    return directory.path


def _planned(number: int) -> Planned:
    model = ("transformer", "universal-transformer")[number % 2]
    values = {"model": model, "model.width": 32 * (1 + number // 100), "seed": number % 100}
    return Planned(f"{number:012x}", f"addition/{model}/{number:012x}", values)


def _leave(path: Path, state: str) -> None:
    if state == "waiting":
        return
    (path / "checkpoints").mkdir(parents=True)
    files = {"config.yaml": "task: addition\n", "run.json": "{}", "metrics.csv": "step\n"}
    said = {"state": "stopped" if state == "begun" else state, "attempts": 1, "seconds": 5.0}
    if state == "failed":
        said |= {"error": "ValueError: loss is nan", "traceback": "Traceback (most recent call last):\n" * 20}
    if state == "finished":
        files["result.json"] = json.dumps({"steps": 100, "samples": ["x" * 100] * 20})
    files["status.json"] = json.dumps(said)
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")


def status(repetitions: int) -> None:
    """Measure `sweep status`."""
    with tempfile.TemporaryDirectory() as folder:
        directory = sweep_of(Path(folder), RUNS)
        times = [seconds(["-m", "factorexe", "sweep", "status", str(directory)]) for _ in range(repetitions)]
    _judge("status", times, STATUS_GOAL)


def plan(repetitions: int) -> None:
    """Measure `sweep plan`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "many.yaml"
        file.write_text(MANY, encoding="utf-8")
        places = ["--dir", f"{folder}/sweep", "--runs", f"{folder}/runs"]
        times = [seconds(["-m", "factorexe", "sweep", "plan", str(file), *places]) for _ in range(repetitions)]
    _judge("plan", times, PLAN_GOAL)


def _judge(verb: str, times: list[float], goal: float) -> None:
    median = statistics.median(times)
    print(f"{median:.3f} s  ({min(times):.3f} to {max(times):.3f})  factorexe sweep {verb}, {RUNS:,} runs")
    print(f"{'PASS' if median <= goal else 'MISS'}  {verb} of {RUNS:,} runs: {median:.3f} s, goal <= {goal}")


def workers(repetitions: int) -> None:
    """Measure `sweep run` with one worker and with two."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repetitions):
        for count, found in rates.items():
            found.append(_runs_per_second(count))
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    ratio = statistics.median(ratios)
    for count, found in rates.items():
        print(f"{statistics.median(found):.2f} runs/s with {count} workers")
    shown = ", ".join(f"{one:.2f}" for one in ratios)
    print(f"{'PASS' if ratio >= WORKERS_GOAL else 'MISS'}  two workers: {ratio:.2f}x ({shown}), goal >= {WORKERS_GOAL}")


def _runs_per_second(count: int) -> float:
    """From the first result to the last."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "short.yaml"
        file.write_text(SHORT, encoding="utf-8")
        places = ["--dir", f"{folder}/sweep", "--runs", f"{folder}/runs"]
        command = [sys.executable, "-m", "factorexe", "sweep", "run", str(file), *places]
        subprocess.run([*command, "--workers", str(count), "--threads", "1"], check=True, capture_output=True)
        written = sorted(os.stat(result).st_mtime for result in Path(folder).glob("runs/*/*/*/result.json"))
    return (len(written) - count) / (written[-1] - written[count - 1])


if __name__ == "__main__":
    warn_if_busy()
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    status(times)
    plan(min(times, 3))
    workers(min(times, 3))
