"""The classifier on a pretrained encoder: its statistics, where it begins, and that Trainer's defaults teach it."""

import json

import numpy as np
import pytest
import torch
from claim_batches import collate, random_patients
from transformers import Trainer, TrainingArguments, set_seed

from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimForSequenceClassification
from claim_transformers.models.claim.classifier_claim import ClaimClassifier, ClaimCodeSkip
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
    assert model.config.code_skip_half_life_days > 1
    assert model(**batch).logits.eq(0).all()
    for part in (model.classifier, model.code_skip):
        torch.nn.init.normal_(part.weight)
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
    assert plain.code_skip is None is not rated.code_skip
    vectors = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rated.classifier(vectors), plain.classifier(vectors), rtol=1e-4, atol=1e-5)


def test_with_a_rate_counts_are_read_from_their_mean_and_a_code_that_varies_little_is_read_quietly():
    layer = ClaimCodeSkip(ClaimConfig(**SIZES, classifier_rate=3.0), 2).train()
    layer.begin()
    batch = collate(random_patients(0, (2, 4, 3, 1)))
    given = [batch[name] for name in ("input_ids", "visit_ids", "visit_days")] + [
        batch["visit_days"].new_full((4,), 9)
    ]
    layer(*given)
    with torch.no_grad():
        torch.nn.init.normal_(layer.weight)
        counts = torch.zeros(4, 60)
        for row, patient in enumerate(zip(batch["input_ids"], batch["visit_ids"], strict=True)):
            for code, slot in zip(*patient, strict=True):
                counts[row, code] += slot >= 0
        counts = counts.log1p()
        torch.testing.assert_close(layer.mean, counts.mean(dim=0))
        loud = (counts - counts.mean(dim=0)) * counts.std(dim=0, correction=0) ** 1.5
        # All together they vary as four vectors of the encoder would.
        loud *= (4 * 16 / loud.var(dim=0, correction=0).sum()).sqrt()
        said = layer.eval()(*given)
        torch.testing.assert_close(said, loud @ layer.weight * 3, rtol=1e-4, atol=1e-4)
        # A table of what each code adds, and what is said of nobody's codes.
        torch.testing.assert_close(counts @ layer.table() + layer.constant(), said, rtol=1e-4, atol=1e-4)
        wider = [torch.cat([part, part.new_zeros(5, *part.shape[1:])]) for part in (layer.weight, layer.variance)]
        layer.resize(65)
        torch.testing.assert_close([layer.weight.detach(), layer.variance], wider)
        torch.testing.assert_close(layer(*given), said)


def test_the_defaults_of_trainer_teach_it_and_leave_a_plain_layer_where_it_began(pretrained, patients, tmp_path):
    labels = np.array([patient["labels"] for patient in patients])
    moved = {}
    for name, options in {"brought": {}, "plain": {"classifier_rate": 0}}.items():
        set_seed(0)
        model = ClaimForSequenceClassification.from_pretrained(pretrained, num_labels=2, **options)
        before = model.classifier.weight.detach().clone()
        assert (model.code_skip is None) == (name == "plain")
        arguments = TrainingArguments(tmp_path / name, use_cpu=True, disable_tqdm=True, remove_unused_columns=False)
        trainer = Trainer(model, arguments, train_dataset=patients, data_collator=_labelled)
        trainer.train()
        moved[name] = float((model.classifier.weight.detach() - before).abs().max()) * (model.classifier.rate or 1)
        if name == "brought":
            logits = np.asarray(trainer.predict(patients).predictions)
            assert auroc(labels, logits[:, 1] - logits[:, 0]) > 0.75
    assert moved["plain"] < 0.005 < 0.03 < moved["brought"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_classifier_of_nobody_yet_is_finite_in_half_precision(pretrained, patients, dtype):
    model = ClaimForSequenceClassification.from_pretrained(pretrained, num_labels=2, dtype=dtype).eval()
    with torch.no_grad():
        logits = model(**_labelled(patients[:4])).logits
    assert logits.dtype == dtype
    assert (logits == 0).all()
