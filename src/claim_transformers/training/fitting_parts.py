"""Fit of parts: whether model, tokenizer and collator belong together; what does not fit trains without a word."""

from typing import Any

import datasets
import numpy as np
import torch

from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimForVisitClassification
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.models.recurrent import RecurrentForSequenceClassification
from claim_transformers.training.collators import IGNORE_INDEX
from claim_transformers.training.labels import label_name, require_fitting_labels


def require_fitting_parts(config: Any, tokenizer: Any, collator: Any) -> None:
    """Refuse a tokenizer of another vocabulary, and a collator that makes targets the model is not trained for."""
    if getattr(config, "model_type", None) != "claim":
        return
    for candidate in (tokenizer, getattr(collator, "tokenizer", None)):
        if isinstance(candidate, ClaimTokenizer):
            candidate.check_vocabulary(config)
    context = getattr(collator, "nvp_context", None)
    # A model of mixed context is trained with every cut, so a collator may fix one for it.
    if context is not None and config.nvp_context not in ("mixed", context):
        raise ValueError(
            f"E_COLLATOR: expected a collator with nvp_context={config.nvp_context!r} as the model has, found "
            f"{context!r}; pass nvp_context=model.config.nvp_context to the collator"
        )
    for name in ("horizon_days", "landmark_visit_share"):
        expected, found = getattr(config, name), getattr(collator, name, None)
        if found is not None and found != expected:
            raise ValueError(
                f"E_COLLATOR: expected a collator with {name}={expected} as the model has, found {found}; pass "
                f"{name}=model.config.{name} to the collator"
            )


def require_fitting_classes(model: torch.nn.Module, train: Any, evaluation: Any) -> None:
    """Refuse labels that a classifier of ours is not made for, before the first step; a stream is not looked at."""
    of_patients = (ClaimForSequenceClassification, RecurrentForSequenceClassification)
    kinds = (*of_patients, ClaimForVisitClassification)
    classifier = next((part for part in model.modules() if isinstance(part, kinds)), None)
    if classifier is None:
        return
    of_visits = isinstance(classifier, ClaimForVisitClassification)
    splits = evaluation if isinstance(evaluation, dict) else {"evaluation": evaluation}
    for name, split in {"train": train, **splits}.items():
        # A view of tokenised patients has the data set behind it.
        rows = getattr(split, "source", split)
        if hasattr(rows, "select_columns") and hasattr(rows, "__len__") and label_name(rows.column_names) is not None:
            require_fitting_labels(rows, name, classifier.config, of_visits=of_visits)


def has_one_class(evaluation: Any) -> bool:
    """Whether all labels of an evaluation set are the same; a stream, or several sets, are not looked at."""
    rows = getattr(evaluation, "source", evaluation)
    if not isinstance(rows, datasets.Dataset) or (name := label_name(rows.column_names)) is None:
        return False
    labels = rows.select_columns([name]).with_format("arrow")[:].column(name).combine_chunks()
    while hasattr(labels, "flatten") and hasattr(labels.type, "value_type"):
        labels = labels.flatten()
    values = np.unique(labels.to_numpy(zero_copy_only=False))
    return len(values[values != IGNORE_INDEX]) < 2
