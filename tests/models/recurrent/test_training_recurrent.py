"""The recurrent models with the tokenizer, the collator and the trainer of the claim family, and on their travels."""

import datasets
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from claim_transformers.hub.saving import save_with_code
from claim_transformers.models import recurrent
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.models.registration import register
from claim_transformers.training import (
    ClaimTrainer,
    ClaimTrainingArguments,
    DataCollatorForClaimClassification,
    binary_metrics,
)


def _patients():
    """Girls and boys with one code or the other; the label is whether the last visit holds the first."""
    patients = []
    for number in range(48):
        codes = [("ICD9CM/49390", "ICD9CM/4659")[(number >> visit) % 2] for visit in range(4)]
        visits = [{"day": 30 * day, "type": "OP", "codes": [code]} for day, code in enumerate(codes)]
        patients.append({"age": 9, "sex": "FM"[number % 2], "visits": visits, "label": number // 8 % 2})
    return patients


def _tokens(tokenizer, patients):
    return datasets.Dataset.from_list(
        [
            {
                **tokenizer({key: patient[key] for key in ("age", "sex", "visits")}, return_length=True),
                "label": patient["label"],
            }
            for patient in patients
        ]
    )


def test_each_architecture_learns_with_the_trainer_of_the_package(tmp_path):
    patients = _patients()
    tokenizer = ClaimTokenizer.train_from_dataset(patients)
    tokens = _tokens(tokenizer, patients)
    for architecture in ("doctor_ai", "dipole", "retain"):
        torch.manual_seed(0)
        config = recurrent.RecurrentConfig(
            architecture=architecture, vocab_size=len(tokenizer), embedding_size=16, hidden_size=16
        )
        trainer = ClaimTrainer(
            model=recurrent.RecurrentForSequenceClassification(config),
            args=ClaimTrainingArguments(
                output_dir=tmp_path / architecture,
                use_cpu=True,
                num_train_epochs=30,
                learning_rate=0.02,
                per_device_train_batch_size=16,
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=tokens,
            eval_dataset=tokens,
            processing_class=tokenizer,
            data_collator=DataCollatorForClaimClassification(tokenizer),
            compute_metrics=binary_metrics,
        )
        trainer.train()
        assert trainer.evaluate()["eval_auroc"] > 0.99, architecture


def test_a_checkpoint_carries_its_code_and_its_tokenizer(tmp_path):
    register()
    tokenizer = ClaimTokenizer.train_from_dataset(_patients())
    model = recurrent.RecurrentForSequenceClassification(recurrent.RecurrentConfig(vocab_size=len(tokenizer)))
    files = save_with_code(model, tokenizer, tmp_path)
    own = {"configuration_recurrent.py", "encoder_recurrent.py", "modeling_recurrent.py"}
    assert own | {"damage_claim.py", "losses_claim.py"} < set(files)
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is ClaimTokenizer
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path).config.vocab_size == len(tokenizer)
