"""Architecture: a model and its tokenizer described in one JSON file, before either exists."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claim_transformers.models.claim.configuration_claim import ClaimConfig
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.models.claim.vocabulary_claim import EncodingOptions
from claim_transformers.training.run_arguments import recipe

_SHIPPED = ("claim-pt-base", "medicare-encoder-base")

# How a vocabulary is chosen, beside how patients are written.
_OF_VOCABULARY = {"keep_groups", "roll_up"}
# The vocabulary decides about these.
_FROM_TOKENIZER = {"vocab_size", "num_categories", "pad_token_id", "mask_token_id", "max_visits"}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes of a model and options of its tokenizer, without a vocabulary.

    Args:
        model (`dict`): Fields of [`ClaimConfig`], without those that the vocabulary decides.
        tokenizer (`dict`): Options of [`ClaimTokenizer`], such as `time_tokens` and `max_visits`, and `keep_groups`
            and `roll_up` of its `train_from_dataset`.

    Raises:
        ValueError: If a name is unknown. (A configuration of transformers stores a misspelt name without a word.)

    Examples:
        >>> Architecture({"hidden_size": 64}, {"time_tokens": "gap"}).model["hidden_size"]
        64
        >>> Architecture({"hidden_sise": 64}, {})
        Traceback (most recent call last):
        ValueError: expected fields of ClaimConfig, found 'hidden_sise'
    """

    model: Mapping[str, Any]
    tokenizer: Mapping[str, Any]

    def __post_init__(self) -> None:
        known = {field.name for field in dataclasses.fields(ClaimConfig)} - _FROM_TOKENIZER
        _refuse_unknown(self.model, known, "fields of ClaimConfig")
        _refuse_unknown(
            self.tokenizer,
            {field.name for field in dataclasses.fields(EncodingOptions)} | _OF_VOCABULARY,
            "tokenizer options",
        )

    @classmethod
    def from_json(cls, path: str | Path) -> "Architecture":
        """Read a file with the objects `model` and `tokenizer`.

        Args:
            path (`str` or `Path`): JSON file, or `claim-pt-base` or `medicare-encoder-base`, which ship.

        Raises:
            ValueError: If the file holds other names.

        Examples:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp(), "tiny.json")
            >>> _ = path.write_text('{"model": {"hidden_size": 32}, "tokenizer": {"max_visits": 30}}')
            >>> Architecture.from_json(path).tokenizer["max_visits"]
            30
            >>> Architecture.from_json("claim-pt-base").model["hidden_size"]
            96
        """
        if str(path) in _SHIPPED:
            path = recipe(f"{path}.json")
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or set(content) != {"model", "tokenizer"}:
            found = sorted(content) if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"{Path(path).name}: expected the objects 'model' and 'tokenizer', found {found}")
        return cls(content["model"], content["tokenizer"])

    def train_tokenizer(
        self, patients: Any, *, categories: Any = None, form: Any = None, min_patients: int = 11
    ) -> ClaimTokenizer:
        """Choose a vocabulary from training patients.

        Args:
            patients (`datasets.Dataset`): Training patients only.
            categories (`dict`, *optional*): From code to category, as [`ClaimTokenizer`] takes it.
            form ([`ClaimForm`], *optional*): How claims are written; [`find_form`] reads that of sequences.
            min_patients (`int`, *optional*, defaults to `11`): Smallest number of patients behind a token.

        Examples:
            >>> patient = {"visits": [{"day": 1, "type": "OP", "codes": ["HCPCS/99213"]}]}
            >>> len(Architecture({}, {"time_tokens": "none"}).train_tokenizer([patient] * 11)) > 3
            True
        """
        return ClaimTokenizer.train_from_dataset(
            patients, categories=categories, form=form, min_patients=min_patients, **self.tokenizer
        )

    def build_config(self, tokenizer: ClaimTokenizer, **changes: Any) -> ClaimConfig:
        """Make the configuration of a model for a tokenizer.

        Args:
            tokenizer ([`ClaimTokenizer`]): Gives the numbers of tokens and categories.
            **changes: Further fields, such as `num_labels`.

        Examples:
            >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4})
            >>> Architecture({"hidden_size": 32}, {}).build_config(tokenizer).vocab_size
            5
        """
        from_tokenizer = {
            "vocab_size": len(tokenizer),
            "num_categories": tokenizer.num_categories,
            "pad_token_id": tokenizer.pad_token_id,
            "mask_token_id": tokenizer.mask_token_id,
        }
        max_visits = tokenizer.init_kwargs.get("max_visits")
        if max_visits is not None:
            from_tokenizer["max_visits"] = max_visits
        return ClaimConfig(**{**from_tokenizer, **self.model, **changes})


def _refuse_unknown(given: Mapping[str, Any], known: set[str], what: str) -> None:
    """Raise on names outside `known`."""
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"expected {what}, found {', '.join(map(repr, unknown))}")
