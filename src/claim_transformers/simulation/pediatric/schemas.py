"""Columns of the simulated files, named as in the input layer of Tuva (tuva-health/tuva, `models/input_layer`)."""

from __future__ import annotations

import pyarrow as pa

TEXT = pa.dictionary(pa.int32(), pa.string())
DAY = pa.date32()
MONEY = pa.decimal128(12, 2)
DIAGNOSIS_COLUMNS = tuple(f"diagnosis_code_{number}" for number in range(1, 6))

# Fields that open and close a claim line of every population.
OPENING_FIELDS = (
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
)
CLOSING_FIELDS = (
    ("paid_date", DAY),
    ("paid_amount", MONEY),
    ("allowed_amount", MONEY),
    ("charge_amount", MONEY),
    ("data_source", TEXT),
)

MEDICAL_SCHEMA = pa.schema(
    [
        *OPENING_FIELDS,
        ("place_of_service_code", TEXT),
        ("drg_code", TEXT),
        ("hcpcs_code", TEXT),
        ("diagnosis_code_type", TEXT),
        *[(name, TEXT) for name in DIAGNOSIS_COLUMNS],
        ("procedure_code_type", TEXT),
        ("procedure_code_1", TEXT),
        ("procedure_code_2", TEXT),
        ("procedure_date_1", DAY),
        ("procedure_date_2", DAY),
        ("rendering_npi", TEXT),
        *CLOSING_FIELDS,
    ]
)
PHARMACY_SCHEMA = pa.schema(
    [
        ("person_id", TEXT),
        ("claim_id", pa.string()),
        ("claim_line_number", pa.int32()),
        ("dispensing_date", DAY),
        ("ndc_code", TEXT),
        ("quantity", pa.float32()),
        ("days_supply", pa.int32()),
        ("refills", pa.int32()),
        ("paid_date", DAY),
        ("paid_amount", MONEY),
        ("allowed_amount", MONEY),
        ("data_source", TEXT),
    ]
)
ELIGIBILITY_SCHEMA = pa.schema(
    [
        ("person_id", TEXT),
        ("member_id", TEXT),
        ("payer", TEXT),
        ("gender", TEXT),
        ("race", TEXT),
        ("birth_date", DAY),
        ("death_date", DAY),
        ("enrollment_start_date", DAY),
        ("enrollment_end_date", DAY),
        ("data_source", TEXT),
    ]
)
RISK_SCHEMA = pa.schema(
    [
        ("patient_id", TEXT),
        ("index_date", DAY),
        ("outcome", TEXT),
        ("horizon_days", pa.int16()),
        ("risk", pa.float32()),
    ]
)
INGREDIENT_SCHEMA = pa.schema([("ndc9", pa.string()), ("ingredient", pa.string())])
