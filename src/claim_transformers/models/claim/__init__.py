"""The `claim` model family: configuration, tokenizer and models.

The files of this folder import one another with a single dot and nothing else of the package, because they are copied
flat beside a checkpoint that carries its code.
"""

from .configuration_claim import ClaimConfig
from .modeling_claim import (
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForPreTrainingOutput,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
    ClaimModel,
    ClaimModelOutput,
    ClaimPreTrainedModel,
)
from .tokenization_claim import ClaimTokenizer

__all__ = [
    "ClaimConfig",
    "ClaimForMaskedLM",
    "ClaimForPreTraining",
    "ClaimForPreTrainingOutput",
    "ClaimForSequenceClassification",
    "ClaimForVisitClassification",
    "ClaimModel",
    "ClaimModelOutput",
    "ClaimPreTrainedModel",
    "ClaimTokenizer",
]
