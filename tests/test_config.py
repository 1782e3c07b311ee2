"""Describing a run: what overrides what, what has the same id, what is refused."""

import json
import pickle

import pytest
import yaml

from factorexe.commandline import Words
from factorexe.config import ConfigError, as_yaml, read_yaml, resolve, run_id

PLUS = """
    from typing import ClassVar
    from factorexe.tasks.addition import Addition

    def everywhere(value):
        return dict.fromkeys(("data.train_size", "data.eval_size", "seed", "trainer.max_steps"), value)

    class Plus(Addition):
        '''Add.'''
        presets: ClassVar = {
            "default": {"data.batch_size": 10, **everywhere(10)},
            "tiny": {"task.digits": 2, "task.base": 5, **everywhere(20)},
        }
"""


def typed(line, **more):
    """What a command line describes."""
    words = Words(line.split(), "factorexe fit")
    return resolve(said=words.said, parse=words.parse, **more)


def file(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def options(resolved):
    return resolved.config.model_dump(mode="json")


def identity(resolved):
    return run_id(resolved.config, resolved.plugins)


def test_later_sources_override_earlier_ones(install, tmp_path):
    install("their-package", {"factorexe.tasks": ["plus = their_plus:Plus"]}, their_plus=PLUS)
    first = file(tmp_path, "first.yaml", "data: {eval_size: 30}\nseed: 30\ntrainer: {max_steps: 30}\n")
    second = file(tmp_path, "second.yaml", "seed: 40\ntrainer.max_steps: 40\n")
    config = typed("--task plus --trainer.max_steps 50", preset="tiny", files=[first, second]).config
    assert config.trainer.val_check_interval == 100  # default
    assert config.data.batch_size == 10  # the default preset
    assert config.data.train_size == 20  # the tiny preset
    assert config.data.eval_size == 30  # the first file
    assert config.seed == 40  # the second file
    assert config.trainer.max_steps == 50  # the command line


@pytest.mark.parametrize("name", ["multiplication", "addition"])
def test_every_option_of_a_preset_survives_naming_the_task_in_words(name):
    in_words, in_python = typed(f"--task {name}", preset="tiny"), resolve({"task": name}, preset="tiny")
    assert options(in_words) == options(in_python)
    for path, value in type(in_words.config.task).presets["tiny"].items():
        block, option = path.split(".")
        assert options(in_words)[block][option] == value
    assert not in_words.notes


def test_options_of_the_preset_of_a_model_survive_naming_it_in_words(install):
    source = """
        from factorexe.models.transformer import TransformerConfig

        class Mine(TransformerConfig):
            '''Mine.'''
    """
    install("their-package", {"factorexe.models": ["mine = their_model:Mine"]}, their_model=source)
    config = typed("--task addition --model mine", preset="tiny").config
    assert (config.model.name, config.model.width, config.model.heads) == ("mine", 32, 2)


def test_a_new_name_drops_the_old_ones_block(tmp_path):
    path = file(tmp_path, "run.yaml", "task: {name: multiplication, second_digits: 2, digits: 5}\n")
    resolved = typed("--task addition", files=[path])
    assert resolved.config.task.digits == 3
    assert "multiplication" in " ".join(resolved.notes)
    later = file(tmp_path, "later.yaml", "task: addition\n")
    assert resolve(files=[path, later]).config.task.digits == 3


def test_the_same_name_keeps_the_block(tmp_path):
    path = file(tmp_path, "run.yaml", "task: {name: addition, digits: 5}\n")
    assert typed("--task addition", files=[path]).config.task.digits == 5


def test_choices_nest(install):
    source = """
        from typing import Annotated, Any
        from factorexe.choice import Choice
        from factorexe.models.transformer import TransformerConfig

        class Around(TransformerConfig):
            '''A model around another.'''
            inner: Annotated[Any, Choice("models", "transformer")]
            '''The model inside.'''
    """
    install("their-package", {"factorexe.models": ["around = their_model:Around"]}, their_model=source)
    line = "--task addition --model around --model.inner around --model.inner.inner.layers 7 --model.inner.layers 3"
    resolved = typed(line)
    model = resolved.config.model
    assert (model.name, model.inner.name, model.inner.inner.name) == ("around", "around", "transformer")
    assert (model.layers, model.inner.layers, model.inner.inner.layers) == (2, 3, 7)
    assert set(resolved.plugins) >= {"model", "model.inner", "model.inner.inner"}
    again = resolve(yaml.safe_load(as_yaml(resolved.config)))
    assert options(again) == options(resolved)
    deeper = typed(line.replace("7", "8"))
    assert identity(deeper) != identity(resolved) == identity(again)


def test_the_resolved_run_dumps_every_chosen_option_with_its_name():
    dumped = yaml.safe_load(as_yaml(resolve({"task": "multiplication"}).config))
    assert dumped["task"]["name"] == "multiplication"
    assert dumped["task"]["digits"] == 3
    assert dumped["optim"]["optimizer"]["name"] == "adamw"
    assert dumped["optim"]["horizon"] == dumped["trainer"]["max_steps"] == 1250


def test_the_same_run_has_the_same_id_however_it_is_written(tmp_path):
    plain = resolve({"task": "addition"})
    own_file = file(tmp_path, "own.yaml", as_yaml(plain.config))
    same = [
        typed("--task addition"),
        typed("--task=addition --model universal-transformer --task.digits 3 --task.digit-order reversed --seed=0"),
        resolve({"task": {"name": "addition", "base": 10}, "trainer.max_steps": 1000}),
        resolve(files=[own_file]),
        typed("--task addition", files=[own_file]),
    ]
    assert {identity(run) for run in same} == {identity(plain)}


@pytest.mark.parametrize(
    "option",
    [
        "--task.digits 4",
        "--task.digit_order plain",
        "--model.layers 3",
        "--model.dropout 0.2",
        "--objective answer",
        "--objective.keep_steps 2",
        "--optim.optimizer.lr 0.1",
        "--optim.schedule linear",
        "--optim.horizon 7",
        "--data.batch_size 3",
        "--data.corrupt 0.5",
        "--data.split_seed 1",
        "--trainer.max_steps 7",
        "--trainer.precision bf16-mixed",
        "--seed 1",
    ],
)
def test_whatever_changes_numbers_changes_the_id(option):
    assert identity(typed(f"--task addition {option}")) != identity(resolve({"task": "addition"}))


@pytest.mark.parametrize(
    "option", ["--data.num_workers 2", "--trainer.accelerator cpu", "--no-trainer.enable_progress_bar"]
)
def test_bars_workers_and_devices_do_not_change_the_id(option):
    changed = typed(f"--task addition {option}")
    assert options(changed) != options(resolve({"task": "addition"}))
    assert identity(changed) == identity(resolve({"task": "addition"}))


def test_another_version_of_a_plugin_is_another_run():
    resolved = resolve({"task": "addition"})
    newer = {**resolved.plugins, "task": ("addition", "factorexe 99")}
    assert run_id(resolved.config, newer) != identity(resolved)


def test_the_environment_says_nothing_about_a_run(monkeypatch):
    before = options(typed("--task addition --task.digits 4"))
    for name in ("SEED", "TASK", "seed", "task", "TRAINER", "TRAINER__MAX_STEPS", "trainer.max_steps", "DATA"):
        monkeypatch.setenv(name, "5")
    assert options(typed("--task addition --task.digits 4")) == before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed: 1\ntask: [\n", "line 3: not valid YAML"),
        ("seed: 1\n\tx: 2\n", "line 2: not valid YAML"),
        ("- a\n- b\n", "expected options as `name: value`, found list"),
        ("just words\n", "found str"),
        ("!!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_errors_in_a_file_name_the_file_and_the_line(tmp_path, text, complaint):
    path = file(tmp_path, "run.yaml", text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.yaml"):
        read_yaml(tmp_path / "bytes.yaml")


def test_an_empty_file_says_nothing(tmp_path):
    assert read_yaml(file(tmp_path, "empty.yaml", "# nothing\n")) == {}


def test_a_class_path_in_a_file_is_refused_and_in_words_it_is_not(tmp_path):
    path = file(tmp_path, "run.yaml", "task: factorexe.tasks.addition:Addition\n")
    with pytest.raises(ConfigError, match="a file may only use registered names"):
        resolve(files=[path])
    assert typed("--task factorexe.tasks.addition:Addition").config.task.digits == 3
    assert resolve({"task": "factorexe.tasks.addition:Addition"}).config.task.digits == 3


def test_a_class_path_in_a_file_may_be_repeated_in_words(tmp_path):
    """So that a run on someone's own file can be loaded and resumed."""
    path = file(tmp_path, "run.yaml", "task: {name: 'factorexe.tasks.addition:Addition', digits: 4}\n")
    assert typed("--task factorexe.tasks.addition:Addition", files=[path]).config.task.digits == 4


def test_a_callers_own_dictionary_does_not_make_a_file_trusted(tmp_path):
    path = file(tmp_path, "run.yaml", "task: factorexe.tasks.addition:Addition\n")
    with pytest.raises(ConfigError, match="a file may only use registered names"):
        resolve({"seed": 1}, files=[path])


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as caught:
        resolve({"task": {"name": "addition", "digits": 0, "base": "ten"}, "model": "transfromer", "sed": 1})
    text = "\n".join(caught.value.messages)
    for part in (
        "task.digits",
        "task.base",
        "did you mean transformer",
        "sed: there is no such option; did you mean seed",
    ):
        assert part in text


def test_an_unknown_preset_is_answered_with_those_there_are():
    with pytest.raises(ConfigError, match="no preset 'tinny'; did you mean tiny"):
        resolve({"task": "addition"}, preset="tinny")


def test_a_bound_run_and_its_parts_can_be_pickled():
    config = resolve({"task": {"name": "multiplication", "digits": 2}}).config
    for part in (config, config.task, config.model, config.optim, config.optim.optimizer):
        again = pickle.loads(pickle.dumps(part))
        assert again.model_dump() == part.model_dump()
        assert json.loads(again.model_dump_json()) == json.loads(part.model_dump_json())
    assert pickle.loads(pickle.dumps(config.task)).widths(2) == config.task.widths(2)


def test_a_bound_run_cannot_be_changed():
    config = resolve({"task": "addition"}).config
    with pytest.raises(ValueError, match="frozen"):
        config.task.digits = 5


def test_a_presets_learning_rate_is_not_for_another_optimizer():
    by_default = resolve({"task": "modular"}).config.optim.optimizer
    assert (by_default.name, by_default.lr, by_default.weight_decay) == ("adamw", 3e-3, 1.0)
    other = resolve({"task": "modular", "optim.optimizer": "rprop"}).config.optim
    assert "weight_decay" not in type(other.optimizer).model_fields
    assert other.optimizer.lr == type(other.optimizer).model_fields["lr"].default
    assert other.warmup == 10  # the rest of the preset holds
    mine = resolve({"task": "modular", "optim.optimizer": {"name": "sgd", "lr": 0.5}}).config.optim.optimizer
    assert mine.lr == 0.5
