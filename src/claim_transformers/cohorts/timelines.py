"""Timelines of patients as flat arrays, so that a question about every visit is one vector operation.

A cohort asks about the order of visits inside a patient, which is segment arithmetic on sorted arrays and not a
relational query; numpy answers it on the list columns as they lie in memory.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.claims.known import STAY_TYPES, known_on
from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.claims.patient_files import ADMITTING_CODES, OPTIONAL_FIELDS, PATIENTS_SCHEMA, PRINCIPAL_CODES
from claim_transformers.claims.store import open_folder
from claim_transformers.claims.visit_amounts import AMOUNT_FIELDS
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.code_sets import find_codes
from claim_transformers.cohorts.definition import Enrolment

UNKNOWN_DAY = np.iinfo(np.int32).min
_FAR_DAY = np.iinfo(np.int32).max
_MOST_DAYS = 1 << 24  # more than lie between any two dates
_VISIT_END_DAY = "visit_end_day"
_DEFAULT_ENROLMENT = Enrolment()

Days = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Of one visit, without the dictionaries in which strings may have been read.
_VALUE_TYPES = {
    field.name: field.type.value_type
    for field in (*PATIENTS_SCHEMA, *OPTIONAL_FIELDS, *AMOUNT_FIELDS.values())
    if pa.types.is_list(field.type) and not field.name.startswith("enrollment")
}


class Timelines:
    """The timelines of a table of patients, one flat array per fact.

    Optional fields of the patients table may be absent; without `visit_end_day` each visit ends on its day. With
    `hide_unpaid` a visit is known only once it is paid. `interim_bills` are claims whose stay goes on the day after.
    """

    def __init__(
        self,
        patients: pa.Table,
        *,
        hide_unpaid: bool = False,
        enrolment: Enrolment = _DEFAULT_ENROLMENT,
        interim_bills: pa.Table | None = None,
    ) -> None:
        self.patients = _one_chunk(patients)
        self.num_patients = patients.num_rows
        days = _flat(self.patients["visit_day"])
        self.visit_start = _offsets(self.patients["visit_day"])
        self.visit_day = days.to_numpy(zero_copy_only=False).astype(np.int64)
        self.patient_of_visit = np.repeat(np.arange(self.num_patients), np.diff(self.visit_start))
        self.enrolment = enrolment
        self._interim_bills = interim_bills
        self.hides_unpaid = hide_unpaid and VISIT_PAID_DAY.name in patients.column_names
        self._marks: dict[tuple[tuple[str, ...], tuple[str, ...], bool], Flags] = {}
        self._columns: dict[str, tuple[pa.DictionaryArray, NDArray[np.int64]]] = {}

    @cached_property
    def birth_day(self) -> Days:
        """Days since 1970-01-01, shape `(patients,)`; `UNKNOWN_DAY` where unknown."""
        return self._day("birth_day")

    @cached_property
    def death_day(self) -> Days:
        """Days since 1970-01-01, shape `(patients,)`; `UNKNOWN_DAY` while alive."""
        return self._day("death_day")

    @cached_property
    def paid_day(self) -> Days:
        """Day on which each visit was paid, shape `(visits,)`; `UNKNOWN_DAY` where that is not known."""
        if VISIT_PAID_DAY.name not in self.patients.column_names:
            return np.full(len(self.visit_day), UNKNOWN_DAY, np.int64)
        return _day_numbers(_flat(self.patients[VISIT_PAID_DAY.name]))

    @cached_property
    def end_day(self) -> Days:
        """Last day of the claims behind each visit, shape `(visits,)`; `UNKNOWN_DAY` where a stay has no end."""
        if _VISIT_END_DAY not in self.patients.column_names:
            ends: Days = self.visit_day
            return ends
        return _day_numbers(_flat(self.patients[_VISIT_END_DAY]))

    def visits_with(
        self, code_entries: Sequence[str], visit_types: Sequence[str], *, principal: bool = False
    ) -> Flags:
        """Which visits carry a code of the set and a claim type, shape `(visits,)`; an empty list asks for nothing.

        With `principal` the code is the principal diagnosis; `ClaimDataError` if the claims do not tell it.
        """
        asked = tuple(code_entries), tuple(visit_types), principal
        if asked not in self._marks:
            found = np.ones(len(self.visit_day), bool)
            if visit_types:
                types = _flat(self.patients["visit_type"])
                wanted = pa.array(list(visit_types), pa.string())
                found &= pc.is_in(types, value_set=wanted).to_numpy(zero_copy_only=False)
            if code_entries:
                codes = self._codes_of(PRINCIPAL_CODES.name if principal else "codes")
                found &= _holding(codes, find_codes(codes[0].dictionary, code_entries))
            self._marks[asked] = found
        return self._marks[asked]

    def amounts(self, name: str) -> NDArray[np.float64]:
        """US dollars of each visit, shape `(visits,)`, NaN where unknown; `name` is that of canonical tables."""
        column = AMOUNT_FIELDS[name].name
        if column not in self.patients.column_names:
            raise ClaimDataError(
                "E_COLUMN",
                f"expected {column} in the patients of the claims, found none: no claim line has an {name}; ask for "
                "the other amount (outcome.amount), or ingest claims with amounts again",
            )
        dollars: NDArray[np.float64] = pc.fill_null(_flat(self.patients[column]), np.nan).to_numpy(
            zero_copy_only=False
        )
        return dollars

    @property
    def code_names(self) -> pa.Array:
        """The distinct codes of all visits."""
        return self._codes_of("codes")[0].dictionary

    def visits_holding(self, is_wanted: Flags) -> Flags:
        """Which visits carry one of the marked codes, shape `(visits,)`; the marks follow `code_names`."""
        return _holding(self._codes_of("codes"), is_wanted)

    def numbers_held(self, number_of_code: NDArray[np.int64], visits: Flags) -> tuple[Days, Days]:
        """The different numbers of the codes on the marked visits: patient and number of each pair, sorted.

        `number_of_code` has a number for each of `code_names`, -1 for none.
        """
        encoded, code_start = self._codes_of("codes")
        marked = np.repeat(visits, np.diff(code_start))
        owner = np.repeat(self.patient_of_visit, np.diff(code_start))[marked]
        numbers = number_of_code[encoded.indices.to_numpy(zero_copy_only=False)[marked]]
        # One integer per pair, in base `width`, so that one sort finds the distinct pairs by patient and number.
        width = int(number_of_code.max(initial=0)) + 1
        pairs = np.unique((owner * width + numbers)[numbers >= 0])
        return pairs // width, pairs % width

    def count(self, visits: Flags) -> Days:
        """How many of the marked visits each patient has, shape `(patients,)`."""
        return np.bincount(self.patient_of_visit[visits], minlength=self.num_patients)

    def in_window(self, first_day: Days, end_day: Days) -> Flags:
        """Which visits lie in `[first_day, end_day)` of their patient; the days have shape `(patients,)`."""
        owner = self.patient_of_visit
        inside: Flags = (self.visit_day >= first_day[owner]) & (self.visit_day < end_day[owner])
        return inside

    def known_before(self, index_day: Days) -> tuple[Flags, Flags]:
        """Which visits are known whole at the index date of their patient, and which are open stays' admissions.

        See `claims.known`. Of the visits of an open stay, those on the days of its procedures among them, the first
        is its admission.
        """
        whole, admitted = known_on(
            index_day[self.patient_of_visit],
            self.visit_day,
            self.end_day,
            self.paid_day,
            has_end=self.end_day != UNKNOWN_DAY,
            has_paid=self.paid_day != UNKNOWN_DAY,
            is_stay=self.visits_with([], STAY_TYPES),
            hides_unpaid=self.hides_unpaid,
        )
        visits = np.flatnonzero(admitted)
        admissions = np.zeros(len(whole), bool)
        admissions[visits[np.unique(self._by_type(visits), return_index=True)[1]]] = True
        return whole, admissions

    @cached_property
    def begin_day(self) -> Days:
        """First day of the stay that each visit is of, shape `(visits,)`; what is no stay begins on its own day.

        Visits of a type that overlap are of one stay: the days of its services, and bills that overlap, begin on the
        last day of the one before, or follow an interim bill on the day after, as in `claims.stays`.
        """
        visits = np.flatnonzero(self.visits_with([], STAY_TYPES))
        groups = self._by_type(visits)
        # By patient and type, still in the order of days; days of a later group are beyond all of an earlier one.
        order = np.argsort(groups, kind="stable")
        visits, shift = visits[order], groups[order] * _MOST_DAYS
        days = self.visit_day[visits]
        open_until = np.maximum(self.end_day[visits] + self._is_interim(visits, groups[order]), days)
        ends = np.maximum.accumulate(open_until + shift)
        is_first = np.ones(len(visits), bool)
        is_first[1:] = (days + shift)[1:] > ends[:-1]
        begin: Days = self.visit_day.copy()
        begin[visits] = days[np.maximum.accumulate(np.where(is_first, np.arange(len(visits)), 0))]
        return begin

    def _by_type(self, visits: Days) -> Days:
        """A number for the patient and the type of stay of some visits."""
        types = _flat(self.patients["visit_type"]).take(pa.array(visits)).cast(pa.string())
        return _group_numbers(self.patient_of_visit[visits], types)

    def _is_interim(self, visits: Days, groups: Days) -> Flags:
        """Which of some visits, of these groups, end with an interim bill."""
        if self._interim_bills is None:
            return np.zeros(len(visits), bool)
        patients = pc.index_in(self._interim_bills["patient_id"], value_set=self.patients["patient_id"])
        bills = self._interim_bills.append_column("patient", patients).drop_null()
        owners = bills["patient"].to_numpy().astype(np.int64)
        of_bills = _group_numbers(owners, bills["visit_type"]) * _MOST_DAYS + bills["end_day"].to_numpy()
        return np.isin(groups * _MOST_DAYS + self.end_day[visits], of_bills)

    def covered(self, first_day: Days, last_day: Days) -> Flags:
        """Which patients one enrolment span covers from `first_day` to `last_day`.

        Spans are merged when claims are ingested, so a covered window lies inside a single one.
        """
        return self.enrolled_until(first_day) >= last_day

    def enrolled_until(self, day: Days) -> Days:
        """Last day of the enrolment span around a day of each patient.

        `UNKNOWN_DAY` where no span holds the day, `_FAR_DAY` for who counts as insured without a span.
        """
        starts, ends, owner = self._spans
        holds = (starts <= day[owner]) & (ends >= day[owner])
        unknown, none = self.without_span
        verdicts = ((unknown, self.enrolment.unknown), (none, self.enrolment.none))
        is_insured = np.any([marks for marks, verdict in verdicts if verdict == "insured"] or [none & False], axis=0)
        until = np.where(is_insured, np.int64(_FAR_DAY), np.int64(UNKNOWN_DAY))
        np.maximum.at(until, owner[holds], ends[holds])
        return until

    @cached_property
    def without_span(self) -> tuple[Flags, Flags]:
        """Whose enrolment is unknown, a null list, and who has none, an empty list; each of shape `(patients,)`."""
        spans = self.patients["enrollment_start_day"].combine_chunks()
        unknown: Flags = spans.is_null().to_numpy(zero_copy_only=False)
        return unknown, ~unknown & (np.diff(_offsets(spans)) == 0)

    def without_enrolment(self) -> dict[str, Flags]:
        """Patients whom the cohort excludes because no span of enrolment is known, by the reason."""
        unknown, none = self.without_span
        reasons = {
            "enrolment unknown": (unknown, self.enrolment.unknown),
            "without any enrolment": (none, self.enrolment.none),
        }
        return {reason: marks for reason, (marks, verdict) in reasons.items() if verdict == "excluded"}

    def before(self, keep: Flags, index_day: Days) -> pa.Table:
        """The kept patients with nothing but what is known of their visits at their index dates.

        The columns are those of the patients table and `index_day`. A stay that is open has no end, no amount, and no
        codes but its admitting diagnosis, where that is known. Enrolment and payments after the index date and the
        day of death are removed as well: they are known later.
        """
        whole, admissions = self.known_before(index_day)
        seen = (whole | admissions) & keep[self.patient_of_visit]
        rows = np.flatnonzero(keep)
        visits = np.flatnonzero(seen)
        # Visits lie by patient and so do rows, so the visits that are taken follow each other as the rows do.
        offsets = np.concatenate([[0], np.cumsum(self.count(seen)[rows])]).astype(np.int32)
        columns = {name: self.patients[name].take(pa.array(rows)) for name in ("patient_id", "sex", "birth_day")}
        is_whole = whole[visits]
        limit = index_day[self.patient_of_visit[visits]]
        later = {_VISIT_END_DAY: is_whole, VISIT_PAID_DAY.name: self.paid_day[visits] <= limit}
        later |= {field.name: is_whole for field in AMOUNT_FIELDS.values()}
        lists = {
            name: _flat(self.patients[name]).take(pa.array(visits)).cast(kind)
            for name, kind in _VALUE_TYPES.items()
            if name in self.patients.column_names
        }
        nothing = pa.ListArray.from_arrays(pa.array(np.zeros(len(visits) + 1, np.int32)), pa.array([], pa.string()))
        lists["codes"] = _either(is_whole, lists["codes"], lists.get(ADMITTING_CODES.name, nothing))
        if PRINCIPAL_CODES.name in lists:
            lists[PRINCIPAL_CODES.name] = _either(is_whole, lists[PRINCIPAL_CODES.name], nothing)
        for name in later.keys() & lists.keys():
            lists[name] = pc.if_else(pa.array(later[name]), lists[name], None)
        columns.update({name: pa.ListArray.from_arrays(pa.array(offsets), values) for name, values in lists.items()})
        columns.update(self._known_enrolment(rows, index_day))
        columns["index_day"] = pa.array(index_day[rows], pa.int32())
        return pa.table(columns)

    def _known_enrolment(self, rows: Days, index_day: Days) -> dict[str, pa.Array]:
        starts, ends, owner = self._spans
        kept = np.zeros(self.num_patients, bool)
        kept[rows] = True
        begun = (starts <= index_day[owner]) & kept[owner]
        counts = np.bincount(owner[begun], minlength=self.num_patients)[rows]
        new_offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        known_ends = np.minimum(ends[begun], index_day[owner[begun]])
        unknown = pa.array(self.without_span[0][rows])
        return {
            f"enrollment_{end}_day": pa.ListArray.from_arrays(new_offsets, pa.array(days, pa.int32()), mask=unknown)
            for end, days in (("start", starts[begun]), ("end", known_ends))
        }

    @cached_property
    def _spans(self) -> tuple[Days, Days, Days]:
        """First and last days of all spans, and the patient of each."""
        starts = _flat(self.patients["enrollment_start_day"]).to_numpy(zero_copy_only=False).astype(np.int64)
        ends = _flat(self.patients["enrollment_end_day"]).to_numpy(zero_copy_only=False).astype(np.int64)
        counts = np.diff(_offsets(self.patients["enrollment_start_day"]))
        return starts, ends, np.repeat(np.arange(self.num_patients), counts)

    def _codes_of(self, column: str) -> tuple[pa.DictionaryArray, NDArray[np.int64]]:
        """The codes of all visits and the offsets of each visit into them."""
        if column not in self._columns:
            if column not in self.patients.column_names:
                raise ClaimDataError(
                    "E_COLUMN",
                    f"expected {column} in the patients of the claims, found none: the source does not say which "
                    "diagnosis is the principal one, so leave principal out of the cohort file",
                )
            visits = _flat(self.patients[column])
            codes = visits.flatten()
            encoded = codes if pa.types.is_dictionary(codes.type) else pc.dictionary_encode(codes)
            self._columns[column] = encoded, _offsets(visits)
        return self._columns[column]

    def _day(self, column: str) -> Days:
        return _day_numbers(self.patients[column].combine_chunks())


def patient_files(claims: str | Path) -> list[Path]:
    """Files of the patients table of an ingested folder; `E_NO_PATIENTS` where there are none."""
    files = open_folder(claims).table_files("patients")
    if not files:
        raise ClaimDataError(
            "E_NO_PATIENTS",
            f"expected patients/*.parquet in {claims}, found none: nobody has a visit, so no claims were ingested, or "
            "all are in quarantine; see quality_report.json there",
        )
    return files


def _group_numbers(patients: Days, types: pa.Array) -> Days:
    """A number for a patient and a type of stay."""
    numbers = pc.index_in(types, value_set=pa.array(STAY_TYPES, pa.string())).to_numpy(zero_copy_only=False)
    of_both: Days = patients * len(STAY_TYPES) + numbers
    return of_both


def _one_chunk(patients: pa.Table) -> pa.Table:
    """The same table in one chunk; dictionaries within lists, which Arrow 26 does not unify, become strings."""
    for place, name in enumerate(patients.column_names):
        if name in _VALUE_TYPES and not name.endswith("_day") and patients[name].num_chunks > 1:
            patients = patients.set_column(place, name, patients[name].cast(pa.list_(_VALUE_TYPES[name])))
    return patients.combine_chunks()


def _day_numbers(days: pa.Array) -> Days:
    numbers: Days = pc.fill_null(days, UNKNOWN_DAY).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def _either(is_first: Flags, first: pa.Array, second: pa.Array) -> pa.Array:
    """Lists out of the first array where flagged, else out of the second."""
    place = np.arange(len(is_first)) + np.where(is_first, 0, len(is_first))
    return pa.concat_arrays([first, second]).take(pa.array(place))


def _holding(codes: tuple[pa.DictionaryArray, NDArray[np.int64]], is_wanted: Flags) -> Flags:
    encoded, code_start = codes
    # Visit v holds the codes from code_start[v] up to code_start[v + 1], so the difference of the running counts
    # at the two is its number of hits.
    hits = np.append(is_wanted, False)[encoded.indices.to_numpy(zero_copy_only=False)]
    running = np.concatenate([[0], np.cumsum(hits)])
    holds: Flags = (running[code_start[1:]] - running[code_start[:-1]]) > 0
    return holds


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array.flatten()


def _offsets(column: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
    """Offsets of a list column into its flattened values, counted from zero also for a slice."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
