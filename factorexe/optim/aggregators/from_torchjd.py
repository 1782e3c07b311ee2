"""Any aggregator of TorchJD by the name of its class: rules from multi-task learning, robust statistics and more.

    --optim.aggregate torchjd --optim.aggregate.rule PCGrad
    --optim.aggregate torchjd --optim.aggregate.rule TrimmedMean --optim.aggregate.arguments trim_number=1

They take a matrix with a gradient in each row and make one vector of it (Quinton & Rey 2024, arXiv:2406.16232, and for
each rule the paper that its own page names).  ``UPGrad`` and ``DualProj`` need a solver, which the extra brings with
it; others name what they miss.

Rules that draw by lot (``PCGrad``, ``GradDrop``, ``Random``) are given seeds of their own (``lot``).  Rules that
remember earlier batches (``NashMTL``, ``GradVac``...) are not offered: their memory would not survive a resumed run.

Rows are scaled by K times their share of the tokens, so that ``Mean`` is the mean over tokens and any other rule sees a
large part as a long row; parts of one size are left as they are.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from factorexe.optim.aggregate import AggregatorConfig, Merged, Stacked
from factorexe.optim.aggregators.lot import Lot
from factorexe.optim.flat import Flat

INSTALL = 'pip install "factorexe[torchjd]"'


class TorchJD(Stacked):
    """A rule of another package.  K P numbers, and what the rule needs.

    Args:
        flat: where each parameter stands in a vector.
        rule: (K, P) -> (P,).
    """

    least = 2

    def __init__(self, flat: Flat, rule: nn.Module) -> None:
        super().__init__(flat)
        self.rule, self.lot = rule, Lot("torchjd", 0)

    def merge(self, rows: Tensor, weights: Tensor, guide: Tensor | None) -> Merged:
        """What the rule makes of weighted rows."""
        shares = (weights * len(rows) / weights.sum()).to(rows.dtype)
        with torch.random.fork_rng([] if rows.device.type == "cpu" else [rows.device]):
            torch.manual_seed(self.lot())
            return Merged(self.rule(rows * shares[:, None]))


class TorchJDConfig(AggregatorConfig):
    """An aggregator of TorchJD, by the name of its class."""

    rule: str = "UPGrad"
    """Class in torchjd.aggregation."""
    arguments: dict[str, int | float] = Field(default_factory=dict)
    """Numbers for its constructor (trim_number=1)."""

    def build(self, flat: Flat) -> TorchJD:
        """The rule.

        Raises:
            ValueError: TorchJD, the rule, an argument, or something that the rule needs is missing.
        """
        return TorchJD(flat, made(self.rule, self.arguments))


def made(name: str, arguments: dict[str, int | float]) -> nn.Module:
    """The rule ``name`` of TorchJD.

    Raises:
        ValueError: one line, what to do about it.
    """
    rules = known()
    if name not in rules:
        raise ValueError(f"TorchJD has no rule {name!r}; {near(name, rules)}")
    try:
        inspect.signature(rules[name]).bind(**arguments)
    except TypeError as error:
        takes = ", ".join(inspect.signature(rules[name]).parameters) or "nothing"
        raise ValueError(f"arguments of TorchJD's {name}: {error}; it takes {takes}") from None
    try:
        rule: nn.Module = rules[name](**arguments)
    except (ImportError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"TorchJD's {name} cannot be made: {reason}") from None
    return rule


def known() -> dict[str, Any]:
    """TorchJD's aggregators by name: those that numbers can make, and that remember nothing of earlier batches.

    Raises:
        ValueError: it is not installed.
    """
    try:
        package, memory = importlib.import_module("torchjd.aggregation"), importlib.import_module("torchjd").Stateful
    except ImportError:
        raise ValueError(f"TorchJD is not installed: {INSTALL}") from None
    found = {name: getattr(package, name) for name in package.__all__}
    rules = {name: cls for name, cls in found.items() if issubclass(cls, package.Aggregator)}
    return {name: cls for name, cls in rules.items() if _of_numbers(cls) and not issubclass(cls, memory)}


def near(name: str, rules: Iterable[str]) -> str:
    """What may have been meant, whatever its capitals, or everything there is."""
    spelled = {rule.lower(): rule for rule in rules}
    close = [spelled[rule] for rule in difflib.get_close_matches(name.lower(), spelled, n=3)]
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(spelled.values()))}"


def _of_numbers(rule: Any) -> bool:
    """Whether a class can be made, and all that its constructor must be given are numbers."""
    needed = [p for p in inspect.signature(rule).parameters.values() if p.default is inspect.Parameter.empty]
    return not inspect.isabstract(rule) and all(p.annotation in (int, float, "int", "float") for p in needed)
