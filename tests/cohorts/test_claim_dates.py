"""The leak check asks the dates of the claims: what no claim known by then has is found, and only that."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from cohorts.stays_by_hand import date, day, inpatient, outpatient, write_stays
from task_runs import TasksHere

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import EventDefinition, ReadmissionDefinition, build_cohort, check_leaks, claim_dates
from claim_transformers.cohorts.event.definition import IndexRule, LabelRule

INDEX = "2009-06-10"
ADMISSION = EventDefinition(
    name="admission", title="Any admission", source="this test", codes={}, criteria=(),
    index=IndexRule("fixed_date", (INDEX,)), label=LabelRule(100, visit_types=("IP",)),
)  # fmt: skip


def claims_of(patient_id, number):
    """A bill that is over, a stay that is open on the index date, a monthly bill that is not over."""
    stay = inpatient(patient_id, "open", "2009-06-05", f"2009-06-{10 + number % 3}", codes="ICD9CM/4280 ICD9CM/25000")
    later = [inpatient(patient_id, "next", "2009-07-01", "2009-07-03")] if number % 2 else []
    return [
        outpatient(patient_id, "over", "2009-05-01", codes="ICD9CM/4019"),
        stay | {"drg_code": "291", "drg_code_type": "ms-drg"},
        outpatient(patient_id, "monthly", "2009-06-01", "2009-06-30", codes="ICD9CM/7295"),
        *later,
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    claims = [claim for number in range(40) for claim in claims_of(f"P{number:02d}", number)]
    return write_stays(tmp_path_factory.mktemp("open") / "claims", claims, last_day="2009-12-31")


def replaced(cohort, name, column):
    splits = cohort.splits()
    train = splits["train"]
    return splits | {"train": train.set_column(train.column_names.index(name), name, column(train))}


def test_an_open_stay_shows_its_admission_in_the_cohort_of_a_fixed_date(folder):
    cohort = build_cohort(ADMISSION, folder)
    assert cohort.examples.num_rows == 40
    for row in cohort.examples.to_pylist():
        assert row["visit_day"] == [day("2009-05-01"), day("2009-06-05")]
        assert row["visit_type"] == ["OP", "IP"]
        assert row["codes"] == [["ICD9CM/4019"], []]
        assert row["visit_end_day"] == [day("2009-05-01"), None]
    assert (cohort.visits_hidden, cohort.visits_open) == (None, 80)
    check_leaks(cohort.splits(), folder)


def test_codes_are_counted_in_parts_as_in_the_whole(folder, monkeypatch):
    planted = replaced(
        build_cohort(ADMISSION, folder),
        "codes",
        lambda train: pa.array([[["ICD9CM/4019"], ["ICD9CM/4280"]]] * train.num_rows),
    )
    one = claim_dates.count_unknown_codes([*planted.values()], folder, hides_unpaid=True)
    monkeypatch.setattr(claim_dates, "count_parts", lambda *_: 2)
    many = claim_dates.count_unknown_codes([*planted.values()], folder, hides_unpaid=True, tasks=TasksHere())
    assert one == many == planted["train"].num_rows


@pytest.mark.parametrize("code", ["ICD9CM/4280", "DRG/291", "ICD9CM/9999"])
def test_a_code_of_a_stay_that_is_open_is_found_and_so_is_one_that_no_claim_has(folder, code):
    cohort = build_cohort(ADMISSION, folder)
    planted = replaced(cohort, "codes", lambda train: pa.array([[["ICD9CM/4019"], [code]]] * train.num_rows))
    check_leaks(planted)
    rows = planted["train"].num_rows
    with pytest.raises(ClaimDataError, match=f"E_LEAK.* found {rows} codes that no claim known by then has"):
        check_leaks(planted, folder)


def test_a_monthly_bill_that_is_not_over_is_found(folder):
    cohort = build_cohort(ADMISSION, folder)
    planted = replaced(cohort, "codes", lambda train: pa.array([[["ICD9CM/4019"], ["ICD9CM/7295"]]] * train.num_rows))
    planted["train"] = planted["train"].set_column(
        planted["train"].column_names.index("visit_day"),
        "visit_day",
        pa.array([[day("2009-05-01"), day("2009-06-01")]] * planted["train"].num_rows, pa.list_(pa.int32())),
    )
    with pytest.raises(ClaimDataError, match="codes that no claim known by then has"):
        check_leaks(planted, folder)


@pytest.mark.parametrize(("paid", "leaks"), [("2009-06-10", False), ("2009-06-11", True), (None, False)])
def test_a_code_is_known_on_the_day_of_its_payment_and_not_before(tmp_path, paid, leaks):
    claims = []
    for number in range(40):
        over, *others = claims_of(f"P{number:02d}", number)
        paid_date = None if paid is None else date(paid)
        claims += [outpatient(f"P{number:02d}", "older", "2009-04-01"), over | {"paid_date": paid_date}, *others]
    folder = write_stays(tmp_path / "claims", claims, last_day="2009-12-31")
    seen = build_cohort(replace(ADMISSION, hide_unpaid=False), folder)
    check_leaks(seen, folder)
    check_leaks(seen.splits(), folder, hide_unpaid=False)
    # Without its days of payment nothing but the claims tells that a visit was not paid.
    blind = {
        name: split.drop_columns([name for name in ("visit_paid_day",) if name in split.column_names])
        for name, split in seen.splits().items()
    }
    if leaks:
        with pytest.raises(ClaimDataError, match="found 40 codes that no claim known by then has"):
            check_leaks(blind, folder)
    else:
        check_leaks(blind, folder)


def test_a_stay_without_an_end_is_found_until_it_is_paid(tmp_path):
    facts = {"claim_end_date": None, "paid_date": date("2009-06-10")}
    stays = [inpatient(f"P{number:02d}", "endless", "2009-06-01", None, **facts) for number in range(40)]
    nexts = [inpatient(f"P{number:02d}", "next", "2009-07-01", "2009-07-03") for number in range(0, 40, 2)]
    folder = write_stays(tmp_path / "claims", stays + nexts, last_day="2009-12-31")
    cohort = build_cohort(ADMISSION, folder)
    assert cohort.examples["codes"].to_pylist() == [[["ICD9CM/4280"]]] * 40
    moved = {
        name: split.set_column(
            split.column_names.index("index_day"),
            "index_day",
            pa.array([day("2009-06-09")] * split.num_rows, pa.int32()),
        ).drop_columns(["visit_paid_day", "enrollment_start_day", "enrollment_end_day"])
        for name, split in cohort.splits().items()
    }
    empty = pa.array([[]], pa.list_(pa.int32()))
    for name, split in moved.items():
        for column in ("enrollment_start_day", "enrollment_end_day"):
            split = split.append_column(column, empty.take(pa.array([0] * split.num_rows)))
        moved[name] = split
    with pytest.raises(ClaimDataError, match="found 40 codes that no claim known by then has"):
        check_leaks(moved, folder, hide_unpaid=False)


# ---- Readmissions ----


@pytest.fixture(scope="module")
def stays(tmp_path_factory):
    claims = []
    for number in range(60):
        patient_id = f"P{number:02d}"
        claims += [
            inpatient(patient_id, "stay", "2009-05-10", "2009-05-20", codes="ICD9CM/4280"),
            outpatient(patient_id, "care", "2009-05-12", "2009-05-25", claim_type="HHA", codes="ICD9CM/V571"),
            outpatient(patient_id, "over", "2009-04-01", claim_type="HHA", codes="ICD9CM/4019"),
            outpatient(patient_id, "later", "2009-10-01"),
        ]
        if number % 2:
            claims.append(inpatient(patient_id, "next", "2009-06-01", "2009-06-04", codes="ICD9CM/486"))
    return write_stays(tmp_path_factory.mktemp("stays") / "claims", claims, last_day="2009-12-31")


@pytest.mark.parametrize("rule", ["plain", "stays"])
def test_the_index_stay_is_seen_whole_and_another_open_stay_shows_its_admission(stays, rule):
    cohort = build_cohort(ReadmissionDefinition(rule=rule, disposition=False), stays)
    first = [row for row in cohort.examples.to_pylist() if row["discharge_day"] == day("2009-05-20")]
    assert len(first) == 60
    for row in first:
        assert row["visit_day"] == [day("2009-04-01"), day("2009-05-12"), day("2009-05-20")]
        assert row["visit_type"] == ["HHA", "HHA", "IP"]
        assert row["codes"] == [["ICD9CM/4019"], [], ["ICD9CM/4280"]]
        assert row["visit_end_day"] == [day("2009-04-01"), None, day("2009-05-20")]
        assert row["visit_amount"][1] is None
    assert cohort.facts["claims_open"] == cohort.visits_open == 60
    check_leaks(cohort.splits(), stays)


def test_a_code_of_the_next_stay_is_found_in_the_index_visit(stays):
    cohort = build_cohort(ReadmissionDefinition(rule="plain", disposition=False), stays)
    planted = replaced(
        cohort,
        "codes",
        lambda train: pa.array([[*codes[:-1], ["ICD9CM/486"]] for codes in train["codes"].to_pylist()]),
    )
    first = int(np.sum(planted["train"]["discharge_day"].to_numpy() == day("2009-05-20")))
    check_leaks(planted)
    with pytest.raises(ClaimDataError, match=f"found {first} codes that no claim known by then has"):
        check_leaks(planted, stays)


def test_a_code_of_care_that_is_not_over_is_found_in_the_history(stays):
    cohort = build_cohort(ReadmissionDefinition(rule="plain", disposition=False), stays)

    def with_care(train):
        return pa.array([[codes or ["ICD9CM/V571"] for codes in row] for row in train["codes"].to_pylist()])

    with pytest.raises(ClaimDataError, match="codes that no claim known by then has"):
        check_leaks(replaced(cohort, "codes", with_care), stays)


# ---- The relation that finds any such leak ----


def rewritten(claim, index):
    """The same claim, with everything that only its end tells replaced where it had not ended by the index date."""
    if claim["claim_end_date"] < index:
        return claim
    later = claim["claim_end_date"] + dt.timedelta(7)
    stay = {"discharge_date": later} if claim["discharge_date"] else {}
    diagnoses = [{"system": "ICD9CM", "code": "V667", "poa": None, "rank": 1}]
    return claim | stay | {"claim_end_date": later, "diagnoses": diagnoses, "drg_code": "999"}


@pytest.mark.parametrize("seed", range(4))
def test_what_the_end_of_an_open_claim_tells_changes_no_example(tmp_path, seed):
    generator, index = np.random.default_rng(seed), date(INDEX)
    claims = []
    for number in range(300):
        begin = index - dt.timedelta(int(generator.integers(1, 40)))
        end = begin + dt.timedelta(int(generator.integers(0, 25)))
        make, kind = [(inpatient, {}), (outpatient, {}), (outpatient, {"claim_type": "SNF"})][number % 3]
        codes = f"ICD9CM/{generator.choice(['4280', '25000', '4019'])}"
        claim = make(f"P{generator.integers(60):02d}", f"C{number}", str(begin), str(end), codes=codes, **kind)
        claims.append(claim | {"paid_date": generator.choice([None, end, end + dt.timedelta(9)])})
    nexts = [inpatient(f"P{number:02d}", f"N{number}", "2009-08-01", "2009-08-03") for number in range(0, 60, 2)]
    examples = [
        build_cohort(ADMISSION, write_stays(tmp_path / name, [*written, *nexts], last_day="2009-12-31")).examples
        for name, written in (("now", claims), ("then", [rewritten(claim, index) for claim in claims]))
    ]
    # What is paid by then is the same, because nothing is paid before it ends.
    assert examples[0].equals(examples[1])
    assert any(not codes for row in examples[0]["codes"].to_pylist() for codes in row)


# ---- Principal and admitting diagnoses ----


def suspected(code):
    return {"admitting_diagnosis": {"system": "ICD9CM", "code": code}}


@pytest.fixture(scope="module")
def suspicions(tmp_path_factory):
    claims = []
    for number in range(60):
        patient_id = f"P{number:02d}"
        claims += [
            inpatient(patient_id, "stay", "2009-05-10", "2009-05-20", codes="ICD9CM/4280 ICD9CM/25000")
            | suspected("78605"),
            outpatient(patient_id, "care", "2009-05-12", "2009-06-25", claim_type="HHA", codes="ICD9CM/V571")
            | suspected("7197"),
            outpatient(patient_id, "over", "2009-04-01", codes="ICD9CM/4019"),
            outpatient(patient_id, "later", "2009-10-01"),
        ]  # fmt: skip
        if number % 2:
            claims.append(inpatient(patient_id, "next", "2009-06-15", "2009-06-18", codes="ICD9CM/486"))
    return write_stays(tmp_path_factory.mktemp("suspicions") / "claims", claims, last_day="2009-12-31")


def test_an_open_stay_shows_what_it_was_for_and_nothing_else(suspicions):
    cohort = build_cohort(replace(ADMISSION, index=IndexRule("fixed_date", ("2009-05-16",))), suspicions)
    for row in cohort.examples.to_pylist():
        assert row["visit_type"] == ["OP", "IP", "HHA"]
        assert row["codes"] == [["ICD9CM/4019"], ["ICD9CM/78605"], ["ICD9CM/7197"]]
        assert row["admitting_codes"] == [[], ["ICD9CM/78605"], ["ICD9CM/7197"]]
        assert row["principal_codes"] == [["ICD9CM/4019"], [], []]
    whole = build_cohort(ADMISSION, suspicions).examples.to_pylist()[0]
    assert whole["codes"][1] == ["ICD9CM/25000", "ICD9CM/4280"]
    assert whole["principal_codes"][1] == ["ICD9CM/4280"]


@pytest.mark.parametrize("rule", ["plain", "stays"])
def test_examples_of_stays_carry_their_principal_and_admitting_diagnoses(suspicions, rule):
    cohort = build_cohort(ReadmissionDefinition(rule=rule, disposition=False), suspicions)
    first = [row for row in cohort.examples.to_pylist() if row["discharge_day"] == day("2009-05-20")]
    assert len(first) == 60
    for row in first:
        assert row["codes"] == [["ICD9CM/4019"], ["ICD9CM/7197"], ["ICD9CM/25000", "ICD9CM/4280"]]
        assert row["principal_codes"] == [["ICD9CM/4019"], [], ["ICD9CM/4280"]]
        assert row["admitting_codes"] == [[], ["ICD9CM/7197"], ["ICD9CM/78605"]]


@pytest.mark.parametrize(
    ("first_end", "second_start", "principal"),
    [
        ("2009-05-12", "2009-05-12", "ICD9CM/4280"),
        # Both begin on one day: the one that ends first came first.
        ("2009-05-12", "2009-05-10", "ICD9CM/4280"),
        # Both are the same days: the number of the claim decides.
        ("2009-05-20", "2009-05-10", "ICD9CM/4280"),
        ("2009-05-21", "2009-05-10", "ICD9CM/486"),
    ],
)
def test_the_principal_diagnosis_of_a_joined_stay_is_that_of_its_first_claim(
    tmp_path, first_end, second_start, principal
):
    claims = []
    for number in range(40):
        patient_id = f"P{number:02d}"
        claims += [
            inpatient(patient_id, "1", "2009-05-10", first_end, codes="ICD9CM/4280 ICD9CM/25000"),
            inpatient(patient_id, "2", second_start, "2009-05-20", codes="ICD9CM/486 ICD9CM/25000"),
            outpatient(patient_id, "3", "2009-10-01"),
        ]
        if number % 2:
            claims.append(inpatient(patient_id, "4", "2009-06-10", "2009-06-11"))
    cohort = build_cohort(
        ReadmissionDefinition(rule="stays", disposition=False),
        write_stays(tmp_path / "c", claims, last_day="2009-12-31"),
    )
    rows = [row for row in cohort.examples.to_pylist() if row["admission_day"] == day("2009-05-10")]
    assert [row["principal_codes"][-1] for row in rows] == [[principal]] * 40
    assert rows[0]["codes"][-1] == ["ICD9CM/25000", "ICD9CM/4280", "ICD9CM/486"]
