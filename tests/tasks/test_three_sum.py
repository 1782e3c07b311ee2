"""Three-sum against sums done in the head and a search through all triples."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.splits import Splits
from factorexe.tasks.digits import GLYPHS
from factorexe.tasks.three_sum import ThreeSum


def solution(task, text):
    solved = task.complete(task.parse(text)[None])
    return task.text(solved.chain[0]), task.text(solved.answer[0])


def drawn(task, length, count, seed=0):
    return task.sample(np.full(count, length), np.random.default_rng(seed), chain=False)


def tuples_of(text):
    return [[GLYPHS.index(glyph) for glyph in part] for part in text.split(",")]


def zero(tuples, modulus):
    """Whether the tuples add up to zero in every coordinate."""
    return all(sum(column) % modulus == 0 for column in zip(*tuples, strict=True))


def test_12_40_and_58_add_up_to_zero():
    assert solution(ThreeSum(dimension=2), "12,93,40,58") == ("05-52+33-", "T")
    assert solution(ThreeSum(dimension=2, steps="adaptive"), "12,93,40,58") == ("0-52+", "T")


def test_a_tuple_is_used_once():
    # 05 + 05 + 00 is zero, but there is one 05; 5 + 5 + 0 needs two fives
    assert solution(ThreeSum(dimension=2), "05,00,11")[1] == "F"
    assert solution(ThreeSum(dimension=2), "05,00,05") == ("05+", "T")


def test_the_adaptive_chain_goes_on_while_a_tuple_agrees():
    # 12 + 40 = 52 needs 58; 57 agrees in the first digit alone
    assert solution(ThreeSum(dimension=2, steps="adaptive"), "12,40,57") == ("52-", "F")
    assert solution(ThreeSum(dimension=2, steps="adaptive"), "12,40,48") == ("5-", "F")


def test_steps_of_the_adaptive_chain_are_pairs():
    task = ThreeSum(dimension=2, steps="adaptive")
    solved = task.complete(task.parse("12,93,40,58")[None])
    assert solved.chain_step[0][solved.chain[0] != 0].tolist() == [0, 0, 1, 1, 1]


@given(
    length=st.integers(3, 7),
    dimension=st.integers(1, 4),
    modulus=st.integers(8, 36),
    negatives=st.sampled_from(["corrupted", "random"]),
    seed=st.integers(0, 99),
)
def test_answers_and_chains_are_those_of_a_search_through_all_triples(length, dimension, modulus, negatives, seed):
    options = {"length": length, "dimension": dimension + (length > 3), "modulus": modulus, "negatives": negatives}
    parallel, adaptive = ThreeSum(**options), ThreeSum(**options, steps="adaptive")
    examples = parallel.sample(np.full(6, length), np.random.default_rng(seed))
    for row in range(len(examples)):
        prompt, chain, answer = (
            parallel.text(tokens[row]) for tokens in (examples.prompt, examples.chain, examples.answer)
        )
        tuples = tuples_of(prompt)
        assert (answer == "T") == any(zero(three, modulus) for three in itertools.combinations(tuples, 3))
        lines, short = [], []
        for second, first in ((b, a) for b in range(length - 1) for a in range(b)):
            total = [(x + y) % modulus for x, y in zip(tuples[first], tuples[second], strict=True)]
            later = [
                [(x + y) % modulus == 0 for x, y in zip(total, third, strict=True)] for third in tuples[second + 1 :]
            ]
            verdict = "+" if any(map(all, later)) else "-"
            written = "".join(GLYPHS[digit] for digit in total)
            lines.append(written + verdict)
            if not short or short[-1][-1] == "-":
                agreed = max(len(list(itertools.takewhile(bool, agrees))) for agrees in later)
                short.append(written[: agreed + 1] + verdict)
        assert chain == "".join(lines)
        assert solution(adaptive, prompt) == ("".join(short), answer)


@pytest.mark.parametrize("negatives", ["corrupted", "random"])
def test_half_of_the_problems_of_every_length_have_a_triple(negatives):
    task = ThreeSum(min_length=3, length=9, negatives=negatives)
    asked = np.random.default_rng(1).permutation(np.repeat([3, 6, 9], 4000))
    examples = task.sample(asked, np.random.default_rng(0), chain=False)
    for length in (3, 6, 9):
        share = (examples.answer[examples.difficulty == length] == task.parse("T")).mean()
        assert abs(share - 0.5) < 0.03  # nearly four standard deviations


@pytest.mark.parametrize("preset", ["default", "tiny"])
def test_half_of_the_distinct_problems_of_a_preset_have_a_triple(preset):
    # there are fewer problems with a triple than without: where they run out, the rest of a split has none
    options = {path: value for path, value in ThreeSum.presets[preset].items() if path.startswith("task.")}
    task = ThreeSum(**{path.removeprefix("task."): value for path, value in options.items()})
    answer = Splits(task, eval_size=2000, chain=False).evaluation("val").answer
    assert abs((answer == task.parse("T")).mean() - 0.5) < 0.045  # four standard deviations


def guessed(features, label):
    """Share of the second half that least squares on the first half tells right."""
    half = len(label) // 2
    features = np.concatenate([features, np.ones((len(label), 1))], axis=1).astype(float)
    weight = np.linalg.lstsq(features[:half], 2.0 * label[:half] - 1, rcond=None)[0]
    return ((features[half:] @ weight > 0) == label[half:]).mean()


def described(negatives, count=8000):
    """Problems as tuples (N, length, dimension), and whether each has a triple."""
    task = ThreeSum(negatives=negatives)
    examples = drawn(task, 6, count)
    return task._read(examples.prompt)[0], examples.answer[:, 0] == task.parse("T")[0]


def test_counts_and_sums_of_digits_tell_nothing():
    tuples, label = described("corrupted")
    counts = (tuples[:, :, :, None] == np.arange(10)).sum(axis=1).reshape(len(tuples), -1)
    sums = tuples.sum(axis=1)
    remainders = (sums[:, :, None] % 10 == np.arange(10)).reshape(len(tuples), -1)
    assert guessed(np.concatenate([counts, sums, remainders], axis=1), label) < 0.53  # 0.008 is one standard deviation


def test_random_negatives_are_told_by_two_of_three_coordinates():
    def seen_without_the_last(negatives):
        tuples, label = described(negatives)
        triples = np.array(list(itertools.combinations(range(6), 3)))
        near = (tuples[:, triples, :2].sum(axis=2) % 10 == 0).all(axis=2).any(axis=1)
        return (near == label).mean()

    assert seen_without_the_last("random") > 0.88
    assert seen_without_the_last("corrupted") < 0.84


def test_key_ignores_the_order_of_tuples_alone():
    task = ThreeSum(dimension=2)
    same, swapped, other, longer = (
        task.key(task.complete(task.parse(text)[None])).tolist()
        for text in ("12,93,40,58", "58,12,40,93", "21,93,40,58", "00,12,93,40,58")
    )
    assert same == swapped
    assert other != same != longer


@pytest.mark.parametrize("text", ["12,93", "12,93,4", "12,93,405", "129340", "12,,40", "12,93,4T", ",12,93"])
def test_what_is_no_list_of_three_tuples_is_refused(text):
    with pytest.raises(ValueError, match="expected t"):
        solution(ThreeSum(dimension=2), text)


def test_options_that_cannot_work_are_refused_by_name():
    with pytest.raises(ValueError, match=r"min_length \(7\) must not exceed length \(6\)"):
        ThreeSum(min_length=7)
    with pytest.raises(ValueError, match=r"ood_length \(6\) must exceed length \(6\)"):
        ThreeSum(ood_length=6)
    with pytest.raises(ValueError, match="7 tuples have 35 triples but only 10 different sums"):
        ThreeSum(dimension=1)
