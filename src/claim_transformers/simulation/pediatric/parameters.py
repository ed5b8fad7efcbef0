"""Parameters of the pediatric population as one digest, by which `simulation.json` shows a silent change."""

from dataclasses import asdict
from functools import cache
from typing import Any

from claim_transformers.simulation.engine import calendar
from claim_transformers.simulation.engine.generation import digest_of
from claim_transformers.simulation.engine.icd10 import read_icd10
from claim_transformers.simulation.pediatric import atopy, care_acute, care_chronic, mood, population
from claim_transformers.simulation.pediatric.codebook import codebook_of


@cache
def parameters_digest(version: int) -> str:
    """Hash of every table of causes, codes and rates; 64 hexadecimal digits."""
    codes = codebook_of("a", version)
    # Version 1 was published with this content in this order, so a digest of another order would be another version.
    parts: list[Any] = [[asdict(cause) for cause in codes.causes], codes.diagnoses.vocabulary, codes.product_pools]
    parts += [calendar.SEASONS, population.COVERAGE, population.LEAVE, population.RACE_SHARES]
    parts += [atopy.ONSET, atopy.REMISSION, mood.ONSET, mood.REMISSION]
    parts += [atopy.SWITCHES.influences, mood.SWITCHES.influences]
    parts += [atopy.SEVERITY_SHARES, care_acute.CHECK_UP_MONTHS, care_chronic.FILL_CHANCE]
    if version > 1:
        parts += [read_icd10(), codes.drugs.vocabulary]
    return digest_of(parts)
