"""Two lengths in one batch: tokens and visit slots."""

import numpy as np
import pytest
import torch
from transformers import DataCollatorWithPadding

from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

TOKENS = ["SEX/F", "SEX/U", "TYPE/OP", "GAP/START", "GAP/1", "REV/0450", "REV/0636"]


@pytest.fixture
def tokenizer() -> ClaimTokenizer:
    return ClaimTokenizer({token: number + 3 for number, token in enumerate(TOKENS)}, {"REV/0450": "ROOM"})


def patient(*codes: list[str]) -> dict:
    return {"sex": "F", "visits": [{"day": day, "type": "OP", "codes": found} for day, found in enumerate(codes)]}


PATIENTS = [patient(["REV/0450"]), patient(["REV/0450", "REV/0636"], ["REV/0450"], []), patient()]


def test_padding_fills_tokens_and_slots_to_their_own_lengths(tokenizer):
    batch = tokenizer(PATIENTS, padding=True, return_tensors="pt", return_category_ids=True)
    assert batch["input_ids"].shape == batch["visit_ids"].shape == batch["attention_mask"].shape == (3, 10)
    assert batch["visit_days"].tolist() == [[0, 0, -1, -1], [0, 0, 1, 2], [0, -1, -1, -1]]
    padding = batch["attention_mask"] == 0
    assert padding.sum(dim=1).tolist() == [6, 0, 9]
    assert (batch["input_ids"][padding] == tokenizer.pad_token_id).all()
    assert (batch["visit_ids"][padding] == -1).all()
    assert (batch["category_ids"][padding] == -100).all()
    assert batch["visit_ids"][1].tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 3, 3]


def test_left_padding_moves_tokens_and_leaves_slots(tokenizer):
    batch = tokenizer(PATIENTS, padding=True, padding_side="left", return_tensors="pt")
    assert batch["visit_ids"][0].tolist() == [-1] * 6 + [0, 1, 1, 1]
    assert batch["input_ids"][0].tolist() == [0] * 6 + [3, 5, 6, 8]
    assert batch["attention_mask"][0].tolist() == [0] * 6 + [1] * 4
    assert batch["visit_days"][0].tolist() == [0, 0, -1, -1]


def test_both_lengths_round_up_to_the_multiple(tokenizer):
    batch = tokenizer(PATIENTS, padding=True, pad_to_multiple_of=8, return_tensors="np")
    assert batch["input_ids"].shape == (3, 16)
    assert batch["visit_days"].shape == (3, 8)


def test_padding_to_max_length_fixes_both_shapes(tokenizer):
    batch = tokenizer(PATIENTS, padding="max_length", max_length=32, return_tensors="pt")
    assert batch["input_ids"].shape == (3, 32)
    assert batch["visit_days"].shape == (3, tokenizer.max_visits + 1)


def test_without_padding_nothing_is_added(tokenizer):
    batch = tokenizer(PATIENTS)
    assert [len(row) for row in batch["input_ids"]] == [4, 10, 1]
    assert [len(row) for row in batch["visit_days"]] == [2, 4, 1]


def test_one_patient_as_tensors_has_a_batch_axis(tokenizer):
    encoded = tokenizer(PATIENTS[0], return_tensors="pt")
    assert encoded["input_ids"].shape == (1, 4)
    assert encoded["visit_days"].shape == (1, 2)


def test_batch_of_two_equals_two_of_one_without_padding(tokenizer):
    batch = tokenizer(PATIENTS, padding=True)
    for row, one in enumerate(PATIENTS):
        alone = tokenizer(one)
        for name, values in alone.items():
            assert batch[name][row][: len(values)] == values


def test_data_collator_with_padding_takes_encoded_rows(tokenizer):
    rows = [{**tokenizer(one), "label": number, "length": 1} for number, one in enumerate(PATIENTS)]
    batch = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)(rows)
    assert batch["input_ids"].shape == (3, 16)
    assert batch["visit_days"].dtype == torch.int64
    assert batch["labels"].tolist() == [0, 1, 2]


def test_labels_of_tokens_are_padded_and_labels_of_patients_are_not(tokenizer):
    encoded = [dict(tokenizer(one)) for one in PATIENTS]
    of_tokens = [{**one, "labels": one["input_ids"]} for one in encoded]
    labels = tokenizer.pad(of_tokens, return_tensors="pt")["labels"]
    assert labels.shape == (3, 10)
    assert labels[0, 4:].tolist() == [-100] * 6
    of_patients = [{**one, "labels": [1.0, 0.0, 1.0, 0.0]} for one in encoded]
    assert tokenizer.pad(of_patients, return_tensors="pt")["labels"].shape == (3, 4)
    one_each = [{**one, "labels": 1} for one in encoded]
    assert tokenizer.pad(one_each, return_tensors="pt")["labels"].tolist() == [1, 1, 1]


def test_category_labels_are_padded_like_tokens(tokenizer):
    encoded = [dict(tokenizer(one, return_category_ids=True)) for one in PATIENTS]
    renamed = [{**one, "category_labels": one.pop("category_ids")} for one in encoded]
    batch = tokenizer.pad(renamed, return_tensors="pt")
    assert batch["category_labels"][0].tolist() == [-100, -100, -100, 0] + [-100] * 6


@pytest.mark.parametrize("convert", [torch.tensor, np.array])
def test_tensors_come_back_as_tensors(tokenizer, convert):
    encoded = [{name: convert(values) for name, values in tokenizer(one).items()} for one in PATIENTS]
    batch = tokenizer.pad(encoded)
    expected = tokenizer(PATIENTS, padding=True)
    assert isinstance(batch["visit_days"], type(convert([0])))
    assert {name: values.tolist() for name, values in batch.items()} == dict(expected)


def test_examples_with_different_keys_are_refused(tokenizer):
    with pytest.raises(ValueError, match="same keys"):
        tokenizer.pad([{"input_ids": [1]}, {"input_ids": [1], "labels": 1}])
    with pytest.raises(ValueError, match="input_ids"):
        tokenizer.pad([{"visit_days": [0]}])


def test_max_length_drops_the_oldest_visits_and_restarts_the_clock(tokenizer):
    whole = tokenizer(PATIENTS[1])
    cut = tokenizer(PATIENTS[1], truncation=True, max_length=7)
    assert len(whole["input_ids"]) == 10
    assert tokenizer.decode(cut["input_ids"]) == "SEX/F | TYPE/OP GAP/START REV/0450 | TYPE/OP GAP/1"
    assert cut["visit_days"] == [0, 0, 1]
    recent = patient(*[visit["codes"] for visit in PATIENTS[1]["visits"][1:]])
    assert dict(cut) == dict(tokenizer(recent))


def test_max_length_below_one_visit_cuts_its_codes(tokenizer):
    cut = tokenizer(PATIENTS[0], truncation=True, max_length=3)
    assert cut["input_ids"] == tokenizer(PATIENTS[0])["input_ids"][:3]
    assert cut["visit_days"] == [0, 0]


def test_length_counts_slots(tokenizer):
    assert tokenizer(PATIENTS, return_length=True)["length"] == [2, 4, 1]


def test_pairs_of_patients_are_refused(tokenizer):
    with pytest.raises(ValueError, match="found a pair"):
        tokenizer(PATIENTS[0], PATIENTS[1])
