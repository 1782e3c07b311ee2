"""Words as options: spellings, values, and everything that is wrong at once."""

import pytest

from factorexe.commandline import Words, choices_said, underscored
from factorexe.config import ConfigError, resolve


def typed(*words):
    parsed = Words(words, "factorexe fit")
    return resolve(said=parsed.said, parse=parsed.parse).config


def complaints(*words):
    with pytest.raises(ConfigError) as caught:
        typed("--task", "addition", *words)
    return caught.value.messages


@pytest.mark.parametrize(
    ("word", "spelled"),
    [
        ("--trainer.max-steps", "--trainer.max_steps"),
        ("--trainer.max-steps=5", "--trainer.max_steps=5"),
        ("--runs=a-b", "--runs=a-b"),
        ("--no-trainer.enable-progress-bar", "--no-trainer.enable_progress_bar"),
        ("bf16-mixed", "bf16-mixed"),
        ("-5", "-5"),
        ("--", "--"),
    ],
)
def test_dashes_in_options_are_underscores_and_in_values_are_not(word, spelled):
    assert underscored(word) == spelled


def test_the_last_word_about_a_choice_counts():
    assert choices_said(["--a", "x", "--b=y", "--a=z", "--flag", "--c"]) == {"a": "z", "b": "y"}


@pytest.mark.parametrize(
    "words",
    [
        ("--task", "addition", "--trainer.max_steps", "7"),
        ("--task=addition", "--trainer.max-steps=7"),
        ("--trainer.max-steps", "7", "--task", "addition"),
        ("--task", "multiplication", "--task", "addition", "--trainer.max_steps", "9", "--trainer.max_steps", "7"),
    ],
)
def test_spelling_and_order_do_not_matter(words):
    config = typed(*words)
    assert (config.task.name, config.trainer.max_steps) == ("addition", 7)


def test_values_may_contain_dashes_and_negations_are_understood():
    config = typed("--task", "addition", "--trainer.precision", "bf16-mixed", "--no-trainer.enable-progress-bar")
    assert config.trainer.precision == "bf16-mixed"
    assert config.trainer.enable_progress_bar is False
    assert typed("--task", "addition", "--trainer.enable_progress_bar").trainer.enable_progress_bar is True


def test_small_numbers_none_and_maps_are_understood():
    config = typed(
        "--task=addition",
        "--task.digits=3",
        "--task.min_digits=2",
        "--data.mixture",
        "2=1,3=4",
        "--optim.optimizer.lr",
        "1e-3",
    )
    assert config.optim.optimizer.lr == 0.001
    assert config.data.mixture == {2: 1.0, 3: 4.0}
    assert typed("--task", "addition", "--data.train_size", "None").data.train_size is None


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--seed=-1",)])
def test_a_negative_number_is_a_value(words):
    (message,) = complaints(*words)
    assert message == "seed: Input should be greater than or equal to 0 (got '-1')"


def test_a_negative_number_with_an_exponent_is_a_value():
    (message,) = complaints("--optim.optimizer.lr", "-1e-3")
    assert "greater than 0" in message


def test_several_things_that_are_wrong_are_said_together():
    messages = complaints("--task.digits", "0", "--task.bse", "10", "--seed", "x", "--model", "transfromer")
    text = "\n".join(messages)
    for part in (
        "task.digits: Input should be greater",
        "--task.bse: there is no such option; did you mean --task.base",
        "seed: ",
        "transformer",
    ):
        assert part in text
    assert len(messages) == 4


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--task.digit", "4"), "--task.digit: there is no such option; did you mean --task.digits"),
        (("--trainer.zzz", "4"), "--trainer.zzz: there is no such option"),
        (("stray",), "'stray' is not an option; options are written --name value"),
        (("--trainer.max_steps",), "expected one argument"),
        (("--task.min_digits", "5"), r"min_digits (5) must not exceed digits (3)"),
        (("--task.digits", "three"), "task.digits"),
        (("--task.digit_order", "backwards"), "task.digit_order"),
        (("--trainer.max", "4"), "--trainer.max: there is no such option"),
    ],
)
def test_each_mistake_is_named(words, part):
    assert any(part in message for message in complaints(*words))


def test_help_lists_the_options_of_what_was_chosen():
    from factorexe.choice import Binder
    from factorexe.config import RunConfig

    words = Words(["--task", "multiplication"], "factorexe fit")
    text = words.help(Binder(words.said, {}).bind(RunConfig))
    for option in ("--task.second_digits", "--model.layers", "--optim.optimizer.weight_decay", "--trainer.max_steps"):
        assert option in text
    assert "Digits of the second number" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--model.places",), True),
        (("--model.places", "true"), True),
        (("--model.places=True",), True),
        (("--no-model.places",), False),
        (("--model.places", "false"), False),
        (("--model.places=false",), False),
        (("--model.places", "true", "--model.places", "false", "--seed", "3"), False),
    ],
)
def test_a_yes_or_no_may_be_said_in_words_or_as_a_flag(words, expected):
    assert typed("--task", "addition", *words).model.places is expected


@pytest.mark.parametrize("words", [("--model.places", "maybe"), ("--model.places=maybe",)])
def test_what_is_neither_yes_nor_no_is_named(words):
    assert complaints(*words) == ("--model.places: expected true or false (got 'maybe')",)
