"""The command `pretrain`: a claim model from ingested claims, as `examples/run_pretraining.py` shows it."""

from typing import TYPE_CHECKING

import typer

from claim_transformers.cli.options import new_app
from claim_transformers.cli.passed_on import PASSED_ON, flags_text, run_passed_on
from claim_transformers.training.run_arguments import PretrainingArguments

if TYPE_CHECKING:
    from claim_transformers.training import ClaimTrainingArguments

app = new_app()
_HELP = f"""Pretrain a claim model on ingested claims: --claims claims --output_dir pretrained.

Settings are those of a YAML file that is given first, else those of claim-pt-base; a flag overrides either.

{flags_text(PretrainingArguments)}

Every field of transformers.TrainingArguments is a flag too, such as --max_steps 500 or --learning_rate 1e-3.

For several processes: torchrun --standalone --nproc_per_node 4 -m claim_transformers.cli pretrain ..."""


@app.command(context_settings=PASSED_ON, help=_HELP)
def pretrain(context: typer.Context) -> None:
    """Pretrain a claim model on ingested claims."""
    from claim_transformers.training import ClaimTrainingArguments

    run_passed_on(_pretrain, context.args, "pretraining.yaml", PretrainingArguments, ClaimTrainingArguments)


def _pretrain(arguments: PretrainingArguments, training_args: "ClaimTrainingArguments") -> None:
    from transformers import set_seed

    from claim_transformers.training import ClaimTrainer, pretraining_collator, pretraining_metrics, pretraining_parts

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
