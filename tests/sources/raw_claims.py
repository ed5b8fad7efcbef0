"""Small raw files in the layouts of the sources, written by the tests."""

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.registry import find_source

Row = dict[str, Any]

SYNPUF, TUVA = (find_source(name).read_layouts() for name in ("synpuf", "tuva"))

BENEFICIARY_FILE = "DE1_0_{year}_Beneficiary_Summary_File_Sample_1.csv"
INPATIENT_FILE = "DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.csv"
OUTPATIENT_FILE = "DE1_0_2008_to_2010_Outpatient_Claims_Sample_1.csv"
CARRIER_FILE = "DE1_0_2008_to_2010_Carrier_Claims_Sample_1A.csv"
PRESCRIPTION_FILE = "DE1_0_2008_to_2010_Prescription_Drug_Events_Sample_1.csv"


def beneficiary(patient: str = "P1", **changes: str) -> Row:
    return {
        "DESYNPUF_ID": patient,
        "BENE_BIRTH_DT": "19400501",
        "BENE_SEX_IDENT_CD": "2",
        "BENE_RACE_CD": "1",
        "SP_STATE_CODE": "39",
        "BENE_COUNTY_CD": "230",
        "BENE_HI_CVRAGE_TOT_MONS": "12",
        "BENE_SMI_CVRAGE_TOT_MONS": "12",
    } | changes


def inpatient(patient: str = "P1", claim: str = "C1", **changes: str) -> Row:
    return {
        "DESYNPUF_ID": patient,
        "CLM_ID": claim,
        "SEGMENT": "1",
        "CLM_FROM_DT": "20090412",
        "CLM_THRU_DT": "20090418",
        "CLM_ADMSN_DT": "20090412",
        "NCH_BENE_DSCHRG_DT": "20090418",
        "CLM_DRG_CD": "201",
        "CLM_PMT_AMT": "2600.00",
        "ICD9_DGNS_CD_1": "4280",
        "ICD9_DGNS_CD_2": "25000",
    } | changes


def outpatient(patient: str = "P1", claim: str = "O1", **changes: str) -> Row:
    return {
        "DESYNPUF_ID": patient,
        "CLM_ID": claim,
        "SEGMENT": "1",
        "CLM_FROM_DT": "20080911",
        "CLM_THRU_DT": "20080911",
        "CLM_PMT_AMT": "10.00",
        "ICD9_DGNS_CD_1": "4019",
        "HCPCS_CD_2": "99214",
        "HCPCS_CD_45": "36415",
    } | changes


def carrier(patient: str = "P1", claim: str = "K1", **changes: str) -> Row:
    return {
        "DESYNPUF_ID": patient,
        "CLM_ID": claim,
        "CLM_FROM_DT": "20090101",
        "CLM_THRU_DT": "20090101",
        "ICD9_DGNS_CD_1": "25000",
        "HCPCS_CD_1": "99213",
        "LINE_ICD9_DGNS_CD_1": "25000",
        "LINE_NCH_PMT_AMT_1": "30.00",
        "LINE_ALOWD_CHRG_AMT_1": "40.00",
        "HCPCS_CD_3": "G0008",
        "LINE_ICD9_DGNS_CD_3": "V0481",
        "LINE_NCH_PMT_AMT_3": "20.00",
        "PRF_PHYSN_NPI_3": "1234567893",
    } | changes


def prescription(patient: str = "P1", event: str = "E1", **changes: str) -> Row:
    return {
        "DESYNPUF_ID": patient,
        "PDE_ID": event,
        "SRVC_DT": "20090107",
        "PROD_SRVC_ID": "59591025068",
        "QTY_DSPNSD_NUM": "120.000",
        "DAYS_SUPLY_NUM": "30",
        "PTNT_PAY_AMT": "10.00",
        "TOT_RX_CST_AMT": "440.00",
    } | changes


def medical_claim(patient: str = "P1", claim: str = "M1", line: int = 1, **changes: str) -> Row:
    return {
        "claim_id": claim,
        "claim_line_number": str(line),
        "claim_type": "professional",
        "person_id": patient,
        "claim_start_date": "2018-11-02",
        "claim_end_date": "2018-11-02",
        "diagnosis_code_type": "icd-10-cm",
        "diagnosis_code_1": "E119",
        "hcpcs_code": "99213",
        "paid_amount": "29.56",
        "allowed_amount": "40.00",
        "data_source": "payer",
    } | changes


def pharmacy_claim(patient: str = "P1", claim: str = "R1", **changes: str) -> Row:
    return {
        "claim_id": claim,
        "claim_line_number": "1",
        "person_id": patient,
        "dispensing_date": "2018-09-18",
        "ndc_code": "52427038290",
        "quantity": "30",
        "days_supply": "30",
        "paid_amount": "12.00",
        "allowed_amount": "15.00",
    } | changes


def eligibility(patient: str = "P1", **changes: str) -> Row:
    return {
        "person_id": patient,
        "gender": "female",
        "birth_date": "1950-01-31",
        "enrollment_start_date": "2018-01-01",
        "enrollment_end_date": "2018-12-31",
    } | changes


def write_rows(path: Path, layout: FileLayout, rows: Sequence[Row], *, delimiter: str = ",") -> Path:
    """Write rows as CMS does: quoted header, unquoted fields."""
    columns = layout.to_layout(path.name).columns
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(delimiter.join(f'"{name}"' for name in columns) + "\n")
        writer = csv.DictWriter(file, columns, restval="", delimiter=delimiter, lineterminator="\n")
        writer.writerows(rows)
    return path


def write_synpuf(
    folder: Path,
    *,
    beneficiaries: dict[str, Sequence[Row]] | None = None,
    inpatients: Sequence[Row] = (),
    outpatients: Sequence[Row] = (),
    carriers: Sequence[Row] = (),
    prescriptions: Sequence[Row] = (),
) -> Path:
    """Write a folder in the layout of DE-SynPUF; tables without rows are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for year, rows in (beneficiaries or {}).items():
        write_rows(folder / BENEFICIARY_FILE.format(year=year), SYNPUF["beneficiary"], rows)
    for name, layout, rows in (
        (INPATIENT_FILE, SYNPUF["inpatient"], inpatients),
        (OUTPATIENT_FILE, SYNPUF["outpatient"], outpatients),
        (CARRIER_FILE, SYNPUF["carrier"], carriers),
        (PRESCRIPTION_FILE, SYNPUF["prescription"], prescriptions),
    ):
        if rows:
            write_rows(folder / name, layout, rows)
    return folder


def write_tuva(
    folder: Path,
    *,
    medical: Sequence[Row] = (),
    pharmacy: Sequence[Row] = (),
    people: Sequence[Row] = (),
) -> Path:
    """Write a folder in the layout of the Tuva input layer; tables without rows are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, layout, rows in (
        ("medical_claim.csv", TUVA["medical_claim"], medical),
        ("pharmacy_claim.csv", TUVA["pharmacy_claim"], pharmacy),
        ("eligibility.csv", TUVA["eligibility"], people),
    ):
        if rows:
            write_rows(folder / name, layout, rows)
    return folder


def zip_file(path: Path, member: str | None = None) -> Path:
    """Zip a file and remove it."""
    target = path.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, member or path.name)
    path.unlink()
    return target
