"""Training: collators, samplers, the trainer and metrics with intervals.

Names are imported when they are first used: the trainer of transformers imports `datasets`, which takes seconds, and
`import claim_transformers` stays light.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.training.architecture import Architecture
    from claim_transformers.training.arguments import ClaimTrainingArguments
    from claim_transformers.training.backoffs import describe_backoffs
    from claim_transformers.training.bootstrap import MetricInterval, clustered_interval, paired_difference
    from claim_transformers.training.callbacks import EpochFromState, JsonLinesHistory
    from claim_transformers.training.checkpoints import find_valid_checkpoint, require_valid_checkpoint
    from claim_transformers.training.classification_metrics import (
        binary_metrics,
        multi_label_metrics,
        probabilities_of,
    )
    from claim_transformers.training.collators import (
        DataCollatorForClaimClassification,
        DataCollatorForClaimPretraining,
        DataCollatorForMaskedTokens,
        DataCollatorForVisitClassification,
    )
    from claim_transformers.training.cost_metrics import (
        COST_METRICS,
        gini,
        mean_absolute_error,
        predictive_ratio,
        predictive_ratios,
        r2,
        score_amounts,
        top_capture,
    )
    from claim_transformers.training.evaluate_metrics import Auprc, Auroc, Brier, CalibrationError, RecallAtK
    from claim_transformers.training.fine_tuning import FineTuning, Fitted, fine_tune
    from claim_transformers.training.finite import require_finite_weights
    from claim_transformers.training.known_codes import CheckpointCoverage, coverage
    from claim_transformers.training.masked_tokens import MaskedTokenMetrics, rank_masked_tokens
    from claim_transformers.training.metrics import auprc, auroc, brier, calibration_error, recall_at_k
    from claim_transformers.training.next_visit import NextVisitMetrics, rank_next_visit
    from claim_transformers.training.objectives import (
        extend_checkpoint,
        pretraining_collator,
        pretraining_metrics,
        pretraining_model,
    )
    from claim_transformers.training.outcome_periods import cut_records, describe_exposure
    from claim_transformers.training.parsing import parse_arguments, run_script
    from claim_transformers.training.predictions import save_predictions, score_binary
    from claim_transformers.training.pretraining_runs import pretraining_parts
    from claim_transformers.training.run_arguments import FineTuningArguments, PretrainingArguments
    from claim_transformers.training.samplers import LengthGroupedBatches
    from claim_transformers.training.scoring.calibration import Calibration, save_calibration
    from claim_transformers.training.scoring.folders import ScoreSummary, score_claims
    from claim_transformers.training.scoring.scorer import Scorer, score, score_table
    from claim_transformers.training.sequences import find_form, find_rules, fit_bins, make_form, write_sequences
    from claim_transformers.training.split_overlap import leave_out_patients, require_disjoint_patients
    from claim_transformers.training.token_shards import tokenize_claims
    from claim_transformers.training.tokenized_patients import TokenizedPatients, tokenize_dataset
    from claim_transformers.training.trainer import ClaimTrainer

__all__ = [
    "COST_METRICS", "Architecture", "Auprc", "Auroc", "Brier", "Calibration", "CalibrationError", "CheckpointCoverage",
    "ClaimTrainer", "ClaimTrainingArguments", "DataCollatorForClaimClassification", "DataCollatorForClaimPretraining",
    "DataCollatorForMaskedTokens", "DataCollatorForVisitClassification", "EpochFromState", "FineTuning",
    "FineTuningArguments", "Fitted", "JsonLinesHistory", "LengthGroupedBatches", "MaskedTokenMetrics",
    "MetricInterval", "NextVisitMetrics", "PretrainingArguments", "RecallAtK", "ScoreSummary", "Scorer",
    "TokenizedPatients", "auprc", "auroc", "binary_metrics", "brier", "calibration_error", "clustered_interval",
    "coverage", "cut_records", "describe_backoffs", "describe_exposure", "extend_checkpoint", "find_form",
    "find_rules", "find_valid_checkpoint", "fine_tune", "fit_bins", "gini", "leave_out_patients", "make_form",
    "mean_absolute_error", "multi_label_metrics", "paired_difference", "parse_arguments", "predictive_ratio",
    "predictive_ratios", "pretraining_collator", "pretraining_metrics", "pretraining_model", "pretraining_parts",
    "probabilities_of", "r2", "rank_masked_tokens", "rank_next_visit", "recall_at_k", "require_disjoint_patients",
    "require_finite_weights", "require_valid_checkpoint", "run_script", "save_calibration", "save_predictions",
    "score", "score_amounts", "score_binary", "score_claims", "score_table", "tokenize_claims", "tokenize_dataset",
    "top_capture", "write_sequences",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__)
