"""The Python API in one script: train a looped model, then let the same weights take fewer and more steps.

    python examples/depth.py

One shared block is applied four times in training, on sums of two to four digits written from the left, without
intermediate steps (the recipe depth-at-test-time; some four minutes).  You should see val rise to 0.99 at the fourth
step and fall beyond it: the model has learned a computation of four steps, not one that settles.
"""

from __future__ import annotations

import factorexe
from factorexe.recipe import find

STEPS = (1, 2, 3, 4, 6, 8)


def main() -> None:
    """Train, or read the run that is there, and print one row for each number of steps."""
    run = factorexe.fit(factorexe.resolve(files=[find("depth-at-test-time")]), say=print)
    budget = factorexe.budget(run, dial="steps", values=STEPS)
    print(f"\nsteps   val    ood    block applications per problem   ({run.path})")
    for point in budget.curves[0].points:
        val, ood = point.scores["val"], point.scores["ood"]
        print(f"{point.value:5d}  {val.solved:.3f}  {ood.solved:.3f}  {val.compute:.0f}")
    answers, _ = factorexe.predict(run, ["999+1", "4567+5678"])
    for answer in answers:
        print(f"{answer.prompt} = {answer.answer}  {'right' if answer.right else f'WRONG, {answer.right_answer}'}")


if __name__ == "__main__":
    main()
