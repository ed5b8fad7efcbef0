"""Starts of a fine-tuning: from a checkpoint, from an architecture, from the pretraining head of a checkpoint."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from claim_transformers.analysis.readout.cohort_outcome import cohort_readout
from claim_transformers.analysis.readout.outcome_head import start_from_readout
from claim_transformers.codes import category_rules
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForm,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)
from claim_transformers.training.architecture import Architecture
from claim_transformers.training.tokenized_patients import tokenize_dataset

if TYPE_CHECKING:
    import datasets

_logger = logging.getLogger(__name__)

# What was billed half a year ago counts half: how much happened lately is most of what tells a case, and a regression
# on counts that fade so is better than one on counts that do not (docs/benchmark/log.md, suicide attempts).
CODE_SKIP_HALF_LIFE_DAYS = 180


def start_from_checkpoint(
    checkpoint: str | Path, *, is_pretrained: bool = True, num_labels: int = 2, **changes: Any
) -> tuple[ClaimForSequenceClassification, ClaimTokenizer]:
    """Put a fresh classifier on the encoder of a checkpoint.

    Args:
        checkpoint (`str` or `Path`): Folder or name.
        is_pretrained (`bool`, *optional*, defaults to `True`): Whether the encoder has the weights of the checkpoint;
            else only its sizes and its tokenizer are used, and all weights are fresh.
        num_labels (`int`, *optional*, defaults to `2`): Classes, or labels per patient.
        **changes: Other fields of [`ClaimConfig`].

    Returns:
        `tuple[ClaimForSequenceClassification, ClaimTokenizer]`: The classifier and the tokenizer of the checkpoint.

    Raises:
        OSError: If there is no such checkpoint.
    """
    tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
    if is_pretrained:
        model = ClaimForSequenceClassification.from_pretrained(checkpoint, num_labels=num_labels, **changes)
    else:
        # Where all weights are fresh, the classifier has nothing to catch up with.
        config = ClaimConfig.from_pretrained(checkpoint, num_labels=num_labels, **{"classifier_rate": 0, **changes})
        model = ClaimForSequenceClassification(config)
    return model, tokenizer


def start_from_architecture(
    architecture: Architecture | str | Path,
    train: "datasets.Dataset",
    *,
    form: ClaimForm | None = None,
    min_patients: int = 11,
    num_labels: int = 2,
    **changes: Any,
) -> tuple[ClaimForSequenceClassification, ClaimTokenizer]:
    """Make a classifier with fresh weights and a tokenizer with the vocabulary of the training split.

    Args:
        architecture ([`Architecture`], `str` or `Path`): Sizes, or a JSON file of them.
        train (`datasets.Dataset`): Training split, not tokenised.
        form ([`ClaimForm`], *optional*): Form that the tokenizer gives to patients.
        min_patients (`int`, *optional*, defaults to `11`): Smallest number of patients behind a token.
        num_labels (`int`, *optional*, defaults to `2`): Classes, or labels per patient.
        **changes: Other fields of [`ClaimConfig`].

    Raises:
        ValueError: If the file holds other names than `model` and `tokenizer`, or one of theirs is unknown.
    """
    given = architecture if isinstance(architecture, Architecture) else Architecture.from_json(architecture)
    rules = category_rules().to_dict()
    tokenizer = given.train_tokenizer(train, categories=rules, form=form, min_patients=min_patients)
    config = given.build_config(tokenizer, num_labels=num_labels, **changes)
    return ClaimForSequenceClassification(config), tokenizer


def start_from_pretraining(
    checkpoint: str | Path,
    cohort: Mapping[str, Any] | str | Path,
    train: "datasets.Dataset",
    *,
    seed: int = 0,
    **changes: Any,
) -> tuple[ClaimForSequenceClassification, ClaimTokenizer]:
    """Make a classifier that begins at what the pretraining head says of a cohort's outcome.

    Counts of codes, which fade, stand beside it; `code_skip=False` leaves them out. See [`start_from_readout`]. A
    checkpoint without a head for the question gives a fresh classifier, and the log says so.

    Args:
        checkpoint (`str` or `Path`): Folder or name of a model with pretraining heads.
        cohort (`dict`, `str` or `Path`): Definition of the cohort, or its folder, which holds `cohort.json`.
        train (`datasets.Dataset`): Training split with a column `label`, tokenised or not.
        seed (`int`, *optional*, defaults to `0`): Seed of the folds; that of fresh weights is the caller's.
        **changes: Fields of [`ClaimConfig`], such as `num_labels`.

    Returns:
        `tuple[ClaimForSequenceClassification, ClaimTokenizer]`: The classifier and the tokenizer of the checkpoint.

    Raises:
        ValueError: If the training rows have one class only, no category of the head has to do with the outcome, or
            the positions of the model are single codes (`visit_pooling="none"`), beside which no counts can stand.
    """
    definition: Mapping[str, Any] = (
        json.loads((Path(cohort) / "cohort.json").read_text(encoding="utf-8"))
        if isinstance(cohort, str | Path)
        else cohort
    )
    pretrained, tokenizer = ClaimForPreTraining.from_pretrained(checkpoint), ClaimTokenizer.from_pretrained(checkpoint)
    readout = cohort_readout(pretrained, tokenizer, definition)
    if readout is None:
        _logger.warning("The checkpoint has no head for the question of the cohort: the classifier begins without it.")
        return start_from_checkpoint(checkpoint, **changes)
    # Fitted weights need no rate, which would multiply them.
    fields = {"classifier_rate": 0, "code_skip": True, "code_skip_half_life_days": CODE_SKIP_HALF_LIFE_DAYS}
    classifier, tokenizer = start_from_checkpoint(checkpoint, **{**fields, **changes})
    tokens = train if "input_ids" in train.column_names else tokenize_dataset(train, tokenizer)
    labels = np.asarray(tokens.with_format("numpy")["label"][:])
    start_from_readout(classifier, readout, tokens, labels, seed=seed)
    return classifier, tokenizer
