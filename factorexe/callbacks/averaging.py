"""Evaluate and keep a moving average of the weights, while training goes on with the weights themselves.

After every step a <- decay * a + (1 - decay) * w, and a = w after the first, as torch's ``AveragedModel`` does it
(after Polyak & Juditsky 1992, whose weights are equal and not exponential)::

    decay 0.5, a weight of 4, 8, 0 after steps 1, 2, 3:      average 4, 6, 3

From the beginning of an evaluation to its end the model holds the average, so scores, samples and the best checkpoint
are its own.  A checkpoint's ``state_dict`` is the average, which is what every reader of a run takes; the weights that
training goes on with lie beside it.

Lightning has such a callback.  It averages or replaces buffers too, which here are the state of filters and what models
count, and it copies the whole learner; parameters alone are averaged here.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor

from factorexe.callbacks.base import Instrument

_TRAINED = "trained_state_dict"


class WeightAveraging(Instrument):
    """Averages parameters; has to stand after whatever looks at an evaluation, and before what saves."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._average: list[Tensor] = []  # of each parameter; empty before the first step
        self._step = 0  # of the latest update

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Updates are counted from here."""
        self._step = trainer.global_step
        self._average = [mean.to(pl_module.device) for mean in self._average]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the weights in, if this batch made a step."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        weights = _weights(pl_module)
        if self._average:
            torch._foreach_lerp_(self._average, weights, 1 - self.decay)
        else:
            self._average = [weight.clone() for weight in weights]

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """From here on the model holds the average."""
        self._exchange(pl_module)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """From here on it holds its weights again."""
        self._exchange(pl_module)

    def _exchange(self, pl_module: Any) -> None:
        if self._average:
            weights = _weights(pl_module)
            held = [weight.clone() for weight in weights]
            torch._foreach_copy_(weights, self._average)
            self._average = held

    def on_save_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """The average where readers look; tied parameters have one under each of their names."""
        if self._average:
            means = {id(weight): mean for weight, mean in zip(pl_module.parameters(), self._average, strict=True)}
            owners = pl_module.state_dict(keep_vars=True)
            trained = checkpoint["state_dict"]
            checkpoint[_TRAINED] = trained
            checkpoint["state_dict"] = {name: means.get(id(owners[name]), trained[name]) for name in trained}

    def on_load_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Training goes on with its own weights."""
        if _TRAINED in checkpoint:
            averaged = checkpoint["state_dict"]
            self._average = [
                averaged[name].to(weight.device, copy=True) for name, weight in pl_module.named_parameters()
            ]
            pl_module.load_state_dict(checkpoint[_TRAINED])


def _weights(pl_module: Any) -> list[Tensor]:
    return [weight.detach() for weight in pl_module.parameters()]
