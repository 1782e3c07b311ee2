"""A Ray cluster: joined, or started on this machine for the time of a sweep; how many workers it has room for.

    with joined(address=None) as cluster:
        room(cluster, cpus=1, gpus=0.25)      8, on a node with 16 processors and two GPUs

Ray is asked to be quiet: what becomes of workers is said by their supervisor.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from factorexe.rundir import RunError
from factorexe.threads import processors

_STORE_BYTES = 80_000_000  # the least that Ray takes; workers send each other nothing
_ANSWERS_WITHIN_S = 10.0
_QUIET = {"log_to_driver": False, "include_dashboard": False, "logging_level": logging.ERROR}
_SILENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # of what nodes report, printed on stdout otherwise
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # no GPU for a worker that asked for none, and no warning of it
}
Resources = Mapping[str, float]


def refuse_without_ray() -> None:
    """Refuse where Ray is not installed.

    Raises:
        RunError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise RunError("--executor ray needs Ray: pip install 'factorexe[ray]'")


@contextlib.contextmanager
def joined(address: str | None) -> Iterator[Sequence[Resources]]:
    """The nodes of a cluster, with what each of them has.

    Args:
        address: ``host:port``, or ``local`` for a cluster of its own; if not given what RAY_ADDRESS says, else the one
            that was started on this machine, else one of its own.

    Raises:
        RunError: it cannot be reached, or started.
    """
    address = address or os.environ.get("RAY_ADDRESS") or _by_default()
    _refuse_unreachable(address)
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    import ray

    try:
        try:
            _join(ray, address)
        except Exception as error:  # of any kind: wrong address, versions that do not fit, no room for sockets
            raise RunError(_refusal(address, error)) from None
        yield [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def _by_default() -> str | None:
    """``local`` if the cluster that was last started here is gone; else Ray knows whether there is one."""
    try:
        temporary = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
        _knock((Path(temporary) / "ray/ray_current_cluster").read_text().strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "local"
    return None


def _refuse_unreachable(address: str | None) -> None:
    """Refuse at once what Ray would try for minutes."""
    if address in (None, "local", "auto"):
        return
    try:
        _knock(address)
    except ValueError:
        raise RunError(
            f"--address: expected HOST:PORT of a cluster that this machine belongs to (got {address!r})"
        ) from None
    except OSError as error:
        raise RunError(_refusal(address, error)) from None


def _knock(address: str) -> None:
    """See whether anybody answers there; ValueError if it is no address."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16) or "/" in host:
        raise ValueError(address)
    socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN_S).close()


def _join(ray: Any, address: str | None) -> None:
    own = {"num_cpus": processors(), "object_store_memory": _STORE_BYTES}
    if address == "local":
        ray.init(address, **own, **_QUIET)
    elif address:
        ray.init(address, **_QUIET)
    else:
        try:
            ray.init(**own, **_QUIET)
        except ValueError:  # there is one, whose size is settled
            ray.init(**_QUIET)


def _refusal(address: str | None, error: Exception) -> str:
    text = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    if "AF_UNIX path length" in text:
        return "Ray cannot make its sockets, their path is too long; set RAY_TMPDIR to a shorter one, such as /tmp/ray"
    if address == "local":
        return f"Ray cannot be started: {text}"
    where = f"at {address}" if address else "where it was last started"
    return (
        f"Ray cannot be reached {where}: {text}; --address local starts a cluster of its own"
        " (one that asks for a token needs RAY_AUTH_MODE=token here)"
    )


def room(nodes: Sequence[Resources], cpus: int, gpus: float | None) -> int:
    """How many workers fit on all nodes together."""
    return sum(_fitting(node, cpus, gpus) for node in nodes)


def told(nodes: Sequence[Resources]) -> str:
    """What the nodes have, as ``2 nodes with 16 CPUs and 1 GPU``."""
    cpus, gpus = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
    return " and ".join(
        [f"{_counted(len(nodes), 'node')} with {_counted(cpus, 'CPU')}", *([_counted(gpus, "GPU")] if gpus else [])]
    )


def _fitting(node: Resources, cpus: int, gpus: float | None) -> int:
    fitting = node.get("CPU", 0) // cpus
    if gpus is not None:
        devices, part = int(node.get("GPU", 0)), int(1 / gpus + 1e-9)  # a worker's share is of one device
        fitting = min(fitting, devices * part if gpus <= 1 else devices // gpus)
    return int(fitting)


def _counted(count: float, noun: str) -> str:
    return f"{count:g} {noun}" if count == 1 else f"{count:g} {noun}s"
