"""The one LightningModule: model + objective + what turns gradients into updates.

Training runs under Lightning's automatic optimization, so clipping, accumulation and mixed precision are
Lightning's.  The gradient procedure does its forward passes in ``training_step``, its backward passes in
``backward``, and edits gradients in ``on_before_optimizer_step``; an optimizer that is wrapped, or that is hooked
before its step, would edit what Lightning's closure then makes anew.  Everything random in a step comes from the
default generator, which is seeded from (seed, step, micro-batch, rank) first, so a resumed run draws what the
uninterrupted one drew.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import lightning.pytorch as lightning
import torch
from torch import Tensor

from factorexe.generation import Generated
from factorexe.layout import Batch
from factorexe.micro_step import MicroStep
from factorexe.models.base import Model
from factorexe.objectives.base import Objective
from factorexe.optim.flat import Flat
from factorexe.optim.procedure import Procedure
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
        self.flat = Flat(self.named_parameters())
        self.procedure = Procedure(optim, self.flat)

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
        step = MicroStep(
            self.flat,
            self.model,
            self.objective,
            self._data,
            number=index,
            seed=self.seed,
            made=self.global_step,
            precision=self.trainer.precision_plugin.train_step_context,
        )
        return {"loss": self.procedure.begin(step, prepared)}

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Adds the batch's gradient, scaled for accumulation as Lightning scales the loss, to ``p.grad``."""
        self.procedure.backward(1 / self.trainer.accumulate_grad_batches)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Filters and controls, once for each step, before the gradient is clipped."""
        self.procedure.before(optimizer, self.global_step)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """The optimizer's step, and what controls do after it."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.procedure.after(self.trainer.optimizers[0], self.global_step + 1)  # counted only after this hook

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by norm.  Lightning refuses to when a fused optimizer meets mixed precision, for the sake of
        fp16's loss scale, which is not used here."""
        if gradient_clip_val is not None:
            torch.nn.utils.clip_grad_norm_(self.flat.parameters, gradient_clip_val)

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
        number = ((self.seed * 1_000_003 + self.global_step) * 4_099 + micro + 2**48 * self.global_rank) % 2**63
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
        self.procedure.learned(self.global_step, {name: of for name, of in self.scores.items() if name == "seen"})


def _span(batches: list[Batch]) -> range:
    levels = [batch.examples.difficulty for batch in batches]
    return range(min(int(level.min()) for level in levels), max(int(level.max()) for level in levels) + 1)
