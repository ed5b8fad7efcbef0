# /// script
# dependencies = ["claim-transformers[claims,analysis]"]
# ///
"""Fine-tune a claim model on a labelled cohort and score its test split.

From the repository root, on one device or on several:

    python examples/run_classification.py examples/configs/classification.yaml --cohort cohort --output_dir runs/asthma
    torchrun --standalone --nproc_per_node 4 examples/run_classification.py examples/configs/classification.yaml

`--start_at head` begins at what pretraining says of the outcome, `amounts` at a regression of cost, `scratch` without
the weights of the checkpoint, and `architecture` at a JSON of sizes. Leaves the best model on validation patients, and
what it says of them and others.
"""

from dataclasses import dataclass, field
from typing import Literal

from datasets import load_from_disk
from transformers import set_seed

from claim_transformers import (
    ClaimTrainingArguments,
    describe_backoffs,
    find_form,
    fine_tune,
    run_script,
    save_predictions,
    start_from_amounts,
    start_from_architecture,
    start_from_checkpoint,
    start_from_pretraining,
    tokenize_dataset,
)


@dataclass
class ScriptArguments:
    """What this script adds to [`ClaimTrainingArguments`]."""

    cohort: str = field(metadata={"help": "Cohort, or its sequences: three splits with a column 'label'."})
    model_name_or_path: str = field(metadata={"help": "Checkpoint, folder or name; or the JSON of an architecture."})
    start_at: Literal["checkpoint", "head", "amounts", "scratch", "architecture"] = "checkpoint"
    regression_loss: Literal["log", "tweedie", "two_part"] = "tweedie"
    name: str | None = field(default=None, metadata={"help": "Name of the model in tables."})


def main(arguments: ScriptArguments, training_args: ClaimTrainingArguments) -> None:
    set_seed(training_args.seed)
    cohort, source, form = load_from_disk(arguments.cohort), arguments.model_name_or_path, find_form(arguments.cohort)
    starts = {
        "checkpoint": lambda: start_from_checkpoint(source),
        "head": lambda: start_from_pretraining(source, arguments.cohort, cohort["train"], seed=training_args.seed),
        "amounts": lambda: start_from_amounts(source, cohort["train"], regression_loss=arguments.regression_loss),
        "scratch": lambda: start_from_checkpoint(source, is_pretrained=False),
        "architecture": lambda: start_from_architecture(source, cohort["train"], form=form),
    }
    with training_args.main_process_first(desc="tokenising"):
        model, tokenizer = starts[arguments.start_at]()
        tokenizer.take_form(form)
        tokens = tokenize_dataset(cohort, tokenizer)
    fitted = fine_tune(model, tokenizer, tokens, training_args)
    if training_args.process_index == 0:
        print(f"Validation split: {describe_backoffs(tokenizer, cohort['validation'])}")
        is_scratch = arguments.start_at in ("scratch", "architecture")
        name = arguments.name or f"Claim-PT, {'from scratch' if is_scratch else 'fine-tuned'}"
        for split in ("validation", "test"):
            rows, scores = cohort[split].with_format("arrow")[:], fitted.predictions[split]
            found = save_predictions(str(training_args.output_dir), rows, scores, name=name, split=split)
        print(f"Test split: {found}")


if __name__ == "__main__":
    run_script(main, ScriptArguments, ClaimTrainingArguments)
