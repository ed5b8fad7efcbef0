"""What a pretraining begins with: patients as tokens, a tokenizer and a model, as the arguments say."""

from typing import TYPE_CHECKING, Any

from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training.architecture import Architecture
from claim_transformers.training.objectives import extend_checkpoint, pretraining_model
from claim_transformers.training.outcome_periods import cut_records, describe_exposure
from claim_transformers.training.run_arguments import PretrainingArguments
from claim_transformers.training.sequences import find_rules
from claim_transformers.training.split_overlap import leave_out_patients
from claim_transformers.training.tokenized_patients import tokenize_dataset

if TYPE_CHECKING:
    from claim_transformers.training.arguments import ClaimTrainingArguments


def pretraining_parts(
    arguments: PretrainingArguments, training_args: "ClaimTrainingArguments"
) -> tuple[Any, ClaimTokenizer, dict[str, Any]]:
    """Read the claims and make model and tokenizer: a new one, or a checkpoint that goes on.

    Of several processes the first one reads and tokenises, the others find what it cached.

    Args:
        arguments ([`PretrainingArguments`]): Claims, who is left out, sizes or a checkpoint.
        training_args ([`ClaimTrainingArguments`]): Which process this is.

    Returns:
        `tuple`: A model with pretraining heads, its [`ClaimTokenizer`], and the tokenised splits by name.

    Raises:
        ClaimDataError: If the claims cannot be read.
        ValueError: If the description of the model, the tokenizer or the date does not fit.
    """
    from datasets import load_from_disk

    from claim_transformers.sources.pipeline.loading import load_claims

    architecture = Architecture.from_json(arguments.model_config)
    smallest = {"min_patients": arguments.min_patients}
    model = None
    with training_args.main_process_first(desc="data and tokenizer"):
        location = arguments.claims if len(arguments.claims) > 1 else arguments.claims[0]
        patients: Any = load_claims(arguments.source, location)
        if arguments.exclude_cohort:
            patients = leave_out_patients(patients, load_from_disk(arguments.exclude_cohort))
        if arguments.until:
            patients = cut_records(patients, arguments.until)
        if arguments.cohort:
            print(describe_exposure(patients, arguments.cohort))  # noqa: T201  # the run says so where it is watched
        if arguments.model_name_or_path:
            model, tokenizer = extend_checkpoint(arguments.model_name_or_path, patients["train"], **smallest)
        elif arguments.tokenizer:
            tokenizer = ClaimTokenizer.from_pretrained(arguments.tokenizer)
        else:
            tokenizer = architecture.train_tokenizer(patients["train"], **smallest, **find_rules(arguments.claims[0]))
        tokens = tokenize_dataset(patients, tokenizer)
    return model or pretraining_model(architecture.build_config(tokenizer)), tokenizer, tokens
