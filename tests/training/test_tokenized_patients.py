import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training.patients_at_random import random_patients

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.training import (
    TokenizedPatients,
    leave_out_patients,
    require_disjoint_patients,
    tokenize_dataset,
)
from claim_transformers.training.tokenized_patients import patient_digests


def test_rows_are_those_of_the_tokenizer(patients, tokens, tokenizer):
    for number in (0, 7, 159):
        row = patients["train"][number]
        visits = zip(row["visit_day"], row["visit_type"], row["codes"], strict=True)
        patient = {
            "sex": row["sex"],
            "birth_day": row["birth_day"],
            "visits": [{"day": day, "type": kind, "codes": codes} for day, kind, codes in visits],
        }
        expected = tokenizer(patient, return_category_ids=True)
        for name in ("input_ids", "visit_ids", "visit_days", "category_ids"):
            assert tokens["train"][number][name] == expected[name]
        assert tokens["train"][number]["length"] == len(expected["visit_days"])
        assert tokens["train"][number]["label"] == row["label"]


def test_a_stream_gives_the_tokens_of_the_table(tmp_path, tokenizer):
    pq.write_table(random_patients(40, 5, labels=True), tmp_path / "patients.parquet", row_group_size=16)
    files = {"train": [str(tmp_path / "patients.parquet")]}
    stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    rows = datasets.Dataset(random_patients(40, 5, labels=True))
    whole = tokenize_dataset(rows, tokenizer)
    assert "label" in whole.column_names
    # The one knows its columns before it is read, the other does not.
    for rows_one_by_one in (stream, rows.to_iterable_dataset()):
        assert list(tokenize_dataset(rows_one_by_one, tokenizer, batch_size=7)) == whole.to_list()
    with pytest.raises(ValueError, match="no num_proc for a streamed"):
        tokenize_dataset(stream, tokenizer, num_proc=2)


def test_another_tokenizer_never_meets_cached_tokens(tmp_path, patients, tokenizer):
    pq.write_table(random_patients(30, 6), tmp_path / "patients.parquet")
    dataset = datasets.Dataset.from_parquet(str(tmp_path / "patients.parquet"), cache_dir=str(tmp_path / "cache"))
    first = tokenize_dataset(dataset, tokenizer)
    used = ClaimTokenizer.train_from_dataset(patients["train"], categories=tokenizer._rules)
    used.count_backoffs(random_patients(3, 0))
    assert tokenize_dataset(dataset, used)._fingerprint == first._fingerprint
    assert tokenize_dataset(dataset, used).cache_files == first.cache_files
    other = ClaimTokenizer.train_from_dataset(patients["train"], categories=tokenizer._rules, time_tokens="day")
    assert tokenize_dataset(dataset, other)["input_ids"] != first["input_ids"]


def test_batches_come_in_the_order_asked_for_with_row_and_epoch(tokens):
    dataset = TokenizedPatients(tokens["train"], epoch=3)
    rows = [150, 2, 2, 77]
    batch = dataset.__getitems__(rows)
    assert batch["row"].to_pylist() == rows
    assert batch["epoch"].to_pylist() == [3] * 4
    assert batch["input_ids"].to_pylist() == [tokens["train"][row]["input_ids"] for row in rows]
    assert dataset[5]["input_ids"].to_pylist() == [tokens["train"][5]["input_ids"]]
    assert len(dataset) == 160


def test_selected_and_shuffled_rows_keep_their_lengths(tokens):
    shuffled = tokens["train"].shuffle(seed=1).select(range(50))
    assert TokenizedPatients(shuffled).lengths().tolist() == [len(row["visit_days"]) for row in shuffled]


def test_rows_that_are_not_tokenised_are_refused(patients, tokens):
    with pytest.raises(KeyError, match="run tokenize_dataset"):
        TokenizedPatients(patients["train"])
    with pytest.raises(KeyError, match="column 'length'"):
        TokenizedPatients(tokens["train"].remove_columns("length")).lengths()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_digests_depend_on_the_identifier_alone(kind):
    identifiers = ["A", "", "AB", "B", "BA", "A" * 40]
    whole = pa.chunked_array([pa.array(identifiers, pa.string()).cast(kind)])
    digests = patient_digests(whole)
    assert len(set(digests.tolist())) == 6
    assert patient_digests(whole.slice(2, 2)).tolist() == digests[2:4].tolist()
    assert patient_digests(whole.slice(0, 0)).tolist() == []
    with pytest.raises(ValueError, match="expected a patient_id in every row, found none in <11"):
        patient_digests(pa.chunked_array([["a", None]]))


def test_a_patient_in_two_sets_is_refused_without_being_named(tokens):
    train, validation = tokens["train"], tokens["validation"]
    require_disjoint_patients(train, validation)
    mixed = datasets.concatenate_datasets([validation, train.select([4, 4])])
    for held_out in (mixed, TokenizedPatients(mixed), {"clean": validation, "mixed": mixed}):
        with pytest.raises(ClaimDataError, match="found <11 of 49 evaluation patients") as caught:
            require_disjoint_patients(TokenizedPatients(train), held_out)
        assert caught.value.reason_code == "E_SPLIT_OVERLAP"
        assert "P0" not in str(caught.value)


def test_sets_without_digests_cannot_be_checked(tokens):
    require_disjoint_patients(tokens["train"], tokens["train"].remove_columns("patient_digest"))
    require_disjoint_patients(tokens["train"], None)
    assert np.all(np.array(tokens["train"]["patient_digest"]) >= 0)


def test_order_of_visits_and_writing_of_days_change_no_age_and_no_span(tokenizer):
    row = {"patient_id": "A", "birth_day": 10_000, "visit_day": [15_000, 15_010, 15_300], "visit_type": ["OP"] * 3}
    row |= {"codes": [[]] * 3, "enrollment_start_day": [14_900], "enrollment_end_day": [15_400]}
    names = ("visit_day", "birth_day", "enrollment_start_day", "enrollment_end_day")
    dated = {name: np.array(row[name]).astype("datetime64[D]").tolist() for name in names}
    reversed_row = {**row, "visit_day": row["visit_day"][::-1]}
    expected, *others = (
        tokenize_dataset(
            datasets.Dataset.from_list([given, {**given, "visit_day": [], "visit_type": [], "codes": []}]), tokenizer
        )[:]
        for given in (row, reversed_row, {**row, **dated})
    )
    assert (expected["age_birth_day"][0], expected["age_first_day"][0]) == (10_000, 15_000)
    assert expected["span_start_days"][0] == [-100]
    assert others == [expected] * 2


def test_a_cohort_is_left_out_whatever_split_its_patients_are_in(patients):
    cohort = datasets.DatasetDict(
        train=patients["train"].select([3, 5]),
        test=patients["validation"].select([0]).rename_column("label", "outcome"),
    )
    left = leave_out_patients(patients, cohort)
    expected = [identifier for row, identifier in enumerate(patients["train"]["patient_id"]) if row not in (3, 5)]
    assert list(left["train"]["patient_id"]) == expected
    assert list(left["validation"]["patient_id"]) == list(patients["validation"]["patient_id"])[1:]


def test_a_population_that_is_the_cohort_leaves_nobody_to_pretrain_on(patients):
    with pytest.raises(
        ClaimDataError, match="E_NO_PATIENTS: expected patients outside the cohort in the split 'train'"
    ):
        leave_out_patients(patients, patients)
