# /// script
# dependencies = ["claim-transformers[claims]"]
# ///
"""Pretrain a claim model: next visits and categories where a visit is a position, masked tokens where a code is one.

From the repository root, on one device or on several:

    python examples/run_pretraining.py examples/configs/pretraining.yaml --claims claims
    torchrun --standalone --nproc_per_node 4 examples/run_pretraining.py examples/configs/pretraining.yaml

`claim-transformers pretrain` does the same from an installed package. Leaves model, tokenizer, `eval_results.json` and
`training_log.jsonl` with every logged figure in `output_dir`.
"""

from transformers import set_seed

from claim_transformers import (
    ClaimTrainer,
    ClaimTrainingArguments,
    PretrainingArguments,
    pretraining_collator,
    pretraining_metrics,
    pretraining_parts,
    run_script,
)


def main(arguments: PretrainingArguments, training_args: ClaimTrainingArguments) -> None:
    set_seed(training_args.seed)
    model, tokenizer, tokens = pretraining_parts(arguments, training_args)
    trainer = ClaimTrainer(
        model=model,
        args=training_args,
        train_dataset=tokens["train"],
        eval_dataset=tokens["validation"],
        processing_class=tokenizer,
        data_collator=pretraining_collator(model.config, tokenizer, seed=training_args.seed, **arguments.shares),
        **pretraining_metrics(model.config),
    )
    trainer.save_metrics("train", trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint).metrics)
    trainer.save_model()
    metrics = trainer.evaluate()
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics)


if __name__ == "__main__":
    run_script(main, PretrainingArguments, ClaimTrainingArguments)
