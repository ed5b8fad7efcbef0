"""A cohort's outcome in the words of a pretrained model: the head that answers its question, and a start from it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from claim_transformers.analysis.readout.outcome_head import Readout, outcome_readout, start_from_readout

if TYPE_CHECKING:
    import datasets

    from claim_transformers.models.claim import ClaimForPreTraining, ClaimForSequenceClassification, ClaimTokenizer

NEXT_ENCOUNTER = "next_encounter"


def outcome_prefixes(definition: Mapping[str, Any]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Codes that denote the outcome of a cohort, and groups of which one must be there too.

    Args:
        definition (`dict`): Definition of a cohort with one label.

    Returns:
        `tuple[list[str], list[list[str]]]`: Prefixes of the outcome; `[["DRG/"]]` where only admissions count, because
        an admission has a DRG and claim types are no targets of pretraining.

    Examples:
        >>> label = {"codes": "asthma", "visit_types": ["IP"]}
        >>> outcome_prefixes({"codes": {"asthma": ["ICD9CM/493"]}, "label": label})
        (['ICD9CM/493'], [['DRG/']])
    """
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
    if definition["index"]["rule"] == NEXT_ENCOUNTER:
        return outcome_readout(model, tokenizer, codes, question="next_visit") if answers_next else None
    if model.horizon_decoder is None:
        return None
    return outcome_readout(model, tokenizer, codes, is_inpatient=bool(together))


def start_from_pretraining(
    classifier: "ClaimForSequenceClassification",
    model: "ClaimForPreTraining | str",
    tokenizer: "ClaimTokenizer",
    cohort: Mapping[str, Any] | str | Path,
    train: "datasets.Dataset",
    *,
    inverse_penalty: float = 0.03,
    seed: int = 0,
) -> bool:
    """Let a classifier begin at what the pretraining head says of a cohort's outcome, in place.

    With `code_skip=True` in the classifier's configuration a regression on counts of codes is stacked beside it. See
    [`start_from_readout`].

    Args:
        classifier (`ClaimForSequenceClassification`): A classifier around the encoder of the model.
        model (`ClaimForPreTraining` or `str`): The pretrained model, or its name or folder.
        tokenizer (`ClaimTokenizer`): Its tokenizer.
        cohort (`dict`, `str` or `Path`): Definition of the cohort, or its folder, which holds `cohort.json`.
        train (`datasets.Dataset`): Tokenised training split with a column `label`.
        inverse_penalty (`float`, *optional*, defaults to `0.03`): `C` of the regression for counts of codes.
        seed (`int`, *optional*, defaults to `0`): Seed of the solver.

    Returns:
        `bool`: Whether there was a head to begin at; without one the classifier stays as it is.

    Raises:
        ValueError: If the training rows have one class only, or no category of the head has to do with the outcome.
    """
    from claim_transformers.models.claim import ClaimForPreTraining

    definition: Mapping[str, Any] = (
        json.loads((Path(cohort) / "cohort.json").read_text(encoding="utf-8"))
        if isinstance(cohort, str | Path)
        else cohort
    )
    pretrained = ClaimForPreTraining.from_pretrained(model) if isinstance(model, str) else model
    readout = cohort_readout(pretrained, tokenizer, definition)
    if readout is None:
        return False
    labels = np.asarray(train.with_format("numpy")["label"][:])
    start_from_readout(classifier, readout, train, labels, inverse_penalty=inverse_penalty, seed=seed)
    return True


__all__ = ["cohort_readout", "outcome_prefixes", "start_from_pretraining"]
