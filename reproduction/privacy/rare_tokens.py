"""Tokens of a checkpoint that fewer training patients than promised stand behind."""

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.models.claim.damage_claim import read_json_object
from claim_transformers.models.claim.names_claim import resolve_checkpoint

if TYPE_CHECKING:
    from datasets import Dataset

MIN_PATIENTS = 11


def rare_tokens(
    checkpoint: str, train: "Dataset", *, min_patients: int = MIN_PATIENTS, roll_up: Collection[str] = ()
) -> list[str]:
    """List the tokens of a checkpoint that would not be in its vocabulary if it were chosen again.

    Args:
        checkpoint (`str`): Name of a checkpoint of the package, or its folder.
        train (`Dataset`): Rows that its tokenizer was trained on, all of them.
        min_patients (`int`, *optional*, defaults to `11`): Fewest patients that may stand behind a token.
        roll_up (`Collection[str]`, *optional*): Code systems that its recipe rolls up.

    Returns:
        `list[str]`: Tokens with fewer patients, sorted.
    """
    tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
    rules = read_json_object(Path(resolve_checkpoint(checkpoint), "categories.json"))
    # A group has the patients of its codes, so that those of codes with a token keep the promise too.
    again = ClaimTokenizer.train_from_dataset(
        train,
        min_patients=min_patients,
        categories=rules,
        form=tokenizer.form,
        roll_up=roll_up,
        keep_groups=True,
        **asdict(tokenizer.options),
    )
    return sorted(tokenizer.get_vocab().keys() - again.get_vocab().keys())
