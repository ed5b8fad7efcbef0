"""Assembly of code events of any source into the files of the patients table."""

import datetime as dt
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from claim_transformers.claims.enrollment import EligibilityRows, merge_eligibility
from claim_transformers.claims.last_day import find_last_day, raise_last_days, write_day
from claim_transformers.claims.later_days import end_days_of, pack_later, paid_days_of
from claim_transformers.claims.packing import (
    MAX_PATIENTS,
    NO_VISIT,
    NULL_DAY,
    CodeNumbers,
    Integers,
    Keys,
    KeySpill,
    TimelineArrays,
    VisitKeys,
    dictionary_of,
    marked_codes,
    pack_keys,
    unpack_keys,
    visit_keys_of,
)
from claim_transformers.claims.patient_files import PatientFiles, PatientNames, read_back, to_table
from claim_transformers.claims.splits import SPLITS
from claim_transformers.claims.visit_amounts import NULL_CENTS, Cents, amounts_of, sum_runs

# A million keys are 8 MB: small beside the rows being read. A shard lies in pieces, one for each block of its file.
_KEYS_PER_SHARD = 1_000_000
_MAX_SHARDS = 512
_END, _PAID, _AMOUNTS = "end", "paid", "amounts"


@dataclass(frozen=True)
class PatientCounts:
    """What went into the patients table and what stayed out: patients without visits, codes and amounts without one.

    `patients_without_enrollment` have no span though a source tells of enrollment, those `of_unknown_enrollment` have
    no such source. `codes_without_visit` have no patient, service date or claim type; `amounts_without_visit` are of a
    patient, day and type without a code. The last days are in ISO form (`claims.last_day`), none where nobody has one.
    """

    patients: int
    visits: int
    codes: int
    distinct_codes: int
    patients_by_split: dict[str, int]
    patients_without_visits: int
    patients_without_eligibility: int
    patients_without_enrollment: int
    patients_of_unknown_enrollment: int
    repeated_codes: int
    codes_without_visit: int
    amounts_without_visit: int = 0
    last_day: str | None = None
    last_enrollment_day: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain values, for a report."""
        return asdict(self)

    @classmethod
    def of_parts(cls, parts: "Iterable[PatientCounts]") -> "PatientCounts":
        """The sums of parts that share no patient; distinct codes and days do not add up and are left out."""
        numbers: Counter[str] = Counter()
        by_split: Counter[str] = Counter()
        for part in parts:
            numbers.update({name: value for name, value in asdict(part).items() if isinstance(value, int)})
            by_split.update(part.patients_by_split)
        return cls(**{**numbers, "distinct_codes": 0}, patients_by_split=dict(by_split))  # type: ignore[arg-type]


class SequenceAssembler:
    """Collect code events of known patients in any order and write the patients table.

    `patient_ids` has every patient once, sorted, `splits` a position in `SPLITS` for each, `visit_types` every type.
    The workspace is a folder for temporary files, which hold patient data; without one all is kept in memory. How many
    codes are to come decides the number of shards, unless that is given; the result is the same.

    Examples:
        >>> import tempfile
        >>> from claim_transformers.claims.packing import EncodedCodes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train = np.zeros(1, np.int8)
        ...     assembler = SequenceAssembler(pa.array(["P1"]), train, ["OP"], Path(folder), num_codes=2)
        ...     here = np.zeros(2, np.int64)
        ...     codes = EncodedCodes.of("NDC", pa.array(["2", "1"]))
        ...     assembler.add(assembler.visits(here, here, here), assembler.codes.number(codes))
        ...     assembler.write(Path(folder), EligibilityRows.empty()).codes
        ...     assembler.close()
        2
    """

    def __init__(
        self,
        patient_ids: pa.Array,
        splits: Integers,
        visit_types: Sequence[str],
        workspace: Path | None,
        *,
        num_codes: int,
        shards: int | None = None,
    ) -> None:
        order = np.argsort(splits, kind="stable")
        self.patient_ids = patient_ids.take(pa.array(order))
        self._sorted_ids = patient_ids
        self._known_ids = pa.array([], pa.string()), np.full(1, -1, np.int32)
        self._places = np.empty(len(order) + 1, np.int32)
        self._places[order], self._places[-1] = np.arange(len(order)), -1
        self.visit_types = pa.array(sorted(visit_types), pa.string())
        self.codes = CodeNumbers()
        # Of service of each patient, of what was added so far.
        self.last_days = np.full(len(patient_ids), NULL_DAY, np.int32)
        self._split_ends = np.append(0, np.cumsum(np.bincount(splits, minlength=len(SPLITS))))
        num_shards = shards if shards is not None else math.ceil(num_codes / _KEYS_PER_SHARD)
        num_shards = max(1, min(num_shards, _MAX_SHARDS), math.ceil(len(patient_ids) / MAX_PATIENTS))
        self._shard_bits = max(0, math.ceil(len(patient_ids) / num_shards) - 1).bit_length()
        self._workspace = workspace
        self._spill = self._new_spill("keys")
        self._other_spills: dict[str, KeySpill] = {}
        self._marked_codes: dict[str, CodeNumbers] = {}
        self._num_added = self._num_without_visit = self._num_lost_amounts = 0
        self._last_shard: tuple[int, TimelineArrays] | None = None

    def close(self) -> None:
        """Close the temporary files; the caller removes their folder."""
        for spill in (self._spill, *self._other_spills.values()):
            spill.close()

    def positions(self, patient_ids: pa.Array) -> Integers:
        """Position of each patient, -1 where the id is null or not known."""
        positions, strings = dictionary_of(patient_ids)
        if not self._known_ids[0].equals(strings):
            self._known_ids = strings, np.append(self._places_of(strings), np.int32(-1))
        return self._known_ids[1].take(positions, mode="wrap")

    def _places_of(self, strings: pa.Array) -> Integers:
        """Position of distinct ids, -1 where an id is not known."""
        # Batches of sorted tables hold neighbours, so only these are hashed, and not all patients for every batch.
        bounds = pc.min_max(strings).as_py()
        start, stop = (
            side(range(len(self._sorted_ids)), bound, key=lambda place: self._sorted_ids[place].as_py())
            for side, bound in ((bisect_left, bounds["min"] or ""), (bisect_right, bounds["max"] or ""))
        )
        found = pc.index_in(strings, value_set=self._sorted_ids.slice(start, stop - start))
        places: Integers = self._places[pc.add(found, pa.scalar(start, pa.int32())).fill_null(-1).to_numpy()]
        return places

    def type_positions(self, visit_types: pa.Array) -> Integers:
        """Position of each type of visit, -1 where it is null."""
        positions, strings = dictionary_of(visit_types)
        found = pc.index_in(strings, value_set=self.visit_types).fill_null(-1).to_numpy()
        return np.append(found, np.int32(-1)).take(positions, mode="wrap")

    def visits(self, patients: Integers, days: Integers, visit_types: Integers) -> VisitKeys:
        """Pack the visits of rows, to which what the rows have is then added; none where one of the three is unknown.

        Raises:
            ClaimDataError: `E_KEY_RANGE`, if a day lies outside the years 1697 to 2412.
        """
        is_known = (patients >= 0) & (days != NULL_DAY) & (visit_types >= 0)
        columns = (patients & (MAX_PATIENTS - 1), days, visit_types)
        if is_known.all():
            return VisitKeys(pack_keys(*columns), patients, days)
        keys = np.full(len(patients), NO_VISIT)
        keys[is_known] = pack_keys(*(column[is_known] for column in columns))
        return VisitKeys(keys, patients, days)

    def add(self, visits: VisitKeys, codes: Integers, lengths: Integers | None = None) -> None:
        """Add codes, numbered by `self.codes` and -1 where null: one of each row, or as many as `lengths` says."""
        rows = np.flatnonzero(visits.is_known & ~visits.is_repeat)
        self.add_days(visits.patients.take(rows), visits.days.take(rows))
        keys, patients = visits.keys, visits.patients
        if lengths is not None:
            keys, patients = np.repeat(keys, lengths), np.repeat(patients, lengths)
        is_code = codes >= 0
        is_kept = is_code if visits.is_known.all() else is_code & (keys != NO_VISIT)
        num_kept = int(np.count_nonzero(is_kept))
        self._num_without_visit += int(np.count_nonzero(is_code)) - num_kept
        self._num_added += num_kept
        if num_kept < len(codes):
            keys, patients, codes = keys[is_kept], patients[is_kept], codes[is_kept]
        self._spill.append(keys | codes.astype(np.uint64), patients)

    def add_repeats(self, num_codes: int) -> None:
        """Count codes that stand on their visit already, and need not be added again."""
        self._num_added += num_codes

    def add_later(self, visits: VisitKeys, end_days: Integers, paid_days: Integers) -> None:
        """Add the ends and paid dates of claims; a visit has ended, and is paid, when the last claim behind it is.

        Days are `NULL_DAY` where unknown, and an end that never comes lies far ahead. A visit of which no end is told
        ends on its day. Without any paid date, the table has no paid days.
        """
        # Most claims end on the day on which they begin, which needs no key.
        end_days = np.where(end_days > visits.days, end_days, NULL_DAY)
        for name, later_days in ((_END, end_days), (_PAID, paid_days)):
            self._append(name, *pack_later(visits, later_days))

    def add_marked(self, name: str, visits: VisitKeys, numbers: Integers, codes: CodeNumbers) -> None:
        """Add codes that stand out on their visits, such as principal diagnoses; they become a column of their own.

        Their numbers are those of `codes`, which is the same for a whole column, and -1 where null. Without any, the
        patients table has no such column.
        """
        if (numbers >= 0).any():
            self._marked_codes[name] = codes
        is_repeat = visits.is_repeat.copy()
        is_repeat[1:] &= numbers[1:] == numbers[:-1]
        rows = np.flatnonzero(visits.is_known & (numbers >= 0) & ~is_repeat)
        self._append(name, visits.keys.take(rows) | numbers.take(rows).astype(np.uint64), visits.patients.take(rows))

    def add_amounts(self, visits: VisitKeys, cents: Cents) -> None:
        """Add amounts of claim lines as `cents_of` gives them; without any, the table has no columns of amounts."""
        rows = np.flatnonzero(visits.is_known & (cents != NULL_CENTS).any(axis=0))
        visits = visits.take(rows)
        starts = np.flatnonzero(~visits.is_repeat)
        self._append(_AMOUNTS, sum_runs(visits.keys, cents[:, rows], starts), visits.patients.take(starts))

    def _append(self, name: str, keys: Keys, patients: Integers) -> None:
        if len(keys):
            self._other_spill(name).append(keys, patients)

    def _other_spill(self, name: str) -> KeySpill:
        if name not in self._other_spills:
            self._other_spills[name] = self._new_spill(name)
        return self._other_spills[name]

    def _new_spill(self, name: str) -> KeySpill:
        return KeySpill(self._workspace and self._workspace / name, self._shard_bits, len(self.patient_ids))

    def add_days(self, patients: Integers, days: Integers) -> None:
        """Add days of service without codes, such as ends of claims, for the last day of the data."""
        is_known = patients >= 0
        raise_last_days(self.last_days, patients[is_known], days[is_known])

    @property
    def columns(self) -> set[str]:
        """Optional columns that the patients have, of what was added so far."""
        return self._marked_codes.keys() | ({_PAID, _AMOUNTS} & self._other_spills.keys())

    def expect(self, columns: Collection[str]) -> None:
        """Give the patients optional columns even if nothing is added to them, as other patients have them."""
        for name in sorted(columns):
            self._other_spill(name)
        for name in {*columns} - {_PAID, _AMOUNTS}:
            self._marked_codes.setdefault(name, CodeNumbers())

    def write(
        self,
        folder: Path,
        eligibility: EligibilityRows,
        *,
        extract_date: dt.date | None = None,
        last_day: int | None = None,
        is_known: "npt.NDArray[np.bool_] | bool" = False,
        progress: bool = False,
    ) -> PatientCounts:
        """Write all splits, `SPLIT-NNNNN.parquet`, one shard at a time.

        The day of the extract bounds the last day of the data, which is given where these are not all patients.
        `is_known` says whether a source tells when each patient was enrolled, so that no span is none and not unknown.
        """
        last_day = find_last_day(self.last_days, extract_date) if last_day is None else last_day
        last_ends = np.full(len(self.patient_ids), NULL_DAY, np.int32)
        raise_last_days(last_ends, eligibility.patients, eligibility.ends)
        enrollment = merge_eligibility(eligibility, len(self.patient_ids), last_day, is_known)
        names, nobody = self._names(), self._read_shard(0).slice(0, 0)
        is_eligible = np.zeros(len(self.patient_ids), dtype=bool)
        is_eligible[eligibility.patients] = True
        has_no_span = np.diff(enrollment.span_offsets) == 0
        is_written = np.zeros(len(self.patient_ids), dtype=bool)
        num_visits = num_codes = 0
        by_split: dict[str, int] = {}
        bar = tqdm(total=len(self.patient_ids), desc="patients", unit=" patients", disable=not progress)
        for split, start, end in zip(SPLITS, self._split_ends[:-1], self._split_ends[1:], strict=True):
            with PatientFiles(folder, split, enrollment, names, nobody) as files:
                for shard in range(start >> self._shard_bits, -(-end >> self._shard_bits)):
                    timelines = self._read_shard(shard)
                    first, stop = np.searchsorted(timelines.patients, [start, end])
                    part = timelines.slice(int(first), int(stop))
                    files.append(part)
                    num_visits += part.num_visits
                    num_codes += len(part.codes)
                    is_written[part.patients] = True
                    bar.update(part.num_patients)
            by_split[split] = files.num_patients
        bar.close()
        num_patients = sum(by_split.values())
        is_unknown = is_written & ~enrollment.is_known
        return PatientCounts(
            patients=num_patients,
            visits=num_visits,
            codes=num_codes,
            distinct_codes=len(names.codes),
            patients_by_split=by_split,
            patients_without_visits=len(self.patient_ids) - num_patients,
            patients_without_eligibility=int(np.count_nonzero(is_written & ~is_eligible)),
            patients_without_enrollment=int(np.count_nonzero(is_written & has_no_span & ~is_unknown)),
            patients_of_unknown_enrollment=int(np.count_nonzero(is_unknown)),
            repeated_codes=self._num_added - num_codes,
            codes_without_visit=self._num_without_visit,
            amounts_without_visit=self._num_lost_amounts,
            last_day=write_day(last_day),
            last_enrollment_day=write_day(find_last_day(last_ends, extract_date)),
        )

    def to_table(
        self,
        eligibility: EligibilityRows,
        *,
        extract_date: dt.date | None = None,
        is_known: "npt.NDArray[np.bool_] | bool" = False,
    ) -> pa.Table:
        """Give the rows that `write` would write, all splits one after the other, where there is one shard."""
        last_day = find_last_day(self.last_days, extract_date)
        enrollment = merge_eligibility(eligibility, len(self.patient_ids), last_day, is_known)
        return read_back(to_table(self._read_shard(0), enrollment, self._names()))

    def _names(self) -> PatientNames:
        marked = {name: numbers.ranked()[0] for name, numbers in self._marked_codes.items()}
        return PatientNames(self.patient_ids, self.visit_types, self.codes.ranked()[0], marked)

    def _read_shard(self, shard: int) -> TimelineArrays:
        """Sorted visits of a shard. The last one is kept, because a shard can end one split and begin the next."""
        if self._last_shard is None or self._last_shard[0] != shard:
            first_patient = (shard << self._shard_bits) // MAX_PATIENTS * MAX_PATIENTS
            timelines = unpack_keys(self._spill.read(shard), self.codes.ranked()[1], first_patient)
            visits = visit_keys_of(timelines, first_patient)
            if _END in self._other_spills:
                end_days = end_days_of(timelines, visits, self._other_spills[_END].read(shard))
                timelines = replace(timelines, visit_end_days=end_days)
            if _PAID in self._other_spills:
                paid_days = paid_days_of(timelines, visits, self._other_spills[_PAID].read(shard))
                timelines = replace(timelines, visit_paid_days=paid_days)
            if _AMOUNTS in self._other_spills:
                cents, lost = amounts_of(visits, self._other_spills[_AMOUNTS].read(shard))
                timelines = replace(timelines, visit_cents=cents)
                self._num_lost_amounts += lost
            marked = {
                name: marked_codes(visits, self._other_spills[name].read(shard), numbers.ranked()[1])
                for name, numbers in self._marked_codes.items()
            }
            timelines = replace(timelines, marked=marked)
            self._last_shard = shard, timelines
        return self._last_shard[1]
