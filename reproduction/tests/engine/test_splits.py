import numpy as np
import pyarrow as pa
import pytest

from reproduction.engine.splits import limit_training, number_patients, split_examples


def people(count, first=0):
    return number_patients(pa.table({"patient_id": [f"P{i}" for i in range(first, first + count)]}))


def ids(table):
    return set(table["patient_id"].to_pylist())


def test_every_patient_is_in_one_split_and_the_shares_are_70_to_30():
    repeat = split_examples(people(5000), "asthma", 3)
    train, validation, test = (ids(repeat.splits[name]) for name in ("train", "validation", "test"))
    assert len(train | validation | test) == 5000
    assert len(train) + len(validation) + len(test) == 5000
    assert len(test) / 5000 == pytest.approx(0.3, abs=0.02)
    assert len(validation) / 5000 == pytest.approx(0.14, abs=0.02)


def test_new_patients_move_nobody_and_repeats_differ():
    few, many = (split_examples(people(count), "asthma", 0) for count in (500, 900))
    assert ids(few.splits["test"]) == ids(many.splits["test"]) & ids(people(500))
    tests = [ids(split_examples(people(500), "asthma", repeat).splits["test"]) for repeat in range(5)]
    overlap = [len(tests[0] & other) / len(tests[0]) for other in tests[1:]]
    assert np.mean(overlap) == pytest.approx(0.3, abs=0.08)


def test_rows_of_one_patient_have_one_number_and_stay_together():
    table = number_patients(pa.table({"patient_id": [f"P{i % 100}" for i in range(300)]}))
    assert table["row"].to_pylist() == list(range(300))
    assert (
        table.group_by("patient_id").aggregate([("patient", "count_distinct")])["patient_count_distinct"].to_pylist()
        == [1] * 100
    )
    splits = split_examples(table, "asthma", 0).splits
    assert sum(len(ids(split)) for split in splits.values()) == 100


def test_a_smaller_training_set_is_part_of_a_larger_one_and_the_test_split_stays():
    whole = split_examples(people(1000), "asthma", 1)
    small, large = (limit_training(whole, size, "asthma") for size in (100, 300))
    for split in ("train", "validation"):
        assert ids(small.splits[split]) < ids(large.splits[split]) < ids(whole.splits[split])
    assert small.splits["train"].num_rows + small.splits["validation"].num_rows == 100
    assert small.splits["test"] is whole.splits["test"]
    assert small.key() != large.key()


def test_too_few_patients_are_an_error():
    with pytest.raises(ValueError, match="expected at least 800 patients in 'train'"):
        limit_training(split_examples(people(200), "asthma", 0), 1000, "asthma")
    with pytest.raises(ValueError, match="expected patients in each split"):
        split_examples(people(1), "asthma", 0)
