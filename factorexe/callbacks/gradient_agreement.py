"""Do the gradients of a batch's parts agree?

With the K gradients of a measure such as ``microbatch`` as rows of J, everything comes from G = J J' (K, K)::

    G = [[4, 2],      gram/cos_mean      2 / (2 * 1)  = 1       mean cosine of two parts
         [2, 1]]      gram/cos_min                      1       the smallest
                      gram/m_coherence   9 / 5        = 1.8     1'G1 / tr G, from 0 to K (Chatterjee & Zielinski
                                                                2020, arXiv:2008.01217)
                      gram/osgr          2 / 2.25     = 0.89    mean beside the diagonal / mean of all

``gram/osgr`` estimates the one-step generalization ratio (Liu et al. 2020, arXiv:2001.07384) without held-out problems:
a small step along the mean gradient lowers the loss of all parts by the mean of G, and that of a part it has not seen
by the mean beside the diagonal.  A single batch says little, so both are running means.  All of these compare problems
that are trained on: agreement among them is not yet generalization, and coherence is high with random labels as well.

``aggregate/<name>`` is what the aggregator says of itself (how much it kept, over what chance would keep; how often it
rejected a batch), the mean over all batches since the last look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import lightning.pytorch as lightning
import torch
from torch import Tensor

from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.callbacks.loggers import Charts
from factorexe.layout import Batch


class GradientAgreement(ChosenInstrument):
    """Compares the parts of one batch every ``every`` steps; ``memory`` is that of running means, per look."""

    charts: ClassVar[Charts] = {
        "agreement of gradients": {
            "cosine": ["Multiline", ["gram/(cos_mean|cos_min)"]],
            "m-coherence": ["Multiline", ["gram/m_coherence"]],
            "ratio without held-out problems": ["Multiline", ["gram/osgr"]],
        }
    }

    logs_itself = True

    def __init__(self, every: int, memory: float) -> None:
        self.every, self.memory = every, memory
        self._latest: dict[str, float] = {}
        self._beside = self._all = 0.0  # running sums of means of G, with one weight
        self._merged: dict[str, Any] = {}  # sums over batches since the last look
        self._batches: dict[str, int] = {}

    def state_dict(self) -> dict[str, Any]:
        """What was measured."""
        return {
            "latest": self._latest,
            "running": [self._beside, self._all],
            "merged": {name: float(total) for name, total in self._merged.items()},
            "batches": dict(self._batches),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self._latest, self._merged = state_dict["latest"], state_dict["merged"]
        (self._beside, self._all), self._batches = state_dict["running"], state_dict["batches"]

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """Asks for G of the last batch of a step that is looked at."""
        last = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        pl_module.procedure.watch = last and (trainer.global_step + 1) % self.every == 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Adds up what the aggregator did; looks at G if it was asked for."""
        for name, value in pl_module.procedure.stats.items():
            if name.startswith("aggregate/"):
                self._merged[name] = self._merged.get(name, 0.0) + value
                self._batches[name] = self._batches.get(name, 0) + 1
        if not pl_module.procedure.watch:
            return
        pl_module.procedure.watch = False
        if (gram := pl_module.procedure.gram) is not None:
            self._latest |= self._compared(gram)
        self._latest |= {name: float(total) / self._batches[name] for name, total in self._merged.items()}
        self._merged, self._batches = {}, {}
        if trainer.logger is not None and self._latest:
            trainer.logger.log_metrics(self._latest, trainer.global_step)

    def numbers(self) -> Mapping[str, float]:
        """The latest."""
        return self._latest

    def result(self) -> Mapping[str, Any]:
        """The latest, by name."""
        return {name.replace("/", "_"): value for name, value in self._latest.items()}

    def _compared(self, gram: Tensor) -> dict[str, float]:
        """What G says of this batch and, by ``gram/osgr``, of those before; nothing of a single part."""
        if len(gram) < 2:
            return {}
        told = gram_numbers(gram)
        beside, whole = told.pop("beside"), told.pop("all")
        self._beside = self.memory * self._beside + beside
        self._all = self.memory * self._all + whole
        return told | ({"gram/osgr": self._beside / self._all} if self._all > 0 else {})


def gram_numbers(gram: Tensor) -> dict[str, float]:
    """Cosines and coherence of K >= 2 gradients with inner products ``gram`` (K, K), and its means: beside the
    diagonal, and of all."""
    count = len(gram)
    gram = gram.double().cpu()
    norms = gram.diagonal().clamp_min(0).sqrt()
    away = ~torch.eye(count, dtype=torch.bool)
    cosines = (gram / (norms[:, None] * norms).clamp_min(1e-300))[away]
    total, trace = gram.sum(), gram.diagonal().sum()
    found = {
        "gram/cos_mean": cosines.mean(),
        "gram/cos_min": cosines.min(),
        "gram/m_coherence": total / trace.clamp_min(1e-300),
        "beside": gram[away].mean(),
        "all": gram.mean(),
    }
    return dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True))
