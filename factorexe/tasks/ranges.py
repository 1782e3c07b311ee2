"""Difficulties of training and beyond, given by three options: ``hops``, the most; ``min_hops``; ``ood_hops``."""

from __future__ import annotations

from factorexe.tasks.base import Task


def refuse_disorder(task: Task, most: str) -> None:
    """Refuse ``min_`` above the option ``most``, and ``ood_`` not above it; either may be None.

    Raises:
        ValueError: says which, and both numbers.
    """
    top, least, beyond = (getattr(task, prefix + most) for prefix in ("", "min_", "ood_"))
    if least is not None and least > top:
        raise ValueError(f"min_{most} ({least}) must not exceed {most} ({top})")
    if beyond is not None and beyond <= top:
        raise ValueError(f"ood_{most} ({beyond}) must exceed {most} ({top}): ood is harder than training")
