"""What a model promises, asked on the sums of one- and two-digit numbers."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.testing import assert_close

from factorexe.generation import generate
from factorexe.layout import LAYOUTS, Batch
from factorexe.models.base import Cache, Model, ModelConfig, Output
from factorexe.objectives.chain import ChainConfig
from factorexe.tasks.addition import Addition
from factorexe.testing import options as options_

COUNT = 6
_OVERFIT_STEPS, _OVERFIT_LOSS = 300, 0.05


class ModelPromises:
    """One method for each promise."""

    def __init__(self, cls: type[ModelConfig], options: Mapping[str, Any]) -> None:
        self._cls, self._options = cls, options

    def options_survive_json(self) -> None:
        """The options read back from their JSON are the same."""
        options_.survive_json(self._config)

    def unknown_options_are_refused(self) -> None:
        """An option that does not exist is an error."""
        options_.refuse_the_unknown(self._cls, self._options)

    def presets_hold(self) -> None:
        """``default`` and ``tiny`` exist and set options that a run has."""
        options_.hold_presets(self._cls, "model")

    def outputs_have_the_shapes_of_the_contract(self) -> None:
        """States (S, B, T, D), weight (S, B, T), compute and penalty (B, T), regulariser (), logits (S, B, T, V)."""
        for model in (self._model.train(), self._model.eval()):
            batch, output = self._batch, self._read(model, self._batch)
            rows, length = batch.tokens.shape
            width = model.embed(batch.tokens).shape[-1]
            count = len(output.states)
            _shaped("states", output.states, (count, rows, length, width))
            _shaped("weight", output.weight, (count, rows, length))
            _shaped("compute", output.compute, (rows, length))
            _shaped("penalty", output.penalty, (rows, length))
            _shaped("regulariser", output.regulariser, ())
            _shaped("readout(states)", model.readout(output.states), (count, rows, length, self._layout.vocabulary))

    def embeddings_replace_the_tokens(self) -> None:
        """``embeddings=model.embed(tokens)`` changes nothing."""
        batch, model = self._batch, self._model.eval()
        with torch.no_grad():
            given = self._read(model, batch, embeddings=model.embed(batch.tokens))
            _close("states", _state(given), _state(self._read(model, batch)), 1e-5)

    def numbers_scale_embeddings_and_are_read_from_states(self) -> None:
        """``values`` multiply the embeddings of their tokens; with a number head every state is a number too."""
        batch, model = self._batch, copy.deepcopy(self._model).eval()
        values = torch.linspace(-2, 2, batch.tokens.numel()).view(batch.tokens.shape)
        with torch.no_grad():
            plain = model.embed(batch.tokens)
            _close("embeddings", model.embed(batch.tokens, values), plain * values.unsqueeze(-1), 1e-5)
            model.add_number_head()
            states = self._read(model, batch, values=values).states
            _shaped("number(states)", model.number(states), tuple(states.shape[:-1]))

    def weights_sum_to_one(self) -> None:
        """Over the candidate states of every position, in training and in evaluation."""
        for model in (self._model.train(), self._model.eval()):
            weight = self._read(model, self._batch).weight
            _close("weights summed over states", weight.sum(dim=0), torch.ones_like(weight[0]), 1e-5)
            assert (weight >= 0).all(), "a weight is negative"

    def compute_is_counted(self) -> None:
        """At least one block application for each real token; everything priced is finite."""
        output = self._read(self._model.eval(), self._batch)
        for name in ("states", "compute", "penalty", "regulariser"):
            assert getattr(output, name).isfinite().all(), f"{name} is not finite"
        spent = output.compute[self._batch.tokens != 0]
        assert (spent >= 1).all(), f"compute goes down to {spent.min().item():g} block applications"

    def earlier_states_ignore_later_tokens(self) -> None:
        """Changing tokens changes no state before them; where the prompt is read as a whole, after it."""
        model, batch = self._model.double().eval(), self._batch
        whole = getattr(self._config, "prompt", "causal") != "causal"
        first = int(batch.prompt_length.max()) if whole else 1
        before = self._read(model, batch)
        for cut in range(first, batch.tokens.shape[1]):
            tokens = batch.tokens.clone()
            tokens[:, cut:] = tokens[:, cut:] % (self._layout.vocabulary - 1) + 1
            after = self._read(model, dataclasses.replace(batch, tokens=tokens))
            for name, get in (("states", _state), ("compute", lambda output: output.compute)):
                message = f"{name} before position {cut} when the tokens from there on change"
                _close(message, get(after)[:, :cut], get(before)[:, :cut], 1e-10)

    def left_padding_changes_nothing(self) -> None:
        """Each row alone and unpadded has the states it has among longer ones."""
        model, prompts = self._model.double().eval(), self._layout.prompts(self._examples)
        together = _state(self._read(model, prompts))
        for row, length in enumerate(prompts.prompt_length.tolist()):
            alone = self._read(model, self._layout.prompts(self._examples.select([row])))
            _close("states of a left-padded row", together[row, -length:], _state(alone)[0], 1e-10)

    def gradients_reach_every_parameter(self) -> None:
        """Two training steps move every part of the model; what begins at zero hides from the first what is behind."""
        model = self._model.train()
        idle = {name for name, p in model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            torch.autograd.backward(self._loss(model, self._batch))
            idle -= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
            optimizer.step()
        assert not idle, f"no gradient reaches {', '.join(sorted(idle))}"

    def cached_states_equal_uncached_ones(self) -> None:
        """Token by token with a cache as in one pass: to 1e-5 in single and 1e-10 in double precision."""
        for model, tolerance in ((self._model.eval(), 1e-5), (self._model.double().eval(), 1e-10)):
            prompts = self._layout.prompts(self._examples)
            width = prompts.tokens.shape[1]
            more = torch.from_numpy(np.random.default_rng(0).integers(1, self._layout.vocabulary, (len(prompts), 4)))
            tokens = torch.cat([prompts.tokens, more], dim=1)
            ahead = prompts.prompt_length[:, None] + torch.arange(4)
            assert prompts.positions is not None
            positions, given = torch.cat([prompts.positions, ahead], dim=1), prompts.prompt_length
            following = [self._layout.following_places(tokens[:, : at + 1], given) for at in range(width, width + 4)]
            places = None if prompts.places is None else torch.cat([prompts.places, *following], dim=1)
            with torch.no_grad():
                whole = _state(model(tokens, positions=positions, places=places, prompt_length=given))
                cache = Cache()
                pieces = [_state(self._read(model, prompts, cache=cache))]
                for at in range(width, width + 4):
                    new = slice(at, at + 1)
                    place = None if places is None else places[:, new]
                    output = model(tokens[:, new], positions=positions[:, new], places=place, cache=cache)
                    pieces.append(_state(output))
            real = tokens != 0
            _close("states decoded with a cache", torch.cat(pieces, dim=1)[real], whole[real], tolerance)

    def cached_answers_equal_uncached_ones(self) -> None:
        """Greedy decoding writes the same tokens at the same price, rows ending at different places."""
        model, prompts, limit = self._model.double().eval(), self._layout.prompts(self._examples), 10
        marks = copy.copy(self._layout)
        marks.end_mark = -1
        free = generate(model, prompts, marks, limit=limit).tokens
        marks.end_mark = int(free[:, 1:].flatten().mode().values)
        cached, plain = (generate(model, prompts, marks, limit=limit, cached=choice) for choice in (True, False))
        assert torch.equal(cached.tokens, plain.tokens), "cached and uncached decoding write different tokens"
        _close("compute of cached decoding", cached.compute, plain.compute, 1e-4)

    def four_examples_are_overfitted(self) -> None:
        """A few hundred steps learn four problems by heart."""
        model, batch = self._model.train(), self._batch.select(torch.arange(4))
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
        loss = self._loss(model, batch)
        for _ in range(_OVERFIT_STEPS):
            if loss.item() < _OVERFIT_LOSS:
                return
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss = self._loss(model, batch)
        raise AssertionError(f"after {_OVERFIT_STEPS} steps on four examples the loss is {loss.item():.3f}")

    def bfloat16_runs(self) -> None:
        """Under autocast the loss and every gradient are finite."""
        model = self._model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self._loss(model, self._batch)
        torch.autograd.backward(loss)
        assert loss.isfinite(), f"the loss in bfloat16 is {loss.item()}"
        broken = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        assert not broken, f"in bfloat16 the gradients of {', '.join(broken)} are not finite"

    @cached_property
    def _config(self) -> ModelConfig:
        return self._cls(**self._options)

    @cached_property
    def _layout(self) -> Any:
        task, places = Addition(min_digits=1, digits=2), self._config.reads_places
        return LAYOUTS[self._config.layout](task, chain=True, places=places)

    @cached_property
    def _examples(self) -> Any:
        levels = np.arange(COUNT) % 2 + 1  # prompts of different lengths
        return self._layout.task.sample(levels, np.random.default_rng(0))

    @cached_property
    def _batch(self) -> Batch:
        batch: Batch = self._layout.batch(self._examples, self._layout.length([1, 2]))
        return batch

    @cached_property
    def _built(self) -> Model:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self._config.build(self._layout.vocabulary, self._layout.max_length)

    @property
    def _model(self) -> Model:
        """A fresh copy, so that no check sees what another left behind."""
        return copy.deepcopy(self._built)

    @staticmethod
    def _read(model: Model, batch: Batch, **more: Any) -> Output:
        output: Output = model(
            batch.tokens, positions=batch.positions, places=batch.places, prompt_length=batch.prompt_length, **more
        )
        return output

    def _loss(self, model: Model, batch: Batch) -> Tensor:
        objective = ChainConfig().build(model, self._layout)
        generator = torch.default_generator
        loss = objective.loss(model, objective.prepare(model, batch, 0, generator))
        return loss.total / loss.weight


def _state(output: Output) -> Tensor:
    """The mixture of the candidate states (B, T, D)."""
    return (output.weight.unsqueeze(-1) * output.states).sum(dim=0)


def _shaped(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    assert tuple(tensor.shape) == shape, f"{name} has shape {tuple(tensor.shape)}; the contract says {shape}"


def _close(what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert_close(found, expected, rtol=tolerance, atol=tolerance, msg=lambda text: f"{what}: {text}")
