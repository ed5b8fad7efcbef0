"""Dirty tables: the faults that raw claims come with, put at random into clean ones, and what they may become.

Every table of a world gets a few faults of rows, and at times another form.
What a dirty table may become is judged from its raw cells by rules of its own, not by the code under test.
"""

import datetime as dt
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from invariants.changes import CLAIM_COLUMNS, NBSP, PATIENT_COLUMN
from invariants.clean_worlds import clean_world
from invariants.ingest_worlds import Outcome, Rows
from invariants.raw_files import QUOTED_SOURCES, RAW_LINE, RawTable, Row, World, kinds_of

TEN = 10
# By kind of column, divided by tildes; the first is an empty cell.
_FAULTS = {
    "id": f"~ ~{NBSP}~NULL~0000000000~1.2E+10~[MASK]~\u202e123",
    "date": "~00000000~0000-00-00~19000101~1900-01-01~99991231~9999-12-31~2016-02-30~20160230~30-FEB-2016~31-DEC-9999"
    "~01/02/2016~2016-3-1~ 2016-03-01~NULL~1800-01-01~18000101~42430~01-JAN-1800~2199-12-31~21991231~31-DEC-2199"
    "~2016-03-01T00:00:00Z~2016-03-01 12:00:00~infinity~290309-12-22 (BC)~294247-01-10~-0001-01-01~31.02.~epoch",
    "amount": "~$1,234.50~(12.00)~1E3~NaN~inf~-inf~1e400~12,50~-17.25~0~00012.3400~99999999999999~ 12.50 ~NULL~12.5.0"
    f"~1_000~\u0661\u0662~9999999999.995~-9999999999.99~1e308~{'9' * 400}~0x1F~-9223372036854775808",
    "number": f"~0~-1~1.0~1.5~x~99999999999~NULL~ 2~1e2~99991231~32768~2147483648~9223372036854775808~{'0' * 400}1",
    "code": f"~e11.9~ E119 ~{NBSP}E119{NBSP}~845~1E10~E11.9.1~[MASK]~a|b~\u202eE119~\u0131~NULL~9921325~99213-25"
    f"~00093014505~0093-0145-05~0093014505~00000000000~99999999999~{'Z' * 5000}~25000~250.00~4280~038~38.9~<script>"
    "~'; --~0~9~10~ICD10~1.11E+02~D~N~99991231~47721860~2147483647~1e308",
    "text": f"~\u00e9\u00e8~NULL~Robert'); DROP TABLE~\u200b~W~1~female ~O'Neill~{'x' * 3000}",
}
_FORMS = (
    *({} for _ in range(5)),
    {"line_end": "\r\n"},
    {"line_end": "\r"},
    {"has_mixed_ends": True},
    {"mark": b"\xef\xbb\xbf"},
    {"has_last_end": False},
    {"ending": ".csv.gz"},
    {"ending": ".zip"},
)


def dirty_world(source: str, seed: int, number: int) -> World:
    """Draw a world whose tables are all dirty. Worlds of one ten have one form, so that they share their files."""
    rng, of_ten = np.random.default_rng((seed, number)), np.random.default_rng((seed, number // TEN, TEN))
    form = _FORMS[int(of_ten.integers(len(_FORMS)))]
    is_wider, order = of_ten.random() < 0.1, int(of_ten.integers(1 << 30))
    tables = []
    for table in clean_world(source, int(rng.integers(1 << 30)), number):
        every = [*table.columns, *(["loaded_by"] if is_wider else [])]
        columns = tuple(np.random.default_rng(order).permutation(every).tolist())
        part = f"t{number // TEN:04d}"
        tables.append(replace(_dirty(source, table, rng), columns=columns, part=part).with_form(**form))
    return tuple(tables)


def _dirty(source: str, table: RawTable, rng: np.random.Generator) -> RawTable:
    kinds = kinds_of(source, table.name)
    rows: list[Row] = [dict(row) for row in table.rows]
    for _ in range(int(rng.integers(1, 7)) if rows else 0):
        place = int(rng.integers(len(rows)))
        row, column = rows[place], str(rng.choice(table.columns))
        fault = rng.choice(("cell", "cell", "cell", "cell", "rare"))
        if fault == "cell":
            cell = str(rng.choice(_FAULTS[kinds[column]].split("~")))
            # As below, a row is not broken twice.
            row[column] = row[column] if "," in cell and "\n" in _text_of(row) else cell
            continue
        fault = rng.choice(("copy", "version", "reversal", "swap", "share", "line", "quote", "break", "byte", "nul"))
        rows.extend(_rare(source, table, rows, place, str(fault), column, rng))
    return replace(table, rows=tuple(rows))


def _text_of(row: Row) -> str:
    return "".join(cell or "" for cell in row.values())


def _rare(
    source: str, table: RawTable, rows: list[Row], place: int, fault: str, column: str, rng: np.random.Generator
) -> list[Row]:
    """Change a row, or return rows to add."""
    row = rows[place]
    kinds = kinds_of(source, table.name)
    amounts = [name for name in table.columns if kinds[name] == "amount" and row.get(name)]
    dates = [name for name in table.columns if kinds[name] == "date" and row.get(name)]
    cell = row.get(column) or ""
    # What is broken twice in one row is one line or two, as one likes.
    is_broken = "\n" in _text_of(row)
    if fault == "copy":
        return [dict(row)] * int(rng.integers(1, 4))
    if fault == "version":
        return [row | {column: "1"}]
    if fault == "reversal" and amounts and not is_broken:
        return [row | {name: f"-{row[name]}" for name in amounts}]
    if fault == "swap" and len(dates) > 1:
        first, second = rng.choice(dates, 2, replace=False)
        row[str(first)], row[str(second)] = row[str(second)], row[str(first)]
    if fault == "share":
        other = rows[int(rng.integers(len(rows)))]
        if not is_broken and "\n" not in _text_of(other):
            row.update({name: other[name] for name in CLAIM_COLUMNS if name in row and other.get(name)})
    if fault == "line":
        row[RAW_LINE] = str(rng.choice(("x", "a,b|c", "|||,,,;", "0" * 200_000)))
    if fault == "quote" and not is_broken:
        row[column] = str(rng.choice((f'"{cell}', f'{cell}"', f'{cell[:2]}"{cell[2:]}', '"', '""', f'"{cell}"x')))
    if fault == "break" and source in QUOTED_SOURCES and not {'"', ","} & {*_text_of(row)}:
        row[column] = f'"{cell}\n{cell}"'
    if fault == "byte" and "\n" not in cell:
        row[column] = f"{cell}\udcff"
    if fault == "nul" and "\n" not in cell:
        row[column] = f"{cell}\x00"
    return []


# ---- What may come of it ----

_CODES = (
    *("hcpcs_code", "drg_code", "revenue_center_code", "place_of_service_code", "discharge_disposition_code"),
    *("ndc_code", "admit_source_code", "admit_type_code"),
)
_DATES = (
    *("claim_start_date", "claim_end_date", "claim_line_start_date", "claim_line_end_date", "admission_date"),
    *("discharge_date", "paid_date", "dispensing_date", "birth_date", "death_date"),
)
_AMOUNTS = ("paid_amount", "allowed_amount", "charge_amount")
_IDS = ("rendering_npi", "billing_npi", "facility_npi", "source_member_id")
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def invented(source: str, world: World, outcome: Outcome) -> Iterator[str]:
    """Say which canonical columns hold what no raw cell of their claim or person says, without the value."""
    of_claim: dict[str, set[str]] = defaultdict(set)
    for table in world:
        for row in table.rows:
            # A line that cannot be read as such may still hold its cells in other columns.
            cells = {cell for cell in row.values() if cell} | {
                part for cell in row.values() if cell for part in cell.split("\n")
            }
            for name in (*CLAIM_COLUMNS, PATIENT_COLUMN[source]):
                of_claim[_trim(row.get(name) or "")] |= cells
    for name, rows in outcome.tables.items():
        if name != "patients":
            yield from (f"{name}.{column}" for row in rows for column in _invented(row, of_claim, world))


def repeated_keys(rows: Rows) -> int:
    keys = [(row["data_source"], row["claim_id"], row["claim_line_number"]) for row in rows]
    return len(keys) - len(set(keys))


def _invented(row: dict[str, Any], of_claim: dict[str, set[str]], world: World) -> Iterator[str]:
    prefix = next(cell for cell in _ids_of(world))[:5]
    # A stray quote is a letter of an id; in RIF the claim type stands behind the number.
    key, patient = (_trim(row.get(name, row["patient_id"])) for name in ("claim_id", "patient_id"))
    cells = (
        of_claim.get(_trim(key.rpartition("-")[0]))
        or of_claim.get(prefix + _trim(key.rpartition("-")[0]))
        or of_claim.get(prefix + key)
        or of_claim.get(prefix + key.rpartition("-")[0])
        or of_claim.get(key)
    )
    if not cells:
        yield "claim_id" if "claim_id" in row else "patient_id"
        return
    trimmed = {_trim(cell) for cell in cells}
    codes = {_code(cell) for cell in cells} | cells | trimmed
    if not {patient, prefix + patient} & trimmed:
        yield "patient_id"
    listed = [*(row.get("diagnoses") or ()), *(row.get("procedures") or ())]
    found = [entry["code"] for entry in listed] + [row[name] for name in _CODES if row.get(name)]
    if any(not any(_is_written(code, cell) for cell in codes) for code in found):
        yield "codes"
    if any(not any(modifier in cell for cell in codes) for modifier in row.get("hcpcs_modifiers") or ()):
        yield "hcpcs_modifiers"
    days = {day for cell in trimmed if (day := _day(cell))}
    days_found = [row[name] for name in _DATES if row.get(name)]
    days_found += [entry["date"] for entry in row.get("procedures") or () if entry["date"]]
    if set(days_found) - days:
        yield "dates"
    amounts = {amount for cell in trimmed if (amount := _amount(cell)) is not None}
    amounts |= {a - b for a, b in itertools.permutations(amounts, 2)} if "dispensing_date" in row else set()
    if {row[name] for name in _AMOUNTS if row.get(name) is not None} - amounts:
        yield "amounts"
    if any(_trim(row[name]) not in trimmed for name in _IDS if row.get(name) and name != "source_member_id"):
        yield "npi"


def _ids_of(world: World) -> Iterator[str]:
    yield from (
        cell
        for table in world
        for row in table.rows
        for cell in row.values()
        if cell is not None and re.fullmatch(r"1\d{8}", cell)
    )


def _trim(cell: str) -> str:
    visible = "".join(character for character in cell if unicodedata.category(character) != "Cf")
    return visible.replace(NBSP, " ").strip().strip('"').strip()


def _code(cell: str) -> str:
    return re.sub(r"[.\-\s\"]", "", cell.replace(NBSP, " ")).upper()


def _is_written(code: str, cell: str) -> bool:
    """Whether a canonical code is a cell: zeros of fixed widths and of drugs, and modifiers behind, may differ."""
    if code == cell or cell.lstrip("0") == code.lstrip("0") or (len(code) == 5 and cell.startswith(code)):
        return True
    return len(code) == 11 and len(cell) == 10 and code.replace("0", "") == cell.replace("0", "")


def _day(cell: str) -> dt.date | None:
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})(?:$| )", cell)
    if not found and (named := re.fullmatch(r"(\d{2})-([A-Za-z]{3})-(\d{4})", cell)):
        if named[2].upper() not in _MONTHS:
            return None
        year, month, day = int(named[3]), _MONTHS.index(named[2].upper()) + 1, int(named[1])
    elif found:
        year, month, day = (int(part) for part in found.groups())
    else:
        return None
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def _amount(cell: str) -> Decimal | None:
    return Decimal(cell).quantize(Decimal("0.01")) if re.fullmatch(r"-?[0-9]{1,10}(\.[0-9]+)?", cell) else None
