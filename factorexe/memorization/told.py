"""The story of a run in words, in tables, and as a record.

Memorized at step 625, generalized at step 1,000 (375 later).
After that val was never below 0.987 (step 1,400); solved at the last evaluation: seen 1.000, val 0.995.
"""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from factorexe.memorization.story import Story, at_events, curve, latest
from factorexe.metrics import EVENTS, REACHED

COLLAPSED = 0.95  # val below it after t_gen is a late collapse
_MEANING = {"t_mem": "memorized", "t_gen": "generalized", "t_ood": "out of distribution"}


def words(found: Story) -> tuple[str, str]:
    """Two sentences: what was reached, and how it ended."""
    return _reached(found), _ended(found)


def as_json(found: Story) -> dict[str, Any]:
    """The story as a record: an event that was not reached is ``X.at_least``, one whose split is not scored null."""
    told: dict[str, Any] = {}
    for event in EVENTS:
        reached = found.events[event]
        known = reached is not None or not found.scored(event)
        told[event if known else f"{event}.at_least"] = reached if known else found.step
    memorized = found.events["t_mem"]
    if memorized is not None and "t_gen.at_least" in told:
        told["delay.at_least"] = found.step - memorized
    else:
        told["delay"] = found.events["delay"]
    lowest = None if found.lowest is None else dict(zip(("step", "solved"), found.lowest, strict=True))
    return {
        "run": str(found.history.path),
        "step": found.step,
        "finished": found.finished,
        "words": list(words(found)),
        "events": told,
        "lowest_val_after_t_gen": lowest,
        "osgr_val_until_t_mem": found.early_ratio,
        "numbers": at_events(found),
    }


def written(found: Story) -> str:
    """The sentences, the events, and the numbers at each of them."""
    where = "finished" if found.finished else "not finished"
    head = f"{found.history.path}, step {found.step:,}, {where}"
    return "\n\n".join(["\n".join([head, *words(found)]), _event_table(found), _number_table(found)])


def _event_table(found: Story) -> str:
    rows = []
    for event, split in EVENTS.items():
        reached = found.events[event]
        told = f"step {reached:,}" if reached is not None else f"not reached by step {found.step:,}"
        told = told if found.scored(event) else f"{split} is not scored"
        rows.append([f"{_MEANING[event]} ({event}, {split} >= {REACHED})", told])
    if found.events["delay"] is not None:
        rows.append(["from t_mem to t_gen", f"{found.events['delay']:,} steps"])
    if found.lowest is not None:
        rows.append(["lowest val after t_gen", f"{found.lowest[1]:.3f} at step {found.lowest[0]:,}"])
    if found.early_ratio is not None:
        rows.append(["osgr/val of the steps up to t_mem", f"{found.early_ratio:.3f}"])
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _number_table(found: Story) -> str:
    numbers = at_events(found)
    places = [event for event in EVENTS if found.events[event] is not None]
    rows = [
        [name, *("-" if at.get(place) is None else f"{at[place]:.4g}" for place in (*places, "last"))]
        for name, at in numbers.items()
    ]
    head = ["as last measured", *(f"at {place}" for place in places), "at the end"]
    return tabulate(rows, head, disable_numparse=True, colalign=("left", *["right"] * (len(head) - 1)))


def _reached(found: Story) -> str:
    memorized, generalized, delay = (found.events[name] for name in ("t_mem", "t_gen", "delay"))
    by = f"by step {found.step:,}"
    if delay is not None:
        if delay == 0:
            return f"Memorized and generalized at the same evaluation, step {memorized:,}."
        if delay > 0:
            return f"Memorized at step {memorized:,}, generalized at step {generalized:,} ({delay:,} later)."
        return f"Generalized at step {generalized:,}, {-delay:,} before seen was solved at step {memorized:,}."
    if memorized is not None:
        other = f"not generalized {by}" if found.scored("t_gen") else "and val is not scored"
        return f"Memorized at step {memorized:,}, {other}."
    if generalized is not None:
        return f"Generalized at step {generalized:,}; seen was not solved {by}."
    return f"Neither memorized nor generalized {by}."


def _ended(found: Story) -> str:
    rates = {split: latest(curve(found.history, f"solved/{split}"), found.step) for split in EVENTS.values()}
    end = ", ".join(f"{split} {rate:.3f}" for split, rate in rates.items() if rate is not None)
    end = f"solved at the last evaluation: {end}"
    if found.lowest is None:
        return f"{end[0].upper()}{end[1:]}."
    step, lowest = found.lowest
    if lowest < COLLAPSED:
        return f"After that val fell to {lowest:.3f} at step {step:,}, a late collapse; {end}."
    return f"After that val was never below {lowest:.3f} (step {step:,}); {end}."
