"""Rows of tokens, by hand: 12 * 34 = 408, written 8040 with the least significant digit first."""

import numpy as np
import pytest
import torch

from factorexe.layout import SequenceLayout
from factorexe.registry import Registry
from factorexe.tasks.base import Examples, joined
from factorexe.tasks.multiplication import Multiplication

TASK = Multiplication(digits=2)


def example(prompt, chain, steps, answer, level=2):
    return Examples(
        prompt=TASK.parse(prompt)[None],
        chain=TASK.parse(chain)[None],
        chain_step=np.array([steps]),
        answer=TASK.parse(answer)[None],
        difficulty=np.array([level]),
    )


# 12 x 4 = 48 is step 0; 12 x 3 = 36, shifted and added: 408, is step 1
WORKED = example("12*34", "+840+630>8040", [0] * 4 + [1] * 9, "8040")
SHORT = example("7*8", "+65", [0] * 3, "65", level=1)


def written(layout, row):
    """A row of tokens as words; `.` is padding."""
    marks = {0: ".", layout.chain_mark: "C", layout.answer_mark: "A", layout.end_mark: "E"}
    return "".join(marks.get(int(token)) or TASK.symbols[int(token)] for token in row)


def generated(layout, *rows):
    """Rows as a model would write them, padded with 0."""
    marks = {".": 0, "C": layout.chain_mark, "A": layout.answer_mark, "E": layout.end_mark}
    width = max(map(len, rows))
    return torch.tensor(
        [[marks[c] if c in marks else int(TASK.parse(c)[0]) for c in row.ljust(width, ".")] for row in rows]
    )


def texts(tokens):
    return [TASK.text(row) for row in tokens]


def test_the_worked_example_is_written_token_by_token():
    layout = SequenceLayout(TASK, chain=True)
    batch = layout.batch(WORKED, 25)
    assert written(layout, batch.tokens[0]) == "12*34C+840+630>8040A8040E"
    assert written(layout, batch.targets[0]) == "2*34C+840+630>8040A8040E."
    assert batch.prompt_length.tolist() == [6]  # 1 2 * 3 4 <chain>


def test_everything_after_the_chain_mark_is_supervised_and_nothing_else():
    layout = SequenceLayout(TASK, chain=True)
    batch = layout.batch(WORKED, 25)
    supervised = batch.targets[0][batch.weights[0] == 1]
    assert written(layout, supervised) == "+840+630>8040A8040E"
    assert set(batch.weights[0].tolist()) == {0.0, 1.0}


def test_without_the_chain_the_answer_follows_the_prompt():
    layout = SequenceLayout(TASK, chain=False)
    batch = layout.batch(WORKED, 12)
    assert written(layout, batch.tokens[0]) == "12*34A8040E."
    assert written(layout, batch.targets[0][batch.weights[0] == 1]) == "8040E"
    assert batch.prompt_length.tolist() == [6]


def test_a_target_is_the_token_that_follows():
    layout = SequenceLayout(TASK, chain=True)
    batch = layout.batch(joined([WORKED, SHORT]), 30)
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])


def test_rows_of_different_lengths_start_at_the_left_and_are_supervised_each_to_its_own_end():
    layout = SequenceLayout(TASK, chain=True)
    batch = layout.batch(joined([WORKED, SHORT]), 25)
    assert written(layout, batch.tokens[1]) == "7*8C+65A65E".ljust(25, ".")
    assert written(layout, batch.targets[1][batch.weights[1] == 1]) == "+65A65E"


@pytest.mark.parametrize(("keep", "chain"), [(1, "+840+630>8040"), (2, "+630>8040"), (3, "")])
def test_keep_steps_keeps_every_kth_step_and_closes_the_gaps(keep, chain):
    layout = SequenceLayout(TASK, chain=True, keep_steps=keep)
    batch = layout.batch(WORKED, 25)
    assert written(layout, batch.tokens[0]).rstrip(".") == f"12*34C{chain}A8040E"
    assert written(layout, batch.targets[0][batch.weights[0] == 1]) == f"{chain}A8040E"


def test_prompts_end_at_the_same_column_and_count_positions_from_their_first_token():
    layout = SequenceLayout(TASK, chain=False)
    prompts = layout.prompts(joined([WORKED, SHORT]))
    assert [written(layout, row) for row in prompts.tokens] == ["12*34A", "..7*8A"]
    assert prompts.positions.tolist() == [[0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 2, 3]]
    assert prompts.prompt_length.tolist() == [6, 4]


def test_prompts_of_a_chain_end_with_the_chain_mark():
    layout = SequenceLayout(TASK, chain=True)
    assert written(layout, layout.prompts(SHORT).tokens[0]) == "7*8C"


def test_an_answer_stands_between_the_last_answer_mark_and_the_first_end():
    layout = SequenceLayout(TASK, chain=True)
    rows = generated(layout, "+65A65E", "+65A9A65E", "+65A65E77AE")
    assert texts(layout.answers(rows)) == ["65", "65", "65"]


def test_a_row_that_did_not_end_or_has_no_mark_or_is_empty_answers_nothing():
    layout = SequenceLayout(TASK, chain=True)
    rows = generated(layout, "+65A65E", "+65A65", "+6565E", "AE", "E", "EA65", "")
    assert texts(layout.answers(rows)) == ["65", "", "", "", "", "", ""]


def test_a_batch_in_which_no_row_answers_still_has_a_column():
    layout = SequenceLayout(TASK, chain=True)
    assert layout.answers(generated(layout, "+65")).tolist() == [[0]]


def test_without_a_chain_everything_up_to_the_end_is_the_answer():
    layout = SequenceLayout(TASK, chain=False)
    assert texts(layout.answers(generated(layout, "65E", "65", "E", "9A65E"))) == ["65", "", "", "65"]


def test_chains_are_what_stands_before_the_first_answer_mark():
    layout = SequenceLayout(TASK, chain=True)
    rows = generated(layout, "+65A65E", "+65", "+6A5A65E", "AE")
    assert texts(layout.chains(rows)) == ["+65", "+65", "+6", ""]


def test_without_a_chain_there_are_no_chains():
    layout = SequenceLayout(TASK, chain=False)
    assert layout.chains(generated(layout, "65E")).shape == (1, 0)


def test_batch_select_takes_the_same_rows_of_everything():
    layout = SequenceLayout(TASK, chain=False)
    batch = layout.batch(joined([WORKED, SHORT]), 11).select(torch.tensor([1]))
    assert written(layout, batch.tokens[0]) == "7*8A65E...."
    assert batch.prompt_length.tolist() == [4]
    assert texts(batch.examples.answer) == ["65"]
    assert len(batch) == 1


def test_text_names_the_marks():
    layout = SequenceLayout(TASK, chain=True)
    row = generated(layout, "7*8C+65A65E")[0].numpy()
    assert layout.text(row) == "7*8 <chain> +65 <answer> 65 <end>"


def test_lengths_of_the_worked_example_are_those_of_its_row():
    # with the chain 12*34C+840+630>8040A8040E: 25 tokens, 6 of them given
    chain = SequenceLayout(TASK, chain=True)
    assert chain.length([2]) == 24  # a row without its last token
    assert chain.limit([2]) == 19
    # without it 12*34A8040E: 11 tokens, 6 of them given
    answer = SequenceLayout(TASK, chain=False)
    assert answer.length([2]) == 10
    assert answer.limit([2]) == 5


@pytest.mark.parametrize("chain", [False, True], ids=["answer", "chain"])
@pytest.mark.parametrize("name", Registry("tasks").names())
def test_every_row_fits_its_length_its_limit_and_the_model(name, chain):
    task = Registry("tasks").get(name).cls()
    layout = SequenceLayout(task, chain=chain)
    for level in {*task.difficulties("train"), *task.difficulties("ood")}:
        examples = task.sample(np.full(20, level), np.random.default_rng(0))
        length, limit = layout.length([level]), layout.limit([level])
        batch = layout.batch(examples, length)  # raises if a row is too long
        assert (batch.targets == layout.end_mark).sum(dim=1).tolist() == [1] * 20
        assert int(batch.weights.sum(dim=1).max()) <= limit
        prompts = layout.prompts(examples)
        assert length <= layout.max_length
        assert prompts.tokens.shape[1] + limit - 1 <= layout.max_length  # the last token is never processed
        assert int(batch.tokens.max()) < layout.vocabulary


def test_length_and_limit_of_several_difficulties_are_those_of_the_hardest():
    layout = SequenceLayout(Multiplication(digits=3, min_digits=1), chain=True)
    assert layout.length([1, 2, 3]) == layout.length([3]) > layout.length([2])
    assert layout.limit([1, 2, 3]) == layout.limit([3]) > layout.limit([2])
