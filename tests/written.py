"""Run directories that were never trained: just the files that a reader of runs looks at."""

import json

import yaml

from factorexe.metrics import as_csv

OPTIONS = {
    "task": {"name": "addition", "digits": 3},
    "model": {"name": "transformer", "width": 128, "layers": 2},
    "objective": {"name": "chain", "keep_steps": 1},
    "optim": {"optimizer": {"name": "adamw", "lr": 0.003}, "horizon": 500},
    "data": {"train_size": 2000, "mixture": None, "num_workers": 0},
    "trainer": {"max_steps": 500, "accelerator": "auto", "threads": None, "enable_progress_bar": True},
    "seed": 0,
}


def row(step, *, seen=0.5, val=0.5, ood=0.0, loss=1.0):
    """One evaluation: trained on difficulties 2 and 3, beyond it 4 and 5."""
    solved = {"seen": seen, "val": val, "ood": ood}
    levels = {"seen": (2, 3), "val": (2, 3), "ood": (4, 5)}
    return {
        "step": step,
        **{f"loss/{split}": loss for split in solved},
        **{f"solved/{split}": rate for split, rate in solved.items()},
        **{f"solved_by_difficulty/{split}/{level}": solved[split] for split in solved for level in levels[split]},
    }


# seen is reached at step 200, val at step 300, ood never; at step 500 no problem of seen is left
ROWS = [
    row(100, seen=0.5, val=0.25, loss=2.0),
    row(200, seen=0.99, val=0.9),
    row(300, seen=0.995, val=0.99, loss=0.5),
    row(400, seen=0.995, val=0.99),
    row(500, seen=1.0, val=0.99, ood=0.2),
]


def result(steps=500):
    """What a plot reads of result.json: 95 % intervals of seen and val, none of ood."""
    levels = {"seen": {"2": [0.98, 1.0], "3": [0.97, 1.0]}, "val": {"2": [0.96, 1.0], "3": [0.95, 0.995]}}
    return {"steps": steps, "interval_by_difficulty": levels}


def changed(**options):
    """The options above with some changed; ``__`` stands for a dot, a dictionary replaces a whole block."""
    tree = json.loads(json.dumps(OPTIONS))
    for path, value in options.items():
        *blocks, name = path.split("__")
        block = tree
        for inner in blocks:
            block = block[inner]
        block[name] = value
    return tree


def write_run(path, *, options=OPTIONS, rows=ROWS, record=None):
    """Write the files of a run, unfinished unless there is a ``record``; returns its directory."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(options, sort_keys=False))
    if rows:
        (path / "metrics.csv").write_text(as_csv(rows))
    if record:
        (path / "result.json").write_text(json.dumps(record))
    return path
