"""Transformers for health-insurance claims.

Importing the package makes the Auto classes of transformers know its models: `model_type = "claim"` and, of the
recurrent baselines, `model_type = "claim_recurrent"`. It imports neither transformers nor torch for that
(`models/registration.py`): every public name is imported from its room when it is first used.

Examples:
    >>> from claim_transformers import ClaimTokenizer
    >>> vocab = {"AGE/9": 3, "SEX/F": 4, "TYPE/OP": 5, "DAY/0": 6, "ICD9CM/49392": 7}
    >>> tokenizer = ClaimTokenizer(vocab, time_tokens="day")
    >>> patient = {"age": 9, "sex": "F", "visits": [{"day": 1, "type": "OP", "codes": ["ICD9CM/49392"]}]}
    >>> tokenizer.convert_ids_to_tokens(tokenizer(patient)["input_ids"])
    ['AGE/9', 'SEX/F', 'TYPE/OP', 'DAY/0', 'ICD9CM/49392']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from claim_transformers.models.registration import register
from claim_transformers.version import __version__

if TYPE_CHECKING:
    from claim_transformers.analysis import (
        PlantedGap,
        PriorCorrection,
        audit_attributes,
        audit_power,
        audit_subgroups,
        calibration_table,
        compare_models,
        drift_table,
        fit_gradient_boosting,
        fit_logistic_regression,
        fit_platt,
        gap_table,
        lace_scores,
        measure_drift,
        outcome_probability,
        outcome_readout,
        score_at_threshold,
        simulate_stays,
        start_from_architecture,
        start_from_checkpoint,
        start_from_pretraining,
        start_from_readout,
        subgroup_table,
        threshold_table,
        true_risk_scores,
        write_attention_view,
        write_embedding_figure,
        write_report,
    )
    from claim_transformers.codes import (
        ClaimDataError,
        backoff_chain,
        category_rules,
        normalize_code,
        read_drug_ingredients,
        report_coverage,
    )
    from claim_transformers.cohorts import (
        EventDefinition,
        ReadmissionDefinition,
        build_cohort,
        check_leaks,
        load_definition,
    )
    from claim_transformers.hub import install_checkpoint, push_checkpoint, push_dataset, write_model_card
    from claim_transformers.models.claim import (
        ClaimConfig,
        ClaimForMaskedLM,
        ClaimForPreTraining,
        ClaimForSequenceClassification,
        ClaimForVisitClassification,
        ClaimModel,
        ClaimTokenizer,
    )
    from claim_transformers.models.claim.names_claim import resolve_checkpoint
    from claim_transformers.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification, RecurrentModel
    from claim_transformers.simulation import PlantedBias, PlantedDrift, simulate, simulate_medicare
    from claim_transformers.sources.deliveries.consolidation import consolidate
    from claim_transformers.sources.deliveries.staging_area import Staging
    from claim_transformers.sources.formats.meds.export import check_meds, export_meds
    from claim_transformers.sources.pipeline.ingest import ingest
    from claim_transformers.sources.pipeline.loading import load_claims
    from claim_transformers.training import (
        Architecture,
        ClaimTrainer,
        ClaimTrainingArguments,
        DataCollatorForClaimClassification,
        DataCollatorForClaimPretraining,
        DataCollatorForMaskedTokens,
        DataCollatorForVisitClassification,
        FineTuning,
        Fitted,
        TokenizedPatients,
        binary_metrics,
        describe_backoffs,
        find_form,
        fine_tune,
        leave_out_patients,
        parse_arguments,
        pretraining_collator,
        pretraining_metrics,
        pretraining_model,
        save_predictions,
        tokenize_dataset,
    )

_MODULE_OF_NAME = {
    "Architecture": "claim_transformers.training",
    "ClaimConfig": "claim_transformers.models.claim",
    "ClaimDataError": "claim_transformers.codes",
    "ClaimForMaskedLM": "claim_transformers.models.claim",
    "ClaimForPreTraining": "claim_transformers.models.claim",
    "ClaimForSequenceClassification": "claim_transformers.models.claim",
    "ClaimForVisitClassification": "claim_transformers.models.claim",
    "ClaimModel": "claim_transformers.models.claim",
    "ClaimTokenizer": "claim_transformers.models.claim",
    "ClaimTrainer": "claim_transformers.training",
    "ClaimTrainingArguments": "claim_transformers.training",
    "DataCollatorForClaimClassification": "claim_transformers.training",
    "DataCollatorForClaimPretraining": "claim_transformers.training",
    "DataCollatorForMaskedTokens": "claim_transformers.training",
    "DataCollatorForVisitClassification": "claim_transformers.training",
    "EventDefinition": "claim_transformers.cohorts",
    "FineTuning": "claim_transformers.training",
    "Fitted": "claim_transformers.training",
    "PlantedBias": "claim_transformers.simulation",
    "PlantedDrift": "claim_transformers.simulation",
    "PlantedGap": "claim_transformers.analysis",
    "PriorCorrection": "claim_transformers.analysis",
    "ReadmissionDefinition": "claim_transformers.cohorts",
    "RecurrentConfig": "claim_transformers.models.recurrent",
    "RecurrentForSequenceClassification": "claim_transformers.models.recurrent",
    "RecurrentModel": "claim_transformers.models.recurrent",
    "Staging": "claim_transformers.sources.deliveries.staging_area",
    "TokenizedPatients": "claim_transformers.training",
    "audit_attributes": "claim_transformers.analysis",
    "audit_power": "claim_transformers.analysis",
    "audit_subgroups": "claim_transformers.analysis",
    "backoff_chain": "claim_transformers.codes",
    "binary_metrics": "claim_transformers.training",
    "build_cohort": "claim_transformers.cohorts",
    "calibration_table": "claim_transformers.analysis",
    "category_rules": "claim_transformers.codes",
    "check_leaks": "claim_transformers.cohorts",
    "check_meds": "claim_transformers.sources.formats.meds.export",
    "compare_models": "claim_transformers.analysis",
    "consolidate": "claim_transformers.sources.deliveries.consolidation",
    "describe_backoffs": "claim_transformers.training",
    "drift_table": "claim_transformers.analysis",
    "export_meds": "claim_transformers.sources.formats.meds.export",
    "find_form": "claim_transformers.training",
    "fine_tune": "claim_transformers.training",
    "fit_gradient_boosting": "claim_transformers.analysis",
    "fit_logistic_regression": "claim_transformers.analysis",
    "fit_platt": "claim_transformers.analysis",
    "gap_table": "claim_transformers.analysis",
    "ingest": "claim_transformers.sources.pipeline.ingest",
    "install_checkpoint": "claim_transformers.hub",
    "lace_scores": "claim_transformers.analysis",
    "leave_out_patients": "claim_transformers.training",
    "load_claims": "claim_transformers.sources.pipeline.loading",
    "load_definition": "claim_transformers.cohorts",
    "measure_drift": "claim_transformers.analysis",
    "normalize_code": "claim_transformers.codes",
    "outcome_probability": "claim_transformers.analysis",
    "outcome_readout": "claim_transformers.analysis",
    "parse_arguments": "claim_transformers.training",
    "pretraining_collator": "claim_transformers.training",
    "pretraining_metrics": "claim_transformers.training",
    "pretraining_model": "claim_transformers.training",
    "push_checkpoint": "claim_transformers.hub",
    "push_dataset": "claim_transformers.hub",
    "read_drug_ingredients": "claim_transformers.codes",
    "report_coverage": "claim_transformers.codes",
    "resolve_checkpoint": "claim_transformers.models.claim.names_claim",
    "save_predictions": "claim_transformers.training",
    "score_at_threshold": "claim_transformers.analysis",
    "simulate": "claim_transformers.simulation",
    "simulate_medicare": "claim_transformers.simulation",
    "simulate_stays": "claim_transformers.analysis",
    "start_from_architecture": "claim_transformers.analysis",
    "start_from_checkpoint": "claim_transformers.analysis",
    "start_from_pretraining": "claim_transformers.analysis",
    "start_from_readout": "claim_transformers.analysis",
    "subgroup_table": "claim_transformers.analysis",
    "threshold_table": "claim_transformers.analysis",
    "tokenize_dataset": "claim_transformers.training",
    "true_risk_scores": "claim_transformers.analysis",
    "write_attention_view": "claim_transformers.analysis",
    "write_embedding_figure": "claim_transformers.analysis",
    "write_model_card": "claim_transformers.hub",
    "write_report": "claim_transformers.analysis",
}

__all__ = [
    "Architecture",
    "ClaimConfig",
    "ClaimDataError",
    "ClaimForMaskedLM",
    "ClaimForPreTraining",
    "ClaimForSequenceClassification",
    "ClaimForVisitClassification",
    "ClaimModel",
    "ClaimTokenizer",
    "ClaimTrainer",
    "ClaimTrainingArguments",
    "DataCollatorForClaimClassification",
    "DataCollatorForClaimPretraining",
    "DataCollatorForMaskedTokens",
    "DataCollatorForVisitClassification",
    "EventDefinition",
    "FineTuning",
    "Fitted",
    "PlantedBias",
    "PlantedDrift",
    "PlantedGap",
    "PriorCorrection",
    "ReadmissionDefinition",
    "RecurrentConfig",
    "RecurrentForSequenceClassification",
    "RecurrentModel",
    "Staging",
    "TokenizedPatients",
    "__version__",
    "audit_attributes",
    "audit_power",
    "audit_subgroups",
    "backoff_chain",
    "binary_metrics",
    "build_cohort",
    "calibration_table",
    "category_rules",
    "check_leaks",
    "check_meds",
    "compare_models",
    "consolidate",
    "describe_backoffs",
    "drift_table",
    "export_meds",
    "find_form",
    "fine_tune",
    "fit_gradient_boosting",
    "fit_logistic_regression",
    "fit_platt",
    "gap_table",
    "ingest",
    "install_checkpoint",
    "lace_scores",
    "leave_out_patients",
    "load_claims",
    "load_definition",
    "measure_drift",
    "normalize_code",
    "outcome_probability",
    "outcome_readout",
    "parse_arguments",
    "pretraining_collator",
    "pretraining_metrics",
    "pretraining_model",
    "push_checkpoint",
    "push_dataset",
    "read_drug_ingredients",
    "report_coverage",
    "resolve_checkpoint",
    "save_predictions",
    "score_at_threshold",
    "simulate",
    "simulate_medicare",
    "simulate_stays",
    "start_from_architecture",
    "start_from_checkpoint",
    "start_from_pretraining",
    "start_from_readout",
    "subgroup_table",
    "threshold_table",
    "tokenize_dataset",
    "true_risk_scores",
    "write_attention_view",
    "write_embedding_figure",
    "write_model_card",
    "write_report",
]

register()


def __getattr__(name: str) -> Any:
    """Imports a public name from its room when it is first used."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF_NAME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
