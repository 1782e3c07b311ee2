"""How large weights, updates and logits are: what stands behind a memorizer's confidence.

Every 100 steps, after the update::

    weight/norm     3          |w| of all trained parameters; weight/norm_2d of matrices alone
    update/ratio    0.01       |w after - w before| / |w before|
    gradient/norm   0.5        before filters and clipping
    nlm/cos        -1          cosine of gradient and weights: near -1 the loss falls by scaling the weights up
    logit/scale     2          standard deviation of a token's logits, mean over tokens
    logit/margin    6          right token's logit minus the largest other one's
    efficiency      2          margin / |w|
    softmax/collapse 0.25      share of tokens whose cross-entropy is exactly 0 in single precision

Tokens without loss give no gradient (softmax collapse), and descending by scaling alone is naive loss minimization:
Prieto et al. 2025, arXiv:2501.04697.  ``efficiency`` is a plain stand-in for the logit per parameter norm of Varma et
al. 2023, arXiv:2309.02390, whose exponent depends on the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import lightning.pytorch as lightning
import torch
import torch.nn.functional as F
from torch import Tensor

from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.callbacks.loggers import Charts
from factorexe.callbacks.looking import looking, supervised
from factorexe.layout import Batch


class WeightAndLogit(ChosenInstrument):
    """Measures every ``every`` steps; logits on at most ``rows`` problems of the training batch."""

    charts: ClassVar[Charts] = {
        "weights and logits": {
            "norm of the weights": ["Multiline", ["weight/(norm|norm_2d)"]],
            "logits": ["Multiline", ["logit/(scale|margin)"]],
            "cosine of gradient and weights": ["Multiline", ["nlm/cos"]],
            "softmax collapse": ["Multiline", ["softmax/collapse"]],
            "share of the weights that a step moves": ["Multiline", ["update/ratio"]],
        }
    }

    logs_itself = True

    def __init__(self, every: int, rows: int) -> None:
        self.every, self.rows = every, rows
        self._latest: dict[str, float] = {}
        self._found: dict[str, Tensor] = {}
        self._weights: Tensor | None = None  # (P,) before the update

    def state_dict(self) -> dict[str, Any]:
        """The latest numbers."""
        return {"latest": self._latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Those of the step before."""
        self._latest = state_dict["latest"]

    @torch.no_grad()
    def on_before_optimizer_step(self, trainer: lightning.Trainer, pl_module: Any, optimizer: Any) -> None:
        """The gradient of the whole step, and the weights that it is taken at."""
        if (trainer.global_step + 1) % self.every:
            return
        self._weights, gradient = pl_module.flat.weights(), pl_module.flat.gradient()
        self._found = {}
        if gradient is not None:  # None: no batch of this step was accepted
            self._found["gradient/norm"] = gradient.norm()
            self._found["nlm/cos"] = F.cosine_similarity(gradient, self._weights, dim=0)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Weights and logits after the update."""
        if self._weights is None:
            return
        before, self._weights = self._weights, None
        found = self._found | weight_numbers(pl_module.flat, before) | logit_numbers(pl_module, batch, self.rows)
        found["efficiency"] = found["logit/margin"] / found["weight/norm"]
        self._latest = dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True))
        filters = {name: value for name, value in pl_module.procedure.stats.items() if name.startswith("filter/")}
        self._latest |= {name: float(value) for name, value in filters.items()}
        if trainer.logger is not None:
            trainer.logger.log_metrics(self._latest, trainer.global_step)

    def numbers(self) -> Mapping[str, float]:
        """The latest."""
        return self._latest

    def result(self) -> Mapping[str, Any]:
        """The latest, by name."""
        return {name.replace("/", "_"): value for name, value in self._latest.items()}


def weight_numbers(flat: Any, before: Tensor) -> dict[str, Tensor]:
    """Norms of the weights, and how far they have moved from ``before`` (P,)."""
    weights = flat.weights()
    pairs = zip(flat.parameters, flat.spans, strict=True)
    matrices = [weights[span].norm() for parameter, span in pairs if parameter.ndim >= 2]
    found = {"weight/norm": weights.norm(), "update/ratio": (weights - before).norm() / before.norm()}
    return found | ({"weight/norm_2d": torch.stack(matrices).norm()} if matrices else {})


def logit_numbers(learner: Any, batch: Batch, rows: int) -> dict[str, Tensor]:
    """What the logits of supervised tokens are like; of a model with several states, as their weights have it."""
    some = batch.select(torch.arange(min(rows, len(batch)), device=batch.tokens.device))
    with looking(learner):
        found = supervised(learner, some)
        logits = learner.model.readout(found.states).float()  # (S, M, V)
        targets = found.targets.expand(len(logits), -1)  # (S, M)
        right = logits.gather(2, targets.unsqueeze(2)).squeeze(2)
        others = logits.scatter(2, targets.unsqueeze(2), -torch.inf).amax(dim=2)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
        return {
            "logit/scale": (found.share * logits.std(dim=2, correction=0)).sum(dim=0).mean(),
            "logit/margin": (found.share * (right - others)).sum(dim=0).mean(),
            "softmax/collapse": ((found.share * losses).sum(dim=0) == 0).float().mean(),
        }
