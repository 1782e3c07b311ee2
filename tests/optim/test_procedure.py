"""What holds for every gradient procedure, whatever it is made of."""

import lightning.pytorch as lightning
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from trained import STEPS, configured, learned, weights

from factorexe.optim.aggregate import Aggregator, Merged
from factorexe.optim.filter import Filter
from factorexe.optim.flat import Flat


class Zero(Filter):
    """Leaves nothing, and counts."""

    calls = 0

    def forward(self, gradient):
        self.calls += 1
        return torch.zeros_like(gradient)


class Reject(Aggregator):
    """Rejects every batch."""

    def forward(self, parts, guide):
        assert len(list(parts)) >= 1
        return Merged(None)


def with_filter(learner):
    learner.procedure.filters["zero"] = Zero(learner.flat)


SETTINGS = {
    "plain": {},
    "clipped": {"gradient_clip_val": 0.1},
    "accumulated": {"accumulate_grad_batches": 2},
    "both": {"gradient_clip_val": 0.1, "accumulate_grad_batches": 2},
    "both in bf16": {"gradient_clip_val": 0.1, "accumulate_grad_batches": 2, "precision": "bf16-mixed"},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("split", ["random", "stratified", "difficulty"])
def test_the_mean_over_parts_is_plain_training(setting, split):
    # 12 rows in 5 parts: unequal, and of unequal numbers of supervised tokens
    plain = learned(configured(), **SETTINGS[setting])
    parts = {"measure": {"name": "microbatch", "parts": 5, "split": split}, "aggregate": "mean"}
    split_up = learned(configured(parts), **SETTINGS[setting])
    close = 2e-2 if "bf16" in setting else 1e-5
    assert_close(weights(split_up), weights(plain), rtol=0, atol=close)
    begun = weights(learned(configured(), max_steps=0))
    assert (weights(plain) - begun).abs().max() > 1e-2  # it did learn


class Losses(lightning.Callback):
    """Keeps the losses that training shows."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(outputs["loss"].item())


def test_the_loss_that_is_shown_is_the_mean_over_all_parts():
    plain, parts = Losses(), Losses()
    learned(configured(), [plain])
    learned(configured({"measure": {"name": "microbatch", "parts": 5, "split": "difficulty"}}), [parts])
    assert parts.seen == pytest.approx(plain.seen, rel=1e-5)


def test_a_filter_that_leaves_nothing_freezes_the_model():
    plain = {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.0}}
    frozen = learned(configured(plain), change=with_filter)
    assert torch.equal(weights(frozen), weights(learned(configured(plain), max_steps=0)))
    assert frozen.global_step == STEPS


@pytest.mark.parametrize("measure", ["plain", "sam", {"name": "microbatch", "inner": "sam"}], ids=str)
def test_a_filter_runs_once_for_each_step(measure):
    learner = learned(configured({"measure": measure}), change=with_filter, accumulate_grad_batches=2)
    assert learner.procedure.filters["zero"].calls == learner.global_step == STEPS


def test_where_everything_is_rejected_nothing_moves_and_no_filter_runs():
    def rejecting(learner):
        learner.procedure.aggregator = Reject(learner.flat)
        with_filter(learner)

    decay = {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 1.0}}
    learner = learned(configured(decay), change=rejecting, accumulate_grad_batches=2, gradient_clip_val=1.0)
    assert torch.equal(weights(learner), weights(learned(configured(decay), max_steps=0)))  # no decay either
    assert learner.procedure.filters["zero"].calls == 0
    assert learner.global_step == STEPS


class Once(Reject):
    """Rejects the first batch of two."""

    calls = 0

    def forward(self, parts, guide):
        self.calls += 1
        (part,) = parts
        return Merged(None if self.calls % 2 else part.gradient)


def test_a_batch_that_is_rejected_adds_nothing_to_those_that_are_not():
    def rejecting(learner):
        learner.procedure.aggregator = Once(learner.flat)

    class Gradients(lightning.Callback):
        def __init__(self):
            self.seen = []

        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            self.seen.append(pl_module.flat.gradient())

    sgd = {"optimizer": {"name": "adamw", "lr": 1e-9}}
    learned(configured(sgd), [watch := Gradients()], change=rejecting, accumulate_grad_batches=2)
    config = configured(sgd)
    from factorexe.run import build

    built = build(config)
    flat = Flat(built.model.named_parameters())
    loss = built.objective.loss(built.model, built.data.batch("train", 1))
    second = flat.vector(torch.autograd.grad(loss.total / loss.weight, flat.parameters))
    assert_close(watch.seen[0], second / 2, rtol=1e-5, atol=1e-7)  # half of a window of two


def test_what_is_not_used_keeps_no_gradient_and_what_is_frozen_stays():
    def frozen(learner):
        learner.model.extra = nn.Parameter(torch.ones(3, 3))  # in no loss
        learner.model.embedding.weight.requires_grad_(False)
        learner.flat = Flat(learner.named_parameters())
        learner.procedure = type(learner.procedure)(learner.optim, learner.flat)

    decay = {"measure": "microbatch", "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 1.0}}
    learner = learned(configured(decay), change=frozen)
    assert torch.equal(learner.model.extra.detach(), torch.ones(3, 3))  # not even decayed
    begun = learned(configured(decay), max_steps=0)
    assert torch.equal(learner.model.embedding.weight, begun.model.embedding.weight)
    assert not torch.equal(weights(learner)[: begun.model.embedding.weight.numel()], torch.zeros(1))


def test_a_looped_block_has_one_gradient_for_all_its_loops():
    looped = {"name": "universal-transformer", "steps": 3, "dropout": 0.0}
    plain = learned(configured(model=looped))
    parts = learned(configured({"measure": {"name": "microbatch", "parts": 4}}, model=looped))
    assert_close(weights(parts), weights(plain), rtol=0, atol=1e-5)


def test_a_tied_parameter_comes_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

    tied = Tied()
    flat = Flat(tied.named_parameters())
    assert flat.names == ["a.weight"]
    x = torch.tensor([[1.0, 2.0]])
    gradients = torch.autograd.grad((tied.a(x) + tied.b(x)).sum(), flat.parameters)
    assert_close(flat.vector(gradients), torch.tensor([2.0, 4.0, 2.0, 4.0]))  # twice x for each row


def test_the_gram_matrix_is_that_of_the_parts():
    def watched(learner):
        learner.procedure.watch = True

    config = configured({"measure": {"name": "microbatch", "parts": 3, "split": "stratified"}})
    learner = learned(config, change=watched, max_steps=1)
    gram = learner.procedure.gram
    from factorexe.run import build

    built = build(config)
    flat = Flat(built.model.named_parameters())
    batch = built.data.batch("train", 0)
    order = torch.from_numpy(batch.examples.difficulty).argsort(stable=True)
    rows = []
    for first in range(3):
        loss = built.objective.loss(built.model, batch.select(order[first::3].sort().values))
        rows.append(flat.vector(torch.autograd.grad(loss.total / loss.weight, flat.parameters)))
    assert_close(gram, torch.stack(rows) @ torch.stack(rows).T, rtol=1e-4, atol=1e-6)
