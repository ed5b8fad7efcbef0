# /// script
# dependencies = ["claim-transformers[claims,analysis]"]
# ///
"""Fine-tune a claim model on a labelled cohort and score its test split.

From the repository root, on one device or on several:

    python examples/run_classification.py examples/configs/classification.yaml --cohort cohort --output_dir runs/asthma
    torchrun --standalone --nproc_per_node 4 examples/run_classification.py examples/configs/classification.yaml

`--start_at_head` begins at what pretraining says of the outcome, beside a regression on counts. `--from_scratch` drops
the pretrained weights; `--model_config` needs no checkpoint at all. Leaves the best model on validation patients, its
`predictions.parquet` and `metrics.json` of the test split, and, ending in `_validation`, of the validation split.
"""

from dataclasses import dataclass, field

from datasets import load_from_disk
from transformers import EarlyStoppingCallback, set_seed

from claim_transformers.analysis import start_from_pretraining
from claim_transformers.codes import category_rules
from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training import (
    Architecture,
    ClaimTrainer,
    ClaimTrainingArguments,
    DataCollatorForClaimClassification,
    binary_metrics,
    describe_backoffs,
    find_form,
    parse_arguments,
    predict_splits,
    tokenize_dataset,
)


@dataclass
class ScriptArguments:
    """What this script adds to [`ClaimTrainingArguments`]."""

    cohort: str = field(metadata={"help": "Cohort, or its sequences: three splits with a column 'label'."})
    model_name_or_path: str | None = field(default=None, metadata={"help": "Pretrained checkpoint, folder or name."})
    start_at_head: bool = field(default=False, metadata={"help": "Begin at the pretraining head and counts of codes."})
    from_scratch: bool = field(default=False, metadata={"help": "Use the checkpoint's sizes, not its weights."})
    model_config: str | None = field(default=None, metadata={"help": "JSON of a network without a checkpoint."})
    name: str | None = field(default=None, metadata={"help": "Name of the model in tables."})
    early_stopping_patience: int | None = field(default=None, metadata={"help": "Evaluations without progress."})


def main(arguments: ScriptArguments, training_args: ClaimTrainingArguments) -> None:
    set_seed(training_args.seed)
    cohort, checkpoint = load_from_disk(arguments.cohort), arguments.model_name_or_path
    if (checkpoint is None) == (arguments.model_config is None):
        raise ValueError("expected either --model_name_or_path or --model_config, found both or neither")

    if arguments.model_config:
        architecture = Architecture.from_json(arguments.model_config)
        rules, form = category_rules().to_dict(), find_form(arguments.cohort)
        tokenizer = architecture.train_tokenizer(cohort["train"], categories=rules, form=form)
        model = ClaimForSequenceClassification(architecture.build_config(tokenizer, num_labels=2))
    else:
        tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
        if arguments.from_scratch:
            model = ClaimForSequenceClassification(ClaimConfig.from_pretrained(checkpoint, num_labels=2))
        else:
            counts = {"code_skip": True, "code_skip_half_life_days": 180} if arguments.start_at_head else {}
            model = ClaimForSequenceClassification.from_pretrained(checkpoint, num_labels=2, **counts)
    with training_args.main_process_first(desc="tokenising"):
        tokens = tokenize_dataset(cohort, tokenizer)
    if training_args.process_index == 0:
        print(f"Validation split: {describe_backoffs(tokenizer, cohort['validation'])}")
    if arguments.start_at_head and not arguments.from_scratch:
        seed, folder = training_args.seed, arguments.cohort
        start_from_pretraining(model, checkpoint, tokenizer, folder, tokens["train"], seed=seed)

    trainer = ClaimTrainer(
        model=model,
        args=training_args,
        train_dataset=tokens["train"],
        eval_dataset=tokens["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorForClaimClassification(tokenizer),
        compute_metrics=binary_metrics,
        callbacks=[EarlyStoppingCallback(patience)] if (patience := arguments.early_stopping_patience) else None,
    )
    trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
    trainer.save_model()

    kind = "fine-tuned" if checkpoint and not arguments.from_scratch else "from scratch"
    found = predict_splits(trainer, tokens, cohort, name=arguments.name or f"Claim-PT, {kind}")
    if trainer.is_world_process_zero():
        print(f"Test split: {found['test']}")


if __name__ == "__main__":
    main(*parse_arguments(ScriptArguments, ClaimTrainingArguments))
