"""``factorexe doctor``: every line has a verdict, what is broken is named and hides nothing else."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError

import pytest

from factorexe import __version__
from factorexe.cli import doctor, main


@pytest.fixture
def examined(tmp_path, monkeypatch, capsys):
    """Runs doctor in an empty directory, and says what each line found; ``fit=False`` leaves the training out."""
    monkeypatch.chdir(tmp_path)

    def run(fit=False):
        if not fit:
            monkeypatch.setattr(doctor, "_fit", lambda: iter([("ok", "fit left out")]))
        code = main(["doctor"])
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        assert {found for found, _ in lines} <= {"ok", "note", "FAILED"}
        assert code == any(found == "FAILED" for found, _ in lines)
        return lines

    return run


def said(lines, found, part):
    return [line for verdict, line in lines if verdict == found and part in line]


def test_all_is_well_here(examined, tmp_path):
    lines = examined(fit=True)
    assert not said(lines, "FAILED", "")
    assert ["ok", f"factorexe {__version__}"] in lines
    for library in doctor.LIBRARIES:
        assert said(lines, "ok", f"{library} ")
    for part in ("cpu, ", "torch threads ", "plug-ins"):
        assert said(lines, "ok", part)
    for part in ("bfloat16", "torch.compile"):
        assert said(lines, "ok", part) or said(lines, "note", part)
    assert lines[-1][0] == "ok"
    assert "fit: 2 steps of multiplication" in lines[-1][1]
    assert not list(tmp_path.iterdir())


def test_a_broken_plugin_fails_with_its_error_and_hides_nothing(examined, install):
    broken = {"factorexe.tasks": ["minus = their_absent:Minus", "plus = their_broken:Plus"]}
    install("their-package", broken, their_broken="print('loading')\nraise SystemExit('no\\nway')")
    lines = examined()
    (absent, plus) = said(lines, "FAILED", "tasks: ")
    assert "'minus' (their_absent:Minus, from their-package 1.0) cannot be loaded: ModuleNotFoundError" in absent
    assert "cannot be loaded: SystemExit: no way" in plus
    assert said(lines, "ok", "plug-ins")
    assert lines[-1] == ["ok", "fit left out"]


def test_a_torch_that_cannot_be_imported_hides_nothing_else(examined, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    lines = examined()
    assert {line.partition(":")[0] for line in said(lines, "FAILED", "")} == {"devices", "threads", "bfloat16"}
    assert said(lines, "ok", "matplotlib")
    assert lines[-1] == ["ok", "fit left out"]


def test_a_training_that_fails_is_told_in_one_line(examined, monkeypatch):
    def fail(*what, **how):
        raise RuntimeError("the device\nis gone")

    monkeypatch.setattr("factorexe.run.fit", fail)
    assert examined(fit=True)[-1] == ["FAILED", "fit: RuntimeError: the device is gone"]


def test_a_library_that_is_missing_or_unfit_fails(examined, monkeypatch):
    def version(name):
        if name == "matplotlib":
            raise PackageNotFoundError(name)
        return "2.6.2" if name == "lightning" else "1000.0"

    monkeypatch.setattr(doctor, "version", version)
    lines = examined()
    assert said(lines, "FAILED", "matplotlib is not installed: pip install 'matplotlib>=3.8'")
    assert said(lines, "FAILED", "lightning 2.6.2: pip install 'lightning")
    assert said(lines, "ok", "numpy 1000.0")


@pytest.mark.parametrize(
    ("answer", "found", "part"),
    [(True, "ok", "bfloat16 arithmetic"), (False, "note", "will be slow"), (None, "note", "cannot tell")],
)
def test_bfloat16_is_told_as_far_as_torch_knows(examined, monkeypatch, answer, found, part):
    import torch

    def supported():
        if answer is None:
            raise AttributeError("_is_mkldnn_bf16_supported")
        return answer

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", supported)
    assert said(examined(), found, part)


def test_without_a_compiler_there_is_a_note(examined, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert said(examined(), "note", "torch.compile: no C++ compiler (no-such-compiler was not found")
