"""The claims behind each visit, found again by patient, day and type."""

import pyarrow as pa
import pyarrow.parquet as pq
from cohorts.stays_by_hand import date, inpatient, outpatient, write_stays

from claim_transformers.cohorts import ReadmissionDefinition, build_cohort, claims_of_visits


def ids_of(table, patients):
    """`(patient, visit)` to the claims behind it, in the order of the result."""
    names = patients["patient_id"].to_pylist()
    found = {}
    for row in table.to_pylist():
        found.setdefault((names[row["row"]], row["visit"]), []).append((row["data_source"], row["claim_id"]))
    return found


def test_each_visit_gets_the_claims_of_its_patient_day_and_type(tmp_path):
    procedures = [{"system": "ICD9PCS", "code": "9671", "date": date("2009-03-03")}]
    claims = [
        outpatient("P1", "1", "2009-01-01"),
        outpatient("P1", "2", "2009-01-01"),
        outpatient("P1", "2", "2009-01-01", data_source="another payer"),
        outpatient("P1", "3", "2009-01-01", claim_type="CAR"),
        inpatient("P1", "4", "2009-03-01", "2009-03-05", procedures=procedures),
        outpatient("P2", "5", "2009-01-01"),
    ]
    folder = write_stays(tmp_path / "claims", claims)
    patients = pa.concat_tables(map(pq.read_table, sorted((folder / "patients").glob("*.parquet"))))
    assert ids_of(claims_of_visits(patients, folder), patients) == {
        ("P1", 0): [("by hand", "3")],
        ("P1", 1): [("another payer", "2"), ("by hand", "1"), ("by hand", "2")],
        ("P1", 2): [("by hand", "4")],
        ("P1", 3): [("by hand", "4")],
        ("P2", 0): [("by hand", "5")],
    }
    second = patients.slice(1, 1) if patients["patient_id"][0].as_py() == "P1" else patients.slice(0, 1)
    assert ids_of(claims_of_visits(second, folder), second) == {("P2", 0): [("by hand", "5")]}


def test_an_index_stay_has_all_of_its_joined_claims(tmp_path):
    claims = []
    for number in range(40):
        claims += [
            outpatient(f"P{number:02d}", "before", "2009-04-01"),
            inpatient(f"P{number:02d}", "first", "2009-05-10", "2009-05-15"),
            inpatient(f"P{number:02d}", "second", "2009-05-15", "2009-05-20"),
            outpatient(f"P{number:02d}", "after", "2009-10-01"),
        ]
        if number % 2:
            claims.append(inpatient(f"P{number:02d}", "next", "2009-06-01", "2009-06-03"))
    folder = write_stays(tmp_path / "claims", claims)
    examples = build_cohort(ReadmissionDefinition(rule="stays", disposition=False), folder).examples
    found = ids_of(claims_of_visits(examples.slice(0, 1), folder), examples)
    assert found == {
        ("P00", 0): [("by hand", "before")],
        ("P00", 1): [("by hand", "first"), ("by hand", "second")],
    }
