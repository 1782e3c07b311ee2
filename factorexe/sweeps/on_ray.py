"""Workers on a Ray cluster: actors on any of its nodes, each with a share of a GPU if asked for.

    supervise(directory, OnRay(workers=None, gpus_per_run=0.25))

Ray finds a place for each worker and tells when one has died, on whatever node that was; its word is enough for the
run to pass on at once.  All else is as with processes of this machine: the supervisor counts and replaces, the
directory of the sweep remembers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from factorexe.rundir import RunError
from factorexe.sweeps.actor import AT_ONCE, Actor
from factorexe.sweeps.child import Job
from factorexe.sweeps.cluster import Resources, joined, refuse_without_ray, room, told
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.plan import read
from factorexe.sweeps.ray_slot import RaySlot


class OnRay:
    """A Ray cluster.

    Args:
        workers: as many as fit on its nodes if not given.
        threads: of each worker, one if not given; as many processors are reserved for it.
        gpus_per_run: of each worker, such as 0.25 for four on each; none if not given.
        address: see ``cluster.joined``.

    Raises:
        RunError: Ray is not installed.
    """

    def __init__(
        self,
        workers: int | None = None,
        threads: int | None = None,
        gpus_per_run: float | None = None,
        address: str | None = None,
    ) -> None:
        refuse_without_ray()
        self.workers, self.threads = workers, threads or 1
        self.gpus_per_run, self.address = gpus_per_run, address

    def prepare(self) -> None:
        """Nothing: a cluster is joined only once something is left to do."""

    @contextlib.contextmanager
    def crew(self, job: Job, most: int, say: Callable[[str], None]) -> Iterator[RayCrew]:
        """Places for workers; see ``slot.Executor``."""
        job = job._replace(directory=job.directory.absolute(), threads=self.threads)
        _make_runs(job.directory)
        with joined(self.address) as nodes:
            workers = min(self.workers or self._room(nodes), most)
            say(f"Ray cluster of {told(nodes)}; workers: {workers}, each with {self._share}")
            if self.gpus_per_run is None and any(node.get("GPU") for node in nodes):
                say("its GPUs are not used; --gpus-per-run 0.25 trains four runs on each")
            yield RayCrew([RaySlot(job, self._hire) for _ in range(workers)], self._share, say)

    @property
    def _share(self) -> str:
        cpus = f"{self.threads} {'CPU' if self.threads == 1 else 'CPUs'}"
        return cpus if self.gpus_per_run is None else f"{cpus} and {self.gpus_per_run:g} GPU"

    def _room(self, nodes: Sequence[Resources]) -> int:
        fitting = room(nodes, self.threads, self.gpus_per_run)
        if not fitting:
            raise RunError(
                f"no node has room for a worker with {self._share}: {told(nodes)};"
                " lower --threads or --gpus-per-run, or set --workers N to wait for room"
            )
        return fitting

    def _hire(self, job: Job) -> Any:
        import ray

        needs: dict[str, Any] = {"num_cpus": job.threads, "max_concurrency": AT_ONCE, "max_restarts": 0}
        if self.gpus_per_run is not None:
            needs["num_gpus"] = self.gpus_per_run
        return ray.remote(Actor).options(**needs).remote(job, os.getcwd())


class RayCrew:
    """Workers, wherever Ray finds a place for them."""

    def __init__(self, slots: Sequence[RaySlot], share: str, say: Callable[[str], None]) -> None:
        self.slots, self._share, self._say = slots, share, say
        self._wait_is_said = False

    def wait(self, seconds: float) -> None:
        """Return as soon as one has something to say, or has died."""
        import ray

        awaited = [slot.answer for slot in self.slots if slot.answer is not None]
        if awaited:
            ray.wait(awaited, timeout=seconds)
        waiting = sum(slot.waits for slot in self.slots)
        if waiting and not self._wait_is_said:
            self._wait_is_said = True
            self._say(f"Ray has no room yet for {waiting} of {len(self.slots)} workers, each with {self._share}")


def _make_runs(directory: Path) -> None:
    """Have the directory of the runs, by which a node tells that it sees it."""
    runs = read(SweepDirectory(directory)).runs
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{runs}: runs cannot be written there ({error.strerror}); use --runs DIR") from None
