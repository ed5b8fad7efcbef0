"""Tokenizer of the `claim` family: patients in, one flat stream of codes with their visits out.

Everything is a code: demographics (`AGE/9`, `SEX/F`), claim type (`TYPE/OP`) and time (`DAY/12` or `GAP/8`) are tokens
beside the diagnoses, procedures and drugs. `docs/tokenizer.md` holds the grammar.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import repeat
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AddedToken, BatchEncoding
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils.generic import PaddingStrategy

from .canonical_claim import patients_of
from .carried_code_claim import CarriesCode
from .categories_claim import CodeCategories
from .coverage_claim import Derived, warn_of_patients, warn_of_unknown
from .damage_claim import naming_damage, naming_file, read_json_object
from .extension_claim import SPECIAL_TOKENS, ExtendableVocabulary
from .form_claim import FORM_COLUMNS, FORM_FILE, OLD_COUNTY_FILE, OLD_FORM_FILE, ClaimForm, form_by, read_form
from .form_table_claim import FormWriter
from .names_claim import checkpoint_hint, is_misspelt, resolve_checkpoint
from .padding_claim import PatientPadding
from .patients_claim import encode_history, encode_within, read_history
from .text_claim import visits_of_tokens
from .token_stream_claim import PATIENT_COLUMNS, TableEncoder, empty_batch
from .tokenizer_files_claim import READ_FILES, check_tokenizer_files, read_vocabulary, refuse_displaced
from .visits_claim import LABEL_COLUMNS, load_arrow, read_batches
from .vocabulary_claim import (
    FORMAT_VERSION,
    UNKNOWN_TYPE,
    ClaimVocabulary,
    EncodingOptions,
    TimeTokens,
    category_ids_of,
    refuse_newer_files,
    refuse_unknown_tokens,
    refuse_without_principal,
)

_VISIT_SEPARATOR = "|"


class ClaimTokenizer(CarriesCode, ExtendableVocabulary, PatientPadding):
    """Write patients as tokens.

    Args:
        vocab (`Mapping[str, int]`, *optional*):
            Token to id, unique and contiguous. `{code: id}` is enough: special tokens that are absent take the free
            ids below the largest, then the next ones, and no given id moves. Start at 3 to have padding at 0, which
            is what [`ClaimConfig`] expects.
        categories (`Mapping` or `CodeCategories`, *optional*):
            From code to category: `{"prefixes": {"ICD9CM/493": "CCS/128"}, "prefix_lengths": {"HCPCS": ["HCPCSGROUP",
            3]}}`, or the prefix table alone. The longest prefix wins; a length is used where no prefix matches.
        form ([`ClaimForm`] or `Mapping`, *optional*):
            How codes are rolled up and numbers put in bins before they become tokens, by the rules of `categories`.
            Without it codes are read as they are, and numbers not at all.
        time_tokens (`"day"`, `"gap"` or `"none"`, *optional*, defaults to `"gap"`):
            `DAY/n`, days since the first visit in view, or `GAP/n`, the bucket of days since the previous visit.
        max_day (`int`, *optional*, defaults to `365`): Largest `DAY/n`; later visits share it.
        max_visits (`int` or `None`, *optional*, defaults to `256`): Most recent visits in view; `None` for all.
        max_codes_per_visit (`int` or `None`, *optional*):
            Largest number of distinct codes per visit. Which ones stay follows from a hash of the code, so it depends
            on no order. `None` keeps all.
        max_age_years (`int`, *optional*, defaults to `90`): Largest `AGE/n`; older patients share it.
        backoff (`bool`, *optional*, defaults to `True`):
            Whether a code outside the vocabulary tries its prefix, then its category, before `UNK/SYSTEM`.
        mark_principal (`bool`, *optional*, defaults to `False`):
            Whether each principal diagnosis of a visit adds the token `PRINCIPAL/<group>` of its category, else of its
            prefix. Reads `principal_codes` of a row, or `principal` of a visit.
        pad_token (`str`, *optional*, defaults to `"[PAD]"`): Padding token.
        unk_token (`str`, *optional*, defaults to `"[UNK]"`): Stands for a code of an unknown system.
        mask_token (`str`, *optional*, defaults to `"[MASK]"`): Stands for a code that a collator hides.
        vocab_file (`str`, *optional*): `vocab.json`, in place of `vocab`.
        categories_file (`str`, *optional*): `categories.json`, in place of `categories`.
        form_file (`str`, *optional*): `form.json`, in place of `form`.
        old_form_file (`str`, *optional*): `sequence_form.json` of format version 1.
        old_county_file (`str`, *optional*): `county_bins.json` of format version 1.
        format_version (`int`, *optional*): Version of the files; one from the future is refused.

    Raises:
        ValueError: If the vocabulary is absent, given twice or not contiguous, an option is out of its range, or the
            files are newer than this code. The message says what was expected and found.

    Examples:
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "ICD9CM/493": 5}, {"ICD9CM/493": "CCS/128"})
        >>> visits = [{"day": 7, "type": "OP", "codes": ["ICD9CM/49392"]}]
        >>> encoding = tokenizer({"age": 9, "sex": "F", "visits": visits}, return_category_ids=True)
        >>> encoding["input_ids"], encoding["visit_ids"], encoding["visit_days"], encoding["category_ids"]
        ([3, 4, 5], [0, 1, 1], [0, 0], [-100, -100, 0])
        >>> tokenizer.decode(encoding["input_ids"])
        'SEX/F | TYPE/OP ICD9CM/493'
    """

    vocab_files_names = {  # noqa: RUF012
        "vocab_file": "vocab.json",
        "categories_file": "categories.json",
        "form_file": FORM_FILE,
        # Read, never written: what the form was until format version 2.
        "old_form_file": OLD_FORM_FILE,
        "old_county_file": OLD_COUNTY_FILE,
    }
    # In a slot: the fingerprint under which `datasets` caches is that of `__dict__`, whatever the pickle holds.
    __slots__ = ("_derived",)
    model_input_names = ["input_ids", "visit_ids", "visit_days", "attention_mask"]  # noqa: RUF012
    # The recent visits matter, so the oldest leave, and text is cut at the beginning; `"right"` lets the newest leave.
    truncation_side = "left"

    def __init__(
        self,
        vocab: Mapping[str, int] | None = None,
        categories: Any = None,
        form: Any = None,
        *,
        time_tokens: TimeTokens = "gap",
        max_day: int = 365,
        max_visits: int | None = 256,
        max_codes_per_visit: int | None = None,
        max_age_years: int = 90,
        backoff: bool = True,
        mark_principal: bool = False,
        pad_token: str | AddedToken = SPECIAL_TOKENS["pad_token"],
        unk_token: str | AddedToken = SPECIAL_TOKENS["unk_token"],
        mask_token: str | AddedToken = SPECIAL_TOKENS["mask_token"],
        vocab_file: str | None = None,
        categories_file: str | None = None,
        form_file: str | None = None,
        old_form_file: str | None = None,
        old_county_file: str | None = None,
        format_version: int = FORMAT_VERSION,
        **kwargs: Any,
    ) -> None:
        refuse_newer_files(format_version)
        refuse_unknown_tokens(kwargs, self.SPECIAL_TOKENS_ATTRIBUTES)
        self._options = EncodingOptions(
            time_tokens, max_day, max_visits, max_codes_per_visit, max_age_years, backoff, mark_principal
        )
        self._vocab = read_vocabulary(vocab, vocab_file, map(str, (pad_token, unk_token, mask_token)))
        self._id_to_token = list(self._vocab)
        if categories_file is not None and categories is None:
            categories = read_json_object(categories_file)
        if categories is None and isinstance(form, ClaimForm):
            categories = form.categories
        with naming_file(categories_file):
            self._rules = CodeCategories.parse(categories)
            self._category_ids = category_ids_of(categories, self._vocab, self._rules)
        if form is None and (form_file is not None or (old_form_file is not None and format_version == 1)):
            form = read_form(form_file, old_form_file, old_county_file, self._rules)
        self._form = None if form is None else form_by(form, self._rules)
        self._derived = Derived()
        # Where the files came from is no part of the tokenizer, and would make a saved copy differ from its source.
        for key in ("is_local", "local_files_only"):
            kwargs.pop(key, None)
        super().__init__(
            **asdict(self._options),
            pad_token=pad_token,
            unk_token=unk_token,
            mask_token=mask_token,
            format_version=FORMAT_VERSION,
            **kwargs,
        )
        if mark_principal:
            refuse_without_principal(self.get_vocab())

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], *init_inputs: Any, **kwargs: Any
    ) -> "ClaimTokenizer":
        """Load a tokenizer from a folder, the store or the Hub.

        Args:
            pretrained_model_name_or_path (`str` or `os.PathLike`):
                Folder, name in the store such as `"claim-pt-base"`, or Hub name.
            *init_inputs (`Any`): Passed on.
            **kwargs (`Any`): Options that override the saved ones, arguments of the Hub, and `revision`, also of names
                in the store.

        Returns:
            `ClaimTokenizer`: The tokenizer.

        Raises:
            OSError: If there is no vocabulary under that name. The message names checkpoints that load offline.
            ValueError: If the files are damaged or newer than this code.
        """
        if is_misspelt(pretrained_model_name_or_path):
            kwargs["local_files_only"] = True
        folder = resolve_checkpoint(pretrained_model_name_or_path, kwargs.get("revision"))
        with naming_damage(folder, (*READ_FILES, *cls.vocab_files_names.values()), kwargs):
            tokenizer: ClaimTokenizer = super().from_pretrained(folder, *init_inputs, **kwargs)
        return tokenizer

    @classmethod
    def _from_pretrained(
        cls, resolved_vocab_files: dict[str, Any], pretrained_model_name_or_path: str, *args: Any, **kwargs: Any
    ) -> "ClaimTokenizer":
        """Load from files; a name that leads to none says so, with the names that were perhaps meant."""
        if resolved_vocab_files.get("vocab_file") is None and not kwargs.keys() & {"vocab", "vocab_file"}:
            name = pretrained_model_name_or_path
            raise OSError(f"expected a checkpoint with vocab.json, found none at {name!r}. {checkpoint_hint(name)}")
        check_tokenizer_files(resolved_vocab_files, cls.vocab_files_names, cls.SPECIAL_TOKENS_ATTRIBUTES)
        tokenizer: ClaimTokenizer = super()._from_pretrained(
            resolved_vocab_files, pretrained_model_name_or_path, *args, **kwargs
        )
        refuse_displaced(tokenizer._vocab, tokenizer._added_tokens_encoder)
        return tokenizer

    # ---- Options: read-only, because a vocabulary holds the tokens of its options ----

    @property
    def options(self) -> EncodingOptions:
        """[`EncodingOptions`]: How patients are written."""
        return self._options

    @property
    def form(self) -> ClaimForm | None:
        """[`ClaimForm`] or `None`: How claims are written before they become tokens."""
        return self._form

    def take_form(self, form: ClaimForm | None) -> None:
        """Write claims from now on in the form that a cohort is in, or refuse it where the tokenizer has another.

        Args:
            form ([`ClaimForm`], *optional*): Form of a cohort; `None` for claims as they were billed.

        Raises:
            ValueError: If the tokenizer has a form with other depths or bins. What is hidden may differ.
        """
        if form is None:
            return
        if self._form is None:
            self._form = form_by(form, self._rules)
        elif not self._form.writes_like(form):
            raise ValueError(
                f"expected claims, or claims in the form of the tokenizer ({self._form.depth}), found sequences in "
                f"another form ({form.depth} or other bins); give the cohort itself"
            )

    @property
    def time_tokens(self) -> TimeTokens:
        """`"day"`, `"gap"` or `"none"`: Which time token each visit carries."""
        return self._options.time_tokens

    @property
    def max_day(self) -> int:
        """`int`: Largest `DAY/n`."""
        return self._options.max_day

    @property
    def max_visits(self) -> int | None:
        """`int` or `None`: Most recent visits in view."""
        return self._options.max_visits

    @property
    def max_slots(self) -> int | None:  # type: ignore[override]
        """`int` or `None`: Slots of a patient at most, the patient's own included."""
        return None if self.max_visits is None else self.max_visits + 1

    @property
    def max_codes_per_visit(self) -> int | None:
        """`int` or `None`: Largest number of distinct codes of a visit."""
        return self._options.max_codes_per_visit

    @property
    def max_age_years(self) -> int:
        """`int`: Largest `AGE/n`."""
        return self._options.max_age_years

    @property
    def backoff(self) -> bool:
        """`bool`: Whether an unknown code tries its prefix and its category."""
        return self._options.backoff

    @property
    def mark_principal(self) -> bool:
        """`bool`: Whether the group of each principal diagnosis is a token of its visit."""
        return self._options.mark_principal

    # ---- Vocabulary ----

    @property
    def vocab_size(self) -> int:
        """`int`: Number of tokens without those added after training; `len(tokenizer)` counts all."""
        return len(self._vocab)

    def get_vocab(self) -> dict[str, int]:
        """Token to id, tokens added after training included."""
        return {**self._vocab, **self._added_tokens_encoder}

    @property
    def vocabulary(self) -> ClaimVocabulary:
        """[`ClaimVocabulary`]: The meaning of every id, tokens added after training included."""
        if self._derived.vocabulary is None:
            self._derived.vocabulary = ClaimVocabulary(
                self.get_vocab(),
                self.all_special_tokens,
                str(self.unk_token),
                self._rules,
                self._category_ids,
                backoff=self.options.backoff,
            )
        return self._derived.vocabulary

    @property
    def target_mask(self) -> np.ndarray:
        """`np.ndarray` of shape `(len(tokenizer),)`, bool: clinical codes, their prefixes and categories."""
        return self.vocabulary.target_mask

    @property
    def category_of_token(self) -> np.ndarray:
        """`np.ndarray` of shape `(len(tokenizer),)`, int32: category id of each token, -100 where there is none."""
        return self.vocabulary.category_of_token

    @property
    def num_categories(self) -> int:
        """`int`: Number of categories."""
        return len(self._category_ids)

    @property
    def category_names(self) -> list[str]:
        """`list[str]`: Category of each category id."""
        return sorted(self._category_ids, key=self._category_ids.__getitem__)

    def check_vocabulary(self, config: Any) -> None:
        """Refuse a model that was built for another vocabulary, before it reads the wrong rows.

        Args:
            config (`ClaimConfig`): Configuration of the model.

        Raises:
            ValueError: If the number of tokens or categories, or the id of the padding or mask token, differs. The
                message names both numbers.

        Examples:
            >>> from types import SimpleNamespace
            >>> ClaimTokenizer({"SEX/F": 3}).check_vocabulary(SimpleNamespace(vocab_size=5))
            Traceback (most recent call last):
                ...
            ValueError: E_VOCAB_SIZE: expected a model with vocab_size=4 as the tokenizer has, found 5; ...
        """
        expected = {
            "vocab_size": len(self),
            "num_categories": self.num_categories,
            "pad_token_id": self.pad_token_id,
            "mask_token_id": self.mask_token_id,
        }
        for name, value in expected.items():
            found = getattr(config, name, None)
            # A model without a category head or a mask token does not read these ids.
            if found is None or (name == "num_categories" and found == 0) or found == value:
                continue
            raise ValueError(
                f"E_VOCAB_SIZE: expected a model with {name}={value} as the tokenizer has, found {found}; "
                f"build the model with ClaimConfig({name}={value}) or load the tokenizer of its checkpoint"
            )

    # ---- Tables ----

    def encode_table(
        self, table: Any, *, keep_columns: Sequence[str] | None = None, return_statistics: bool = False
    ) -> Any:
        """Encode many patients at once; the ids are those of calling the tokenizer on each row.

        Made for `dataset.with_format("arrow").map(tokenizer.encode_table, batched=True,
        remove_columns=dataset.column_names)`.

        Args:
            table (`pyarrow.Table`):
                Rows of the patients table; `index_day` and `age` may be there too. A tokenizer with a form also reads
                `visit_amount`, `length_of_stay_days` and `county_measures`.
            keep_columns (`Sequence[str]`, *optional*):
                Columns to carry over. `None` carries `label` and `labels`. Identifiers and dates are dropped.
            return_statistics (`bool`, *optional*, defaults to `False`): Whether to report back-off too.

        Returns:
            `pyarrow.Table`, or a tuple with `dict[str, dict[str, int]]`: `input_ids`, `visit_ids`, `visit_days`,
            `category_ids` and `length` (number of slots), and the columns kept; the counts of [`count_backoffs`].

        Raises:
            ValueError: If a column is absent or malformed, or the rows are written in another form than the
                tokenizer's. The message holds counts and types, never a value.
        """
        pa, _ = load_arrow()
        if keep_columns is None:
            keep_columns = [name for name in LABEL_COLUMNS if name in table.column_names]
        absent = [name for name in keep_columns if name not in table.column_names]
        if absent:
            raise ValueError(f"expected the columns {list(keep_columns)} to keep, found no {', '.join(absent)}")
        encoder = None if return_statistics else self._derived.encoder
        encoder = self._derived.encoder = encoder or TableEncoder(self.vocabulary, self.options)
        counted = encoder.counts.copy()
        columns = (*PATIENT_COLUMNS, *FORM_COLUMNS, *LABEL_COLUMNS)
        batches = list(map(self._encode_batch, read_batches(table, columns), repeat(encoder)))
        encoded = pa.Table.from_batches(batches or [encoder.encode_batch(empty_batch(table))])
        warn_of_unknown(encoder.level_counts(counted), len(encoder.foreign_types), self._derived.warned)
        for name in keep_columns:
            encoded = encoded.append_column(name, table.column(name))
        return (encoded, encoder.level_counts()) if return_statistics else encoded

    def _encode_batch(self, batch: Any, encoder: TableEncoder) -> Any:
        """A batch of patients as tokens, in the form first where there is one."""
        if self._form is not None:
            self._derived.writer = self._derived.writer or FormWriter(self._form)
            batch = self._derived.writer.write(batch)
        return encoder.encode_batch(batch)

    def count_backoffs(self, table: Any) -> dict[str, dict[str, int]]:
        """Count at which level the codes of a table are found, after the form.

        Returns:
            `dict[str, dict[str, int]]`: System to level (`exact`, `prefix`, `category`, `system`, `unknown`) to the
            number of codes in view; systems that the vocabulary does not know are `"OTHER"`.
        """
        statistics: dict[str, dict[str, int]] = self.encode_table(table, return_statistics=True)[1]
        return statistics

    # ---- One patient, or a few ----

    # The base class names each keyword; here they only pass through, so that its text path stays in charge of them.
    def _encode_plus(self, text: Any, text_pair: Any = None, **kwargs: Any) -> BatchEncoding:  # type: ignore[override]
        """Encode patients; everything else is text and goes to the base class."""
        found = patients_of(text)
        if found is None:
            kwargs.pop("return_category_ids", None)
            return self._encode_text(text, text_pair, **kwargs)
        read = partial(read_history, form=self._form, mark_principal=self.mark_principal)
        histories, is_batch = list(map(read, found[0])), found[1]
        if text_pair is not None:
            raise ValueError("expected one patient per example, found a pair")
        max_length = kwargs.get("max_length")
        strategy = kwargs.get("truncation_strategy", TruncationStrategy.DO_NOT_TRUNCATE)
        if strategy == TruncationStrategy.DO_NOT_TRUNCATE or max_length is None:
            write = partial(encode_history, max_visits=self.max_visits)
        else:
            write = partial(encode_within, max_length=max_length, side=self.truncation_side)
        examples = [dict[str, Any](write(history, self.vocabulary, self.options)) for history in histories]
        warn_of_patients(histories, examples, self._derived)
        for example in examples:
            if kwargs.get("return_length"):
                example["length"] = len(example["visit_days"])
            if not kwargs.get("return_category_ids"):
                del example["category_ids"]
        return self._pad_as_asked(examples if is_batch else examples[0], is_batch, kwargs)

    def _encode_text(self, text: Any, text_pair: Any, **kwargs: Any) -> BatchEncoding:
        """Encode text, with the visits that its tokens tell of."""
        is_batch = isinstance(text, (list, tuple)) and not (text and isinstance(text[0], int))
        if is_batch or text_pair is not None or kwargs.get("is_split_into_words"):
            # A batch comes back here text by text.
            return super()._encode_plus(text, text_pair=text_pair, **kwargs)
        plain = {"padding_strategy": PaddingStrategy.DO_NOT_PAD, "return_tensors": None, "pad_to_multiple_of": None}
        example = dict(super()._encode_plus(text, **{**kwargs, **plain}))
        tokens = self.convert_ids_to_tokens(example["input_ids"])
        example["visit_ids"], example["visit_days"] = visits_of_tokens(tokens)
        return self._pad_as_asked(example, False, kwargs)

    def _pad_as_asked(self, encoded: Any, is_batch: bool, asked: Mapping[str, Any]) -> BatchEncoding:
        """Pad one example or several, and give tensors, as the keywords of a call say."""
        names = ("max_length", "pad_to_multiple_of", "padding_side", "return_attention_mask")
        options: dict[str, Any] = {name: asked.get(name) for name in names}
        batch = self.pad(encoded, padding=asked.get("padding_strategy", PaddingStrategy.DO_NOT_PAD), **options)
        return BatchEncoding(dict(batch), tensor_type=asked.get("return_tensors"), prepend_batch_axis=not is_batch)

    def decode_patient(
        self, input_ids: Sequence[int], visit_ids: Sequence[int], visit_days: Sequence[int] | None = None
    ) -> str:
        """Write an encoded patient for a reader, one line per slot.

        Args:
            input_ids (`Sequence[int]` of length `T`): Token ids, padded or not.
            visit_ids (`Sequence[int]` of length `T`): Slot of each token, -1 for padding.
            visit_days (`Sequence[int]`, *optional*): Days since the first visit in view, one per slot.

        Returns:
            `str`: One line per slot; the patient first.

        Examples:
            >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4})
            >>> print(tokenizer.decode_patient([3, 4, 0], [0, 1, -1], [0, 0, -1]))
            patient: SEX/F
            visit 1 on day 0: TYPE/OP
        """
        slots, tokens = np.asarray(visit_ids), np.asarray(input_ids)
        days = None if visit_days is None else np.asarray(visit_days)
        num_slots = int(slots.max(initial=-1)) + 1 if days is None else int((days >= 0).sum())
        lines = []
        for slot in range(num_slots):
            name = "patient" if slot == 0 else f"visit {slot}" + ("" if days is None else f" on day {days[slot]}")
            lines.append(f"{name}: {' '.join(self.convert_ids_to_tokens(tokens[slots == slot].tolist()))}")
        return "\n".join(lines)

    # ---- Text and files: the contract of the base class ----

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """Split text at white space; `|` separates visits and is no token; an unknown code backs off."""
        return [self._nearest_token(word) for word in text.split() if word != _VISIT_SEPARATOR]

    def _nearest_token(self, word: str) -> str:
        """The word when it is a token, else the token it backs off to; the word itself where that is unknown."""
        if word in self._vocab or word in self._added_tokens_encoder:
            return word
        token_id, level = self.vocabulary.resolve(word)
        return word if level == "unknown" else self._convert_id_to_token(token_id)

    def _convert_token_to_id(self, token: str) -> int:
        # A default, not `or`: the id of the first token is 0.
        return self._vocab.get(token, self._vocab[str(self.unk_token)])

    def _convert_id_to_token(self, index: int) -> str:
        if 0 <= index < len(self._id_to_token):
            return self._id_to_token[index]
        added = self._added_tokens_decoder.get(index)
        if added is None:
            raise ValueError(f"expected token ids from 0 to {len(self) - 1}, found {index}")
        return str(added)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join tokens to text in which `|` stands before each visit, and which tokenizes to the same tokens."""
        starts = ("TYPE/", UNKNOWN_TYPE)
        return " ".join(f"{_VISIT_SEPARATOR} {token}" if token.startswith(starts) else token for token in tokens)

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write `vocab.json`, `categories.json` and, where there is a form, `form.json`; give their paths."""
        categories = {**self._rules.to_dict(), "category_ids": self._category_ids}
        form = None if self._form is None else self._form.to_dict()
        contents = {"vocab_file": self._vocab, "categories_file": categories, "form_file": form}
        paths = []
        for file_id, content in contents.items():
            name = (f"{filename_prefix}-" if filename_prefix else "") + self.vocab_files_names[file_id]
            path = Path(save_directory) / name
            if content is None:
                # The form of a tokenizer that lay here before is not that of this one.
                path.unlink(missing_ok=True)
                continue
            path.write_text(json.dumps(content, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
            paths.append(str(path))
        return tuple(paths)

    def _add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        self._derived = Derived()
        return super()._add_tokens(new_tokens, special_tokens=special_tokens)

    def __getstate__(self) -> dict[str, Any]:
        # Without what upstream warned of already, as in the fingerprint of `datasets`.
        return {**self.__dict__, "deprecation_warnings": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._derived = Derived()
