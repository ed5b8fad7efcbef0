"""Code systems on claims: one string per code, its canonical form, its group, and what stands in when it is rare.

A code is `SYSTEM/CODE`. [`normalize_code`], [`normalize_codes`] and [`normalize_expr`] bring the text of a claim into
that form by one table of rules, or say by a reason code why they cannot. [`category_rules`] makes the table of
categories that a tokenizer carries, [`category_of`] applies it, [`backoff_chain`] names the stand-ins of a code, and
[`report_coverage`] counts what the tables know of a data set. The room reads no claims and imports no torch;
terminologies are read on first use.
"""

from claim_transformers.codes.backoff import backoff_chain
from claim_transformers.codes.coverage import CoverageReport, SystemCoverage, report_coverage
from claim_transformers.codes.drugs import read_drug_classes, read_drug_ingredients
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.expressions import modifiers_expr, normalize_expr
from claim_transformers.codes.groupers import category_of, category_rules, chapter_of, icd10cm_parents
from claim_transformers.codes.ndc_directory import NdcDirectory, read_ndc_directory
from claim_transformers.codes.normalize import NormalizedCodes, normalize_code, normalize_codes, split_modifiers
from claim_transformers.codes.procedures import read_procedure_ccs
from claim_transformers.codes.rules import CategoryRules
from claim_transformers.codes.systems import ICD10_START_DATE, SYSTEM_TITLES, SYSTEMS, join_code, split_code

__all__ = [
    "ICD10_START_DATE", "SYSTEMS", "SYSTEM_TITLES", "CategoryRules", "ClaimDataError", "CoverageReport",
    "NdcDirectory", "NormalizedCodes", "SystemCoverage", "backoff_chain", "category_of", "category_rules",
    "chapter_of", "icd10cm_parents", "join_code", "modifiers_expr", "normalize_code",
    "normalize_codes", "normalize_expr", "read_drug_classes", "read_drug_ingredients", "read_ndc_directory",
    "read_procedure_ccs", "report_coverage", "split_code", "split_modifiers",
]  # fmt: skip
