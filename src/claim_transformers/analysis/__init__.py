"""Analysis of a model: rivals, audits before it is trusted, reasons and views for a reader, outcomes read off a head.

Names are imported when they are first used, so that scikit-learn and matplotlib are loaded by those who use them.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.analysis.audit.audit_power import (
        AuditPower,
        PlantedGap,
        SimulatedStays,
        audit_power,
        simulate_stays,
    )
    from claim_transformers.analysis.audit.calibration_measures import calibration_table, measure_calibration
    from claim_transformers.analysis.audit.drift import DriftSample, measure_drift
    from claim_transformers.analysis.audit.drift_tables import drift_table, field_table
    from claim_transformers.analysis.audit.model_audit import ModelAudit, audit_model
    from claim_transformers.analysis.audit.ranking_tables import alert_table, decile_table
    from claim_transformers.analysis.audit.recalibration import PriorCorrection, fit_isotonic, fit_platt
    from claim_transformers.analysis.audit.subgroup_attributes import audit_attributes
    from claim_transformers.analysis.audit.subgroup_tables import gap_table, subgroup_table
    from claim_transformers.analysis.audit.subgroups import SubgroupAudit, age_bands, audit_subgroups
    from claim_transformers.analysis.audit.threshold import (
        ThresholdResult,
        gmean_threshold,
        score_at_threshold,
        threshold_table,
    )
    from claim_transformers.analysis.explanation.explain import explain, explain_patients
    from claim_transformers.analysis.explanation.explanation import Explanation
    from claim_transformers.analysis.readout.amount_start import start_from_amounts
    from claim_transformers.analysis.readout.cohort_outcome import cohort_readout
    from claim_transformers.analysis.readout.cohort_start import start_on_cohort
    from claim_transformers.analysis.readout.outcome_head import (
        outcome_probability,
        outcome_readout,
        start_from_readout,
    )
    from claim_transformers.analysis.readout.probes import fit_linear_probe, patient_vectors
    from claim_transformers.analysis.readout.starts import (
        start_from_architecture,
        start_from_checkpoint,
        start_from_pretraining,
    )
    from claim_transformers.analysis.readout.zero_shot import next_visit_probability
    from claim_transformers.analysis.report.report import write_report
    from claim_transformers.analysis.result_table import ResultTable
    from claim_transformers.analysis.rivals.baselines import BaselineResult, fit_logistic_regression
    from claim_transformers.analysis.rivals.boosting import BoostingParameters, fit_gradient_boosting
    from claim_transformers.analysis.rivals.clinical_score import LaceScores, lace_scores
    from claim_transformers.analysis.rivals.cost_models import (
        CostModel,
        fit_cost_boosting,
        fit_cost_regression,
        fit_hcc_score,
        fit_prior_cost,
        prior_amounts,
    )
    from claim_transformers.analysis.rivals.true_risk import true_risk_scores
    from claim_transformers.analysis.views.attention_view import write_attention_view
    from claim_transformers.analysis.views.audit_plots import drift_figure, reliability_plot, subgroup_plot
    from claim_transformers.analysis.views.comparison import Comparison, compare_models
    from claim_transformers.analysis.views.curve_plots import curve_plot, interval_plot
    from claim_transformers.analysis.views.embedding_figure import write_embedding_figure
    from claim_transformers.analysis.views.embedding_map import embed_patients, map_patients

__all__ = [
    "AuditPower", "BaselineResult", "BoostingParameters", "Comparison", "CostModel", "DriftSample", "Explanation",
    "LaceScores", "ModelAudit", "PlantedGap", "PriorCorrection", "ResultTable", "SimulatedStays",
    "SubgroupAudit", "ThresholdResult", "age_bands", "alert_table", "audit_attributes", "audit_model",
    "audit_power", "audit_subgroups", "calibration_table", "cohort_readout", "compare_models", "curve_plot",
    "decile_table", "drift_figure", "drift_table", "embed_patients", "explain", "explain_patients", "field_table",
    "fit_cost_boosting", "fit_cost_regression", "fit_gradient_boosting", "fit_hcc_score", "fit_isotonic",
    "fit_linear_probe", "fit_logistic_regression", "fit_platt", "fit_prior_cost", "gap_table", "gmean_threshold",
    "interval_plot", "lace_scores", "map_patients", "measure_calibration", "measure_drift",
    "next_visit_probability", "outcome_probability", "outcome_readout", "patient_vectors", "prior_amounts",
    "reliability_plot", "score_at_threshold", "simulate_stays", "start_from_amounts", "start_from_architecture",
    "start_from_checkpoint", "start_from_pretraining", "start_from_readout", "start_on_cohort", "subgroup_plot",
    "subgroup_table", "threshold_table", "true_risk_scores", "write_attention_view", "write_embedding_figure",
    "write_report",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__)
