"""The `claim_recurrent` model family: DoctorAI, Dipole and RETAIN on the tokens of [`ClaimTokenizer`].

Its files lie beside those of the `claim` family, with which they share checks and losses, because the files of a model
are copied flat beside a checkpoint that carries its code.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.models.claim.configuration_recurrent import RecurrentConfig
    from claim_transformers.models.claim.modeling_recurrent import (
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
