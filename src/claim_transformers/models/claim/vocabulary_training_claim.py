"""Vocabulary of a training split: codes of enough distinct patients, and prefixes and categories that catch the rest.

CMS shows no cell of 1 to 10 patients (cell-size suppression policy, resdac.org), and a vocabulary is such a table: a
code in it has been seen. So patients are counted, not occurrences, and neither the counts nor an order that follows
from them leave this file.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from .canonical_claim import CODE_SYSTEMS, canonical_code
from .categories_claim import CodeCategories
from .form_claim import FORM_COLUMNS
from .form_table_claim import FormWriter
from .patients_claim import read_history
from .visits_claim import load_arrow, read_batches, read_patient_codes, read_visits
from .vocabulary_claim import (
    SEXES,
    STRUCTURAL_SYSTEMS,
    UNKNOWN_PRINCIPAL,
    UNKNOWN_TYPE,
    EncodingOptions,
    backoff_steps,
    code_system,
    principal_token,
    time_vocabulary,
)

_READ_ROWS = 8192
_COUNTED_COLUMNS = ("patient_id", "patient_codes", "visit_day", "visit_type", "codes", "principal_codes")
# Pairs of 8 bytes that are collected between two clean-ups.
_PENDING_PAIRS = 2**24
_PATIENT_BITS = np.uint64(32)
_PATIENT_MASK = np.uint64(2**32 - 1)
# Printable ASCII without white space: anything else is damage, and must not become a token.
_CODE_TEXT = re.compile(r"[A-Z][A-Z0-9_]{0,15}/[!-~]{1,64}")


class _PatientCounter:
    """Count the distinct patients of each string in one pass, in memory bounded by the rare strings.

    At `threshold` patients a string is settled and its patients are forgotten, unless `keep_all` is to rank strings.
    """

    def __init__(self, threshold: int, *, keep_all: bool = False) -> None:
        self.threshold = threshold
        self.strings: dict[str, int] = {}
        self.pairs = np.empty(0, dtype=np.uint64)
        self.counts = np.empty(0, dtype=np.int64)
        self._keep_all = keep_all
        self._settled = np.empty(0, dtype=bool)
        self._pending: list[np.ndarray] = []
        self._num_pending = 0

    def add(self, strings: Any, patients: np.ndarray, write: Callable[[str], str | None] = canonical_code) -> None:
        """Take the strings of some patients, as they are written; what becomes `None` is not counted."""
        pa, pc = load_arrow()
        if not pa.types.is_dictionary(strings.type):
            strings = strings.dictionary_encode()
        numbers = [
            -1 if text is None else self.strings.setdefault(text, len(self.strings))
            for text in (None if text is None else write(text) for text in strings.dictionary.to_pylist())
        ]
        index = pc.fill_null(strings.indices.cast(pa.int64()), len(numbers)).to_numpy(zero_copy_only=False)
        string = np.array([*numbers, -1])[index]
        settled = np.append(self._settled, np.zeros(len(self.strings) - self._settled.size + 1, dtype=bool))
        wanted = (string >= 0) & ~settled[string]
        pairs = string[wanted].astype(np.uint64) << _PATIENT_BITS | patients[wanted].astype(np.uint64)
        self._pending.append(_distinct(pairs))
        self._num_pending += self._pending[-1].size
        if self._num_pending > _PENDING_PAIRS:
            self.finish()

    def finish(self) -> None:
        """Settle what was taken; `pairs` then holds the patients of the strings below the threshold."""
        self.pairs = _distinct(np.concatenate([self.pairs, *self._pending]))
        self._pending, self._num_pending = [], 0
        counts = np.bincount((self.pairs >> _PATIENT_BITS).astype(np.int64), minlength=len(self.strings))
        settled = np.zeros(len(self.strings), dtype=bool)
        settled[: self._settled.size] = self._settled
        settled |= counts >= self.threshold
        self.counts = counts
        if self._keep_all:
            return
        self._settled = settled
        self.pairs = self.pairs[~settled[(self.pairs >> _PATIENT_BITS).astype(np.int64)]]

    def strings_of_at_least_threshold(self) -> set[str]:
        """List the strings that reached the threshold."""
        reached = self.counts >= self.threshold if self._keep_all else self._settled
        return {text for text, number in self.strings.items() if reached[number]}


def train_tokens(
    dataset: Any,
    *,
    rules: CodeCategories,
    options: EncodingOptions,
    special_tokens: Iterable[str],
    min_patients: int,
    max_size: int | None,
    writer: FormWriter | None = None,
    keep_groups: bool = False,
) -> dict[str, int]:
    """Choose the tokens of a vocabulary from patients, written by `writer` first; only visits in view are counted.

    Tokens are sorted by text inside their group, so ids reveal no frequency. With `max_size` the codes of most
    patients stay; with `keep_groups` the groups of codes that have a token have one too.
    """
    if not isinstance(min_patients, int) or isinstance(min_patients, bool) or min_patients < 1:
        raise ValueError(f"expected min_patients to be an integer of at least 1, found {min_patients!r}")
    codes = _PatientCounter(min_patients, keep_all=max_size is not None)
    types, principal = _PatientCounter(min_patients), _PatientCounter(min_patients)
    num_patients = _count(dataset, options, codes, types, principal, rules, writer)
    if not num_patients:
        raise ValueError("expected at least one patient to train the vocabulary on, found none")
    exact = {code for code in codes.strings_of_at_least_threshold() if _is_code(code)}
    structure = [
        *special_tokens,
        *(f"UNK/{system}" for system in sorted({*CODE_SYSTEMS, *map(code_system, exact)})),
        UNKNOWN_TYPE,
        *([UNKNOWN_PRINCIPAL] if options.mark_principal else []),
        *(f"AGE/{age}" for age in range(options.max_age_years + 1)),
        *(f"SEX/{sex}" for sex in SEXES),
        *sorted(f"TYPE/{kind}" for kind in types.strings_of_at_least_threshold() if _is_code(f"CODE/{kind}")),
        *time_vocabulary(options.time_tokens, options.max_day),
        *sorted(filter(_CODE_TEXT.fullmatch, principal.strings_of_at_least_threshold())),
    ]
    room = None if max_size is None else max_size - len(structure)
    if room is not None and room < 1:
        raise ValueError(f"expected max_size to exceed the {len(structure)} tokens of structure, found {max_size}")
    chosen = _fit(codes, exact, rules, room)
    if not chosen:
        raise ValueError(
            f"expected at least one code, prefix or category of {min_patients} or more patients, found none; "
            "train on more patients, or lower min_patients if your data agreement allows it"
        )
    if keep_groups:
        # Each has the patients of its codes, which are enough.
        groups = {group for code in chosen for find in backoff_steps(rules) if (group := find(code)) is not None}
        chosen |= set(filter(_is_code, groups))
    return {token: number for number, token in enumerate([*structure, *sorted(chosen)])}


def extra_tokens(
    dataset: Any,
    vocab: Iterable[str],
    *,
    rules: CodeCategories,
    options: EncodingOptions,
    min_patients: int,
    writer: FormWriter | None = None,
) -> list[str]:
    """Choose the tokens that patients give a vocabulary in addition, sorted by text inside structure and codes."""
    if not isinstance(min_patients, int) or isinstance(min_patients, bool) or min_patients < 1:
        raise ValueError(f"expected min_patients to be an integer of at least 1, found {min_patients!r}")
    codes, types, principal = (_PatientCounter(min_patients) for _ in range(3))
    if not _count(dataset, options, codes, types, principal, rules, writer):
        raise ValueError("expected at least one patient to extend the vocabulary by, found none")
    known = set(vocab)
    exact = {code for code in codes.strings_of_at_least_threshold() if _is_code(code)}
    chosen = {*exact, *_backoff_targets(codes, exact | known, rules)}
    structure = {
        *(f"UNK/{system}" for system in map(code_system, exact)),
        *(f"TYPE/{kind}" for kind in types.strings_of_at_least_threshold() if _is_code(f"CODE/{kind}")),
        *filter(_CODE_TEXT.fullmatch, principal.strings_of_at_least_threshold()),
    }
    return [*sorted(structure - known), *sorted(chosen - known)]


def _read_tables(dataset: Any, writer: FormWriter | None = None, *, mark_principal: bool = False) -> Iterator[Any]:
    """Read patients in any of the layouts they come in, as tables."""
    pa, _ = load_arrow()
    columns = (*_COUNTED_COLUMNS, *FORM_COLUMNS)
    if isinstance(dataset, (pa.Table, pa.RecordBatch)):
        yield from (batch if writer is None else writer.write(batch) for batch in read_batches(dataset, columns))
    elif isinstance(dataset, Mapping):
        raise ValueError("expected one data set, found a mapping of splits; pass the training split alone")
    elif hasattr(dataset, "with_format") and hasattr(dataset, "iter"):
        for table in dataset.with_format("arrow").iter(batch_size=_READ_ROWS):
            yield from _read_tables(table, writer)
    elif isinstance(dataset, Iterable) and not isinstance(dataset, str):
        patients: list[Mapping[str, Any]] = []
        for item in dataset:
            if isinstance(item, (pa.Table, pa.RecordBatch)):
                yield from _read_tables(item, writer)
            elif isinstance(item, Mapping):
                patients.append(item)
            else:
                raise ValueError(f"expected patients or pyarrow tables, found {type(item).__name__}")
            if len(patients) == _READ_ROWS:
                yield _table_of(patients, writer, mark_principal=mark_principal)
                patients = []
        if patients:
            yield _table_of(patients, writer, mark_principal=mark_principal)
    else:
        raise ValueError(f"expected a data set, a pyarrow table or a list of patients, found {type(dataset).__name__}")


def _table_of(patients: list[Mapping[str, Any]], writer: FormWriter | None, *, mark_principal: bool) -> Any:
    """Patients given as mappings as a table."""
    pa, _ = load_arrow()
    form = None if writer is None else writer.form
    histories = [read_history(patient, form, mark_principal=mark_principal) for patient in patients]
    columns = {
        "visit_day": pa.array(
            [[visit.day for visit in history.visits] for history in histories], pa.list_(pa.int64())
        ),
        "visit_type": pa.array(
            [[visit.type for visit in history.visits] for history in histories], pa.list_(pa.string())
        ),
        "codes": pa.array(
            [[sorted(visit.codes) for visit in history.visits] for history in histories],
            pa.list_(pa.list_(pa.string())),
        ),
    }
    if mark_principal:
        columns["principal_codes"] = pa.array(
            [[sorted(visit.principal) for visit in history.visits] for history in histories],
            pa.list_(pa.list_(pa.string())),
        )
    if any(history.codes for history in histories):
        columns["patient_codes"] = pa.array([sorted(history.codes) for history in histories], pa.list_(pa.string()))
    has_id = ["patient_id" in patient for patient in patients]
    if any(has_id):
        if not all(has_id):
            raise ValueError(f"expected patient_id in every patient or in none, found it in {sum(has_id)}")
        columns["patient_id"] = pa.array([str(patient["patient_id"]) for patient in patients])
    return pa.table(columns)


def _count(
    dataset: Any,
    options: EncodingOptions,
    codes: _PatientCounter,
    types: _PatientCounter,
    principal: _PatientCounter,
    rules: CodeCategories,
    writer: FormWriter | None,
) -> int:
    """Feed the counters; the number of distinct patients."""
    pa, _ = load_arrow()
    write_principal = partial(_principal_token, rules=rules)
    numbers: dict[Any, int] = {}
    num_patients = 0
    for table in _read_tables(dataset, writer, mark_principal=options.mark_principal):
        for batch in read_batches(table, _COUNTED_COLUMNS):
            if "patient_id" in batch.schema.names:
                # A cohort can hold a patient several times: rows are patients only when no identifier says otherwise.
                ids = batch.column("patient_id")
                if ids.null_count:
                    raise ValueError(f"expected every patient_id to be known, found {ids.null_count} nulls")
                patient = np.array([numbers.setdefault(key, len(numbers)) for key in ids.to_pylist()], dtype=np.int64)
                num_patients = len(numbers)
            else:
                patient = np.arange(num_patients, num_patients + len(batch))
                num_patients += len(batch)
            visits = read_visits(batch, options.max_visits, mark_principal=options.mark_principal)
            codes.add(visits.codes, patient[visits.row][visits.code_visit])
            principal.add(visits.principal, patient[visits.row][visits.principal_visit], write_principal)
            of_patients, owner = read_patient_codes(batch)
            codes.add(of_patients, patient[owner])
            names = pa.array(visits.types, pa.string())
            types.add(pa.DictionaryArray.from_arrays(pa.array(visits.type_index), names), patient[visits.row])
    for counter in (codes, types, principal):
        counter.finish()
    return num_patients


def _principal_token(code: str, rules: CodeCategories) -> str | None:
    """Name the token of a principal diagnosis; `None` where its text may not become a token."""
    return principal_token(code, rules) if _is_code(canonical_code(code)) else None


def _fit(codes: _PatientCounter, exact: set[str], rules: CodeCategories, room: int | None) -> set[str]:
    """Exact codes and back-off targets, the most held ones when there is not room for all."""
    targets = _backoff_targets(codes, exact, rules)
    if room is None or len({*exact, *targets}) <= room:
        return {*exact, *targets}
    ranked = sorted(exact, key=lambda code: (-codes.counts[codes.strings[code]], code))
    # Dropping codes adds targets, so the targets of the first cut only estimate how many places they need.
    first_cut = _backoff_targets(codes, set(ranked[:room]), rules)
    kept = set(ranked[: max(1, room - len(first_cut))])
    targets = _backoff_targets(codes, kept, rules)
    ranked_targets = sorted(targets.keys() - kept, key=lambda token: (-targets[token], token))
    return {*kept, *ranked_targets[: room - len(kept)]}


def _backoff_targets(codes: _PatientCounter, exact: set[str], rules: CodeCategories) -> dict[str, int]:
    """Prefixes and categories to which the codes of enough patients back off, with that number of patients."""
    is_exact = np.array([text in exact for text in codes.strings], dtype=bool)
    pairs = codes.pairs[~is_exact[(codes.pairs >> _PATIENT_BITS).astype(np.int64)]]
    targets: dict[str, int] = {}
    for find in backoff_steps(rules):
        pairs, found = _settle(pairs, codes, find, exact)
        targets.update(found)
    return targets


def _settle(
    pairs: np.ndarray, codes: _PatientCounter, find: Callable[[str], str | None], exact: set[str]
) -> tuple[np.ndarray, dict[str, int]]:
    """Pairs that no target of this level takes, and the targets with their patients."""
    numbers: dict[str, int] = {}
    target_of_code = np.full(len(codes.strings), -1, dtype=np.int64)
    rare = np.unique((pairs >> _PATIENT_BITS).astype(np.int64))
    strings = list(codes.strings)
    for number in rare:
        token = find(strings[number]) if _is_code(strings[number]) else None
        if token is not None and _is_code(token):
            target_of_code[number] = numbers.setdefault(token, len(numbers))
    target = target_of_code[(pairs >> _PATIENT_BITS).astype(np.int64)]
    aimed = target >= 0
    held = _distinct(target[aimed].astype(np.uint64) << _PATIENT_BITS | (pairs[aimed] & _PATIENT_MASK))
    counts = np.bincount((held >> _PATIENT_BITS).astype(np.int64), minlength=len(numbers))
    is_exact = np.array([token in exact for token in numbers], dtype=bool)
    taken = np.append((counts >= codes.threshold) | is_exact, False)
    chosen = {token: int(counts[number]) for token, number in numbers.items() if taken[number] and token not in exact}
    return pairs[~taken[target]], chosen


def _is_code(text: str) -> bool:
    """Whether a string may become a code token."""
    return bool(_CODE_TEXT.fullmatch(text)) and code_system(text) not in STRUCTURAL_SYSTEMS


def _distinct(pairs: np.ndarray) -> np.ndarray:
    """Pairs sorted, each once; `np.unique` is many times slower than a sort on large arrays."""
    if not pairs.size:
        return pairs
    pairs = np.sort(pairs)
    distinct: np.ndarray = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])]
    return distinct
