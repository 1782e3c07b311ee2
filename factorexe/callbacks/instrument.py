"""What an instrument that a user may choose is: a callback with options, whose numbers go everywhere.

    --instruments one-step-probe,canaries --instruments.one-step-probe.every 50

``numbers`` are part of the row that every evaluation writes to metrics.csv and to the curve, ``result`` of
result.json under the instrument's key.  What an instrument measures between evaluations it logs itself
(``trainer.logger.log_metrics``), on a cadence, and keeps for the next row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from factorexe.callbacks.base import Instrument
from factorexe.callbacks.loggers import Charts


class ChosenInstrument(Instrument):
    """An instrument that watches a run and never steers it: mode and random state are as they were, after it looked.

    Class attributes:
        charts: which of its numbers TensorBoard shows together (``loggers.LAYOUT``).
        logs_itself: whether it puts its numbers into the curve when it measures them; else they come with the row.
    """

    charts: ClassVar[Charts] = {}
    logs_itself: ClassVar[bool] = False

    def numbers(self) -> Mapping[str, float]:
        """What there is to say at an evaluation, by TensorBoard tag; called after ``on_validation_end`` of all others
        but before the row is written."""
        return {}

    def result(self) -> Mapping[str, Any]:
        """What belongs in result.json; empty: nothing."""
        return {}
