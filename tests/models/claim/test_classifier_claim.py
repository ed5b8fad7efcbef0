"""The classifier on a pretrained encoder: its statistics, where it begins, and that Trainer's defaults teach it."""

import json

import numpy as np
import pytest
import torch
from claim_batches import collate, random_patients
from transformers import Trainer, TrainingArguments, set_seed

from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimForSequenceClassification
from claim_transformers.models.claim.classifier_claim import ClaimClassifier
from claim_transformers.training.metrics import auroc

SIZES = {"vocab_size": 60, "num_categories": 7, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    set_seed(0)
    folder = tmp_path_factory.mktemp("pretrained")
    # Weights of a size that lets codes be seen, as training does.
    config = ClaimConfig(**SIZES, visit_pooling="sum", initializer_range=0.5, classifier_dropout=0.0)
    ClaimForPreTraining(config).save_pretrained(folder)
    return folder


def _labelled(patients):
    return collate(patients) | {"labels": torch.tensor([patient["labels"] for patient in patients])}


@pytest.fixture(scope="module")
def patients():
    """Half of them have codes of their own, which are the label."""
    rows = random_patients(1, (2,) * 160)
    for number, row in enumerate(rows):
        row["labels"] = number % 2
        row["slots"] = [
            [*slot, 6, 7, 8, 9] if row["labels"] and place else slot for place, slot in enumerate(row["slots"])
        ]
    return rows


@pytest.mark.parametrize("batch", [1, 5, 40])
def test_means_and_variances_are_those_of_all_patients_whatever_the_batch(batch):
    vectors = torch.randn(40, 16, generator=torch.Generator().manual_seed(0)) * 3 + 2
    layer = ClaimClassifier(ClaimConfig(**SIZES, classifier_rate=2.0), 2).train()
    for part in vectors.split(batch):
        layer(part)
    # Eight patients of variance 1 stand before the first.
    expected = (vectors.var(dim=0, correction=0) * 40 + 8) / 48
    torch.testing.assert_close(layer.mean, vectors.mean(dim=0))
    torch.testing.assert_close(layer.variance, expected)
    before = layer.mean.clone()
    layer.eval()(vectors + 9)
    assert layer.mean.equal(before)


def test_a_classifier_on_a_pretrained_encoder_begins_without_an_opinion_and_is_saved_whole(pretrained, tmp_path):
    model = ClaimForSequenceClassification.from_pretrained(pretrained, num_labels=3)
    batch = collate(random_patients(0, (2, 4, 3)))
    assert model.config.classifier_rate > 1
    assert model.config.classifier_half_life_days > 1
    assert model(**batch).logits.eq(0).all()
    torch.nn.init.normal_(model.classifier.weight)
    model.train()(**batch)
    model.eval().save_pretrained(tmp_path)
    loaded = ClaimForSequenceClassification.from_pretrained(tmp_path)
    assert loaded(**batch).logits.equal(model(**batch).logits)
    assert loaded.config.classifier_rate == model.config.classifier_rate


def test_a_classifier_of_an_earlier_version_stays_the_plain_layer_that_it_was(tmp_path):
    model = ClaimForSequenceClassification(ClaimConfig(**SIZES)).eval()
    model.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content.pop("classifier_rate") is None
    (tmp_path / "config.json").write_text(json.dumps(content))
    loaded, batch = ClaimForSequenceClassification.from_pretrained(tmp_path), collate(random_patients(0, (2, 4)))
    assert loaded(**batch).logits.equal(model(**batch).logits)
    assert set(loaded.classifier.state_dict()) == {"weight", "bias"}


def test_weights_of_a_plain_layer_such_as_those_of_an_adapter_say_what_they_said(pretrained):
    plain, rated = (
        ClaimForSequenceClassification.from_pretrained(pretrained, classifier_rate=rate) for rate in (0, 9)
    )
    rated.classifier.load_state_dict(plain.classifier.state_dict())
    vectors = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rated.classifier(vectors), plain.classifier(vectors[:, :16]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["sum", "none"])
def test_beside_the_patient_vector_stands_the_sum_of_its_codes_which_fades(pooling):
    config = ClaimConfig(**SIZES, visit_pooling=pooling, classifier_half_life_days=50)
    model = ClaimForSequenceClassification(config).eval()
    batch = collate(random_patients(0, (2, 4, 3)))
    table, days = model.get_input_embeddings().weight, batch["visit_days"]
    expected = torch.zeros(3, 16)
    for row, patient in enumerate(zip(batch["input_ids"], batch["visit_ids"], strict=True)):
        for code, slot in zip(*patient, strict=True):
            if slot >= 0:
                expected[row] += table[code] * 2 ** (-float((days[row].max() - days[row, slot]) * (slot > 0)) / 50)
    outputs = model.claim(**batch)
    read = model.vectors(outputs, **batch)
    torch.testing.assert_close(read, torch.cat([outputs.pooler_output, expected], dim=1))
    by_vector = {name: tensor for name, tensor in batch.items() if name != "input_ids"}
    by_vector["inputs_embeds"] = model.get_input_embeddings()(batch["input_ids"])
    torch.testing.assert_close(model(**by_vector).logits, model(**batch).logits)
    with torch.no_grad():
        # What comes after the last visit in view is not seen.
        cut = torch.ones(3, dtype=torch.long)
        seen = model(**batch, cut=cut).logits
        later = batch["visit_ids"] > 1
        changed = batch | {"input_ids": torch.where(later, 5, batch["input_ids"])}
        torch.testing.assert_close(model(**changed, cut=cut).logits, seen)


def test_the_defaults_of_trainer_teach_it_and_leave_a_plain_layer_where_it_began(pretrained, patients, tmp_path):
    labels = np.array([patient["labels"] for patient in patients])
    moved = {}
    for name, options in {"brought": {}, "plain": {"classifier_rate": 0}}.items():
        set_seed(0)
        model = ClaimForSequenceClassification.from_pretrained(pretrained, num_labels=2, **options)
        before = model.classifier.weight.detach().clone()
        arguments = TrainingArguments(tmp_path / name, use_cpu=True, disable_tqdm=True, remove_unused_columns=False)
        trainer = Trainer(model, arguments, train_dataset=patients, data_collator=_labelled)
        trainer.train()
        moved[name] = float((model.classifier.weight.detach() - before).abs().max()) * (model.classifier.rate or 1)
        if name == "brought":
            logits = np.asarray(trainer.predict(patients).predictions)
            assert auroc(labels, logits[:, 1] - logits[:, 0]) > 0.75
    assert moved["plain"] < 0.005 < 0.03 < moved["brought"]
