"""Wire one run to Lightning's Trainer: callbacks, resume, the last evaluation, the result.

A run trains on one device.  Lightning is told so outright: variables left in the environment by a scheduler
(SLURM_*, RANK) would otherwise switch off every log of a process whose rank is not 0.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities.rank_zero import rank_zero_only  # type: ignore[attr-defined]

from factorexe.callbacks.averaging import WeightAveraging
from factorexe.callbacks.checkpoints import Checkpoints, Stop
from factorexe.callbacks.curves import TrainingCurve
from factorexe.callbacks.ending import EndWhenSolved
from factorexe.callbacks.generalization import GeneralizationMonitor
from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.callbacks.loggers import logger_for
from factorexe.callbacks.progress import Progress
from factorexe.callbacks.samples import Samples
from factorexe.learner import Learner
from factorexe.result import result_of
from factorexe.rundir import RunError, read_checkpoint, write
from factorexe.threads import threads


def train(run: Any, built: Any, started: float, stop: Stop | None, say: Any) -> None:
    """Train ``run`` to its last step from its latest usable checkpoint, then write its result.

    Raises:
        Stopped: it was asked to stop, and is saved.
        RunError: no checkpoint can be used.
    """
    config = run.config
    checkpoint, reached = _latest_checkpoint(run, say)
    if checkpoint:
        say(f"resuming {run.path} at step {reached}")
    with quiet(), threads(config.trainer.threads), torch.random.fork_rng(devices=[]):
        if config.trainer.compile:
            built.model.compile_core()
            built.model.compiled = True
        learner = Learner(built.model, built.objective, config.optim, config.seed)
        instruments = _instruments(config)
        charts = {group: of for each in instruments.values() for group, of in each.charts.items()}
        curve = TrainingCurve(config.trainer.log_every_n_steps, _sortable(config), config.data.batch_size, charts)
        per_step = config.data.batch_size * config.trainer.accumulate_grad_batches
        monitor = GeneralizationMonitor(run.directory.metrics, curve, per_step, started, list(instruments.values()))
        samples = Samples(built.layout)
        checkpoints = Checkpoints(run.directory, monitor, run.record["id"], stop or Stop())
        shown = [Progress(curve)] if config.trainer.enable_progress_bar else []
        averaged = [WeightAveraging(config.optim.averaging_decay)] if config.optim.averaging == "ema" else []
        rate = config.trainer.stop_when_solved
        ending = [] if rate is None else [EndWhenSolved(monitor, rate)]
        callbacks = [*instruments.values(), curve, monitor, *ending, samples, *shown, *averaged, checkpoints]
        logger = logger_for(config.trainer.logger, run.directory, reached if checkpoint else None)
        trainer = trainer_for(
            config.trainer,
            max_steps=run.max_steps,
            max_epochs=-1,
            accumulate_grad_batches=config.trainer.accumulate_grad_batches,
            gradient_clip_val=config.trainer.gradient_clip_val,
            # Lightning counts batches
            val_check_interval=config.trainer.val_check_interval * config.trainer.accumulate_grad_batches,
            check_val_every_n_epoch=None,
            log_every_n_steps=config.trainer.log_every_n_steps,
            callbacks=callbacks,
            logger=logger or False,  # None would leave the choice to Lightning
            default_root_dir=run.path,
        )
        with interruptible():
            trainer.fit(learner, datamodule=built.data, ckpt_path=checkpoint, weights_only=True)
        result = result_of(run, built, learner, monitor, trainer.global_step)
        if trainer.global_step < run.max_steps:
            result["ended"] = "solved"
        result |= {key: found for key, each in instruments.items() if (found := dict(each.result()))}
        result["samples"] = [sample._asdict() for sample in samples.latest]
    write(run.directory.result, json.dumps(result, indent=2) + "\n")


def trainer_for(options: Any, **more: Any) -> lightning.Trainer:
    """Lightning's Trainer on one device, without what Lightning adds by itself."""
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # read from the environment when lightning was imported
    return lightning.Trainer(
        accelerator=options.accelerator,
        devices=1,
        plugins=[LightningEnvironment()],
        precision=options.precision,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,  # tensors made in evaluation may be used in training
        use_distributed_sampler=False,
        profiler=_Unwatched(),
        **more,
    )


class _Unwatched(PassThroughProfiler):
    """Measures nothing, in no time: Lightning opens some fifty of these contexts in a step."""

    _nothing = contextlib.nullcontext()

    def profile(self, action_name: str) -> Any:
        """One context for all."""
        return self._nothing


def _instruments(config: Any) -> dict[str, ChosenInstrument]:
    """Those that were chosen and have something to look at in this run, by key."""
    built = {key: options.build(config) for key, options in dict(config.instruments).items()}
    return {key: instrument for key, instrument in built.items() if instrument is not None}


def _latest_checkpoint(run: Any, say: Any) -> tuple[Path | None, int]:
    """The newest usable checkpoint and its step; (None, 0) for a fresh run."""
    problems = []
    for name in ("last", "previous"):
        path = run.directory.checkpoint(name)
        if not path.exists():
            continue
        try:
            content = read_checkpoint(path)
            if (owner := _owner(content)) != run.record["id"]:
                raise RunError(f"{path}: belongs to another run ({owner or 'unknown'})")
        except RunError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            say(f"{problem}; going on from the one before it")
        if problems:  # it must never rotate into the place of the good one
            damaged = run.directory.checkpoint("last")
            damaged.replace(damaged.with_suffix(".damaged"))
        return path, int(content["global_step"])
    if problems:
        raise RunError("no checkpoint can be used: " + "; ".join(problems))
    return None, 0


def _owner(content: dict[str, Any]) -> Any:
    """The id of the run a checkpoint belongs to."""
    try:
        return content["callbacks"]["Checkpoints"]["run"]
    except (KeyError, TypeError, IndexError):
        return None


def _sortable(config: Any) -> dict[str, Any]:
    """Options a reader would sort runs by."""
    options: dict[str, Any] = {"seed": config.seed}
    for name in ("task", "model", "objective"):
        chosen = getattr(config, name)
        options |= {
            name if key == "name" else f"{name}.{key}": value
            for key, value in chosen.model_dump(mode="json").items()
            if isinstance(value, bool | int | float | str)
        }
    options |= {"lr": config.optim.optimizer.lr, "batch_size": config.data.batch_size}
    known = config.data.train_size or config.data.train_fraction or "stream"
    options |= {"train_size": known, "max_steps": config.trainer.max_steps}
    return options


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C with ``sys.exit`` and leaves the signal ignored; a caller gets its
    KeyboardInterrupt, and the signal back."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's advertisements and its remarks about choices made here on purpose."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*lr_scheduler.step.*"):
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)
