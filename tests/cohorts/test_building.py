"""Selection, labels, leakage and sampling of cohorts on timelines written by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts.patients_by_hand import ADMISSION, ASTHMA_VISIT, day, patient, write_claims
from datasets import load_from_disk

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import build_cohort, load_definition
from claim_transformers.cohorts.definition import Sampling

ASTHMA = load_definition("asthma_exacerbation")
ONE_DATE = replace(ASTHMA, index=replace(ASTHMA.index, dates=("2013-01-01",)))
EVERYBODY = replace(ONE_DATE, sampling=Sampling())


def labels(cohort) -> dict[str, int]:
    return dict(zip(cohort.examples["patient_id"].to_pylist(), cohort.examples["label"].to_pylist(), strict=True))


def test_an_admission_within_the_horizon_is_a_case_and_the_others_are_controls(asthma_claims):
    found = labels(build_cohort(EVERYBODY, asthma_claims))
    assert len(found) == 40
    assert all(label == (int(name[1:]) % 4 == 0) for name, label in found.items())


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


def test_unknown_eligibility_keeps_the_patient(tmp_path):
    unknown = {"enrollment_start_day": [], "enrollment_end_day": []}
    claims = write_claims(
        tmp_path / "claims",
        [patient("case", ASTHMA_VISIT, ADMISSION, **unknown), patient("b", ASTHMA_VISIT, **unknown)],
    )
    assert labels(build_cohort(EVERYBODY, claims)) == {"case": 1, "b": 0}


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
    everyone = build_cohort(replace(load_definition("suicide_attempt"), sampling=Sampling()), tmp_path / "claims")
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
    cohort.save(tmp_path / "cohort")
    loaded = load_from_disk(str(tmp_path / "cohort"))
    assert sum(split.num_rows for split in loaded.values()) == 40
    assert {"label", "index_day", "codes", "visit_day"} <= set(loaded["train"].column_names)
    steps = json.loads((tmp_path / "cohort" / "attrition.json").read_text())
    assert steps[0] == {"step": "patients with a visit", "patients": 44, "removed": 0}
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
    with pytest.raises(ClaimDataError, match="E_WRITE: could not write 'cohort': No space left on device"):
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


def test_messages_hold_no_identifier_and_no_date(tmp_path):
    claims = write_claims(tmp_path / "claims", [patient("ZZCANARY77", ASTHMA_VISIT)])
    with pytest.raises(ClaimDataError) as caught:
        build_cohort(EVERYBODY, claims)
    assert "ZZCANARY77" not in str(caught.value)
    assert "2012-05-01" not in str(caught.value)
