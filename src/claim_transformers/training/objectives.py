"""Objectives of pretraining: the configuration decides, so that one script serves the whole family.

Where a visit is a position (`visit_pooling` of `"max"` or `"sum"`), next visits and categories are predicted
(Claim-PT). Where a code is a position (`"none"`), codes are hidden and predicted (masked tokens: Lahlou et al.).
"""

from typing import TYPE_CHECKING, Any

from claim_transformers.training.collators import (
    MASK_PROBABILITY,
    DataCollatorForClaimPretraining,
    DataCollatorForMaskedTokens,
)
from claim_transformers.training.masked_tokens import MaskedTokenMetrics, rank_masked_tokens
from claim_transformers.training.next_visit import NextVisitMetrics, rank_next_visit

if TYPE_CHECKING:
    from pathlib import Path

    from claim_transformers.models.claim import ClaimConfig, ClaimForMaskedLM, ClaimForPreTraining, ClaimTokenizer


def pretraining_model(config: "ClaimConfig") -> "ClaimForPreTraining | ClaimForMaskedLM":
    """Make the model that pretrains an encoder, with fresh weights.

    Args:
        config ([`ClaimConfig`]): The configuration.

    Examples:
        >>> from claim_transformers.models.claim import ClaimConfig
        >>> sizes = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1}
        >>> configs = [ClaimConfig(**sizes, visit_pooling=pooling) for pooling in ("sum", "none")]
        >>> [type(pretraining_model(config)).__name__ for config in configs]
        ['ClaimForPreTraining', 'ClaimForMaskedLM']
    """
    from claim_transformers.models.claim import ClaimForMaskedLM, ClaimForPreTraining

    return ClaimForMaskedLM(config) if config.visit_pooling == "none" else ClaimForPreTraining(config)


def extend_checkpoint(
    checkpoint: "str | Path", train: Any, *, min_patients: int = 11
) -> "tuple[ClaimForPreTraining | ClaimForMaskedLM, ClaimTokenizer]":
    """Load a checkpoint to go on pretraining it, extended by the codes of other claims.

    Args:
        checkpoint (`str` or `Path`): Folder or name of a pretrained model.
        train (`datasets.Dataset`): Training patients, as [`ClaimTokenizer.extend`] takes them.
        min_patients (`int`, *optional*, defaults to `11`): Smallest number of distinct patients behind a new token.

    Returns:
        `tuple`: The [`ClaimForPreTraining`] or [`ClaimForMaskedLM`], whose new codes begin at the mean of codes like
        them, and its [`ClaimTokenizer`].

    Raises:
        ValueError: If there is no patient.

    Examples:
        >>> patient = {"visits": [{"day": 1, "type": "OP", "codes": ["ICD9CM/49390"]}]}
        >>> model, tokenizer = extend_checkpoint("claim-pt-base", [patient])
        >>> model.config.vocab_size == len(tokenizer)
        True
    """
    from claim_transformers.models.claim import ClaimConfig, ClaimForMaskedLM, ClaimForPreTraining, ClaimTokenizer
    from claim_transformers.models.claim.names_claim import resolve_checkpoint

    folder = resolve_checkpoint(checkpoint)
    is_masked = ClaimConfig.from_pretrained(folder).visit_pooling == "none"
    model: ClaimForPreTraining | ClaimForMaskedLM = (
        ClaimForMaskedLM if is_masked else ClaimForPreTraining
    ).from_pretrained(folder)
    tokenizer = ClaimTokenizer.from_pretrained(folder)
    tokenizer.extend(train, min_patients=min_patients)
    model.resize_token_embeddings(tokenizer=tokenizer)
    return model, tokenizer


def pretraining_collator(
    config: "ClaimConfig",
    tokenizer: "ClaimTokenizer",
    *,
    seed: int = 0,
    cp_mask_probability: float = 0.0,
    mask_probability: float = MASK_PROBABILITY,
    backoff_probability: float = 0.0,
) -> DataCollatorForClaimPretraining | DataCollatorForMaskedTokens:
    """Make the collator that fits [`pretraining_model`].

    Args:
        config ([`ClaimConfig`]): Configuration of the model.
        tokenizer ([`ClaimTokenizer`]): Tokenizer of the rows.
        seed (`int`, *optional*, defaults to `0`): Seed of cuts, landmarks and masks.
        cp_mask_probability (`float`, *optional*, defaults to `0.0`): As in [`DataCollatorForClaimPretraining`].
        mask_probability (`float`, *optional*, defaults to `0.15`): As in [`DataCollatorForMaskedTokens`].
        backoff_probability (`float`, *optional*, defaults to `0.0`): As in [`DataCollatorForClaimPretraining`].

    Examples:
        >>> from claim_transformers.models.claim import ClaimConfig, ClaimTokenizer
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4})
        >>> config = ClaimConfig(vocab_size=5, num_categories=3, horizon_days=90)
        >>> pretraining_collator(config, tokenizer).horizon_days
        90
    """
    if config.visit_pooling == "none":
        return DataCollatorForMaskedTokens(
            tokenizer, seed=seed, mask_probability=mask_probability, backoff_probability=backoff_probability
        )
    return DataCollatorForClaimPretraining(
        tokenizer,
        nvp_context=config.nvp_context,
        horizon_days=config.horizon_days,
        landmark_visit_share=config.landmark_visit_share,
        cp_mask_probability=cp_mask_probability,
        backoff_probability=backoff_probability,
        seed=seed,
    )


def pretraining_metrics(config: "ClaimConfig") -> dict[str, Any]:
    """Give the arguments of `Trainer` that measure pretraining beside its loss.

    Args:
        config ([`ClaimConfig`]): Configuration of the model.

    Returns:
        `dict`: `compute_metrics` and `preprocess_logits_for_metrics`: the recall of each patient's last visit, or the
        accuracy at masked tokens.

    Examples:
        >>> from claim_transformers.models.claim import ClaimConfig
        >>> for pooling in ("sum", "none"):
        ...     pretraining_metrics(ClaimConfig(visit_pooling=pooling))["compute_metrics"]
        NextVisitMetrics(k=(10, 20, 30))
        MaskedTokenMetrics(k=(1, 10))
    """
    if config.visit_pooling == "none":
        return {"compute_metrics": MaskedTokenMetrics(), "preprocess_logits_for_metrics": rank_masked_tokens}
    return {"compute_metrics": NextVisitMetrics(), "preprocess_logits_for_metrics": rank_next_visit}
