"""What looped models share: prelude, a group of blocks applied again and again, coda; halting, depth, gradients.

With e the embedded input after the prelude, a loop begins with the state z[0] and makes steps n = 1, 2, ...::

    z[n] = norm(group(...z[n-1], e...))

What a step does with z and e is the model's own (``advance``).  Everything around it is here and is the same for all:

- ``halting`` decides after each step which tokens stop, and what of their states is the output;
- ``depth`` says how many steps training makes, batch by batch, or how many a problem is given;
- ``backprop`` lets gradients through the last steps alone (truncated backpropagation through time);
- ``start_noise`` begins training from a random state (Geiping et al. 2025, arXiv:2502.05171, section 3.1).

    factorexe fit --task parity --model universal-transformer --model.steps 8 --model.halting ponder
    factorexe fit --task parity --model universal-transformer --model.steps 8 --model.depth uniform --model.backprop 4

A token that has halted makes no further step, and costs none in evaluation; ``loop`` says how.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from factorexe.choice import Choice
from factorexe.models.base import Output, one_state
from factorexe.models.decoder import Decoder, DecoderConfig, Reading
from factorexe.models.depth.base import Pass
from factorexe.models.depth.fixed import FixedDepthConfig
from factorexe.models.halting.base import AdaptiveConfig
from factorexe.models.halting.fixed import Fixed, FixedConfig
from factorexe.models.layers import Block, Context, norm
from factorexe.models.loop import Loop, State, walk
from factorexe.models.loop.remembered import decided_in
from factorexe.models.luck import luck
from factorexe.models.memory import Memory
from factorexe.models.passes import carried, joined, typical, with_passes
from factorexe.models.step_signal import StepSignal

if TYPE_CHECKING:
    from factorexe.layout import Batch

_HALTING = "halting."


class LoopedConfig(DecoderConfig):
    """Options of a loop."""

    layers: int = Field(1, ge=1)
    """Blocks in the shared group."""
    steps: int = Field(3, ge=1)
    """Times the group is applied."""
    prelude: int = Field(0, ge=0)
    """Blocks before the loop, each applied once."""
    coda: int = Field(0, ge=0)
    """Blocks after the loop, each applied once."""
    step_embedding: Literal["none", "learned", "sinusoidal", "remaining"] = "none"
    """What tells a step which one it is; `remaining` counts the steps that are left."""
    loop_norm: bool = True
    """Normalise the state after every step."""
    halting: Annotated[Any, Choice("halting", "fixed")]
    """By what a token stops before the last step."""
    depth: Annotated[Any, Choice("depths", "fixed")]
    """How many steps training makes, or a problem is given."""
    backprop: int | None = Field(None, ge=1)
    """Steps at the end of the loop that pass gradients; all if not given."""
    start_noise: float = Field(0.0, ge=0)
    """Standard deviation of the state that training begins with; evaluation begins with its mean."""

    @model_validator(mode="after")
    def _steps_have_embeddings(self) -> LoopedConfig:
        deepest, knower = self.depth.deepest(self.steps), self.knows_steps
        if knower is not None and (deepest is None or deepest > self.steps):
            made = "any number of" if deepest is None else f"up to {deepest}"
            raise ValueError(
                f"depth makes {made} steps; {knower} knows steps ({self.steps}): use another one or fewer steps"
            )
        return self

    @model_validator(mode="after")
    def _gradients_reach_the_input(self) -> LoopedConfig:
        if self.backprop is not None and self.reads_input_once:
            raise ValueError(
                "backprop: this loop reads its input in the first step alone, so that its embedding would learn"
                " nothing; leave backprop out"
            )
        return self

    @property
    def reads_input_once(self) -> bool:
        """Whether the first step alone sees the embedded input."""
        return False

    @property
    def knows_steps(self) -> str | None:
        """What has weights for each step, so that the loop makes no more of them; None: nothing."""
        if self.step_embedding == "learned":
            return "the learned step embedding"
        return "the halting policy" if self.halting.knows_steps else None

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """One to four times the steps, and what the halting policy offers."""
        most = 4 * self.steps if self.knows_steps is None else self.steps
        near = range(1, min(most, 2 * self.steps) + 1)
        steps = sorted({*near, min(3 * self.steps, most), most})
        return {"steps": steps, **{f"{_HALTING}{name}": values for name, values in self.halting.dials().items()}}


class Looped(Decoder):
    """Token embedding, prelude, looped group, coda, norm, readout."""

    config: LoopedConfig

    def __init__(self, config: LoopedConfig, vocabulary: int, max_length: int) -> None:
        super().__init__(config, vocabulary, max_length)
        self.prelude = nn.ModuleList(config.block() for _ in range(config.prelude))
        self.blocks = nn.ModuleList(config.block() for _ in range(config.layers))
        self.coda = nn.ModuleList(config.block() for _ in range(config.coda))
        self.loop_norm = norm(config.width) if config.loop_norm else nn.Identity()
        self.signal = StepSignal(config.step_embedding, config.width, config.steps)
        self.policy = config.halting.build(config.width, config.steps)
        own = ("signal.step.weight", *(f"policy.{name}" for name in self.policy.numbered_rows))
        self.numbered_rows = (*Decoder.numbered_rows, *own)  # type: ignore[misc]
        self.compacts = True  # whether halted tokens leave the batch in evaluation; else they are masked out
        depth = self.applications(config.steps)
        assert isinstance(depth, int)
        for block in (*self.prelude, *self.blocks, *self.coda):
            block.initialise(depth)

    # -- what a model of its own defines

    group_passes = 1  # times a step applies the group

    def advance(self, state: State, entry: Tensor, step: int, limit: int | Tensor, context: Context) -> State:
        """One step; see ``loop.Group``."""
        raise NotImplementedError

    def memory(self, steps: int, *, halts: bool) -> Memory | None:
        """What a step sees of earlier ones; None: nothing, and of every token its present keys and values.

        Args:
            steps: that will be made at most.
            halts: whether tokens may halt before the last step.
        """
        return Memory() if halts else None

    def start(self, entry: Tensor) -> State:
        """What the loop begins with (B, T, D)."""
        return State(self.noisy(torch.zeros_like(entry)))

    # -- the loop

    def applications(self, steps: int | Tensor | None) -> int | Tensor:
        """Blocks of prelude, loop and coda.

        Raises:
            ValueError: fewer steps than one, or more than a learned step embedding or the halting policy knows.
        """
        steps = self.config.steps if steps is None else steps
        least, most = (int(steps.min()), int(steps.max())) if isinstance(steps, Tensor) else (steps, steps)
        if least < 1:
            raise ValueError(f"steps must be at least 1 (got {least})")
        if (knower := self.config.knows_steps) is not None and most > self.config.steps:
            raise ValueError(f"{most} steps; {knower} of this model knows {self.config.steps} (model.steps)")
        return len(self.prelude) + len(self.blocks) * self.group_passes * steps + len(self.coda)

    @property
    def compiles(self) -> bool:
        """Only where every batch makes the same steps: each number of steps would be compiled anew."""
        return isinstance(self.config.halting, FixedConfig) and isinstance(self.config.depth, FixedDepthConfig)

    def prepare(self, batch: Batch, step: int, generator: torch.Generator | None) -> Batch:
        """The batch with its depth, what the halting policy draws, and the offsets of places."""
        extra = dict(batch.extra)
        told = self.told_steps(torch.from_numpy(batch.examples.difficulty).to(batch.tokens.device))
        if told is None:
            passes = self.config.depth.passes(self.config.steps, generator)  # first, so that it depends on no row
            if passes != (Pass(self.config.steps, 0, 1.0),):
                extra |= with_passes(batch, passes).extra
        extra |= {f"{_HALTING}{name}": value for name, value in self.policy.prepare(batch, generator).items()}
        return super().prepare(dataclasses.replace(batch, steps=told, extra=extra), step, generator)

    def told_steps(self, difficulty: Tensor) -> Tensor | None:
        """As ``depth`` tells them."""
        told: Tensor | None = self.config.depth.told(self.config.steps, difficulty)
        return told

    def arithmetic_batches(self, batch: Batch) -> Sequence[tuple[float, Batch]]:
        """With the passes that depth draws."""
        return typical(self.config.depth, self.config.steps, self.config.backprop, batch)

    def noisy(self, state: Tensor) -> Tensor:
        """With noise added, in training."""
        noise = self.config.start_noise
        return state + noise * torch.randn_like(state) if self.training and noise else state

    def core(self, x: Tensor, context: Context, reading: Reading) -> Output:
        """Prelude, one loop for each pass, coda."""
        for slot, block in enumerate(self.prelude):
            x = block(x, context, ("prelude", slot))
        steps = self.config.steps if reading.steps is None else reading.steps
        passes = carried(reading.drawn)
        if not passes or isinstance(steps, Tensor):
            return self._through_coda(self._looped(x, context, reading, steps, 0), context)
        outputs = [self._looped(x, context, reading, one.steps, one.quiet) for one in passes]
        return self._through_coda(joined(outputs, [one.weight for one in passes]), context)

    def _looped(self, x: Tensor, context: Context, reading: Reading, steps: int | Tensor, quiet: int) -> Output:
        """One run through the loop, without prelude and coda in what it costs."""
        total = int(steps.max()) if isinstance(steps, Tensor) else steps
        if self.config.backprop is not None and self.training:
            quiet = max(quiet, total - self.config.backprop)
        per_step = len(self.blocks) * self.group_passes
        state = self.start(x)
        if isinstance(self.policy, Fixed) and not isinstance(steps, Tensor):
            context = context._replace(memory=self.memory(steps, halts=False))
            for step in range(steps):
                with torch.set_grad_enabled(torch.is_grad_enabled() and step >= quiet):
                    state = self.advance(state, x, step, steps, context)
            return one_state(state.high, per_step * steps)
        limit = torch.as_tensor(steps, device=x.device).view(-1, 1).expand(x.shape[:2])
        sees = getattr(self.config.halting, "others_see", "frozen")
        halts = (not self.training or self.policy.training_halts or isinstance(steps, Tensor)) and sees != "running"
        context = context._replace(memory=self.memory(total, halts=halts or sees == "soft"))
        draws = self.policy.needs_luck and not self.training
        loop = Loop(
            _Group(self),
            self.policy,
            self.readout,
            sees,
            self._decider(reading, context),
            luck(reading.tokens, reading.positions, context.cache) if draws else None,
            {name.removeprefix(_HALTING): value for name, value in reading.drawn.items() if name.startswith(_HALTING)},
            quiet,
            reading.tokens != 0 if self.training else None,
        )
        compact = self.compacts and not self.training and not torch.is_grad_enabled()
        walked = walk(loop, state, x, limit, context, compact=compact)
        return Output(walked.states, walked.weight, per_step * walked.steps, walked.penalty, x.new_zeros(()))

    def _decider(self, reading: Reading, context: Context) -> Tensor | None:
        """The last position (B,) of each row's prompt, where it decides for its row."""
        halting = self.config.halting
        if not isinstance(halting, AdaptiveConfig) or halting.halt == "token":
            return None
        if decided_in(context.cache) is not None:
            return torch.zeros(len(reading.tokens), dtype=torch.long, device=reading.tokens.device)
        if reading.prompt_length is None:
            raise ValueError("halting by sequence is decided at the end of the prompt: give prompt_length")
        first = (reading.tokens != 0).int().argmax(dim=1)
        return first + reading.prompt_length - 1

    def _through_coda(self, output: Output, context: Context) -> Output:
        """Every candidate state through the coda; the price of prelude and coda."""
        states = output.states
        if len(self.coda):
            after = []
            for candidate, state in enumerate(states):
                for slot, block in enumerate(self.coda):
                    state = block(state, context, ("coda", candidate, slot))
                after.append(state)
            states = torch.stack(after)
        return output._replace(
            states=states, compute=output.compute + len(self.prelude) + len(self.coda) * len(output.states)
        )


class _Group:
    """A model's step, as a loop calls it."""

    def __init__(self, model: Looped) -> None:
        self.model = model

    def __call__(self, state: State, entry: Tensor, step: int, limit: Tensor, context: Context) -> State:
        return self.model.advance(state, entry, step, limit, context)

    def settle(self, output: Tensor, step: int, context: Context) -> None:
        layers = len(self.model.blocks)
        for layer in range(layers * self.model.group_passes):
            block = self.model.blocks[layer % layers]
            assert isinstance(block, Block)
            block.settle(output, context, (step, layer))
