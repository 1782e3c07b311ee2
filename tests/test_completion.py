"""What the shell offers at TAB, over argcomplete's protocol: COMP_LINE goes in, words come out."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from argcomplete.finders import CompletionFinder

from factorexe.choice import Binder
from factorexe.cli import parser
from factorexe.cli.command import Parser
from factorexe.cli.completion import complete
from factorexe.cli.typed import Typed
from factorexe.commandline import Words
from factorexe.config import RunConfig
from factorexe.registry import Registry

MINUS = """
    from typing import Literal
    from factorexe.tasks.addition import Addition

    class Minus(Addition):
        '''Subtract.'''
        borrow: Literal["left", "right"] = "left"
        '''Where 100 % of the borrows come from.'''
"""


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """What is offered at the end of a line, in an empty directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(CompletionFinder, "_init_debug_stream", lambda self: None)  # takes descriptor 9
    monkeypatch.setattr("argcomplete.io.debug_stream", io.StringIO())

    def ask(line, top=None):
        for name, value in {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        stream, codes = io.StringIO(), []
        complete(top or parser(), stream, codes.append)
        assert codes == [0]
        return [word.strip() for word in stream.getvalue().splitlines() if word.strip()]

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fi", ["fit"]),
        ("tasks ", ["list", "show", "check"]),
        ("tasks show m", ["mixture", "modular", "multiplication"]),
        ("models show u", ["universal-transformer"]),
        ("models show universal-transformer --model.inj", ["--model.injection"]),
        ("models show universal-transformer --model.halting act --model.halting.e", ["--model.halting.epsilon"]),
        ("tasks show addition --task.digit_o", ["--task.digit_order"]),
        ("recipes copy s", ["scarce-data"]),
        ("fit --recipe d", ["default-multiplication", "depth-at-test-time"]),
        ("fit --task mul", ["multiplication"]),
        ("fit --task=mul", ["--task=multiplication"]),
        ("fit --task multiplication --model ", ["cotformer", "pause-token", "transformer", "universal-transformer"]),
        ("fit --mod", ["--model", "--model."]),
        ("fit --task multiplication --task.d", ["--task.digit_order", "--task.digits"]),
        ("fit --task multiplication --task.digit-o", ["--task.digit-order"]),
        ("fit --task=addition --task.digit-order ", ["reversed", "plain"]),
        ("fit --task multiplication --preset ", ["default", "tiny"]),
        ("fit --model universal-transformer --model.ste", ["--model.steps", "--model.step_embedding"]),
        ("fit --model.positions ", ["rotary", "learned", "none"]),
        ("fit --model.positions=l", ["--model.positions=learned"]),
        ("fit --model.places ", ["true", "false"]),
        ("fit --no-model.pl", ["--no-model.places"]),
        ("fit --model.layers 3 --seed 5 --bogus 1 --task ad", ["addition"]),
        ("fit --trainer.prec", ["--trainer.precision"]),
        ("fit --task addition --data.curriculum ", ["adaptive", "linear", "uniform"]),
        (
            "fit --data.curriculum adaptive --data.curriculum.",
            ["--data.curriculum.start", "--data.curriculum.threshold"],
        ),
        ("fit --print", ["--print-config"]),
        ("fit --task mixture --task.tasks mul", ["multiplication"]),
        ("fit --task mixture --task.tasks sort,addition,mul", ["sort,addition,multiplication"]),
        ("fit --task mixture --task.tasks=sort,mul", ["--task.tasks=sort,multiplication"]),
        ("fit --task mixture --task.tas", ["--task.tasks", "--task.tasks."]),
        ("fit --task mixture --task.tasks.multiplication.second", ["--task.tasks.multiplication.second_digits"]),
        ("fit --task mixture --task.tasks c-vpr --task.tasks.c-vpr.len", ["--task.tasks.c-vpr.length"]),
        ("fit --task mixture --task.tasks c-vpr --task.tasks.mul", []),
        ("fit --recipe depth-at-test-time --model.ste", ["--model.steps", "--model.step_embedding"]),
        ("fit --task absent --task.", []),
        ("fit --task.d", []),
        ("fit --config absent.yaml --recipe absent --trainer.prec", ["--trainer.precision"]),
    ],
)
def test_what_fits_is_offered(offered, line, words):
    assert offered(f"factorexe {line}") == words


def test_verbs_come_first_and_options_when_a_dash_is_typed(offered):
    assert {"fit", "tasks", "models", "recipes", "doctor"} <= set(offered("factorexe "))
    assert not [word for word in offered("factorexe ") if word.startswith("-")]
    assert "--version" in offered("factorexe --")
    assert {"--config", "--task", "--data.batch_size", "--seed"} <= set(offered("factorexe fit "))


@pytest.mark.parametrize("model", Registry("models").names())
def test_the_options_offered_are_those_there_are(model):
    line = ["--task", "addition", "--model", model, "--objective", "chain"]
    words = Words(line, "factorexe fit")
    listed = words.help(Binder(words.said, {}).bind(RunConfig)).splitlines()
    there = {flag for text in listed if text.startswith("  --") for flag in re.findall(r"--[\w.-]+", text[:80])}
    offers = list(Typed(line, "--no-").options())  # reaches into every choice
    choices = {flag.removesuffix(".name") for flag in there if flag.endswith(".name")}
    choices |= {
        f"--{text.removesuffix(' options:')}" for text in listed if re.fullmatch(r"[\w.]+ options:", text)
    }  # sets
    flags = {flag for offer in offers for flag in offer.flags}
    assert flags - choices == {flag for flag in there if not flag.endswith(".name")}


def test_a_plugin_is_offered_with_its_options(offered, install):
    install("their-package", {"factorexe.tasks": ["minus = their_minus:Minus"]}, their_minus=MINUS)
    assert offered("factorexe fit --task min") == ["minus"]
    assert offered("factorexe fit --task minus --task.b") == ["--task.base", "--task.borrow"]
    assert offered("factorexe fit --task minus --task.borrow r") == ["right"]


def test_a_broken_plugin_is_offered_without_options(offered, install, capfd):
    install("their-package", {"factorexe.tasks": ["broken = their_broken:Plus"]}, their_broken="raise SystemExit(3)")
    assert offered("factorexe tasks show br") == ["broken"]
    assert offered("factorexe fit --task broken --task.") == []
    assert capfd.readouterr() == ("", "")


def test_files_and_runs_choose_too(offered):
    Path("run.yaml").write_text("task: addition\nmodel: universal-transformer\n")
    assert offered("factorexe fit --config run.yaml --model.inj") == ["--model.injection"]
    Path("kept").mkdir()
    Path("run.yaml").rename("kept/config.yaml")
    assert offered("factorexe score ke", scorer()) == ["kept/"]
    assert offered("factorexe score kept --model.inj", scorer()) == ["--model.injection"]
    assert offered("factorexe score kept --model.injection ", scorer()) == ["add", "concat", "none"]


def scorer():
    """A verb with a run as its argument."""
    top = Parser(prog="factorexe")
    score = top.add_subparsers().add_parser("score")
    score.add_argument("run")
    score.set_defaults(takes_options=True)
    return top


def test_a_file_cannot_make_code_run_at_tab(offered):
    Path("mine.py").write_text("open('ran', 'w')")
    Path("run.yaml").write_text("task: ./mine.py:Mine\n")
    assert offered("factorexe fit --config run.yaml --task.") == []
    Path("run.yaml").write_text("task: {name: mixture, tasks: [addition, ./mine.py:Mine]}\n")
    assert offered("factorexe fit --config run.yaml --task.tasks.") != []
    assert offered("factorexe fit --config run.yaml --task.tasks.mine") == []
    assert not Path("ran").exists()


def test_names_are_offered_without_torch():
    lines = ["", "fit --task mul", "fit --task addition --task.d", "fit --mod", "fit --trainer.precision ", "fit "]
    code = (
        "import io, os, sys; from factorexe.cli import parser; from factorexe.cli.completion import complete\n"
        f"for line in {lines!r}:\n"
        "    line = 'factorexe ' + line\n"
        "    os.environ.update(_ARGCOMPLETE='1', COMP_LINE=line, COMP_POINT=str(len(line)))\n"
        "    complete(parser(), io.StringIO(), lambda code: None)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_completion_is_imported_when_the_shell_asks_and_not_otherwise():
    code = "import sys; from factorexe.cli import main\nmain(['tasks', 'list'])\nsys.exit('argcomplete' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def commands():
    """An environment in which the installed commands are found."""
    scripts = Path(sys.executable).parent
    if not (shutil.which("bash") and (scripts / "register-python-argcomplete").exists()):
        pytest.skip("needs bash, and the commands beside the interpreter")
    return {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
        "PS1": "",
        "HISTFILE": "",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "word"),
    [("fit --task mul", "multiplication "), ("fit --model.pos", "--model.positions "), ("x" * 999, "")],
)
def test_the_program_answers_the_shell(tmp_path, line, word):
    line = f"factorexe {line}"
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(["factorexe"], env={**commands(), **asked}, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")
    assert answer.read_text() == word


@pytest.mark.slow
def test_a_word_is_completed_in_a_shell(tmp_path):
    ours, theirs = pty.openpty()
    words = ["bash", "--norc", "--noprofile", "-i"]
    channels = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    shell = subprocess.Popen(words, env=commands(), cwd=tmp_path, start_new_session=True, **channels)
    os.close(theirs)
    try:
        os.write(ours, b'eval "$(register-python-argcomplete factorexe)"; echo is-$((40+2))-ready\n')
        assert seen(ours, "is-42-ready")
        os.write(ours, b"factorexe fit --task mul\t")
        assert seen(ours, "multiplication ")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def seen(terminal, text):
    """Whether the text appears within a minute."""
    os.set_blocking(terminal, False)
    shown, began = b"", time.monotonic()
    while time.monotonic() - began < 60:
        try:
            shown += os.read(terminal, 4096)
        except BlockingIOError:
            time.sleep(0.05)
        if text in shown.decode(errors="replace"):
            return True
    return False
