"""The `claim_recurrent` model family: DoctorAI, Dipole and RETAIN on the tokens of [`ClaimTokenizer`].

The files of this folder import one another with a single dot and nothing else of the package, because they are copied
flat beside a checkpoint that carries its code.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration_recurrent import RecurrentConfig
    from .modeling_recurrent import (
        RecurrentForSequenceClassification,
        RecurrentModel,
        RecurrentModelOutput,
        RecurrentPreTrainedModel,
    )

_MODULE_OF_NAME = {
    "RecurrentConfig": "configuration_recurrent",
    "RecurrentForSequenceClassification": "modeling_recurrent",
    "RecurrentModel": "modeling_recurrent",
    "RecurrentModelOutput": "modeling_recurrent",
    "RecurrentPreTrainedModel": "modeling_recurrent",
}

__all__ = [
    "RecurrentConfig", "RecurrentForSequenceClassification", "RecurrentModel", "RecurrentModelOutput",
    "RecurrentPreTrainedModel",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: torch takes seconds."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF_NAME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
