"""Admitted for a disease: the principal diagnosis counts for entry, exclusion and outcome alike."""

from dataclasses import replace

import pytest
from cohorts.patients_by_hand import day
from cohorts.stays_by_hand import inpatient, outpatient, write_stays

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import EventDefinition, build_cohort, load_definition
from claim_transformers.cohorts.event.definition import Criterion, IndexRule, LabelRule

FAILURE = EventDefinition(
    name="failure", title="Admitted for heart failure", source="this test", codes={"failure": ("ICD9CM/428",)},
    index=IndexRule("fixed_date", ("2009-06-10",)), criteria=(),
    label=LabelRule(100, codes="failure", principal=True, visit_types=("IP",)),
)  # fmt: skip
FIRST, SECOND = "ICD9CM/4280 ICD9CM/25000", "ICD9CM/25000 ICD9CM/4280"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight patients: heart failure first or second, before and after the index date."""
    claims = []
    for number in range(8):
        patient_id = f"P{number}"
        claims += [
            outpatient(patient_id, "o", "2009-01-01", codes="ICD9CM/4019"),
            inpatient(patient_id, "before", "2009-03-01", "2009-03-05", codes=FIRST if number < 4 else SECOND),
            inpatient(patient_id, "after", "2009-07-01", "2009-07-05", codes=FIRST if number % 2 else SECOND),
        ]
    return write_stays(tmp_path_factory.mktemp("failure") / "claims", claims, last_day="2009-12-31")


def labels(cohort):
    return dict(zip(cohort.examples["patient_id"].to_pylist(), cohort.examples["label"].to_pylist(), strict=True))


def test_an_outcome_counts_as_the_principal_diagnosis_alone(folder):
    assert labels(build_cohort(FAILURE, folder)) == {f"P{number}": number % 2 for number in range(8)}
    anywhere = replace(FAILURE, label=replace(FAILURE.label, principal=False))
    with pytest.raises(ClaimDataError, match=r"E_ONE_CLASS.* <11 positive of <11"):
        build_cohort(anywhere, folder)


@pytest.mark.parametrize(("principal", "exclude", "left"), [
    (True, False, {0, 1, 2, 3}), (True, True, {4, 5, 6, 7}), (False, False, set(range(8))),
])  # fmt: skip
def test_a_step_asks_for_the_principal_diagnosis_for_entry_and_exclusion(folder, principal, exclude, left):
    step = Criterion("admitted for it", "codes", codes="failure", principal=principal, exclude=exclude)
    cohort = build_cohort(replace(FAILURE, criteria=(step,)), folder)
    assert set(labels(cohort)) == {f"P{number}" for number in left}


def test_the_index_visit_of_a_case_is_the_first_with_the_principal_diagnosis(folder):
    index = IndexRule("next_encounter", first_date="2009-02-01", last_date="2009-12-31")
    cohort = build_cohort(replace(FAILURE, index=index, label=replace(FAILURE.label, horizon_days=1)), folder)
    cases = {row["patient_id"]: row["index_day"] for row in cohort.examples.to_pylist() if row["label"]}
    before, after = day("2009-03-01"), day("2009-07-01")
    assert cases == {**{f"P{number}": before for number in range(4)}, "P5": after, "P7": after}


def test_claims_without_a_principal_diagnosis_are_refused(tmp_path):
    claims = [outpatient(f"P{number}", "o", "2009-01-01", diagnoses=[
        {"system": "ICD9CM", "code": "4280", "poa": None, "rank": 2}]) for number in range(4)]  # fmt: skip
    with pytest.raises(ClaimDataError, match=r"E_COLUMN: expected principal_codes .*leave principal out"):
        build_cohort(FAILURE, write_stays(tmp_path / "claims", claims, last_day="2009-12-31"))


@pytest.mark.parametrize(
    ("label", "criteria", "message"),
    [
        ("{horizon_days: 30, principal: true}", "[]", "label.principal: expected codes"),
        (
            "{horizon_days: 30}",
            "[{step: s, rule: visits, principal: true}]",
            "expected principal with the rule 'codes'",
        ),
    ],
)
def test_principal_without_codes_is_refused(tmp_path, label, criteria, message):
    path = tmp_path / "cohort.yaml"
    path.write_text(
        "name: a\ntitle: b\nsource: c\ncodes: {}\nindex: {rule: fixed_date, dates: [2009-06-10]}\n"
        f"criteria: {criteria}\nlabel: {label}\n"
    )
    with pytest.raises(ValueError, match=message):
        load_definition(path)
