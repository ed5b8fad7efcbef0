import csv
import os
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.stays import join_stays
from claim_transformers.codes.normalize import normalize_codes
from claim_transformers.simulation.engine.data_files import read_pools
from claim_transformers.simulation.medicare import simulate_medicare_tables
from claim_transformers.simulation.medicare.causes import STAY_CAUSES
from claim_transformers.simulation.medicare.conditions import DATA as TABLES
from claim_transformers.simulation.medicare.counties import _county_codes, counties, county_table

DATA = os.environ.get("CLAIMS_DATA_DIR")
DIAGNOSES, PROCEDURES = read_pools(TABLES / "diagnoses.csv"), read_pools(TABLES / "procedures.csv")
TYPES = {"IP", "OP", "CAR", "DME", "HHA", "HOSP", "SNF"}


def _texts(table, column):
    return table[column].cast("string")


def test_all_seven_claim_types_and_drugs_are_there(claims):
    assert set(pc.unique(_texts(claims.medical_claim, "claim_type")).to_pylist()) == TYPES
    assert len(claims.pharmacy_claim) > 10_000


def test_every_code_is_in_canonical_form(claims):
    table = claims.medical_claim
    columns = {
        "ICD9CM": [f"diagnosis_code_{number}" for number in range(1, 9)],
        "ICD9PCS": [f"procedure_code_{number}" for number in range(1, 4)],
        "HCPCS": ["hcpcs_code"], "REV": ["revenue_center_code"], "DRG": ["drg_code"],
        "DISP": ["discharge_disposition_code"], "POS": ["place_of_service_code"],
    }  # fmt: skip
    for system, names in columns.items():
        for name in names:
            values = pc.unique(_texts(table, name)).drop_null()
            assert normalize_codes(system, values).codes.equals(
                values.combine_chunks() if hasattr(values, "chunks") else values
            )
    products = pc.unique(_texts(claims.pharmacy_claim, "ndc_code"))
    assert normalize_codes("NDC", products).codes.equals(products)


def test_claims_lie_in_coverage_and_in_life(claims):
    spans, table = claims.eligibility, claims.medical_claim
    start, end = (spans[name].to_numpy() for name in ("enrollment_start_date", "enrollment_end_date"))
    person = np.array(_texts(spans, "person_id").to_pylist())
    order = np.lexsort((start, person))
    names, position = np.unique(person[order], return_inverse=True)
    owner = np.searchsorted(names, np.array(_texts(table, "person_id").to_pylist()))
    epoch = np.datetime64("2000-01-01")
    key = position.astype(np.int64) * 100_000 + (start[order] - epoch).astype(np.int64)
    day = table["claim_start_date"].to_numpy()
    span = np.searchsorted(key, owner.astype(np.int64) * 100_000 + (day - epoch).astype(np.int64), side="right") - 1
    assert np.array_equal(position[span], owner)
    assert (day <= end[order][span]).all()
    death = spans["death_date"].to_numpy()[order][span]
    dead = ~np.isnat(death)
    assert (table["claim_end_date"].to_numpy()[dead] <= death[dead]).all()


def test_dates_are_in_order_and_payment_comes_later(claims):
    table = claims.medical_claim
    start, end, line, paid = (
        table[name].to_numpy() for name in ("claim_start_date", "claim_end_date", "claim_line_start_date", "paid_date")
    )
    assert (start <= end).all()
    assert ((start <= line) & (line <= end)).all()
    assert (paid >= end + np.timedelta64(14, "D")).all()


def test_joined_stays_of_the_claims_are_the_stays_with_a_true_risk(claims):
    table = claims.medical_claim
    names = ["claim_id", "claim_start_date", "claim_end_date", "admission_date", "discharge_date"]
    names += ["discharge_disposition_code", "claim_type"]
    lines = table.select([*names, "data_source"]).append_column("patient_id", _texts(table, "person_id"))
    connection = connect(threads=1)
    stays = fetch(connection, join_stays(load(connection, "claim_line", lines)))
    joined = {
        (row["patient_id"], row["admission_date"], row["discharge_date"])
        for row in stays.to_pylist()
        if row["discharge_disposition_code"] != "20"
    }
    risks = claims.true_risk.filter(pc.equal(_texts(claims.true_risk, "outcome"), "readmission_any"))
    told = {(row["patient_id"], row["admission_date"], row["discharge_date"]) for row in risks.to_pylist()}
    assert len(told) > 2000
    # A stay that is discharged in a month without coverage is billed, but has no risk.
    assert told <= joined
    assert len(joined - told) < 0.02 * len(joined)


def test_transfers_are_two_claims_on_one_day_and_interim_bills_have_no_discharge(claims):
    table = claims.medical_claim
    stays = table.filter(pc.equal(_texts(table, "claim_type"), "IP")).select(
        ["person_id", "claim_id", "claim_start_date", "claim_end_date", "discharge_disposition_code", "discharge_date"]
    )
    rows = {row["claim_id"]: row for row in stays.to_pylist()}.values()
    starts = {(row["person_id"], row["claim_start_date"]) for row in rows}
    moved = [row for row in rows if row["discharge_disposition_code"] == "02"]
    assert len(moved) > 20
    assert np.mean([(row["person_id"], row["claim_end_date"]) in starts for row in moved]) > 0.9
    open_bills = [row for row in rows if row["discharge_disposition_code"] == "30"]
    assert open_bills
    assert all(row["discharge_date"] is None for row in open_bills)


def test_rates_lie_near_those_of_medicare(claims):
    spans, table = claims.eligibility, claims.medical_claim
    years = (spans["enrollment_end_date"].to_numpy() - spans["enrollment_start_date"].to_numpy()).astype(
        int
    ).sum() / 365
    stays = pc.count_distinct(table.filter(pc.equal(_texts(table, "claim_type"), "IP"))["claim_id"]).as_py()
    assert 0.28 < stays / years < 0.42
    dead = spans.filter(pc.is_valid(spans["death_date"]))
    deaths = len(pc.unique(_texts(dead, "person_id")))
    assert 0.035 < deaths / years < 0.065
    young = pc.mean(pc.not_equal(_texts(spans, "original_reason_entitlement_code"), "0").cast("float64")).as_py()
    assert 0.18 < young < 0.32


def test_counties_are_real_codes_and_deprived_ones_have_more_duals(claims):
    spans, known, published = claims.eligibility, counties(), county_table()
    assert set(pc.unique(_texts(spans, "county_fips")).to_pylist()) <= set(_county_codes())
    # What nobody could know is not published; the index that is follows it.
    assert published.column_names == ["county_fips", "deprivation_index", "is_rural"]
    assert np.corrcoef(known.deprivation, published["deprivation_index"].to_numpy())[0, 1] > 0.8
    depth = dict(zip(known.fips, known.deprivation.tolist(), strict=True))
    of_span = np.array([depth[code] for code in _texts(spans, "county_fips").to_pylist()])
    is_dual = pc.not_equal(_texts(spans, "dual_status_code"), "NA").to_numpy()
    assert is_dual[of_span > 0.5].mean() > is_dual[of_span < -0.5].mean() + 0.03


def test_version_2_draws_icd_10_from_pools_of_its_own():
    claims = simulate_medicare_tables(300, 2, start="2015-07-01", end="2015-12-31", simulation_version=2)
    new = _texts(_in_icd10(claims), "diagnosis_code_1")
    assert set(pc.unique(new).to_pylist()) <= {code for pool in DIAGNOSES["ICD10CM"].values() for code in pool.split()}


def _in_icd10(claims):
    """Lines in ICD-10, which are those of claims that end in October 2015 or later."""
    table = claims.medical_claim
    later = table["claim_end_date"].to_numpy() >= np.datetime64("2015-10-01")
    is_icd10 = pc.equal(_texts(table, "diagnosis_code_type"), "icd-10-cm")
    assert np.array_equal(is_icd10.to_numpy(), later)
    return table.filter(is_icd10)


def test_both_versions_have_the_same_pools():
    assert list(DIAGNOSES["ICD9CM"]) == list(DIAGNOSES["ICD10CM"])
    assert list(PROCEDURES["ICD9PCS"]) == list(PROCEDURES["ICD10PCS"])


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_a_cause_is_planned_exactly_where_the_public_lists_say_so():
    folder = Path(DATA, "terminology")

    def grouper(name):
        with (folder / "ccs_icd9" / name).open() as file:
            rows = list(csv.reader(file))[2:]
        return {row[0].strip("' "): int(row[1].strip("' ")) for row in rows}

    def listed(name):
        with (folder / "readmissions_cms" / name).open() as file:
            return {int(row[0]) for row in list(csv.reader(file))[1:]}

    diagnoses, procedures = grouper("dxref_2015.csv"), grouper("prref_2015.csv")
    always = listed("always_planned_ccs_procedure_category.csv")
    always_diagnosis = listed("always_planned_ccs_diagnosis_category.csv")
    potential, acute = listed("potentially_planned_ccs_procedure_category.csv"), listed("acute_diagnosis_ccs.csv")
    for cause in STAY_CAUSES:
        pools = [part.partition(":")[0] for part in cause.procedures.split()] + ["general"]
        for code in DIAGNOSES["ICD9CM"][cause.pool].split():
            group = diagnoses[code]
            for pool in pools[:-1] if cause.planned else pools:
                for procedure in PROCEDURES["ICD9PCS"][pool].split():
                    done = procedures[procedure]
                    planned = group in always_diagnosis or done in always or (done in potential and group not in acute)
                    assert planned == cause.planned, (cause.name, code, procedure)
