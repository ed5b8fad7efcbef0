"""Selection, labels, leakage and sampling of cohorts on timelines written by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cohorts.patients_by_hand import ADMISSION, ASTHMA_VISIT, day, paid, patient, write_claims
from datasets import load_from_disk
from task_runs import TasksHere

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import build_cohort, load_definition
from claim_transformers.cohorts.definition import Enrolment
from claim_transformers.cohorts.event import building
from claim_transformers.cohorts.event.definition import Sampling

ASTHMA = load_definition("asthma_exacerbation", "event")
ONE_DATE = replace(ASTHMA, index=replace(ASTHMA.index, dates=("2013-01-01",)))
EVERYBODY = replace(ONE_DATE, sampling=Sampling())


def labels(cohort) -> dict[str, int]:
    return dict(zip(cohort.examples["patient_id"].to_pylist(), cohort.examples["label"].to_pylist(), strict=True))


def test_an_admission_within_the_horizon_is_a_case_and_the_others_are_controls(asthma_claims):
    found = labels(build_cohort(EVERYBODY, asthma_claims))
    assert len(found) == 40
    assert all(label == (int(name[1:]) % 4 == 0) for name, label in found.items())


def test_counties_are_for_readmissions(asthma_claims):
    counties = CountyFeatures(pa.array(["01001"]), {"SVI": np.array([0.3])})
    with pytest.raises(ValueError, match="expected no measures of counties for the event 'asthma_exacerbation'"):
        build_cohort(EVERYBODY, asthma_claims, counties=counties)


def test_files_selected_in_tasks_give_the_cohort_of_one_process(asthma_claims):
    drawn = replace(ONE_DATE, sampling=Sampling(cases=4, controls_per_case=2))
    for wanted in (drawn, EVERYBODY):
        one, many = build_cohort(wanted, asthma_claims), build_cohort(wanted, asthma_claims, tasks=TasksHere())
        assert many.examples.equals(one.examples)
        assert many.attrition == one.attrition


def test_each_dropout_leaves_at_its_own_step_and_the_counts_add_up(asthma_claims):
    attrition = build_cohort(EVERYBODY, asthma_claims).attrition
    removed = {step.step: step.removed for step in attrition if step.removed}
    assert removed == {
        "2 to 21 years old": 1,
        "enrolled for the year before the index date": 1,
        "no cystic fibrosis": 1,
        "outcome known (event, or observed to the end)": 1,
    }
    assert attrition[0].patients - sum(removed.values()) == attrition[-1].patients


def test_no_example_holds_anything_at_or_after_its_index_date(asthma_claims):
    for row in build_cohort(EVERYBODY, asthma_claims).examples.to_pylist():
        assert all(when < row["index_day"] for when in row["visit_day"])
        assert all(end <= row["index_day"] for end in row["enrollment_end_day"])
        assert "ICD9CM/49392" not in [code for visit in row["codes"] for code in visit]
    assert "death_day" not in row


def test_claims_after_the_index_date_change_no_input(tmp_path):
    calm = [patient(f"P{i}", ASTHMA_VISIT, *([ADMISSION] if i < 3 else [])) for i in range(9)]
    busy = [patient(f"P{i}", ASTHMA_VISIT, ("2013-01-01", "OP", ["ICD9CM/V202"]), *([ADMISSION] if i < 3 else []))
            for i in range(9)]  # fmt: skip
    before = build_cohort(EVERYBODY, write_claims(tmp_path / "calm", calm)).examples
    after = build_cohort(EVERYBODY, write_claims(tmp_path / "busy", busy)).examples
    assert before.equals(after)


def test_a_patient_who_leaves_is_censored_but_an_event_before_leaving_counts(tmp_path):
    leaves = {"enrollment_end_day": [day("2013-05-31")]}
    claims = write_claims(
        tmp_path / "claims",
        [
            patient("event", ASTHMA_VISIT, ADMISSION, **leaves),
            patient("no-event", ASTHMA_VISIT, **leaves),
            patient("stays", ASTHMA_VISIT),
        ],
    )
    assert labels(build_cohort(EVERYBODY, claims)) == {"event": 1, "stays": 0}


def test_death_without_the_event_is_censored_unless_the_definition_says_negative(tmp_path):
    claims = write_claims(
        tmp_path / "claims",
        [
            patient("case", ASTHMA_VISIT, ADMISSION),
            patient("control", ASTHMA_VISIT),
            patient("dies", ASTHMA_VISIT, death_day=day("2013-02-01")),
        ],
    )
    assert "dies" not in labels(build_cohort(EVERYBODY, claims))
    negative = replace(EVERYBODY, label=replace(EVERYBODY.label, death="negative"))
    assert labels(build_cohort(negative, claims))["dies"] == 0


def test_an_admission_on_the_day_after_the_horizon_does_not_count(tmp_path):
    inside = ("2013-12-31", "IP", ["ICD9CM/49392"])
    outside = ("2014-01-01", "IP", ["ICD9CM/49392"])
    claims = write_claims(
        tmp_path / "claims", [patient("inside", ASTHMA_VISIT, inside), patient("outside", ASTHMA_VISIT, outside)]
    )
    assert labels(build_cohort(EVERYBODY, claims)) == {"inside": 1, "outside": 0}


def test_an_outpatient_visit_or_another_disease_is_no_outcome(tmp_path):
    claims = write_claims(
        tmp_path / "claims",
        [
            patient("admitted", ASTHMA_VISIT, ADMISSION),
            patient("outpatient", ASTHMA_VISIT, ("2013-03-01", "OP", ["ICD9CM/49392"])),
            patient("appendix", ASTHMA_VISIT, ("2013-03-01", "IP", ["ICD9CM/5409"])),
        ],
    )
    assert labels(build_cohort(EVERYBODY, claims)) == {"admitted": 1, "outpatient": 0, "appendix": 0}


@pytest.mark.parametrize(
    ("rule", "kept", "step", "reasons"),
    [
        (Enrolment(), {"a", "b", "unknown"}, "with enrolment (<11 of unknown enrolment count as insured)",
         {"without any enrolment": 2}),
        (Enrolment(unknown="excluded"), {"a", "b"}, "with enrolment",
         {"enrolment unknown": 1, "without any enrolment": 2}),
        (Enrolment(none="insured"), {"a", "b", "unknown", "none", "only before"},
         "with enrolment (<11 of unknown enrolment and <11 without any enrolment count as insured)", {}),
        (Enrolment(unknown="excluded", none="insured"), {"a", "b", "none", "only before"},
         "with enrolment (<11 without any enrolment count as insured)", {"enrolment unknown": 1}),
    ],
)  # fmt: skip
def test_a_cohort_says_what_it_does_with_unknown_enrolment_and_with_none(tmp_path, rule, kept, step, reasons):
    unknown, none = (dict.fromkeys(("enrollment_start_day", "enrollment_end_day"), value) for value in (None, []))
    people = [
        patient("a", ASTHMA_VISIT, ADMISSION),
        patient("b", ASTHMA_VISIT),
        patient("unknown", ASTHMA_VISIT, **unknown),
        patient("none", ASTHMA_VISIT, ADMISSION, **none),
        patient("only before", ASTHMA_VISIT, **none),
    ]
    cohort = build_cohort(replace(EVERYBODY, enrolment=rule), write_claims(tmp_path / "claims", people))
    assert set(labels(cohort)) == kept
    row = cohort.attrition[1]
    assert (row.step, row.removed, row.reasons) == (step, sum(reasons.values()), reasons)
    assert row.patients == 5 - row.removed
    # An example keeps the state, also as a data set.
    examples = [row for rows in cohort.to_dataset_dict().values() for row in rows]
    spans = {row["patient_id"]: row["enrollment_end_day"] for row in examples}
    states = {"unknown": None, "none": []}
    assert {name: spans[name] for name in states if name in kept} == {
        name: state for name, state in states.items() if name in kept
    }


def test_where_everybody_has_a_span_the_table_has_no_step_about_it(asthma_claims):
    assert [step.step for step in build_cohort(EVERYBODY, asthma_claims).attrition][:2] == [
        "patients with a visit",
        "with an index date",
    ]


@pytest.mark.parametrize(
    ("span", "is_in"),
    [
        (("2012-01-02", "2014-12-31"), True),  # the first day of the year before the index date
        (("2012-01-03", "2014-12-31"), False),
        (("2010-01-01", "2013-12-31"), True),  # the last day of the horizon
        (("2010-01-01", "2013-12-30"), False),
        (("2010-01-01", "2013-01-01"), False),  # the index date itself: nobody sees the rest
    ],
)
def test_enrolment_is_asked_from_its_first_to_its_last_day(tmp_path, span, is_in):
    dates = {"enrollment_start_day": [day(span[0])], "enrollment_end_day": [day(span[1])]}
    rest = [patient("case", ASTHMA_VISIT, ADMISSION), patient("control", ASTHMA_VISIT)]
    cohort = build_cohort(
        EVERYBODY, write_claims(tmp_path / "claims", [*rest, patient("asked", ASTHMA_VISIT, **dates)])
    )
    assert ("asked" in labels(cohort)) == is_in


def test_the_next_encounter_of_a_case_is_its_first_attempt_and_of_a_control_any_visit_in_the_window(tmp_path):
    rest = [("2012-01-01", "OP", ["ICD9CM/311"]), ("2012-02-01", "OP", ["ICD9CM/311"])]
    attempts = [("2013-07-01", "IP", ["ICD9CM/E9500"]), ("2014-07-01", "IP", ["ICD9CM/E9503"])]
    later = [("2013-05-01", "OP", ["ICD9CM/4659"]), ("2014-05-01", "OP", ["ICD9CM/4659"])]
    youth = {"birth_day": day("1998-01-01")}
    patients = [patient(f"case{i}", *rest, *attempts, **youth) for i in range(3)]
    patients += [patient(f"control{i}", *rest, *later, **youth) for i in range(30)]
    cohort = build_cohort("suicide_attempt", write_claims(tmp_path / "claims", patients))
    rows = {row["patient_id"]: row for row in cohort.examples.to_pylist()}
    cases = [row for name, row in rows.items() if name.startswith("case")]
    controls = [row for name, row in rows.items() if name.startswith("control")]
    assert len(controls) == 6  # two controls per case, as in the paper
    assert {row["index_day"] for row in cases} == {day("2013-07-01")}
    assert {row["index_day"] for row in controls} <= {day("2013-05-01"), day("2014-05-01")}
    everyone = build_cohort(
        replace(load_definition("suicide_attempt", "event"), sampling=Sampling()), tmp_path / "claims"
    )
    assert len(set(everyone.examples["index_day"].to_pylist())) == 3


def test_with_several_dates_a_case_has_the_first_with_its_outcome_and_a_control_one_of_them(tmp_path):
    recent = ("2013-06-01", "OP", ["ICD9CM/49390"])
    late = ("2014-03-01", "IP", ["ICD9CM/49392"])
    patients = [patient("early", ASTHMA_VISIT, ADMISSION, late), patient("late", ASTHMA_VISIT, recent, late)]
    patients += [patient(f"control{i}", ASTHMA_VISIT, recent) for i in range(40)]
    both = replace(ASTHMA, sampling=Sampling())
    examples = build_cohort(both, write_claims(tmp_path / "claims", patients)).examples
    rows = {row["patient_id"]: row for row in examples.to_pylist()}
    assert len(rows) == 42
    assert rows["early"]["index_day"] == day("2013-01-01")
    assert rows["late"]["index_day"] == day("2014-01-01")
    assert (rows["early"]["label"], rows["late"]["label"]) == (1, 1)
    drawn = [row["index_day"] for name, row in rows.items() if name.startswith("control")]
    assert set(drawn) == {day("2013-01-01"), day("2014-01-01")}
    assert all(
        len(row["visit_day"]) == 1 + (row["index_day"] > day("2013-06-01"))
        for row in rows.values()
        if row["patient_id"].startswith("control")
    )


def test_sampling_is_seeded_and_does_not_move_when_strangers_arrive(tmp_path):
    patients = [patient(f"P{i:03d}", ASTHMA_VISIT, *([ADMISSION] if i % 2 else [])) for i in range(60)]
    few = replace(ONE_DATE, sampling=Sampling(cases=10, controls_per_case=2.0, seed=3))
    first = build_cohort(few, write_claims(tmp_path / "one", patients)).examples
    assert int(np.sum(first["label"].to_numpy())) == 10
    assert first.num_rows == 30
    assert build_cohort(few, tmp_path / "one").sampled_share == (20 / 30, 10 / 30)
    again = build_cohort(few, write_claims(tmp_path / "two", list(reversed(patients)), files=4)).examples
    assert first.equals(again)
    other = build_cohort(replace(few, sampling=replace(few.sampling, seed=4)), tmp_path / "one").examples
    assert not first.equals(other)


def test_splits_are_patient_disjoint_and_add_up(asthma_claims):
    cohort = build_cohort(EVERYBODY, asthma_claims)
    parts = [set(table["patient_id"].to_pylist()) for table in cohort.splits().values()]
    assert sum(len(part) for part in parts) == 40
    assert len(set.union(*parts)) == 40


def test_the_saved_folder_is_a_dataset_dict_with_labels_and_the_attrition(asthma_claims, tmp_path):
    cohort = build_cohort(EVERYBODY, asthma_claims)
    cohort.save(tmp_path / "cohort", raw_counts=True)
    loaded = load_from_disk(str(tmp_path / "cohort"))
    assert sum(split.num_rows for split in loaded.values()) == 40
    assert {"label", "index_day", "codes", "visit_day"} <= set(loaded["train"].column_names)
    steps = json.loads((tmp_path / "cohort" / "attrition.json").read_text())
    assert steps[0] == {"step": "patients with a visit", "patients": 44, "removed": 0}
    definition = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert definition["claims"] == {"source": "by hand", "simulation": None}
    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        cohort.save(tmp_path / "cohort")
    cohort.save(tmp_path / "cohort", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims", "cohort"]


def test_a_folder_that_is_no_cohort_is_never_replaced(asthma_claims, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ClaimDataError, match=r"E_EXISTS.*a cohort to replace"):
        build_cohort(EVERYBODY, asthma_claims).save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").is_file()


def test_a_full_disk_leaves_nothing_behind(asthma_claims, tmp_path, monkeypatch):
    cohort = build_cohort(EVERYBODY, asthma_claims)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ClaimDataError, match=r"E_WRITE: could not write .*: No space left on device.*free space"):
        cohort.save(tmp_path / "cohort")
    assert [path.name for path in tmp_path.iterdir()] == ["claims"]


def test_an_empty_cohort_says_at_which_step_everybody_left(tmp_path):
    claims = write_claims(tmp_path / "claims", [patient("P1", ("2012-05-01", "OP", ["ICD9CM/V202"]))])
    with pytest.raises(ClaimDataError, match=r"E_EMPTY_COHORT.*asthma on a claim in the two years before: 0"):
        build_cohort(ASTHMA, claims)


def test_one_class_only_is_refused(tmp_path):
    claims = write_claims(tmp_path / "claims", [patient("P1", ASTHMA_VISIT), patient("P2", ASTHMA_VISIT)])
    with pytest.raises(ClaimDataError, match="E_ONE_CLASS: expected both labels"):
        build_cohort(EVERYBODY, claims)


def test_a_folder_that_was_never_finished_is_refused(tmp_path):
    (tmp_path / "half" / "patients").mkdir(parents=True)
    with pytest.raises(ClaimDataError, match="E_INCOMPLETE"):
        build_cohort(ASTHMA, tmp_path / "half")


def test_a_folder_of_another_format_version_is_refused(tmp_path):
    claims = write_claims(tmp_path / "claims", [patient("P1", ASTHMA_VISIT)])
    (claims / "manifest.json").write_text(json.dumps({"format_version": 0}))
    with pytest.raises(ClaimDataError, match="E_FORMAT_VERSION"):
        build_cohort(ASTHMA, claims)


def test_a_folder_without_patients_is_refused(tmp_path):
    with pytest.raises(ClaimDataError, match="E_NO_PATIENTS"):
        build_cohort(ASTHMA, write_claims(tmp_path / "claims", [], files=0))


def test_files_without_rows_and_row_groups_of_any_size_change_nothing(tmp_path):
    patients = [patient(f"P{i}", ASTHMA_VISIT, *([ADMISSION] if i < 4 else [])) for i in range(9)]
    whole = build_cohort(EVERYBODY, write_claims(tmp_path / "whole", patients))
    cut = write_claims(tmp_path / "cut", patients)
    (path,) = (cut / "patients").iterdir()
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=2)
    pq.write_table(table.slice(0, 0), cut / "patients" / "test-00000.parquet")
    assert build_cohort(EVERYBODY, cut).examples.equals(whole.examples)
    path.unlink()
    with pytest.raises(ClaimDataError, match=r"E_EMPTY_COHORT.*patients with a visit: 0"):
        build_cohort(EVERYBODY, cut)


def test_messages_hold_no_identifier_and_no_date(tmp_path):
    claims = write_claims(tmp_path / "claims", [patient("ZZCANARY77", ASTHMA_VISIT)])
    with pytest.raises(ClaimDataError) as caught:
        build_cohort(EVERYBODY, claims)
    assert "ZZCANARY77" not in str(caught.value)
    assert "2012-05-01" not in str(caught.value)


# ---- Censoring ----


def test_an_event_after_a_gap_in_enrolment_is_censored_and_not_a_case(tmp_path):
    gap = {"enrollment_start_day": [day("2010-01-01"), day("2013-08-01")],
           "enrollment_end_day": [day("2013-05-31"), day("2014-12-31")]}  # fmt: skip
    back = ("2013-10-01", "IP", ["ICD9CM/49392"])
    claims = write_claims(
        tmp_path / "claims",
        [
            patient("event-then-gap", ASTHMA_VISIT, ADMISSION, **gap),
            patient("gap-then-event", ASTHMA_VISIT, back, **gap),
            patient("gap", ASTHMA_VISIT, **gap),
            patient("stays", ASTHMA_VISIT),
        ],
    )
    cohort = build_cohort(EVERYBODY, claims)
    assert labels(cohort) == {"event-then-gap": 1, "stays": 0}
    assert cohort.attrition[-2].reasons == {"censored: left enrolment within the horizon": 2}


def test_the_last_day_of_the_horizon_decides_who_is_censored(tmp_path):
    claims = write_claims(
        tmp_path / "claims",
        [
            patient("case", ASTHMA_VISIT, ADMISSION),
            patient("to-the-end", ASTHMA_VISIT, enrollment_end_day=[day("2013-12-31")]),
            patient("a-day-less", ASTHMA_VISIT, enrollment_end_day=[day("2013-12-30")]),
        ],
    )
    assert labels(build_cohort(EVERYBODY, claims)) == {"case": 1, "to-the-end": 0}


def test_the_censored_are_counted_by_what_ended_their_observation(tmp_path):
    leaves = {"enrollment_end_day": [day("2013-05-31")]}
    claims = write_claims(
        tmp_path / "claims",
        [
            patient("case", ASTHMA_VISIT, ADMISSION),
            patient("control", ASTHMA_VISIT),
            *(patient(f"leaves{i}", ASTHMA_VISIT, **leaves) for i in range(3)),
            patient("dies", ASTHMA_VISIT, death_day=day("2013-02-01")),
            patient("leaves-then-dies", ASTHMA_VISIT, death_day=day("2013-07-01"), **leaves),
            patient("dies-and-enrolment-ends", ASTHMA_VISIT, death_day=day("2013-02-01"),
                    enrollment_end_day=[day("2013-02-01")]),
        ],
    )  # fmt: skip
    outcome_known = build_cohort(EVERYBODY, claims).attrition[-2]
    assert (outcome_known.patients, outcome_known.removed) == (2, 6)
    assert (outcome_known.cases, outcome_known.controls) == (1, 1)
    assert outcome_known.reasons == {
        "censored: left enrolment within the horizon": 4,
        "censored: died within the horizon": 2,
    }


# ---- Visits that are not paid yet ----


def test_a_visit_paid_after_the_index_date_is_hidden_and_one_paid_on_it_is_seen(tmp_path):
    visits = [ASTHMA_VISIT, ("2012-11-01", "OP", ["ICD9CM/4659"]), ("2012-12-01", "OP", ["ICD9CM/3829"])]
    on_time = paid("2012-06-01", "2013-01-01", "2013-01-02")
    patients = [
        patient("case", *visits, ADMISSION) | {"visit_paid_day": [*on_time["visit_paid_day"], day("2013-05-01")]},
        patient("control", *visits) | on_time,
        patient("unknown", *visits) | paid("2012-06-01", None, "2013-01-02"),
    ]
    claims = write_claims(tmp_path / "claims", patients)
    cohort = build_cohort(EVERYBODY, claims)
    assert labels(cohort) == {"case": 1, "control": 0, "unknown": 0}
    for row in cohort.examples.to_pylist():
        assert row["codes"] == [["ICD9CM/49390"], ["ICD9CM/4659"]]
        assert len(row["visit_paid_day"]) == 2
    assert cohort.visits_hidden == 3
    seen = build_cohort(replace(EVERYBODY, hide_unpaid=False), claims)
    assert [len(codes) for codes in seen.examples["codes"].to_pylist()] == [3, 3, 3]
    assert seen.visits_hidden is None
    # What was paid after the index date is seen, but not when.
    in_time = [day("2012-06-01"), day("2013-01-01"), None]
    assert seen.examples["visit_paid_day"].to_pylist() == [in_time, in_time, [in_time[0], None, None]]


def test_a_criterion_sees_no_more_than_an_example(tmp_path):
    patients = [patient(f"P{i}", ASTHMA_VISIT, *([ADMISSION] if i < 2 else [])) for i in range(4)]
    for each in patients:
        each["visit_paid_day"] = [day("2012-06-01"), day("2013-05-01")][: len(each["visit_day"])]
    late = patient("diagnosis-not-paid", ASTHMA_VISIT) | paid("2013-02-01")
    claims = write_claims(tmp_path / "claims", [*patients, late])
    assert set(labels(build_cohort(EVERYBODY, claims))) == {"P0", "P1", "P2", "P3"}
    assert len(labels(build_cohort(replace(EVERYBODY, hide_unpaid=False), claims))) == 5


def test_the_outcome_counts_by_its_service_date_whenever_it_is_paid(tmp_path):
    patients = [
        patient("case", ASTHMA_VISIT, ADMISSION) | paid("2012-06-01", "2015-05-01"),
        patient("control", ASTHMA_VISIT) | paid("2012-06-01"),
    ]
    assert labels(build_cohort(EVERYBODY, write_claims(tmp_path / "claims", patients))) == {"case": 1, "control": 0}


# ---- Sizes ----


def test_fewer_cases_than_asked_for_are_all_used_and_said_aloud(asthma_claims, caplog):
    cohort = build_cohort(ONE_DATE, asthma_claims)
    assert sum(labels(cohort).values()) == 10
    assert cohort.examples.num_rows == 10 + 19
    assert "asthma_exacerbation: expected 572 cases, found fewer (attrition.json): ALL OF THEM ARE USED" in caplog.text
    caplog.clear()
    build_cohort(ONE_DATE.with_sampling(cases=10, controls_per_case=1), asthma_claims)
    assert not caplog.text


def test_fewer_controls_than_asked_for_are_said_too(asthma_claims, caplog):
    cohort = build_cohort(ONE_DATE.with_sampling(cases=None, controls_per_case=50), asthma_claims)
    assert cohort.examples.num_rows == 40
    assert "expected 500 controls, found fewer" in caplog.text


def test_those_not_drawn_are_counted_by_label(asthma_claims):
    drawn = build_cohort(ONE_DATE.with_sampling(cases=4, controls_per_case=2), asthma_claims).attrition[-1]
    assert (drawn.patients, drawn.removed, drawn.cases, drawn.controls) == (12, 28, 4, 8)
    assert drawn.reasons == {"cases not drawn": 6, "controls not drawn": 22}


def test_another_seed_draws_other_controls_and_other_splits(tmp_path):
    patients = [patient(f"P{i:03d}", ASTHMA_VISIT, *([ADMISSION] if i % 4 == 0 else [])) for i in range(200)]
    claims = write_claims(tmp_path / "claims", patients, files=2)
    cohorts = [
        build_cohort(ONE_DATE.with_sampling(cases=None, controls_per_case=1, seed=seed), claims) for seed in (0, 1)
    ]
    cases = [{name for name, label in labels(cohort).items() if label} for cohort in cohorts]
    assert cases[0] == cases[1]
    controls = [{name for name, label in labels(cohort).items() if not label} for cohort in cohorts]
    assert controls[0] != controls[1]
    tests = [set(cohort.splits()["test"]["patient_id"].to_pylist()) & cases[0] for cohort in cohorts]
    assert tests[0] != tests[1]


def test_the_flow_chart_is_saved_beside_the_attrition_with_its_counts(asthma_claims, tmp_path):
    build_cohort(EVERYBODY, asthma_claims).save(tmp_path / "cohort", raw_counts=True)
    chart = (tmp_path / "cohort" / "flow_chart.svg").read_text()
    steps = json.loads((tmp_path / "cohort" / "attrition.json").read_text())
    assert steps[-2]["cases"] == 10
    for step in steps:
        assert f">n = {step['patients']:,}<" in chart
    assert "1 censored: left enrolment" in chart
    assert (
        steps[-1]["splits"]["train"]["cases"] + steps[-1]["splits"]["train"]["controls"]
        == steps[-1]["splits"]["train"]["all"]
    )
    content = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert content["hide_unpaid"] is True
    assert content["visits_hidden"] is None


def test_thinning_on_the_way_keeps_what_one_draw_keeps(tmp_path, monkeypatch):
    patients = [patient(f"P{i:03d}", ASTHMA_VISIT, *([ADMISSION] if i % 4 == 0 else [])) for i in range(120)]
    claims = write_claims(tmp_path / "claims", patients, files=8)
    definition = ONE_DATE.with_sampling(cases=6, controls_per_case=2)
    whole = build_cohort(definition, claims)
    monkeypatch.setattr(building, "_ROWS_BEFORE_THINNING", 5)
    thinned = build_cohort(definition, claims)
    assert thinned.examples.equals(whole.examples)
    assert thinned.attrition == whole.attrition


def test_a_window_beyond_the_last_day_of_the_data_censors_everybody_and_is_counted(tmp_path, caplog):
    both = replace(EVERYBODY, index=replace(ASTHMA.index, dates=("2012-06-01", "2013-01-01")))
    people = [patient(f"P{i}", ("2011-05-01", "OP", ["ICD9CM/49390"])) for i in range(4)]
    people += [patient("early", ASTHMA_VISIT, ("2012-07-01", "IP", ["ICD9CM/49392"]))]
    late = patient("late", ("2012-06-15", "OP", ["ICD9CM/49390"]), ADMISSION)
    until = {"2013-12-31": True, "2013-12-30": False}
    for number, (last_day, is_whole) in enumerate(until.items()):
        claims = write_claims(tmp_path / f"{number}", [*people, late], last_day=last_day)
        cohort = build_cohort(both, claims)
        found = labels(cohort)
        assert ("late" in found) == is_whole
        assert found["early"] == 1
        reasons = dict(cohort.attrition[-2].reasons)
        assert reasons == ({} if is_whole else {"censored: the data end within the horizon": 1})
        assert ("EVERYBODY IS CENSORED THERE" in caplog.text) != is_whole
        days = set(cohort.examples["index_day"].to_pylist())
        assert is_whole or days == {day("2012-06-01")}


def test_fixed_dates_of_which_no_window_lies_in_the_data_are_refused(tmp_path):
    claims = write_claims(tmp_path / "claims", [patient("P1", ASTHMA_VISIT, ADMISSION)], last_day="2013-12-30")
    with pytest.raises(ClaimDataError, match=r"E_DATA_END: 1 of 1 index dates of 'asthma_exacerbation' have .*beyond"):
        build_cohort(EVERYBODY, claims)


@pytest.mark.parametrize(("enrolled_until", "is_kept"), [("2013-12-31", True), ("2013-12-30", False)])
def test_a_window_without_services_counts_while_enough_patients_are_enrolled_and_is_said(
    tmp_path, caplog, enrolled_until, is_kept
):
    people = [patient("case", ASTHMA_VISIT, ADMISSION), patient("control", ASTHMA_VISIT)]
    claims = write_claims(tmp_path, people, last_day="2013-03-01", last_enrollment_day=enrolled_until)
    if is_kept:
        assert labels(build_cohort(EVERYBODY, claims)) == {"case": 1, "control": 0}
        assert "WHO HAS NO EVENT IS TAKEN AS OBSERVED" in caplog.text
    else:
        with pytest.raises(ClaimDataError, match="E_DATA_END"):
            build_cohort(EVERYBODY, claims)


def test_an_encounter_beyond_the_last_day_is_censored(tmp_path):
    index = replace(ASTHMA.index, rule="next_encounter", dates=(), first_date="2013-01-01", last_date="2013-12-31")
    asked = replace(EVERYBODY, index=index, label=replace(ASTHMA.label, horizon_days=1), criteria=())
    days = {"case": "2013-03-02", "control": "2013-03-02", "late case": "2013-03-03", "late": "2013-03-03"}
    people = [patient(name, (when, "IP" if "case" in name else "OP", ["ICD9CM/493"])) for name, when in days.items()]
    cohort = build_cohort(asked, write_claims(tmp_path / "claims", people, last_day="2013-03-02"))
    assert labels(cohort) == {"case": 1, "control": 0}
    assert dict(cohort.attrition[-2].reasons) == {"censored: the data end within the horizon": 2}


def test_the_last_day_of_a_look_back_counts_and_the_day_before_does_not(tmp_path):
    """2011-01-02 is 730 days before 2013-01-01, 2012-01-02 is 365."""
    people = [
        patient("case", ASTHMA_VISIT, ADMISSION),
        patient("last", ("2011-01-02", "OP", ["ICD9CM/49390"])),
        patient("before", ("2011-01-01", "OP", ["ICD9CM/49390"])),
        patient("enrolled", ASTHMA_VISIT, enrollment_start_day=[day("2012-01-02")]),
        patient("too late", ASTHMA_VISIT, enrollment_start_day=[day("2012-01-03")]),
    ]
    found = labels(build_cohort(EVERYBODY, write_claims(tmp_path / "claims", people)))
    assert found == {"case": 1, "last": 0, "enrolled": 0}


def test_the_birthday_on_the_index_date_counts(tmp_path):
    """Criteria of the cohort: 2 to 21 years."""
    births = {"two": "2011-01-01", "not two": "2011-01-02", "last day of 21": "1991-01-02", "22": "1991-01-01"}
    people = [patient("case", ASTHMA_VISIT, ADMISSION)]
    people += [patient(name, ASTHMA_VISIT, birth_day=day(birth)) for name, birth in births.items()]
    found = labels(build_cohort(EVERYBODY, write_claims(tmp_path / "claims", people)))
    assert found == {"case": 1, "two": 0, "last day of 21": 0}
