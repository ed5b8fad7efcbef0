"""What claim lines and fills add to the patients table: the codes, ends, payments and amounts of their visits."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.assembly import SequenceAssembler
from claim_transformers.claims.enrollment import days_of
from claim_transformers.claims.known import STAY_TYPES, line_end_days
from claim_transformers.claims.listed_codes import ListedCodes
from claim_transformers.claims.packing import NULL_DAY, CodeNumbers, EncodedCodes, Integers, VisitKeys, dictionary_of
from claim_transformers.claims.patient_files import ADMITTING_CODES, PRINCIPAL_CODES
from claim_transformers.claims.visit_amounts import Cents, amount_columns, amount_days, cents_of, without_more
from claim_transformers.claims.visits import INPATIENT, PHARMACY, CodeColumn

_ENDS = {"discharge": "discharge_date", "claim_end": "claim_end_date", "line_start": "claim_line_start_date",
         "line_end": "claim_line_end_date"}  # fmt: skip
_HEADER_COLUMNS = {"patient_id", "claim_type", "claim_start_date", "admission_date", "paid_date", "diagnoses",
                   "admitting_diagnosis", *_ENDS.values()}  # fmt: skip
_PRINCIPAL_RANK = 1
_DRUG, _PRODUCT_LENGTH = "DRUG", 9


class ClaimLineEvents:
    """Add claim lines to an assembler, a batch at a time."""

    def __init__(self, assembler: SequenceAssembler, code_columns: Iterable[CodeColumn]) -> None:
        self._assembler = assembler
        self._code_columns = [code_column for code_column in code_columns if code_column.table == "claim_line"]
        self._dates = {one.date for one in self._code_columns if one.system and one.date}
        self._inpatient = assembler.visit_types.index(INPATIENT).as_py()
        # The last entry is that of an unknown type, at -1.
        self._is_stay = np.array([*(name in STAY_TYPES for name in assembler.visit_types.to_pylist()), False])
        # Principal diagnoses are numbered as codes, unless diagnoses are none.
        is_among_codes = any(code_column.column == "diagnoses" for code_column in self._code_columns)
        self._diagnoses, self._admitting = assembler.codes if is_among_codes else CodeNumbers(), CodeNumbers()

    def columns(self, names: Collection[str]) -> list[str]:
        """Those of the columns of a table that are looked at."""
        types = {one.other[0] for one in self._code_columns if one.other is not None}
        of_codes = {one.column for one in self._code_columns}
        return sorted({*_HEADER_COLUMNS, *of_codes, *self._dates, *types, *amount_columns(names)})

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the lines of a batch; strings may be dictionaries, and its metadata that of `EncodedFiles`."""
        assembler = self._assembler
        patients = assembler.positions(batch["patient_id"])
        visit_types = assembler.type_positions(batch["claim_type"])
        header_days, admission_days = days_of(batch["claim_start_date"]), days_of(batch["admission_date"])
        is_inpatient = visit_types == self._inpatient
        header_days = np.where(is_inpatient & (admission_days != NULL_DAY), admission_days, header_days)
        ends = {name: days_of(batch[column]) for name, column in _ENDS.items()}
        assembler.add_days(patients, np.maximum(ends["claim_end"], ends["discharge"]))
        lines = _Lines(
            assembler.visits(patients, header_days, visit_types),
            visit_types,
            line_end_days(self._is_stay.take(visit_types, mode="wrap"), is_inpatient, **ends),
            days_of(batch["paid_date"]),
            cents_of(batch),
        )
        assembler.add_later(lines.visits, lines.end_days, lines.paid_days)
        on_date: dict[str | None, VisitKeys] = {None: lines.visits}
        for date in sorted(self._dates):
            own_days = days_of(batch[date])
            on_date[date] = self._on_own_days(lines, np.where(own_days == NULL_DAY, header_days, own_days))
        self._add_admitting(batch["admitting_diagnosis"], lines.visits)
        diagnoses = ListedCodes.of(batch, "diagnoses", "rank")
        new = np.flatnonzero(~diagnoses.find_repeats(lines.visits.is_repeat))
        new_diagnoses = diagnoses.take(new)
        numbers = self._diagnoses.number(new_diagnoses.codes, "diagnoses")
        self._add_principal(new_diagnoses, lines.visits.take(new), numbers)
        stands_on = amount_days(diagnoses.lengths, header_days, np.where(is_inpatient, NULL_DAY, ends["line_start"]))
        assembler.add_amounts(self._visits_on(lines, stands_on), lines.cents)
        for code_column in self._code_columns:
            if code_column.system:
                codes = EncodedCodes.of(_system_of(code_column, batch), batch[code_column.column])
                assembler.add(on_date[code_column.date], assembler.codes.number(codes, code_column.name))
            elif code_column.date is None:
                assembler.add_repeats(diagnoses.num_codes - new_diagnoses.num_codes)
                assembler.add(lines.visits.take(new), numbers, new_diagnoses.lengths)
            else:
                listed = ListedCodes.of(batch, code_column.column, code_column.date)
                self._add_dated(code_column.name, listed, lines)

    def _visits_on(self, lines: "_Lines", days: Integers) -> VisitKeys:
        """Visits of lines on days of their own, which mostly are that of the header."""
        if np.array_equal(days, lines.visits.days):
            return lines.visits
        return self._assembler.visits(lines.visits.patients, days, lines.types)

    def _on_own_days(self, lines: "_Lines", days: Integers) -> VisitKeys:
        """Visits of lines on days of their own, where ends, payments and known amounts of their claims stand too."""
        visits = self._visits_on(lines, days)
        moved = np.flatnonzero(days != lines.visits.days)
        if len(moved):
            there, of_moved = visits.take(moved), lines.take(moved)
            self._assembler.add_later(there, of_moved.end_days, of_moved.paid_days)
            self._assembler.add_amounts(there, without_more(of_moved.cents))
        return visits

    def _add_admitting(self, admitting: pa.StructArray, visits: VisitKeys) -> None:
        """Add the admitting diagnosis of each line, which stands on the header date."""
        if admitting.null_count < len(admitting):
            system, code = (pc.struct_field(admitting, name) for name in ("system", "code"))
            numbers = self._admitting.number(EncodedCodes.of(system, code))
            self._assembler.add_marked(ADMITTING_CODES.name, visits, numbers, self._admitting)

    def _add_principal(self, diagnoses: ListedCodes, visits: VisitKeys, numbers: Integers) -> None:
        """Add the principal diagnosis of each line, which stands on the header date."""
        if diagnoses.field is not None:
            places = np.flatnonzero(diagnoses.field == _PRINCIPAL_RANK)
            lines = np.searchsorted(np.cumsum(diagnoses.lengths), places, "right")
            self._assembler.add_marked(PRINCIPAL_CODES.name, visits.take(lines), numbers.take(places), self._diagnoses)

    def _add_dated(self, name: str, lists: ListedCodes, lines: "_Lines") -> None:
        """Add the codes of a list column, procedures, which stand on a date of their own or on the header date."""
        is_same = lines.visits.is_repeat.copy()
        if lists.field is not None:
            for column in (lines.end_days, lines.paid_days, *without_more(lines.cents)):
                is_same[1:] &= column[1:] == column[:-1]
        new = np.flatnonzero(~lists.find_repeats(is_same))
        listed = lists.take(new)
        self._assembler.add_repeats(lists.num_codes - listed.num_codes)
        codes = self._assembler.codes.number(listed.codes, name)
        if listed.field is None:
            self._assembler.add(lines.visits.take(new), codes, listed.lengths)
            return
        lines = lines.take(np.repeat(new, listed.lengths))
        days = np.where(listed.field == NULL_DAY, lines.visits.days, listed.field)
        self._assembler.add(self._on_own_days(lines, days), codes)


@dataclass(frozen=True)
class _Lines:
    """Claim lines of a batch: their visits on the header date and what is told of these."""

    visits: VisitKeys
    types: Integers
    end_days: Integers
    paid_days: Integers
    cents: Cents

    def take(self, rows: Integers) -> "_Lines":
        days = self.end_days.take(rows), self.paid_days.take(rows)
        return _Lines(self.visits.take(rows), self.types.take(rows), *days, self.cents[:, rows])


def _system_of(code_column: CodeColumn, batch: pa.RecordBatch) -> str | pa.Array:
    """System of all codes of a plain column, or of each where another column names two."""
    system = code_column.system or ""
    if code_column.other is None:
        return system
    column, value, other = code_column.other
    positions, values = dictionary_of(batch[column])
    is_other = pa.array(positions == values.index(value).as_py()) if value in values.to_pylist() else None
    return system if is_other is None else pc.if_else(is_other, other, system)


class RxClaimEvents:
    """Add fills to an assembler, a batch at a time, with the ingredients of drugs that are named."""

    def __init__(
        self, assembler: SequenceAssembler, code_columns: Iterable[CodeColumn], drug_names: Mapping[str, str]
    ) -> None:
        self._assembler, self._drug_names = assembler, drug_names
        self._code_columns = [
            (one.name, one.system, one.column, one.date)
            for one in code_columns
            if one.table == "rx_claim" and one.system is not None and one.date is not None
        ]

    def columns(self, names: Collection[str]) -> list[str]:
        """Those of the columns of a table that are looked at."""
        of_codes = {name for _, _, column, date in self._code_columns for name in (column, date)}
        return sorted({"patient_id", "paid_date", *of_codes, *amount_columns(names)})

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the fills of a batch; strings may be dictionaries."""
        visit_types = np.full(batch.num_rows, self._assembler.visit_types.index(PHARMACY).as_py(), np.int8)
        patients = self._assembler.positions(batch["patient_id"])
        for name, system, column, date in self._code_columns:
            days = days_of(batch[date])
            visits = self._assembler.visits(patients, days, visit_types)
            codes = _named_drugs(system, batch[column], self._drug_names)
            self._assembler.add(visits, self._assembler.codes.number(codes, name))
            self._assembler.add_later(visits, days, days_of(batch["paid_date"]))
            self._assembler.add_amounts(visits, cents_of(batch))


def _named_drugs(system: str, codes: pa.Array, names: Mapping[str, str]) -> EncodedCodes:
    """System and code of each fill: the ingredient of a drug that is named, else what it is."""
    if not names:
        return EncodedCodes.of(system, codes)
    positions, distinct = dictionary_of(codes)
    products = [None if code is None else names.get(code[:_PRODUCT_LENGTH]) for code in distinct.to_pylist()]
    named = pa.array([*products, None], pa.string()).take(pa.array(positions % (len(products) + 1)))
    systems = pc.if_else(named.is_valid(), _DRUG, system)
    return EncodedCodes.of(systems, pc.coalesce(named, codes.cast(pa.string())))
