"""The `claim` model family: configuration, tokenizer and models.

The other files of this folder, those of the `claim_recurrent` family among them, import one another with a single dot
and nothing else of the package, because they are copied flat beside a checkpoint that carries its code. Names are
imported when they are first used, so that a form can be read without torch.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.models.claim.configuration_claim import ClaimConfig
    from claim_transformers.models.claim.form_claim import ClaimForm
    from claim_transformers.models.claim.modeling_claim import (
        ClaimForMaskedLM,
        ClaimForPreTraining,
        ClaimForSequenceClassification,
        ClaimForVisitClassification,
        ClaimModel,
        ClaimPreTrainedModel,
    )
    from claim_transformers.models.claim.outputs_claim import ClaimForPreTrainingOutput, ClaimModelOutput
    from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

__all__ = [
    "ClaimConfig", "ClaimForMaskedLM", "ClaimForPreTraining", "ClaimForPreTrainingOutput",
    "ClaimForSequenceClassification", "ClaimForVisitClassification", "ClaimForm", "ClaimModel", "ClaimModelOutput",
    "ClaimPreTrainedModel", "ClaimTokenizer",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__)
