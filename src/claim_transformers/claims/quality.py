"""Quality checks on raw rows: each names its fault, says what it means and gives the expression that finds it.

A reason code keeps its verdict in its first letter: `E` fail the run, `R` quarantine the row, `F` fix and count, `W`
keep and count, `D` drop and count. The catalogue is in `docs/quality.md`. A source lists its checks in order and the
first that fails names the reason, so a row is counted once.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from claim_transformers.claims.fields import DateFormat, any_of, is_filler, parse_amount, parse_date, parse_number
from claim_transformers.claims.planning import holds_no_rows

# Bills for services of the last days of life arrive late and are dated carelessly.
DAYS_AFTER_DEATH = 30


@holds_no_rows
@dataclass(frozen=True)
class RowCheck:
    """One fault of a raw row."""

    # `R_...` where a failing row goes to quarantine, `D_...` where it is dropped, `W_...` or `F_...` where it stays
    # and is counted.
    reason_code: str
    description: str  # What failing means, without a value of the row.
    # Expression over the raw rows that is true where the row fails. Null counts as passing.
    fails: Callable[[ir.Table], ir.BooleanValue]

    def __post_init__(self) -> None:
        if not self.reason_code.startswith(("R_", "D_", "W_", "F_")):
            raise ValueError(f"expected a reason code R_..., D_..., W_... or F_..., found {self.reason_code!r}")


def check_id(column: str) -> RowCheck:
    """`R_NO_ID`: the id is missing; ids come as `clean_id` writes them."""
    return RowCheck("R_NO_ID", f"{column} is missing, or stands for none", lambda rows: rows[column].isnull())


def check_date(column: str, date_format: DateFormat, *, required: bool = True) -> RowCheck:
    """`R_DATE`: the date is impossible, in another format or, where required, missing or a filler."""

    def fails(rows: ir.Table) -> ir.BooleanValue:
        unreadable = parse_date(rows[column], date_format).isnull()
        return unreadable if required else unreadable & ~is_filler(rows[column], date_format)

    return RowCheck("R_DATE", f"{column} is no real date in the format {date_format}", fails)


def check_order(first: str, second: str, date_format: DateFormat, *, reason_code: str = "R_DATE_ORDER") -> RowCheck:
    """`R_DATE_ORDER` or `R_SPAN`: the second date lies before the first. Dates are never swapped."""
    return RowCheck(
        reason_code,
        f"{second} lies before {first}",
        lambda rows: parse_date(rows[second], date_format) < parse_date(rows[first], date_format),
    )


def check_span(start: str, end: str, date_format: DateFormat) -> tuple[RowCheck, ...]:
    """`R_DATE` of an enrolment, which may have no end, and `R_SPAN` where that lies before the start."""
    return (
        check_date(start, date_format),
        check_date(end, date_format, required=False),
        check_order(start, end, date_format, reason_code="R_SPAN"),
    )


def fix_open_span(end: str, date_format: DateFormat) -> RowCheck:
    """`F_OPEN_SPAN`: an enrolment ends on a filler."""
    return RowCheck(
        "F_OPEN_SPAN",
        "an enrolment until a filler becomes one without an end",
        lambda rows: is_filler(rows[end], date_format),
    )


def check_line_number(column: str, *, name: str | None = None, most: int | None = None) -> RowCheck:
    """`R_LINE_NUMBER`: the number of a line is no whole one, or too large; a column may be told by another name."""
    return RowCheck(
        "R_LINE_NUMBER",
        f"{name or column} is no whole number" + ("" if most is None else f" from 1 to {most}"),
        lambda rows: parse_number(rows[column], "int32", within=None if most is None else (1, most)).isnull(),
    )


def check_future(service_date: Callable[[ir.Table], ir.DateValue], extract_date: dt.date) -> RowCheck:
    """`R_FUTURE`: the service lies after the day the data were extracted."""
    return RowCheck(
        "R_FUTURE", "the service lies after the extract", lambda rows: service_date(rows) > ibis.date(extract_date)
    )


def check_life(service_date: Callable[[ir.Table], ir.DateValue]) -> tuple[RowCheck, RowCheck]:
    """`R_BEFORE_BIRTH` and `R_AFTER_DEATH`, on rows with the patient's `known_birth_date` and `known_death_date`."""
    return (
        RowCheck(
            "R_BEFORE_BIRTH",
            "the service lies before the patient's birth",
            lambda rows: service_date(rows) < rows.known_birth_date,
        ),
        RowCheck(
            "R_AFTER_DEATH",
            f"the service lies more than {DAYS_AFTER_DEATH} days after the patient's death",
            lambda rows: (
                service_date(rows).cast("timestamp")
                > rows.known_death_date.cast("timestamp") + ibis.interval(days=DAYS_AFTER_DEATH)
            ),
        ),
    )


def warn_amount(*pairs: tuple[str, str | None]) -> RowCheck:
    """`W_AMOUNT`: an amount, the first of a pair, is negative or above the second, of which it is a part."""

    def fails(rows: ir.Table) -> ir.BooleanValue:
        nothing = ibis.null("string")
        entries = [
            ibis.struct({"part": rows[part], "whole": nothing if whole is None else rows[whole]})
            for part, whole in pairs
        ]
        return any_of(entries, _is_odd)

    return RowCheck("W_AMOUNT", "a negative amount, or more paid than allowed", fails)


def _is_odd(pair: ir.StructValue) -> ir.BooleanValue:
    part = parse_amount(pair["part"])
    # Null must not hide a negative amount behind an unknown whole one.
    return (part < 0).fill_null(False) | (part > parse_amount(pair["whole"])).fill_null(False)


def fix_amount(*columns: str) -> RowCheck:
    """`F_AMOUNT_NULL`: an amount is not a plain decimal and becomes null."""
    return RowCheck(
        "F_AMOUNT_NULL",
        "an amount that is no plain decimal becomes null",
        lambda rows: any_of(
            [rows[name] for name in columns], lambda text: text.notnull() & parse_amount(text).isnull()
        ),
    )


def fix_dates(columns: Sequence[str], date_format: DateFormat) -> RowCheck:
    """`F_DATE_NULL`: a date that the row can do without is no real date or a filler, and becomes null."""
    return RowCheck(
        "F_DATE_NULL",
        "a date that the row can do without is no real date or a filler, and becomes null",
        lambda rows: any_of(
            [rows[name] for name in columns], lambda text: text.notnull() & parse_date(text, date_format).isnull()
        ),
    )


def warn_diagnosis_gap(columns: tuple[str, ...]) -> RowCheck:
    """`W_DX_GAP`: the first diagnosis is missing while a later one is there; nothing is shifted."""
    return RowCheck(
        "W_DX_GAP",
        "the first diagnosis is missing while a later one is there",
        lambda rows: rows[columns[0]].isnull() & ibis.coalesce(*(rows[name] for name in columns[1:])).notnull(),
    )
