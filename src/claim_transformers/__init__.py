"""Transformers for health-insurance claims.

Importing the package registers the family (`model_type = "claim"`) with `AutoConfig`, `AutoTokenizer`, `AutoModel`,
`AutoModelForPreTraining`, `AutoModelForMaskedLM`, `AutoModelForSequenceClassification` and
`AutoModelForTokenClassification`, the recurrent baselines (`model_type = "claim_recurrent"`) with those that fit them,
and stays light: what needs `datasets`, scikit-learn, DuckDB or matplotlib is imported when it is first used.

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
from claim_transformers.models.registration import register
from claim_transformers.version import __version__

if TYPE_CHECKING:
    from claim_transformers.analysis import (
        outcome_probability,
        start_from_architecture,
        start_from_checkpoint,
        start_from_pretraining,
        write_attention_view,
        write_embedding_figure,
    )
    from claim_transformers.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification, RecurrentModel
    from claim_transformers.sources.pipeline.loading import load_claims
    from claim_transformers.training import (
        ClaimTrainer,
        ClaimTrainingArguments,
        DataCollatorForClaimPretraining,
        FineTuning,
        Fitted,
        fine_tune,
        parse_arguments,
        save_predictions,
        tokenize_dataset,
    )

__all__ = [
    "ClaimConfig",
    "ClaimForMaskedLM",
    "ClaimForPreTraining",
    "ClaimForSequenceClassification",
    "ClaimForVisitClassification",
    "ClaimModel",
    "ClaimTokenizer",
    "ClaimTrainer",
    "ClaimTrainingArguments",
    "DataCollatorForClaimPretraining",
    "FineTuning",
    "Fitted",
    "RecurrentConfig",
    "RecurrentForSequenceClassification",
    "RecurrentModel",
    "__version__",
    "fine_tune",
    "load_claims",
    "outcome_probability",
    "parse_arguments",
    "resolve_checkpoint",
    "save_predictions",
    "start_from_architecture",
    "start_from_checkpoint",
    "start_from_pretraining",
    "tokenize_dataset",
    "write_attention_view",
    "write_embedding_figure",
]

_LAZY = {
    "ClaimTrainer": "claim_transformers.training",
    "ClaimTrainingArguments": "claim_transformers.training",
    "DataCollatorForClaimPretraining": "claim_transformers.training",
    "FineTuning": "claim_transformers.training",
    "Fitted": "claim_transformers.training",
    "RecurrentConfig": "claim_transformers.models.recurrent",
    "RecurrentForSequenceClassification": "claim_transformers.models.recurrent",
    "RecurrentModel": "claim_transformers.models.recurrent",
    "fine_tune": "claim_transformers.training",
    "load_claims": "claim_transformers.sources.pipeline.loading",
    "outcome_probability": "claim_transformers.analysis",
    "parse_arguments": "claim_transformers.training",
    "save_predictions": "claim_transformers.training",
    "start_from_architecture": "claim_transformers.analysis",
    "start_from_checkpoint": "claim_transformers.analysis",
    "start_from_pretraining": "claim_transformers.analysis",
    "tokenize_dataset": "claim_transformers.training",
    "write_attention_view": "claim_transformers.analysis",
    "write_embedding_figure": "claim_transformers.analysis",
}

register()


def __getattr__(name: str) -> Any:
    """Imports a public name from its room when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
