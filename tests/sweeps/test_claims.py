"""One run, one worker: whoever else comes, when the worker dies, sleeps, or its clock is wrong."""

import json
import os
import subprocess
import sys
import threading

import pytest

from factorexe.sweeps.claims import Claim, Claims
from factorexe.sweeps.place import here

RUN = "3f2a9c01be77"
YEAR_S = 365 * 24 * 3600


class Clock:
    """Shows what it is set to."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def claims(tmp_path, clock):
    """A function: the claims as one more worker sees them; no heart beats by itself within a test."""
    return lambda: Claims(tmp_path, beat=10, expire=90, clock=clock)


@pytest.fixture
def dead():
    """A process of this place that is no more."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return here()._replace(pid=process.pid, started=1)


def write_claim(directory, place, generation=1, run=RUN):
    path = directory / f"{run}.{generation}"
    path.write_text(json.dumps({**place._asdict(), "token": f"token of {generation}"}))
    return path


def elsewhere():
    return here()._replace(host="another", pid=1)


def beats(path, at):
    os.utime(path, (at, at))


def watched(observer, clock, seconds):
    """What is said of a claim after looking at it every five seconds."""
    for _ in range(seconds // 5):
        found = observer.take(RUN)
        clock.now += 5
    return found


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_claimed_run_is_nobody_elses_until_it_is_released(claims, tmp_path):
    first = claims().take(RUN)
    assert isinstance(first, Claim)
    assert claims().take(RUN) == "alive"  # its process is this one
    first.release()
    assert names(tmp_path) == []
    assert isinstance(claims().take(RUN), Claim)


def test_of_fifty_who_claim_at_once_one_succeeds(claims, tmp_path, dead):
    write_claim(tmp_path, dead)
    start, found = threading.Barrier(50), []

    def claim(own):
        start.wait()
        found.append(own.take(RUN))

    workers = [threading.Thread(target=claim, args=(claims(),)) for _ in range(50)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(isinstance(one, Claim) for one in found) == 1
    assert names(tmp_path) == [f"{RUN}.1", f"{RUN}.2"]


def test_a_process_of_this_place_that_is_gone_is_dead_at_once(claims, tmp_path, dead):
    write_claim(tmp_path, dead)
    assert isinstance(claims().take(RUN), Claim)
    assert names(tmp_path) == [f"{RUN}.1", f"{RUN}.2"]


def test_a_process_number_that_was_given_to_another_process_is_dead_at_once(claims, tmp_path):
    write_claim(tmp_path, here()._replace(started=here().started - 1))
    assert isinstance(claims().take(RUN), Claim)


def test_a_process_that_ended_and_was_not_noticed_is_dead(claims, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    write_claim(tmp_path, here()._replace(pid=process.pid))
    assert isinstance(claims().take(RUN), Claim)
    process.wait()


@pytest.mark.parametrize("years", [-20, 0, 20])
def test_a_heart_that_does_not_beat_for_ninety_seconds_is_dead_whatever_its_clock_says(claims, tmp_path, clock, years):
    path = write_claim(tmp_path, elsewhere())
    beats(path, 1.7e9 + years * YEAR_S)
    observer = claims()
    assert watched(observer, clock, 90) == "uncertain"
    clock.now += 5
    assert isinstance(observer.take(RUN), Claim)


@pytest.mark.parametrize("step", [-YEAR_S, 1, YEAR_S])
def test_a_heart_that_beats_is_alive_whatever_its_clock_says(claims, tmp_path, clock, step):
    path, observer = write_claim(tmp_path, elsewhere()), claims()
    assert observer.take(RUN) == "uncertain"
    for beat in range(1, 40):
        beats(path, 1.7e9 + beat * step)
        clock.now += 60
        assert observer.take(RUN) == "alive"


def test_an_observer_that_slept_itself_knows_nothing(claims, tmp_path, clock):
    write_claim(tmp_path, elsewhere())
    observer = claims()
    observer.take(RUN)
    clock.now += YEAR_S
    assert observer.take(RUN) == "uncertain"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b'{"host": 3}', b"[" * 5000, b"null"])
def test_of_a_damaged_claim_only_the_heartbeat_counts(claims, tmp_path, clock, content):
    (tmp_path / f"{RUN}.1").write_bytes(content)
    observer = claims()
    assert watched(observer, clock, 90) == "uncertain"
    assert isinstance(observer.take(RUN), Claim)


def test_an_owner_that_slept_finds_itself_superseded_and_deletes_nothing_of_its_successor(claims, tmp_path, clock):
    owner = claims().take(RUN)
    path = tmp_path / f"{RUN}.1"
    path.write_text(path.read_text().replace(here().host, "another"))  # as it looks from another machine
    observer = claims()
    watched(observer, clock, 90)
    successor = observer.take(RUN)
    assert isinstance(successor, Claim)
    assert owner.lost
    owner.release()
    assert names(tmp_path) == [f"{RUN}.2"]
    assert not successor.lost


def test_an_owner_whose_claim_was_deleted_and_claimed_anew_has_lost_it(claims, tmp_path, clock):
    owner = claims().take(RUN)
    (tmp_path / f"{RUN}.1").unlink()
    other = claims().take(RUN)
    owner.beat()
    assert owner.lost
    owner.release()
    assert names(tmp_path) == [f"{RUN}.1"]
    assert not other.lost


def test_an_owner_that_was_suspended_looks_before_its_next_step(claims, tmp_path, clock):
    owner = claims().take(RUN)
    write_claim(tmp_path, elsewhere(), generation=2)
    assert not owner.lost  # it looked just before
    clock.now += 21
    assert owner.lost


def test_a_release_leaves_nothing_of_earlier_generations(claims, tmp_path, dead):
    for generation in (1, 2, 3):
        write_claim(tmp_path, dead, generation)
    claim = claims().take(RUN)
    assert names(tmp_path)[-1] == f"{RUN}.4"
    claim.release()
    assert names(tmp_path) == []


def test_what_is_given_back_is_its_earlier_owners(claims, tmp_path, dead):
    owner = claims().take(RUN)
    path = tmp_path / f"{RUN}.1"
    kept = path.read_text()
    path.write_text(json.dumps({**dead._asdict(), "token": json.loads(kept)["token"]}))
    claims().take(RUN).give_back()
    path.write_text(kept)
    owner.beat()
    assert not owner.lost


def test_who_judged_a_claim_that_was_released_meanwhile_stands_on_nothing(claims, tmp_path, dead):
    slow = claims()
    path = write_claim(tmp_path, dead)
    judge = slow.judge

    def judged_late(run, generation):
        found = judge(run, generation)
        if "token of" in path.read_text():  # another takes it over, ends the run, lets go; a third begins anew
            claims().take(RUN).release()
            assert isinstance(claims().take(RUN), Claim)
        return found

    slow.judge = judged_late
    assert not isinstance(slow.take(RUN), Claim)
    assert names(tmp_path) == [f"{RUN}.1"]


def test_a_heart_beats_by_itself(tmp_path):
    claim = Claims(tmp_path, beat=0.02).take(RUN)
    path = tmp_path / f"{RUN}.1"
    beats(path, 1e9)
    changed = threading.Event()
    while not changed.wait(0.02):
        if path.stat().st_mtime != 1e9:
            changed.set()
    claim.release()


def test_one_look_lists_the_highest_generation_of_every_claim(claims, tmp_path, dead):
    for run, generation in (("a", 1), ("a", 2), ("b", 10), ("b", 9)):
        write_claim(tmp_path, dead, generation, run)
    (tmp_path / "notes.txt").touch()
    assert claims().listed() == {"a": 2, "b": 10}
    assert Claims(tmp_path / "absent").listed() == {}


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Claims(tmp_path / "file" / "claims").take(RUN)
