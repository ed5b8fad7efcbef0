import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from training.patients_at_random import random_patients

from claim_transformers.claims.ages import whole_years
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training import DataCollatorForClaimPretraining, TokenizedPatients, tokenize_dataset
from claim_transformers.training.landmarks import Landmarks

HORIZON_DAYS = 100
PATIENTS = 400


@pytest.fixture(scope="module")
def records() -> pa.Table:
    """Patients enrolled in one or two spans around their visits, and a few whose enrolment is not known."""
    table = random_patients(PATIENTS, 5)
    generator = np.random.default_rng(6)
    starts, ends = [], []
    for days in table["visit_day"].to_pylist():
        gap = days[0] + int(generator.integers(0, 300))
        two = generator.random() < 0.5
        last = days[-1] + int(generator.integers(0, 400))
        starts.append([days[0] - 20, gap + 30] if two else [days[0] - 20])
        ends.append([gap, max(last, gap + 31)] if two else [last])
    table = table.append_column("enrollment_start_day", pa.array(starts, pa.list_(pa.int32())))
    return table.append_column("enrollment_end_day", pa.array(ends, pa.list_(pa.int32())))


@pytest.fixture(scope="module")
def model_tokenizer(records) -> ClaimTokenizer:
    categories = {"prefixes": {f"ICD9CM/4{ten}": f"CCS/{ten}" for ten in range(8)}}
    return ClaimTokenizer.train_from_dataset(datasets.Dataset(records), categories=categories)


@pytest.fixture(scope="module")
def rows(records, model_tokenizer) -> TokenizedPatients:
    return TokenizedPatients(tokenize_dataset(datasets.Dataset(records), model_tokenizer))


@pytest.fixture(scope="module")
def batch(rows, model_tokenizer) -> dict[str, torch.Tensor]:
    collator = DataCollatorForClaimPretraining(model_tokenizer, horizon_days=HORIZON_DAYS)
    return collator(rows.__getitems__(range(PATIENTS)))


def test_the_patient_sees_the_visits_before_its_landmark_and_no_other(batch):
    landmark, cut = batch["visit_days"][:, 0].numpy(), batch["cut"].numpy()
    assert 100 < (cut > 0).sum() < 300  # about half of the rows are causal
    for days, day, seen in zip(batch["visit_days"].numpy()[:, 1:], landmark, cut, strict=True):
        if seen:
            assert seen == ((days >= 0) & (days < day)).sum()
        else:
            assert day == 0


def test_the_horizon_is_known_where_one_span_of_enrolment_covers_it(batch, records):
    spans = zip(records["enrollment_start_day"].to_pylist(), records["enrollment_end_day"].to_pylist(), strict=True)
    known_somewhere = 0
    for row, ((starts, ends), visits) in enumerate(zip(spans, records["visit_day"].to_pylist(), strict=True)):
        days = [visits[0] + int(batch["visit_days"][row, 0]), *visits]
        enrolled = list(zip(starts, ends, strict=True))
        expected = [any(start <= day and day + HORIZON_DAYS <= end for start, end in enrolled) for day in days]
        assert batch["horizon_known"][row, : len(days)].tolist() == expected
        assert not batch["horizon_known"][row, len(days) :].any()
        known_somewhere += sum(expected)
    assert known_somewhere > PATIENTS


def test_what_follows_is_counted_apart_on_inpatient_visits(batch, records, model_tokenizer):
    plain = DataCollatorForClaimPretraining(model_tokenizer)
    categories = plain(tokenize_dataset(datasets.Dataset(records), model_tokenizer).to_list())["category_labels"]
    inpatient = torch.zeros_like(categories, dtype=torch.bool)
    for row, kinds in enumerate(records["visit_type"].to_pylist()):
        for slot, kind in enumerate(kinds, start=1):
            inpatient[row, batch["visit_ids"][row] == slot] = kind == "IP"
    expected = torch.where(categories >= 0, categories + model_tokenizer.num_categories * inpatient, -100)
    assert torch.equal(batch["horizon_targets"], expected)
    assert (expected >= model_tokenizer.num_categories).any()


def test_age_is_that_at_the_landmark(batch, records, model_tokenizer):
    vocabulary = model_tokenizer.get_vocab()
    for row, birth in enumerate(records["birth_day"].to_pylist()):
        day = records["visit_day"][row].as_py()[0] + int(batch["visit_days"][row, 0])
        years = whole_years(birth, day).item()
        assert batch["input_ids"][row, 0].item() == vocabulary[f"AGE/{years}"]


def test_landmarks_are_uniform_over_the_days_followed_for_the_whole_horizon():
    days, spans = np.array([[0, 0, 30]]).repeat(2000, 0), np.array([[[0]], [[300]]]).repeat(2000, 1)
    day = Landmarks(days, spans, horizon_days=100).draw((np.arange(2000) + 0.5) / 2000)
    assert (day.min(), day.max()) == (1, 200)
    assert np.abs(np.bincount(day, minlength=201)[1:] - 10).max() <= 1


def test_the_asked_share_of_landmarks_is_the_day_of_a_visit_which_is_the_next_one(rows, model_tokenizer):
    collator = DataCollatorForClaimPretraining(
        model_tokenizer, horizon_days=HORIZON_DAYS, landmark_visit_share=1.0, nvp_context="full"
    )
    batch = collator(rows.__getitems__(range(PATIENTS)))
    later = 0
    for days, day, cut in zip(batch["visit_days"][:, 1:], batch["visit_days"][:, 0], batch["cut"], strict=True):
        if (days > 0).any() and cut > 0:
            assert days[cut] == day  # the first visit not in view
            assert day > 0
            later += 1
    assert later > PATIENTS / 2


def test_visits_are_drawn_equally_often():
    days = np.array([[0, 0, 3, 3, 8, -1]]).repeat(3000, 0)
    drawn = Landmarks(days, np.zeros((2, 3000, 1)), horizon_days=1).draw_visit((np.arange(3000) + 0.5) / 3000)
    assert np.bincount(drawn).tolist() == [0, 0, 0, 2000, 0, 0, 0, 0, 1000]


def test_a_landmark_is_drawn_anew_each_epoch_and_again_for_the_same_epoch(rows, model_tokenizer):
    collator = DataCollatorForClaimPretraining(model_tokenizer, horizon_days=HORIZON_DAYS)
    table = rows.__getitems__(range(50))
    later = table.set_column(table.column_names.index("epoch"), "epoch", pa.array(np.full(50, 3)))
    first, again, other = (collator(one)["visit_days"][:, 0] for one in (table, table, later))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_without_enrolment_a_record_ends_with_its_last_visit(records, model_tokenizer):
    table = records.drop_columns(["enrollment_start_day", "enrollment_end_day", "birth_day"])
    tokens = TokenizedPatients(tokenize_dataset(datasets.Dataset(table), model_tokenizer))
    collator = DataCollatorForClaimPretraining(model_tokenizer, horizon_days=HORIZON_DAYS)
    batch = collator(tokens.__getitems__(range(PATIENTS)))
    last = batch["visit_days"][:, 1:].amax(dim=1)
    stands = torch.cat([batch["visit_days"][:, :1], batch["visit_days"][:, 1:]], dim=1)
    expected = (batch["visit_days"] >= 0) & (stands + HORIZON_DAYS <= last[:, None])
    assert torch.equal(batch["horizon_known"], expected)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_of_visits_outside_its_range_is_refused(share, model_tokenizer):
    with pytest.raises(ValueError, match=r"expected landmark_visit_share in \[0, 1\]"):
        DataCollatorForClaimPretraining(model_tokenizer, landmark_visit_share=share)


def test_a_negative_horizon_is_refused(model_tokenizer):
    with pytest.raises(ValueError, match="expected horizon_days of at least 0, found -1"):
        DataCollatorForClaimPretraining(model_tokenizer, horizon_days=-1)
