"""Small RIF rows, written by the tests."""

from collections.abc import Sequence
from pathlib import Path

from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.registry import find_source

Row = dict[str, str]

LAYOUTS = find_source("cms-rif").read_layouts()
FILES = {
    "inpatient": "inpatient.csv",
    "outpatient": "outpatient.csv",
    "carrier": "carrier.csv",
    "dme": "dme.csv",
    "home_health": "hha.csv",
    "hospice": "hospice.csv",
    "snf": "snf.csv",
    "part_d": "pde.csv",
    "beneficiary": "beneficiary_2018.csv",
}
_NCH_TYPES = {"inpatient": "60", "outpatient": "40", "carrier": "71", "dme": "82", "home_health": "10"}
_NCH_TYPES |= {"hospice": "50", "snf": "20"}
_BILLS = {"inpatient": "111", "outpatient": "131", "home_health": "329", "hospice": "811", "snf": "211"}


def claim(kind: str, claim: str = "7", line: int = 1, patient: str = "P1", **changes: str) -> Row:
    """One line of a claim of 3 to 9 March 2018."""
    layout = LAYOUTS[kind]
    row = {
        "DML_IND": "INSERT",
        "BENE_ID": patient,
        "CLM_ID": claim,
        "FINAL_ACTION": "F",
        "NCH_CLM_TYPE_CD": _NCH_TYPES[kind],
        "CLM_FROM_DT": "03-Mar-2018",
        "CLM_THRU_DT": "09-Mar-2018",
        "NCH_WKLY_PROC_DT": "16-Mar-2018",
        "CLM_ADMSN_DT": "03-Mar-2018",
        "CLM_HOSPC_START_DT_ID": "03-Mar-2018",
        "NCH_BENE_DSCHRG_DT": "09-Mar-2018",
        "PTNT_DSCHRG_STUS_CD": "1",
        "CLM_DRG_CD": "470",
        "CLM_PMT_AMT": "1200.50",
        "CLM_TOT_CHRG_AMT": "9000.00",
        "PRNCPAL_DGNS_CD": "I5023",
        "PRNCPAL_DGNS_VRSN_CD": "0",
        "ICD_DGNS_CD1": "I5023",
        "ICD_DGNS_VRSN_CD1": "0",
        "ICD_DGNS_CD2": "E119",
        "ICD_DGNS_VRSN_CD2": "0",
        "CLM_LINE_NUM": str(line),
        "LINE_NUM": str(line),
        "HCPCS_CD": "99213",
        "REV_CNTR": "0450",
        "REV_CNTR_UNIT_CNT": "2",
        "LINE_NCH_PMT_AMT": "30.00",
        "LINE_ALOWD_CHRG_AMT": "40.00",
        "LINE_SBMTD_CHRG_AMT": "50.00",
        "LINE_PRCSG_IND_CD": "A",
        "CARR_CLM_PMT_DNL_CD": "1",
    }
    if kind in _BILLS:
        bill = _BILLS[kind]
        row |= {"CLM_FAC_TYPE_CD": bill[0], "CLM_SRVC_CLSFCTN_TYPE_CD": bill[1], "CLM_FREQ_CD": bill[2]}
    return {name: value for name, value in (row | changes).items() if name in layout.names}


def drug(event: str = "D1", patient: str = "P1", **changes: str) -> Row:
    return {
        "DML_IND": "INSERT",
        "PDE_ID": event,
        "BENE_ID": patient,
        "FINAL_ACTION": "F",
        "SRVC_DT": "05-Mar-2018",
        "PD_DT": "07-Mar-2018",
        "PROD_SRVC_ID": "52427038290",
        "QTY_DSPNSD_NUM": "30",
        "DAYS_SUPLY_NUM": "30",
        "FILL_NUM": "1",
        "PTNT_PAY_AMT": "5.00",
        "TOT_RX_CST_AMT": "20.00",
    } | changes


def beneficiary(patient: str = "P1", year: int = 2018, months: str = "333333333333", **changes: str) -> Row:
    """A person and year; one sign per month for the entitlement, a blank for none."""
    monthly = {f"MDCR_ENTLMT_BUYIN_{month}_IND": sign for month, sign in enumerate(months, start=1)}
    return {
        "DML_IND": "INSERT",
        "BENE_ID": patient,
        "RFRNC_YR": str(year),
        "STATE_CODE": "22",
        "BENE_COUNTY_CD": "090",
        "BENE_BIRTH_DT": "17-Jan-1942",
        "BENE_SEX_IDENT_CD": "2",
        "BENE_RACE_CD": "5",
        "BENE_ENTLMT_RSN_ORIG": "1",
        "BENE_MDCR_STATUS_CD": "20",
        **monthly,
    } | changes


def write_rif(folder: Path, layouts: dict[str, FileLayout] | None = None, **tables: Sequence[Row]) -> Path:
    """Write a folder of RIF files, one per kind of row; `beneficiary` may be split by year with `beneficiary_2019`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        kind = "beneficiary" if name.startswith("beneficiary") else name
        layout = (layouts or LAYOUTS)[kind]
        path = folder / (FILES[kind] if name == kind else f"{name}.csv")
        lines = [layout.delimiter.join(layout.names)]
        lines += [layout.delimiter.join(row.get(column, "") for column in layout.names) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
