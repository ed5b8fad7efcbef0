"""Vectors of a frozen model: which positions they read, and that batches and padding change nothing."""

import copy

import numpy as np
import pyarrow as pa
import pytest
import torch

from claim_transformers.analysis import fit_linear_probe, patient_vectors
from claim_transformers.analysis.rivals.features import read_labels
from claim_transformers.models.claim import ClaimForMaskedLM, ClaimForSequenceClassification, ClaimModel
from claim_transformers.training import DataCollatorForClaimClassification, auroc

POOLINGS = ["start", "mean", "max", "pool"]


def one(tokens, row):
    """The inputs of a single patient, without padding."""
    names = ("input_ids", "visit_ids", "visit_days")
    return {name: torch.tensor([tokens[name][row].as_py()]) for name in names}


@pytest.mark.parametrize(
    ("pooling", "options"),
    [
        ("max", {}),
        ("none", {"time_attention": "bucketed"}),
        ("sum", {"history_skip": True, "time_attention": "bucketed"}),
    ],
)
def test_start_is_what_classification_reads(make_model, tokenizer, tokens, pooling, options):
    model = make_model(ClaimForSequenceClassification, visit_pooling=pooling, **options)
    batch = DataCollatorForClaimClassification(tokenizer)(tokens.drop_columns(["label"]))
    with torch.no_grad():
        expected = model.claim(**batch).pooler_output.numpy()
    assert np.allclose(patient_vectors(model, tokens), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("context", ["mixed", "none"])
def test_batches_order_and_padding_change_no_vector(make_model, tokens, pooling, context):
    model = make_model(history_skip=True, nvp_context=context)
    whole = patient_vectors(model, tokens, pooling)
    order = np.random.default_rng(0).permutation(tokens.num_rows)
    mixed = patient_vectors(model, tokens.take(pa.array(order)), pooling, batch_size=7)
    assert np.allclose(mixed, whole[order], atol=1e-5)


def test_pool_reads_the_visits_and_not_the_patient(make_model, tokens):
    model = make_model(ClaimModel, visit_pooling="sum")
    mean, largest, both = (patient_vectors(model, tokens, pooling) for pooling in ("mean", "max", "pool"))
    for row in (0, 5, 11):
        with torch.no_grad():
            visits = model(**one(tokens, row)).last_hidden_state[0, 1:].numpy()
        assert np.allclose(mean[row], visits.mean(axis=0), atol=1e-5)
        assert np.allclose(largest[row], visits.max(axis=0), atol=1e-5)
    assert np.allclose(both, np.hstack([mean, largest]))


def test_codes_as_positions_are_pooled_over_the_codes_of_visits(make_model, tokens):
    model = make_model(ClaimForMaskedLM, visit_pooling="none")
    inputs = one(tokens, 3)
    with torch.no_grad():
        states = model.claim(**inputs).last_hidden_state[0]
    expected = states[inputs["visit_ids"][0] >= 1].mean(dim=0).numpy()
    assert np.allclose(patient_vectors(model, tokens, "mean")[3], expected, atol=1e-5)


def test_a_causal_model_is_read_at_its_last_visit(make_model, tokens):
    model = make_model(nvp_context="none", history_skip=True)
    inputs = one(tokens, 2)
    with torch.no_grad():
        expected = model.predict_next_visit(**inputs)[0]
        found = model.nvp_decoder(torch.from_numpy(patient_vectors(model, tokens)[2]))
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_patient_without_visits_has_a_finite_vector(make_model, tokenizer, pooling):
    table = pa.table({"sex": ["F"], "visit_day": pa.array([[]], pa.list_(pa.int32())), "visit_type": [[]]})
    table = table.append_column("codes", pa.array([[]], pa.list_(pa.list_(pa.string()))))
    columns = {"visit_type": pa.array([[]], pa.list_(pa.string()))}
    table = table.set_column(2, "visit_type", columns["visit_type"])
    vectors = patient_vectors(make_model(), tokenizer.encode_table(table), pooling)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors).max() < 1e6


def test_the_model_stays_as_it_was(make_model, tokens):
    model = make_model().train()
    before = copy.deepcopy(model.state_dict())
    first, second = (patient_vectors(model, tokens) for _ in range(2))
    assert np.array_equal(first, second), "dropout is off"
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_data_set_and_a_table_give_the_same_vectors(make_model, tokens):
    from datasets import Dataset

    model = make_model()
    assert np.array_equal(patient_vectors(model, Dataset(tokens)), patient_vectors(model, tokens))


def test_an_unknown_pooling_is_refused(make_model, tokens):
    with pytest.raises(ValueError, match="expected pooling to be one of start, pool, mean, max, found 'cls'"):
        patient_vectors(make_model(), tokens, "cls")


def test_a_probe_finds_the_condition_that_the_label_follows(make_model, patients, tokens):
    vectors = patient_vectors(make_model(ClaimModel, visit_pooling="sum"), tokens, "pool")
    labels = read_labels(patients)
    parts = {"train": slice(0, 80), "validation": slice(80, 100), "test": slice(100, 120)}
    given = {name: vectors[rows] for name, rows in parts.items()}
    answers = {name: labels[rows] for name, rows in parts.items()}
    probe = fit_linear_probe(given, answers, name="Claim-PT Pool")
    assert auroc(answers["test"], probe.scores["test"]) > 0.8
    assert (probe.name, probe.num_features) == ("Claim-PT Pool", vectors.shape[1])


def test_a_probe_is_the_same_in_other_units_and_ignores_constant_columns():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(90, 4))
    labels = (vectors[:, 0] + random.normal(size=90) > 0).astype(int)

    def scores(values):
        split = {"train": values[:60], "validation": values[60:]}
        return fit_linear_probe(split, {"train": labels[:60], "validation": labels[60:]}, C=0.1).scores["validation"]

    rescaled = np.hstack([1000.0 * vectors + 7.0, np.full((90, 1), 3.0)])
    assert np.allclose(scores(vectors), scores(rescaled), atol=1e-4)
