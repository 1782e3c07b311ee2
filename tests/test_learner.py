"""The learner under Lightning's Trainer against a loop written by hand."""

import copy
import math
import warnings
from types import SimpleNamespace

import lightning.pytorch as lightning
import pytest
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader

from factorexe.config import resolve
from factorexe.learner import Learner
from factorexe.objectives.base import Loss
from factorexe.optim.aggregators.mean import MeanConfig
from factorexe.optim.measures.plain import PlainConfig
from factorexe.run import build

STEPS = 4


def configured(**trainer):
    return resolve(
        {
            "task": {"name": "addition", "digits": 2},
            "objective": "chain",
            "model": {"name": "transformer", "dropout": 0.1},
            "optim": {"warmup": 2, "optimizer": {"lr": 0.01}},
            "data": {"batch_size": 8, "eval_size": 8},
            "trainer": {"max_steps": STEPS, **trainer},
        },
        preset="tiny",
    ).config


def trainer_for(max_steps=STEPS, callbacks=(), **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lightning.Trainer(
            **{"limit_val_batches": 0, "max_steps": max_steps, "max_epochs": -1, "accelerator": "cpu", "devices": 1}
            | {"plugins": [LightningEnvironment()], "callbacks": list(callbacks), "logger": False}
            | {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
            | {"num_sanity_val_steps": 0, "inference_mode": False}
            | options
        )


@pytest.fixture(autouse=True)
def _quiet_and_seeded():
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        yield


def learned(config, extra=None, callbacks=(), draws=None, **options):
    """The learner after a few steps under the Trainer; ``draws`` keeps the random state of each loss."""
    built = build(config)
    prepare = built.objective.prepare
    if draws is not None:
        built.objective.prepare = lambda *given: draws.append(torch.get_rng_state()) or prepare(*given)
    learner = Learner(built.model, built.objective, config.optim, config.seed)
    if extra is not None:
        learner.extra = extra
    trainer_for(callbacks=callbacks, **options).fit(learner, datamodule=built.data)
    return learner


def by_hand(config, draws, clip=None, accumulate=1, bf16=False):
    """The same steps in a plain loop: loss.backward(), clip, step.  Returns the model and its beginning."""
    built = build(config)
    model, objective = built.model, built.objective
    begun = copy.deepcopy(model.state_dict())
    optimizer = config.optim.optimizer.build(model)
    for step in range(STEPS):
        # warm-up over two steps, then half a cosine over the other two
        rate = [0.5, 1.0, 1.0, 0.5][step]
        for group in optimizer.param_groups:
            group["lr"] = rate * config.optim.optimizer.lr
        for micro in range(accumulate):
            torch.set_rng_state(draws[step * accumulate + micro])
            batch = built.data.batch("train", step * accumulate + micro)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                loss = objective.loss(model, batch)
            (loss.total / loss.weight / accumulate).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
    return model, begun


@pytest.mark.parametrize(
    ("clip", "accumulate", "bf16", "close"),
    [
        (None, 1, False, 1e-6),
        (0.1, 1, False, 1e-6),
        (None, 2, False, 1e-6),
        (0.1, 2, False, 1e-6),
        (0.1, 2, True, 5e-3),
    ],
    ids=["plain", "clipped", "accumulated", "both", "both in bf16"],
)
def test_training_equals_a_loop_written_by_hand(clip, accumulate, bf16, close):
    config = configured(accumulate_grad_batches=accumulate)
    draws = []
    learner = learned(
        config,
        draws=draws,
        gradient_clip_val=clip,
        accumulate_grad_batches=accumulate,
        precision="bf16-mixed" if bf16 else "32-true",
    )
    model, begun = by_hand(config, draws, clip, accumulate, bf16)
    for name, weight in model.state_dict().items():
        assert_close(learner.model.state_dict()[name], weight, rtol=0, atol=close)
    moved = max((weight - begun[name]).abs().max().item() for name, weight in model.state_dict().items())
    assert moved > 1e-2  # it did learn
    assert len({bytes(draw.tolist()) for draw in draws}) == len(draws) == STEPS * accumulate  # new dropout each time


class Gradients(lightning.Callback):
    """Keeps what stands in p.grad before each step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.seen.append({n: None if p.grad is None else p.grad.clone() for n, p in pl_module.named_parameters()})


def test_a_parameter_no_loss_uses_keeps_no_gradient_and_does_not_move():
    watch = Gradients()
    learner = learned(configured(), nn.Parameter(torch.ones(3, 3)), [watch], gradient_clip_val=1.0)
    assert len(watch.seen) == STEPS
    for gradients in watch.seen:
        assert {name for name, gradient in gradients.items() if gradient is None} == {"extra"}
    assert torch.equal(learner.extra.detach(), torch.ones(3, 3))  # no weight decay either


class Pair(nn.Module):
    """Two parameters whose gradient autograd keeps in one tensor."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([1.5, 2.0]))
        self.b = nn.Parameter(torch.zeros(2))

    def prepare(self, model, batch, step, generator):
        return batch

    def loss(self, model, batch):
        return Loss((self.a + self.b).square().sum(), torch.tensor(1.0), {})


def optim(**options):
    """Plain gradient descent with a step of 1."""
    sgd = SimpleNamespace(build=lambda module: torch.optim.SGD(module.parameters(), lr=1.0))
    procedure = {"measure": PlainConfig(), "aggregate": MeanConfig(), "filters": {}, "controls": {}}
    schedule = {"warmup": 0, "horizon": 10, "schedule": "constant"}
    return SimpleNamespace(**{"optimizer": sgd} | procedure | schedule | options)


def test_two_parameters_that_share_a_gradient_are_clipped_once():
    # both gradients are (3, 4), together of norm sqrt(50); clipped to sqrt(2): a fifth of it
    pair = Pair()
    learner = Learner(nn.Identity(), pair, optim(), seed=0)
    batches = DataLoader([torch.zeros(1)], batch_size=None)
    trainer_for(max_steps=1, gradient_clip_val=math.sqrt(2)).fit(learner, batches)
    assert_close(pair.a.detach(), torch.tensor([1.5 - 0.6, 2.0 - 0.8]))
    assert_close(pair.b.detach(), torch.tensor([-0.6, -0.8]))


def test_accumulation_adds_halves_of_what_each_batch_says():
    pair = Pair()
    learner = Learner(nn.Identity(), pair, optim(), seed=0)
    batches = DataLoader([torch.zeros(1)] * 2, batch_size=None)
    trainer_for(max_steps=1, accumulate_grad_batches=2, gradient_clip_val=None).fit(learner, batches)
    assert_close(pair.b.detach(), torch.tensor([-3.0, -4.0]))  # the mean of two equal gradients


def rates(steps, **options):
    learner = Learner(nn.Identity(), Pair(), optim(**options), seed=0)
    schedule = learner.configure_optimizers()["lr_scheduler"]["scheduler"]
    return [schedule.lr_lambdas[0](step) for step in steps]


def test_the_warm_up_rises_in_equal_steps_and_never_starts_at_zero():
    assert rates(range(5), warmup=4, horizon=100, schedule="constant") == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_cosine_is_one_at_the_end_of_the_warm_up_half_halfway_and_zero_at_the_horizon():
    assert rates([10, 60, 110], warmup=10, horizon=110, schedule="cosine") == pytest.approx([1.0, 0.5, 0.0])


def test_linear_falls_in_a_line():
    assert rates([0, 25, 50, 75, 100], horizon=100, schedule="linear") == pytest.approx([1, 0.75, 0.5, 0.25, 0])


def test_constant_stays():
    assert rates([0, 50, 1000], horizon=100, schedule="constant") == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_beyond_its_own_horizon_the_rate_stays_at_zero(schedule):
    assert rates([20, 21, 500], horizon=20, schedule=schedule) == pytest.approx([0, 0, 0])


def test_a_warm_up_longer_than_the_horizon_does_not_break():
    assert rates([0, 3, 4, 5], warmup=4, horizon=2, schedule="cosine") == pytest.approx([0.25, 1.0, 1.0, 0.0])


class Around(lightning.Callback):
    """Keeps mode and random state before and after each evaluation."""

    def __init__(self):
        self.before, self.after, self.within = [], [], []

    @staticmethod
    def _state(learner):
        return learner.training, learner.model.training, learner.objective.training, torch.get_rng_state().tolist()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.before.append(self._state(pl_module))

    def on_validation_batch_end(self, trainer, pl_module, *_):
        self.within.append(pl_module.model.training)

    def on_validation_end(self, trainer, pl_module):
        self.drawn = torch.get_rng_state().tolist()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx:
            self.after.append(self._state(pl_module))


def test_evaluation_leaves_mode_and_random_state_as_they_were():
    around = Around()
    learned(configured(), callbacks=[around], limit_val_batches=1.0, val_check_interval=1, check_val_every_n_epoch=None)
    assert around.within
    assert not any(around.within)  # dropout is off while evaluating
    assert len(around.after) == STEPS - 1
    for before, after in zip(around.before, around.after, strict=False):
        assert before[:3] == after[:3] == (True, True, True)
        assert before[3] == after[3]


def test_scores_of_every_evaluated_split_are_left_for_callbacks():
    learner = learned(configured(), limit_val_batches=1.0, val_check_interval=STEPS, check_val_every_n_epoch=None)
    assert list(learner.scores) == ["seen", "val", "ood"]
    assert all(score.n == 8 and 0 <= score.solved <= 1 for score in learner.scores.values())


def test_the_last_step_is_evaluated_whatever_the_cadence():
    steps = []

    class Watch(lightning.Callback):
        def on_validation_end(self, trainer, pl_module):
            steps.append(trainer.global_step)

    learned(
        configured(), callbacks=[Watch()], limit_val_batches=1.0, val_check_interval=3, check_val_every_n_epoch=None
    )
    assert steps == [3, 4]
