"""Options as blocks, taken apart and put together."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorexe.blocks import Merged, by_path, merged, nested

KEYS = st.sampled_from(["a", "b", "c", "name"])
LEAVES = st.integers(0, 3) | st.sampled_from(["x", "y"])
BLOCKS = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3), max_leaves=6)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(".".join)


def listed(tree):
    """What counts besides the values: which blocks were given whole."""
    return {
        key: (getattr(value, "listed", None), listed(value)) for key, value in tree.items() if isinstance(value, dict)
    }


@pytest.mark.parametrize(
    "given",
    [
        {"task": "mixture", "task.tasks.addition.digits": 2},
        {"task.tasks": ["addition", "copy"], "task.tasks.copy.length": 3},
        {"task.tasks": {"addition": {}, "copy": {"length": 3}}},
        {"model": {"name": "transformer", "layers": 2}, "model.width": 8},
    ],
)
def test_options_by_path_are_the_same_options_again(given):
    tree = nested(given)
    again = nested(json.loads(json.dumps(by_path(tree))))
    assert again == tree
    other = nested({"task.tasks": ["sort"], "model.width": 9})
    assert merged(again, other) == merged(tree, other)
    assert merged(other, again) == merged(other, tree)


def test_what_was_given_by_path_lists_nothing_still():
    tree = nested(by_path(nested({"task.tasks.addition.digits": 2})))
    assert isinstance(tree["task"], Merged)
    assert tree["task"]["tasks"].listed is None


@settings(derandomize=True, max_examples=200)
@given(st.dictionaries(PATHS, BLOCKS, min_size=1, max_size=4))
def test_any_options_by_path_have_the_same_values_again(options):
    try:
        tree = nested(options)
    except AttributeError:
        return  # an option below a value
    assert nested(by_path(tree)) == tree
