"""Canonical tables: every raw format ends here, every later step starts here.

Names follow the input layer of the Tuva Project (tuva-health/tuva, `models/input_layer`, Apache-2.0), with lists in
place of its numbered columns. Amounts are US dollars and keep Tuva's names without a unit suffix. Dates carry no time
zone. Codes are canonical (upper case, no dot, zeros kept) and stand *without* the `SYSTEM/` prefix, because the column
or the `system` field beside them names the system.

`claim_line`: one row per service on a claim, key (`data_source`, `claim_id`, `claim_line_number`).

| column | type | null | meaning |
|---|---|---|---|
| `patient_id` | string | no | the insured person |
| `claim_id` | string | no | the bill, unique within `data_source` |
| `claim_line_number` | int32 | no | 1-based, unique within the claim; numbers may have gaps |
| `claim_type` | dictionary<string> | no | `IP OP CAR DME HHA HOSP SNF RX` |
| `claim_start_date`, `claim_end_date` | date32 | no, yes | first and last day of service of the claim |
| `claim_line_start_date`, `claim_line_end_date` | date32 | yes | the same for the line |
| `admission_date`, `discharge_date` | date32 | yes | of the stay, inpatient and the like only |
| `paid_date` | date32 | yes | when the claim became known; never a feature |
| `discharge_disposition_code` to `revenue_center_code` | string | yes | as billed |
| `hcpcs_code` | dictionary<string> | yes | HCPCS level I or II |
| `hcpcs_modifiers` | list<string> | yes | two characters each, in billed order |
| `diagnoses` | list<struct<system, code, poa, rank>> | yes | `ICD9CM` or `ICD10CM`; `rank` 1 is principal |
| `admitting_diagnosis` | struct<system, code> | yes | what was suspected at admission; no code of the visit |
| `procedures` | list<struct<system, code, date>> | yes | `system` is `ICD9PCS` or `ICD10PCS` |
| `rendering_npi`, `billing_npi`, `facility_npi` | string | yes | national provider identifiers |
| `service_unit_quantity` | float32 | yes | units of the service |
| `paid_amount`, `allowed_amount`, `charge_amount` | decimal(12,2) | yes | US dollars |
| `data_source` | string | no | the source of the row |

`rx_claim`: one row per dispensed drug; `ndc_code` has 11 digits, `days_supply` is in days.

`eligibility`: one row per patient and span of enrolment; both ends inclusive. `gender` is `female`, `male` or null,
`county_fips` five digits.
"""

from collections.abc import Mapping

import pyarrow as pa

CLAIM_TYPES = ("IP", "OP", "CAR", "DME", "HHA", "HOSP", "SNF", "RX")

_AMOUNT = pa.decimal128(12, 2)
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_DIAGNOSES_TYPE = pa.list_(
    pa.struct([("system", pa.string()), ("code", pa.string()), ("poa", pa.string()), ("rank", pa.int8())])
)
_PROCEDURES_TYPE = pa.list_(pa.struct([("system", pa.string()), ("code", pa.string()), ("date", pa.date32())]))

_CLAIM_LINE_SCHEMA = pa.schema(
    [
        pa.field("patient_id", pa.string(), nullable=False),
        pa.field("claim_id", pa.string(), nullable=False),
        pa.field("claim_line_number", pa.int32(), nullable=False),
        pa.field("claim_type", _DICTIONARY, nullable=False),
        pa.field("claim_start_date", pa.date32(), nullable=False),
        ("claim_end_date", pa.date32()),
        ("claim_line_start_date", pa.date32()),
        ("claim_line_end_date", pa.date32()),
        ("admission_date", pa.date32()),
        ("discharge_date", pa.date32()),
        ("paid_date", pa.date32()),
        ("discharge_disposition_code", pa.string()),
        ("admit_source_code", pa.string()),
        ("admit_type_code", pa.string()),
        ("place_of_service_code", pa.string()),
        ("bill_type_code", pa.string()),
        ("drg_code_type", pa.string()),
        ("drg_code", pa.string()),
        ("revenue_center_code", pa.string()),
        ("hcpcs_code", _DICTIONARY),
        ("hcpcs_modifiers", pa.list_(pa.string())),
        ("diagnoses", _DIAGNOSES_TYPE),
        ("admitting_diagnosis", pa.struct([("system", pa.string()), ("code", pa.string())])),
        ("procedures", _PROCEDURES_TYPE),
        ("rendering_npi", pa.string()),
        ("billing_npi", pa.string()),
        ("facility_npi", pa.string()),
        ("service_unit_quantity", pa.float32()),
        ("paid_amount", _AMOUNT),
        ("allowed_amount", _AMOUNT),
        ("charge_amount", _AMOUNT),
        pa.field("data_source", pa.string(), nullable=False),
    ]
)

_RX_CLAIM_SCHEMA = pa.schema(
    [
        pa.field("patient_id", pa.string(), nullable=False),
        pa.field("claim_id", pa.string(), nullable=False),
        pa.field("claim_line_number", pa.int32(), nullable=False),
        pa.field("dispensing_date", pa.date32(), nullable=False),
        ("ndc_code", pa.string()),
        ("quantity", pa.float32()),
        ("days_supply", pa.int16()),
        ("refills", pa.int16()),
        ("paid_amount", _AMOUNT),
        ("allowed_amount", _AMOUNT),
        ("paid_date", pa.date32()),
        pa.field("data_source", pa.string(), nullable=False),
    ]
)

_ELIGIBILITY_SCHEMA = pa.schema(
    [
        pa.field("patient_id", pa.string(), nullable=False),
        ("source_member_id", pa.string()),
        ("payer", pa.string()),
        ("plan", pa.string()),
        ("gender", pa.string()),
        ("race", pa.string()),
        ("birth_date", pa.date32()),
        ("death_date", pa.date32()),
        ("enrollment_start_date", pa.date32()),
        ("enrollment_end_date", pa.date32()),
        ("original_reason_entitlement_code", pa.string()),
        ("dual_status_code", pa.string()),
        ("medicare_status_code", pa.string()),
        ("county_fips", pa.string()),
        pa.field("data_source", pa.string(), nullable=False),
    ]
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "claim_line": _CLAIM_LINE_SCHEMA,
    "rx_claim": _RX_CLAIM_SCHEMA,
    "eligibility": _ELIGIBILITY_SCHEMA,
}
