"""Small resources of FHIR in three dialects, and RIF rows written as ExplanationOfBenefit as CMS does."""

import datetime as dt
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Resource = dict[str, Any]

CMS, BB = "https://bluebutton.cms.gov/resources/variables/", "https://bluebutton.cms.gov/resources/"
V3, V3_PROFILE = "https://bluebutton.cms.gov/fhir/CodeSystem/", "https://bluebutton.cms.gov/fhir/StructureDefinition/"
CARIN, HL7 = "http://hl7.org/fhir/us/carin-bb/", "http://terminology.hl7.org/CodeSystem/"
ICD10, ICD9 = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm"
PCS10, PCS9 = "http://www.cms.gov/Medicare/Coding/ICD10", "http://www.cms.gov/Medicare/Coding/ICD9"
NDC, HCPCS = "http://hl7.org/fhir/sid/ndc", "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
BILL = "https://www.nubc.org/CodeSystem/TypeOfBill"


def coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def payer_eob(claim: str = "7", patient: str = "Ada", kind: str = "professional", **changes: Any) -> Resource:
    """A claim of a payer outside CMS, as the Basis profiles of CARIN have it: no money."""
    lines = [payer_line()]
    resource: Resource = {
        "resourceType": "ExplanationOfBenefit",
        "meta": {"profile": [f"{CARIN}StructureDefinition/C4BB-ExplanationOfBenefit-Professional-NonClinician-Basis"]},
        "identifier": [{"type": coded(f"{CARIN}CodeSystem/C4BBIdentifierType", "uc"), "value": claim}],
        "status": "active",
        "type": coded(f"{HL7}claim-type", kind),
        "use": "claim",
        "patient": {"reference": f"Patient/{patient}"},
        "billablePeriod": {"start": "2024-03-03", "end": "2024-03-03"},
        "created": "2024-03-20",
        "outcome": "complete",
        "diagnosis": [diagnosis("I50.23", "principal", 1), diagnosis("E11.9", "secondary", 2)],
        "item": lines,
    }
    return {name: value for name, value in (resource | changes).items() if value is not None}


def payer_line(number: int = 1, code: str = "99213", **changes: Any) -> Resource:
    return {
        "sequence": number,
        "productOrService": coded(HCPCS, code),
        "servicedDate": "2024-03-03",
    } | changes


def diagnosis(code: str, kind: str, sequence: int, system: str = ICD10, **changes: Any) -> Resource:
    is_hl7 = kind in ("principal", "admitting")
    kinds = f"{HL7}ex-diagnosistype" if is_hl7 else f"{CARIN}CodeSystem/C4BBClaimDiagnosisType"
    return {
        "sequence": sequence,
        "diagnosisCodeableConcept": coded(system, code),
        "type": [coded(kinds, kind)],
    } | changes


def cms_eob(
    claim: str = "7", patient: str = "Ada", kind: str = "CARRIER", final: str = "FinalAction", **changes: Any
) -> Resource:
    """A claim of CMS v3."""
    resource = payer_eob(claim, patient)
    resource["meta"] = {
        "profile": [f"{CARIN}StructureDefinition/C4BB-ExplanationOfBenefit", f"{V3_PROFILE}CMS-ExplanationOfBenefit"],
        "tag": [{"system": f"{V3}Final-Action", "code": final}],
    }
    resource["type"] = {"coding": [{"system": f"{V3}EOB-TYPE", "code": kind}, *resource["type"]["coding"]]}
    return resource | changes


def stu3_eob(
    claim: str = "7", patient: str = "Ada", kind: str = "CARRIER", group: str = "", **changes: Any
) -> Resource:
    """A claim of Blue Button v1."""
    return {
        "resourceType": "ExplanationOfBenefit",
        "meta": {"lastUpdated": "2024-04-01T00:00:00Z"},
        "identifier": [
            {"system": f"{CMS}clm_id", "value": claim},
            *([{"system": f"{BB}identifier/claim-group", "value": group}] if group else []),
        ],
        "status": "active",
        "type": {"coding": [{"system": f"{BB}codesystem/eob-type", "code": kind}]},
        "patient": {"reference": f"Patient/{patient}"},
        "billablePeriod": {"start": "2024-03-03", "end": "2024-03-03"},
        "information": [
            {"category": coded(f"{BB}codesystem/information", f"{CMS}nch_wkly_proc_dt"), "timingDate": "2024-03-15"}
        ],
        "diagnosis": [
            {
                "sequence": 1,
                "diagnosisCodeableConcept": coded("http://hl7.org/fhir/sid/icd-10", "I5023"),
                "type": [coded(f"{BB}codesystem/diagnosis-type", "principal")],
            }
        ],
        "item": [{"sequence": 1, "service": coded(f"{BB}codesystem/hcpcs", "99213"), "servicedDate": "2024-03-03"}],
    } | changes


def patient(name: str = "Ada", **changes: Any) -> Resource:
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1950-02-01"} | changes


def coverage(
    name: str = "Ada",
    part: str | None = "Part A",
    start: str | None = "2023-01-01",
    end: str | None = None,
    **changes: Any,
) -> Resource:
    period = {key: value for key, value in (("start", start), ("end", end)) if value is not None}
    resource: Resource = {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": f"Patient/{name}"},
    }
    resource |= {"period": period} if period else {}
    if part is not None:
        resource["class"] = [{"type": coded(f"{HL7}coverage-class", "plan"), "value": part}]
    return resource | changes


def bundle(*resources: Resource, next_page: bool = False) -> Resource:
    links = [{"relation": "self", "url": "https://example.org"}]
    links += [{"relation": "next", "url": "https://example.org?page=2"}] if next_page else []
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}


def write_lines(path: Path, resources: Iterable[Resource | str]) -> Path:
    """Write a bulk file; a text stands as it is."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in resources]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# ---- RIF rows as ExplanationOfBenefit ----

_EOB_TYPES = {"inpatient": "INPATIENT", "outpatient": "OUTPATIENT", "carrier": "CARRIER", "dme": "DME"}
_EOB_TYPES |= {"home_health": "HHA", "hospice": "HOSPICE", "snf": "SNF", "part_d": "PDE"}
_ADMISSIONS = ("CLM_ADMSN_DT", "CLM_HOSPC_START_DT_ID")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def rif_resources(kind: str, rows: Sequence[Mapping[str, str]], *, is_stu3: bool = False) -> list[Resource]:
    """Write the rows of a RIF file as resources, as Blue Button v2 or v1 of CMS has them."""
    number = "PDE_ID" if kind == "part_d" else "CLM_ID"
    claims: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        claims.setdefault(row[number], []).append(row)
    write = _stu3 if is_stu3 else (lambda resource: resource)
    return [write(_drug(lines[0]) if kind == "part_d" else _claim(kind, lines)) for lines in claims.values()]


def _day(text: str | None) -> str | None:
    if not text:
        return None
    day, month, year = text.split("-")
    return f"{dt.date(int(year), _MONTHS.index(month.upper()) + 1, int(day))}"


def _info(kind: str, code: str | None = None, **more: Any) -> list[Resource]:
    """One supporting information, none without what it says."""
    if code == "" or None in more.values():
        return []
    value = {} if code is None else {"code": coded(f"{CMS}x", code)}
    return [{"category": coded(f"{CARIN}CodeSystem/C4BBSupportingInfoType", kind), **value, **more}]


def _variable(name: str, code: str | None) -> list[Resource]:
    return [{"url": f"{CMS}{name}", "valueCoding": {"system": f"{CMS}{name}", "code": code}}] if code else []


def _claim(kind: str, lines: Sequence[Mapping[str, str]]) -> Resource:
    head = lines[0]
    get = head.get
    admission = next((day for name in _ADMISSIONS if (day := _day(get(name)))), None)
    period = {"start": admission, "end": _day(get("NCH_BENE_DSCHRG_DT"))}
    period = {name: day for name, day in period.items() if day}
    frequency = get("CLM_FREQ_CD")
    info = [
        *_info("clmrecvddate", timingDate=_day(get("NCH_WKLY_PROC_DT"))),
        *(_info("admissionperiod", timingPeriod=period) if period else []),
        *_info("discharge-status", get("PTNT_DSCHRG_STUS_CD") or ""),
        *_info("admtype", get("CLM_IP_ADMSN_TYPE_CD") or ""),
        *_info("pointoforigin", get("CLM_SRC_IP_ADMSN_CD") or ""),
    ]
    for one in info:
        if one["category"]["coding"][0]["code"] == "clmrecvddate":
            one["category"]["coding"].append(
                {"system": f"{BB}codesystem/information", "code": f"{CMS}nch_wkly_proc_dt"}
            )
    if drg := get("CLM_DRG_CD"):
        info.append(
            {
                "category": coded(f"{BB}codesystem/information", f"{CMS}clm_drg_cd"),
                "code": coded(f"{CMS}clm_drg_cd", drg),
            }
        )
    if frequency:
        info += [{"category": coded(f"{CARIN}x", "typeofbill"), "code": coded(f"{CMS}clm_freq_cd", frequency)}]
    money = (
        [
            {
                "category": coded(f"{BB}codesystem/adjudication", f"{CMS}clm_tot_chrg_amt"),
                "amount": {"value": float(get("CLM_TOT_CHRG_AMT", ""))},
            }
        ]
        if get("CLM_TOT_CHRG_AMT")
        else []
    )
    billed = {"start": _day(head["CLM_FROM_DT"]), "end": _day(head["CLM_THRU_DT"])}
    resource: Resource = {
        "resourceType": "ExplanationOfBenefit",
        "meta": {"profile": [f"{CARIN}StructureDefinition/C4BB-ExplanationOfBenefit"]},
        "identifier": [{"system": f"{CMS}clm_id", "value": head["CLM_ID"]}],
        "status": "active" if get("FINAL_ACTION", "F") == "F" else "cancelled",
        "type": coded(f"{BB}codesystem/eob-type", _EOB_TYPES[kind]),
        "patient": {"reference": f"Patient/{head['BENE_ID']}"},
        "billablePeriod": {"extension": _variable("claim_query_cd", get("CLAIM_QUERY_CODE")), **billed},
        "extension": [
            *_variable("clm_srvc_clsfctn_type_cd", get("CLM_SRVC_CLSFCTN_TYPE_CD")),
            *_variable("carr_clm_pmt_dnl_cd", get("CARR_CLM_PMT_DNL_CD")),
            *_variable("clm_mdcr_non_pmt_rsn_cd", get("CLM_MDCR_NON_PMT_RSN_CD")),
        ],
        "facility": {"extension": _variable("clm_fac_type_cd", get("CLM_FAC_TYPE_CD"))},
        "disposition": get("CLM_DISP_CD") or None,
        "supportingInfo": info,
        "diagnosis": _rif_diagnoses(lines),
        "procedure": [
            {
                "sequence": n,
                "procedureCodeableConcept": coded(PCS9 if get(f"ICD_PRCDR_VRSN_CD{n}") == "9" else PCS10, code),
                "date": _day(get(f"PRCDR_DT{n}")),
            }
            for n in range(1, 26)
            if (code := get(f"ICD_PRCDR_CD{n}"))
        ],
        "payment": {"amount": {"value": float(get("CLM_PMT_AMT") or 0)}},
        "total": money,
        "item": [_line(row) for row in lines],
    }
    return resource


def _rif_diagnoses(lines: Sequence[Mapping[str, str]]) -> list[Resource]:
    """Admitting, principal and all others once, those of single lines behind them, as CMS lists them."""
    get = lines[0].get
    numbers = itertools.count(1)
    found: list[Resource] = []

    def add(code: str | None, version: str | None, kind: str, poa: str | None = None) -> None:
        if code:
            extension = [{"url": f"{CMS}clm_poa_ind_sw1", "valueCoding": {"code": poa}}] if poa else []
            found.append(diagnosis(code, kind, next(numbers), ICD9 if version == "9" else ICD10, extension=extension))

    add(get("ADMTG_DGNS_CD"), get("ADMTG_DGNS_VRSN_CD"), "admitting")
    first = get("ICD_DGNS_CD1")
    principal = get("PRNCPAL_DGNS_CD") or first
    add(
        principal,
        get("PRNCPAL_DGNS_VRSN_CD") or get("ICD_DGNS_VRSN_CD1"),
        "principal",
        get("CLM_POA_IND_SW1") if principal == first else None,
    )
    for n in range(1, 26):
        if get(f"ICD_DGNS_CD{n}") != principal:
            add(get(f"ICD_DGNS_CD{n}"), get(f"ICD_DGNS_VRSN_CD{n}"), "other", get(f"CLM_POA_IND_SW{n}"))
    for n in range(1, 13):
        add(get(f"ICD_DGNS_E_CD{n}"), get(f"ICD_DGNS_E_VRSN_CD{n}"), "externalcauseofinjury")
    for row in lines:
        known = {one["diagnosisCodeableConcept"]["coding"][0]["code"] for one in found}
        if row.get("LINE_ICD_DGNS_CD") not in known:
            add(row.get("LINE_ICD_DGNS_CD"), row.get("LINE_ICD_DGNS_VRSN_CD"), "secondary")
    return found


def _line(row: Mapping[str, str]) -> Resource:
    get = row.get
    amounts = (
        ("line_nch_pmt_amt", "LINE_NCH_PMT_AMT"),
        ("line_alowd_chrg_amt", "LINE_ALOWD_CHRG_AMT"),
        ("line_sbmtd_chrg_amt", "LINE_SBMTD_CHRG_AMT"),
    )
    line: Resource = {
        "sequence": int(get("CLM_LINE_NUM") or get("LINE_NUM") or 0),
        "extension": _variable("line_prcsg_ind_cd", get("LINE_PRCSG_IND_CD")),
        "adjudication": [
            {
                "category": coded(f"{BB}codesystem/adjudication", f"{CMS}{name}"),
                "amount": {"value": float(get(column, ""))},
            }
            for name, column in amounts
            if get(column)
        ],
        "modifier": [
            coded(f"{BB}codesystem/hcpcs", code)
            for n in ("1ST", "2ND", "3RD", "4TH")
            if (code := get(f"HCPCS_{n}_MDFR_CD"))
        ],
    }
    if code := get("HCPCS_CD"):
        line["productOrService"] = coded(f"{BB}codesystem/hcpcs", code)
    if code := get("REV_CNTR"):
        line["revenue"] = coded(f"{CMS}rev_cntr", code)
    if code := get("LINE_PLACE_OF_SRVC_CD"):
        line["locationCodeableConcept"] = coded(f"{CMS}line_place_of_srvc_cd", code)
    if units := get("REV_CNTR_UNIT_CNT") or get("LINE_SRVC_CNT"):
        line["quantity"] = {"value": float(units)}
    if day := _day(get("REV_CNTR_DT")):
        line["servicedDate"] = day
    if day := _day(get("LINE_1ST_EXPNS_DT")):
        line["servicedPeriod"] = {"start": day, "end": _day(get("LINE_LAST_EXPNS_DT"))}
    return line


def _drug(row: Mapping[str, str]) -> Resource:
    amounts = (("tot_rx_cst_amt", "TOT_RX_CST_AMT"), ("ptnt_pay_amt", "PTNT_PAY_AMT"))
    day = _day(row["SRVC_DT"])
    return {
        "resourceType": "ExplanationOfBenefit",
        "meta": {"profile": [f"{CARIN}StructureDefinition/C4BB-ExplanationOfBenefit-Pharmacy"]},
        "identifier": [{"system": f"{CMS}pde_id", "value": row["PDE_ID"]}],
        "status": "active",
        "type": coded(f"{BB}codesystem/eob-type", "PDE"),
        "patient": {"reference": f"Patient/{row['BENE_ID']}"},
        "billablePeriod": {"start": day, "end": day},
        "payment": {"date": _day(row.get("PD_DT"))},
        "supportingInfo": [
            *_info("dayssupply", valueQuantity={"value": int(float(row["DAYS_SUPLY_NUM"]))}),
            *_info("refillnum", valueQuantity={"value": int(float(row["FILL_NUM"]))}),
        ],
        "item": [
            {
                "sequence": 1,
                "productOrService": coded(NDC, row["PROD_SRVC_ID"]),
                "servicedDate": day,
                "quantity": {"value": float(row["QTY_DSPNSD_NUM"])},
                "adjudication": [
                    {
                        "category": coded(f"{BB}codesystem/adjudication", f"{CMS}{name}"),
                        "amount": {"value": float(row[column])},
                    }
                    for name, column in amounts
                ],
            }
        ],
    }


def _stu3(resource: Resource) -> Resource:
    """The same claim in STU3: other names of elements, other places of the stay, the DRG and the supply."""
    changed = {
        name: value for name, value in resource.items() if name not in ("meta", "supportingInfo", "total", "extension")
    }
    info = {one["category"]["coding"][0]["code"]: one for one in resource["supportingInfo"]}
    variables = {
        "clmrecvddate": "nch_wkly_proc_dt",
        "discharge-status": "ptnt_dschrg_stus_cd",
        "typeofbill": "clm_freq_cd",
    }
    variables |= {"admtype": "clm_ip_admsn_type_cd", "pointoforigin": "clm_src_ip_admsn_cd"}
    changed["information"] = [
        {**one, "category": coded(f"{BB}codesystem/information", f"{CMS}{variables[kind]}")}
        for kind, one in info.items()
        if kind in variables
    ]
    if "admissionperiod" in info:
        changed["hospitalization"] = info["admissionperiod"]["timingPeriod"]
    if resource.get("total"):
        changed["totalCost"] = resource["total"][0]["amount"]
    kinds = {one["url"]: one["valueCoding"] for one in resource.get("extension", ())}
    bill = kinds.get(f"{CMS}clm_srvc_clsfctn_type_cd")
    changed["type"] = {"coding": [*resource["type"]["coding"], *([bill] if bill else [])]}
    changed["extension"] = resource.get("extension", [])
    drg = info.get(f"{CMS}clm_drg_cd")
    changed["diagnosis"] = [
        *([{"sequence": 0, "packageCode": drg["code"]}] if drg else []),
        *(
            {**one, "type": [coded(f"{BB}codesystem/diagnosis-type", one["type"][0]["coding"][0]["code"])]}
            for one in resource.get("diagnosis", ())
        ),
    ]
    changed["item"] = [_stu3_line(line, info) for line in resource["item"]]
    return changed


def _stu3_line(line: Resource, info: Mapping[str, Resource]) -> Resource:
    changed = {name: value for name, value in line.items() if name not in ("productOrService", "extension")}
    if "productOrService" in line:
        changed["service"] = line["productOrService"]
    for one in line.get("extension", ()):
        status = {"category": coded("x", f"{CMS}line_prcsg_ind_cd"), "reason": {"coding": [one["valueCoding"]]}}
        changed["adjudication"] = [*line["adjudication"], status]
    supply = [("days_suply_num", "dayssupply"), ("fill_num", "refillnum")]
    if "dayssupply" in info:
        changed["quantity"] = {
            **line["quantity"],
            "extension": [
                {"url": f"{CMS}{name}", "valueQuantity": info[kind]["valueQuantity"]} for name, kind in supply
            ],
        }
    return changed
