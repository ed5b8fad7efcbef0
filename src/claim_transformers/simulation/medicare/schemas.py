"""Columns of the simulated Medicare files, named as in the input layer of Tuva (tuva-health/tuva)."""

import pyarrow as pa

from claim_transformers.simulation.engine.schemas import CLOSING_FIELDS, DAY, ELIGIBILITY_SCHEMA, OPENING_FIELDS, TEXT
from claim_transformers.simulation.medicare.coding import DIAGNOSES
from claim_transformers.simulation.medicare.sheets import PROCEDURES

_DIAGNOSIS_COLUMNS = tuple(f"diagnosis_code_{number}" for number in range(1, DIAGNOSES + 1))
_PROCEDURE_COLUMNS = tuple(f"procedure_code_{number}" for number in range(1, PROCEDURES + 1))
_PROCEDURE_DATE_COLUMNS = tuple(f"procedure_date_{number}" for number in range(1, PROCEDURES + 1))

MEDICARE_MEDICAL_SCHEMA = pa.schema(
    [
        *OPENING_FIELDS,
        ("admit_type_code", TEXT),
        ("place_of_service_code", TEXT),
        ("bill_type_code", TEXT),
        ("drg_code", TEXT),
        ("revenue_center_code", TEXT),
        ("hcpcs_code", TEXT),
        ("service_unit_quantity", pa.float32()),
        ("diagnosis_code_type", TEXT),
        *[(name, TEXT) for name in _DIAGNOSIS_COLUMNS],
        ("procedure_code_type", TEXT),
        *[(name, TEXT) for name in _PROCEDURE_COLUMNS],
        *[(name, DAY) for name in _PROCEDURE_DATE_COLUMNS],
        *CLOSING_FIELDS,
    ]
)
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
