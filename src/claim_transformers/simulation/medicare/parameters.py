"""Parameters of the Medicare population as one digest, by which `simulation.json` shows a silent change."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from types import ModuleType

from claim_transformers.simulation.engine.data_files import SHARED_DATA, read_pools
from claim_transformers.simulation.engine.generation import digest_of
from claim_transformers.simulation.engine.icd10 import read_icd10
from claim_transformers.simulation.medicare import (
    admission,
    causes,
    community,
    conditions,
    hazards,
    planted,
    population,
)
from claim_transformers.simulation.medicare.codebook import drug_pools, more_drug_pools, service_pools
from claim_transformers.simulation.medicare.conditions import DATA

# Version 1 was published as a hash over constants under the names of the modules that then held or imported them. The
# names below are those, whatever file holds the constant today: another name would give another digest for the same
# claims. First the module of a name, then where the constant stands now.
_PUBLISHED: tuple[tuple[str, ModuleType, str], ...] = (
    (
        "admission",
        admission,
        "DISPOSITIONS DIED HOME FACILITY HOME_HEALTH AGAINST_ADVICE HOSPICE HOSPICE_FACILITY BOOST_LEVEL "
        "EARLIER_STAYS LENGTH UNRESOLVED DRUG_LAPSE RECENT_OFFICE DEPRIVATION AGE_DECADE TO_FACILITY TO_HOME_HEALTH "
        "AGAINST INSTABILITY UNSEEN UNRESOLVED_DAYS RECENT_OFFICE_DAYS SAME_CAUSE MIN_DAYS_FACILITY INTERIM_DAYS "
        "INTERIM_FIRST TRANSFER_SHARE OTHER_TRANSFER_SHARE HOSPICE_DAILY_DEATH",
    ),
    ("admission", causes, "CAUSE_NAMES CHEMOTHERAPY CHEMOTHERAPY_STAYS REHABILITATION REHABILITATION_DAILY WEAKENING"),
    ("admission", planted, "DRIFT_EFFECTS DRIFT_LOG_HAZARD HIDDEN_LOG_HAZARD"),
    (
        "beneficiaries",
        population,
        "RACES RACE_SHARES BLACK HISPANIC AGED DISABLED RENAL DISABLED_RENAL AGE_BANDS AGE_SHARES FORMERLY_DISABLED "
        "TURNING_65 LEAVE_MONTHLY RETURN_MONTHLY GAP_MONTHLY PART_D_SHARE DUAL_CODES",
    ),
    ("community", community, "OFFICE_VISITS EMERGENCY_VISITS OBSERVATION_SHARE ACCESS_EFFECT MINOR _DAY_BITS"),
    ("community", conditions, "BURN_IN_MONTHS"),
    ("community", planted, "DRIFT_VOLUME"),
    (
        "conditions",
        conditions,
        "CURVE_AGES BURN_IN_MONTHS MONTH_YEARS SEVERITY_SPREAD SEVERITY_GROWTH CANCER_TREATMENT_MONTHS "
        "CONDITION_NAMES CANCER ESRD",
    ),
    (
        "hazards",
        hazards,
        "HORIZON_DAYS PERIODS PERIOD_DAYS ELEVATED_DAYS FADING_DAYS INSTABILITY_MEMORY INSTABILITY_EFFECT "
        "SHARE_OF_BURDEN MORTALITY MORTALITY_GROWTH DRUG_SWITCH UNPROTECTED_EFFECT FOLLOW_UP_EFFECT NOT_FILLED_EFFECT "
        "EARLY_EXCESS EARLY_DAYS",
    ),
    ("hazards", causes, "CHEMOTHERAPY_SHARE CHEMOTHERAPY_STAYS"),
    ("hazards", conditions, "BURN_IN_MONTHS CANCER"),
)


def _constant(module: ModuleType, name: str) -> object:
    """A constant by its published name; one that only its own file uses has an underscore today."""
    return getattr(module, name if hasattr(module, name) else f"_{name}")


@cache
def medicare_parameters_digest(version: int) -> str:
    """Hash of the tables of conditions, causes, codes and effects; 64 hexadecimal digits."""
    diagnoses, procedures = read_pools(DATA / "diagnoses.csv"), read_pools(DATA / "procedures.csv")
    named: dict[str, object] = {
        f"{published}.{name}": _constant(module, name)
        for published, module, names in _PUBLISHED
        for name in names.split()
    }
    named |= {
        # A flag of `typing` that version 1 took for a parameter.
        "admission.TYPE_CHECKING": False,
        "icd9_codes.ICD9_DIAGNOSES": diagnoses["ICD9CM"],
        "icd9_codes.ICD9_PROCEDURES": procedures["ICD9PCS"],
        "icd10_codes.ICD10_DIAGNOSES": diagnoses["ICD10CM"],
        "icd10_codes.ICD10_PROCEDURES": procedures["ICD10PCS"],
        "service_codes.DRUG_CLASSES": read_pools(SHARED_DATA / "drugs.csv")["DRUG"],
        "service_codes.SERVICES": read_pools(SHARED_DATA / "services.csv")["HCPCS"],
        "service_codes.MEDICARE_SERVICES": service_pools(),
        "service_codes._NEW_CLASSES": read_pools(DATA / "drugs.csv")["DRUG"],
        "service_codes.MEDICARE_DRUGS": drug_pools(),
    }
    constants = {f"claim_transformers.simulation.medicare.{name}": value for name, value in named.items()}
    parts: list[object] = [
        constants,
        [asdict(condition) for condition in conditions.CONDITIONS],
        [asdict(cause) for cause in causes.STAY_CAUSES],
    ]
    if version > 2:
        parts += [read_icd10(), more_drug_pools()]
    return digest_of(parts)
