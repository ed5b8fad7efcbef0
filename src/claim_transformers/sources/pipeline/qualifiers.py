"""Qualifiers of codes: the closed vocabulary of words that say ICD-9 or ICD-10."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import clean_word

if TYPE_CHECKING:
    import ibis.expr.types as ir

# CMS writes 9 and 0 (CCW, CCLF); the words are those of the Tuva terminology, without hyphens, blanks and dots.
_ICD9 = ("9", "09", "icd9", "icd09", "icd9cm", "icd09cm", "icd9pcs", "icd09pcs")
_ICD10 = ("0", "10", "icd10", "icd10cm", "icd10pcs")


def _word_of(text: ir.StringValue) -> ir.StringValue:
    return clean_word(text).re_replace(r"\.0+$", "").re_replace("[-_. ]", "")


def says_icd10(text: ir.StringValue) -> ir.BooleanValue:
    """Tell whether a qualifier says ICD-10; null where it is blank or no word of the vocabulary."""
    word = _word_of(text)
    return ibis.cases((word.isin(_ICD10), True), (word.isin(_ICD9), False), else_=ibis.null("boolean"))


def is_no_qualifier(text: ir.StringValue) -> ir.BooleanValue:
    """Tell whether a field is filled with a word that is not in the vocabulary."""
    return clean_word(text).notnull() & says_icd10(text).isnull()
