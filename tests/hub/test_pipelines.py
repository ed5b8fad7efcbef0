"""Pipelines of transformers over patients, and names of the store through the Auto classes."""

import subprocess
import sys
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from cohorts.patients_by_hand import day
from training.scoring import scored_people
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers import pipeline as typed_pipeline

from claim_transformers import tokenize_dataset
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
)
from claim_transformers.training import Calibration, Scorer, save_calibration
from claim_transformers.training.scoring.patients import known_patients

# Types of transformers know its own tasks alone.
pipeline: Any = typed_pipeline
ROWS = [
    {"sex": "F", "birth_day": -3000, "visit_day": days, "visit_type": ["OP"] * len(days),
     "codes": [["ICD9CM/49392", "HCPCS/99213"]] * len(days)}
    for days in ([7, 9], [], [1], [3, 4, 5])
]  # fmt: skip
PATIENT = {"sex": "F", "visits": [{"day": 7, "type": "OP", "codes": ["ICD9CM/49392"]}]}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained("claim-pt-base")


@pytest.fixture(scope="module")
def embed(tokenizer):
    return pipeline("claim-embedding", model="claim-pt-base", tokenizer=tokenizer, device="cpu")


def classifier(tokenizer, **choices):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "num_attention_heads": 2}
    model = ClaimForSequenceClassification(ClaimConfig(vocab_size=len(tokenizer), **sizes, **choices))
    return pipeline("claim-classification", model=model, tokenizer=tokenizer, device="cpu")


def test_every_form_of_the_same_patients_gives_the_same_vectors(embed, tokenizer):
    rows = datasets.Dataset.from_list(ROWS)
    expected = np.stack([embed(row) for row in ROWS])
    assert expected.shape == (4, 96)
    forms = [ROWS, rows, rows.to_dict(), rows.with_format("arrow")[:], tokenize_dataset(rows, tokenizer)]
    forms += [tokenize_dataset(rows, tokenizer).to_list(), iter(ROWS), rows.to_iterable_dataset()]
    forms.append(rows.to_pandas().to_dict("records"))
    for form in forms:
        np.testing.assert_allclose(list(embed(form, batch_size=3)), expected, atol=1e-5)
    assert isinstance(rows.with_format("arrow")[:], pa.Table)


def test_a_stream_is_read_as_far_as_it_is_asked_for(embed):
    read = []

    def rows():
        for row in ROWS:
            read.append(row)
            yield row

    answers = embed(rows(), batch_size=2)
    assert not read
    next(answers)
    assert len(read) == 2


def test_what_is_no_patient_is_refused_at_once(embed):
    for nothing in (None, 3):
        with pytest.raises(ValueError, match="expected a patient, or patients, found"):
            embed(nothing)


def test_text_is_a_patient_too(embed, tokenizer):
    text = tokenizer.decode(tokenizer(PATIENT)["input_ids"])
    np.testing.assert_allclose(embed(text), embed(PATIENT), atol=1e-5)
    assert len(embed([text, text])) == 2


def test_a_class_comes_with_its_score(tokenizer):
    classify = classifier(tokenizer, id2label={0: "none", 1: "readmission", 2: "death"})
    (best,) = classify([PATIENT])
    ranked = classify(PATIENT, top_k=None)
    assert best == classify(PATIENT) == ranked[0]
    assert [entry["score"] for entry in ranked] == sorted((entry["score"] for entry in ranked), reverse=True)
    assert {entry["label"] for entry in ranked} == {"none", "readmission", "death"}
    assert sum(entry["score"] for entry in ranked) == pytest.approx(1.0)
    with torch.no_grad():
        batch = tokenizer([PATIENT], padding=True, return_tensors="pt")
        logits = classify.model(**batch).logits[0]
    assert best["score"] == pytest.approx(float(logits.softmax(0).max()), abs=1e-6)
    numbers = classify(PATIENT, top_k=None, function_to_apply="none")
    assert [entry["score"] for entry in numbers] == pytest.approx(sorted(logits.tolist(), reverse=True), abs=1e-6)


def test_several_labels_at_once_are_each_a_probability_and_a_regression_is_its_number(tokenizer):
    several = classifier(tokenizer, num_labels=2, problem_type="multi_label_classification")
    number = classifier(tokenizer, num_labels=1)
    logits = {}
    with torch.no_grad():
        batch = tokenizer([PATIENT], padding=True, return_tensors="pt")
        for name, one in (("several", several), ("number", number)):
            logits[name] = one.model(**batch).logits[0]
    expected = torch.sigmoid(logits["several"]).sort(descending=True).values.tolist()
    assert [entry["score"] for entry in several(PATIENT, top_k=None)] == pytest.approx(expected, abs=1e-6)
    assert number(PATIENT)["score"] == pytest.approx(float(logits["number"]), abs=1e-6)
    with pytest.raises(TypeError, match="expected parameters out of batch_size, top_k, function_to_apply, found topk"):
        several(PATIENT, topk=3)


@pytest.mark.parametrize("num_labels", [1, 2])
def test_a_calibrated_checkpoint_says_what_score_says_until_it_learns_more(tmp_path, num_labels):
    kind = "single_label_classification" if num_labels == 2 else "multi_label_classification"
    scored_people.model(num_labels, kind).save_pretrained(tmp_path)
    scored_people.tokenizer().save_pretrained(tmp_path)
    save_calibration(tmp_path, Calibration({"method": "platt", "intercept": -1.0, "slope": 0.5}))
    people = scored_people.members(20, seed=4)
    scorer = Scorer.from_pretrained(tmp_path, everyone=True, precision="float32")
    scores, examples = (
        scorer.score(people, scored_people.AT)[0]["score"].to_pylist(),
        known_patients(people, day(scored_people.AT.isoformat()), everyone=True).examples,
    )
    classify = pipeline("claim-classification", model=str(tmp_path), device="cpu")

    def risks(**options):
        return [
            {entry["label"]: entry["score"] for entry in answer}[f"LABEL_{num_labels - 1}"]
            for answer in classify(examples, top_k=None, **options)
        ]

    assert risks() == pytest.approx(scores, abs=1e-6)
    own = risks(function_to_apply="softmax" if num_labels == 2 else "sigmoid")
    assert np.abs(np.array(own) - scores).max() > 0.05
    with torch.no_grad():
        classify.model.classifier.weight.add_(0.1)
    classify = pipeline("claim-classification", model=classify.model, tokenizer=classify.tokenizer, device="cpu")
    assert risks() == risks(function_to_apply="softmax" if num_labels == 2 else "sigmoid")


def test_the_next_visit_is_told_in_categories_with_their_titles(tokenizer):
    expect = pipeline("claim-next-visit", model="claim-pt-base", tokenizer=tokenizer, device="cpu")
    answers = expect(ROWS, top_k=5)
    assert [len(answer) for answer in answers] == [5] * 4
    found = {entry["category"]: entry["name"] for answer in answers for entry in answer}
    assert found["CCSR/RSP009"] == "Asthma"
    with torch.no_grad():
        batch = tokenizer(ROWS[:1], padding=True, return_tensors="pt")
        scores = torch.sigmoid(expect.model.predict_next_visit(**batch))[0]
    assert answers[0][0]["score"] == pytest.approx(float(scores.max()), abs=1e-5)
    assert answers[0][0]["category"] == tokenizer.category_names[int(scores.argmax())]


def test_the_next_visit_of_a_model_of_codes_holds_codes_alone(tokenizer):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "num_attention_heads": 2}
    config = ClaimConfig(vocab_size=len(tokenizer), num_categories=tokenizer.num_categories, **sizes)
    model = ClaimForPreTraining(config)
    expect = pipeline("claim-next-visit", model=model, tokenizer=tokenizer, device="cpu")
    answer = expect(PATIENT, top_k=50)
    ids = tokenizer.convert_tokens_to_ids([entry["code"] for entry in answer])
    assert tokenizer.target_mask[ids].all()
    masked = ClaimForMaskedLM(ClaimConfig(vocab_size=len(tokenizer), visit_pooling="none", **sizes))
    with pytest.raises(ValueError, match=r"expected a model pretrained on next visits .* found ClaimForMaskedLM"):
        pipeline("claim-next-visit", model=masked, tokenizer=tokenizer, device="cpu")(PATIENT)


def test_auto_classes_know_the_names_of_the_store_and_what_was_meant_by_others():
    assert AutoConfig.from_pretrained("medicare-encoder-base").visit_pooling == "none"
    assert AutoModel.from_pretrained("claim-pt-base", revision="main").config.hidden_size == 96
    with pytest.raises(OSError, match="Did you mean 'claim-pt-base'"):
        AutoModel.from_pretrained("claim-pt-bsae")
    with pytest.raises(OSError, match="expected a version of 'claim-pt-base'"):
        AutoConfig.from_pretrained("claim-pt-base", revision="v99")


def test_lora_adapts_queries_and_values_where_nothing_else_is_said(tokenizer):
    peft = pytest.importorskip("peft")
    model = classifier(tokenizer).model
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=2))
    trained = {name.split(".")[-4] for name, weight in adapted.named_parameters() if "lora_A" in name}
    assert trained == {"q_proj", "v_proj"}
    assert any("classifier" in name for name, weight in adapted.named_parameters() if weight.requires_grad)


def test_the_tasks_cost_no_import_until_pipelines_are_used():
    script = (
        "import sys, claim_transformers\n"
        "assert not {'torch', 'transformers', 'claim_transformers.hub.pipelines'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_tokenizer_of_another_vocabulary_is_refused(tokenizer):
    model = ClaimForSequenceClassification(ClaimConfig(vocab_size=len(tokenizer) + 1, hidden_size=8))
    with pytest.raises(ValueError, match="E_VOCAB_SIZE"):
        pipeline("claim-classification", model=model, tokenizer=tokenizer)
