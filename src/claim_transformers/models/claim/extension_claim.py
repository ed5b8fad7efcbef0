"""Extending a vocabulary by the codes of other claims: new tokens behind the old ones, which do not move."""

from typing import Any

from .categories_claim import CodeCategories, number_categories
from .coverage_claim import Derived
from .form_claim import ClaimForm
from .form_table_claim import FormWriter
from .vocabulary_claim import EncodingOptions
from .vocabulary_training_claim import extra_tokens


class ExtendableVocabulary:
    """The part of [`ClaimTokenizer`] that grows."""

    _vocab: dict[str, int]
    _id_to_token: list[str]
    _category_ids: dict[str, int]
    _rules: CodeCategories
    _form: ClaimForm | None
    _options: EncodingOptions
    _derived: Derived

    def extend(self, dataset: Any, *, min_patients: int = 11) -> int:
        """Give the codes of other patients tokens of their own; old ids do not move.

        A code, visit type or principal group that is no token becomes one when at least `min_patients` distinct
        patients have it in view; rarer codes get their prefix or category, as in [`train_from_dataset`]. New tokens
        stand behind the old ones, sorted by text, and categories that appear with them behind the old categories.
        [`resize_token_embeddings`] with this tokenizer makes a model follow.

        Args:
            dataset (`datasets.Dataset`, `pyarrow.Table` or an iterable): Training patients, as in
                [`train_from_dataset`].
            min_patients (`int`, *optional*, defaults to `11`): Smallest number of distinct patients behind a token.

        Returns:
            `int`: How many tokens were added.

        Raises:
            ValueError: If there is no patient, or tokens were added by `add_tokens` before.

        Examples:
            >>> from claim_transformers import ClaimTokenizer
            >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "UNK/ICD10CM": 5, "ICD10CM/I10": 6})
            >>> patient = {"visits": [{"day": 1, "type": "OP", "codes": ["ICD10CM/I10", "ICD10CM/E119"]}]}
            >>> tokenizer.extend([patient] * 11), tokenizer.convert_ids_to_tokens([6, 7])
            (1, ['ICD10CM/I10', 'ICD10CM/E119'])
        """
        if (total := len(self.get_vocab())) != len(self._vocab):  # type: ignore[attr-defined]
            raise ValueError(
                f"expected a tokenizer without tokens from add_tokens, found {total - len(self._vocab)}; extend first"
            )
        added = extra_tokens(
            dataset,
            self._vocab,
            rules=self._rules,
            options=self._options,
            min_patients=min_patients,
            writer=None if self._form is None else FormWriter(self._form),
        )
        # New objects: a copy of the tokenizer, such as that of a cached data set, keeps its own.
        self._vocab = self._vocab | {token: len(self._vocab) + place for place, token in enumerate(added)}
        self._id_to_token = list(self._vocab)
        new = sorted(set(number_categories(self._vocab, self._rules)) - set(self._category_ids))
        self._category_ids = self._category_ids | {
            name: len(self._category_ids) + place for place, name in enumerate(new)
        }
        self._derived = Derived()
        # The base class keeps the length.
        self._update_total_vocab_size()  # type: ignore[attr-defined]
        return len(added)
