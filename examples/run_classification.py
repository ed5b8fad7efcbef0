# /// script
# dependencies = ["claim-transformers[claims,analysis]"]
# ///
"""Fine-tune a claim model on a labelled cohort and score its test split.

From the repository root, on one device or on several:

    python examples/run_classification.py examples/configs/classification.yaml --cohort cohort --output_dir runs/asthma
    torchrun --standalone --nproc_per_node 4 examples/run_classification.py examples/configs/classification.yaml

`claim-transformers finetune` is the same in an installed package. `--start_at head` begins at what pretraining says
of the outcome, `amounts` at a regression of cost, `scratch` without the weights of the checkpoint, and `architecture`
at a JSON of sizes. Leaves the best model on validation patients, calibrated, and what it says of all.
"""

from transformers import set_seed

from claim_transformers import (
    ClaimTrainingArguments,
    FineTuningArguments,
    describe_backoffs,
    fine_tune,
    load_claims,
    run_script,
    save_predictions,
    start_on_cohort,
    tokenize_dataset,
)


def main(arguments: FineTuningArguments, training_args: ClaimTrainingArguments) -> None:
    set_seed(training_args.seed)
    cohort = load_claims("cohort", arguments.cohort)
    with training_args.main_process_first(desc="tokenising"):
        model, tokenizer = start_on_cohort(arguments, cohort["train"], seed=training_args.seed)
        tokens = tokenize_dataset(cohort, tokenizer)
    fitted = fine_tune(model, tokenizer, tokens, training_args)
    if training_args.process_index == 0:
        print(f"Validation split: {describe_backoffs(tokenizer, cohort['validation'])}")
        for split in ("validation", "test"):
            rows, scores = cohort[split].with_format("arrow")[:], fitted.predictions[split]
            out = str(training_args.output_dir)
            found = save_predictions(out, rows, scores, name=arguments.shown_name, split=split)
        print(f"Test split: {found}")


if __name__ == "__main__":
    run_script(main, FineTuningArguments, ClaimTrainingArguments)
