"""``factorexe doctor``: is everything here that is needed?

One line for each thing looked at, ``ok``, ``note`` (fine, but worth knowing) or ``FAILED``; the exit code is 1 if
anything failed.  What is broken hides nothing else, not even torch itself::

    ok      torch 2.13.0
    note    no cuda and no mps: training runs on the cpu
    FAILED  tasks: 'plus' (theirs:Plus, from their-package 1.0) cannot be loaded: ModuleNotFoundError: ...
    ok      fit: 2 steps of multiplication, preset tiny, in 1.4 s
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from factorexe import __version__
from factorexe.cli.command import DONE, FAILED

OK, NOTE, WRONG = "ok", "note", "FAILED"
LIBRARIES = ("torch", "lightning", "torchmetrics", "tensorboard", "pydantic", "numpy", "matplotlib")
Lines = Iterator[tuple[str, str]]  # what is the matter, and with what


def add(verbs: Any) -> None:
    """``doctor``."""
    doctor = verbs.add_parser("doctor", help="look at versions, devices and plug-ins, and train two steps")
    doctor.set_defaults(act=_doctor)


def _doctor(given: argparse.Namespace, rest: Sequence[str]) -> int:
    failed = False
    for check in (_versions, _devices, _threads, _bfloat16, _compiler, _plugins, _fit):
        for found, line in _survived(check):
            print(f"{found:<8}{line}", flush=True)
            failed |= found == WRONG
    return FAILED if failed else DONE


def _survived(check: Callable[[], Lines]) -> list[tuple[str, str]]:
    """The lines of a check, and its error as the last of them; only they reach stdout."""
    lines = []
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for line in check():
                lines.append(line)  # noqa: PERF402 those before an error are kept
    except (Exception, SystemExit) as error:
        lines.append((WRONG, f"{check.__name__.removeprefix('_')}: {_said(error)}"))
    return lines


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _versions() -> Lines:
    from packaging.requirements import Requirement

    yield OK, f"factorexe {__version__}"
    yield OK, f"python {platform.python_version()}"
    needs = {need.name: need.specifier for need in map(Requirement, requires("factorexe") or [])}
    for name in LIBRARIES:
        wanted = needs[name]
        try:
            here = version(name)
        except PackageNotFoundError:
            yield WRONG, f"{name} is not installed: pip install '{name}{wanted}'"
            continue
        fits = wanted.contains(here, prereleases=True)
        yield (OK, f"{name} {here}") if fits else (WRONG, f"{name} {here}: pip install '{name}{wanted}'")


def _devices() -> Lines:
    import torch

    yield OK, f"cpu, {_usable_cores()} usable cores"
    for number in range(torch.cuda.device_count()):
        yield OK, f"cuda {number}, {torch.cuda.get_device_name(number)}"
    if torch.backends.mps.is_available():
        yield OK, "mps"
    elif not torch.cuda.is_available():
        yield NOTE, "no cuda and no mps: training runs on the cpu"


def _usable_cores() -> int:
    """Those that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _threads() -> Lines:
    import torch

    from factorexe.threads import default_threads

    told = os.environ.get("OMP_NUM_THREADS")
    line = f"torch threads {torch.get_num_threads()}" + (f" (OMP_NUM_THREADS is {told})" if told else "")
    yield OK, f"{line}; a run takes {default_threads()} unless --trainer.threads says otherwise"


def _bfloat16() -> Lines:
    import torch

    try:
        native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    except (AttributeError, RuntimeError):  # built without it, as on some systems
        yield NOTE, "bfloat16: this torch cannot tell whether the processor has arithmetic for it"
        return
    slow = "bfloat16: the processor has no arithmetic for it; --trainer.precision bf16-mixed will be slow"
    yield (OK, "bfloat16 arithmetic in the processor") if native else (NOTE, slow)


def _compiler() -> Lines:
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name = os.environ.get("CXX", usual)
    found, header = shutil.which(name), Path(sysconfig.get_path("include"), "Python.h")
    if not found:
        yield NOTE, f"torch.compile: no C++ compiler ({name} was not found; CXX names another)"
    elif not header.exists():
        yield NOTE, f"torch.compile: compiler {found}, but no {header} (install Python's development files)"
    else:
        yield OK, f"torch.compile has a C++ compiler, {found}"


def _plugins() -> Lines:
    from factorexe.registry import BASES, PluginError, Registry

    loaded = 0
    for group in BASES:
        registry = Registry(group)
        for name, origin in registry.listing():
            try:
                registry.get(name)
            except (Exception, SystemExit) as error:
                known = isinstance(error, PluginError)
                yield WRONG, f"{group}: {error if known else f'{name} from {origin}: {_said(error)}'}"
            else:
                loaded += 1
    yield OK, f"{loaded} plug-ins"


def _fit() -> Lines:
    from factorexe.run import fit

    started = time.perf_counter()
    asked = {"task": "multiplication", "trainer": {"max_steps": 2, "enable_progress_bar": False}}
    with tempfile.TemporaryDirectory() as runs:
        fit(asked, preset="tiny", runs=runs)
    yield OK, f"fit: 2 steps of multiplication, preset tiny, in {time.perf_counter() - started:.1f} s"
