"""Accumulating small batches in the real Trainer is one large batch."""

import pytest
from claim_batches import collate, random_patients
from transformers import Trainer, TrainingArguments, set_seed

from claim_transformers.models.claim import ClaimConfig, ClaimForMaskedLM, ClaimForPreTraining


def _first_step(model_class, config, collator, batch_size, accumulation, folder):
    set_seed(0)
    model = model_class(config)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        logging_steps=1,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
    )
    patients = random_patients(0, (1, 9, 2, 3, 4, 7, 1, 2))
    trainer = Trainer(model, arguments, train_dataset=patients, data_collator=collator)
    trainer.train()
    return next(entry for entry in trainer.state.log_history if "grad_norm" in entry)


def _with_masked_labels(patients):
    batch = collate(patients, with_labels=True)
    batch.pop("category_labels")
    return batch


@pytest.mark.parametrize(
    ("model_class", "pooling", "collator"),
    [
        (ClaimForPreTraining, "max", lambda patients: collate(patients, with_labels=True)),
        (ClaimForMaskedLM, "none", _with_masked_labels),
    ],
    ids=["pretraining", "masked_lm"],
)
def test_four_batches_of_two_are_one_batch_of_eight(model_class, pooling, collator, tmp_path):
    config = ClaimConfig(
        vocab_size=60,
        num_categories=7,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        visit_pooling=pooling,
        nvp_context="none",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    whole = _first_step(model_class, config, collator, batch_size=8, accumulation=1, folder=tmp_path)
    parts = _first_step(model_class, config, collator, batch_size=2, accumulation=4, folder=tmp_path)
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-4)
    assert parts["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4)
