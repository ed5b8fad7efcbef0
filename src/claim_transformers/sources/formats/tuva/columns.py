"""Columns of the Tuva input layer, of the two generations in use.

Source: tuva-health/tuva, `models/input_layer` (Apache-2.0). Names of the older generation are aliases of the newer.
"""

from __future__ import annotations

from claim_transformers.sources.formats.synpuf.columns import numbered
from claim_transformers.sources.pipeline.reading import Layout

NUM_CODES = 25
DIAGNOSES = numbered("diagnosis_code", NUM_CODES)
DIAGNOSES_POA = numbered("diagnosis_poa", NUM_CODES)
PROCEDURES = numbered("procedure_code", NUM_CODES)
PROCEDURE_DATES = numbered("procedure_date", NUM_CODES)
MODIFIERS = numbered("hcpcs_modifier", 5)
NPIS = ("rendering_npi", "billing_npi", "facility_npi")

_IDS = ("person_id", "claim_id", "member_id", *NPIS)
_ALIASES = {
    "patient_id": "person_id",
    "ms_drg_code": "drg_code",
    "rendering_id": "rendering_npi",
    "billing_id": "billing_npi",
    "facility_id": "facility_npi",
}
_CLAIM_KEY = ("claim_id", "claim_line_number")

MEDICAL_CLAIM = Layout(
    columns=(
        *_CLAIM_KEY,
        "claim_type",
        "person_id",
        "member_id",
        "payer",
        "plan",
        "claim_start_date",
        "claim_end_date",
        "claim_line_start_date",
        "claim_line_end_date",
        "admission_date",
        "discharge_date",
        "admit_source_code",
        "admit_type_code",
        "discharge_disposition_code",
        "place_of_service_code",
        "bill_type_code",
        "drg_code_type",
        "drg_code",
        "apr_drg_code",
        "revenue_center_code",
        "service_unit_quantity",
        "hcpcs_code",
        *MODIFIERS,
        *NPIS,
        "paid_date",
        "paid_amount",
        "total_cost_amount",
        "allowed_amount",
        "charge_amount",
        "coinsurance_amount",
        "copayment_amount",
        "deductible_amount",
        "diagnosis_code_type",
        *DIAGNOSES,
        *DIAGNOSES_POA,
        "procedure_code_type",
        *PROCEDURES,
        *PROCEDURE_DATES,
        "in_network_flag",
        "data_source",
    ),
    required=(*_CLAIM_KEY, "claim_type", "person_id", "claim_start_date", "diagnosis_code_type", "diagnosis_code_1"),
    id_columns=_IDS,
    aliases=_ALIASES,
    is_ordered=False,
)

PHARMACY_CLAIM = Layout(
    columns=(
        *_CLAIM_KEY,
        "person_id",
        "member_id",
        "payer",
        "plan",
        "prescribing_provider_npi",
        "dispensing_provider_npi",
        "dispensing_date",
        "ndc_code",
        "quantity",
        "days_supply",
        "refills",
        "paid_date",
        "paid_amount",
        "allowed_amount",
        "charge_amount",
        "coinsurance_amount",
        "copayment_amount",
        "deductible_amount",
        "in_network_flag",
        "data_source",
    ),
    required=(*_CLAIM_KEY, "person_id", "dispensing_date", "ndc_code"),
    id_columns=(*_IDS, "ndc_code"),
    aliases=_ALIASES,
    is_ordered=False,
)

ELIGIBILITY = Layout(
    columns=(
        "person_id",
        "member_id",
        "gender",
        "race",
        "birth_date",
        "death_date",
        "death_flag",
        "enrollment_start_date",
        "enrollment_end_date",
        "payer",
        "payer_type",
        "plan",
        "original_reason_entitlement_code",
        "dual_status_code",
        "medicare_status_code",
        # Not in the input layer of Tuva, which has state and zip code only; read where somebody has added it.
        "county_fips",
        "data_source",
    ),
    required=("person_id", "gender", "birth_date", "enrollment_start_date", "enrollment_end_date"),
    id_columns=_IDS,
    aliases=_ALIASES,
    is_ordered=False,
)
