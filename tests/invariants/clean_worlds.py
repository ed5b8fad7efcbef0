"""Clean claims of four patients, drawn at random and written as the raw tables of any source.

A world is small and whole: stays of which one is a readmission, visits, drugs, births, enrolment. Its ids begin with
its number, so that many worlds lie in one load and each can be told apart again.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from invariants.raw_files import LAYOUTS, RawTable, Row, World

NUM_PATIENTS = 4
FIRST_DAY = {"synpuf": dt.date(2008, 3, 1)}
INDEX_AFTER_DAYS = 400
HORIZON_DAYS = 180
_ICD10 = ("I5023", "J45909", "I10", "N183", "Z0000", "M179", "R079")
_ICD9 = ("4280", "49390", "4019", "5853", "V5861", "71596", "78650")
OUTCOMES = ("E119", "25000")
_PROCEDURES = (("0SRC0J9", "5A1D70Z"), ("8154", "3995"))
_HCPCS = ("99213", "99214", "G0008", "36415", "A0425")
_NDC = ("00093014505", "59591025068", "52427038290")
_DRG, _REVENUE, _PLACE, _NPI = ("291", "470", "193"), ("0450", "0120"), ("11", "23"), ("1234567893", "1093000000")


@dataclass
class _Visit:
    claim: str
    start: dt.date
    end: dt.date
    diagnoses: list[str]
    hcpcs: list[str]
    paid: list[str]
    drg: str | None = None
    procedure: str | None = None
    is_stay: bool = False


@dataclass
class _Person:
    id: str
    sex: str
    birth: dt.date
    death: dt.date | None
    visits: list[_Visit] = field(default_factory=list)
    fills: list[tuple[str, dt.date, str, str, str, str]] = field(default_factory=list)


def prefix_of(number: int) -> str:
    return f"1{number:04d}"


def clean_world(source: str, seed: int, number: int = 0) -> World:
    """Draw a world; worlds of one seed differ in their ids alone."""
    people = _people(source, np.random.default_rng(seed), prefix_of(number))
    rows = {
        "simulated": _tuva,
        "tuva": _tuva,
        "synpuf": _synpuf,
        "cms-rif": _rif,
        "cclf": _cclf,
        "omop": _omop,
        "mimic3": _mimic3,
        "meds": _meds,
    }
    tables = rows[source](people, FIRST_DAY.get(source, dt.date(2016, 3, 1)))
    return tuple(RawTable(name, _columns(source, name, found), tuple(found)) for name, found in tables.items())


def _columns(source: str, table: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """Of the layout those that are required or filled, in its order, and of numbered ones as many as can be filled."""
    layout = LAYOUTS[source][table]
    filled = {name for row in rows for name, cell in row.items() if cell is not None}
    first = {name.rstrip("1") for name in filled if name.endswith("1")}
    numbered = {f"{stem}{number}" for stem in first for number in range(1, 5)}
    return tuple(name for name in layout.names if name in filled | numbered or name in layout.required)


def _people(source: str, rng: np.random.Generator, prefix: str) -> list[_Person]:
    first = FIRST_DAY.get(source, dt.date(2016, 3, 1))
    is_icd9 = source in ("synpuf", "mimic3")
    pool, outcome = (_ICD9 if is_icd9 else _ICD10), OUTCOMES[is_icd9]
    claims = iter(range(1, 1000))

    def draw(values: Sequence[str], most: int = 1) -> list[str]:
        return [str(one) for one in rng.choice(values, int(rng.integers(1, most + 1)), replace=False)]

    def visit(person: _Person, after: int, days: int, *, is_stay: bool, outcome: str | None = None) -> None:
        start = first + dt.timedelta(days=after)
        hcpcs = draw(_HCPCS, 3)
        person.visits.append(
            _Visit(
                f"{prefix}7{next(claims):03d}",
                start,
                start + dt.timedelta(days=days),
                [*([outcome] if outcome else []), *draw(pool, 3)],
                hcpcs,
                [f"{rng.integers(1, 900)}.{rng.choice(['00', '50', '25'])}" for _ in hcpcs],
                drg=draw(_DRG)[0] if is_stay else None,
                procedure=draw(_PROCEDURES[is_icd9])[0] if is_stay else None,
                is_stay=is_stay,
            )
        )

    people = []
    for place in range(NUM_PATIENTS):
        birth = dt.date(int(rng.integers(1925, 1950)), int(rng.integers(1, 13)), int(rng.integers(1, 28)))
        death = first + dt.timedelta(days=700) if place == NUM_PATIENTS - 1 else None
        person = _Person(f"{prefix}{place + 1}0{rng.integers(10, 99)}", draw(("F", "M"))[0], birth, death)
        visit(person, int(rng.integers(20, 60)), int(rng.integers(2, 9)), is_stay=True)
        if place == 0:
            readmitted = (person.visits[0].end - first).days + int(rng.integers(3, 25))
            visit(person, readmitted, int(rng.integers(1, 9)), is_stay=True)
            visit(person, INDEX_AFTER_DAYS + int(rng.integers(5, 100)), 3, is_stay=True, outcome=outcome)
        if place == 1:
            # Nothing is known of the month after it, unless somebody else's date makes the data end later.
            visit(person, 640, 5, is_stay=True)
        if place == 2:
            # Data end where two patients are seen; without it a world would end earlier alone than beside others.
            visit(person, 645, 0, is_stay=False)
        for _ in range(int(rng.integers(1, 4))):
            visit(person, int(rng.integers(0, 640)), 0, is_stay=False)
        for _ in range(int(rng.integers(1, 3))):
            day = first + dt.timedelta(days=int(rng.integers(0, 640)))
            cost = int(rng.integers(20, 900))
            person.fills.append(
                (f"{prefix}8{next(claims):03d}", day, draw(_NDC)[0], f"{rng.integers(10, 90)}", "30", f"{cost}.50")
            )
        people.append(person)
    return people


def _numbered(stem: str, values: Sequence[str | None], between: str = "_") -> Row:
    return {f"{stem}{between}{place}": value for place, value in enumerate(values, start=1)}


def _tuva(people: list[_Person], first: dt.date) -> dict[str, list[Row]]:
    tables: dict[str, list[Row]] = {"eligibility": [], "medical_claim": [], "pharmacy_claim": []}
    for person in people:
        who = {"person_id": person.id, "payer": "Santé", "plan": "plan", "data_source": "payer"}
        tables["eligibility"].append(
            who
            | {
                "gender": {"F": "female", "M": "male"}[person.sex],
                "race": "white",
                "birth_date": f"{person.birth}",
                "death_date": None if person.death is None else f"{person.death}",
                "enrollment_start_date": f"{first.year - 1}-01-01",
                "enrollment_end_date": f"{first.year + 3}-12-31",
            }
        )
        for visit in person.visits:
            for line, (hcpcs, paid) in enumerate(zip(visit.hcpcs, visit.paid, strict=True), start=1):
                row = who | {
                    "claim_id": visit.claim,
                    "claim_line_number": f"{line}",
                    "claim_type": "institutional" if visit.is_stay else "professional",
                    "claim_start_date": f"{visit.start}",
                    "claim_end_date": f"{visit.end}",
                    "claim_line_start_date": f"{visit.start}",
                    "claim_line_end_date": f"{visit.end}",
                    "paid_date": f"{visit.end + dt.timedelta(days=20)}",
                    "hcpcs_code": hcpcs,
                    "hcpcs_modifier_1": "25",
                    "service_unit_quantity": f"{line}",
                    "paid_amount": paid,
                    "allowed_amount": paid,
                    "charge_amount": "1000.00",
                    "diagnosis_code_type": "icd-10-cm",
                    "rendering_npi": _NPI[0],
                    **_numbered("diagnosis_code", visit.diagnoses),
                    "diagnosis_poa_1": "Y",
                }
                row |= (
                    {
                        "bill_type_code": "111",
                        "admission_date": f"{visit.start}",
                        "discharge_date": f"{visit.end}",
                        "discharge_disposition_code": "01",
                        "admit_type_code": "1",
                        "drg_code_type": "ms-drg",
                        "drg_code": visit.drg,
                        "revenue_center_code": _REVENUE[line % 2],
                        "procedure_code_type": "icd-10-pcs",
                        "procedure_code_1": visit.procedure,
                        "procedure_date_1": f"{visit.start}",
                    }
                    if visit.is_stay
                    else {"place_of_service_code": _PLACE[line % 2]}
                )
                tables["medical_claim"].append(row)
        for claim, day, ndc, quantity, supply, cost in person.fills:
            tables["pharmacy_claim"].append(
                who
                | {
                    "claim_id": claim,
                    "claim_line_number": "1",
                    "dispensing_date": f"{day}",
                    "paid_date": f"{day + dt.timedelta(days=9)}",
                    "ndc_code": ndc,
                    "quantity": quantity,
                    "days_supply": supply,
                    "refills": "1",
                    "paid_amount": cost,
                    "allowed_amount": cost,
                }
            )
    return tables


def _synpuf(people: list[_Person], first: dt.date) -> dict[str, list[Row]]:
    names = ("beneficiary", "inpatient", "outpatient", "carrier", "prescription")
    tables: dict[str, list[Row]] = {name: [] for name in names}
    for person in people:
        who: Row = {"DESYNPUF_ID": person.id}
        for year in range(2008, 2011):
            tables["beneficiary"].append(
                who
                | {
                    "YEAR": f"{year}",
                    "BENE_BIRTH_DT": f"{person.birth:%Y%m%d}",
                    "BENE_DEATH_DT": None if person.death is None else f"{person.death:%Y%m%d}",
                    "BENE_SEX_IDENT_CD": {"F": "2", "M": "1"}[person.sex],
                    "BENE_RACE_CD": "1",
                    "SP_STATE_CODE": "39",
                    "BENE_COUNTY_CD": "230",
                    "BENE_HI_CVRAGE_TOT_MONS": "12",
                    "BENE_SMI_CVRAGE_TOT_MONS": "12",
                    "MEDREIMB_IP": "4000.00",
                }
            )
        for place, visit in enumerate(person.visits):
            row = who | {
                "CLM_ID": visit.claim,
                "CLM_FROM_DT": f"{visit.start:%Y%m%d}",
                "CLM_THRU_DT": f"{visit.end:%Y%m%d}",
                **_numbered("ICD9_DGNS_CD", visit.diagnoses),
            }
            if visit.is_stay or place % 2:
                row |= {"SEGMENT": "1", "CLM_PMT_AMT": visit.paid[0], "AT_PHYSN_NPI": _NPI[0]}
                row |= _numbered("HCPCS_CD", visit.hcpcs)
            else:
                row |= _numbered("HCPCS_CD", visit.hcpcs) | _numbered("LINE_NCH_PMT_AMT", visit.paid)
                row |= _numbered("LINE_ALOWD_CHRG_AMT", visit.paid) | {"PRF_PHYSN_NPI_1": _NPI[1]}
                row |= {"LINE_ICD9_DGNS_CD_1": visit.diagnoses[0]}
            if visit.is_stay:
                row |= {
                    "CLM_ADMSN_DT": f"{visit.start:%Y%m%d}",
                    "NCH_BENE_DSCHRG_DT": f"{visit.end:%Y%m%d}",
                    "CLM_DRG_CD": visit.drg,
                    "ICD9_PRCDR_CD_1": visit.procedure,
                }
            tables["inpatient" if visit.is_stay else "outpatient" if place % 2 else "carrier"].append(row)
        for claim, day, ndc, quantity, supply, cost in person.fills:
            tables["prescription"].append(
                who
                | {
                    "PDE_ID": claim,
                    "SRVC_DT": f"{day:%Y%m%d}",
                    "PROD_SRVC_ID": ndc,
                    "QTY_DSPNSD_NUM": quantity,
                    "DAYS_SUPLY_NUM": supply,
                    "PTNT_PAY_AMT": "10.00",
                    "TOT_RX_CST_AMT": cost,
                }
            )
    return tables


def rif_date(day: dt.date) -> str:
    return f"{day:%d-%b-%Y}".upper()


def _rif(people: list[_Person], first: dt.date) -> dict[str, list[Row]]:
    tables: dict[str, list[Row]] = {name: [] for name in ("beneficiary", "inpatient", "carrier", "part_d")}
    for person in people:
        who: Row = {"DML_IND": "INSERT", "BENE_ID": person.id}
        for year in range(first.year, first.year + 3):
            tables["beneficiary"].append(
                who
                | {
                    "RFRNC_YR": f"{year}",
                    "BENE_SRNM_NAME": "Smith",
                    "BENE_BIRTH_DT": rif_date(person.birth),
                    "DEATH_DT": None if person.death is None else rif_date(person.death),
                    "BENE_SEX_IDENT_CD": {"F": "2", "M": "1"}[person.sex],
                    "BENE_RACE_CD": "5",
                    "BENE_ENTLMT_RSN_ORIG": "1",
                    "BENE_MDCR_STATUS_CD": "20",
                    **{f"MDCR_ENTLMT_BUYIN_{month}_IND": "3" for month in range(1, 13)},
                }
            )
        for visit in person.visits:
            for line, (hcpcs, paid) in enumerate(zip(visit.hcpcs, visit.paid, strict=True), start=1):
                row = who | {
                    "CLM_ID": visit.claim,
                    "FINAL_ACTION": "F",
                    "NCH_CLM_TYPE_CD": "60" if visit.is_stay else "71",
                    "CLM_FROM_DT": rif_date(visit.start),
                    "CLM_THRU_DT": rif_date(visit.end),
                    "NCH_WKLY_PROC_DT": rif_date(visit.end + dt.timedelta(days=20)),
                    "HCPCS_CD": hcpcs,
                    "PRNCPAL_DGNS_CD": visit.diagnoses[0],
                    "PRNCPAL_DGNS_VRSN_CD": "0",
                    **_numbered("ICD_DGNS_CD", visit.diagnoses, ""),
                    **_numbered("ICD_DGNS_VRSN_CD", ["0"] * len(visit.diagnoses), ""),
                }
                row |= (
                    {
                        "CLM_ADMSN_DT": rif_date(visit.start),
                        "NCH_BENE_DSCHRG_DT": rif_date(visit.end),
                        "PTNT_DSCHRG_STUS_CD": "01",
                        "CLM_FAC_TYPE_CD": "1",
                        "CLM_SRVC_CLSFCTN_TYPE_CD": "1",
                        "CLM_FREQ_CD": "1",
                        "CLM_DRG_CD": visit.drg,
                        "CLM_PMT_AMT": visit.paid[0],
                        "CLM_TOT_CHRG_AMT": "9000.00",
                        "CLM_LINE_NUM": f"{line}",
                        "REV_CNTR": _REVENUE[line % 2],
                        "REV_CNTR_UNIT_CNT": f"{line}",
                        "ICD_PRCDR_CD1": visit.procedure,
                        "ICD_PRCDR_VRSN_CD1": "0",
                        "PRCDR_DT1": rif_date(visit.start),
                        "CLM_POA_IND_SW1": "Y",
                        "ORG_NPI_NUM": _NPI[1],
                    }
                    if visit.is_stay
                    else {
                        "LINE_NUM": f"{line}",
                        "CARR_CLM_PMT_DNL_CD": "1",
                        "LINE_PRCSG_IND_CD": "A",
                        "LINE_SRVC_CNT": f"{line}",
                        "LINE_PLACE_OF_SRVC_CD": _PLACE[line % 2],
                        "LINE_1ST_EXPNS_DT": rif_date(visit.start),
                        "LINE_LAST_EXPNS_DT": rif_date(visit.end),
                        "LINE_NCH_PMT_AMT": paid,
                        "LINE_ALOWD_CHRG_AMT": paid,
                        "LINE_SBMTD_CHRG_AMT": "1000.00",
                        "HCPCS_1ST_MDFR_CD": "25",
                        "PRF_PHYSN_NPI": _NPI[0],
                    }
                )
                tables["inpatient" if visit.is_stay else "carrier"].append(row)
        for claim, day, ndc, quantity, supply, cost in person.fills:
            tables["part_d"].append(
                who
                | {
                    "PDE_ID": claim,
                    "FINAL_ACTION": "F",
                    "SRVC_DT": rif_date(day),
                    "PD_DT": rif_date(day + dt.timedelta(days=9)),
                    "PROD_SRVC_ID": ndc,
                    "QTY_DSPNSD_NUM": quantity,
                    "DAYS_SUPLY_NUM": supply,
                    "FILL_NUM": "1",
                    "PTNT_PAY_AMT": "10.00",
                    "TOT_RX_CST_AMT": cost,
                }
            )
    return tables


def _cclf(people: list[_Person], first: dt.date) -> dict[str, list[Row]]:
    tables: dict[str, list[Row]] = {name: [] for name in ("cclf1", "cclf4", "cclf5", "cclf7", "cclf8", "enrollment")}
    for person in people:
        who: Row = {"BENE_MBI_ID": person.id}
        for visit in person.visits:
            claim = who | {"CUR_CLM_UNIQ_ID": visit.claim, "CLM_TYPE_CD": "60" if visit.is_stay else "71"}
            claim |= {"CLM_FROM_DT": f"{visit.start}", "CLM_THRU_DT": f"{visit.end}"}
            processed = {"CLM_ADJSMT_TYPE_CD": "0", "CLM_EFCTV_DT": f"{visit.end + dt.timedelta(days=20)}"}
            if visit.is_stay:
                tables["cclf1"].append(
                    claim
                    | processed
                    | {
                        "PRVDR_OSCAR_NUM": "330123",
                        "CLM_BILL_FAC_TYPE_CD": "1",
                        "CLM_BILL_CLSFCTN_CD": "1",
                        "CLM_BILL_FREQ_CD": "1",
                        "PRNCPL_DGNS_CD": visit.diagnoses[0],
                        "CLM_PMT_AMT": visit.paid[0],
                        "BENE_PTNT_STUS_CD": "01",
                        "DGNS_DRG_CD": visit.drg,
                        "FAC_PRVDR_NPI_NUM": _NPI[1],
                        "DGNS_PRCDR_ICD_IND": "0",
                    }
                )
                for place, code in enumerate(visit.diagnoses, start=1):
                    kind = {"CLM_PROD_TYPE_CD": "D", "CLM_VAL_SQNC_NUM": f"{place}", "CLM_POA_IND": "Y"}
                    tables["cclf4"].append(claim | kind | {"CLM_DGNS_CD": code, "DGNS_PRCDR_ICD_IND": "0"})
                continue
            for line, (hcpcs, paid) in enumerate(zip(visit.hcpcs, visit.paid, strict=True), start=1):
                row = claim | {"CLM_LINE_NUM": f"{line}", "CLM_LINE_HCPCS_CD": hcpcs, "HCPCS_1_MDFR_CD": "25"}
                row |= {"CLM_LINE_FROM_DT": f"{visit.start}", "CLM_LINE_SRVC_UNIT_QTY": f"{line}"}
                row |= {"CLM_CNTL_NUM": f"C{visit.claim}", "CLM_POS_CD": _PLACE[line % 2]}
                row |= {"CLM_LINE_CVRD_PD_AMT": paid, "CLM_LINE_ALOWD_CHRG_AMT": paid}
                row |= {f"CLM_DGNS_{place}_CD": code for place, code in enumerate(visit.diagnoses, start=1)}
                tables["cclf5"].append(row | processed | {"RNDRG_PRVDR_NPI_NUM": _NPI[0], "DGNS_PRCDR_ICD_IND": "0"})
        for claim_id, day, ndc, quantity, supply, cost in person.fills:
            tables["cclf7"].append(
                who
                | {
                    "CUR_CLM_UNIQ_ID": claim_id,
                    "CLM_LINE_NDC_CD": ndc,
                    "CLM_TYPE_CD": "01",
                    "CLM_LINE_FROM_DT": f"{day}",
                    "CLM_SRVC_PRVDR_GNRC_ID_NUM": _NPI[0],
                    "CLM_LINE_SRVC_UNIT_QTY": quantity,
                    "CLM_LINE_DAYS_SUPLY_QTY": supply,
                    "CLM_LINE_BENE_PMT_AMT": cost,
                    "CLM_ADJSMT_TYPE_CD": "0",
                    "CLM_IDR_LD_DT": f"{day + dt.timedelta(days=9)}",
                    "CLM_LINE_RX_FILL_NUM": "1",
                }
            )
        tables["cclf8"].append(
            who
            | {
                "BENE_FIPS_STATE_CD": "36",
                "BENE_FIPS_CNTY_CD": "061",
                "BENE_DOB": f"{person.birth}",
                "BENE_SEX_CD": {"F": "2", "M": "1"}[person.sex],
                "BENE_RACE_CD": "1",
                "BENE_MDCR_STUS_CD": "10",
                "BENE_DUAL_STUS_CD": "02",
                "BENE_DEATH_DT": None if person.death is None else f"{person.death}",
                "BENE_ENTLMT_BUYIN_IND": "3",
                "BENE_PART_A_ENRLMT_BGN_DT": f"{first.year - 1}-01-01",
            }
        )
        span = {"ENROLLMENT_START_DATE": f"{first.year - 1}-01-01", "ENROLLMENT_END_DATE": f"{first.year + 3}-12-31"}
        tables["enrollment"].append(who | span)
    return tables


def _mimic3(people: list[_Person], first: dt.date) -> dict[str, list[Row]]:
    names = ("patients", "admissions", "diagnoses_icd", "procedures_icd", "drgcodes", "cptevents", "prescriptions")
    tables: dict[str, list[Row]] = {name: [] for name in names}
    numbers = iter(range(1, 10_000))

    def add(table: str, **cells: str | None) -> None:
        # Rows are numbered within a world, in the order of the file.
        tables[table].append({"row_id": f"{people[0].id[:5]}9{next(numbers):04d}", **cells})

    for person in people:
        death = None if person.death is None else f"{person.death} 00:00:00"
        add("patients", subject_id=person.id, gender=person.sex, dob=f"{person.birth} 00:00:00", dod=death)
        for visit in person.visits:
            # A hospital has no other visits; a short stay stands for them.
            ids = {"subject_id": person.id, "hadm_id": visit.claim}
            add(
                "admissions",
                **ids,
                admittime=f"{visit.start} 21:09:00",
                dischtime=f"{visit.end} 23:15:00",
                admission_type="EMERGENCY",
                admission_location="EMERGENCY ROOM ADMIT",
                discharge_location="HOME",
            )
            for rank, code in enumerate(visit.diagnoses, start=1):
                add("diagnoses_icd", **ids, seq_num=f"{rank}", icd9_code=code)
            for code in visit.hcpcs:
                add("cptevents", **ids, chartdate=f"{visit.start} 00:00:00", cpt_cd=code)
            if visit.is_stay:
                add("procedures_icd", **ids, seq_num="1", icd9_code=visit.procedure)
                add("drgcodes", **ids, drg_type="MS", drg_code=visit.drg)
        for _, day, ndc, *_ in person.fills:
            add(
                "prescriptions",
                subject_id=person.id,
                hadm_id=None,
                startdate=f"{day} 00:00:00",
                drug="a drug",
                ndc=ndc,
            )
    return tables


def _meds(people: list[_Person], first: dt.date) -> dict[str, list[Row]]:
    rows: list[Row] = []

    def add(person: _Person, day: dt.date | None, code: str) -> None:
        time = None if day is None else f"{day} 09:30:00"
        rows.append({"subject_id": person.id, "time": time, "code": code, "text_value": "a text"})

    for person in people:
        add(person, None, f"GENDER//{person.sex}")
        add(person, person.birth, "MEDS_BIRTH")
        add(person, dt.date(first.year - 1, 1, 1), "ENROLLMENT//START")
        for visit in person.visits:
            for code in visit.diagnoses:
                add(person, visit.start, f"ICD10CM//{code}")
            for code in visit.hcpcs:
                add(person, visit.start, f"HCPCS//{code}")
        for _, day, ndc, *_ in person.fills:
            add(person, day, f"NDC//{ndc}")
        add(person, dt.date(first.year + 3, 12, 31), "ENROLLMENT//END")
        if person.death is not None:
            add(person, person.death, "MEDS_DEATH")
    return {"data": rows}


def _omop(people: list[_Person], first: dt.date) -> dict[str, list[Row]]:
    names = ["person", "observation_period", "death", "visit_occurrence"]
    names += ["condition_occurrence", "procedure_occurrence", "drug_exposure"]
    tables: dict[str, list[Row]] = {name: [] for name in names}
    numbers = iter(range(1, 10_000))

    def add(table: str, person: _Person, day: str, visit: str | None = None, **cells: str | None) -> None:
        number = {} if table in ("person", "death", "visit_occurrence") else {f"{table}_id": f"{next(numbers):04d}"}
        numbered = {name: f"{person.id[:5]}9{cell}" for name, cell in number.items()}
        dated = {day: cells.pop("at")} if day else {}
        tables[table].append({**numbered, "person_id": person.id, "visit_occurrence_id": visit, **dated, **cells})

    for person in people:
        birth = dict(zip(("year", "month", "day"), (f"{part}" for part in person.birth.timetuple()[:3]), strict=True))
        sex = {"F": "8532", "M": "8507"}[person.sex]
        add("person", person, "", gender_concept_id=sex, **{f"{part}_of_birth": text for part, text in birth.items()})
        end = f"{first.year + 3}-12-31"
        period = "observation_period"
        add(period, person, f"{period}_start_date", at=f"{first.year - 1}-01-01", **{f"{period}_end_date": end})
        if person.death is not None:
            add("death", person, "death_date", at=f"{person.death}")
        for visit in person.visits:
            kind = "9201" if visit.is_stay else "9202"
            start, last = f"{visit.start}", f"{visit.end}"
            of_visit = {"at": start, "visit_end_date": last, "visit_concept_id": kind}
            add("visit_occurrence", person, "visit_start_date", visit.claim, **of_visit)
            for code in visit.diagnoses:
                cells = {"at": start, "condition_concept_id": "0", "condition_source_value": code}
                add("condition_occurrence", person, "condition_start_date", visit.claim, **cells)
            for code in visit.hcpcs:
                cells = {"at": start, "procedure_concept_id": "0", "procedure_source_value": code}
                add("procedure_occurrence", person, "procedure_date", visit.claim, **cells)
        for _, day, ndc, quantity, supply, _cost in person.fills:
            cells = {"at": f"{day}", "drug_concept_id": "0", "drug_source_value": ndc}
            cells |= {"quantity": quantity, "days_supply": supply}
            add("drug_exposure", person, "drug_exposure_start_date", **cells)
    return tables
