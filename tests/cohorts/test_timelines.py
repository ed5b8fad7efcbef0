"""What is known on a day: enrolment around it, and visits paid by it."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cohorts.patients_by_hand import SCHEMA
from cohorts.stays_by_hand import inpatient, write_stays

from claim_transformers.claims.engine import connect, fetch, view_table
from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.claims.patient_files import PRINCIPAL_CODES
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.stays import interim_bills, join_stays
from claim_transformers.cohorts import build_cohort
from claim_transformers.cohorts.definition import Enrolment
from claim_transformers.cohorts.event.definition import EventDefinition, IndexRule, LabelRule
from claim_transformers.cohorts.timelines import _FAR_DAY, UNKNOWN_DAY, Timelines

BILLS = {"patient_id": pa.string(), "visit_type": pa.string(), "end_day": pa.int32()}


def timelines(rows, **options):
    schema = SCHEMA.append(VISIT_PAID_DAY)
    empty = dict.fromkeys(schema.names) | {
        "enrollment_start_day": [], "enrollment_end_day": [], "visit_day": [], "visit_type": [], "codes": [],
        "visit_paid_day": [], "visit_end_day": None,
    }  # fmt: skip
    # A visit of which nothing else is said ends on its day and has no day of payment.
    filled = [
        empty | {"patient_id": str(number), "visit_paid_day": [None] * len(row.get("visit_day", []))} | row
        for number, row in enumerate(rows)
    ]
    filled = [row | {"visit_end_day": row["visit_day"]} if row["visit_end_day"] is None else row for row in filled]
    return Timelines(pa.Table.from_pylist(filled, schema=schema), **options)


def test_enrolment_ends_with_the_span_around_the_day_and_not_with_a_later_one():
    spans = {"enrollment_start_day": [0, 200], "enrollment_end_day": [100, 300]}
    unknown = {"enrollment_start_day": None, "enrollment_end_day": None}
    found = timelines([spans, spans, spans, unknown])
    assert found.enrolled_until(np.array([50, 150, 200, 50])).tolist() == [100, UNKNOWN_DAY, 300, _FAR_DAY]
    assert found.covered(np.array([50, 50, 200, 0]), np.array([100, 101, 300, 9999])).tolist() == [
        True,
        False,
        True,
        True,
    ]


def test_a_gap_of_one_day_is_a_gap_and_none_is_not_unknown():
    day_between = {"enrollment_start_day": [0, 102], "enrollment_end_day": [100, 300]}
    unknown = {"enrollment_start_day": None, "enrollment_end_day": None}
    rows = [day_between, day_between, day_between, {}, unknown]
    found = timelines(rows)
    index = np.array([100, 101, 102, 50, 50])
    assert found.enrolled_until(index).tolist() == [100, UNKNOWN_DAY, 300, UNKNOWN_DAY, _FAR_DAY]
    assert [marks.tolist() for marks in found.without_span] == [[False] * 4 + [True], [False] * 3 + [True, False]]
    other = timelines(rows, enrolment=Enrolment(unknown="excluded", none="insured"))
    assert other.enrolled_until(index).tolist() == [100, UNKNOWN_DAY, 300, _FAR_DAY, UNKNOWN_DAY]
    cut = other.before(np.array([False, True, False, True, True]), index)
    assert cut["enrollment_start_day"].to_pylist() == [[0], [], None]
    assert cut["enrollment_end_day"].to_pylist() == [[100], [], None]


def test_a_visit_is_known_the_day_after_it_and_once_it_is_paid():
    rows = [{"visit_day": [10, 10, 10, 20], "visit_type": ["OP"] * 4, "codes": [["A/1"]] * 4,
             "visit_paid_day": [15, 20, None, 25]}]  # fmt: skip
    hiding, seeing = timelines(rows, hide_unpaid=True), timelines(rows)
    for index, known in (
        (10, [0, 0, 0, 0]),
        (11, [0, 0, 1, 0]),
        (15, [1, 0, 1, 0]),
        (20, [1, 1, 1, 0]),
        (25, [1] * 4),
    ):
        assert hiding.known_before(np.array([index]))[0].tolist() == [bool(flag) for flag in known]
    assert seeing.known_before(np.array([20]))[0].tolist() == [True, True, True, False]


def test_without_paid_days_nothing_is_hidden():
    table = pa.Table.from_pylist(
        [{"visit_day": [10], "visit_type": ["OP"], "codes": [["A/1"]], "visit_end_day": [10]}], schema=SCHEMA
    )
    found = Timelines(table, hide_unpaid=True)
    assert not found.hides_unpaid
    assert found.known_before(np.array([11]))[0].tolist() == [True]
    assert "visit_paid_day" not in found.before(np.array([True]), np.array([11])).column_names


STAY = {
    "visit_day": [2, 10, 10, 12],
    "visit_type": ["OP", "IP", "OP", "IP"],
    "codes": [["A/1"], ["A/2"], ["A/3"], ["A/4"]],
}


@pytest.mark.parametrize(
    ("index", "days", "codes", "ends"),
    [
        (10, [2], [["A/1"]], [2]),
        (11, [2, 10, 10], [["A/1"], [], ["A/3"]], [2, None, 10]),
        (14, [2, 10, 10], [["A/1"], [], ["A/3"]], [2, None, 10]),
        (15, [2, 10, 10, 12], [["A/1"], ["A/2"], ["A/3"], ["A/4"]], [2, 14, 10, 14]),
    ],
)
def test_an_open_stay_shows_its_admission_once_and_nothing_else_until_the_day_after_its_end(index, days, codes, ends):
    found = timelines([STAY | {"visit_end_day": [2, 14, 10, 14]}], hide_unpaid=True)
    (row,) = found.before(np.array([True]), np.array([index])).to_pylist()
    assert (row["visit_day"], row["codes"], row["visit_end_day"]) == (days, codes, ends)


def test_of_each_type_and_patient_one_open_stay_is_shown():
    stays = {
        "visit_day": [1, 1, 3],
        "visit_type": ["HHA", "IP", "IP"],
        "codes": [["A/1"]] * 3,
        "visit_end_day": [9] * 3,
    }
    found = timelines([stays, stays])
    whole, admissions = found.known_before(np.array([5, 1]))
    assert not whole.any()
    assert admissions.tolist() == [True, True, False, False, False, False]


def test_a_stay_begins_with_the_first_of_its_type_and_patient_that_overlap():
    stays = {
        "visit_day": [1, 1, 3, 5, 9, 10, 11],
        "visit_type": ["HHA", "IP", "IP", "OP", "IP", "IP", "HHA"],
        "codes": [["A/1"]] * 7,
        "visit_end_day": [10, 4, 9, 30, 9, None, 12],
    }
    assert timelines([stays, stays]).begin_day.tolist() == [1, 1, 1, 5, 1, 10, 11] * 2


@pytest.mark.parametrize(
    ("bills", "begins"),
    [
        (None, [1, 5, 11, 12]),
        ({"patient_id": ["0"], "visit_type": ["IP"], "end_day": [4]}, [1, 1, 11, 12]),
        # Of another patient, of another type, of another day, and one after which nobody is billed on the day after.
        ({"patient_id": ["1", "0", "0", "0"], "visit_type": ["IP", "SNF", "IP", "IP"], "end_day": [4, 4, 3, 9]}, None),
    ],
)
def test_the_day_after_an_interim_bill_goes_on_with_its_stay(bills, begins):
    stays = {"visit_day": [1, 5, 11, 12], "visit_type": ["IP", "IP", "IP", "SNF"], "codes": [["A/1"]] * 4}
    table = None if bills is None else pa.table(bills, schema=pa.schema(BILLS))
    found = timelines([stays | {"visit_end_day": [4, 9, 12, 13]}], interim_bills=table)
    assert found.begin_day.tolist() == (begins or [1, 5, 11, 12])


def test_one_stay_is_one_admission_of_a_readmission_and_of_an_event(tmp_path):
    random, claims = np.random.default_rng(3), []
    for number in range(60):
        end = np.datetime64("2008-12-25")
        for place in range(6):
            begin = end + random.integers(0, 4)
            end = begin + random.integers(0, 4)
            claim = inpatient(f"p{number}", f"{number}-{place}", str(begin), str(end))
            claims.append(claim | {"discharge_disposition_code": str(random.choice(["01", "30"]))})
    folder = write_stays(tmp_path / "claims", claims, last_day="2010-12-31")
    connection = connect()
    lines = view_table(connection, "lines", [*folder.glob("claim_line/*.parquet")], SCHEMAS["claim_line"])
    stays = fetch(connection, join_stays(lines)).to_pylist()
    patients = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("patients/*.parquet")))
    found = Timelines(patients, interim_bills=fetch(connection, interim_bills(lines, ["IP"])))
    ids = np.array(patients["patient_id"].to_pylist())[found.patient_of_visit].tolist()
    epoch = dt.date(1970, 1, 1)
    begun = {(one["patient_id"], (one["admission_date"] - epoch).days) for one in stays}
    assert set(zip(ids, found.begin_day.tolist(), strict=True)) == begun
    assert len(begun) < len(found.visit_day)
    # The cohort says so, too: a case is who has a stay that begins within the horizon.
    index, horizon = dt.date(2009, 1, 1), 5
    rules = IndexRule("fixed_date", (str(index),)), (), LabelRule(horizon, visit_types=("IP",))
    examples = build_cohort(EventDefinition("admitted", "title", "source", {}, *rules), folder).examples
    cases = {one["patient_id"] for one in stays if 0 <= (one["admission_date"] - index).days < horizon}
    labels = zip(examples["patient_id"].to_pylist(), examples["label"].to_pylist(), strict=True)
    assert {patient for patient, label in labels if label} == cases


def test_what_is_no_stay_is_not_shown_before_it_ended():
    found = timelines([{"visit_day": [1], "visit_type": ["OP"], "codes": [["A/1"]], "visit_end_day": [30]}])
    assert found.before(np.array([True]), np.array([30]))["visit_day"].to_pylist() == [[]]
    assert found.before(np.array([True]), np.array([31]))["visit_day"].to_pylist() == [[1]]


@pytest.mark.parametrize("hide_unpaid", [False, True])
def test_a_stay_without_an_end_is_known_from_its_payment_on(hide_unpaid):
    stay = {"visit_day": [1], "visit_type": ["IP"], "codes": [["A/1"]], "visit_end_day": [None]}
    for paid, index, codes in ((None, 9000, [[]]), (40, 40, [["A/1"]]), (40, 39, [] if hide_unpaid else [[]])):
        found = timelines([stay | {"visit_paid_day": [paid]}], hide_unpaid=hide_unpaid)
        assert found.before(np.array([True]), np.array([index]))["codes"].to_pylist() == [codes]


def test_an_open_stay_that_is_paid_later_is_hidden_and_one_paid_in_time_shows_its_admission():
    stay = {"visit_day": [1], "visit_type": ["SNF"], "codes": [["A/1"]], "visit_end_day": [20]}
    for paid, shown in ((9, 1), (10, 1), (11, 0)):
        found = timelines([stay | {"visit_paid_day": [paid]}], hide_unpaid=True)
        assert found.before(np.array([True]), np.array([10]))["codes"].to_pylist() == [[[]] * shown]


def test_numbers_held_are_distinct_pairs_of_the_marked_visits():
    found = timelines([
        {"visit_day": [1, 2], "visit_type": ["OP", "OP"], "codes": [["A/1", "A/2"], ["A/2", "A/3"]],
         "visit_paid_day": [1, 2]},
        {},
        {"visit_day": [1], "visit_type": ["OP"], "codes": [["A/3"]], "visit_paid_day": [1]},
    ])  # fmt: skip
    numbers = np.array([{"A/1": 7, "A/2": 7, "A/3": -1}[name] for name in found.code_names.to_pylist()])
    assert [part.tolist() for part in found.numbers_held(numbers, np.array([True, True, True]))] == [[0], [7]]
    assert [part.tolist() for part in found.numbers_held(numbers, np.array([False, False, True]))] == [[], []]


THREE = [
    {"visit_day": [1, 5, 9], "visit_type": ["OP", "IP", "OP"], "codes": [["A/1", "A/2"], [], ["B/1"]]},
    {},
    {"visit_day": [5, 6], "visit_type": ["IP", "OP"], "codes": [["B/1"], ["A/1"]]},
]


def test_visits_are_asked_for_by_code_by_type_and_by_both():
    found = timelines(THREE)
    for entries, types, expected in (
        (["A/1"], [], [1, 0, 0, 0, 1]),
        (["A/2", "B"], [], [1, 0, 1, 1, 0]),
        ([], ["IP"], [0, 1, 0, 1, 0]),
        (["B/1"], ["IP"], [0, 0, 0, 1, 0]),
        (["B/1"], ["IP", "OP"], [0, 0, 1, 1, 0]),
        (["C/1"], [], [0] * 5),
        ([], [], [1] * 5),
    ):
        assert found.visits_with(entries, types).tolist() == [bool(flag) for flag in expected]
        assert found.count(found.visits_with(entries, types)).tolist() == [sum(expected[:3]), 0, sum(expected[3:])]


def test_a_window_holds_its_first_day_and_not_the_one_after_its_last():
    found = timelines(THREE)
    inside = found.in_window(np.array([1, 0, 6]), np.array([9, 99, 7]))
    assert inside.tolist() == [True, True, False, False, True]


def test_what_is_kept_lies_with_its_patient_and_days_that_are_known_later_are_gone():
    rows = [row | {"patient_id": str(place), "birth_day": place, "death_day": 50} for place, row in enumerate(THREE)]
    rows[0] |= {"visit_paid_day": [4, 6, 30], "enrollment_start_day": [0, 8], "enrollment_end_day": [3, 90]}
    rows[2] |= {"enrollment_start_day": [-9], "enrollment_end_day": [6]}
    found = timelines(rows)
    cut = found.before(np.array([True, False, True]), np.array([7, 7, 6])).to_pylist()
    assert [(row["patient_id"], row["birth_day"], row["index_day"], row["visit_day"]) for row in cut] == [
        ("0", 0, 7, [1, 5]), ("2", 2, 6, [5]),
    ]  # fmt: skip
    assert [row["codes"] for row in cut] == [[["A/1", "A/2"], []], [["B/1"]]]
    assert [row["visit_paid_day"] for row in cut] == [[4, 6], [None]]
    assert [(row["enrollment_start_day"], row["enrollment_end_day"]) for row in cut] == [([0], [3]), ([-9], [6])]
    assert "death_day" not in cut[0]
    later = found.before(np.array([True, True, False]), np.array([8, 0, 0])).to_pylist()
    assert [(row["enrollment_start_day"], row["enrollment_end_day"]) for row in later] == [([0, 8], [3, 8]), ([], [])]
    assert (found.birth_day.tolist(), found.death_day.tolist()) == ([0, 1, 2], [50] * 3)


def test_who_is_left_out_for_want_of_enrolment_is_named_by_the_reason():
    unknown = {"enrollment_start_day": None, "enrollment_end_day": None}
    spans = {"enrollment_start_day": [0], "enrollment_end_day": [9]}
    rows = [unknown, {}, spans]
    excluded = {"unknown": ("excluded", "insured"), "none": ("insured", "excluded")}
    for verdict, (of_unknown, of_none) in excluded.items():
        found = timelines(rows, enrolment=Enrolment(unknown=of_unknown, none=of_none)).without_enrolment()
        assert [marks.tolist() for marks in found.values()] == [[verdict == "unknown", verdict == "none", False]]


def test_numbers_of_several_patients_stay_with_their_owners_and_0_is_a_number():
    found = timelines(THREE)
    numbers = np.array([{"A/1": 0, "A/2": 5, "B/1": 3}[name] for name in found.code_names.to_pylist()])
    pairs = [part.tolist() for part in found.numbers_held(numbers, np.ones(5, bool))]
    assert pairs == [[0, 0, 0, 2, 2], [0, 3, 5, 0, 3]]


def test_open_stays_of_two_types_and_of_neighbours_are_each_shown_once():
    kinds = ["SNF", "IP", "HHA", "SNF", "IP"]
    stays = {"visit_day": [1, 1, 2, 2, 3], "visit_type": kinds, "codes": [["A/1"]] * 5, "visit_end_day": [99] * 5}
    found = timelines([stays] * 6)
    _, admissions = found.known_before(np.full(6, 5))
    assert admissions.tolist() == [True, True, True, False, False] * 6


def test_nobody_counts_as_insured_without_a_span_unless_the_cohort_says_so():
    unknown = {"enrollment_start_day": None, "enrollment_end_day": None}
    excluding = Enrolment(unknown="excluded", none="excluded")
    found = timelines([unknown, {}], enrolment=excluding)
    assert found.enrolled_until(np.array([5, 5])).tolist() == [UNKNOWN_DAY] * 2


@pytest.mark.parametrize(("principal", "expected"), [(False, [True, True]), (True, [False, True])])
def test_the_principal_diagnosis_is_asked_for_where_a_step_says_so(principal, expected):
    table = pa.Table.from_pylist(
        [{"visit_day": [1, 2], "visit_type": ["OP"] * 2, "codes": [["A/1", "B/1"], ["A/1"]], "visit_end_day": [1, 2]}],
        schema=SCHEMA,
    ).append_column(PRINCIPAL_CODES, pa.array([[["B/1"], ["A/1"]]], PRINCIPAL_CODES.type))
    assert Timelines(table).visits_with(["A/1"], [], principal=principal).tolist() == expected
