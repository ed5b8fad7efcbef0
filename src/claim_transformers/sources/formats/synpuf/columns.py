"""Columns of the DE-SynPUF files, in the order of CMS, and which of them a file cannot do without.

Source: CMS, *Linkable 2008-2010 Medicare DE-SynPUF Data Users Document* and codebooks (2013).
"""

from __future__ import annotations

from claim_transformers.sources.pipeline.reading import Layout


def numbered(stem: str, count: int) -> tuple[str, ...]:
    """Names of repeated columns.

    Args:
        stem (`str`): What they share.
        count (`int`): How many there are.

    Returns:
        `tuple[str, ...]`: `STEM_1` and so on.

    Examples:
        >>> numbered("HCPCS_CD", 2)
        ('HCPCS_CD_1', 'HCPCS_CD_2')
    """
    return tuple(f"{stem}_{number}" for number in range(1, count + 1))


IDS = ("DESYNPUF_ID", "CLM_ID", "PDE_ID")
DIAGNOSES = numbered("ICD9_DGNS_CD", 10)
PROCEDURES = numbered("ICD9_PRCDR_CD", 6)
HCPCS = numbered("HCPCS_CD", 45)
STAY = ("CLM_ADMSN_DT", "NCH_BENE_DSCHRG_DT", "CLM_DRG_CD")
CARRIER_DIAGNOSES = DIAGNOSES[:8]
CARRIER_LINES = 13
CARRIER_HCPCS = HCPCS[:CARRIER_LINES]

_CLAIM = ("DESYNPUF_ID", "CLM_ID", "SEGMENT", "CLM_FROM_DT", "CLM_THRU_DT", "PRVDR_NUM", "CLM_PMT_AMT")
_PHYSICIANS = ("NCH_PRMRY_PYR_CLM_PD_AMT", "AT_PHYSN_NPI", "OP_PHYSN_NPI", "OT_PHYSN_NPI")
_REQUIRED = ("DESYNPUF_ID", "CLM_ID", "SEGMENT", "CLM_FROM_DT", "CLM_THRU_DT", "CLM_PMT_AMT")

INPATIENT = Layout(
    columns=(
        *_CLAIM,
        *_PHYSICIANS,
        "CLM_ADMSN_DT",
        "ADMTNG_ICD9_DGNS_CD",
        "CLM_PASS_THRU_PER_DIEM_AMT",
        "NCH_BENE_IP_DDCTBL_AMT",
        "NCH_BENE_PTA_COINSRNC_LBLTY_AM",
        "NCH_BENE_BLOOD_DDCTBL_LBLTY_AM",
        "CLM_UTLZTN_DAY_CNT",
        "NCH_BENE_DSCHRG_DT",
        "CLM_DRG_CD",
        *DIAGNOSES,
        *PROCEDURES,
        *HCPCS,
    ),
    required=(*_REQUIRED, *STAY, *DIAGNOSES),
    id_columns=IDS,
)

OUTPATIENT = Layout(
    columns=(
        *_CLAIM,
        *_PHYSICIANS,
        "NCH_BENE_BLOOD_DDCTBL_LBLTY_AM",
        *DIAGNOSES,
        *PROCEDURES,
        "NCH_BENE_PTB_DDCTBL_AMT",
        "NCH_BENE_PTB_COINSRNC_AMT",
        "ADMTNG_ICD9_DGNS_CD",
        *HCPCS,
    ),
    required=(*_REQUIRED, *DIAGNOSES),
    id_columns=IDS,
)

_CARRIER_REQUIRED = ("DESYNPUF_ID", "CLM_ID", "CLM_FROM_DT", "CLM_THRU_DT")
_CARRIER_STEMS = (
    "LINE_NCH_PMT_AMT",
    "LINE_BENE_PTB_DDCTBL_AMT",
    "LINE_BENE_PRMRY_PYR_PD_AMT",
    "LINE_COINSRNC_AMT",
    "LINE_ALOWD_CHRG_AMT",
    "LINE_PRCSG_IND_CD",
    "LINE_ICD9_DGNS_CD",
)
CARRIER = Layout(
    columns=(
        *_CARRIER_REQUIRED,
        *CARRIER_DIAGNOSES,
        *numbered("PRF_PHYSN_NPI", CARRIER_LINES),
        *numbered("TAX_NUM", CARRIER_LINES),
        *CARRIER_HCPCS,
        *(name for stem in _CARRIER_STEMS for name in numbered(stem, CARRIER_LINES)),
    ),
    required=(*_CARRIER_REQUIRED, *CARRIER_DIAGNOSES, *CARRIER_HCPCS),
    id_columns=IDS,
)

_EVENT = ("DESYNPUF_ID", "PDE_ID", "SRVC_DT", "PROD_SRVC_ID")
PRESCRIPTION = Layout(
    columns=(*_EVENT, "QTY_DSPNSD_NUM", "DAYS_SUPLY_NUM", "PTNT_PAY_AMT", "TOT_RX_CST_AMT"),
    required=_EVENT,
    id_columns=IDS,
)

_CONDITIONS = ("ALZHDMTA", "CHF", "CHRNKIDN", "CNCR", "COPD", "DEPRESSN", "DIABETES", "ISCHMCHT", "OSTEOPRS", "RA_OA")
_PERSON = ("DESYNPUF_ID", "BENE_BIRTH_DT", "BENE_DEATH_DT", "BENE_SEX_IDENT_CD", "BENE_RACE_CD")
_COUNTY = ("SP_STATE_CODE", "BENE_COUNTY_CD")
_COVERAGE = ("BENE_HI_CVRAGE_TOT_MONS", "BENE_SMI_CVRAGE_TOT_MONS")
_PAYMENTS = tuple(f"{kind}_{setting}" for setting in ("IP", "OP", "CAR") for kind in ("MEDREIMB", "BENRES", "PPPYMT"))


def beneficiary_layout(year: str | None) -> Layout:
    """Columns of a beneficiary summary.

    Args:
        year (`str`, *optional*): Year of the file; without it the file needs a column `YEAR`.

    Returns:
        `Layout`: The columns, with `YEAR` in any case.

    Examples:
        >>> beneficiary_layout("2008").constants
        {'YEAR': '2008'}
    """
    person = (*_PERSON, "BENE_ESRD_IND", *_COUNTY, *_COVERAGE, "BENE_HMO_CVRAGE_TOT_MONS", "PLAN_CVRG_MOS_NUM")
    conditions = (*(f"SP_{condition}" for condition in _CONDITIONS), "SP_STRKETIA")
    required = (*_PERSON, *_COUNTY, *_COVERAGE)
    if year is None:
        return Layout(("YEAR", *person, *conditions, *_PAYMENTS), ("YEAR", *required), IDS)
    return Layout((*person, *conditions, *_PAYMENTS), required, IDS, constants={"YEAR": year})
