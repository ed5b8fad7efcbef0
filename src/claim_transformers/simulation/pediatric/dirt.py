"""Faults that real claims have, planted in known numbers, so that quality checks can be held to an exact count.

Each claim, fill or span carries at most one fault. Most rows stay as they are and are only rendered as text; the few
that are touched pass through Python one by one, which the share of dirt keeps cheap.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.block_tables import BlockTables

_Row = dict[str, Any]
_Days = dict[str, dt.date]
_Fault = Callable[[list[_Row], _Days, np.random.Generator], list[_Row]]

_SENTINELS = ("9999-12-31", "00000000", "1900-01-01")
_IMPOSSIBLE_DATE = "2011-02-30"
_BLANK_IDS = (None, "", "   ")
# What a spreadsheet makes of a code that looks like a number.
_DAMAGED_CODES = ("4.93E+04", "1E10", "7.8E+02")
_CLAIM_DATES = ("claim_start_date", "claim_end_date", "claim_line_start_date", "claim_line_end_date")
_SERVICE_DATES = (*_CLAIM_DATES, "dispensing_date")
_AMOUNTS = ("paid_amount", "allowed_amount", "charge_amount")
_VOID_LAG_DAYS = 30
_DAYS_BEFORE_BIRTH = 40


@dataclass(frozen=True)
class DirtRates:
    """Share of claims, fills or spans that carry each fault.

    Args:
        exact_duplicate (`float`): A line, fill or span that appears twice.
        reversal (`float`): A claim or fill followed by a copy with negative amounts.
        sentinel_date (`float`): A date that stands for none, such as 9999-12-31.
        impossible_date (`float`): February 30.
        missing_patient_id (`float`): No identifier, or a blank one.
        code_form (`float`): Harmless: a diagnosis with dot, lower case and blanks.
        damaged_code (`float`): A diagnosis turned into a number by a spreadsheet.
        ndc_form (`float`): Harmless: an NDC with hyphens.
        ndc_10_digits (`float`): An NDC with ten bare digits.
        discharge_before_admission (`float`): Share of stays whose discharge comes first.
        before_birth (`float`): A service before the patient is born.
        claim_shared (`float`): One claim number on the claims of two patients.
        overlapping_enrollment (`float`): A span repeated in part.

    Raises:
        ValueError: If a rate is not between 0 and 0.05.

    Examples:
        >>> DirtRates(reversal=0.0).reversal
        0.0
        >>> DirtRates(reversal=0.2)
        Traceback (most recent call last):
        ValueError: expected a rate of reversal from 0 to 0.05, found 0.2
    """

    exact_duplicate: float = 0.004
    reversal: float = 0.003
    sentinel_date: float = 0.001
    impossible_date: float = 0.0005
    missing_patient_id: float = 0.001
    code_form: float = 0.02
    damaged_code: float = 0.001
    ndc_form: float = 0.01
    ndc_10_digits: float = 0.001
    discharge_before_admission: float = 0.01
    before_birth: float = 0.0005
    claim_shared: float = 0.0004
    overlapping_enrollment: float = 0.01

    def __post_init__(self) -> None:
        for item in fields(self):
            rate = getattr(self, item.name)
            if not 0 <= rate <= 0.05:
                raise ValueError(f"expected a rate of {item.name} from 0 to 0.05, found {rate}")


_MEDICAL = (
    "exact_duplicate", "reversal", "sentinel_date", "impossible_date", "missing_patient_id", "code_form",
    "damaged_code", "before_birth", "claim_shared",
)  # fmt: skip
_PHARMACY = (
    "exact_duplicate", "reversal", "sentinel_date", "impossible_date", "missing_patient_id", "ndc_form",
    "ndc_10_digits", "before_birth",
)  # fmt: skip
_ELIGIBILITY = ("exact_duplicate", "overlapping_enrollment")


def plant_dirt(
    tables: BlockTables, rates: DirtRates, generator: np.random.Generator
) -> tuple[BlockTables, dict[str, int]]:
    """Render a block as text and plant faults in it."""
    births = dict(zip(*(tables.eligibility[name].to_pylist() for name in ("person_id", "birth_date")), strict=True))
    counts: dict[str, int] = {}
    medical = _plant(tables.medical_claim, "medical_claim", _MEDICAL, rates, births, counts, generator)
    pharmacy = _plant(tables.pharmacy_claim, "pharmacy_claim", _PHARMACY, rates, births, counts, generator)
    spans = _plant(tables.eligibility, "eligibility", _ELIGIBILITY, rates, births, counts, generator)
    return BlockTables(medical, pharmacy, spans, tables.true_risk), counts


def _as_text(table: pa.Table) -> pa.Table:
    """Render every column as strings, as a delimited file would hold them."""
    return pa.Table.from_arrays([column.cast(pa.string()) for column in table.columns], names=table.column_names)


def _plant(
    table: pa.Table,
    name: str,
    kinds: tuple[str, ...],
    rates: DirtRates,
    births: _Days,
    counts: dict[str, int],
    generator: np.random.Generator,
) -> pa.Table:
    """Plant the faults of one table; rows of a claim stay together."""
    for kind in kinds:
        counts.setdefault(f"{name}.{kind}", 0)
    text = _as_text(table)
    if not len(table):
        return text
    numbers = (
        table["claim_line_number"].to_numpy() if "claim_line_number" in table.column_names else np.ones(len(table))
    )
    first = np.flatnonzero(numbers == 1)
    chosen = _choose(table, first, kinds, rates, generator)
    if name == "medical_claim":
        counts.setdefault(f"{name}.discharge_before_admission", 0)
    ends = np.append(first[1:], len(table))
    changed: list[_Row] = []
    positions: list[int] = []
    touched = np.zeros(len(table), dtype=np.bool_)
    partner: list[_Row] = []
    for claim in np.flatnonzero(chosen != ""):
        kind = str(chosen[claim])
        rows = text.slice(first[claim], ends[claim] - first[claim]).to_pylist()
        touched[first[claim] : ends[claim]] = True
        faulty = _share(rows, partner) if kind == "claim_shared" else _FAULTS[kind](rows, births, generator)
        # Rows that came in addition count, or else all of them, which were changed.
        counts[f"{name}.{kind}"] += len(faulty) - len(rows) or len(rows)
        changed += faulty
        positions += [int(first[claim])] * len(faulty)
    clean = text.filter(pa.array(~touched))
    dirty = pa.Table.from_pylist(changed, schema=text.schema)
    order = np.argsort(np.concatenate([np.flatnonzero(~touched), np.array(positions, dtype=np.int64)]), kind="stable")
    return pa.concat_tables([clean, dirty]).take(pa.array(order))


def _choose(
    table: pa.Table,
    first: np.ndarray[Any, np.dtype[np.int64]],
    kinds: tuple[str, ...],
    rates: DirtRates,
    generator: np.random.Generator,
) -> np.ndarray[Any, np.dtype[np.str_]]:
    """One fault, or none, per claim."""
    steps = np.cumsum([getattr(rates, kind) for kind in kinds])
    chosen = np.array([*kinds, ""])[np.searchsorted(steps, generator.random(len(first)), side="right")]
    if "claim_shared" in kinds:
        stays = np.isin(table["claim_type"].cast(pa.string()).to_numpy(zero_copy_only=False)[first], ["IP"])
        turned = generator.random(len(first)) < rates.discharge_before_admission
        chosen = chosen.astype("<U32")
        chosen[stays & turned & (chosen == "")] = "discharge_before_admission"
        shared = np.flatnonzero(chosen == "claim_shared")
        patients = table["person_id"].combine_chunks().indices.to_numpy()[first[shared]]
        pairs = [
            (shared[at], shared[at + 1]) for at in range(0, len(shared) - 1, 2) if patients[at] != patients[at + 1]
        ]
        chosen[shared] = ""
        chosen[np.array(pairs, dtype=np.int64).ravel()] = "claim_shared"
    return chosen


def _share(rows: list[_Row], partner: list[_Row]) -> list[_Row]:
    """Give every second claim the number of the one before it."""
    if not partner:
        partner.append(rows[0])
        return rows
    number = partner.pop()["claim_id"]
    return [row | {"claim_id": number} for row in rows]


def _duplicate(rows: list[_Row], births: _Days, generator: np.random.Generator) -> list[_Row]:
    """Repeat the first line."""
    return [rows[0], *rows]


def _reverse(rows: list[_Row], births: _Days, generator: np.random.Generator) -> list[_Row]:
    """Void a claim: the same lines, negative amounts, paid later."""
    voids = []
    for row in rows:
        later = dt.date.fromisoformat(row["paid_date"]) + dt.timedelta(days=_VOID_LAG_DAYS)
        negative = {column: f"-{row[column]}" for column in _AMOUNTS if column in row}
        voids.append(row | negative | {"paid_date": later.isoformat()})
    return rows + voids


def _set(columns: tuple[str, ...], *values: Any) -> _Fault:
    """A fault that sets the columns that the rows have to one of some values."""

    def fault(rows: list[_Row], births: _Days, generator: np.random.Generator) -> list[_Row]:
        value = values[int(generator.integers(len(values)))]
        return [row | {column: value for column in columns if column in row} for row in rows]

    return fault


def _rewrite(column: str, restyle: Callable[[_Row], str]) -> _Fault:
    """A fault that writes a code of the first row otherwise, in all rows."""
    return lambda rows, births, generator: _set((column,), restyle(rows[0]))(rows, births, generator)


def _dotted(row: _Row) -> str:
    """First diagnosis as a clinician writes it: dot, lower case, blanks."""
    code = row["diagnosis_code_1"]
    # An E code is an external cause in ICD-9 alone.
    whole = 4 if code.startswith("E") and row["diagnosis_code_type"] == "icd-9-cm" else 3
    dotted = f"{code[:whole]}.{code[whole:]}" if len(code) > whole else code
    return f" {dotted.lower()} "


def _hyphened(ndc: str) -> str:
    """NDC in its segments: labeler, product and package."""
    return f"{ndc[:5]}-{ndc[5:9]}-{ndc[9:]}"


def _turn(rows: list[_Row], births: _Days, generator: np.random.Generator) -> list[_Row]:
    """Discharge two days before admission."""
    discharge = dt.date.fromisoformat(rows[0]["admission_date"]) - dt.timedelta(days=2)
    return [row | {"discharge_date": discharge.isoformat()} for row in rows]


def _unborn(rows: list[_Row], births: _Days, generator: np.random.Generator) -> list[_Row]:
    """Services before birth."""
    day = (births[rows[0]["person_id"]] - dt.timedelta(days=_DAYS_BEFORE_BIRTH)).isoformat()
    dated = _set(_SERVICE_DATES, day)(rows, births, generator)
    stays = ("admission_date", "discharge_date", "procedure_date_1", "procedure_date_2")
    return [row | {column: day for column in stays if row.get(column)} for row in dated]


def _overlap(rows: list[_Row], births: _Days, generator: np.random.Generator) -> list[_Row]:
    """Span that begins again before it ends."""
    start = dt.date.fromisoformat(rows[0]["enrollment_start_date"])
    end = dt.date.fromisoformat(rows[0]["enrollment_end_date"])
    middle = (start + (end - start) // 2).isoformat()
    return [rows[0], rows[0] | {"enrollment_start_date": middle}]


_FAULTS: dict[str, _Fault] = {
    "exact_duplicate": _duplicate,
    "reversal": _reverse,
    "sentinel_date": _set(_SERVICE_DATES, *_SENTINELS),
    "impossible_date": _set(_SERVICE_DATES, _IMPOSSIBLE_DATE),
    "missing_patient_id": _set(("person_id",), *_BLANK_IDS),
    "code_form": _rewrite("diagnosis_code_1", _dotted),
    "damaged_code": _set(("diagnosis_code_1",), *_DAMAGED_CODES),
    "ndc_form": _rewrite("ndc_code", lambda row: _hyphened(row["ndc_code"])),
    # Segments 5-3-2 without hyphens, which no rule can pad for certain.
    "ndc_10_digits": _rewrite("ndc_code", lambda row: row["ndc_code"][:5] + row["ndc_code"][6:]),
    "discharge_before_admission": _turn,
    "before_birth": _unborn,
    "overlapping_enrollment": _overlap,
}
