"""Repeats that see those before: what a query sees, spelled out slowly; what equals what; what halting keeps."""

import halted
import pytest
import torch
from halted import LAYOUT, LENGTH, problems, read
from pydantic import ValidationError
from torch.testing import assert_close

from factorexe.models.base import Cache
from factorexe.models.cotformer import CoTFormerConfig
from factorexe.models.halting.fixed import Fixed, latest
from factorexe.models.transformer import TransformerConfig

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
STEPS = 4
POLICIES = {
    "mixture": {"name": "mixture-of-repeats", "capacity": 0.6},
    "act": {"name": "act", "bias": -1.0},
    "sampled": {"name": "ponder", "deploy": "sample"},
    "most-likely": {"name": "ponder", "deploy": "most-likely"},
    "stable": {"name": "confidence", "rule": "stable"},
}
SETTINGS = [
    ("mixture", "token", "frozen"),
    ("act", "token", "frozen"),
    ("act", "sequence", "running"),
    ("sampled", "token", "running"),
    ("sampled", "sequence", "frozen"),
    ("most-likely", "token", "frozen"),
    ("stable", "sequence", "frozen"),
]
every_setting = pytest.mark.parametrize(("policy", "halt", "others_see"), SETTINGS)


def build(vocabulary=12, length=16, **options):
    """Double precision, with weights large enough to make every path count."""
    torch.manual_seed(0)
    small = {"layers": 2, "steps": 3, "width": 16, "heads": 2, "prelude": 0, "coda": 0, "loop_norm": False}
    model = CoTFormerConfig(**{**small, **options}).build(vocabulary, length).double().eval()
    with torch.no_grad():
        model.embedding.weight.mul_(50)
        if model.signal.step is not None:
            model.signal.step.weight.mul_(20)
        for parameter in model.policy.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.7 if parameter.ndim > 1 else 0.0))
    return model


def halting(policy, halt="token", others_see="frozen", **options):
    """A model whose tokens halt at various steps, and, if it is one of repeats, have been trained on once."""
    chosen = POLICIES[policy] if policy == "mixture" else {**POLICIES[policy], "halt": halt, "others_see": others_see}
    small = {"steps": STEPS, "prelude": 1, "coda": 1, "loop_norm": True}
    model = build(LAYOUT.vocabulary, 40, **{**small, **options}, halting=chosen)
    if policy == "mixture":
        with torch.enable_grad():
            read(model.train(), LAYOUT.batch(problems(), 24))
    return model.eval()


def slowly(model, tokens, repeats, made=None, gates=None):
    """The states after the last repeat of one row, one query at a time: for each token, what it looks at is collected
    in a double loop over repeats and positions.

    Args:
        made: (T,) repeats that each token makes; all if not given.
        gates: (repeats - 1, T) how far repeats after the first move each token.
    """
    made = torch.full(tokens.shape, repeats) if made is None else made
    entry, half = model.embedding(tokens), model.config.width // model.config.heads // 2

    def turn(vector, position):
        """Neighbours as a complex number each, turned by the angle of the position."""
        pairs = torch.complex(vector[0::2], vector[1::2])
        angle = torch.tensor([position * 10_000.0 ** (-pair / half) for pair in range(half)], dtype=torch.float64)
        turned = pairs * torch.complex(angle.cos().float().double(), angle.sin().float().double())  # as they are kept
        return torch.stack([turned.real, turned.imag], dim=1).flatten()

    shown = {}  # (layer, repeat, position, head) -> key and value
    now = list(entry)
    for repeat in range(1, repeats + 1):
        inside = []
        for state in now:
            signal = 0 if model.signal.step is None else (repeats - repeat) * model.signal.step.weight[0]
            inside.append(state + signal)
        for layer, block in enumerate(model.blocks):
            asked = {}
            for position in range(len(tokens)):
                if made[position] < repeat:
                    continue
                query, key, value = block.attention.project(block.attention_norm(inside[position])).chunk(3)
                for head in range(model.config.heads):
                    own = slice(2 * half * head, 2 * half * (head + 1))
                    asked[position, head] = turn(query[own], position)
                    shown[layer, repeat, position, head] = turn(key[own], position), value[own]
            for position in range(len(tokens)):
                if made[position] < repeat:
                    continue
                heads = []
                for head in range(model.config.heads):
                    scores, values = [], []
                    for earlier in range(1, repeat + 1):
                        for before in range(position + 1):
                            if made[before] < earlier:
                                continue
                            key, value = shown[layer, earlier, before, head]
                            scores.append(asked[position, head] @ key / (2 * half) ** 0.5)
                            values.append(value)
                    heads.append(torch.stack(scores).softmax(dim=0) @ torch.stack(values))
                x = inside[position] + block.attention.out(torch.cat(heads))
                inside[position] = x + block.mlp(block.mlp_norm(x))
        for position in range(len(tokens)):
            if made[position] < repeat:
                continue
            fresh, gate = model.loop_norm(inside[position]), 1.0
            if gates is not None and repeat > 1:
                gate = gates[repeat - 2][position]
            now[position] = now[position] * (1 - gate) + fresh * gate
    return torch.stack(now)


class Table(Fixed):
    """Tokens make as many repeats as a table says, by position (T,)."""

    training_halts = True

    def __init__(self, made, gates=None):
        super().__init__()
        self.made, self.gates = made, gates

    def begin(self, like, drawn):
        return {"position": torch.arange(like.shape[1]).expand(like.shape)}

    def decide(self, look):
        position, decision = look.kept["position"], latest(look)
        gate = None
        if self.gates is not None and look.step <= len(self.gates):
            gate = self.gates[look.step - 1][position]
        return decision._replace(halted=decision.halted | (self.made[position] <= look.step), gate=gate)


def with_table(model, made, gates=None):
    model.policy = _NotFixed(Table(torch.as_tensor(made), gates))
    return model


class _NotFixed(torch.nn.Module):
    """The table, which the loop must not take for a policy by which nobody halts."""

    training_halts, needs_luck, every_state, detaches = True, False, False, False

    def __init__(self, table):
        super().__init__()
        self.begin, self.decide = table.begin, table.decide


# -- what a repeat sees


@pytest.mark.parametrize("options", [{}, {"loop_norm": True}, {"step_embedding": "none"}], ids=str)
def test_a_repeat_sees_every_repeat_so_far_of_every_token_up_to_its_own(options):
    model = build(**options)
    found = model(TOKENS).states[0]
    for row, tokens in enumerate(TOKENS):
        assert_close(found[row], slowly(model, tokens, 3), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(found[0, 0], found[0, 1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("made", [[3, 1, 2, 1, 3, 2], [1, 3, 1, 1, 2, 3], [2, 1, 1, 2, 1, 1]], ids=str)
def test_what_a_halted_token_was_in_its_repeats_stays_visible(made, training):
    model = with_table(build(), made).train(training)
    found = model(TOKENS).states[0]
    with torch.no_grad():
        compact = model.eval()(TOKENS).states[0]
    for row, tokens in enumerate(TOKENS):
        expected = slowly(model, tokens, 3, torch.tensor(made))
        assert_close(found[row], expected, rtol=1e-10, atol=1e-10)
        assert_close(compact[row], expected, rtol=1e-10, atol=1e-10)


def test_a_gate_says_how_far_a_repeat_moves_the_state():
    gates, made = torch.rand(2, 6, generator=torch.Generator().manual_seed(1)).double(), [3, 1, 2, 3, 2, 3]
    model = with_table(build(), made, gates)
    for grad in (True, False):  # masked, and compact
        with torch.set_grad_enabled(grad):
            found = model(TOKENS).states[0]
        for row, tokens in enumerate(TOKENS):
            assert_close(found[row], slowly(model, tokens, 3, torch.tensor(made), gates), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("made", [None, [3, 1, 2, 1, 3, 2]], ids=["all", "halting"])
def test_gradients_are_those_of_the_slow_way(made):
    model = build().train()
    if made is not None:
        with_table(model, made)
    probe = torch.randn(6, 16, generator=torch.Generator().manual_seed(1)).double()
    parameters = [p for name, p in model.named_parameters() if not name.startswith(("head", "norm"))]
    mine = torch.autograd.grad((model(TOKENS[:1]).states[0, 0] * probe).sum(), parameters)
    slow = slowly(model, TOKENS[0], 3, None if made is None else torch.tensor(made))
    for one, other in zip(mine, torch.autograd.grad((slow * probe).sum(), parameters), strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-10)
        assert one.any()


def test_long_rows_are_attended_to_in_the_same_way():
    """More keys than plain products are used for: 3 repeats of 50 tokens."""
    model = build(length=50)
    tokens = torch.randint(1, 12, (1, 50), generator=torch.Generator().manual_seed(0))
    found, expected = model(tokens).states[0, 0], model(tokens[:, :5]).states[0, 0]
    assert_close(found[:5], expected, rtol=1e-10, atol=1e-10)
    model.blocks.requires_grad_(False)
    (gradient,) = torch.autograd.grad(found[:5].square().sum(), model.embedding.weight)
    (short,) = torch.autograd.grad(expected.square().sum(), model.embedding.weight)
    assert_close(gradient, short, rtol=1e-9, atol=1e-9)


# -- what equals what


def plain_like(model):
    plain = TransformerConfig(layers=len(model.blocks), width=16, heads=2).build(12, 16).double().eval()
    for part in ("embedding", "norm", "head"):
        getattr(plain, part).load_state_dict(getattr(model, part).state_dict())
    for block, source in zip(plain.blocks, model.blocks, strict=True):
        block.load_state_dict(source.state_dict())
    return plain


def test_one_repeat_is_a_plain_transformer():
    model = build(steps=1)
    assert_close(model(TOKENS).states, plain_like(model)(TOKENS).states, rtol=0, atol=1e-14)


def test_the_first_of_several_repeats_asked_for_one_is_a_plain_transformer_too():
    model = build(steps=3)
    assert_close(model(TOKENS, steps=1).states, plain_like(model)(TOKENS).states, rtol=0, atol=1e-14)


def test_parameters_do_not_depend_on_repeats():
    def shapes(steps):
        state = CoTFormerConfig(steps=steps, width=16, heads=2).build(12, 16).state_dict()
        return {name: weight.shape for name, weight in state.items()}

    assert shapes(1) == shapes(9)


def test_by_default_it_is_the_published_one_with_one_block_for_each_part():
    config = CoTFormerConfig()
    assert (config.prelude, config.layers, config.steps, config.coda) == (1, 1, 5, 1)
    assert (config.loop_norm, config.step_embedding) == (True, "remaining")
    assert CoTFormerConfig(width=16, heads=2).build(12, 16)(TOKENS).compute.unique().tolist() == [1 + 5 + 1]


def test_detached_supervision_passes_no_gradient_through_what_earlier_repeats_showed():
    """Then nothing of the last state's gradient reaches the embedding, which the first repeat began with."""

    def slope(**detach):
        model = build(loop_norm=True, steps=2, halting={"name": "deep-supervision", **detach}).train()
        last = model(TOKENS).states[-1].square().sum()
        return torch.autograd.grad(last, model.embedding.weight)[0]

    assert not slope(detach=True).any()
    assert slope().any()


# -- halting, caches, causality


@every_setting
def test_leaving_halted_tokens_out_changes_nothing(policy, halt, others_see):
    spent = halted.assert_leaving_tokens_out_changes_nothing(halting(policy, halt, others_see))
    assert (len(spent.unique()) > 1) or others_see != "frozen" or halt != "token"


@pytest.mark.parametrize("steps", [2, 4, torch.tensor([1, 3, 2, 4, 4, 3, 1, 2])], ids=["two", "all", "rows"])
@pytest.mark.parametrize(("policy", "halt", "others_see"), [*SETTINGS, (None, None, None)])
def test_token_by_token_with_a_cache_as_in_one_pass(policy, halt, others_see, steps):
    options = {"loop_norm": True, "prelude": 1, "coda": 1, "steps": STEPS}
    model = halting(policy, halt, others_see) if policy else build(LAYOUT.vocabulary, LENGTH, **options)
    halted.assert_token_by_token_is_as_in_one_pass(model, steps=steps)


@every_setting
def test_decoding_with_a_cache_writes_the_same_tokens_at_the_same_price(policy, halt, others_see):
    halted.assert_decoding_writes_the_same_at_the_same_price(halting(policy, halt, others_see))


@torch.no_grad()
def test_a_cache_that_is_cut_and_whose_rows_are_chosen_goes_on_as_the_rows_do():
    model, prompts = halting("mixture"), LAYOUT.prompts(problems())
    rows, kept = torch.tensor([5, 0, 3]), prompts.tokens.shape[1] - 2
    cache = Cache()
    read(model, prompts, cache=cache)
    cache.crop(kept)
    cache.select(rows)
    tokens, positions = prompts.tokens[rows], prompts.positions[rows]
    found = model(tokens[:, kept:], positions=positions[:, kept:], cache=cache).states[0]
    whole = model(tokens, positions=positions).states[0]
    assert_close(found, whole[:, kept:], rtol=1e-10, atol=1e-10)


@every_setting
def test_no_state_depends_on_later_tokens(policy, halt, others_see):
    halted.assert_later_tokens_change_nothing(halting(policy, halt, others_see), halt)


@every_setting
def test_padding_on_the_left_changes_nothing(policy, halt, others_see):
    halted.assert_padding_on_the_left_changes_nothing(halting(policy, halt, others_see))


def test_a_prompt_read_in_both_directions_is_so_in_every_repeat():
    model, batch = build(LAYOUT.vocabulary, 40, prompt="bidirectional"), LAYOUT.batch(problems(), 24)
    before, first = read(model, batch).states[0], batch.tokens.clone()
    first[:, 0] = first[:, 0] % 5 + 1
    last = batch.tokens.clone()
    last[:, 2] = last[:, 2] % 5 + 1
    for changed in (first, last):
        after = model(changed, prompt_length=batch.prompt_length).states[0]
        moved = (changed != batch.tokens).any(dim=1)
        assert (after - before)[moved, 1].abs().amax(dim=-1).min() > 1e-6


def test_a_row_with_repeats_of_its_own_is_the_row_alone():
    model = build(LAYOUT.vocabulary, LENGTH, loop_norm=True, prelude=1, coda=1)
    halted.assert_rows_with_their_own_steps_are_as_alone(model)


@torch.no_grad()
def test_a_cache_holds_as_many_bytes_as_the_model_says():
    model, cache = build(prelude=1, coda=1), Cache()
    model(TOKENS, cache=cache, steps=4)
    held = sum(2 * keys[:, :, : TOKENS.shape[1]].numel() * 8 for keys, _ in cache._entries.values())
    assert held == model.cached_bytes(4) * TOKENS.numel()


@pytest.mark.parametrize("length", [6, 40])  # plain products, and fused attention
def test_keys_and_values_of_a_training_step_are_kept_once(length):
    """What autograd keeps of keys and values grows with the repeats, not with their square."""
    head = 32

    def kept(steps):
        model, held = build(steps=steps, layers=1, width=2 * head, heads=2, hidden=1, length=length), {}

        def note(tensor):
            if head in tensor.shape[-2:]:  # queries, keys, values and what attention makes of them
                held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model.train()(torch.ones((1, length), dtype=torch.long))
        return sum(held.values())

    assert kept(8) - kept(6) == kept(6) - kept(4)


def test_what_halted_tokens_were_cannot_be_replaced():
    with pytest.raises(ValidationError, match=r"halting\.others_see soft would replace: use frozen or running"):
        CoTFormerConfig(halting={"name": "act", "others_see": "soft"})


def test_gradients_are_not_cut_off_from_the_only_repeat_that_reads_the_input():
    with pytest.raises(ValidationError, match="its embedding would learn nothing; leave backprop out"):
        CoTFormerConfig(backprop=2)
