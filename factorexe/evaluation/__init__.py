"""A finished run's weights at work: as they were trained, or with options changed that hold no weights.

evaluate(reloaded(run), ("val", "ood"))                              the splits a run is judged by
evaluate(reloaded(run, {"model.steps": 8}), ("test", "ood_test"))    deeper than in training
predict(run, ["123*456"])                                            answers to typed problems
"""

from __future__ import annotations

from factorexe.evaluation.answering import Answer, predict
from factorexe.evaluation.reloading import Reloaded, changed_by, reloaded
from factorexe.evaluation.scoring import evaluate

__all__ = ["Answer", "Reloaded", "changed_by", "evaluate", "predict", "reloaded"]
