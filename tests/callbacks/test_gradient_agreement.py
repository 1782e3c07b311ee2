"""Products of gradients that agree, do not care, or contradict."""

from types import SimpleNamespace

import pytest
import torch

from factorexe.callbacks.gradient_agreement import GradientAgreement, gram_numbers
from factorexe.config import resolve
from factorexe.instruments import GradientAgreementConfig


def of(*rows):
    gradients = torch.tensor(rows)
    return gradients @ gradients.T


def test_the_documented_example():
    found = gram_numbers(of([2.0, 0.0], [1.0, 0.0]))
    assert found["gram/cos_mean"] == found["gram/cos_min"] == pytest.approx(1)
    assert found["gram/m_coherence"] == pytest.approx(9 / 5)
    assert found["beside"] / found["all"] == pytest.approx(2 / 2.25)


def test_equal_gradients_have_coherence_k_and_orthogonal_ones_have_1():
    same, apart = gram_numbers(of(*[[3.0, 4.0]] * 5)), gram_numbers(torch.eye(5))
    assert same["gram/m_coherence"] == pytest.approx(5)
    assert same["beside"] == same["all"]
    assert apart["gram/m_coherence"] == pytest.approx(1)
    assert apart["gram/cos_mean"] == apart["beside"] == 0


def test_opposite_gradients_have_no_coherence():
    found = gram_numbers(of([1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]))
    assert found["gram/m_coherence"] == 0
    assert found["gram/cos_min"] == -1
    assert found["gram/cos_mean"] == pytest.approx(-1 / 3)  # of three pairs; nothing agrees with no gradient


def test_nothing_depends_on_the_order_of_the_parts():
    gradients = torch.randn(6, 20, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    found = gram_numbers(gradients @ gradients.T)
    mixed = gradients[[3, 1, 5, 0, 2, 4]]
    assert gram_numbers(mixed @ mixed.T) == pytest.approx(found, rel=1e-12)


def test_the_ratio_estimates_what_a_step_gains_on_problems_like_those_of_the_parts():
    """Gradients are a mean and noise: a step along their mean gains mean^2 elsewhere, mean^2 + noise / K on them."""
    generator = torch.Generator().manual_seed(0)
    instrument = GradientAgreement(1, memory=0.999)
    for _ in range(300):
        rows = 0.1 + torch.randn(8, 100, generator=generator, dtype=torch.double)
        (found,) = [value for name, value in instrument._compared(rows @ rows.T).items() if name == "gram/osgr"] or [0]
    assert found == pytest.approx(0.01 / (0.01 + 1 / 8), abs=0.01)


def steps(instrument, grams, stats, accumulate=1):
    """Steps as Lightning makes them; the procedure compares parts where it is asked to."""
    procedure = SimpleNamespace(watch=False, gram=None, stats={})
    learner = SimpleNamespace(procedure=procedure)
    logged = []
    logger = SimpleNamespace(log_metrics=lambda numbers, step: logged.append((step, dict(numbers))))
    trainer = SimpleNamespace(global_step=0, accumulate_grad_batches=accumulate, logger=logger)
    for index, (gram, stat) in enumerate(zip(grams, stats, strict=True)):
        instrument.on_train_batch_start(trainer, learner, None, index)
        procedure.gram, procedure.stats = (gram if procedure.watch else None), stat
        trainer.global_step += (index + 1) % accumulate == 0
        instrument.on_train_batch_end(trainer, learner, None, None, index)
        assert not procedure.watch
    return logged


def test_the_last_batch_of_a_step_in_so_many_is_compared():
    grams = [of([1.0], [float(n)]) for n in range(1, 9)]
    logged = steps(GradientAgreement(2, 0.0), grams, [{}] * 8, accumulate=2)
    assert [step for step, _ in logged] == [2, 4]
    assert [numbers["gram/m_coherence"] for _, numbers in logged] == pytest.approx([25 / 17, 81 / 65])


def test_what_the_aggregator_did_is_the_mean_over_all_batches_since():
    stats = [{"aggregate/kept": torch.tensor(kept), "filter/clip/share": 9.0} for kept in (1.0, 0.0, 0.5, 0.5)]
    stats[3] = {"aggregate/kept": 0.0, "aggregate/skipped": 1.0}
    logged = steps(GradientAgreement(2, 0.0), [torch.eye(2)] * 4, stats)
    assert [numbers["aggregate/kept"] for _, numbers in logged] == [0.5, 0.25]
    assert logged[1][1]["aggregate/skipped"] == 1
    assert not any(name.startswith("filter/") for _, numbers in logged for name in numbers)


def test_a_batch_of_one_part_agrees_with_nobody():
    assert steps(GradientAgreement(1, 0.9), [torch.eye(1)], [{}]) == []


def test_a_restored_instrument_goes_on_as_if_nothing_had_happened():
    one, other = GradientAgreement(2, 0.9), GradientAgreement(2, 0.9)
    grams, stats = [of([1.0, 2.0], [0.5, 0.1])] * 3, [{"aggregate/kept": torch.tensor(1 / 3)}] * 3
    steps(one, grams, stats)
    other.load_state_dict(one.state_dict())
    assert steps(one, grams, stats) == steps(other, grams, stats)
    assert other.result() == one.result()


@pytest.mark.parametrize(("measure", "there"), [("plain", False), ("microbatch", True)])
def test_it_is_there_where_a_batch_has_several_gradients(measure, there):
    config = resolve({"task": "addition", "optim.measure": measure}, preset="tiny").config
    assert (GradientAgreementConfig().build(config) is not None) == there
