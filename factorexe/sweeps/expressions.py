"""Expressions over a run's options: how a sweep file computes one option from others, or leaves a run out.

    options = {"model": {"name": "transformer", "width": 32}}
    Expression("4 * model.width").value(options)                                    128
    Expression('model == "transformer" and model.width in [64, 128]').value(options)    False

An option is written by its path; where a plug-in is chosen, its value is the name.  simpleeval does the arithmetic,
and refuses what would take for ever.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from factorexe.blocks import value_at
from factorexe.config import ConfigError
from factorexe.registry import suggestion

FUNCTIONS = {"min": min, "max": max, "round": round, "int": int, "log2": math.log2, "sqrt": math.sqrt}
YAML_WORDS = {"true": True, "false": False, "null": None}
GRAMMAR = (
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.UnaryOp, ast.USub, ast.UAdd),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot),
    *(ast.BoolOp, ast.And, ast.Or, ast.Not, ast.IfExp, ast.Constant, ast.List, ast.Tuple, ast.Load),
)


class Expression:
    """A computation on options.

    Raises:
        ConfigError: the text is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        reader = _Reader()
        try:
            self._tree = reader.visit(ast.parse(text.strip(), mode="eval").body)
        except ConfigError as error:
            raise ConfigError(f"{text!r}: {error}") from None
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else error
            raise ConfigError(f"{text!r} is no expression: {reason}") from None
        self._names = tuple(dict.fromkeys(reader.paths))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def names(self) -> tuple[str, ...]:
        """The options in it."""
        return self._names

    def value(self, options: Mapping[str, Any]) -> Any:
        """What it comes to with a run's options, nested.

        Raises:
            ConfigError: the run has no such option, or there is no result, as with a division by zero.
        """
        evaluator = EvalWithCompoundTypes(functions=dict(FUNCTIONS), names=lambda name: option_at(options, name.id))
        try:
            value = evaluator.eval(self.text, previously_parsed=self._tree)
            if isinstance(value, int | float | complex) and not math.isfinite(value):  # type: ignore[arg-type]
                raise ArithmeticError(f"it comes to {value}")
        except ConfigError as error:
            raise ConfigError(f"{self.text!r}: {error}") from None
        except (ArithmeticError, TypeError, ValueError, RecursionError, InvalidExpression) as error:
            raise ConfigError(f"{self.text!r} cannot be computed: {error}") from None
        return value


def option_at(options: Mapping[str, Any], path: str) -> Any:
    """The value of an option; the name, where a plug-in is chosen.

    Raises:
        ConfigError: there is none, or it is a whole block.
    """
    parent, _, last = path.rpartition(".")
    block = value_at(options, parent) if parent else options
    if not isinstance(block, Mapping) or last not in block:
        raise ConfigError(f"there is no option {path}; {_near(options, path)}")
    value = block[last]
    if isinstance(value, Mapping) and "name" in value:
        return value["name"]
    if isinstance(value, Mapping) and value:
        raise ConfigError(f"{path} is a block of options; choose one, such as {path}.{next(iter(value))}")
    return value


def _near(options: Mapping[str, Any], path: str) -> str:
    """What may be meant: an option of that name elsewhere, else a name like the first that is not there."""
    last = path.rpartition(".")[2]
    same = [known for known in _all_paths(options) if known.rpartition(".")[2] == last]
    if same:
        return f"did you mean {' or '.join(same[:3])}?"
    block: Any = options
    for part in path.split("."):
        if not isinstance(block.get(part), Mapping):
            break
        block = block[part]
    return suggestion(part, block)


def _all_paths(options: Mapping[str, Any], parent: str = "") -> Iterator[str]:
    for key, value in options.items():
        yield f"{parent}{key}"
        if isinstance(value, Mapping):
            yield from _all_paths(value, f"{parent}{key}.")


class _Reader(ast.NodeTransformer):
    """Makes one name of each option path, and refuses what an expression may not hold."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Name) and node.id in YAML_WORDS:
            return ast.Constant(YAML_WORDS[node.id])
        if isinstance(node, ast.Name | ast.Attribute):
            path = ast.unparse(node)
            if not all(part.isidentifier() for part in path.split(".")):
                raise ConfigError(f"expected the path of an option, such as model.width (got {path})")
            self.paths.append(path)
            return ast.Name(path, ast.Load())
        if isinstance(node, ast.Call) and not node.keywords:
            called = ast.unparse(node.func)
            if called not in FUNCTIONS:
                raise ConfigError(f"there is no function {called}; {suggestion(called, FUNCTIONS)}")
            return ast.Call(node.func, [self.visit(argument) for argument in node.args], [])
        odd = isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | None)
        if odd or not isinstance(node, GRAMMAR):
            raise ConfigError(
                f"{ast.unparse(node)} is more than arithmetic, comparisons, lists and {', '.join(FUNCTIONS)}"
            )
        return self.generic_visit(node)
