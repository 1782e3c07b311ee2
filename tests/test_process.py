"""The command as a user runs it: interrupted, started twice, on a full disk, without a terminal and with one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FIT = [sys.executable, "-m", "factorexe", "fit", "--task", "addition", "--preset", "tiny", "--data.eval_size", "20"]


def start(runs: Path, *options: str, **how) -> subprocess.Popen:
    """A run of 400 steps."""
    words = [*FIT, "--runs", str(runs), "--trainer.max_steps", "400", *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def wait_for_training(process: subprocess.Popen) -> str:
    """Until the first evaluation has been reported."""
    line = process.stderr.readline()
    assert line.startswith("step "), line
    return line


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    runs = tmp_path_factory.mktemp("undisturbed")
    process = start(runs)
    process.communicate(timeout=240)
    assert process.returncode == 0
    return outcome(runs)


def outcome(runs: Path) -> dict:
    (path,) = runs.glob("*/*/*/result.json")
    times = {"wall_time_s", "evaluation_time_s", "examples_per_s"}
    return {name: value for name, value in json.loads(path.read_text()).items() if name not in times}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_then_ends_the_same(number, tmp_path, undisturbed):
    process = start(tmp_path)
    wait_for_training(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert "retype the command" in err
    again = start(tmp_path)
    _, err = again.communicate(timeout=240)
    assert again.returncode == 0
    assert "resuming" in err
    assert outcome(tmp_path) == undisturbed


def test_the_finished_run_is_shown_again_without_training(tmp_path):
    short = ("--trainer.max_steps", "5")
    first, second = start(tmp_path, *short), None
    shown, _ = first.communicate(timeout=120)
    second = start(tmp_path, *short)
    again, err = second.communicate(timeout=120)
    assert second.returncode == 0
    assert again == shown
    assert "finished" in err


def test_a_run_in_use_is_refused(tmp_path):
    endless = ("--trainer.max_steps", "1000000")
    process = start(tmp_path, *endless)
    wait_for_training(process)
    second = start(tmp_path, *endless)
    out, err = second.communicate(timeout=60)
    process.kill()
    process.communicate()
    assert (second.returncode, out) == (2, "")
    assert "in use" in err
    assert len(err.splitlines()) <= 5


def test_a_full_disk_loses_nothing_that_was_saved(tmp_path, undisturbed):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # less than a checkpoint takes

    process = start(tmp_path, preexec_fn=little_room)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "retype the command" in err
    again = start(tmp_path)
    again.communicate(timeout=240)
    assert again.returncode == 0
    assert outcome(tmp_path) == undisturbed


def test_a_terminal_gets_a_bar(tmp_path):
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("4H", 25, 150, 0, 0))
    words = [*FIT, "--runs", str(tmp_path), "--trainer.max_steps", "60"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    shown, began = b"", time.monotonic()
    while time.monotonic() - began < 120:
        try:
            piece = os.read(reader, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert "60/60" in text
    assert "loss" in text
    assert "solved seen" in text
