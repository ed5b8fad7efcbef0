"""Columns of the simulated pediatric files, named as in the input layer of Tuva (tuva-health/tuva)."""

import pyarrow as pa

from claim_transformers.simulation.engine.schemas import CLOSING_FIELDS, DAY, OPENING_FIELDS, TEXT

DIAGNOSIS_COLUMNS = tuple(f"diagnosis_code_{number}" for number in range(1, 6))

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
RISK_SCHEMA = pa.schema(
    [
        ("patient_id", TEXT),
        ("index_date", DAY),
        ("outcome", TEXT),
        ("horizon_days", pa.int16()),
        ("risk", pa.float32()),
    ]
)
