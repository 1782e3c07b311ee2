"""The directory of one sweep: its file, its plan, its claims.

    sweeps/widths/
        sweep.yaml     the file as it was when it was planned
        plan.jsonl     what all runs have in common, then one line for each run
        claims/        which worker has which run
        logs/          what workers wrote on stderr

Results are not here: each run is in the directory that its content gives it, below ``Plan.runs``.
"""

from __future__ import annotations

from pathlib import Path


class SweepDirectory:
    """Paths of one sweep."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.file = self.path / "sweep.yaml"
        self.plan = self.path / "plan.jsonl"
        self.claims = self.path / "claims"
        self.logs = self.path / "logs"
