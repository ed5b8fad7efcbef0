"""Cohorts: who is in, from when, with which label, and how many fell out at each step.

Names are imported when they are first used: who only asks for codes of an outcome needs no engine.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.cohorts.attrition import AttritionStep
    from claim_transformers.cohorts.building import build_cohort
    from claim_transformers.cohorts.claim_ids import claims_of_visits
    from claim_transformers.cohorts.cohort import Cohort, attrition_table, check_out
    from claim_transformers.cohorts.definition import Definition
    from claim_transformers.cohorts.definition_file import built_in_cohorts, load_definition
    from claim_transformers.cohorts.event.definition import EventDefinition
    from claim_transformers.cohorts.leaks import check_leaks
    from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition

__all__ = [
    "AttritionStep", "Cohort", "Definition", "EventDefinition", "ReadmissionDefinition", "attrition_table",
    "build_cohort", "built_in_cohorts", "check_leaks", "check_out", "claims_of_visits", "load_definition",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__)
