"""The options of a run: what they are called, what they may be, and which of them change no number."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from factorexe.choice import Choice, Choices, Options

INSTRUMENTS = ("one-step-probe", "canaries", "weight-and-logit", "gradient-agreement")


class NotInId:
    """Marks a field that changes no number, and so is not part of a run's id."""


class RunPath:
    """Marks a field that names a run by its directory; what is in the id is the content of its weights."""


class DataConfig(Options):
    """Which problems are trained on and scored."""

    batch_size: int = Field(64, ge=1)
    """Problems per batch."""
    train_size: int | None = Field(None, ge=1)
    """Distinct train problems; an endless stream if not given."""
    train_fraction: float | None = Field(None, gt=0, lt=1)
    """Share of a small task's table to train on, to the problem; val, guide and test share the rest.  Instead of
    `train_size`."""
    eval_size: int = Field(1000, ge=1)
    """Distinct problems per difficulty in each scored split, or all that it holds."""
    mixture: dict[int, float] | None = None
    """Weight of each difficulty in training (2=1,3=4); uniform if not given."""
    curriculum: Annotated[Any, Choice("curricula", "uniform")] = None
    """Which difficulties are in play as training goes on."""
    corrupt: float = Field(0.0, ge=0, le=1)
    """Share of train problems whose answer is replaced by a wrong one (canaries)."""
    split_seed: int = Field(0, ge=0)
    """Decides which problems are in which split."""
    num_workers: Annotated[int, NotInId()] = Field(0, ge=0)
    """Processes that make training batches; 0 makes them in the training process."""

    @model_validator(mode="after")
    def _training_set_is_one(self) -> DataConfig:
        if self.train_size is not None and self.train_fraction is not None:
            raise ValueError(
                f"train_size ({self.train_size}) and train_fraction ({self.train_fraction}) exclude each other: set one"
                " of them to None (null in a file)"
            )
        return self

    @model_validator(mode="after")
    def _batches_can_wait_for_scores(self) -> DataConfig:
        if self.num_workers and getattr(self.curriculum, "adapts", False):
            raise ValueError(
                "an adaptive curriculum decides between two batches, so the training process has to make them:"
                f" expected num_workers 0 (got {self.num_workers})"
            )
        return self


class OptimConfig(Options):
    """From gradients to updates."""

    measure: Annotated[Any, Choice("measures", "plain")]
    """Which gradients a batch is asked for."""
    aggregate: Annotated[Any, Choice("aggregators", "mean")]
    """What becomes of several gradients."""
    filters: Annotated[Any, Choices("filters")]
    """What is done to the one gradient before each step, in this order."""
    controls: Annotated[Any, Choices("controls")]
    """What is done around each step, the gradient aside."""
    optimizer: Annotated[Any, Choice("optimizers", "adamw")]
    """Optimizer."""
    averaging: Literal["none", "ema"] = "none"
    """What is evaluated and kept: the weights as trained, or an exponential moving average of them."""
    averaging_decay: float = Field(0.999, ge=0, lt=1)
    """What the moving average keeps of itself at each step."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up: down to 0 at the horizon, or constant."""
    warmup: int = Field(100, ge=0)
    """Steps over which the learning rate rises from 0."""
    horizon: int | None = Field(None, ge=1)
    """Step at which cosine and linear reach 0; the run's first `max_steps` if not given."""


class TrainerConfig(Options):
    """How long and on what; names are those of Lightning's Trainer."""

    max_steps: int = Field(1000, ge=1)
    """Optimizer steps."""
    val_check_interval: int = Field(100, ge=1)
    """Optimizer steps between evaluations."""
    stop_when_solved: float | None = Field(None, gt=0, le=1)
    """End training once val is solved at this rate in three evaluations in a row; None makes all steps."""
    log_every_n_steps: int = Field(20, ge=1)
    """Optimizer steps between points of the training curve."""
    accumulate_grad_batches: int = Field(1, ge=1)
    """Batches whose gradients are added up for one step."""
    gradient_clip_val: float | None = Field(1.0, gt=0)
    """Largest norm of the gradient; None does not clip."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic of the forward pass."""
    compile: bool = False
    """Compile the model's core for training: some twenty seconds, then steps get a little faster."""
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], NotInId()] = "auto"
    """Device."""
    threads: Annotated[int | None, NotInId()] = Field(None, ge=1)
    """Processor threads of the arithmetic; as many as this process may use, at most 4, if not given."""
    enable_progress_bar: Annotated[bool, NotInId()] = True
    """Show progress on stderr."""
    logger: Annotated[Literal["tensorboard", "csv", "none"], NotInId()] = "tensorboard"
    """Where the training curve goes: TensorBoard's events, a table (curve.csv), or nowhere; evaluations are in
    metrics.csv whatever this is."""


class RunConfig(Options):
    """Everything that describes a run."""

    task: Annotated[Any, Choice("tasks")]
    """Family of problems."""
    model: Annotated[Any, Choice("models", "universal-transformer")]
    """Network."""
    objective: Annotated[Any, Choice("objectives", "answer")]
    """What is trained."""
    optim: OptimConfig
    """Gradients to updates."""
    data: DataConfig = Field(default_factory=DataConfig)
    """Which problems."""
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)
    """How long and on what."""
    instruments: Annotated[Any, Choices("instruments", INSTRUMENTS, least=0)]
    """What watches the run, beside the evaluations."""
    seed: int = Field(0, ge=0)
    """Seed of weights, batches and dropout."""
    init_from: Annotated[str | None, RunPath()] = None
    """Run whose best weights this one begins with, symbol by symbol."""
