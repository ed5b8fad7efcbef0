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
        ClaimForPreTrainingOutput,
        ClaimForSequenceClassification,
        ClaimForVisitClassification,
        ClaimModel,
        ClaimModelOutput,
        ClaimPreTrainedModel,
    )
    from .tokenization_claim import ClaimTokenizer

_MODULES = {"ClaimConfig": "configuration_claim", "ClaimForm": "form_claim", "ClaimTokenizer": "tokenization_claim"}

__all__ = [
    "ClaimConfig",
    "ClaimForMaskedLM",
    "ClaimForPreTraining",
    "ClaimForPreTrainingOutput",
    "ClaimForSequenceClassification",
    "ClaimForVisitClassification",
    "ClaimForm",
    "ClaimModel",
    "ClaimModelOutput",
    "ClaimPreTrainedModel",
    "ClaimTokenizer",
]


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'modeling_claim')}"), name)
