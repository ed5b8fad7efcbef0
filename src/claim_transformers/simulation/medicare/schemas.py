"""Columns of the simulated Medicare files, named as in the input layer of Tuva (tuva-health/tuva)."""

from __future__ import annotations

import pyarrow as pa

from ..schemas import DAY, ELIGIBILITY_SCHEMA, MONEY, PHARMACY_SCHEMA, TEXT
from .diagnoses import DIAGNOSES
from .sheets import PROCEDURES

DIAGNOSIS_COLUMNS = tuple(f"diagnosis_code_{number}" for number in range(1, DIAGNOSES + 1))
PROCEDURE_COLUMNS = tuple(f"procedure_code_{number}" for number in range(1, PROCEDURES + 1))
PROCEDURE_DATE_COLUMNS = tuple(f"procedure_date_{number}" for number in range(1, PROCEDURES + 1))

MEDICARE_MEDICAL_SCHEMA = pa.schema(
    [
        ("person_id", TEXT),
        ("claim_id", pa.string()),
        ("claim_line_number", pa.int32()),
        ("claim_type", TEXT),
        ("claim_start_date", DAY),
        ("claim_end_date", DAY),
        ("claim_line_start_date", DAY),
        ("claim_line_end_date", DAY),
        ("admission_date", DAY),
        ("discharge_date", DAY),
        ("discharge_disposition_code", TEXT),
        ("admit_type_code", TEXT),
        ("place_of_service_code", TEXT),
        ("bill_type_code", TEXT),
        ("drg_code", TEXT),
        ("revenue_center_code", TEXT),
        ("hcpcs_code", TEXT),
        ("service_unit_quantity", pa.float32()),
        ("diagnosis_code_type", TEXT),
        *[(name, TEXT) for name in DIAGNOSIS_COLUMNS],
        ("procedure_code_type", TEXT),
        *[(name, TEXT) for name in PROCEDURE_COLUMNS],
        *[(name, DAY) for name in PROCEDURE_DATE_COLUMNS],
        ("paid_date", DAY),
        ("paid_amount", MONEY),
        ("allowed_amount", MONEY),
        ("charge_amount", MONEY),
        ("data_source", TEXT),
    ]
)
MEDICARE_PHARMACY_SCHEMA = PHARMACY_SCHEMA
MEDICARE_ELIGIBILITY_SCHEMA = pa.schema(
    [
        *[field for field in ELIGIBILITY_SCHEMA if field.name != "data_source"],
        ("plan", TEXT),
        ("original_reason_entitlement_code", TEXT),
        ("dual_status_code", TEXT),
        ("medicare_status_code", TEXT),
        ("county_fips", TEXT),
        ("data_source", TEXT),
    ]
)
STAY_RISK_SCHEMA = pa.schema(
    [
        ("patient_id", TEXT),
        ("admission_date", DAY),
        ("discharge_date", DAY),
        ("outcome", TEXT),
        ("horizon_days", pa.int16()),
        ("risk", pa.float32()),
    ]
)
