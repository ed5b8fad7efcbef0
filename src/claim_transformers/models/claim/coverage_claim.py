"""Warning of a tokenizer that is given codes it does not know: they would all become one token without a word."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .canonical_claim import CLAIM_TYPES, canonical_code
from .form_table_claim import FormWriter
from .patients_claim import PatientHistory
from .token_stream_claim import TableEncoder
from .vocabulary_claim import LEVELS, UNKNOWN_TYPE, ClaimVocabulary

_logger = logging.getLogger(__name__)
# Above this share of a call's codes in view that have neither a token nor one to back off to.
_MOSTLY_UNKNOWN_SHARE = 0.5
_UNKNOWN_LEVELS = LEVELS[LEVELS.index("system") :]


@dataclass
class Derived:
    """What a tokenizer works out when it is first used; no part of it, of its files, pickles and fingerprints."""

    vocabulary: ClaimVocabulary | None = None  # The meaning of every id.
    encoder: TableEncoder | None = None  # Writes tables.
    writer: FormWriter | None = None  # Writes tables in the form.
    warned: set[str] = field(default_factory=set)  # What was warned of already.


def _count_levels(histories: Iterable[PatientHistory], vocabulary: ClaimVocabulary) -> dict[str, dict[str, int]]:
    """Count how the codes of patients are found, as `TableEncoder.level_counts` does for tables."""
    counts: dict[str, dict[str, int]] = {}
    for history in histories:
        for code in (*history.codes, *(code for visit in history.visits for code in visit.codes)):
            system = canonical_code(code).partition("/")[0]
            levels = counts.setdefault(system if system in vocabulary.systems else "OTHER", dict.fromkeys(LEVELS, 0))
            levels[vocabulary.resolve(code)[1]] += 1
    return counts


def warn_of_unknown(levels: Mapping[str, Mapping[str, int]], foreign_types: int, warned: set[str]) -> None:
    """Warn, once per tokenizer and kind, of codes that are mostly unknown and of visit types that nobody knows."""
    totals = {system: sum(found.values()) for system, found in levels.items()}
    unknown = {system: sum(found[level] for level in _UNKNOWN_LEVELS) for system, found in levels.items()}
    total, lost = sum(totals.values()), sum(unknown.values())
    if lost > _MOSTLY_UNKNOWN_SHARE * total and "codes" not in warned:
        warned.add("codes")
        worst = sorted(filter(unknown.get, unknown), key=lambda system: (-unknown[system], system))
        shares = [f"{_share(unknown[system], totals[system])} {system}" for system in worst]
        _logger.warning(
            "W_UNKNOWN_CODE: expected codes that the tokenizer knows, found %s unknown: %s. Extend it "
            "(tokenizer.extend, then model.resize_token_embeddings, and train), take a checkpoint that learned "
            "these systems, or roll the codes up to categories that it knows",
            _share(lost, total),
            ", ".join(shares),
        )
    if foreign_types and "types" not in warned:
        warned.add("types")
        _logger.warning(
            "W_UNKNOWN_TYPE: expected visits of the types %s, or of a type that the tokenizer learned, found %d other "
            "types, written as %s; write the type of the claim",
            ", ".join(CLAIM_TYPES),
            foreign_types,
            UNKNOWN_TYPE,
        )


def _share(part: int, whole: int) -> str:
    """A share of codes, without numbers where one is of 1 to 10, which are of as few patients."""
    if any(0 < number <= 10 for number in (part, whole - part, whole)):
        return "all" if part == whole else "a part"
    return f"{part / whole:.0%} of {whole:,}"


def warn_of_patients(histories: list[PatientHistory], examples: list[dict[str, Any]], derived: Derived) -> None:
    """Warn of patients that were written one at a time."""
    vocabulary = derived.vocabulary
    # Counting costs as much as writing, so it waits for a token that stands for something unknown.
    if vocabulary is None or len(derived.warned) == 2:
        return
    if any(not vocabulary.unknown_ids.isdisjoint(example["input_ids"]) for example in examples):
        types = {visit.type for history in histories for visit in history.visits}
        foreign = sum(map(vocabulary.is_foreign_type, types))
        warn_of_unknown(_count_levels(histories, vocabulary), foreign, derived.warned)
