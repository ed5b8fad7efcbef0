"""What a model learned, and whether to trust it: baselines, comparisons, maps and reports.

Names are imported when they are first used, so that scikit-learn and matplotlib are loaded by those who use them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claim_transformers.analysis.attention_view import write_attention_view
    from claim_transformers.analysis.audit_plots import reliability_plot
    from claim_transformers.analysis.audit_power import AuditPower, PlantedBias
    from claim_transformers.analysis.audit_table import AuditTable
    from claim_transformers.analysis.baselines import BaselineResult, fit_logistic_regression
    from claim_transformers.analysis.boosting import BoostingParameters, fit_gradient_boosting
    from claim_transformers.analysis.calibration_measures import calibration_table, measure_calibration
    from claim_transformers.analysis.clinical_score import lace_scores
    from claim_transformers.analysis.cohort_outcome import cohort_readout, start_from_pretraining
    from claim_transformers.analysis.comparison import Comparison, compare_models
    from claim_transformers.analysis.curve_plots import curve_plot, interval_plot
    from claim_transformers.analysis.drift import DriftSample, measure_drift
    from claim_transformers.analysis.drift_tables import drift_table
    from claim_transformers.analysis.embedding_figure import write_embedding_figure
    from claim_transformers.analysis.embedding_map import embed_patients, map_codes, map_patients
    from claim_transformers.analysis.outcome_head import outcome_probability, outcome_readout, start_from_readout
    from claim_transformers.analysis.probes import fit_linear_probe, patient_vectors
    from claim_transformers.analysis.recalibration import PriorCorrection, fit_isotonic, fit_platt
    from claim_transformers.analysis.report import write_report
    from claim_transformers.analysis.subgroup_attributes import audit_attributes
    from claim_transformers.analysis.subgroup_tables import gap_table, subgroup_table
    from claim_transformers.analysis.subgroups import SubgroupAudit, age_bands, audit_subgroups
    from claim_transformers.analysis.threshold import gmean_threshold, score_at_threshold, threshold_table
    from claim_transformers.analysis.true_risk import true_risk_scores
    from claim_transformers.analysis.zero_shot import next_visit_probability

_MODULE_OF_NAME = {
    "AuditPower": "audit_power",
    "AuditTable": "audit_table",
    "BaselineResult": "baselines",
    "BoostingParameters": "boosting",
    "Comparison": "comparison",
    "DriftSample": "drift",
    "PlantedBias": "audit_power",
    "PriorCorrection": "recalibration",
    "SubgroupAudit": "subgroups",
    "age_bands": "subgroups",
    "audit_attributes": "subgroup_attributes",
    "audit_subgroups": "subgroups",
    "calibration_table": "calibration_measures",
    "cohort_readout": "cohort_outcome",
    "compare_models": "comparison",
    "curve_plot": "curve_plots",
    "drift_table": "drift_tables",
    "embed_patients": "embedding_map",
    "fit_gradient_boosting": "boosting",
    "fit_isotonic": "recalibration",
    "fit_linear_probe": "probes",
    "fit_logistic_regression": "baselines",
    "fit_platt": "recalibration",
    "gap_table": "subgroup_tables",
    "gmean_threshold": "threshold",
    "interval_plot": "curve_plots",
    "lace_scores": "clinical_score",
    "map_codes": "embedding_map",
    "map_patients": "embedding_map",
    "measure_calibration": "calibration_measures",
    "measure_drift": "drift",
    "next_visit_probability": "zero_shot",
    "outcome_probability": "outcome_head",
    "outcome_readout": "outcome_head",
    "patient_vectors": "probes",
    "reliability_plot": "audit_plots",
    "score_at_threshold": "threshold",
    "start_from_pretraining": "cohort_outcome",
    "start_from_readout": "outcome_head",
    "subgroup_table": "subgroup_tables",
    "threshold_table": "threshold",
    "true_risk_scores": "true_risk",
    "write_attention_view": "attention_view",
    "write_embedding_figure": "embedding_figure",
    "write_report": "report",
}

__all__ = [
    "AuditPower",
    "AuditTable",
    "BaselineResult",
    "BoostingParameters",
    "Comparison",
    "DriftSample",
    "PlantedBias",
    "PriorCorrection",
    "SubgroupAudit",
    "age_bands",
    "audit_attributes",
    "audit_subgroups",
    "calibration_table",
    "cohort_readout",
    "compare_models",
    "curve_plot",
    "drift_table",
    "embed_patients",
    "fit_gradient_boosting",
    "fit_isotonic",
    "fit_linear_probe",
    "fit_logistic_regression",
    "fit_platt",
    "gap_table",
    "gmean_threshold",
    "interval_plot",
    "lace_scores",
    "map_codes",
    "map_patients",
    "measure_calibration",
    "measure_drift",
    "next_visit_probability",
    "outcome_probability",
    "outcome_readout",
    "patient_vectors",
    "reliability_plot",
    "score_at_threshold",
    "start_from_pretraining",
    "start_from_readout",
    "subgroup_table",
    "threshold_table",
    "true_risk_scores",
    "write_attention_view",
    "write_embedding_figure",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
