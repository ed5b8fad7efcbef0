import collections
import itertools

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.codes import normalize_code
from claim_transformers.simulation import DirtRates, simulate_tables
from claim_transformers.simulation.pediatric.dirt import _DAMAGED_CODES, _IMPOSSIBLE_DATE, _SENTINELS, _as_text

WINDOW = {"end": "2010-12-31", "replicates": 0}
RATES = DirtRates(
    exact_duplicate=0.02,
    reversal=0.02,
    sentinel_date=0.01,
    impossible_date=0.01,
    missing_patient_id=0.01,
    damaged_code=0.01,
    ndc_10_digits=0.02,
    discharge_before_admission=0.05,
    before_birth=0.01,
    claim_shared=0.01,
    overlapping_enrollment=0.05,
)


@pytest.fixture(scope="module")
def clean():
    return simulate_tables(600, 9, **WINDOW)


@pytest.fixture(scope="module")
def dirty():
    return simulate_tables(600, 9, dirt=RATES, **WINDOW)


def _rows(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def test_rows_in_are_clean_rows_plus_those_added(clean, dirty):
    for name in ("medical_claim", "pharmacy_claim", "eligibility"):
        added = sum(
            count
            for kind, count in dirty.dirt.items()
            if kind in (f"{name}.exact_duplicate", f"{name}.reversal", f"{name}.overlapping_enrollment")
        )
        assert added > 0
        assert getattr(dirty, name).num_rows == getattr(clean, name).num_rows + added


def test_all_columns_are_strings_and_untouched_rows_are_as_before(clean, dirty):
    assert all(field.type == pa.string() for field in dirty.medical_claim.schema)
    for name in ("medical_claim", "pharmacy_claim", "eligibility"):
        touched = sum(count for kind, count in dirty.dirt.items() if kind.startswith(name))
        before = collections.Counter(_rows(_as_text(getattr(clean, name))))
        after = collections.Counter(_rows(getattr(dirty, name)))
        assert sum((before - after).values()) <= touched
        assert sum((before & after).values()) > 0.7 * sum(before.values())


def test_each_count_can_be_found_again_in_the_rows(dirty):
    medical, pharmacy = dirty.medical_claim.to_pylist(), dirty.pharmacy_claim.to_pylist()
    count = dirty.dirt
    assert count["medical_claim.missing_patient_id"] == sum(not (row["person_id"] or "").strip() for row in medical)
    assert count["medical_claim.sentinel_date"] == sum(row["claim_start_date"] in _SENTINELS for row in medical)
    assert count["medical_claim.impossible_date"] == sum(
        row["claim_start_date"] == _IMPOSSIBLE_DATE for row in medical
    )
    assert count["medical_claim.damaged_code"] == sum(row["diagnosis_code_1"] in _DAMAGED_CODES for row in medical)
    assert count["medical_claim.reversal"] == sum(row["paid_amount"].startswith("-") for row in medical)
    assert count["medical_claim.code_form"] == sum(row["diagnosis_code_1"].startswith(" ") for row in medical)
    turned = [row for row in medical if row["discharge_date"] and row["discharge_date"] < row["admission_date"]]
    assert count["medical_claim.discharge_before_admission"] == len(turned) > 0
    assert count["pharmacy_claim.ndc_10_digits"] == sum(len(row["ndc_code"]) == 10 for row in pharmacy) > 0
    assert count["pharmacy_claim.ndc_form"] == sum("-" in row["ndc_code"] for row in pharmacy)
    copies = collections.Counter(tuple(row.values()) for row in medical)
    assert count["medical_claim.exact_duplicate"] == sum(number - 1 for number in copies.values())


def test_services_before_birth_are_counted(dirty):
    births = {row["person_id"]: row["birth_date"] for row in dirty.eligibility.to_pylist()}
    for name, column in (("medical_claim", "claim_start_date"), ("pharmacy_claim", "dispensing_date")):
        rows = getattr(dirty, name).to_pylist()
        early = [
            row
            for row in rows
            if (row["person_id"] or "").strip()
            and row[column] not in (*_SENTINELS, _IMPOSSIBLE_DATE)
            and row[column] < births[row["person_id"]]
        ]
        assert len(early) == dirty.dirt[f"{name}.before_birth"] > 0


def test_shared_claim_numbers_join_two_patients(dirty):
    owners = collections.defaultdict(set)
    rows = collections.Counter()
    for row in dirty.medical_claim.to_pylist():
        if (row["person_id"] or "").strip():
            owners[row["claim_id"]].add(row["person_id"])
            rows[row["claim_id"]] += 1
    shared = [claim for claim, names in owners.items() if len(names) > 1]
    assert sum(rows[claim] for claim in shared) == dirty.dirt["medical_claim.claim_shared"] > 0


def test_overlapping_spans_are_counted(dirty):
    rows = sorted(
        (row["person_id"], row["enrollment_start_date"], row["enrollment_end_date"])
        for row in dirty.eligibility.to_pylist()
    )
    unique = sorted(set(rows))
    overlaps = sum(first[0] == second[0] and second[1] <= first[2] for first, second in itertools.pairwise(unique))
    duplicates = len(rows) - len(unique)
    planted = dirty.dirt["eligibility.overlapping_enrollment"] + dirty.dirt["eligibility.exact_duplicate"]
    assert overlaps + duplicates == planted
    assert overlaps > 0


def test_dirt_leaves_the_true_risk_alone(clean, dirty):
    assert dirty.true_risk.equals(clean.true_risk)


def test_typical_dirt_stays_below_the_limits_of_the_quality_gate():
    claims = simulate_tables(300, 2, dirt="typical", **WINDOW)
    lines = claims.medical_claim.num_rows
    harmless = {"code_form", "ndc_form", "exact_duplicate", "reversal"}
    for kind, count in claims.dirt.items():
        if kind.startswith("medical_claim") and kind.split(".")[1] not in harmless:
            assert count < 0.01 * lines
    assert np.sum(list(claims.dirt.values())) > 0


def test_a_code_with_its_dot_is_read_as_the_code_that_it_was_in_either_coding():
    rates = DirtRates(**{name: 0.05 if name == "code_form" else 0.0 for name in DirtRates.__annotations__})
    for coding, system in (("never", "ICD9CM"), ("always", "ICD10CM")):
        clean, dirty = (simulate_tables(200, 9, dirt=dirt, icd10_from=coding, **WINDOW) for dirt in (None, rates))
        before, after = (claims.medical_claim["diagnosis_code_1"].cast("string") for claims in (clean, dirty))
        changed = [(old, new) for old, new in zip(before.to_pylist(), after.to_pylist(), strict=True) if old != new]
        assert len(changed) > 50
        assert any(old.startswith("E") for old, _ in changed) or system == "ICD9CM"
        for old, new in changed:
            assert normalize_code(system, new) == old
            # A dot stands behind three characters, or four of an external cause in ICD-9.
            whole = 4 if old.startswith("E") and system == "ICD9CM" else 3
            assert new.strip().partition(".")[0].upper() == old[:whole]
