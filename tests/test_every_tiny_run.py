"""Every task's tiny run goes through with both objectives, and ends no worse than a constant answer."""

import pytest

import factorexe
from factorexe.registry import Registry

pytestmark = pytest.mark.slow


def has_chain(name):
    cls = Registry("tasks").get(name).cls
    return bool(cls().widths(cls().train_difficulty[1]).chain)


CASES = [
    (name, objective)
    for name in Registry("tasks").names()
    for objective in ("answer", "chain")
    if objective == "answer" or has_chain(name)
]


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_the_tiny_run_of_a_task(name, objective, tmp_path):
    options = {"task": name, "objective": objective, "trainer.threads": 1, "trainer.enable_progress_bar": False}
    result = factorexe.fit(options, preset="tiny", runs=tmp_path).result
    for split, solved in result["solved"].items():
        if solved:
            assert 0 <= solved["final"] <= 1
            assert solved["n"] == sum(result["n_by_difficulty"][split].values())
    assert result["loss"]["train"] < 3
    baseline = result["baselines"]["majority"]
    assert 0 <= baseline <= 1
    best = result["solved"]["val"]["best"]
    low, high = result["solved"]["val"]["interval"]
    assert best >= baseline - (high - low), f"val {best} against a majority of {baseline}"
    assert max(result["solved"]["seen"]["final"], result["solved"]["seen"]["best"]) > 0  # val chose the best step
    assert result["samples"]
