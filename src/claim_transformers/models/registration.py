"""Make the Auto classes of transformers know the model families of this package."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from .claim import (
    ClaimConfig,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
    ClaimModel,
    ClaimTokenizer,
)
from .recurrent import RecurrentConfig, RecurrentForSequenceClassification, RecurrentModel


def register() -> None:
    """Register the `claim` and `claim_recurrent` families; calling it again changes nothing.

    A visit is to a claim model what a token is to a language model, so a label per visit is token classification. Both
    families read the tokens of one tokenizer.

    Examples:
        >>> from transformers import AutoConfig, AutoModelForTokenClassification
        >>> register()
        >>> config = AutoConfig.for_model("claim", hidden_size=8, num_hidden_layers=1)
        >>> type(AutoModelForTokenClassification.from_config(config)).__name__
        'ClaimForVisitClassification'
        >>> type(AutoConfig.for_model("claim_recurrent", architecture="retain")).__name__
        'RecurrentConfig'
    """
    AutoConfig.register(ClaimConfig.model_type, ClaimConfig, exist_ok=True)
    AutoTokenizer.register(ClaimConfig, tokenizer_class=ClaimTokenizer, exist_ok=True)
    for auto_class, model_class in (
        (AutoModel, ClaimModel),
        (AutoModelForPreTraining, ClaimForPreTraining),
        (AutoModelForMaskedLM, ClaimForMaskedLM),
        (AutoModelForSequenceClassification, ClaimForSequenceClassification),
        (AutoModelForTokenClassification, ClaimForVisitClassification),
    ):
        auto_class.register(ClaimConfig, model_class, exist_ok=True)
    AutoConfig.register(RecurrentConfig.model_type, RecurrentConfig, exist_ok=True)
    AutoTokenizer.register(RecurrentConfig, tokenizer_class=ClaimTokenizer, exist_ok=True)
    AutoModel.register(RecurrentConfig, RecurrentModel, exist_ok=True)
    AutoModelForSequenceClassification.register(RecurrentConfig, RecurrentForSequenceClassification, exist_ok=True)


__all__ = ["register"]
