"""Every optimizer that has a name: it is torch's own with these options, and it keeps its state."""

import contextlib
import copy
import pickle

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from factorexe.config import resolve
from factorexe.registry import Registry

NAMES = Registry("optimizers").names()
# each name with options that are not its defaults, and the class of torch with the same said in its own words
BY_HAND = {
    "adadelta": (torch.optim.Adadelta, {"rho": 0.8}, {"rho": 0.8}),
    "adafactor": (torch.optim.Adafactor, {"eps2": 0.01, "d": 2.0}, {"eps": (None, 0.01), "d": 2.0}),
    "adagrad": (torch.optim.Adagrad, {"lr_decay": 0.1}, {"lr_decay": 0.1}),
    "adam": (torch.optim.Adam, {"beta1": 0.8, "amsgrad": True}, {"betas": (0.8, 0.999), "amsgrad": True}),
    "adamax": (torch.optim.Adamax, {"beta2": 0.9}, {"betas": (0.9, 0.9)}),
    "adamw": (torch.optim.AdamW, {"beta2": 0.95, "eps": 1e-6}, {"betas": (0.9, 0.95), "eps": 1e-6}),
    "asgd": (torch.optim.ASGD, {"lambd": 0.01, "alpha": 0.5}, {"lambd": 0.01, "alpha": 0.5}),
    "nadam": (torch.optim.NAdam, {"momentum_decay": 0.1}, {"momentum_decay": 0.1}),
    "radam": (torch.optim.RAdam, {"decoupled_weight_decay": True}, {"decoupled_weight_decay": True}),
    "rmsprop": (torch.optim.RMSprop, {"momentum": 0.5, "centered": True}, {"momentum": 0.5, "centered": True}),
    "rprop": (torch.optim.Rprop, {"eta_plus": 1.5, "step_max": 2.0}, {"etas": (0.5, 1.5), "step_sizes": (1e-6, 2.0)}),
    "sgd": (torch.optim.SGD, {"momentum": 0.5, "nesterov": True}, {"momentum": 0.5, "nesterov": True}),
}
ALIKE = sorted(BY_HAND)


class Small(nn.Module):
    """An embedding, a hidden matrix, a readout and vectors; one parameter that is not trained."""

    symbol_rows = ("embedding.weight", "head.weight")

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.embedding = nn.Embedding(5, 4)
        self.hidden = nn.Linear(4, 6)
        self.head = nn.Linear(6, 5, bias=False)
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw))

    def bowl(self):
        """A quadratic with its lowest point away from 0."""
        return sum((parameter - 0.3).square().sum() / 2 for parameter in self.parameters() if parameter.requires_grad)


def options(name, **given):
    return Registry("optimizers").get(name).cls(**given)


def steps(module, optimizer, count):
    for _ in range(count):
        optimizer.zero_grad()
        module.bowl().backward()
        optimizer.step()


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_every_name_is_tested_here():
    assert sorted([*ALIKE, "muon"]) == NAMES


@pytest.mark.parametrize("name", ALIKE)
def test_steps_are_those_of_torchs_own_class_set_by_hand(name):
    cls, ours, theirs = BY_HAND[name]
    decay = {} if name == "rprop" else {"weight_decay": 0.2}
    module, other = Small(), Small()
    steps(module, options(name, lr=0.03, **ours, **decay).build(module), 3)
    matrices = [other.hidden.weight, other.head.weight]
    rest = [other.embedding.weight, other.hidden.bias]
    groups = [{"params": matrices, **decay}, {"params": rest, **({"weight_decay": 0.0} if decay else {})}]
    steps(other, cls(groups, lr=0.03, **theirs), 3)
    for (key, mine), hand in zip(module.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, hand, rtol=2e-6, atol=1e-7, msg=lambda text, key=key: f"{key}: {text}")
    assert not torch.equal(module.hidden.weight, Small().hidden.weight)


@pytest.mark.parametrize("name", [name for name in ALIKE if name not in ("adamw", "sgd")])  # have their own
def test_defaults_are_torchs(name):
    made = options(name).build(Small())
    theirs = BY_HAND[name][0]([nn.Parameter(torch.zeros(1))])
    how = {"foreach", "fused"}
    assert {k: v for k, v in made.defaults.items() if k not in how} == {
        k: v for k, v in theirs.defaults.items() if k not in how
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_reaches_every_parameter_and_keeps_the_ratios(name):
    module = Small()
    optimizer = options(name).build(module)
    begun = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    for step in (1, 2):
        steps(module, optimizer, 1)
        schedule.step()
        assert [group["lr"] for group in optimizer.param_groups] == [lr * 0.5**step for lr in begun]
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rprop"])
def test_a_learning_rate_of_0_moves_nothing(name):
    module = Small()
    optimizer = options(name).build(module)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    steps(module, optimizer, 3)
    assert equal(module, Small())


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_a_checkpoint_bit_for_bit(name, tmp_path):
    module = Small()
    optimizer = options(name).build(module)
    steps(module, optimizer, 3)
    torch.save({"weights": module.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "saved")
    content = torch.load(tmp_path / "saved", weights_only=True)
    resumed = Small()
    resumed.load_state_dict(content["weights"])
    again = options(name).build(resumed)
    again.load_state_dict(content["optimizer"])
    steps(module, optimizer, 3)
    steps(resumed, again, 3)
    assert equal(module, resumed)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_without_a_gradient_does_not_move(name):
    module = Small()
    optimizer = options(name, **({} if name == "rprop" else {"weight_decay": 0.5})).build(module)
    module.hidden.weight.grad = torch.ones(6, 4)
    optimizer.step()
    changed = {key for key, value in module.state_dict().items() if not torch.equal(value, Small().state_dict()[key])}
    assert changed == {"hidden.weight"}


@pytest.mark.parametrize("name", NAMES)
def test_the_closure_is_called_once_and_its_value_returned(name):
    module = Small()
    calls = []

    def closure():
        module.bowl().backward()
        calls.append(torch.is_grad_enabled())
        return 7.0

    assert options(name).build(module).step(closure) == 7.0
    assert calls == [True]


@pytest.mark.parametrize("name", NAMES)
def test_options_travel_between_processes(name):
    config = resolve({"task": "addition", "optim": {"optimizer": {"name": name, "lr": 0.5}}}, preset="tiny").config
    again = pickle.loads(pickle.dumps(config.optim.optimizer))
    assert again == config.optim.optimizer
    assert again.lr == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_is(name):
    cls = Registry("optimizers").get(name).cls
    assert cls.__doc__
    assert "\n" not in cls.__doc__
    for field, info in cls.model_fields.items():
        assert info.description, field
        assert "As in torch" not in info.description, f"{name}.{field} has no words of its own"


@pytest.mark.parametrize("name", ALIKE)
def test_what_torch_would_refuse_is_refused_before(name):
    for field in Registry("optimizers").get(name).cls.model_fields:
        for value in (-1.0, 0.0, 1.0, 1.5):
            with contextlib.suppress(ValidationError):
                options(name, **{field: value}).build(Small())  # a ValueError of torch's own is none of pydantic's


def test_nesterov_without_momentum_is_refused_in_one_line():
    with pytest.raises(ValidationError, match=r"nesterov needs momentum above 0 and dampening 0 \(got momentum 0, da"):
        options("sgd", nesterov=True, momentum=0.0)


def test_an_option_that_does_not_exist_is_refused_with_the_one_that_is_meant(command):
    words = ("fit", "--task", "addition", "--optim.optimizer", "adam", "--optim.optimizer.betta1", "0.9")
    code, out, err = command(*words)
    assert code == 2
    assert not out
    assert "optim.optimizer.betta1: there is no such option; did you mean --optim.optimizer.beta1" in err.replace(
        "\n", " "
    )
    assert "Traceback" not in err


def test_a_copy_of_options_is_independent_of_the_class_it_came_from():
    one = options("adam")
    assert copy.deepcopy(one) == one
    assert options("adagrad").of is torch.optim.Adagrad
    assert options("adam").of is torch.optim.Adam
