"""Assessments: the same risk as a score, the same reasons as an explanation, and a stay without a claim."""

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from serving.served import CODES, MARK, TODAY, claims, save_checkpoint
from sources.fhir_resources import bundle, coverage, patient, payer_eob

from claim_transformers.analysis import PriorCorrection
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.models.claim.form_claim import ClaimForm
from claim_transformers.serving import Assessor, IndexStay, save_risk_intervals
from claim_transformers.serving.cards import how_sure
from claim_transformers.serving.index_stays import read_encounter
from claim_transformers.serving.interventions import choose_interventions, read_interventions
from claim_transformers.serving.reasons import VISIT_KINDS, Reason, _name_services
from claim_transformers.serving.risk_intervals import read_risk_intervals
from claim_transformers.sources.formats.fhir_eob.bundle import read_eob_bundle
from claim_transformers.training import Scorer, save_calibration

RESOURCES = [patient(MARK), claims(), bundle(coverage(MARK))]
STAY = IndexStay(TODAY, TODAY - dt.timedelta(days=5), ("ICD10CM/I5023",))


@pytest.fixture(scope="module")
def found(assessor):
    return assessor.assess(RESOURCES, TODAY, patient_id=MARK)


def test_the_risk_is_the_score_of_the_same_claims_on_the_same_day(checkpoint, found):
    patients = read_eob_bundle(RESOURCES, extract_date=TODAY).patients
    scores, _ = Scorer.from_pretrained(checkpoint, precision="float32", everyone=True).score(patients, TODAY)
    assert found.risk == pytest.approx(scores["score"][0].as_py(), abs=1e-6)
    assert found.newest_claim_days == (TODAY - scores["last_visit_date"][0].as_py()).days
    assert (found.checkpoint, found.calibration) == (scores["checkpoint"][0].as_py(), "none")


def test_the_explanation_is_of_the_same_record_and_probability(assessor, found):
    explanation = assessor.explain(found)
    assert explanation.prediction / 100 == pytest.approx(found.risk, abs=1e-6)
    assert {reason.group for reason in found.reasons} <= {"AGE", "SEX", "TYPE/CAR", *CODES, *CODES.values()}
    assert len(found.reasons) == 3
    assert found.reasons[0].points != 0
    assert [abs(one.points) for one in found.reasons] == sorted(
        (abs(one.points) for one in found.reasons), reverse=True
    )


def test_amounts_of_the_claims_are_read_and_the_stay_that_ends_has_none(assessor):
    category = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "benefit"}]}
    paid = [{"category": category, "amount": {"value": 80.5, "currency": "USD"}}]
    eob = payer_eob("1", MARK)
    eob["item"] = [{**eob["item"][0], "adjudication": paid}]
    seen = [assessor.assess([patient(MARK), eob], TODAY, index_stay=stay).record for stay in (None, STAY)]
    assert [record["visit_amount"].to_pylist() for record in seen] == [[[80.5]], [[80.5, None]]]
    assert all(len(set(record.column_names)) == record.num_columns for record in seen)


def test_what_a_card_names_is_in_words_of_a_clinic():
    assert _name_services("992") == "visits and consultations (HCPCS codes that begin with 992)"
    assert _name_services("70").startswith("imaging")
    assert _name_services("G0").startswith("services (")
    assert VISIT_KINDS["CAR"] == "physician"


def test_no_identifier_is_kept(found):
    assert MARK not in repr(found)
    assert found.record["patient_id"].to_pylist() == [""]


def test_the_order_of_resources_and_bundles_does_not_matter(assessor, found):
    loose = [coverage(MARK), payer_eob("2", MARK), patient(MARK), payer_eob("1", MARK)]
    assert assessor.assess(loose, TODAY).risk == found.risk


def test_a_stay_that_ends_is_the_last_visit_and_hides_what_follows_the_discharge(assessor):
    def record(*more, stay=STAY):
        seen = assessor.assess([*RESOURCES, *more], TODAY, index_stay=stay).record
        # The last day of the claims is where enrolment without an end ends.
        return seen.drop_columns(["enrollment_end_day"])

    def eob(number, day):
        one = payer_eob(number, MARK, billablePeriod={"start": day, "end": day}, created=day)
        return one | {"item": [{**line, "servicedDate": day} for line in one["item"]]}

    seen = record()
    days, kinds, codes = (seen[name][0].as_py() for name in ("visit_day", "visit_type", "codes"))
    assert (days[-1], kinds[-1], codes[-1]) == ((TODAY - dt.date(1970, 1, 1)).days, "IP", ["ICD10CM/I5023"])
    assert seen["index_day"][0].as_py() == days[-1] + 1
    assert seen["length_of_stay_days"][0].as_py() == 5
    assert record(eob("9", f"{TODAY}")).equals(seen)
    assert not record(eob("9", "2024-05-30")).equals(seen)


def test_a_form_of_readmissions_writes_the_length_of_the_stay_and_no_amount(tmp_path):
    form = ClaimForm("category", bins={"LOS": (3.0,), "PAID": (1.0,)}, categories=CODES)
    assessor = Assessor(save_checkpoint(tmp_path, form=form), "Death")
    found = assessor.assess(RESOURCES, TODAY, index_stay=STAY)
    tokens, share = assessor._encode(found.record)
    names = assessor._tokenizer.convert_ids_to_tokens(tokens["input_ids"][0].as_py())
    assert share == 0.0
    assert {"LOS/1", "CCSR/CIR019"} <= set(names)
    assert not any(name.startswith("PAID/") for name in names)
    assert assessor.explain(found).prediction / 100 == pytest.approx(found.risk, abs=1e-6)
    assert assessor.assess(RESOURCES, TODAY).risk is not None


@pytest.mark.parametrize(("bins", "hide", "warnings"), [({}, (), 0), ({"INCOME": (1.0,)}, (), 1),
                                                        ({"INCOME": (1.0,)}, ("county",), 0)])  # fmt: skip
def test_a_checkpoint_that_learned_from_counties_says_that_requests_have_none(tmp_path, caplog, bins, hide, warnings):
    form = ClaimForm("category", county_bins=bins, hide=hide, categories=CODES)
    Assessor(save_checkpoint(tmp_path, form=form), "Death")
    assert sum("measures of counties" in record.getMessage() for record in caplog.records) == warnings


def test_a_later_claim_changes_nothing(assessor, found):
    later = payer_eob("3", MARK, billablePeriod={"start": "2024-07-01", "end": "2024-07-01"}, created="2024-07-01")
    assert assessor.assess([*RESOURCES, later], TODAY).risk == found.risk


@pytest.mark.parametrize(
    ("spans", "days"),
    [
        ([("2020-01-01", None)], 365),
        ([("2024-05-02", None), ("2024-05-12", "2024-05-20")], 30),
        ([("2024-05-02", "2024-05-11"), ("2024-05-22", "2030-01-01")], 20),
        ([("2024-06-01", None)], 0),
        ([(None, None)], None),
    ],
)
def test_days_of_enrolment_are_counted_once_up_to_the_day(assessor, spans, days):
    covered = [coverage(MARK, start=start, end=end) for start, end in spans]
    assert assessor.assess([patient(MARK), claims(), *covered], TODAY).enrolled_days == days


def test_an_encounter_is_a_stay_that_ends_today_at_the_latest():
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": one} for one in ("i50.23", "?!")]}
    given = {"period": {"start": "2024-05-27T01:00:00-05:00", "end": "2024-12-01"}, "reasonCode": [code, None]}
    assert read_encounter(given, TODAY) == IndexStay(TODAY, dt.date(2024, 5, 27), ("ICD10CM/I5023",))
    assert read_encounter({}, TODAY) == IndexStay(TODAY)
    assert read_encounter({"class": {"code": "IMP"}}, TODAY) == IndexStay(TODAY)
    assert read_encounter({"class": {"code": "AMB"}}, TODAY) is None


def test_calibration_and_intervals_go_with_the_checkpoint(tmp_path):
    folder = save_checkpoint(tmp_path / "checkpoint")
    save_calibration(folder, PriorCorrection(0.5, 0.2))
    rng = np.random.default_rng(0)
    risks = rng.random(2000)
    save_risk_intervals(folder, rng.random(2000) < risks, risks)
    assessor = Assessor(folder, "Death")
    found = assessor.assess(RESOURCES, TODAY)
    assert assessor.explain(found).prediction / 100 == pytest.approx(found.risk, abs=1e-6)
    assert found.calibration == "prior"
    assert found.interval.low <= found.risk <= found.interval.high
    assert "outside" not in how_sure(found)
    assert "lies outside" in how_sure(dataclasses.replace(found, risk=found.interval.high + 0.01))
    save_calibration(folder, PriorCorrection(0.5, 0.3))
    with pytest.raises(ValueError, match="anew"):
        Assessor(folder, "Death")


def test_intervals_cover_and_hide_small_groups(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    rng = np.random.default_rng(1)
    risks = rng.beta(1, 8, 400)
    labels = rng.random(400) < risks
    save_risk_intervals(tmp_path, labels, risks)
    found = read_risk_intervals(tmp_path)
    groups = np.searchsorted(found.edges, risks, side="right")
    for number, interval in enumerate(found.intervals):
        of_group = labels[groups == number]
        assert min(of_group.sum(), (~of_group).sum()) >= 11
        assert 0 <= interval.low < of_group.mean() < interval.high <= 1
    assert len(found.intervals) > 1
    assert found.of_risk(0.0) == found.intervals[0]
    with pytest.raises(ValueError, match="at least 11"):
        save_risk_intervals(tmp_path, [0] * 90 + [1] * 10, [0.1] * 100)
    with pytest.raises(ValueError, match="from 0 to 1"):
        save_risk_intervals(tmp_path, [0, 1], [0.1, np.nan])


def test_intervals_are_found_by_a_name_of_the_hub_as_a_calibration_is(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    save_risk_intervals(tmp_path, [0, 1] * 50, [0.5] * 100)

    def cached(name: str, file: str, **_: object) -> str | None:
        assert name == "organisation/model"
        return str(tmp_path / file) if Path(tmp_path, file).is_file() else None

    monkeypatch.setattr("claim_transformers.training.scoring.calibration.cached_file", cached)
    assert read_risk_intervals("organisation/model") == read_risk_intervals(tmp_path) is not None


def test_a_checkpoint_of_several_outcomes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one outcome"):
        Assessor(save_checkpoint(tmp_path, num_labels=3), "Death")


def test_claims_of_several_patients_are_refused(assessor):
    with pytest.raises(ClaimDataError, match="E_FOREIGN"):
        assessor.assess([payer_eob("1", MARK), payer_eob("2", "Eve")], TODAY)


def test_suggestions_follow_the_heaviest_reasons_that_raise_the_risk(tmp_path):
    table = read_interventions(None)
    reasons = tuple(
        Reason(group, group, points, 1, 1)
        for group, points in [("CCSR/END002", -9.0), ("CCSR/RSP008", 3.0), ("CCSR/CIR019", 2.0), ("CCSR/RSP009", 1.0)]
    )
    chosen = choose_interventions(table, reasons, 3)
    assert [one.reasons[0] for one in chosen] == ["CCSR/RSP008", "CCSR/CIR019"]
    assert choose_interventions(table, reasons, 1) == chosen[:1]
    (tmp_path / "table.yaml").write_text("- {reasons: [], action: Call}")
    with pytest.raises(ValueError, match=r"table\.yaml"):
        read_interventions(tmp_path / "table.yaml")


def test_unknown_codes_are_counted(assessor, found):
    assert found.unknown_code_share == 0.0
    assert pc.list_value_length(found.record["codes"])[0].as_py() == found.num_visits
