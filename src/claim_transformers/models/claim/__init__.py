"""The `claim` model family: configuration, tokenizer and models.

The files of this folder import one another with a single dot and nothing else of the package, because they are copied
flat beside a checkpoint that carries its code. Names are imported when they are first used, so that a form can be read
without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration_claim import ClaimConfig
    from .form_claim import ClaimForm
    from .modeling_claim import (
        ClaimForMaskedLM,
        ClaimForPreTraining,
        ClaimForSequenceClassification,
        ClaimForVisitClassification,
        ClaimModel,
        ClaimPreTrainedModel,
    )
    from .outputs_claim import ClaimForPreTrainingOutput, ClaimModelOutput
    from .tokenization_claim import ClaimTokenizer

_MODULE_OF_NAME = {
    "ClaimConfig": "configuration_claim",
    "ClaimForMaskedLM": "modeling_claim",
    "ClaimForm": "form_claim",
    "ClaimForPreTraining": "modeling_claim",
    "ClaimForPreTrainingOutput": "outputs_claim",
    "ClaimForSequenceClassification": "modeling_claim",
    "ClaimForVisitClassification": "modeling_claim",
    "ClaimModel": "modeling_claim",
    "ClaimModelOutput": "outputs_claim",
    "ClaimPreTrainedModel": "modeling_claim",
    "ClaimTokenizer": "tokenization_claim",
}

__all__ = [
    "ClaimConfig", "ClaimForMaskedLM", "ClaimForPreTraining", "ClaimForPreTrainingOutput",
    "ClaimForSequenceClassification", "ClaimForVisitClassification", "ClaimForm", "ClaimModel", "ClaimModelOutput",
    "ClaimPreTrainedModel", "ClaimTokenizer",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: torch takes seconds."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF_NAME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
