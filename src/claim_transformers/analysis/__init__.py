"""What a model learned, and whether to trust it: baselines, comparisons, maps and reports.

Names are imported when they are first used, so that scikit-learn and matplotlib are loaded by those who use them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claim_transformers.analysis.attention_view import write_attention_view
    from claim_transformers.analysis.baselines import BaselineResult, fit_logistic_regression
    from claim_transformers.analysis.boosting import BoostingParameters, fit_gradient_boosting
    from claim_transformers.analysis.comparison import Comparison, compare_models
    from claim_transformers.analysis.curve_plots import curve_plot, interval_plot
    from claim_transformers.analysis.embedding_figure import write_embedding_figure
    from claim_transformers.analysis.embedding_map import embed_patients, map_codes, map_patients
    from claim_transformers.analysis.probes import fit_linear_probe, patient_vectors
    from claim_transformers.analysis.report import write_report
    from claim_transformers.analysis.true_risk import true_risk_scores
    from claim_transformers.analysis.zero_shot import next_visit_probability

_MODULE_OF_NAME = {
    "BaselineResult": "baselines",
    "BoostingParameters": "boosting",
    "Comparison": "comparison",
    "compare_models": "comparison",
    "curve_plot": "curve_plots",
    "embed_patients": "embedding_map",
    "fit_gradient_boosting": "boosting",
    "fit_linear_probe": "probes",
    "fit_logistic_regression": "baselines",
    "interval_plot": "curve_plots",
    "map_codes": "embedding_map",
    "map_patients": "embedding_map",
    "next_visit_probability": "zero_shot",
    "patient_vectors": "probes",
    "true_risk_scores": "true_risk",
    "write_attention_view": "attention_view",
    "write_embedding_figure": "embedding_figure",
    "write_report": "report",
}

__all__ = [
    "BaselineResult",
    "BoostingParameters",
    "Comparison",
    "compare_models",
    "curve_plot",
    "embed_patients",
    "fit_gradient_boosting",
    "fit_linear_probe",
    "fit_logistic_regression",
    "interval_plot",
    "map_codes",
    "map_patients",
    "next_visit_probability",
    "patient_vectors",
    "true_risk_scores",
    "write_attention_view",
    "write_embedding_figure",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
