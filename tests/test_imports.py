"""Which module may import which: the arrows of the design, and who may import what is heavy."""

import ast
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import factorexe

HOUSE = Path(factorexe.__file__).parent

# What a part may import from the others, at the top of a file or inside a function.  A part is a file or a
# folder directly under factorexe/; within a folder everything may import everything.  ``__init__`` stands for
# the package itself.
MAY_IMPORT = {
    # describing a run: no torch anywhere
    "installed": set(),
    "registry": {"installed"},
    "blocks": set(),
    "choice": {"blocks", "registry"},
    "config": {"blocks", "choice", "registry"},
    "commandline": {"registry"},
    "recipe": {"registry"},
    # problems: no torch anywhere
    "tasks": {"choice"},
    "streams": {"tasks"},
    "kept": {"tasks"},
    "splits": {"kept", "streams", "tasks"},
    "show": {"registry", "splits", "tasks"},
    "cards": {"choice", "registry"},
    "curriculum": {"choice"},
    # networks
    "models": {"choice"},
    "optim": {"choice"},
    "layout": {"tasks"},
    "generation": {"layout", "models"},
    "objectives": {"choice", "generation", "layout", "models"},
    # training
    "data": {"curriculum", "generation", "layout", "splits", "tasks"},
    "scores": set(),
    "micro_step": {"layout", "models", "objectives", "optim"},
    "learner": {"generation", "layout", "micro_step", "models", "objectives", "optim", "scores"},
    "rundir": set(),
    "metrics": set(),
    "callbacks": {"data", "generation", "layout", "metrics", "probes", "rundir", "scores", "tasks"},
    "probes": set(),
    "instruments": {"callbacks", "choice"},
    "arithmetic": {"objectives"},
    "result": {"arithmetic", "callbacks", "metrics", "tasks"},
    "training": {"callbacks", "learner", "result", "rundir", "threads"},
    "run": {
        *(
            "config",
            "contents",
            "data",
            "layout",
            "preflight",
            "record",
            "rundir",
            "splits",
            "threads",
            "training",
            "weights",
        ),
    },
    # the edges
    "preflight": {"config", "micro_step", "optim", "rundir", "splits"},
    "record": {"__init__", "config", "rundir"},
    "weights": {"rundir"},
    "contents": {"config", "rundir", "weights"},
    "threads": set(),
    "tables": set(),
    "labels": set(),
    "history": {"metrics", "rundir"},
    "memorization": {"history", "metrics", "rundir"},
    "plots": {"budgets", "history", "labels", "memorization", "metrics", "sweeps"},
    "evaluation": {
        *("callbacks", "config", "data", "layout", "learner", "run", "rundir", "scores", "tasks", "threads"),
        *("training", "weights"),
    },
    "budgets": {"arithmetic", "config", "evaluation", "labels", "registry", "run", "rundir", "threads", "weights"},
    "sweeps": {
        *("blocks", "callbacks", "config", "labels", "learner", "metrics", "preflight", "recipe", "registry"),
        *("arithmetic", "contents", "run", "rundir", "threads", "training"),
    },
    "testing": {"config", "generation", "layout", "models", "objectives", "registry", "splits", "tasks"},
    "cli": {
        "__init__",
        "blocks",
        "budgets",
        "callbacks",
        "cards",
        "choice",
        "commandline",
        "config",
        "evaluation",
        "history",
        "memorization",
        "plots",
        "recipe",
        "registry",
        "run",
        "rundir",
        "show",
        "sweeps",
        "tables",
        "testing",
        "threads",
    },
    "__main__": {"cli"},
    "__init__": {"budgets", "config", "evaluation", "run", "tasks"},
}
NO_TORCH = (
    "registry",
    "choice",
    "config",
    "commandline",
    "tasks",
    "streams",
    "splits",
    "curriculum",
    "blocks",
    "show",
    "cards",
    "cli",
    "__init__",
    "recipe",
    "metrics",
    "labels",
    "history",
    "instruments",
    "memorization",
    "plots",
)
LOOKS_AT_TORCH = (HOUSE / "cli" / "doctor.py",)  # and at the machine through it, when it runs
LIGHTNING = ("callbacks", "data", "evaluation", "learner", "scores", "training")  # and torchmetrics

FILES = sorted(HOUSE.rglob("*.py"))


def part_of(path):
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported(path):
    """Every module a file imports, ``factorexe.part`` for ours; what only a type checker reads is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            if node.module == "factorexe":
                yield from (f"factorexe.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def our_parts(path):
    for name in imported(path):
        first, *rest = name.split(".")
        if first == "factorexe":
            inside = rest and ((HOUSE / f"{rest[0]}.py").exists() or (HOUSE / rest[0]).is_dir())
            yield rest[0] if inside else "__init__"


def named(paths):
    return [pytest.param(path, id=str(path.relative_to(HOUSE))) for path in paths]


@pytest.mark.parametrize("path", named(FILES))
def test_a_module_imports_only_what_it_may(path):
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} is new: say in MAY_IMPORT what it may import"
    assert set(our_parts(path)) - {part} <= MAY_IMPORT[part]


def test_every_arrow_is_used():
    used = {part: set() for part in MAY_IMPORT}
    for path in FILES:
        used[part_of(path)] |= set(our_parts(path)) - {part_of(path)}
    homes = {home.split(".")[1] for home in factorexe._HOMES.values()}
    used["__init__"] |= homes
    # what the design allows and no line needs yet
    later = {
        ("config", "registry"),
        ("learner", "optim"),
        ("callbacks", "data"),
        ("callbacks", "generation"),
        ("run", "data"),
    }
    unused = {(part, other) for part, others in MAY_IMPORT.items() for other in others - used[part]}
    assert unused <= later


def test_arrows_never_lead_back():
    below = {part: others - {"__init__"} for part, others in MAY_IMPORT.items() if part != "__init__"}
    while below:
        leaves = {part for part, others in below.items() if not others & set(below)}
        assert leaves, f"these import one another: {sorted(below)}"
        below = {part: others for part, others in below.items() if part not in leaves}


def test_tasks_never_import_one_another():
    own = {
        entry.value.partition(":")[0]
        for entry in entry_points(group="factorexe.tasks")
        if entry.dist.name == "factorexe"
    }
    assert len(own) > 10
    for path in (HOUSE / "tasks").glob("*.py"):
        assert not own.intersection(imported(path)), (
            f"{path.name} imports a task; move what both need to a file of its own"
        )


@pytest.mark.parametrize(
    "path",
    named(path for path in FILES if part_of(path) in NO_TORCH and path not in LOOKS_AT_TORCH),
)
def test_what_describes_runs_and_problems_never_names_torch(path):
    heavy = {name for name in imported(path) if name.split(".")[0] in ("torch", "lightning", "torchmetrics")}
    assert not heavy


@pytest.mark.parametrize("path", named(path for path in FILES if part_of(path) not in LIGHTNING))
def test_lightning_is_imported_where_training_happens_and_nowhere_else(path):
    names = {name.split(".")[0] for name in imported(path)}
    assert not names & {"lightning", "pytorch_lightning", "torchmetrics"}


@pytest.mark.parametrize("path", named(path for path in FILES if part_of(path) != "plots"))
def test_matplotlib_is_imported_by_plots_alone(path):
    assert not [name for name in imported(path) if name.startswith("matplotlib")]


@pytest.mark.parametrize(
    "module",
    ["factorexe", "factorexe.cli", "factorexe.config", "factorexe.splits", "factorexe.testing", "factorexe.show"],
)
def test_importing_it_imports_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_can_be_had():
    for name in factorexe.__all__:
        assert getattr(factorexe, name) is not None
    assert set(dir(factorexe)) == set(factorexe.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        factorexe.absent  # noqa: B018
