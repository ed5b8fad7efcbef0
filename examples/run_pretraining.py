# /// script
# dependencies = ["claim-transformers[claims]"]
# ///
"""Pretrain a claim model: next visits and categories where a visit is a position, masked tokens where a code is one.

From the repository root, on one device or on several:

    python examples/run_pretraining.py examples/configs/pretraining.yaml --claims claims
    torchrun --standalone --nproc_per_node 4 examples/run_pretraining.py examples/configs/pretraining.yaml

Leaves model, tokenizer, `eval_results.json` and `training_log.jsonl` with every logged figure in `output_dir`.
"""

from dataclasses import dataclass, field

from datasets import load_from_disk
from transformers import set_seed

from claim_transformers import (
    Architecture,
    ClaimTokenizer,
    ClaimTrainer,
    ClaimTrainingArguments,
    cut_records,
    describe_exposure,
    extend_checkpoint,
    find_rules,
    leave_out_patients,
    load_claims,
    pretraining_collator,
    pretraining_metrics,
    pretraining_model,
    run_script,
    tokenize_dataset,
)


@dataclass
class ScriptArguments:
    """What this script adds to [`ClaimTrainingArguments`]."""

    claims: list[str] = field(metadata={"help": "Ingested folders, or raw files of --source."})
    source: str = field(default="claims", metadata={"help": "'claims' for an ingested folder, or a raw format."})
    model_config: str = field(
        default="examples/configs/claim-pt-base.json", metadata={"help": "JSON with 'model' and 'tokenizer'."}
    )
    tokenizer: str | None = field(default=None, metadata={"help": "Folder or name; trained on the claims without it."})
    model_name_or_path: str | None = field(default=None, metadata={"help": "Checkpoint to extend and go on from."})
    min_patients: int = field(default=11, metadata={"help": "Training patients behind every token."})
    exclude_cohort: str | None = field(default=None, metadata={"help": "Cohort whose patients are left out."})
    until: str | None = field(default=None, metadata={"help": "Date, nothing known from which on is learned."})
    cohort: str | None = field(default=None, metadata={"help": "Cohort of whose outcomes the run says what it saw."})
    cp_mask_probability: float = field(default=0.0, metadata={"help": "Share of codes hidden for categories."})
    mask_probability: float = field(default=0.15, metadata={"help": "Share of codes hidden in masked token learning."})
    backoff_probability: float = field(default=0.0, metadata={"help": "Share of codes read as one of their groups."})


def main(arguments: ScriptArguments, training_args: ClaimTrainingArguments) -> None:
    set_seed(training_args.seed)
    architecture = Architecture.from_json(arguments.model_config)
    with training_args.main_process_first(desc="data and tokenizer"):
        location = arguments.claims if len(arguments.claims) > 1 else arguments.claims[0]
        patients = load_claims(arguments.source, location)
        if arguments.exclude_cohort:
            patients = leave_out_patients(patients, load_from_disk(arguments.exclude_cohort))
        if arguments.until:
            patients = cut_records(patients, arguments.until)
        if arguments.cohort:
            print(describe_exposure(patients, arguments.cohort))
        smallest = {"min_patients": arguments.min_patients}
        if arguments.model_name_or_path:
            model, tokenizer = extend_checkpoint(arguments.model_name_or_path, patients["train"], **smallest)
        elif arguments.tokenizer:
            tokenizer = ClaimTokenizer.from_pretrained(arguments.tokenizer)
        else:
            tokenizer = architecture.train_tokenizer(patients["train"], **smallest, **find_rules(arguments.claims[0]))
        tokens = tokenize_dataset(patients, tokenizer)
    if not arguments.model_name_or_path:
        model = pretraining_model(architecture.build_config(tokenizer))
    shares = {name: value for name, value in vars(arguments).items() if name.endswith("_probability")}
    trainer = ClaimTrainer(
        model=model,
        args=training_args,
        train_dataset=tokens["train"],
        eval_dataset=tokens["validation"],
        processing_class=tokenizer,
        data_collator=pretraining_collator(model.config, tokenizer, seed=training_args.seed, **shares),
        **pretraining_metrics(model.config),
    )
    trainer.save_metrics("train", trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint).metrics)
    trainer.save_model()
    metrics = trainer.evaluate()
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics)


if __name__ == "__main__":
    run_script(main, ScriptArguments, ClaimTrainingArguments)
