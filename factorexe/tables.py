"""Records as tables: what a run found, and what its weights score later.

split      solved  95 % interval      at best step 1125    problems     loss
-------  --------  ---------------  -------------------  ----------  -------
seen        1.000  0.996 to 1.000                 1.000        1000   0.0000
val         0.996  0.990 to 0.998                 0.997        1000   0.0005
"""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

SPLITS = ("seen", "val", "ood", "test", "ood_test")


def tables(result: dict[str, Any]) -> str:
    """The record as a reader wants it: splits, events, cost."""
    return "\n\n".join([_split_table(result), _event_line(result), _cost_table(result)])


def _split_table(result: dict[str, Any]) -> str:
    rows = []
    for split, solved in result["solved"].items():
        if solved:
            low, high = solved["interval"]
            loss = result["loss"][split]
            rows.append([split, solved["final"], f"{low:.3f} to {high:.3f}", solved["best"], solved["n"], loss])
    head = ["split", "solved", "95 % interval", f"at best step {result['best_step']}", "problems", "loss"]
    return tabulate(rows, head, floatfmt=(".0f", ".3f", "", ".3f", "d", ".4f"))


def _event_line(result: dict[str, Any]) -> str:
    def step(event: str) -> str:
        reached = result["events"][event]
        return f"not reached by step {result['steps']}" if reached is None else f"step {reached}"

    gap, loss = result["gap"]["solved"], result["gap"]["loss"]
    lines = [
        f"memorized (t_mem, seen >= 0.99)     {step('t_mem')}",
        f"generalized (t_gen, val >= 0.99)    {step('t_gen')}",
        f"out of distribution (t_ood)         {step('t_ood')}",
    ]
    if gap is not None:
        lines.append(f"gap, seen to val                    {gap:+.3f} solved, {loss:+.4f} loss")
    lowest = result.get("lowest_val_after_t_gen")
    if lowest is not None and lowest < 0.95:  # a late collapse
        lines.append(f"lowest val after t_gen              {lowest:.3f}")
    return "\n".join(lines)


def _cost_table(result: dict[str, Any]) -> str:
    share = result["evaluation_time_s"] / max(result["wall_time_s"], 1e-9)
    compute, majority = result["compute_per_problem"]["val"], result["baselines"]["majority"]
    rows = [
        ["steps", f"{result['steps']:,}"],
        ["parameters", f"{result['parameters']:,}"],
        ["compute per problem", "-" if compute is None else f"{compute:.1f} block applications"],
        [
            "training",
            f"{result['train_multiply_adds']:.3g} multiply-adds, {result['examples_per_s']:,.0f} examples/s",
        ],
        ["wall time", f"{result['wall_time_s']:.1f} s, {100 * share:.0f} % of it evaluation"],
        ["majority baseline on val", "-" if majority is None else f"{majority:.3f}"],
    ]
    rows += [[name, value] for name, value in _qualities(result)]
    return tabulate(rows, tablefmt="plain")


def _qualities(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What the task says of its answers beside solved, a line for each name."""
    by_split = {split: numbers for split, numbers in (record.get("qualities") or {}).items() if numbers}
    names = dict.fromkeys(name for numbers in by_split.values() for name in numbers)
    return [
        (name, "  ".join(f"{split} {numbers[name]:.4g}" for split, numbers in by_split.items() if name in numbers))
        for name in names
    ]


def predictions(result: dict[str, Any], count: int = 8) -> str:
    """Some answers of the last evaluation, wrong ones first."""
    samples = sorted(result["samples"], key=lambda sample: sample["right"])
    per_split = max(1, count // max(1, len({s["split"] for s in samples})))
    shown = [s for split in SPLITS for s in [s for s in samples if s["split"] == split][:per_split]]
    rows = [
        [s["split"], s["problem"], s["prediction"], s["answer"], "right" if s["right"] else "WRONG"]
        for s in sorted(shown, key=lambda sample: sample["right"])
    ]
    return tabulate(rows, ["split", "problem", "answered", "right answer", ""], disable_numparse=True)


def heading(found: Any) -> str:
    """Which weights were used, and what was changed: in lines that cannot be missed."""
    lines = [f"{found.run.path}: {found.checkpoint} weights, of step {found.step}"]
    for path, (before, now) in found.changed.items():
        lines.append(f"CHANGED  {path}: {_plain(before)} in training, {_plain(now)} here")
    if any(path.startswith("task.") for path in found.changed):
        lines.append("         no problem counts as seen; those that the run trained on are left out")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return "not given" if value is None else str(value)


def score_tables(record: dict[str, Any]) -> str:
    """Scores by split, and by difficulty where there are several."""
    rows = [_scored(record, split) for split, solved in record["solved"].items() if solved]
    head = ["split", "solved", "95 % interval", "problems", "loss", "compute"]
    tables = [tabulate(rows, head, floatfmt=("", ".3f", "", "d", ".4f", ".1f"))]
    levels = {split: rates for split, rates in record["solved_by_difficulty"].items() if rates}
    if any(len(rates) > 1 for rates in levels.values()):
        by_level = [
            [split, int(level), rate, _interval(record["interval_by_difficulty"][split][level])]
            for split, rates in levels.items()
            for level, rate in rates.items()
        ]
        head = ["split", "difficulty", "solved", "95 % interval"]
        tables.append(tabulate(by_level, head, floatfmt=("", "d", ".3f", "")))
    if qualities := _qualities(record):
        tables.append(tabulate(qualities, tablefmt="plain", disable_numparse=True))
    return "\n\n".join(tables)


def _scored(record: dict[str, Any], split: str) -> list[Any]:
    solved, compute = record["solved"][split], record["compute_per_problem"][split]
    return [split, solved["rate"], _interval(solved["interval"]), solved["n"], record["loss"][split], compute]


def _interval(bounds: Any) -> str:
    low, high = bounds
    return f"{low:.3f} to {high:.3f}"
