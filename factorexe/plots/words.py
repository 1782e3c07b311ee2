"""Names of columns in words, for the axes of a figure.

solved.val.final    solved of val at the end        model.width    model width
t_gen               step at which val is solved (t_gen)
"""

from __future__ import annotations

from factorexe.metrics import EVENTS, REACHED, SOONER

_WHOLE = {
    "train_multiply_adds": "multiply-adds in training",
    "wall_time_s": "wall time (s)",
    "evaluation_time_s": "time of evaluation (s)",
    "examples_per_s": "examples per second",
    "best_step": "best step",
    "delay": "steps from t_mem to t_gen",
    **{event: f"{event}: step at which {split} is solved ({100 * REACHED:g} %)" for event, split in EVENTS.items()},
    **{event: f"{event}: step at which {of} is solved ({100 * rate:g} %)" for event, (of, rate) in SOONER.items()},
    "lowest_val_after_t_gen": "lowest solved of val after t_gen",
}
_FIRST = {
    "solved": "solved of {}",
    "loss": "loss on {}",
    "token_accuracy": "tokens right in {}",
    "solved_by_difficulty": "solved of {}",
    "gap": "gap between seen and val in {}",
    "compute_per_problem": "block applications per problem of {}",
}
_LAST = {"final": "at the end", "best": "at the best step"}


def in_words(column: str) -> str:
    """What an option or a result is."""
    if column in _WHOLE:
        return _WHOLE[column]
    first, *rest = column.split(".")
    if first not in _FIRST or not rest:
        return named(column)
    found = _FIRST[first].format(rest[0])
    if first == "solved_by_difficulty":
        return " ".join([found, "at difficulty", *rest[1:]])
    return " ".join([found, *(_LAST.get(part, part) for part in rest[1:])])


def named(column: str) -> str:
    """A path without its points."""
    return column.replace(".", " ").replace("_", " ")
