"""One run, fully described: what is trained on what, how, and with which numbers.

A run is described by options in a tree.  Values come from, later over earlier: defaults, the ``default``
preset of the task and of the model, ``--preset``, files in order, the command line::

    config = resolve({"task": "multiplication", "data": {"train_size": 5000}})
    config.task.digits, config.trainer.max_steps

This module imports no plug-in: tasks, models, objectives and optimizers are found by name when chosen.
"""

from __future__ import annotations

from factorexe.config.error import ConfigError, sentence
from factorexe.config.files import as_yaml, flattened, read_files, read_yaml
from factorexe.config.identity import named_runs, run_id, run_place
from factorexe.config.options import DataConfig, NotInId, OptimConfig, RunConfig, RunPath, TrainerConfig
from factorexe.config.presets import preset_layers
from factorexe.config.resolving import Binding, Parse, Resolved, bind, resolve

__all__ = [
    "Binding",
    "ConfigError",
    "DataConfig",
    "NotInId",
    "OptimConfig",
    "Parse",
    "Resolved",
    "RunConfig",
    "RunPath",
    "TrainerConfig",
    "as_yaml",
    "bind",
    "flattened",
    "named_runs",
    "preset_layers",
    "read_files",
    "read_yaml",
    "resolve",
    "run_id",
    "run_place",
    "sentence",
]
