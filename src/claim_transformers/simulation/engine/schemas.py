"""Columns that the files of every population share, named as in the input layer of Tuva (tuva-health/tuva)."""

import pyarrow as pa

TEXT = pa.dictionary(pa.int32(), pa.string())
DAY = pa.date32()
_MONEY = pa.decimal128(12, 2)

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
    ("paid_amount", _MONEY),
    ("allowed_amount", _MONEY),
    ("charge_amount", _MONEY),
    ("data_source", TEXT),
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
        ("paid_amount", _MONEY),
        ("allowed_amount", _MONEY),
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
