"""What a model answered, as text: whatever it answered."""

from types import SimpleNamespace

import numpy as np
import torch

from factorexe.callbacks.samples import Samples
from factorexe.generation import Generated
from factorexe.layout import SequenceLayout
from factorexe.learner import Scored
from factorexe.tasks.addition import Addition


def shown(answers, *, count=8):
    """The samples of one batch of `val` in which these answers were written; all wrong but the first."""
    layout = SequenceLayout(Addition(digits=1), chain=False)
    examples = layout.task.sample(np.full(len(answers), 1), np.random.default_rng(0))
    batch = layout.batch(examples, 7)
    tokens = torch.tensor(answers)
    generated = Generated(tokens, None, torch.zeros(tokens.shape), torch.full((len(answers),), 12.0))
    solved = torch.tensor([True] + [False] * (len(answers) - 1))
    trainer = SimpleNamespace(datamodule=SimpleNamespace(evaluated=("val",)), logger=None, global_step=1)
    samples = Samples(layout, count)
    samples.on_validation_start(trainer, None)
    samples.on_validation_batch_end(trainer, None, Scored(generated, solved), batch, 0)
    samples.on_validation_end(trainer, None)
    return samples.latest


LAYOUT = SequenceLayout(Addition(digits=1), chain=False)
DIGIT_3, DIGIT_7, END, CHAIN = 4, 8, LAYOUT.end_mark, LAYOUT.chain_mark


def test_wrong_answers_come_first_and_no_more_than_were_asked_for():
    samples = shown([[DIGIT_3, END], [DIGIT_7, END], [DIGIT_7, DIGIT_3]], count=2)
    assert [(s.prediction, s.right) for s in samples] == [("7", False), ("(none)", False)]
    samples = shown([[DIGIT_3, END], [DIGIT_7, END]])
    assert [(s.prediction, s.right) for s in samples] == [("7", False), ("3", True)]


def test_a_mark_inside_an_answer_breaks_nothing():
    (wrong, _) = shown([[DIGIT_3, DIGIT_3, END], [DIGIT_7, CHAIN, END]])
    assert not wrong.right
