"""Muon for hidden matrices, AdamW for the others: which is which, and that both are torch's."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.optim.optimizers.composite import Composite
from factorexe.optim.optimizers.muon import MuonConfig


class Small(nn.Module):
    """A hidden matrix, one that is a row, an embedding, a readout and a gain."""

    symbol_rows = ("embedding.weight", "head.weight")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(5, 4)
        self.hidden = nn.Linear(4, 6, bias=False)
        self.gate = nn.Linear(6, 1, bias=False)
        self.head = nn.Linear(6, 5, bias=False)
        self.gain = nn.Parameter(torch.ones(6))

    def bowl(self):
        return sum((parameter - 0.3).square().sum() / 2 for parameter in self.parameters())


def steps(module, *optimizers, count=3):
    for _ in range(count):
        module.zero_grad()
        module.bowl().backward()
        for optimizer in optimizers:
            optimizer.step()


def names(module, group):
    known = {id(parameter): name for name, parameter in module.named_parameters()}
    return [known[id(parameter)] for parameter in group["params"]]


def test_hidden_matrices_go_to_muon_and_all_else_to_adamw():
    module = Small()
    muon, decaying, staying = MuonConfig(weight_decay=0.5).build(module).param_groups
    assert names(module, muon) == ["hidden.weight"]
    assert names(module, decaying) == ["gate.weight", "head.weight"]
    assert names(module, staying) == ["gain", "embedding.weight"]
    assert [group["weight_decay"] for group in (muon, decaying, staying)] == [0.5, 0.5, 0.0]


def test_of_a_looped_model_the_blocks_go_to_muon_and_neither_tokens_nor_step_signals():
    model = UniversalTransformerConfig(layers=1, width=16, heads=2, step_embedding="learned").build(12, 16)
    module = nn.ModuleDict({"model": model})  # as in the learner, a level above
    groups = MuonConfig().build(module).param_groups
    assert all("blocks" in name or "inject" in name for name in names(module, groups[0]))
    assert len(groups[0]["params"]) >= 4
    others = [name for group in groups[1:] for name in names(module, group)]
    assert {"model.embedding.weight", "model.head.weight", "model.signal.step.weight"} <= set(others)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in module.parameters())


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_each_part_is_torchs_own_optimizer_with_its_own_learning_rate(decay):
    module, other = Small(), Small()
    options = MuonConfig(lr=0.02, adamw_lr_ratio=0.1, weight_decay=decay, momentum=0.9, beta2=0.95)
    steps(module, options.build(module))
    muon = torch.optim.Muon(
        [other.hidden.weight], lr=0.02, weight_decay=decay, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    groups = [
        {"params": [other.gate.weight, other.head.weight], "weight_decay": decay},
        {"params": [other.embedding.weight, other.gain], "weight_decay": 0.0},
    ]
    steps(other, muon, torch.optim.AdamW(groups, lr=0.002, betas=(0.9, 0.95), fused=True))
    for mine, theirs in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_without_momentum_a_step_is_the_gradients_nearest_semi_orthogonal_matrix():
    module = Small()
    gradient = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    before = module.hidden.weight.detach().clone()
    module.hidden.weight.grad = gradient.clone()
    options = MuonConfig(lr=1.0, weight_decay=0.0, momentum=0.0, ns_steps=5, adjust_lr_fn="original")
    options.build(module).step()
    moved = (before - module.hidden.weight.detach()) / (6 / 4) ** 0.5  # torch's scale of a tall matrix
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    directions = (u.T @ moved @ v.T).diagonal()
    assert ((directions > 0.6) & (directions < 1.3)).all()  # near 1 each; the iterations stop early
    assert_close(moved, (u * directions) @ v, rtol=0, atol=0.02)  # the gradient's own directions, in bfloat16


def test_a_module_of_vectors_or_of_hidden_matrices_alone_is_taken():
    for module, count in ((nn.LayerNorm(3), 1), (nn.Linear(3, 4, bias=False), 1)):
        optimizer = MuonConfig().build(module)
        assert len(optimizer.members) == len(optimizer.param_groups) == count
        module(torch.tensor([[1.0, 2.0, 5.0]])).square().sum().backward()
        before = copy.deepcopy(module.state_dict())
        optimizer.step()
        assert not torch.equal(module.state_dict()["weight"], before["weight"])


def test_after_loading_the_whole_and_its_members_are_still_one():
    module = Small()
    optimizer = MuonConfig().build(module)
    steps(module, optimizer)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = copy.deepcopy(module.state_dict())
    steps(module, optimizer)
    assert all(torch.equal(module.state_dict()[name], weight) for name, weight in before.items())
    assert all(member.state is optimizer.state for member in optimizer.members)


def test_a_composite_steps_each_of_its_members_once_for_each_of_its_own_steps():
    first, second = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    whole = Composite([torch.optim.SGD([first], lr=1.0), torch.optim.SGD([second], lr=0.5)])
    first.grad, second.grad = torch.ones(1), torch.ones(1)
    whole.step()
    assert (first.item(), second.item()) == (-1.0, -0.5)
    whole.zero_grad()
    assert first.grad is second.grad is None
