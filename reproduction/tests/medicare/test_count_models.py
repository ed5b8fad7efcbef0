"""Models on counts keep the index stay apart, see only what they may, and work on tables they were not made for."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from reproduction.medicare import count_models
from reproduction.medicare.count_features import CountFeatures, read_numbers, split_index_stay
from reproduction.medicare.count_models import fit_count_model

ADMISSION = 15_000


def make_stays(rows, seed, risk=lambda history, stay, black: np.where(stay, 0.8, 0.15)):
    """Two stays of each patient; heart failure before the stay or as its reason, and race, may raise the risk."""
    random = np.random.default_rng(seed)
    history, stay, black = (random.random(rows) < 0.5 for _ in range(3))
    label = random.random(rows) < risk(history, stay, black)
    before = np.where(history, "ICD9CM/4280", "ICD9CM/49390")
    reason = np.where(stay, "ICD9CM/4280", "ICD9CM/486")
    days = random.integers(1, 60, rows)
    return pa.table(
        {
            "patient_id": [f"P{seed}-{row // 2}" for row in range(rows)],
            "sex": ["F" if row % 3 else "M" for row in range(rows)],
            "birth_day": pa.array([-12_000] * rows, pa.int32()),
            "visit_day": pa.array([[ADMISSION - int(d), ADMISSION + 4] for d in days], pa.list_(pa.int32())),
            "visit_type": [["CAR", "IP"]] * rows,
            "codes": [[[b, "HCPCS/99213"], ["DISP/01", "DRG/291", r]] for b, r in zip(before, reason, strict=True)],
            "visit_amount": pa.array([[50.0, None]] * rows, pa.list_(pa.float32())),
            "index_day": pa.array([ADMISSION + 5] * rows, pa.int32()),
            "admission_day": pa.array([ADMISSION] * rows, pa.int32()),
            "discharge_day": pa.array([ADMISSION + 4] * rows, pa.int32()),
            "length_of_stay_days": pa.array([4] * rows, pa.int32()),
            "label": pa.array(label.astype(np.int8)),
            "patient_codes": [["RACE/BLACK" if is_black else "RACE/WHITE", "DUAL/NA"] for is_black in black],
        }
    )


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    settings = tuple(
        dataclasses.replace(setting, max_iter=25, max_features=1.0) for setting in count_models.BOOSTING[:2]
    )
    monkeypatch.setattr(count_models, "BOOSTING", settings)


@pytest.fixture(scope="module")
def train():
    return make_stays(500, seed=1)


@pytest.fixture(scope="module")
def validation():
    return make_stays(200, seed=2)


def gap(scores, chosen):
    return float(scores[chosen].mean() - scores[~chosen].mean())


def has_code(table, visit, code):
    return np.array([code in visits[visit] for visits in table["codes"].to_pylist()])


@pytest.mark.parametrize("kind", ["lr", "gb"])
def test_the_reason_of_the_stay_counts_and_the_same_code_in_the_history_does_not(kind, train, validation):
    test = make_stays(400, seed=3)
    scores = fit_count_model(kind, train, validation).predict(test)
    assert gap(scores, has_code(test, 1, "ICD9CM/4280")) > 0.3
    assert abs(gap(scores, has_code(test, 0, "ICD9CM/4280"))) < 0.1


@pytest.mark.parametrize("kind", ["lr", "gb"])
def test_the_same_seed_gives_the_same_scores(kind, train, validation):
    first, second = (fit_count_model(kind, train, validation, seed=4).predict(validation) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("kind", ["lr", "gb"])
def test_codes_that_training_did_not_have_and_an_empty_table_are_no_trouble(kind, train, validation):
    model = fit_count_model(kind, train, validation)
    # Icd-10 in the place of the history's code, a race, a sex and no amount that training knew.
    codes = [[["ICD10CM/I509", "HCPCS/99213"], visits[1]] for visits in validation["codes"].to_pylist()]
    other = validation.set_column(validation.column_names.index("codes"), "codes", pa.array(codes))
    other = other.drop_columns(["visit_amount", "patient_codes", "sex"])
    other = other.append_column("patient_codes", pa.array([["RACE/OTHER"]] * other.num_rows))
    other = other.append_column("sex", pa.nulls(other.num_rows, pa.string()))
    scores = model.predict(other)
    assert np.isfinite(scores).all()
    assert gap(scores, has_code(other, 1, "ICD9CM/4280")) > 0.3
    assert model.predict(other.slice(0, 0)).shape == (0,)


@pytest.mark.parametrize("kind", ["lr", "gb"])
def test_a_model_without_race_does_not_move_when_race_does(kind):
    by_race = [make_stays(rows, seed, lambda history, stay, black: np.where(black, 0.8, 0.15))
               for rows, seed in ((500, 5), (200, 6))]  # fmt: skip
    test = by_race[1]
    is_black = np.array([codes[0] == "RACE/BLACK" for codes in test["patient_codes"].to_pylist()])
    assert gap(fit_count_model(kind, *by_race).predict(test), is_black) > 0.3
    swapped = [["RACE/WHITE" if black else "RACE/BLACK", "DUAL/NA"] for black in is_black]
    swapped = test.set_column(test.column_names.index("patient_codes"), "patient_codes", pa.array(swapped))
    blind = fit_count_model(kind, *by_race, drop={"race"})
    assert np.array_equal(blind.predict(test), blind.predict(swapped))


def test_columns_need_eleven_patients_and_not_eleven_stays_and_sex_can_be_left_out(train):
    twenty_stays = train.slice(0, 20)
    rare = [[["ICD9CM/0030"], visits[1]] for visits in twenty_stays["codes"].to_pylist()]
    rare = twenty_stays.set_column(train.column_names.index("codes"), "codes", pa.array(rare))
    features = CountFeatures.fit(pa.concat_tables([rare, train.slice(20)]))
    assert "ICD9CM/0030" not in features.history_codes
    assert "ICD9CM/4280" in features.history_codes
    assert {"sex F", "sex M"} <= set(features.names)
    assert not {"sex F", "sex M"} & set(CountFeatures.fit(train, drop={"sex"}).names)
    assert features.counts(train).shape == (500, len(features.names))


def test_days_count_from_the_admission_and_what_was_billed_inside_is_apart():
    columns = {
        "visit_day": [[90, 98, 101, 104]],
        "visit_type": [["CAR", "CAR", "CAR", "IP"]],
        "codes": [[["HCPCS/99284"], ["HCPCS/99213"], ["HCPCS/99284"], ["DRG/291", "ICD9CM/4280"]]],
        "visit_amount": [[10.0, 5.0, 7.0, None]],
        "index_day": [105],
        "admission_day": [100],
        "length_of_stay_days": [4],
        "birth_day": [None],
    }
    values, names = read_numbers(pa.table(columns, schema=pa.schema(
        [("visit_day", pa.list_(pa.int32())), ("visit_type", pa.list_(pa.string())),
         ("codes", pa.list_(pa.list_(pa.string()))), ("visit_amount", pa.list_(pa.float32())),
         *((name, pa.int32()) for name in ("index_day", "admission_day", "length_of_stay_days", "birth_day"))]
    )))  # fmt: skip
    found = dict(zip(names, values[0].tolist(), strict=True))
    assert (found["days since emergency"], found["days since office"]) == (10, 2)
    assert (found["emergency visits before"], found["emergency visits inside"]) == (1, 1)
    assert (found["CAR visits before"], found["CAR visits inside"], found["IP visits inside"]) == (2, 1, 0)
    assert (found["paid before"], found["codes of the stay"]) == (15.0, 2.0)
    assert np.isnan([found["days since IP"], found["age years"]]).all()


def test_an_example_that_does_not_end_with_its_stay_is_refused(train):
    wrong = train.set_column(train.column_names.index("visit_type"), "visit_type", pa.array([["IP", "CAR"]] * 500))
    with pytest.raises(ValueError, match="missing in 500 of 500 examples"):
        split_index_stay(wrong)


@pytest.mark.parametrize(("change", "found"), [({"kind": "svm"}, "'svm'"), ({"drop": {"age"}}, "found age")])
def test_an_unknown_kind_or_input_to_drop_is_refused(change, found, train, validation):
    with pytest.raises(ValueError, match=found):
        fit_count_model(**{"kind": "lr", "train": train, "validation": validation} | change)


def test_a_split_of_one_label_is_refused(train, validation):
    one = validation.filter(pa.array(validation["label"].to_numpy() == 0))
    with pytest.raises(ValueError, match="both labels in the validation split, found 1"):
        fit_count_model("lr", train, one)
