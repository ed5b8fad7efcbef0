"""What a model learned, and whether to trust it: baselines, comparisons, maps and reports.

Names are imported when they are first used, so that scikit-learn and matplotlib are loaded by those who use them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claim_transformers.analysis.baselines import fit_logistic_regression
    from claim_transformers.analysis.comparison import Comparison, compare_models
    from claim_transformers.analysis.embedding_map import embed_patients, map_patients
    from claim_transformers.analysis.report import write_report
    from claim_transformers.analysis.true_risk import true_risk_scores

_MODULE_OF_NAME = {
    "Comparison": "comparison",
    "compare_models": "comparison",
    "embed_patients": "embedding_map",
    "fit_logistic_regression": "baselines",
    "map_patients": "embedding_map",
    "true_risk_scores": "true_risk",
    "write_report": "report",
}

__all__ = [
    "Comparison",
    "compare_models",
    "embed_patients",
    "fit_logistic_regression",
    "map_patients",
    "true_risk_scores",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
