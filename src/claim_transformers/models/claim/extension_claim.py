"""Vocabulary from patients: trained on them, or extended by their codes behind the old ones, which do not move."""

from collections.abc import Collection
from typing import Any, Self

from .categories_claim import CodeCategories, number_categories
from .coverage_claim import Derived
from .form_claim import ClaimForm, form_by
from .form_table_claim import FormWriter
from .vocabulary_claim import EncodingOptions
from .vocabulary_training_claim import extra_tokens, train_tokens

SPECIAL_TOKENS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}


class ExtendableVocabulary:
    """The part of [`ClaimTokenizer`] that learns tokens from patients."""

    _vocab: dict[str, int]
    _id_to_token: list[str]
    _category_ids: dict[str, int]
    _rules: CodeCategories
    _form: ClaimForm | None
    _options: EncodingOptions
    _derived: Derived

    @classmethod
    def train_from_dataset(
        cls,
        dataset: Any,
        *,
        min_patients: int = 11,
        categories: Any = None,
        form: Any = None,
        max_size: int | None = None,
        roll_up: Collection[str] = (),
        keep_groups: bool = False,
        **options: Any,
    ) -> Self:
        """Choose the vocabulary from training patients and make a tokenizer of it.

        A code gets a token when at least `min_patients` distinct patients have it in view. The rest back off: their
        prefixes, then their categories, get a token when enough patients back off to them. No count is kept, and ids
        follow the text of the tokens. Memory grows with the rare codes only, unless `max_size` is given.

        Args:
            dataset (`datasets.Dataset`, `pyarrow.Table` or an iterable):
                Training patients only: a data set, tables of the patients columns, or patients as mappings. Rows with
                the same `patient_id` are one patient; without that column each row is one.
            min_patients (`int`, *optional*, defaults to `11`): Smallest number of distinct patients behind a token.
            categories (`Mapping` or `CodeCategories`, *optional*): From code to category.
            form ([`ClaimForm`] or `Mapping`, *optional*):
                How claims are written before they are counted; patients written in it already are counted as they are.
            max_size (`int`, *optional*): Largest vocabulary; the codes of most patients stay. Not with `keep_groups`.
            roll_up (`Collection[str]`, *optional*):
                Code systems whose codes get no token of their own: what counts is their category, to which they back
                off. [`extend`] gives codes of them tokens later.
            keep_groups (`bool`, *optional*, defaults to `False`):
                Whether the prefixes and categories of codes with a token have one too, for the codes that a model
                meets later.
            **options (`Any`): Options of the tokenizer, for instance `time_tokens`.

        Raises:
            ValueError: If there is no patient, no code reaches `min_patients`, or `max_size` is too small,
                or `roll_up` is given with `form`, or `keep_groups` with `max_size`.

        Examples:
            >>> from claim_transformers import ClaimTokenizer
            >>> patient = {"visits": [{"day": 1, "type": "OP", "codes": ["HCPCS/99213"]}]}
            >>> tokenizer = ClaimTokenizer.train_from_dataset([patient] * 11, time_tokens="day", max_day=30)
            >>> tokenizer.convert_ids_to_tokens(len(tokenizer) - 1)
            'HCPCS/99213'
        """
        if categories is None and isinstance(form, ClaimForm):
            categories = form.categories
        rules = CodeCategories.parse(categories)
        names = [str(options.get(name, default)) for name, default in SPECIAL_TOKENS.items()]
        fields = {name: options[name] for name in EncodingOptions.__dataclass_fields__ if name in options}
        form = None if form is None else form_by(form, rules)
        if keep_groups and max_size is not None:
            raise ValueError("expected keep_groups or max_size, which leaves no room for every group, found both")
        if roll_up and form is not None:
            raise ValueError("expected roll_up or a form, which says how far codes are rolled up, found both")
        counted = ClaimForm("code", dict.fromkeys(roll_up, "category"), categories=rules) if roll_up else form
        vocab = train_tokens(
            dataset,
            rules=rules,
            options=EncodingOptions(**fields),
            special_tokens=names,
            min_patients=min_patients,
            max_size=max_size,
            writer=None if counted is None else FormWriter(counted),
            keep_groups=keep_groups,
        )
        return cls(vocab, rules, form, **options)  # type: ignore[call-arg]

    def extend(self, dataset: Any, *, min_patients: int = 11) -> int:
        """Give the codes of other patients tokens of their own, and say how many there are; old ids do not move.

        A code, visit type or principal group that is no token becomes one when at least `min_patients` distinct
        patients have it in view; rarer codes get their prefix or category, as in [`train_from_dataset`]. New tokens
        stand behind the old ones, sorted by text, and categories that appear with them behind the old categories.
        [`resize_token_embeddings`] with this tokenizer makes a model follow.

        Args:
            dataset (`datasets.Dataset`, `pyarrow.Table` or an iterable): Training patients, as in
                [`train_from_dataset`].
            min_patients (`int`, *optional*, defaults to `11`): Smallest number of distinct patients behind a token.

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
