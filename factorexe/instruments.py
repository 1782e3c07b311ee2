"""The instruments that a run may choose: their options, apart from the instruments themselves.

    --instruments one-step-probe,canaries --instruments.one-step-probe.every 50

The callbacks are imported by ``build``: options are bound wherever a run is described, and Lightning takes longer to
import than that may take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from factorexe.choice import Options

if TYPE_CHECKING:
    from factorexe.callbacks.instrument import ChosenInstrument

Probe = Literal["spectral", "fourier", "hessian", "learning-coefficient"]


class InstrumentConfig(Options):
    """Options of an instrument; ``build`` makes it."""

    api_version: ClassVar[int] = 1

    def build(self, run: Any) -> ChosenInstrument | None:
        """The working object for ``run``, its ``RunConfig``; None where it would have nothing to look at."""
        raise NotImplementedError


class OneStepProbeConfig(InstrumentConfig):
    """What one update gains on its batch, on other train problems, on val and on ood."""

    every: int = Field(100, ge=1)
    """Optimizer steps between two updates that are measured."""
    rows: int | None = Field(None, ge=1)
    """Problems of each set that are looked at; half of those that a step trains on if not given."""
    memory: float = Field(0.9, ge=0, lt=1)
    """Of the running means: what a probe counts when the next one comes."""

    def build(self, run: Any) -> ChosenInstrument:
        """The probe."""
        from factorexe.callbacks.one_step_probe import OneStepProbe

        return OneStepProbe(self.every, self.rows, self.memory)


class CanariesConfig(InstrumentConfig):
    """Whether planted wrong answers are given back, with data.corrupt."""

    rows: int = Field(500, ge=1)
    """Problems with a planted answer that are asked for at each evaluation, at most."""
    exposed: int = Field(32, ge=1)
    """Of these, how many planted answers are ranked."""
    alternatives: int = Field(64, ge=2)
    """Answers among which each is ranked, itself included; fewer where not as many exist."""

    def build(self, run: Any) -> ChosenInstrument | None:
        """None where no wrong answer is planted."""
        from factorexe.callbacks.canaries import Canaries

        return Canaries(self.rows, self.exposed, self.alternatives) if run.data.corrupt else None


class WeightAndLogitConfig(InstrumentConfig):
    """Norms of weights, updates and gradients; scale and margin of logits; softmax collapse."""

    every: int = Field(100, ge=1)
    """Optimizer steps between two looks."""
    rows: int = Field(64, ge=1)
    """Problems of the training batch whose logits are looked at, at most."""

    def build(self, run: Any) -> ChosenInstrument:
        """The instrument."""
        from factorexe.callbacks.weight_and_logit import WeightAndLogit

        return WeightAndLogit(self.every, self.rows)


class GradientAgreementConfig(InstrumentConfig):
    """Whether the gradients of a batch's parts agree, and what the aggregator kept of them."""

    every: int = Field(100, ge=1)
    """Optimizer steps between two looks."""
    memory: float = Field(0.9, ge=0, lt=1)
    """Of the running means: what a look counts when the next one comes."""

    def build(self, run: Any) -> ChosenInstrument | None:
        """None where a batch has one gradient."""
        from factorexe.callbacks.gradient_agreement import GradientAgreement

        return GradientAgreement(self.every, self.memory) if run.optim.measure.build().gradients > 1 else None


class DeepProbeConfig(InstrumentConfig):
    """Rare looks inside: spectra, waves of modular tasks, sharpness, local learning coefficient."""

    every: int = Field(1000, ge=1)
    """Steps between two looks, made at the evaluation that follows."""
    probes: tuple[Probe, ...] = ("spectral", "fourier", "hessian")
    """Which looks; learning-coefficient takes `chains` times (`burn_in` + `draws`) passes forward and backward."""
    problems: int = Field(256, ge=1)
    """Fixed problems, of val and of seen, from which representations and losses are read."""
    frequencies: int = Field(5, ge=1)
    """Fourier: key frequencies, those of greatest norm."""
    iterations: int = Field(20, ge=1)
    """Hessian: products with it; as many vectors of the model's size are held for the moment."""
    chains: int = Field(2, ge=1)
    """Learning coefficient: random walks."""
    draws: int = Field(200, ge=1)
    """Learning coefficient: steps of each that count."""
    burn_in: int = Field(50, ge=0)
    """Learning coefficient: steps before those."""
    step: float = Field(1e-5, gt=0)
    """Learning coefficient: step size."""
    localization: float = Field(100.0, ge=0)
    """Learning coefficient: how strongly a walk is drawn back to where it began."""

    def build(self, run: Any) -> ChosenInstrument:
        """The instrument."""
        from factorexe.callbacks.deep_probe import DeepProbe

        return DeepProbe(self)
