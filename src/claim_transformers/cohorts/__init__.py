"""Who is in, from when, with which label, and how many fell out at each step."""

from claim_transformers.cohorts.attrition import AttritionStep
from claim_transformers.cohorts.cohort import Cohort, attrition_table, check_out
from claim_transformers.cohorts.event.building import build_cohort
from claim_transformers.cohorts.event.definition import CohortDefinition
from claim_transformers.cohorts.event.definition_file import built_in_cohorts, load_definition
from claim_transformers.cohorts.leaks import check_leaks

__all__ = [
    "AttritionStep",
    "Cohort",
    "CohortDefinition",
    "attrition_table",
    "build_cohort",
    "built_in_cohorts",
    "check_leaks",
    "check_out",
    "load_definition",
]
