"""Columns of the MIMIC-III tables that claims are made of, and the codes behind MIMIC's words.

Source: Johnson et al., 2016, *MIMIC-III, a freely accessible critical care database*, and its table descriptions
(mimic.mit.edu, MIMIC-III). Names are MIMIC's own in lower case, as the demo writes them; the full release writes them
in upper case, which is read too.
"""

from __future__ import annotations

from types import MappingProxyType

from claim_transformers.sources.pipeline.reading import Layout

_ROW = ("row_id", "subject_id")
_STAY = (*_ROW, "hadm_id")
_IDS = (*_STAY, "icustay_id")

PATIENTS = Layout(
    columns=(*_ROW, "gender", "dob", "dod", "dod_hosp", "dod_ssn", "expire_flag"),
    required=(*_ROW, "gender", "dob", "dod"),
    id_columns=_IDS,
    is_ordered=False,
)
ADMISSIONS = Layout(
    columns=(
        *_STAY,
        "admittime",
        "dischtime",
        "deathtime",
        "admission_type",
        "admission_location",
        "discharge_location",
        "insurance",
        "language",
        "religion",
        "marital_status",
        "ethnicity",
        "edregtime",
        "edouttime",
        "diagnosis",
        "hospital_expire_flag",
        "has_chartevents_data",
    ),
    required=(*_STAY, "admittime", "dischtime"),
    id_columns=_IDS,
    is_ordered=False,
)
DIAGNOSES_ICD = Layout(
    columns=(*_STAY, "seq_num", "icd9_code"),
    required=(*_STAY, "seq_num", "icd9_code"),
    id_columns=(*_IDS, "icd9_code"),
    is_ordered=False,
)
PROCEDURES_ICD = DIAGNOSES_ICD
DRGCODES = Layout(
    columns=(*_STAY, "drg_type", "drg_code", "description", "drg_severity", "drg_mortality"),
    required=(*_STAY, "drg_type", "drg_code"),
    id_columns=(*_IDS, "drg_code"),
    is_ordered=False,
)
CPTEVENTS = Layout(
    columns=(
        *_STAY,
        "costcenter",
        "chartdate",
        "cpt_cd",
        "cpt_number",
        "cpt_suffix",
        "ticket_id_seq",
        "sectionheader",
        "subsectionheader",
        "description",
    ),
    required=(*_STAY, "chartdate", "cpt_cd"),
    id_columns=(*_IDS, "cpt_cd"),
    is_ordered=False,
)
PRESCRIPTIONS = Layout(
    columns=(
        *_IDS,
        "startdate",
        "enddate",
        "drug_type",
        "drug",
        "drug_name_poe",
        "drug_name_generic",
        "formulary_drug_cd",
        "gsn",
        "ndc",
        "prod_strength",
        "dose_val_rx",
        "dose_unit_rx",
        "form_val_disp",
        "form_unit_disp",
        "route",
    ),
    required=(*_STAY, "startdate", "ndc"),
    id_columns=(*_IDS, "ndc"),
    is_ordered=False,
)
# By the name of the file. What follows an underscore is no part of it: `CPTEVENTS_codes_only.csv`.
LAYOUTS = MappingProxyType(
    {
        "patients": PATIENTS,
        "admissions": ADMISSIONS,
        "diagnoses_icd": DIAGNOSES_ICD,
        "procedures_icd": PROCEDURES_ICD,
        "drgcodes": DRGCODES,
        "cptevents": CPTEVENTS,
        "prescriptions": PRESCRIPTIONS,
    }
)

# The words are those of the Uniform Billing form (NUBC, UB-04, form locators 14, 15 and 17), so its codes are known.
ADMIT_TYPES = MappingProxyType({"EMERGENCY": "1", "URGENT": "2", "ELECTIVE": "3", "NEWBORN": "4"})
ADMIT_SOURCES = MappingProxyType(
    {
        "PHYS REFERRAL/NORMAL DELI": "1",
        "CLINIC REFERRAL/PREMATURE": "2",
        "HMO REFERRAL/SICK": "3",
        "TRANSFER FROM HOSP/EXTRAM": "4",
        "TRANSFER FROM SKILLED NUR": "5",
        "TRANSFER FROM OTHER HEALT": "6",
        "EMERGENCY ROOM ADMIT": "7",
        "** INFO NOT AVAILABLE **": "9",
        "TRSF WITHIN THIS FACILITY": "D",
    }
)
DISCHARGE_DISPOSITIONS = MappingProxyType(
    {
        "HOME": "01",
        "SHORT TERM HOSPITAL": "02",
        "SNF": "03",
        "ICF": "04",
        "DISC-TRAN CANCER/CHLDRN H": "05",
        "HOME HEALTH CARE": "06",
        "LEFT AGAINST MEDICAL ADVI": "07",
        "HOME WITH HOME IV PROVIDR": "08",
        "DEAD/EXPIRED": "20",
        "DISC-TRAN TO FEDERAL HC": "43",
        "HOSPICE-HOME": "50",
        "HOSPICE-MEDICAL FACILITY": "51",
        "REHAB/DISTINCT PART HOSP": "62",
        "LONG TERM CARE HOSPITAL": "63",
        "SNF-MEDICAID ONLY CERTIF": "64",
        "DISCH-TRAN TO PSYCH HOSP": "65",
        "OTHER FACILITY": "70",
    }
)
