"""Find plug-ins by name; import only the one that is asked for.

Every task, model, objective and optimizer, ours or a stranger's, is one line in the entry points of an
installed package.  Listing reads those lines; nothing is imported before a name is used::

    >>> Registry("tasks").names()
    ['addition', 'multiplication']
    >>> Registry("tasks").get("multiplication").cls
    <class 'factorexe.tasks.multiplication.Multiplication'>

A name may be qualified by its distribution (``their-package/cycle``).  Where the caller allows it, a class
can be named without any packaging: ``package.module:Class`` or ``./file.py:Class``.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.installed import Installed, installed, normalized

OWN = "factorexe"  # the distribution whose bare names win
API_VERSION = 1

# What an entry point of each group must resolve to: a subclass of this, and no other kind of thing.
BASES = {
    "tasks": "factorexe.tasks.base:Task",
    "models": "factorexe.models.base:ModelConfig",
    "objectives": "factorexe.objectives.base:ObjectiveConfig",
    "optimizers": "factorexe.optim.optimizer:OptimizerConfig",
    "measures": "factorexe.optim.measure:MeasureConfig",
    "aggregators": "factorexe.optim.aggregate:AggregatorConfig",
    "filters": "factorexe.optim.filter:FilterConfig",
    "controls": "factorexe.optim.control:ControlConfig",
    "losses": "factorexe.optim.loss:TokenLossConfig",
    "instruments": "factorexe.instruments:InstrumentConfig",
    "halting": "factorexe.models.halting.base:HaltingConfig",
    "depths": "factorexe.models.depth.base:DepthConfig",
    "curricula": "factorexe.curriculum:CurriculumConfig",
}


class PluginError(LookupError):
    """A plug-in is missing, ambiguous, broken or of the wrong kind."""


class Plugin(NamedTuple):
    """A loaded plug-in and where it came from."""

    name: str
    cls: type[Any]
    origin: str  # "distribution version", or "sha256 of the file" for a class named by its path


class Registry:
    """The names of one group of plug-ins."""

    def __init__(self, group: str) -> None:
        self.group = group

    def entries(self) -> dict[str, list[Installed]]:
        """Every installed entry point by name, our own first.  Imports nothing."""
        found: dict[str, list[Installed]] = {}
        for one in sorted(installed(f"factorexe.{self.group}"), key=_rank):
            same = found.setdefault(one.entry.name, [])
            if _rank(one) not in map(_rank, same):
                same.append(one)
        return found

    def names(self) -> list[str]:
        """Every name that ``get`` takes without a qualifier."""
        return sorted(self.entries())

    def listing(self) -> list[tuple[str, str]]:
        """``(spelling, origin)`` of everything installed; what another hides is spelled with its qualifier."""
        rows = []
        for name, entries in sorted(self.entries().items()):
            for rank, one in enumerate(entries):
                alone = len(entries) == 1 or (rank == 0 and one.distribution == OWN)
                rows.append((name if alone else f"{one.distribution}/{name}", _origin(one)))
        return rows

    def get(self, name: str) -> Plugin:
        """The plug-in called ``name``, ``distribution/name``, ``package.module:Class`` or ``./file.py:Class``.

        Raises:
            PluginError: it does not exist, is claimed twice, cannot be imported or is the wrong kind of thing.
        """
        if ":" in name:
            cls = _loaded(repr(name), lambda: _import(name))
            return Plugin(name, self._checked(repr(name), cls), _digest(cls))
        picked = self._pick(name)
        label = f"{picked.entry.name!r} ({picked.entry.value}, from {_origin(picked)})"
        return Plugin(name, self._checked(label, _loaded(label, picked.entry.load)), _origin(picked))

    def _pick(self, name: str) -> Installed:
        distribution, _, short = name.rpartition("/")
        same = self.entries().get(short, [])
        if distribution:
            same = [one for one in same if one.distribution == normalized(distribution)]
        if not same:
            raise PluginError(f"nothing in {self.group} is called {name!r}; {suggestion(name, self.names())}")
        if len(same) > 1:
            spelled = " or ".join(f"{one.distribution}/{one.entry.name}" for one in same)
            if same[0].distribution != OWN:
                raise PluginError(f"{name!r} is claimed by more than one package; say which: {spelled}")
            warnings.warn(f"{name!r} means ours; also installed: {spelled}", stacklevel=4)
        return same[0]

    def _checked(self, label: str, cls: object) -> type[Any]:
        base = _import(BASES[self.group])
        assert isinstance(base, type)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise PluginError(f"{label} is {cls!r}; {self.group} holds subclasses of {base.__name__}")
        version = getattr(cls, "api_version", None)
        if version != API_VERSION:
            raise PluginError(
                f"{label} was written for version {version} of the plug-in contract; this is {API_VERSION}"
            )
        fields = getattr(cls, "model_fields", {})
        if "name" in fields:
            raise PluginError(f"{label} has an option called 'name', which is kept for the plug-in's own name")
        return cls


def suggestion(name: str, known: Iterable[str]) -> str:
    """``did you mean ...?`` where something known is close, else everything known."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"


def had_by_others(path: str) -> str | None:
    """Which plug-ins have the option at ``path`` (``model.halting``) where the chosen one has not; None: none has.

    Imports those of its group, so it is for what has gone wrong already.
    """
    kind, _, rest = path.partition(".")
    option = rest.partition(".")[0].replace("-", "_")
    if f"{kind}s" not in BASES or not option:
        return None
    known, found = Registry(f"{kind}s"), []
    for name in known.names():
        with contextlib.suppress(PluginError):
            if option in known.get(name).cls.model_fields:
                found.append(name)
    return f"{', '.join(found)} {'has' if len(found) == 1 else 'have'} {option}" if found else None


def _rank(one: Installed) -> tuple[bool, str, str]:
    """Our own first."""
    return one.distribution != OWN, one.distribution, one.entry.value


def _origin(one: Installed) -> str:
    return f"{one.distribution} {one.version}"


def _loaded(label: str, load: Any) -> object:
    try:
        return load()
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or "no message"
        raise PluginError(f"{label} cannot be loaded: {type(error).__name__}: {reason}") from error


def _import(name: str) -> object:
    where, _, attribute = name.rpartition(":")
    module = _module_of(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    return getattr(module, attribute)


def _module_of(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"factorexe_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic looks up annotations there
    spec.loader.exec_module(module)
    return module


def _digest(cls: object) -> str:
    """The content a class was read from: it stands for a version where nothing is packaged."""
    try:
        file = inspect.getsourcefile(cls)  # type: ignore[arg-type]
        text = Path(file).read_bytes() if file and Path(file).is_file() else inspect.getsource(cls).encode()  # type: ignore[arg-type]
    except (OSError, TypeError):
        return "source unknown"
    return f"sha256 {hashlib.sha256(text).hexdigest()[:16]}"
