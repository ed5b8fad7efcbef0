"""Readmission cohorts: labels by each rule, what an example sees, and how examples are split.

All patients live in one ingested folder, and each kind of cohort is built from it once, because a build compiles
queries, which takes longer than running them.
"""

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from claims.folding import write_patients
from cohorts.stays_by_hand import day, enrolled, inpatient, outpatient, write_stays
from task_runs import TasksHere

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.claims.small_cells import FEW
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import ReadmissionDefinition, attrition_table, build_cohort, check_leaks
from claim_transformers.cohorts.definition import Enrolment
from claim_transformers.cohorts.readmission import building
from claim_transformers.cohorts.readmission.building import _FACTS_FILE, ReadmissionCohort
from claim_transformers.cohorts.readmission.patient_codes import COUNTY_BINS_FILE, CountyBins

DATA = os.environ.get("CLAIMS_DATA_DIR")
TEST_FROM = dt.date(2010, 1, 1)
NUM_CROWD = 120
COUNTIES = CountyFeatures(pa.array(["01001"]), {"SVI": np.array([0.3])})
Build = Callable[..., ReadmissionCohort]


def two_stays(patient_id: str, first: tuple[str, str], second: tuple[str, str | None], **facts: Any) -> list[Any]:
    claims = [inpatient(patient_id, f"{patient_id}-{place}", *stay) for place, stay in enumerate((first, second))]
    claims[0] |= facts
    return claims


def crowd() -> Iterator[dict[str, Any]]:
    """Patients with a stay in 2009 and two in 2010, two thirds of them readmitted."""
    for number in range(NUM_CROWD):
        name, again = f"crowd{number:03d}", "2010-02-15" if number % 3 else "2010-05-15"
        yield inpatient(name, f"{name}-1", "2009-02-01", "2009-02-04")
        yield inpatient(name, f"{name}-2", "2010-02-01", "2010-02-04")
        yield inpatient(name, f"{name}-3", again, "2010-05-18" if number % 3 == 0 else "2010-02-17")


MAY = ("2009-05-01", "2009-05-05")
CLAIMS = [
    *crowd(),
    outpatient("end of data", "end", "2010-12-31"),
    *two_stays("day 30", MAY, ("2009-06-04", "2009-06-06")),
    *two_stays("day 31", MAY, ("2009-06-05", "2009-06-06")),
    *two_stays("transfer", MAY, ("2009-05-05", "2009-05-12")),
    *two_stays("next day", MAY, ("2009-05-06", "2009-05-12"), discharge_disposition_code="02"),
    *two_stays("nested", ("2009-05-01", "2009-05-20"), ("2009-05-05", "2009-05-08")),
    *two_stays("interim", ("2009-05-01", "2009-05-20"), ("2009-05-21", "2009-06-03"), discharge_disposition_code="30"),
    *two_stays("open", MAY, ("2009-05-20", None)),
    *two_stays("year's end", ("2010-12-01", "2010-12-20"), ("2010-12-24", "2010-12-31")),
    inpatient("planned", "pl1", *MAY),
    inpatient("planned", "pl2", "2009-05-10", "2009-05-12", codes="ICD9CM/71596 ICD9PCS/8154"),
    inpatient("planned", "pl3", "2009-05-20", "2009-05-21"),
    inpatient("acute", "ac1", *MAY),
    inpatient("acute", "ac2", "2009-05-10", "2009-05-12", codes="ICD9CM/486 ICD9PCS/8154"),
    inpatient("psychiatric", "psy", *MAY, codes="ICD9CM/29570"),
    inpatient("cancer", "can", *MAY, codes="ICD9CM/1749"),
    inpatient("mastectomy", "mas", *MAY, codes="ICD9CM/1749 ICD9PCS/8543"),
    inpatient("died", "di1", *MAY),
    inpatient("left", "le1", *MAY),
    inpatient("late", "la1", "2010-12-20", "2010-12-22"),
    *two_stays("back", MAY, ("2009-05-25", "2009-05-26")),
    *(inpatient(f"status {code}", code, *MAY, discharge_disposition_code=code) for code in ("01", "05", "07", "20")),
    outpatient("seen", "old", "2009-01-31", codes="ICD9CM/00001"),
    outpatient("seen", "first", "2009-02-01", codes="ICD9CM/00002"),
    outpatient("seen", "inside", "2009-05-04", codes="ICD9CM/00003"),
    outpatient("seen", "over", "2009-05-04", "2009-05-20", codes="ICD9CM/00004"),
    outpatient("seen", "same", "2009-05-09", codes="ICD9CM/00005", claim_type="SNF"),
    inpatient("seen", "se1", "2009-05-02", "2009-05-09", codes="ICD9CM/4280 ICD9CM/25000"),
    inpatient("seen", "se2", "2009-05-09", "2009-05-12", codes="ICD9CM/00006"),
    inpatient("sent home", "sh1", "2009-04-02", "2009-04-09", discharge_disposition_code="06"),
    inpatient("sent home", "sh2", "2009-05-12", "2009-05-19", discharge_disposition_code="03"),
    outpatient("paid", "pa1", "2009-04-02", paid_date=dt.date(2009, 5, 11), paid_amount=10),
    outpatient("paid", "pa2", "2009-04-03", paid_date=dt.date(2009, 5, 10), paid_amount=20),
    inpatient("paid", "pa3", "2009-05-02", "2009-05-09", paid_date=dt.date(2009, 6, 1), paid_amount=9000),
    inpatient("known", "kn1", "2009-05-02", "2009-05-09"),
    *(inpatient(name, name, *MAY) for name in ("to day 29", "to day 30", "never enrolled")),
]
ELIGIBILITY = [
    enrolled("died", end="2009-05-31", death_date=dt.date(2009, 5, 20)),
    enrolled("left", end="2009-05-31"),
    enrolled("back", end="2009-05-15"),
    enrolled("back", start="2009-05-24"),
    enrolled("to day 29", end="2009-06-03"),
    enrolled("to day 30", end="2009-06-04"),
    enrolled("never enrolled", enrollment_start_date=None, enrollment_end_date=None),
    enrolled("known", end="2009-12-31", race="black or african american", county_fips="01001", dual_status_code="02",
             original_reason_entitlement_code="1"),
    enrolled("known", start="2010-01-01", race="white", county_fips="01003"),
]  # fmt: skip


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stays(tmp_path_factory.mktemp("stays") / "claims", CLAIMS, ELIGIBILITY)


@pytest.fixture(scope="module")
def build(claims: Path) -> Build:
    """Builds each cohort once."""
    built: dict[ReadmissionDefinition, ReadmissionCohort] = {}

    def build_once(rule: str = "plain", **options: Any) -> ReadmissionCohort:
        definition = ReadmissionDefinition(rule, **options)
        if definition not in built:
            built[definition] = build_cohort(definition, claims, counties=COUNTIES)
        return built[definition]

    return build_once


def rows_of(cohort: ReadmissionCohort, patient_id: str) -> list[dict[str, Any]]:
    return cohort.examples.filter(pc.equal(cohort.examples["patient_id"], patient_id)).to_pylist()


def labels_of(cohort: ReadmissionCohort, patient_id: str) -> list[int]:
    return [row["label"] for row in rows_of(cohort, patient_id)]


@pytest.mark.parametrize("tasks", [None, TasksHere()], ids=["in turn", "in tasks"])
def test_stays_of_patients_in_parts_are_those_of_all(build, claims, monkeypatch, tasks):
    one = build("unplanned")
    monkeypatch.setattr(building, "count_parts", lambda *_: 2)
    monkeypatch.setattr(building, "_STAYS_PER_PART", 150)
    many = build_cohort(one.definition, claims, counties=COUNTIES, tasks=tasks)
    assert many.examples.equals(one.examples)
    assert (many.attrition, many.facts, many.county_bins.bins) == (one.attrition, one.facts, one.county_bins.bins)


# ---- Labels ----


@pytest.mark.parametrize("rule", ["plain", "stays", "unplanned"])
def test_a_readmission_counts_up_to_the_thirtieth_day(build, rule):
    assert labels_of(build(rule), "day 30") == [1, 0]
    assert labels_of(build(rule), "day 31") == [0, 0]


def test_a_transfer_on_the_same_day_is_one_under_the_plain_rule_and_joined_under_the_others(build):
    assert labels_of(build(), "transfer") == [1, 0]
    assert [row["is_transfer_label"] for row in rows_of(build(), "transfer")] == [True, False]
    joined = rows_of(build("stays"), "transfer")
    assert [(row["label"], row["length_of_stay_days"]) for row in joined] == [(0, 11)]


def test_a_transfer_by_disposition_to_the_next_day_is_marked_and_can_be_joined(build):
    assert [row["is_transfer_label"] for row in rows_of(build(), "next day")] == [True, False]
    assert labels_of(build("stays", max_gap_days=1), "next day") == [0]


def test_only_a_readmission_is_a_transfer_label(build):
    examples = build().examples
    assert pc.sum(pc.and_(examples["is_transfer_label"], pc.equal(examples["label"], 0))).as_py() == 0
    assert build().facts["transfer_labels"] == 3
    assert build("stays").facts["transfer_labels"] == 0


def test_an_overlapping_next_claim_is_no_readmission_under_the_plain_rule(build):
    assert labels_of(build(), "nested") == [0, 0]
    assert build().facts["overlapping_next_stays"] == 1


def test_interim_bills_are_one_stay(build):
    assert labels_of(build(), "interim") == [1, 0]
    assert labels_of(build("stays"), "interim") == [0]


def test_a_planned_readmission_does_not_count_and_neither_does_what_follows_it(build):
    assert labels_of(build("stays"), "planned") == [1, 1, 0]
    assert labels_of(build("unplanned"), "planned") == [0, 1, 0]
    assert build("unplanned").facts["planned_next_stays"] == 1


def test_a_potentially_planned_procedure_with_an_acute_diagnosis_counts(build):
    assert labels_of(build("unplanned"), "acute") == [1, 0]


def test_psychiatric_stays_and_medical_treatment_of_cancer_are_no_index_stays_of_the_unplanned_rule(build):
    names = ("psychiatric", "cancer", "mastectomy")
    assert [len(rows_of(build("unplanned"), name)) for name in names] == [0, 0, 1]
    assert [len(rows_of(build("stays"), name)) for name in names] == [1, 1, 1]


# ---- Censoring and index stays ----


def test_windows_that_were_not_observed_are_censored_and_never_zero(build):
    cohort = build("stays")
    assert [len(rows_of(cohort, name)) for name in ("died", "left", "late")] == [0, 0, 0]
    assert cohort.attrition[-1].reasons == {
        "censored: died within the window": 1,
        "censored: the data end within the window": 3,
        "censored: coverage ends within the window": 3,
    }
    assert [len(rows_of(cohort, name)) for name in ("to day 29", "to day 30")] == [0, 1]


def test_a_patient_without_any_enrolment_leaves_by_name_unless_the_definition_says_insured(build):
    step = build("stays").attrition[-2]
    assert (step.step, step.removed, step.reasons) == ("with enrolment", 1, {"without any enrolment": 1})
    assert labels_of(build("stays"), "never enrolled") == []
    kept = build("stays", enrolment=Enrolment(none="insured"))
    assert labels_of(kept, "never enrolled") == [0]
    assert kept.attrition[-2].step == "with enrolment (<11 without any enrolment count as insured)"


def test_a_readmission_after_a_break_in_coverage_is_censored(build):
    assert labels_of(build("stays"), "back") == [0]


def test_the_plain_rule_keeps_what_was_not_observed_and_marks_it(build):
    assert labels_of(build(), "back") == [1, 0]
    marks = {
        name: [row["is_observed"] for row in rows_of(build(), name)] for name in ("died", "left", "late", "acute")
    }
    assert marks == {"died": [False], "left": [False], "late": [False], "acute": [True, True]}
    assert build().facts["windows_not_observed"] == 8


def test_a_readmission_counts_no_more_than_its_absence_where_the_data_end_before_the_window(build):
    assert labels_of(build("stays"), "year's end") == []
    assert [row["is_observed"] for row in rows_of(build(), "year's end")] == [False, False]


def test_stays_after_which_nobody_can_be_readmitted_are_removed_by_reason(build):
    steps = {step.step: step for step in build("stays").attrition}
    assert steps["left the hospital"].removed == 1
    assert steps["can be readmitted"].reasons == {"died": 1, "left against advice": 1, "to another hospital": 2}
    assert labels_of(build("stays"), "status 01") == [0]
    assert labels_of(build(), "status 20") == [0]


def test_an_open_stay_is_no_index_stay_but_still_a_readmission(build):
    for rule in ("plain", "stays"):
        assert labels_of(build(rule), "open") == [1]


# ---- What an example sees ----


def test_an_example_sees_claims_that_ended_by_the_discharge_and_the_stay_itself_last(build):
    row = rows_of(build(), "seen")[0]
    assert row["visit_day"] == [day("2009-02-01"), day("2009-05-04"), day("2009-05-09")]
    assert row["codes"] == [["ICD9CM/00002"], ["ICD9CM/00003"], ["ICD9CM/25000", "ICD9CM/4280"]]
    assert (row["index_day"], row["label"]) == (day("2009-05-10"), 1)


def test_a_nested_readmission_never_stands_in_the_example_of_the_stay_around_it(build):
    outer = next(row for row in rows_of(build(), "nested") if row["length_of_stay_days"] == 19)
    assert outer["visit_day"] == [day("2009-05-20")]


def test_the_look_back_is_configurable(build):
    assert len(rows_of(build(look_back_days=89, disposition=False), "seen")[0]["visit_day"]) == 2


def test_the_disposition_of_the_index_stay_can_be_left_out(build):
    assert rows_of(build(), "sent home")[1]["codes"] == [["ICD9CM/4280"], ["DISP/03", "ICD9CM/4280"]]
    without = build(look_back_days=89, disposition=False)
    assert rows_of(without, "sent home")[1]["codes"] == [["ICD9CM/4280"], ["ICD9CM/4280"]]


def test_claims_not_paid_and_the_amount_of_the_index_stay_are_hidden_unless_asked_for(build):
    (row,) = rows_of(build(), "paid")
    assert (row["visit_day"], row["visit_amount"]) == ([day("2009-04-03"), day("2009-05-09")], [20, None])
    assert row["visit_paid_day"] == [day("2009-05-10"), None]
    assert build().facts["claims_hidden"] == 1
    seen = build(hide_unpaid=False)
    assert rows_of(seen, "paid")[0]["visit_amount"] == [10, 20, 9000]
    # What was paid after the index date is seen, but not when.
    assert rows_of(seen, "paid")[0]["visit_paid_day"] == [None, day("2009-05-10"), None]
    assert seen.facts["claims_hidden"] is None


def test_what_was_on_file_at_discharge_becomes_patient_codes(build):
    (row,) = rows_of(build(), "known")
    assert row["patient_codes"] == ["RACE/BLACK_OR_AFRICAN_AMERICAN", "ENTITLEMENT/1", "DUAL/02", "COUNTY/SVI-0"]
    assert row["county_fips"] == "01001"
    counties = build().facts["counties"]
    assert counties == {"county unknown": build().examples.num_rows - 1, "county without measures": 0}


# ---- Splits, leaks, folder ----


def test_all_stays_of_a_patient_are_in_one_split(build):
    splits = build().splits()
    patients = {name: set(table["patient_id"].to_pylist()) for name, table in splits.items()}
    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["validation"]
    assert sum(table.num_rows for table in splits.values()) == build().examples.num_rows


def test_a_split_by_time_tests_later_stays_of_the_same_test_patients(build):
    splits = build(split="time", test_from=TEST_FROM).splits()
    assert max(splits["train"]["discharge_day"].to_pylist()) + 30 < day("2010-01-01")
    assert min(splits["test"]["discharge_day"].to_pylist()) >= day("2010-01-01")
    in_time = build().splits()["test"]
    assert set(splits["test"]["patient_id"].to_pylist()) <= set(in_time["patient_id"].to_pylist())


def test_a_visit_on_the_index_date_is_a_leak_and_so_is_a_patient_in_two_splits(build):
    train = build().splits()["train"]
    check_leaks({"train": train})
    moved = train.set_column(train.column_names.index("index_day"), "index_day", train["discharge_day"])
    with pytest.raises(ClaimDataError, match="E_LEAK"):
        check_leaks({"train": moved})
    with pytest.raises(ClaimDataError, match=r"E_LEAK.*patients in two splits"):
        check_leaks({"train": train, "test": train})


def test_the_folder_holds_examples_attrition_chart_facts_and_bins(build, tmp_path):
    from datasets import load_from_disk

    cohort = build()
    cohort.save(tmp_path / "out", raw_counts=True)
    loaded = load_from_disk(str(tmp_path / "out"))
    assert sum(split.num_rows for split in loaded.values()) == cohort.examples.num_rows
    check_leaks(loaded)
    assert json.loads((tmp_path / "out" / _FACTS_FILE).read_text())["index_stays"] == cohort.examples.num_rows
    assert json.loads((tmp_path / "out" / "cohort.json").read_text())["rule"] == "plain"
    assert NumberBins.load(tmp_path / "out" / COUNTY_BINS_FILE) == cohort.county_bins.bins
    assert (tmp_path / "out" / "flow_chart.svg").read_text().startswith("<svg")
    assert attrition_table(cohort, raw_counts=True)[0] == (
        "inpatient claims",
        f"{cohort.examples.num_rows + 1:,}",
        "0",
    )


def test_claims_that_were_hidden_are_counted_in_the_papers_too(build, tmp_path):
    build().save(tmp_path / "out")
    content = json.loads((tmp_path / "out" / "cohort.json").read_text())
    facts = json.loads((tmp_path / "out" / _FACTS_FILE).read_text())
    assert content["visits_hidden"] == facts["claims_hidden"] == FEW
    build().save(tmp_path / "raw", raw_counts=True)
    assert 0 < json.loads((tmp_path / "raw" / _FACTS_FILE).read_text())["claims_hidden"] < 11


def test_bins_of_counties_can_come_from_elsewhere(build, claims, tmp_path):
    features = CountyFeatures(pa.array(["01001"]), {"SVI": np.array([0.3]), "OTHER": np.array([1.0])})
    given = CountyBins.reuse(features, NumberBins({"SVI": (0.1, 0.2, 0.9)}))
    cohort = build_cohort(ReadmissionDefinition(), claims, counties=given)
    (row,) = rows_of(cohort, "known")[:1]
    assert "COUNTY/SVI-2" in row["patient_codes"]
    assert not any("OTHER" in code for code in row["patient_codes"])
    cohort.save(tmp_path / "out")
    assert NumberBins.load(tmp_path / "out" / COUNTY_BINS_FILE) == given.bins
    assert row["county_measures"] == {"SVI": 0.3}
    theirs = ["patient_codes", "county_measures"]
    assert cohort.examples.drop_columns(theirs).equals(build().examples.drop_columns(theirs))


@pytest.mark.parametrize(
    ("test_from", "message"),
    [
        (dt.date(1990, 1, 1), r"E_EMPTY_SPLIT: expected .*found none in train and validation .*test_from cuts"),
        (dt.date(2050, 1, 1), r"E_EMPTY_SPLIT: expected .*found none in test \(.*choose a day in their midst"),
    ],
)
def test_a_cohort_with_an_empty_split_is_not_saved(build, tmp_path, test_from, message):
    cohort = build(split="time", test_from=test_from)
    with pytest.raises(ClaimDataError, match=message) as error:
        cohort.save(tmp_path / "out")
    assert str(test_from) not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_few_patients_leave_a_split_empty(tmp_path):
    stays = two_stays("a", MAY, ("2009-05-20", "2009-05-22"))
    cohort = build_cohort(ReadmissionDefinition(), write_stays(tmp_path / "claims", stays))
    with pytest.raises(ClaimDataError, match=r"E_EMPTY_SPLIT.*found none in .* take more patients or another seed"):
        cohort.save(tmp_path / "out")


def test_a_folder_in_which_nobody_has_a_visit_is_refused(tmp_path):
    claims = write_stays(tmp_path / "claims", [inpatient("a", "1", *MAY)])
    for path in (claims / "patients").iterdir():
        path.unlink()
    with pytest.raises(ClaimDataError, match=r"E_NO_PATIENTS.*nobody has a visit.*see quality_report.json"):
        build_cohort(ReadmissionDefinition(), claims)


def test_the_order_of_the_claims_changes_nothing(build, tmp_path):
    turned = write_stays(tmp_path / "claims", CLAIMS[::-1], ELIGIBILITY[::-1])
    again = build_cohort(ReadmissionDefinition("stays"), turned).examples
    given = build("stays").examples.drop_columns(["patient_codes", "county_measures"])
    assert again.drop_columns("patient_codes").equals(given)


@pytest.mark.parametrize("rule", ["plain", "stays", "unplanned"])
def test_one_claim_number_of_two_payers_or_two_types_is_two_claims(tmp_path, rule):
    visit_code, stay_code = "ICD9CM/4019", "ICD9CM/4280"
    stays = [inpatient("P", "77", "2009-05-01", "2009-05-05", data_source="x", codes=stay_code)]
    stays += [inpatient("P", "77", "2009-05-20", "2009-05-24", data_source="y", codes="ICD9CM/486")]
    visit = outpatient("P", "77", "2009-04-10", data_source="x", codes=visit_code)
    stays += [visit, inpatient("late", "late", "2010-12-01", "2010-12-02")]
    cohort = build_cohort(ReadmissionDefinition(rule), write_stays(tmp_path / "claims", stays))
    assert labels_of(cohort, "P") == [1, 0]
    first, second = (row["codes"] for row in rows_of(cohort, "P"))
    assert [[code for code in codes if code.startswith("ICD")] for codes in first] == [
        ["ICD9CM/4019"],
        ["ICD9CM/4280"],
    ]
    assert [codes[0] for codes in second[:2]] == [visit_code, stay_code]


def test_a_folder_without_readmissions_is_refused(tmp_path):
    claims = write_stays(tmp_path / "claims", [inpatient("a", "1", *MAY)])
    with pytest.raises(
        ClaimDataError, match=r"E_ONE_CLASS.*found 0 readmissions after <11 index stays; take more patients"
    ):
        build_cohort(ReadmissionDefinition(), claims)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "any"}, "expected rule out of plain, stays, unplanned"),
        ({"horizon_days": 0}, "expected horizon_days >= 1"),
        ({"max_gap_days": 30}, "expected max_gap_days below horizon_days"),
        ({"test_from": TEST_FROM}, "expected test_from with split 'time'"),
    ],
)
def test_a_definition_that_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ReadmissionDefinition(**options)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_the_plain_rule_gives_the_known_rate_on_sample_1(tmp_path):
    from claim_transformers.sources.pipeline.ingest import ingest

    (tmp_path / "raw").mkdir()
    for name in ("inpatient", "beneficiary_2008", "beneficiary_2009", "beneficiary_2010"):
        source = Path(str(DATA)) / "synpuf" / "sample1" / f"{name}.parquet"
        (tmp_path / "raw" / source.name).symlink_to(source)
    ingest("synpuf", tmp_path / "raw", tmp_path / "claims", progress=False)
    cohort = build_cohort(ReadmissionDefinition(), tmp_path / "claims")
    assert cohort.facts["index_stays"] == 66_705
    assert round(100 * cohort.facts["readmission_rate"], 2) == 10.06


def test_a_stay_whose_window_outlasts_the_data_is_censored_whatever_one_patient_has(tmp_path):
    claims = [inpatient(f"P{i}", f"{i}a", "2009-03-01", "2009-03-05") for i in range(9)]
    claims += [inpatient(f"P{i}", f"{i}b", "2009-06-01", "2009-06-03") for i in range(9)]
    claims += [inpatient("P0", "0c", "2009-03-15", "2009-03-17"), outpatient("far", "y", "2009-02-01", "2009-12-31")]
    last_day = write_patients(write_stays(tmp_path / "claims", claims))[0].last_day
    assert last_day == "2009-06-03"
    cohort = build_cohort(ReadmissionDefinition("stays"), write_stays(tmp_path / "again", claims, last_day=last_day))
    assert cohort.examples.num_rows == 10
    assert sum(cohort.examples["label"].to_pylist()) == 1
    assert cohort.attrition[-1].reasons == {"censored: the data end within the window": 9}


@pytest.mark.parametrize(("discharge", "is_kept"), [("2009-12-01", True), ("2009-12-02", False)])
def test_a_window_of_training_that_reaches_the_first_day_of_the_test_is_left_out(tmp_path, discharge, is_kept):
    """Discharged on 1 December the thirty days end on the 31st, a day later they reach into the test period."""
    names = [f"P{number}" for number in range(60)]
    early = [claim for name in names for claim in two_stays(name, MAY, ("2009-05-20", "2009-05-22"))]
    late = [inpatient(name, f"{name}-late", discharge, discharge) for name in names]
    after = [inpatient(name, f"{name}-after", "2010-01-05", "2010-01-06") for name in names]
    folder = write_stays(tmp_path / "claims", [*early, *late, *after], last_day="2010-06-30")
    cohort = build_cohort(ReadmissionDefinition(split="time", test_from=TEST_FROM), folder)
    found = {name: set(table["discharge_day"].to_pylist()) for name, table in cohort.splits().items()}
    assert found["test"] == {day("2010-01-06")}
    for split in ("train", "validation"):
        assert (day(discharge) in found[split]) == is_kept
        assert max(found[split]) + 30 < day("2010-01-01")
