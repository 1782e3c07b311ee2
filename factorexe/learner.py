"""The one LightningModule: model + objective + what turns gradients into updates.

Training runs under Lightning's automatic optimization, so clipping, accumulation and mixed precision are
Lightning's.  Gradients are taken in ``backward``, the one place where they come into being; everything
random in a step comes from the default generator, which is seeded from (seed, step, micro-batch) first, so a
resumed run draws what the uninterrupted one drew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import lightning.pytorch as lightning
import torch
from torch import Tensor

from factorexe.generation import Generated
from factorexe.layout import Batch
from factorexe.models.base import Model
from factorexe.objectives.base import Objective
from factorexe.scores import Score, SplitScore

# Problems of each difficulty whose loss is computed.  Scoring 1,000 answers took 0.53 s and their loss as long again
# (2-layer model of width 128, 2 cores); the mean over the tokens of 250 is precise enough for a curve.
LOSS_PROBLEMS = 250


class Scored(NamedTuple):
    """What the model answered to one evaluation batch."""

    generated: Generated
    solved: Tensor  # (B,)


class Learner(lightning.LightningModule):
    """A model being trained.

    Args:
        optim: an ``OptimConfig``.
        seed: of everything random in training.
    """

    def __init__(self, model: Model, objective: Objective, optim: Any, seed: int) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.optim, self.seed = optim, seed
        self.scores: dict[str, Score] = {}  # of the latest evaluation, by split
        self._metrics: list[SplitScore] = []
        self._trained = [p for p in self.parameters() if p.requires_grad]  # kept: finding them takes 0.1 ms

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes the name of the hook at hand here, some thirty times a step; a module's own way of
        setting an attribute would take 0.1 ms for them."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def training_step(self, batch: Batch, index: int) -> dict[str, Tensor]:
        """The mean loss over supervised tokens."""
        prepared = self.objective.prepare(self.model, batch, self.global_step, self._seeded(index))
        loss = self.objective.loss(self.model, prepared)
        return {"loss": loss.total / loss.weight}

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Adds the gradient of the loss, scaled by Lightning for accumulation, to ``p.grad``."""
        _add(self._trained, torch.autograd.grad(loss, self._trained, allow_unused=True))

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by norm.  Lightning refuses to when a fused optimizer meets mixed precision, for the sake of
        fp16's loss scale, which is not used here."""
        if gradient_clip_val is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, gradient_clip_val)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """The last step is evaluated, whatever the cadence."""
        if self.global_step >= self.trainer.max_steps:
            self.trainer.val_check_batch = batch_idx + 1

    def configure_optimizers(self) -> Any:
        """The chosen optimizer and the schedule of its learning rate."""
        optimizer = self.optim.optimizer.build(self)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Share of the highest learning rate in the update after ``step`` updates."""
        warmup, horizon = self.optim.warmup, self.optim.horizon
        if step < warmup:
            return float((step + 1) / warmup)
        done = min(1.0, (step - warmup) / max(1, horizon - warmup))
        rates: dict[str, float] = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}
        return rates[self.optim.schedule]

    def _seeded(self, index: int) -> torch.Generator:
        """The default generator of the device, seeded for this micro-batch."""
        micro = index % self.trainer.accumulate_grad_batches
        number = ((self.seed * 1_000_003 + self.global_step) * 4_099 + micro) % 2**63
        torch.default_generator.manual_seed(number)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(number)
        return torch.default_generator

    # -- evaluation

    @property
    def _data(self) -> Any:
        """The data module in use."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def on_validation_epoch_start(self) -> None:
        """Fresh counts for every split."""
        if not self._metrics:
            spans = [_span(self._data.evaluation_batches(split)) for split in self._data.evaluated]
            self._metrics = [SplitScore(span) for span in spans]
        for metric in self._metrics:
            metric.reset()

    def validation_step(self, batch: Batch, index: int, dataloader_idx: int = 0) -> Scored:  # type: ignore[override]
        """What the model answers on its own to every problem; the loss, right tokens given, of the first few."""
        metric = self._metrics[dataloader_idx]
        generated = self.objective.decode(self.model, batch)
        solved = self._data.solved(batch, generated)
        rows = metric.first_of_each(batch.examples.difficulty, LOSS_PROBLEMS)
        sums = [generated.compute.new_zeros(())] * 3
        if len(rows):
            loss = self.objective.loss(self.model, batch.select(rows.to(self.device)))
            sums = [loss.total, loss.weight, loss.logs["correct"]]
        metric.update(
            solved, torch.from_numpy(batch.examples.difficulty), torch.stack([*sums, generated.compute.sum()])
        )
        if hasattr(self._data, "qualities"):
            metric.add_qualities(self._data.qualities(batch, generated))
        return Scored(generated, solved)

    def predict_step(self, batch: Batch, index: int) -> Generated:
        """What the model answers to prompts."""
        return self.objective.decode(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        """Leaves the scores where callbacks read them, and tells the data, whose curriculum may follow them."""
        names = self._data.evaluated
        self.scores = {name: metric.compute() for name, metric in zip(names, self._metrics, strict=True)}
        if hasattr(self._data, "learned"):
            self._data.learned(self.global_step, self.scores)


def _span(batches: list[Batch]) -> range:
    levels = [batch.examples.difficulty for batch in batches]
    return range(min(int(level.min()) for level in levels), max(int(level.max()) for level in levels) + 1)


def _add(parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Adds to ``p.grad``.  What no loss used stays None; memory that autograd shares between gradients is
    copied, since clipping writes in place."""
    owned: set[int] = set()
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            continue
        if parameter.grad is not None:
            parameter.grad += gradient
            continue
        shared = gradient.data_ptr() in owned or not gradient.is_contiguous()
        parameter.grad = gradient.clone(memory_format=torch.contiguous_format) if shared else gradient
        owned.add(gradient.data_ptr())
