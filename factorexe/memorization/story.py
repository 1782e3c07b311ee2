"""When a run knew its problems by heart, when it had the rule, and what was measured meanwhile.

    found = story("runs/modular/universal-transformer/9295f290baf3")
    found.events            {"t_mem": 625, "t_gen": 1000, "t_ood": None, "delay": 375}
    found.lowest            (1400, 0.987): step and solved of val where it was lowest from t_gen on
    found.panels            solved, planted wrong answers, ...: what there are numbers of

It is read from metrics.csv and result.json alone, whatever the run was watched with and however far it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.history import History, read
from factorexe.metrics import EVENTS, REACHED, events
from factorexe.rundir import RunDirectory, read_json


class Panel(NamedTuple):
    """Numbers that are told together."""

    title: str
    columns: Mapping[str, str]  # column of metrics.csv -> what it is
    level: float | None = None  # worth a line
    limits: tuple[float, float] | None = None  # beyond them nothing is drawn
    log: bool = False


PANELS = (
    Panel("solved", {"solved/seen": "seen", "solved/val": "val", "solved/ood": "ood"}, REACHED),
    Panel(
        "what a step gains elsewhere, over what it gains on its batch",
        {"osgr/seen": "seen", "osgr/val": "val", "osgr/ood": "ood", "osgr/mem_gap": "gap, seen to val, over seen"},
        1.0,
        (-1.0, 2.0),
    ),
    Panel("planted wrong answers", {"canary/acc_wrong": "given as planted", "canary/acc_true": "answered by the rule"}),
    Panel("norm of the weights", {"weight/norm": "all weights"}),
    Panel("logits", {"logit/scale": "scale", "logit/margin": "margin"}),
    Panel(
        "loss, by waves",
        {"fourier/excluded_loss": "without key frequencies, seen", "fourier/restricted_loss": "with them alone, all"},
        log=True,
    ),
    Panel("hidden states", {"repr/spectral_entropy": "spectral entropy"}),
)


class Story(NamedTuple):
    """What a run's files tell."""

    history: History
    finished: bool
    step: int  # of the last evaluation
    events: Mapping[str, int | None]  # t_mem, t_gen, t_ood and delay
    lowest: tuple[int, float] | None  # step and solved of val where it was lowest from t_gen on
    early_ratio: float | None  # what steps up to t_mem gained on val, over what they gained on their batches; if known

    @property
    def panels(self) -> list[tuple[Panel, dict[str, dict[int, float]]]]:
        """Those that the run has numbers for, with curves (step -> number) of each column that is there."""
        found = [(panel, {name: curve(self.history, name) for name in panel.columns}) for panel in PANELS]
        found = [(panel, {name: values for name, values in curves.items() if values}) for panel, curves in found]
        return [(panel, curves) for panel, curves in found if curves]

    def scored(self, event: str) -> bool:
        """Whether the split of an event was ever scored."""
        return bool(curve(self.history, f"solved/{EVENTS[event]}"))


def story(path: str | Path) -> Story:
    """The story in a run's directory.

    Raises:
        RunError: it is not a run, has not been evaluated yet, or a file of it is damaged.
    """
    history, directory = read(path), RunDirectory(path)
    step = int(history.rows[-1]["step"])
    result = read_json(directory.result) if directory.result.exists() else {}
    finished = result.get("steps") == step
    found = events(history.rows)
    since = found["t_gen"]
    val = [] if since is None else [(rate, at) for at, rate in curve(history, "solved/val").items() if at >= since]
    lowest = (min(val)[1], min(val)[0]) if val else None
    named = {name: found[name] for name in (*EVENTS, "delay")}
    return Story(history, finished, step, named, lowest, _early_ratio(result) if finished else None)


def at_events(found: Story) -> dict[str, dict[str, float | None]]:
    """Column -> event, or ``last`` -> the latest number up to there, if there is any by then."""
    reached = {event: step for event in EVENTS if (step := found.events[event]) is not None} | {"last": found.step}
    return {
        name: {event: latest(values, step) for event, step in reached.items()}
        for _, curves in found.panels
        for name, values in curves.items()
    }


def latest(numbers: Mapping[int, float], step: int) -> float | None:
    """What was measured last, at ``step`` or before."""
    return next((numbers[at] for at in reversed(list(numbers)) if at <= step), None)


def curve(history: History, name: str) -> dict[int, float]:
    """Step -> number, where it is finite."""
    return {step: number for step, number in history.curve(name).items() if isfinite(number)}


def _early_ratio(result: Mapping[str, Any]) -> float | None:
    """What the one-step probe left in result.json."""
    block = result.get("one_step_probe")
    ratios = block.get("osgr") if isinstance(block, dict) else None
    ratio = ratios.get("val_until_t_mem") if isinstance(ratios, dict) else None
    return float(ratio) if isinstance(ratio, int | float) else None
