"""The `claim_recurrent` model family: DoctorAI, Dipole and RETAIN on the tokens of [`ClaimTokenizer`].

The files of this folder import one another with a single dot and nothing else of the package, because they are copied
flat beside a checkpoint that carries its code.
"""

from .configuration_recurrent import RecurrentConfig
from .modeling_recurrent import (
    RecurrentForSequenceClassification,
    RecurrentModel,
    RecurrentModelOutput,
    RecurrentPreTrainedModel,
)

__all__ = [
    "RecurrentConfig",
    "RecurrentForSequenceClassification",
    "RecurrentModel",
    "RecurrentModelOutput",
    "RecurrentPreTrainedModel",
]
