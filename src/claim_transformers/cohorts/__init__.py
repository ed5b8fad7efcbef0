"""Who is in, from when, with which label, and how many fell out at each step."""

from claim_transformers.cohorts.building import AttritionStep, Cohort, attrition_table, build_cohort, check_out
from claim_transformers.cohorts.definition import CohortDefinition, built_in_cohorts, load_definition

__all__ = [
    "AttritionStep",
    "Cohort",
    "CohortDefinition",
    "attrition_table",
    "build_cohort",
    "built_in_cohorts",
    "check_out",
    "load_definition",
]
