"""What every instrument inherits: hooks that it does not define cost nothing in a step.

Lightning calls six hooks of every callback in every step, and names each call for its profiler.  It leaves out
what is not callable, so here these hooks are absent until a subclass defines them.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning


class Instrument(lightning.Callback):
    """A callback that watches a run and never steers it."""

    on_train_batch_start: Any = None
    on_train_batch_end: Any = None
    on_before_zero_grad: Any = None
    on_before_backward: Any = None
    on_after_backward: Any = None
    on_before_optimizer_step: Any = None
