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

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names
from claim_transformers.models.registration import register
from claim_transformers.version import __version__

if TYPE_CHECKING:
    from claim_transformers.analysis import (
        Explanation,
        ModelAudit,
        PlantedGap,
        PriorCorrection,
        audit_attributes,
        audit_model,
        audit_power,
        audit_subgroups,
        calibration_table,
        compare_models,
        curve_plot,
        drift_figure,
        drift_table,
        explain,
        explain_patients,
        field_table,
        fit_cost_boosting,
        fit_cost_regression,
        fit_gradient_boosting,
        fit_hcc_score,
        fit_isotonic,
        fit_logistic_regression,
        fit_platt,
        fit_prior_cost,
        gap_table,
        lace_scores,
        measure_calibration,
        measure_drift,
        outcome_probability,
        outcome_readout,
        reliability_plot,
        score_at_threshold,
        simulate_stays,
        start_from_amounts,
        start_from_architecture,
        start_from_checkpoint,
        start_from_pretraining,
        start_from_readout,
        start_on_cohort,
        subgroup_plot,
        subgroup_table,
        threshold_table,
        true_risk_scores,
        write_attention_view,
        write_embedding_figure,
        write_report,
    )
    from claim_transformers.claims.spark import SparkTasks, open_spark
    from claim_transformers.codes import (
        ClaimDataError,
        backoff_chain,
        category_rules,
        normalize_code,
        read_drug_classes,
        read_drug_ingredients,
        read_ndc_directory,
        report_coverage,
    )
    from claim_transformers.cohorts import (
        EventDefinition,
        ReadmissionDefinition,
        build_cohort,
        check_leaks,
        claims_of_visits,
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
    from claim_transformers.serving import Assessor, save_risk_intervals
    from claim_transformers.simulation import PlantedBias, PlantedDrift, simulate, simulate_medicare
    from claim_transformers.sources.deliveries.consolidation import consolidate
    from claim_transformers.sources.deliveries.staging_area import Staging
    from claim_transformers.sources.distribution.ingest import ingest_on_spark
    from claim_transformers.sources.formats.fhir_eob.bundle import EobBundle, read_eob_bundle
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
        FineTuningArguments,
        Fitted,
        PretrainingArguments,
        Scorer,
        TokenizedPatients,
        binary_metrics,
        coverage,
        cut_records,
        describe_backoffs,
        describe_exposure,
        extend_checkpoint,
        find_form,
        find_rules,
        find_valid_checkpoint,
        fine_tune,
        leave_out_patients,
        parse_arguments,
        predictive_ratios,
        pretraining_collator,
        pretraining_metrics,
        pretraining_model,
        pretraining_parts,
        run_script,
        save_calibration,
        save_predictions,
        score,
        score_amounts,
        score_claims,
        score_table,
        tokenize_claims,
        tokenize_dataset,
    )

__all__ = [
    "Architecture", "Assessor", "ClaimConfig", "ClaimDataError", "ClaimForMaskedLM", "ClaimForPreTraining",
    "ClaimForSequenceClassification", "ClaimForVisitClassification", "ClaimModel", "ClaimTokenizer", "ClaimTrainer",
    "ClaimTrainingArguments", "DataCollatorForClaimClassification", "DataCollatorForClaimPretraining",
    "DataCollatorForMaskedTokens", "DataCollatorForVisitClassification", "EobBundle", "EventDefinition", "Explanation",
    "FineTuning", "FineTuningArguments", "Fitted", "ModelAudit", "PlantedBias", "PlantedDrift", "PlantedGap",
    "PretrainingArguments", "PriorCorrection", "ReadmissionDefinition", "RecurrentConfig",
    "RecurrentForSequenceClassification", "RecurrentModel", "Scorer", "SparkTasks", "Staging", "TokenizedPatients",
    "__version__", "audit_attributes", "audit_model", "audit_power", "audit_subgroups", "backoff_chain",
    "binary_metrics", "build_cohort", "calibration_table", "category_rules", "check_leaks", "check_meds",
    "claims_of_visits", "compare_models", "consolidate", "coverage", "curve_plot", "cut_records", "describe_backoffs",
    "describe_exposure", "drift_figure", "drift_table", "explain", "explain_patients", "export_meds",
    "extend_checkpoint", "field_table", "find_form", "find_rules", "find_valid_checkpoint", "fine_tune",
    "fit_cost_boosting", "fit_cost_regression", "fit_gradient_boosting", "fit_hcc_score", "fit_isotonic",
    "fit_logistic_regression", "fit_platt", "fit_prior_cost", "gap_table", "ingest", "ingest_on_spark",
    "install_checkpoint", "lace_scores", "leave_out_patients", "load_claims", "load_definition", "measure_calibration",
    "measure_drift", "normalize_code", "open_spark", "outcome_probability", "outcome_readout", "parse_arguments",
    "predictive_ratios", "pretraining_collator", "pretraining_metrics", "pretraining_model", "pretraining_parts",
    "push_checkpoint", "push_dataset", "read_drug_classes", "read_drug_ingredients", "read_eob_bundle",
    "read_ndc_directory", "reliability_plot", "report_coverage", "resolve_checkpoint", "run_script",
    "save_calibration", "save_predictions", "save_risk_intervals", "score", "score_amounts", "score_at_threshold",
    "score_claims", "score_table", "simulate", "simulate_medicare", "simulate_stays", "start_from_amounts",
    "start_from_architecture", "start_from_checkpoint", "start_from_pretraining", "start_from_readout",
    "start_on_cohort", "subgroup_plot", "subgroup_table", "threshold_table", "tokenize_claims", "tokenize_dataset",
    "true_risk_scores", "write_attention_view", "write_embedding_figure", "write_model_card", "write_report",
]  # fmt: skip

register()

__getattr__, __dir__ = lazy_names(__name__)
