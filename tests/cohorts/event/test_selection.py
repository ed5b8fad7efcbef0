"""Labels and why they stay unknown, day by day, and which index date a patient has."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from cohorts.patients_by_hand import SCHEMA, day, paid, patient

from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.cohorts.event.definition import Criterion, EventDefinition, IndexRule, LabelRule, Sampling
from claim_transformers.cohorts.event.selection import select, step_names
from claim_transformers.cohorts.timelines import Timelines

INDEX, HORIZON = "2013-01-01", 30
LAST = "2013-01-30"  # of the horizon, which holds the index date
DEFINITION = EventDefinition(
    "name", "title", "source", {"asthma": ("ICD9CM/493",)}, IndexRule("fixed_date", (INDEX,)), (),
    LabelRule(HORIZON, codes="asthma", visit_types=("IP",)),
)  # fmt: skip
CASE = ["ICD9CM/49390"]


def selected(patients, definition=DEFINITION, last_day="2014-01-01", **options):
    schema = SCHEMA.append(VISIT_PAID_DAY) if any("visit_paid_day" in each for each in patients) else SCHEMA
    return select(Timelines(pa.Table.from_pylist(patients, schema=schema), **options), definition, day(last_day))


def label_of(found, definition=DEFINITION, last_day="2014-01-01"):
    """The label of one patient, or the place of the reason why it has none."""
    table, counts = selected([found], definition, last_day)
    assert counts.eligible.sum() + counts.censored.sum() == 1
    assert counts.pairs.tolist() == counts.eligible.tolist()
    assert counts.left.tolist() == [1, 1, 1, counts.eligible.sum()]
    return table["label"].to_pylist() or f"censored {np.argmax(counts.censored)}"


@pytest.mark.parametrize(
    ("when", "label"), [("2012-12-31", [0]), (INDEX, [1]), (LAST, [1]), ("2013-01-31", [0])]
)  # fmt: skip
def test_an_outcome_counts_from_the_index_date_to_the_last_day_of_the_horizon(when, label):
    assert label_of(patient("p", (when, "IP", CASE))) == label
    assert label_of(patient("p", (when, "OP", CASE))) == [0]
    assert label_of(patient("p", (when, "IP", ["ICD9CM/4280"]))) == [0]


@pytest.mark.parametrize(
    ("when", "label"),
    [
        # A stay that is open on the index date, with services and an overlapping bill behind it.
        ({"2012-12-30": "2013-01-05", "2013-01-02": "2013-01-05", "2013-01-04": "2013-01-09"}, [0]),
        ({"2012-12-30": "2013-01-05", "2013-01-06": "2013-01-09"}, [1]),
        ({INDEX: "2013-01-05"}, [1]),
        ({"2012-12-30": "2012-12-31", INDEX: INDEX}, [1]),
    ],
)
def test_who_is_in_hospital_on_the_index_date_is_not_admitted(when, label):
    visits = [(begin, "IP", CASE) for begin in when]
    assert label_of(patient("p", *visits, visit_end_day=[day(end) for end in when.values()])) == label


LEFT, DIED, CUT = (f"censored {place}" for place in range(3))


@pytest.mark.parametrize(
    ("enrolled_until", "death", "label", "with_event"),
    [
        (LAST, None, [0], [1]),
        ("2013-01-29", None, LEFT, [1]),
        ("2013-01-09", None, LEFT, LEFT),
        (LAST, LAST, DIED, [1]),
        (LAST, "2013-01-31", [0], [1]),
        ("2013-01-15", "2013-01-15", DIED, [1]),
        ("2013-01-14", "2013-01-15", LEFT, [1]),
    ],
)
def test_a_label_is_known_if_its_horizon_was_observed_or_the_outcome_came_before(
    enrolled_until, death, label, with_event
):
    facts = {"enrollment_end_day": [day(enrolled_until)], "death_day": death and day(death)}
    assert label_of(patient("p", ("2012-05-01", "OP", CASE), **facts)) == label
    assert label_of(patient("p", ("2013-01-10", "IP", CASE), **facts)) == with_event
    if label == DIED:
        negative = replace(DEFINITION, label=replace(DEFINITION.label, death="negative"))
        assert label_of(patient("p", ("2012-05-01", "OP", CASE), **facts), negative) == [0]


@pytest.mark.parametrize(("last_day", "expected"), [(LAST, ([0], [1])), ("2013-01-29", (CUT, CUT))])
def test_a_horizon_beyond_the_last_day_of_the_data_is_cut_with_the_outcome_or_without(last_day, expected):
    found = [label_of(patient("p", (when, "IP", CASE)), last_day=last_day) for when in ("2012-05-01", "2013-01-10")]
    assert tuple(found) == expected


def test_with_several_dates_the_first_with_the_outcome_is_taken_and_else_one_that_is_eligible():
    dates = ("2012-01-01", INDEX, "2014-01-01")
    several = replace(DEFINITION, index=IndexRule("fixed_date", dates), sampling=Sampling(seed=1))
    case = patient("case", ("2013-01-10", "IP", CASE), ("2014-01-10", "IP", CASE))
    controls = [patient(f"p{number}", ("2011-05-01", "OP", CASE)) for number in range(40)]
    leaver = patient("leaver", ("2011-05-01", "OP", CASE), enrollment_end_day=[day(LAST)])
    table, counts = selected([case, *controls, leaver], several, "2015-01-01")
    index = dict(zip(table["patient_id"].to_pylist(), table["index_day"].to_pylist(), strict=True))
    assert index["case"] == day(INDEX)
    assert index["leaver"] in (day(dates[0]), day(dates[1]))
    assert {index[each["patient_id"]] for each in controls} == {day(date) for date in dates}
    assert counts.eligible.tolist() == [41, 1]
    assert counts.pairs.tolist() == [40 * 3 + 2 + 1, 2]


def test_visits_that_an_example_does_not_see_are_counted_as_unpaid_or_open():
    found = patient(
        "p", ("2012-12-01", "OP", CASE), ("2012-12-20", "OP", CASE), ("2012-12-30", "IP", CASE),
        ("2013-01-01", "OP", CASE), visit_end_day=[day(when) for when in ("2012-12-01", "2012-12-20", "2013-01-01",
        "2013-01-01")], **paid("2013-01-01", "2013-01-02", None, "2013-02-01"),
    )  # fmt: skip
    for hides, hidden in ((True, 1), (False, 0)):
        table, _ = selected([found], hide_unpaid=hides)
        assert table.select(["visits_hidden", "visits_open"]).to_pylist() == [
            {"visits_hidden": hidden, "visits_open": 1}
        ]


def test_patients_without_a_span_are_counted_by_what_is_known():
    unknown = {"enrollment_start_day": None, "enrollment_end_day": None}
    none = {"enrollment_start_day": [], "enrollment_end_day": []}
    visit = ("2012-05-01", "OP", CASE)
    _, counts = selected([patient("a", visit, **unknown), patient("b", visit, **none), patient("c", visit, **none)])
    assert counts.without_span.tolist() == [1, 2]
    assert counts.left[0] == 3


@pytest.mark.parametrize(
    ("first", "last", "has_index"),
    [
        ("2012-05-01", "2012-05-01", True),
        ("2012-05-02", "2012-06-01", False),
        ("2012-04-01", "2012-04-30", False),
    ],
)
def test_an_encounter_counts_from_the_first_to_the_last_day_of_the_window(first, last, has_index):
    encounter = replace(
        DEFINITION, index=IndexRule("next_encounter", first_date=first, last_date=last),
        label=replace(DEFINITION.label, horizon_days=1),
    )  # fmt: skip
    assert len(step_names(encounter)) == 4
    for kind, label in (("OP", 0), ("IP", 1)):
        table, counts = selected([patient("p", ("2012-05-01", kind, CASE)), patient("none")], encounter)
        assert table["label"].to_pylist() == [label] * has_index
        assert table["index_day"].to_pylist() == [day("2012-05-01")] * has_index
        assert counts.left[2] == has_index


def test_the_encounter_of_a_control_is_any_of_its_visits_and_that_of_a_case_its_first_outcome():
    encounter = replace(
        DEFINITION, index=IndexRule("next_encounter", first_date="2012-01-01", last_date="2012-12-31"),
        label=replace(DEFINITION.label, horizon_days=1),
    )  # fmt: skip
    days = ("2012-01-01", "2012-05-01", "2012-12-31")
    controls = [patient(f"p{number}", *((when, "OP", CASE) for when in days)) for number in range(40)]
    case = patient("case", (days[0], "OP", CASE), (days[1], "IP", CASE), (days[2], "IP", CASE))
    once = [patient(f"c{n}", *((when, kind, CASE) for when, kind in zip(days, ("OP", "IP", "OP"), strict=True)))
            for n in range(9)]  # fmt: skip
    table, counts = selected([*controls, case, *once], encounter)
    index = dict(zip(table["patient_id"].to_pylist(), table["index_day"].to_pylist(), strict=True))
    assert {index.pop(each["patient_id"]) for each in [case, *once]} == {day(days[1])}
    chosen = [list(index.values()).count(day(when)) for when in days]
    assert sum(chosen) == 40
    assert min(chosen) > 5
    assert counts.eligible.tolist() == [40, 10]


def test_any_code_of_a_type_is_an_outcome_where_the_label_names_no_set():
    anything = replace(DEFINITION, label=LabelRule(HORIZON, visit_types=("IP",)))
    assert label_of(patient("p", ("2013-01-10", "IP", ["ICD9CM/4280"])), anything) == [1]
    assert label_of(patient("p", ("2013-01-10", "OP", ["ICD9CM/4280"])), anything) == [0]


def test_the_index_visit_of_predicted_diagnoses_has_one_and_a_type_that_counts_and_lies_in_the_window():
    diagnoses = replace(
        DEFINITION, index=IndexRule("next_encounter", first_date="2012-02-01", last_date="2012-12-31"),
        label=LabelRule(1, rule="next_diagnoses", visit_types=("IP",)),
    )  # fmt: skip
    visits = [("2012-01-31", "IP", CASE), ("2012-03-01", "OP", CASE), ("2012-04-01", "IP", ["HCPCS/99213"]),
              ("2012-05-01", "IP", CASE), ("2013-01-01", "IP", CASE)]  # fmt: skip
    table, _ = selected([patient(f"p{number}", *visits) for number in range(9)], diagnoses)
    assert set(table["index_day"].to_pylist()) == {day("2012-05-01")}


def test_a_patient_leaves_at_the_first_step_it_fails_and_only_who_passed_all_is_censored():
    steps = (
        Criterion("asthma", "codes", codes="asthma"),
        Criterion("an adult", "age", minimum=18),
        Criterion("alive", "alive"),
    )
    definition = replace(DEFINITION, criteria=steps)
    before, adult, gone = (
        ("2012-05-01", "OP", CASE),
        {"birth_day": day("1980-01-01")},
        {"death_day": day("2013-01-05")},
    )
    other = ("2012-05-01", "OP", ["ICD9CM/4280"])
    patients = [
        patient("other", other, **adult), patient("child", before), patient("both", other),
        patient("dead before", before, **adult, death_day=day("2012-06-01")),
        patient("dies", before, **adult, **gone), patient("dying child", before, **gone),
        patient("leaves", before, **adult, enrollment_end_day=[day("2013-01-05")]),
        patient("stays", before, **adult), patient("comes back", before, ("2013-01-05", "IP", CASE), **adult),
        patient("never", **adult),
    ]  # fmt: skip
    table, counts = selected(patients, definition)
    assert table["patient_id"].to_pylist() == ["stays", "comes back"]
    assert counts.left.tolist() == [10, 10, 10, 7, 5, 4, 2]
    assert (counts.eligible.tolist(), counts.censored.tolist()) == ([1, 1], [1, 1, 0, 0])
    _, cut = selected(patients, definition, last_day="2013-01-10")
    assert (cut.eligible.tolist(), cut.censored.tolist()) == ([0, 0], [0, 0, 4, 0])
    assert step_names(definition)[2:-1] == ["with an index date", "asthma", "an adult", "alive"]


def test_of_two_dates_the_one_at_which_the_patient_is_eligible_is_taken():
    two = replace(
        DEFINITION, index=IndexRule("fixed_date", ("2012-01-01", INDEX)), criteria=(Criterion("a visit", "visits"),)
    )  # fmt: skip
    late = [patient(f"p{number}", ("2012-05-01", "OP", CASE)) for number in range(9)]
    table, counts = selected(late, two)
    assert set(table["index_day"].to_pylist()) == {day(INDEX)}
    assert counts.pairs.tolist() == counts.eligible.tolist() == [9, 0]


def test_a_table_holds_as_many_controls_as_other_tables_may_need():
    sampled = replace(DEFINITION, sampling=Sampling(cases=3, controls_per_case=2))
    controls = [patient(f"p{number}", ("2012-05-01", "OP", CASE)) for number in range(20)]
    table, _ = selected([*controls, patient("case", ("2013-01-05", "IP", CASE))], sampled)
    assert sorted(table["label"].to_pylist()) == [0] * 6 + [1]


TWO = replace(
    DEFINITION, index=IndexRule("fixed_date", ("2012-01-01", INDEX)),
    criteria=(Criterion("a visit of late", "visits", look_back_days=60),),
)  # fmt: skip
SPANS = {"enrollment_start_day": [day("2011-01-01"), day("2012-06-01")],
         "enrollment_end_day": [day("2012-01-09"), day("2014-12-31")]}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "last_day"), [(SPANS, "2013-01-10"), (SPANS | {"death_day": day("2013-01-05")}, "2014-01-01")]
)
def test_what_ends_the_horizon_of_a_date_whose_steps_were_not_passed_is_no_reason(facts, last_day):
    found = patient("p", ("2011-12-20", "OP", CASE), **facts)
    _, counts = selected([found], TWO, last_day)
    assert (counts.eligible.tolist(), counts.censored.tolist()) == ([0, 0], [1, 0, 0, 0])


def test_a_date_whose_label_is_unknown_is_not_drawn():
    visits = [("2011-12-20", "OP", CASE), ("2012-12-20", "OP", CASE)]
    table, counts = selected([patient(f"p{number}", *visits, **SPANS) for number in range(9)], TWO)
    assert table["index_day"].to_pylist() == [day(INDEX)] * 9
    assert counts.pairs.tolist() == [9, 0]


def test_a_visit_paid_on_the_index_date_that_is_not_over_is_open_and_not_unpaid():
    found = patient("p", ("2012-12-30", "IP", CASE), visit_end_day=[day(INDEX)], **paid(INDEX))
    table, _ = selected([found], hide_unpaid=True)
    assert table.select(["visits_hidden", "visits_open"]).to_pylist() == [{"visits_hidden": 0, "visits_open": 1}]
