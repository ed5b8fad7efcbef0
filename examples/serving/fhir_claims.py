"""Simulated claims as the FHIR resources that a hospital's server gives: a patient, a stay that ends, its history."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

Resource = dict[str, Any]
_HL7 = "http://terminology.hl7.org/CodeSystem/"
_CARIN = "http://hl7.org/fhir/us/carin-bb/"
_CMS_CODING = "https://www.cms.gov/Medicare/Coding/"
_SYSTEMS = {"ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm", "ICD10PCS": "http://www.cms.gov/Medicare/Coding/ICD10"}
_KINDS = {"CAR": "professional", "DME": "professional", "RX": "pharmacy"}
_BILLS = {"IP": "111", "OP": "131", "SNF": "211", "HHA": "321", "HOSP": "811"}


@dataclass(frozen=True)
class Chart:
    """What the hospital's server knows of a patient."""

    patient: Resource
    encounter: Resource
    coverage: list[Resource]
    claims: list[Resource]


def read_charts(claims: Path, number: int) -> dict[str, Chart]:
    """Charts of the patients who were discharged last; of that stay there is no claim yet, but an encounter."""
    lines = ds.dataset(claims / "claim_line")
    stays = lines.to_table(filter=(pc.field("claim_type") == "IP") & pc.field("discharge_date").is_valid())
    last: dict[str, Mapping[str, Any]] = {}
    for row in stays.sort_by([("discharge_date", "descending"), ("claim_line_number", "ascending")]).to_pylist():
        if row["patient_id"] not in last and len(last) < number:
            last[row["patient_id"]] = row
    wanted = pc.field("patient_id").isin(list(last))
    tables = {name: ds.dataset(claims / name).to_table(filter=wanted) for name in ("rx_claim", "eligibility")}
    tables["claim_line"] = lines.to_table(filter=wanted)
    rows = {name: _by_patient(table.to_pylist()) for name, table in tables.items()}
    return {
        f"patient-{place}": _chart(f"patient-{place}", stay, *(rows[name].get(patient_id, []) for name in rows))
        for place, (patient_id, stay) in enumerate(last.items(), 1)
    }


def _by_patient(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["patient_id"], []).append(row)
    return found


def _chart(
    name: str,
    stay: Mapping[str, Any],
    fills: Sequence[Mapping[str, Any]],
    spans: Sequence[Mapping[str, Any]],
    lines: Sequence[Mapping[str, Any]],
) -> Chart:
    end = stay["discharge_date"]
    before = [row for row in lines if row["claim_start_date"] < end and row["claim_id"] != stay["claim_id"]]
    of_claim: dict[str, list[Mapping[str, Any]]] = {}
    for row in before:
        of_claim.setdefault(row["claim_id"], []).append(row)
    claims = [_claim(name, own) for own in of_claim.values()]
    claims += [_fill(name, row) for row in fills if row["dispensing_date"] < end]
    gender = {"F": "female", "M": "male"}.get(str(spans[0]["gender"])[:1].upper(), "unknown")
    patient = {"resourceType": "Patient", "id": name, "gender": gender, "birthDate": str(spans[0]["birth_date"])}
    coverage = [_span(name, row) for row in spans if row["enrollment_start_date"] <= end]
    return Chart(patient, _encounter(name, stay), coverage, claims)


def _encounter(name: str, stay: Mapping[str, Any]) -> Resource:
    period = {"start": str(stay["admission_date"] or stay["claim_start_date"]), "end": str(stay["discharge_date"])}
    return {
        "resourceType": "Encounter",
        "id": f"stay-of-{name}",
        "status": "in-progress",
        "class": {"system": f"{_HL7}v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{name}"},
        "period": period,
        "reasonCode": [_coded(_SYSTEMS[one["system"]], one["code"]) for one in stay["diagnoses"] or ()],
    }


def _span(name: str, row: Mapping[str, Any]) -> Resource:
    ends = {"start": row["enrollment_start_date"], "end": row["enrollment_end_date"]}
    return {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": f"Patient/{name}"},
        "class": [{"type": _coded(f"{_HL7}coverage-class", "plan"), "value": "Part A"}],
        "period": {end: str(day) for end, day in ends.items() if day is not None},
    }


def _claim(name: str, lines: Sequence[Mapping[str, Any]]) -> Resource:
    """A claim of CARIN's dialect, of its first line and the services of all."""
    head = lines[0]
    kind = str(head["claim_type"])
    claim = _eob(name, head, _KINDS.get(kind, "institutional"), head["claim_start_date"], head["claim_end_date"])
    info: list[Resource] = []
    if kind in _BILLS:
        bill = {"coding": [{"system": "https://www.nubc.org/CodeSystem/TypeOfBill", "code": _BILLS[kind]}]}
        info.append({"category": _coded(f"{_CARIN}CodeSystem/C4BBSupportingInfoType", "typeofbill"), "code": bill})
    if head["admission_date"] is not None:
        days = {"start": head["admission_date"], "end": head["discharge_date"]}
        period = {end: str(day) for end, day in days.items() if day is not None}
        category = _coded(f"{_CARIN}CodeSystem/C4BBSupportingInfoType", "admissionperiod")
        info.append({"category": category, "timingPeriod": period})
    diagnoses = [
        {"sequence": place, "diagnosisCodeableConcept": _coded(_SYSTEMS[one["system"]], one["code"])}
        for place, one in enumerate(head["diagnoses"] or (), 1)
    ]
    procedures = [
        {"sequence": place, "procedureCodeableConcept": _coded(_SYSTEMS[one["system"]], one["code"])}
        for place, one in enumerate(head["procedures"] or (), 1)
    ]
    for place, row in enumerate(lines, 1):
        day = row["claim_line_start_date"] or row["claim_start_date"]
        item: Resource = {"sequence": place, "servicedDate": str(day)}
        if row["hcpcs_code"]:
            item["productOrService"] = _coded(f"{_CMS_CODING}HCPCSReleaseCodeSets", str(row["hcpcs_code"]))
        if row["revenue_center_code"]:
            item["revenue"] = _coded("https://www.nubc.org/CodeSystem/RevenueCodes", row["revenue_center_code"])
        claim["item"].append(item)
    return claim | {
        name: values
        for name, values in (("supportingInfo", info), ("diagnosis", diagnoses), ("procedure", procedures))
        if values
    }


def _fill(name: str, row: Mapping[str, Any]) -> Resource:
    day = row["dispensing_date"]
    claim = _eob(name, row, "pharmacy", day, day)
    drug = _coded("http://hl7.org/fhir/sid/ndc", str(row["ndc_code"]))
    claim["item"].append({"sequence": 1, "productOrService": drug, "servicedDate": str(day)})
    return claim


def _eob(name: str, row: Mapping[str, Any], kind: str, start: dt.date, end: dt.date | None) -> Resource:
    return {
        "resourceType": "ExplanationOfBenefit",
        "meta": {"profile": [f"{_CARIN}StructureDefinition/C4BB-ExplanationOfBenefit"]},
        "identifier": [{"type": _coded(f"{_CARIN}CodeSystem/C4BBIdentifierType", "uc"), "value": row["claim_id"]}],
        "status": "active",
        "use": "claim",
        "outcome": "complete",
        "type": _coded(f"{_HL7}claim-type", kind),
        "patient": {"reference": f"Patient/{name}"},
        "billablePeriod": {"start": str(start), "end": str(end or start)},
        "created": str(row["paid_date"] or end or start),
        "item": [],
    }


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}
