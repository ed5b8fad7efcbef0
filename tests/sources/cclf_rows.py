"""Small CCLF rows, written by the tests, delimited or of fixed width."""

from collections.abc import Sequence
from pathlib import Path

from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.registry import find_source

Row = dict[str, str]

LAYOUTS = find_source("cclf").read_layouts()
DELIVERY = "P.A1234.ACO.ZC{file}Y23.D{day}.T0912345"


def header(claim: str = "7", patient: str = "1A", **changes: str) -> Row:
    """The header of an inpatient claim of 3 to 9 March 2018."""
    return {
        "CUR_CLM_UNIQ_ID": claim,
        "PRVDR_OSCAR_NUM": "330123",
        "BENE_MBI_ID": patient,
        "CLM_TYPE_CD": "60",
        "CLM_FROM_DT": "2018-03-03",
        "CLM_THRU_DT": "2018-03-09",
        "CLM_BILL_FAC_TYPE_CD": "1",
        "CLM_BILL_CLSFCTN_CD": "1",
        "CLM_BILL_FREQ_CD": "1",
        "PRNCPL_DGNS_CD": "I5023",
        "ADMTG_DGNS_CD": "R0602",
        "CLM_PMT_AMT": "1200.50",
        "CLM_MDCR_INSTNL_TOT_CHRG_AMT": "9000.00",
        "BENE_PTNT_STUS_CD": "01",
        "DGNS_DRG_CD": "0291",
        "FAC_PRVDR_NPI_NUM": "1003000126",
        "CLM_ADJSMT_TYPE_CD": "0",
        "CLM_EFCTV_DT": "2018-03-23",
        "CLM_IDR_LD_DT": "2018-03-30",
        "CLM_ADMSN_TYPE_CD": "1",
        "CLM_ADMSN_SRC_CD": "4",
        "DGNS_PRCDR_ICD_IND": "0",
        "CLM_CNTL_NUM": f"CN{claim}",
    } | changes


def revenue_center(claim: str = "7", line: int = 1, patient: str = "1A", **changes: str) -> Row:
    return {
        "CUR_CLM_UNIQ_ID": claim,
        "CLM_LINE_NUM": str(line),
        "BENE_MBI_ID": patient,
        "CLM_TYPE_CD": "60",
        "CLM_LINE_FROM_DT": "2018-03-03",
        "CLM_LINE_THRU_DT": "2018-03-03",
        "CLM_LINE_PROD_REV_CTR_CD": "0450",
        "CLM_LINE_INSTNL_REV_CTR_DT": "2018-03-04",
        "CLM_LINE_HCPCS_CD": "99213",
        "CLM_FROM_DT": "2018-03-03",
        "CLM_THRU_DT": "2018-03-09",
        "CLM_LINE_SRVC_UNIT_QTY": "2.0000",
        "HCPCS_1_MDFR_CD": "25",
    } | changes


def procedure(claim: str = "7", place: int = 1, patient: str = "1A", **changes: str) -> Row:
    return {
        "CUR_CLM_UNIQ_ID": claim,
        "BENE_MBI_ID": patient,
        "CLM_TYPE_CD": "60",
        "CLM_VAL_SQNC_NUM": f"{place:02d}",
        "CLM_PRCDR_CD": "0SR90J9",
        "CLM_PRCDR_PRFRM_DT": "2018-03-04",
        "CLM_FROM_DT": "2018-03-03",
        "CLM_THRU_DT": "2018-03-09",
        "DGNS_PRCDR_ICD_IND": "0",
    } | changes


def diagnosis(claim: str = "7", place: int = 1, code: str = "I5023", patient: str = "1A", **changes: str) -> Row:
    return {
        "CUR_CLM_UNIQ_ID": claim,
        "BENE_MBI_ID": patient,
        "CLM_TYPE_CD": "60",
        "CLM_PROD_TYPE_CD": "D",
        "CLM_VAL_SQNC_NUM": f"{place:02d}",
        "CLM_DGNS_CD": code,
        "CLM_FROM_DT": "2018-03-03",
        "CLM_THRU_DT": "2018-03-09",
        "CLM_POA_IND": "Y",
        "DGNS_PRCDR_ICD_IND": "0",
    } | changes


def part_b(claim: str = "8", line: int = 1, patient: str = "1A", kind: str = "cclf5", **changes: str) -> Row:
    row = {
        "CUR_CLM_UNIQ_ID": claim,
        "CLM_LINE_NUM": str(line),
        "BENE_MBI_ID": patient,
        "CLM_TYPE_CD": "71" if kind == "cclf5" else "82",
        "CLM_FROM_DT": "2018-05-02",
        "CLM_THRU_DT": "2018-05-02",
        "CLM_POS_CD": "11",
        "CLM_LINE_FROM_DT": "2018-05-02",
        "CLM_LINE_THRU_DT": "2018-05-02",
        "CLM_LINE_HCPCS_CD": "99213" if kind == "cclf5" else "E0601",
        "CLM_LINE_CVRD_PD_AMT": "30.00",
        "CLM_LINE_ALOWD_CHRG_AMT": "40.00",
        "CLM_LINE_DGNS_CD": "E119",
        "RNDRG_PRVDR_NPI_NUM": "1003000134",
        "PAYTO_PRVDR_NPI_NUM": "1003000134",
        "CLM_CARR_PMT_DNL_CD": "1",
        "CLM_PRCSG_IND_CD": "A",
        "CLM_ADJSMT_TYPE_CD": "0",
        "CLM_EFCTV_DT": "2018-05-12",
        "CLM_IDR_LD_DT": "2018-05-19",
        "CLM_CNTL_NUM": f"CN{claim}",
        "CLM_LINE_SRVC_UNIT_QTY": "1.0000",
        "HCPCS_1_MDFR_CD": "25",
        "CLM_DGNS_1_CD": "E119",
        "CLM_DGNS_2_CD": "I10",
        "DGNS_PRCDR_ICD_IND": "0",
    }
    return {name: value for name, value in (row | changes).items() if name in LAYOUTS[kind].names}


def fill(claim: str = "9", patient: str = "1A", **changes: str) -> Row:
    return {
        "CUR_CLM_UNIQ_ID": claim,
        "BENE_MBI_ID": patient,
        "CLM_LINE_NDC_CD": "52427038290",
        "CLM_TYPE_CD": "01",
        "CLM_LINE_FROM_DT": "2018-06-05",
        "PRVDR_SRVC_ID_QLFYR_CD": "01",
        "CLM_SRVC_PRVDR_GNRC_ID_NUM": "1003000142",
        "CLM_LINE_SRVC_UNIT_QTY": "30.0000",
        "CLM_LINE_DAYS_SUPLY_QTY": "30",
        "CLM_LINE_BENE_PMT_AMT": "5.00",
        "CLM_ADJSMT_TYPE_CD": "0",
        "CLM_EFCTV_DT": "1000-01-01",
        "CLM_IDR_LD_DT": "2018-06-20",
        "CLM_LINE_RX_SRVC_RFRNC_NUM": f"55{claim}",
        "CLM_LINE_RX_FILL_NUM": "1",
    } | changes


def person(patient: str = "1A", **changes: str) -> Row:
    return {
        "BENE_MBI_ID": patient,
        "BENE_FIPS_STATE_CD": "36",
        "BENE_FIPS_CNTY_CD": "061",
        "BENE_DOB": "1942-01-17",
        "BENE_SEX_CD": "2",
        "BENE_RACE_CD": "1",
        "BENE_AGE": "76",
        "BENE_MDCR_STUS_CD": "10",
        "BENE_DUAL_STUS_CD": "NA",
        "BENE_ORGNL_ENTLMT_RSN_CD": "0",
        "BENE_ENTLMT_BUYIN_IND": "3",
        "BENE_PART_A_ENRLMT_BGN_DT": "2007-01-01",
        "BENE_PART_B_ENRLMT_BGN_DT": "2007-02-01",
        "BENE_DEATH_DT": "9999-12-31",
    } | changes


def change(former: str, current: str, **changes: str) -> Row:
    """A change of the number of a person."""
    days = {"PRVS_ID_EFCTV_DT": "2012-01-01", "PRVS_ID_OBSLT_DT": "2018-01-01"}
    return {"HICN_MBI_XREF_IND": "M", "CRNT_NUM": current, "PRVS_NUM": former} | days | changes


def fixed_lines(layout: FileLayout, rows: Sequence[Row]) -> str:
    """Rows as lines of fixed width."""
    lines = []
    for row in rows:
        line = [" "] * layout.record_lengths[0]
        for name, (start, length) in layout.positions.items():
            line[start - 1 : start - 1 + length] = row.get(name, "")[:length].ljust(length)
        lines.append("".join(line) + "\n")
    return "".join(lines)


def write_cclf(folder: Path, *, day: str = "", **tables: Sequence[Row]) -> Path:
    """Write files of a delivery: of fixed width under the names that CMS gives if it has a day, else as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        layout = LAYOUTS[name]
        if day:
            path = folder / DELIVERY.format(file=name[-1].upper(), day=day)
            path.write_text(fixed_lines(layout, rows), encoding="utf-8")
            continue
        columns = [column for column in layout.names if not column.startswith("FILE_")]
        lines = [",".join(columns), *(",".join(row.get(column, "") for column in columns) for row in rows)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
