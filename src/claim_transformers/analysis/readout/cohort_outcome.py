"""Outcome of a cohort in the words of a pretrained model: the rows of the head that answers its question."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from claim_transformers.analysis.readout.outcome_head import Readout, outcome_readout
from claim_transformers.codes.rules import compact_prefixes
from claim_transformers.codes.tables import listed_codes
from claim_transformers.cohorts.code_sets import NOT, find_codes, is_plain

if TYPE_CHECKING:
    from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer

_NEXT_ENCOUNTER = "next_encounter"
_SHORTEST_PREFIX = 3


def outcome_prefixes(definition: Mapping[str, Any]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Codes that denote the outcome of a cohort, and groups of which one must be there too."""
    rule = definition["label"]
    if rule.get("codes") is None:
        raise ValueError(
            "expected an outcome of named codes, found one of any: start at the checkpoint ('--start_at checkpoint')"
        )
    together: list[Sequence[str]] = [["DRG/"]] if list(rule["visit_types"]) == ["IP"] else []
    return _plain_prefixes(definition["codes"][rule["codes"]]), together


def _plain_prefixes(entries: Sequence[str]) -> list[str]:
    """Write a set of codes as beginnings of codes alone, by the public list of a system that has wildcards in it."""
    with_signs = {entry.removeprefix(NOT).partition("/")[0] for entry in entries if not is_plain(entry)}
    found = [entry for entry in entries if entry.partition("/")[0] not in with_signs and is_plain(entry)]
    for system in sorted(with_signs):
        listed = listed_codes(system)
        if listed is None:
            raise ValueError(f"expected no wildcards in codes of {system}, of which there is no list, found some")
        codes = sorted(listed)
        of_system = [entry for entry in entries if entry.removeprefix(NOT).startswith(f"{system}/")]
        inside = find_codes(pa.array(codes, pa.string()), of_system)
        kinds = {code: "in" if is_in else "out" for code, is_in in zip(codes, inside.tolist(), strict=True)}
        prefixes = compact_prefixes(kinds, min_length=_SHORTEST_PREFIX)
        # A heading whose codes are not all inside is no beginning of the set, although it may be listed itself.
        outside = tuple(prefix for prefix, kind in prefixes.items() if kind == "out")
        found += sorted(
            prefix
            for prefix, kind in prefixes.items()
            if kind == "in" and not any(other.startswith(prefix) for other in outside)
        )
    if not found:
        raise ValueError("expected codes of the public lists in the outcome, found none")
    return found


def cohort_readout(
    model: "ClaimForPreTraining", tokenizer: "ClaimTokenizer", definition: Mapping[str, Any]
) -> Readout | None:
    """Take the rows of the pretraining head that answers the question of a cohort.

    The next-visit head answers for cohorts about the next encounter, the horizon head for the others.

    Args:
        model (`ClaimForPreTraining`): The pretrained model.
        tokenizer (`ClaimTokenizer`): Its tokenizer.
        definition (`dict`): Definition of the cohort, as in its `cohort.json`.

    Returns:
        [`Readout`] or `None`: `None` where the model has no head for the question, or a head over codes.
    """
    answers_next = model.config.nvp_target == "category"
    if names := definition.get("label_names"):
        if not answers_next or not set(names) <= set(tokenizer.category_names):
            return None
        return outcome_readout(model, tokenizer, list(names), question="next_visit")
    codes, together = outcome_prefixes(definition)
    if definition["index"]["rule"] == _NEXT_ENCOUNTER:
        return outcome_readout(model, tokenizer, codes, question="next_visit") if answers_next else None
    if model.horizon_decoder is None:
        return None
    return outcome_readout(model, tokenizer, codes, is_inpatient=bool(together))
