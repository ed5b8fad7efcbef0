"""The command `finetune`: a classifier from a cohort, as `examples/run_classification.py` shows it."""

from typing import TYPE_CHECKING

import typer

from claim_transformers.cli.options import new_app
from claim_transformers.cli.passed_on import PASSED_ON, flags_text, run_passed_on
from claim_transformers.training.run_arguments import FineTuningArguments

if TYPE_CHECKING:
    from claim_transformers.training import ClaimTrainingArguments

app = new_app()
_HELP = f"""Fine-tune a checkpoint on a cohort and score its test split: --cohort cohort --output_dir finetuned.

Settings are those of a YAML file that is given first, else those that ship, with claim-pt-base as the checkpoint; a
flag overrides either.

{flags_text(FineTuningArguments)}

Every field of transformers.TrainingArguments is a flag too, such as --num_train_epochs 5 or --learning_rate 1e-4.

For several processes: torchrun --standalone --nproc_per_node 4 -m claim_transformers.cli finetune ..."""


@app.command(context_settings=PASSED_ON, help=_HELP)
def finetune(context: typer.Context) -> None:
    """Fine-tune a checkpoint on a labelled cohort and score its validation and test splits."""
    from claim_transformers.training import ClaimTrainingArguments

    run_passed_on(_finetune, context.args, "classification.yaml", FineTuningArguments, ClaimTrainingArguments)


def _finetune(arguments: FineTuningArguments, training_args: "ClaimTrainingArguments") -> None:
    from transformers import set_seed

    from claim_transformers.analysis import start_on_cohort
    from claim_transformers.sources.pipeline.loading import load_claims
    from claim_transformers.training import describe_backoffs, fine_tune, save_predictions, tokenize_dataset

    set_seed(training_args.seed)
    cohort = load_claims("cohort", arguments.cohort)
    with training_args.main_process_first(desc="tokenising"):
        model, tokenizer = start_on_cohort(arguments, cohort["train"], seed=training_args.seed)
        tokens = tokenize_dataset(cohort, tokenizer)
    fitted = fine_tune(model, tokenizer, tokens, training_args)
    if training_args.process_index == 0:
        typer.echo(f"Validation split: {describe_backoffs(tokenizer, cohort['validation'])}")
        for split in ("validation", "test"):
            rows, scores = cohort[split].with_format("arrow")[:], fitted.predictions[split]
            out = str(training_args.output_dir)
            found = save_predictions(out, rows, scores, name=arguments.shown_name, split=split)
        typer.echo(f"Test split: {found}")
