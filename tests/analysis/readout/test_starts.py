"""Starts of a fine-tuning: what the weights, the vocabulary and the head of a fresh classifier are."""

import json
import logging

import datasets
import numpy as np
import pytest
import torch
from analysis.outcome_by_hand import outcome_config, outcome_model, outcome_patients, outcome_tokenizer
from training.patients_at_random import random_patients

from claim_transformers.analysis import (
    outcome_readout,
    start_from_architecture,
    start_from_checkpoint,
    start_from_pretraining,
    start_from_readout,
    start_on_cohort,
)
from claim_transformers.training import Architecture, FineTuningArguments

DEFINITION = {
    "codes": {"asthma": ["ICD9CM/493"]},
    "label": {"codes": "asthma", "visit_types": ["IP"]},
    "index": {"rule": "fixed_date"},
}


@pytest.fixture(scope="module")
def tokenizer():
    return outcome_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    return outcome_model(outcome_config(tokenizer))


@pytest.fixture(scope="module")
def checkpoint(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def train(tokenizer):
    table, labels = outcome_patients(tokenizer)
    return datasets.Dataset(table).add_column("label", labels.tolist())


@pytest.mark.parametrize("is_pretrained", [True, False])
def test_a_checkpoint_gives_sizes_and_vocabulary_and_its_weights_if_asked(is_pretrained, checkpoint, model, tokenizer):
    classifier, found = start_from_checkpoint(checkpoint, is_pretrained=is_pretrained, num_labels=3)
    assert found.get_vocab() == tokenizer.get_vocab()
    assert classifier.classifier.out_features == 3
    name = "embeddings.code_embeddings.weight"
    assert classifier.claim.get_parameter(name).equal(model.claim.get_parameter(name)) == is_pretrained


def test_an_architecture_learns_its_vocabulary_from_the_training_split(tmp_path):
    content = {"model": {"hidden_size": 16, "num_attention_heads": 2}, "tokenizer": {"time_tokens": "none"}}
    (tmp_path / "tiny.json").write_text(json.dumps(content))
    train = datasets.Dataset(random_patients(60, 0))
    classifier, tokenizer = start_from_architecture(tmp_path / "tiny.json", train)
    assert classifier.config.vocab_size == len(tokenizer) > 10
    assert classifier.config.hidden_size == 16
    fewer = start_from_architecture(Architecture.from_json(tmp_path / "tiny.json"), train, min_patients=31)[1]
    assert set(tokenizer.get_vocab()) - set(fewer.get_vocab())


@pytest.mark.parametrize("kind", ["folder", "definition"])
def test_a_classifier_starts_at_the_head_of_its_cohort(kind, checkpoint, model, tokenizer, train, tmp_path):
    (tmp_path / "cohort.json").write_text(json.dumps(DEFINITION))
    cohort = tmp_path if kind == "folder" else DEFINITION
    classifier, _ = start_from_pretraining(checkpoint, cohort, train, code_skip=False)
    by_hand, _ = start_from_checkpoint(checkpoint, classifier_rate=0)
    readout = outcome_readout(model, tokenizer, ["ICD9CM/493"], is_inpatient=True)
    start_from_readout(by_hand, readout, train, np.array(train["label"]))
    torch.testing.assert_close(classifier.classifier.weight, by_hand.classifier.weight)
    assert classifier.code_skip is None


def test_counts_of_codes_stand_beside_the_head(checkpoint, tokenizer, train):
    classifier, _ = start_from_pretraining(checkpoint, DEFINITION, train)
    weight = classifier.code_skip.weight.detach()
    of_asthma = tokenizer.convert_tokens_to_ids("ICD9CM/49390")
    assert weight[of_asthma, 1] > 0 > weight[of_asthma, 0]


def test_patients_that_are_not_tokenised_give_the_same_start(tmp_path):
    content = Architecture({"hidden_size": 16, "num_attention_heads": 2, "horizon_days": 90}, {"time_tokens": "none"})
    from claim_transformers.models.claim import ClaimForPreTraining
    from claim_transformers.training import tokenize_dataset

    train = datasets.Dataset(random_patients(80, 0, labels=True))
    categories = {"prefixes": {"ICD9CM/41": "CCS/1"}}
    tokenizer = content.train_tokenizer(train, categories=categories)
    ClaimForPreTraining(content.build_config(tokenizer, visit_pooling="sum")).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    asked = {**DEFINITION, "codes": {"asthma": ["ICD9CM/41"]}}
    raw, tokenised = (
        start_from_pretraining(tmp_path, asked, rows)[0] for rows in (train, tokenize_dataset(train, tokenizer))
    )
    assert raw.classifier.weight.equal(tokenised.classifier.weight)
    assert raw.code_skip.weight.equal(tokenised.code_skip.weight)


def test_a_model_without_a_head_for_the_question_starts_without_it_and_says_so(checkpoint, train, caplog):
    with caplog.at_level(logging.WARNING):
        classifier, _ = start_from_pretraining(checkpoint, {"label_names": ["no such category"]}, train)
    assert "no head for the question of the cohort" in caplog.text
    assert not classifier.code_skip.weight.any()


def test_several_labels_of_a_patient_are_refused_with_the_way_on(tmp_path):
    train = datasets.Dataset.from_dict({"label": [[0.0, 1.0]]})
    with pytest.raises(ValueError, match="found a list of them: learn it in Python"):
        start_on_cohort(FineTuningArguments(str(tmp_path), "claim-pt-base"), train)
