"""The start of a fine-tuning that scripts and commands are told by arguments."""

from typing import TYPE_CHECKING

from claim_transformers.analysis.readout.amount_start import start_from_amounts
from claim_transformers.analysis.readout.starts import (
    start_from_architecture,
    start_from_checkpoint,
    start_from_pretraining,
)
from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training.labels import LABEL_COLUMN
from claim_transformers.training.run_arguments import FineTuningArguments
from claim_transformers.training.sequences import find_form

if TYPE_CHECKING:
    import datasets


def start_on_cohort(
    arguments: FineTuningArguments, train: "datasets.Dataset", *, seed: int = 0
) -> tuple[ClaimForSequenceClassification, ClaimTokenizer]:
    """Make the classifier that a fine-tuning begins with, as its arguments say, and a tokenizer in the cohort's form.

    Args:
        arguments ([`FineTuningArguments`]): Cohort, checkpoint or architecture, and where to start.
        train (`datasets.Dataset`): Training split of the cohort, not tokenised.
        seed (`int`, *optional*, defaults to `0`): Seed of the folds of a start at the head.

    Raises:
        OSError: If there is no such checkpoint, or no definition of the cohort for a start at the head.
        ValueError: If a patient has several labels, the form of the cohort is not that of the checkpoint, or as the
            start itself raises it.
    """
    if hasattr(train.features.get(LABEL_COLUMN), "feature"):
        raise ValueError(
            "expected one label of each patient in the cohort, found a list of them: learn it in Python, by "
            "start_from_checkpoint with num_labels and fine_tune (docs/cohorts.md, next diagnoses)"
        )
    source, form = arguments.model_name_or_path, find_form(arguments.cohort)
    match arguments.start_at:
        case "head":
            model, tokenizer = start_from_pretraining(source, arguments.cohort, train, seed=seed)
        case "amounts":
            model, tokenizer = start_from_amounts(source, train, regression_loss=arguments.regression_loss)
        case "architecture":
            model, tokenizer = start_from_architecture(source, train, form=form)
        case start:
            model, tokenizer = start_from_checkpoint(source, is_pretrained=start == "checkpoint")
    tokenizer.take_form(form)
    return model, tokenizer
