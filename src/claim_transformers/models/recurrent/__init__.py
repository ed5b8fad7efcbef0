"""The `claim_recurrent` model family: DoctorAI, Dipole and RETAIN on the tokens of [`ClaimTokenizer`].

The other files of this folder import one another with a single dot and nothing else of the package, because they are
copied flat beside a checkpoint that carries its code.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.models.recurrent.configuration_recurrent import RecurrentConfig
    from claim_transformers.models.recurrent.modeling_recurrent import (
        RecurrentForSequenceClassification,
        RecurrentModel,
        RecurrentModelOutput,
        RecurrentPreTrainedModel,
    )

__all__ = [
    "RecurrentConfig", "RecurrentForSequenceClassification", "RecurrentModel", "RecurrentModelOutput",
    "RecurrentPreTrainedModel",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__)
