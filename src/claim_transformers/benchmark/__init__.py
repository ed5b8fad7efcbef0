"""The benchmark: every table and figure again from a clone, resumable, with intervals.

Names are imported when they are first used, as in the other rooms.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claim_transformers.benchmark.contestants import Contestant, standard_contestants
    from claim_transformers.benchmark.fine_tuning import FineTuning, fine_tune
    from claim_transformers.benchmark.running import run_contestants
    from claim_transformers.benchmark.steps import StepResult, Workspace
    from claim_transformers.benchmark.tables import ModelPredictions, ResultTable, compare_models
    from claim_transformers.benchmark.tasks import BenchmarkCohort, Scores, Task

_MODULE_OF_NAME = {
    "BenchmarkCohort": "tasks",
    "Contestant": "contestants",
    "FineTuning": "fine_tuning",
    "ModelPredictions": "tables",
    "ResultTable": "tables",
    "Scores": "tasks",
    "StepResult": "steps",
    "Task": "tasks",
    "Workspace": "steps",
    "compare_models": "tables",
    "fine_tune": "fine_tuning",
    "run_contestants": "running",
    "standard_contestants": "contestants",
}

__all__ = [
    "BenchmarkCohort",
    "Contestant",
    "FineTuning",
    "ModelPredictions",
    "ResultTable",
    "Scores",
    "StepResult",
    "Task",
    "Workspace",
    "compare_models",
    "fine_tune",
    "run_contestants",
    "standard_contestants",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
