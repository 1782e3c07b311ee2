"""Optimizers of torch by their names in lower case, with all their own options and defaults.

What a class takes is read from its constructor, so that options and defaults are those of the torch that is installed::

    torch.optim.Adam(params, lr=0.001, betas=(0.9, 0.999), ...)       --optim.optimizer adam --optim.optimizer.beta1 0.8

A pair is two options here, so that a sweep can vary one of them.  Left out is what changes how a step is computed and
not what it is (foreach, fused, capturable, differentiable), and maximize.  Where there is weight decay it applies to
matrices alone, as everywhere (``optimizer.decaying``); it is added to the gradient unless a class decouples it.

Not offered: LBFGS, which asks for the loss several times within a step, where a gradient procedure gives one gradient;
SparseAdam, which takes sparse gradients alone, and these are dense.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import torch
from pydantic import Field, create_model
from torch import nn

from factorexe.optim.optimizer import OptimizerConfig, decaying

_HOW = {"params", "foreach", "fused", "capturable", "differentiable", "maximize"}
_PAIRS = {
    "betas": ("beta1", "beta2"),
    "eps": ("eps1", "eps2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}
_SAID = {
    "lr": "Highest learning rate of the schedule.",
    "weight_decay": "Decay of matrices.",
    "decoupled_weight_decay": "Take decay off the weights, and not into the gradient.",
    "eps": "Added to the denominator.",
    "beta1": "Memory of the gradient's mean.",
    "beta2": "Memory of the gradient's square.",
    "amsgrad": "Divide by the greatest square so far.",
    "rho": "Memory of the squares of gradients and of steps.",
    "beta2_decay": "Power of the step number with which the memory of squares grows.",
    "eps1": "Least size of the squares; that of the arithmetic if not given.",
    "eps2": "Least size of a tensor, in root mean square, that its steps are in proportion to.",
    "d": "Greatest root mean square of a tensor's step, before the learning rate.",
    "lr_decay": "Fall of the learning rate with the step number, beside the schedule's.",
    "initial_accumulator_value": "Sum of squares at the beginning.",
    "lambd": "Decay of all parameters, and fall of the learning rate.",
    "alpha": "Memory of the gradient's square.",
    "t0": "Step from which on weights are averaged; nothing reads that average.",
    "momentum_decay": "Fall of the momentum's lead with the step number.",
    "momentum": "Memory of earlier steps.",
    "centered": "Divide by the deviation and not by the size of gradients.",
    "eta_minus": "Factor of a number's step size when its gradient changes sign.",
    "eta_plus": "Factor of a number's step size when its gradient keeps its sign.",
    "step_min": "Least step size.",
    "step_max": "Greatest step size.",
}
_BOUNDS: dict[str, dict[str, Any]] = {  # those that torch checks itself, later and with an error of its own
    "lr": {"gt": 0},
    **{name: {"ge": 0, "lt": 1} for name in ("beta1", "beta2", "momentum")},
    "rho": {"ge": 0, "le": 1},
    "beta2_decay": {"le": 0},
    "d": {"ge": 1},
    "eta_minus": {"gt": 0, "lt": 1},
    "eta_plus": {"gt": 1},
    **{name: {"ge": 0} for name in ("weight_decay", "eps", "eps1", "eps2", "lr_decay", "momentum_decay")},
    **{name: {"ge": 0} for name in ("initial_accumulator_value", "alpha", "lambd")},
}


class OfTorch(OptimizerConfig):
    """Options of a class of ``torch.optim``.

    Class attributes:
        of: that class.
        fixed: arguments that are no options.
    """

    of: ClassVar[type[torch.optim.Optimizer]]
    fixed: ClassVar[dict[str, Any]] = {}

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """The optimizer; in two groups where it has decay: matrices decay, all else does not."""
        if "weight_decay" in type(self).model_fields:
            return self._made(decaying(module, self.weight_decay))  # type: ignore[attr-defined]
        return self._made([{"params": [p for p in module.parameters() if p.requires_grad]}])

    def _made(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        arguments = {name: self._value(name, default) for name, default in _arguments(self.of).items()}
        return self.of(groups, **arguments, **self.fixed)

    def _value(self, argument: str, default: Any) -> Any:
        names = _fields(argument, default)
        return getattr(self, argument) if names == (argument,) else tuple(getattr(self, name) for name in names)


def _arguments(cls: type[torch.optim.Optimizer]) -> dict[str, Any]:
    """Arguments that change what a step is, and their defaults."""
    known = {name: p.default for name, p in inspect.signature(cls).parameters.items() if name not in _HOW}
    return {name: value for name, value in known.items() if isinstance(value, bool | int | float | tuple)}


def _fields(argument: str, default: Any) -> tuple[str, ...]:
    """The options that an argument is."""
    return _PAIRS[argument] if isinstance(default, tuple) else (argument,)


def _options(cls: type[torch.optim.Optimizer], said: dict[str, str]) -> dict[str, Any]:
    """A documented field for every argument, with torch's default."""
    fields: dict[str, Any] = {}
    for argument, default in _arguments(cls).items():
        values = default if isinstance(default, tuple) else (default,)
        for name, value in zip(_fields(argument, default), values, strict=True):
            kind = bool if isinstance(value, bool) else float | None if value is None else float
            text = said.get(name) or _SAID.get(name) or f"As in torch.optim.{cls.__name__}."
            value = float(value) if kind is float else value
            fields[name] = (kind, Field(value, description=text, **_BOUNDS.get(name, {})))
    return fields


def _of(cls: type[torch.optim.Optimizer], doc: str, said: dict[str, str] | None = None, **fixed: Any) -> type[OfTorch]:
    """The class of options for ``cls``."""
    made = create_model(
        f"{cls.__name__}Config",
        __base__=OfTorch,
        __doc__=doc,
        __module__=__name__,
        __cls_kwargs__={"use_attribute_docstrings": False},  # every field has its description
        **_options(cls, said or {}),
    )
    made.of, made.fixed = cls, fixed
    return made


AdadeltaConfig = _of(torch.optim.Adadelta, "Adadelta (Zeiler 2012, arXiv:1212.5701).")
AdafactorConfig = _of(torch.optim.Adafactor, "Adafactor (Shazeer & Stern 2018, arXiv:1804.04235).")
AdagradConfig = _of(torch.optim.Adagrad, "Adagrad (Duchi et al. 2011).")
AdamConfig = _of(
    torch.optim.Adam, "Adam, with decay as part of the gradient (Kingma & Ba 2015, arXiv:1412.6980).", fused=True
)
AdamaxConfig = _of(
    torch.optim.Adamax,
    "Adam with the largest gradient in place of squares (Kingma & Ba 2015, arXiv:1412.6980).",
    {"beta2": "Memory of the gradient's largest size."},
)
ASGDConfig = _of(
    torch.optim.ASGD,
    "SGD whose learning rate falls as for averaging (Polyak & Juditsky 1992); averaged weights are kept, not used.",
    {"alpha": "Power of the fall of the learning rate."},
)
NAdamConfig = _of(torch.optim.NAdam, "Adam with Nesterov's momentum (Dozat 2016).")
RAdamConfig = _of(torch.optim.RAdam, "Adam that is careful at first (Liu et al. 2020, arXiv:1908.03265).")
RMSpropConfig = _of(torch.optim.RMSprop, "Gradient over its running size (Hinton 2012; Graves 2013, arXiv:1308.0850).")
RpropConfig = _of(
    torch.optim.Rprop,
    "Steps by the gradient's sign alone, meant for whole-set batches (Riedmiller & Braun 1993).",
    {"lr": "Step size of each number at first; what the schedule says after the first step is not looked at."},
)
