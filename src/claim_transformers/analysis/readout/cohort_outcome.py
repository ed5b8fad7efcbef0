"""Outcome of a cohort in the words of a pretrained model: the rows of the head that answers its question."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from claim_transformers.analysis.readout.outcome_head import Readout, outcome_readout

if TYPE_CHECKING:
    from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer

_NEXT_ENCOUNTER = "next_encounter"


def outcome_prefixes(definition: Mapping[str, Any]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Codes that denote the outcome of a cohort, and groups of which one must be there too."""
    rule = definition["label"]
    together: list[Sequence[str]] = [["DRG/"]] if list(rule["visit_types"]) == ["IP"] else []
    return definition["codes"][rule["codes"]], together


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
