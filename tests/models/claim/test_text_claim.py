"""Text that a tokenizer decoded is what a model takes again."""

import pytest
import torch

from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimModel, ClaimTokenizer
from claim_transformers.models.claim.text_claim import visits_of_tokens

TIMES = [f"DAY/{day}" for day in range(366)] + ["GAP/START", *(f"GAP/{bound}" for bound in (0, 1, 2, 4, 8, 16, 32))]
TOKENS = ["SEX/F", "AGE/9", "TYPE/OP", "TYPE/RX", "UNK/TYPE", "HCPCS/99213", "ICD9CM/493", "NDC/00093014501", *TIMES]
VISITS = [
    {"day": 100, "type": "OP", "codes": ["ICD9CM/49392"]},
    {"day": 103, "type": "RX", "codes": ["NDC/00093014501"]},
    {"day": 140, "type": "OP", "codes": ["HCPCS/99213"]},
]
PATIENT = {"age": 9, "sex": "F", "visits": VISITS}


def make_tokenizer(**options):
    return ClaimTokenizer({token: number for number, token in enumerate(TOKENS, start=3)}, **options)


def small_model(tokenizer, class_=ClaimModel, **choices):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "num_attention_heads": 2}
    return class_(ClaimConfig(vocab_size=len(tokenizer), **sizes, **choices)).eval()


def test_decoded_text_gives_the_inputs_that_the_patient_gave():
    tokenizer = make_tokenizer(time_tokens="day")
    encoded = tokenizer(PATIENT)
    again = tokenizer(tokenizer.decode(encoded["input_ids"]))
    assert dict(again) == dict(encoded)
    assert encoded["visit_days"] == [0, 0, 3, 40]


@pytest.mark.parametrize(("time_tokens", "days"), [("gap", [0, 0, 2, 34]), ("none", [0, 0, 0, 0])])
def test_days_that_tokens_do_not_tell_are_the_earliest_that_they_allow(time_tokens, days):
    tokenizer = make_tokenizer(time_tokens=time_tokens)
    encoded = tokenizer(PATIENT)
    again = tokenizer(tokenizer.decode(encoded["input_ids"]))
    assert again["visit_ids"] == encoded["visit_ids"]
    assert again["visit_days"] == days


def test_the_first_visit_in_view_is_day_0_wherever_the_text_begins():
    assert visits_of_tokens(["TYPE/OP", "GAP/4096", "TYPE/OP", "GAP/2"]) == ([1, 1, 2, 2], [0, 0, 2])
    assert visits_of_tokens(["UNK/TYPE", "DAY/300", "TYPE/OP", "DAY/302"]) == ([1, 1, 2, 2], [0, 0, 2])
    assert visits_of_tokens([]) == ([], [0])


def test_a_model_takes_a_batch_of_texts_padded_like_patients():
    tokenizer = make_tokenizer(time_tokens="day")
    patients = [PATIENT, {**PATIENT, "visits": VISITS[:1]}, {"sex": "F", "visits": []}]
    texts = [tokenizer.decode(tokenizer(patient)["input_ids"]) for patient in patients]
    of_texts = tokenizer(texts, padding=True, return_tensors="pt")
    of_patients = tokenizer(patients, padding=True, return_tensors="pt")
    assert of_texts.keys() == of_patients.keys()
    assert all(torch.equal(of_texts[name], of_patients[name]) for name in of_texts)
    model = small_model(tokenizer)
    with torch.no_grad():
        assert model(**of_texts).pooler_output.shape == (3, 8)
        assert model(**tokenizer(texts[0], return_tensors="pt")).pooler_output.shape == (1, 8)


def test_the_newest_visits_leave_where_the_truncation_side_is_right():
    tokenizer = make_tokenizer(time_tokens="day")
    whole = tokenizer(PATIENT)
    assert len(whole["input_ids"]) == 11
    left = tokenizer(PATIENT, truncation=True, max_length=8)
    assert (
        tokenizer.decode(left["input_ids"])
        == "AGE/9 SEX/F | TYPE/RX DAY/0 NDC/00093014501 | TYPE/OP DAY/37 HCPCS/99213"
    )
    tokenizer.truncation_side = "right"
    right = tokenizer(PATIENT, truncation=True, max_length=8)
    assert right["input_ids"] == whole["input_ids"][:8]
    assert (right["visit_ids"], right["visit_days"]) == (whole["visit_ids"][:8], [0, 0, 3])
    one = tokenizer(PATIENT, truncation=True, max_length=4)
    assert (one["input_ids"], one["visit_days"]) == (whole["input_ids"][:4], [0, 0])
    assert dict(tokenizer(PATIENT, truncation=True, max_length=11)) == dict(whole)


@pytest.mark.parametrize("pooling", ["max", "none"])
def test_the_dummy_inputs_of_a_model_go_through_it(pooling):
    model = small_model(make_tokenizer(), ClaimForSequenceClassification, visit_pooling=pooling)
    with torch.no_grad():
        assert model(**model.dummy_inputs).logits.shape == (1, 2)


def test_truth_values_are_classes_and_classes_that_the_model_lacks_say_what_to_do():
    model = small_model(make_tokenizer(), ClaimForSequenceClassification)
    inputs = model.dummy_inputs
    losses = [model(**inputs, labels=torch.tensor([label])).loss for label in (True, 1)]
    assert torch.equal(*losses)
    assert model.config.problem_type == "single_label_classification"
    with pytest.raises(ValueError, match=r"expected classes from 0 to 1, .* found 2 to 2; number the classes from 0"):
        model(**inputs, labels=torch.tensor([2]))
