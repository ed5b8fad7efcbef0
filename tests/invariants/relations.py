"""Relations between loads: a change of the raw files, and what it does to the tables, which is mostly nothing.

Each relation is data: what it changes, the sources that it does not apply to and why, and what is expected. Relations
of one group share a load; a group of its own is for what concerns the whole load.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from invariants.clean_worlds import rif_date
from invariants.ingest_worlds import Outcome, Rows, in_order
from invariants.raw_files import LAYOUTS, RawTable, Row, World, kinds_of

TOGETHER, ABSURD = "together", "absurd"
NBSP = "\u00a0"
SHIFT_DAYS = 28
PATIENT_COLUMN = {"tuva": "person_id", "simulated": "person_id", "synpuf": "DESYNPUF_ID", "cms-rif": "BENE_ID"}
PATIENT_COLUMN |= {"mimic3": "subject_id", "meds": "subject_id"}
CLAIM_COLUMNS = ("claim_id", "CLM_ID", "PDE_ID", "hadm_id")
_STAY = {"tuva": "claim_id", "simulated": "claim_id", "synpuf": "CLM_ID", "cms-rif": "CLM_ID", "mimic3": "hadm_id"}
_PEOPLE = ("eligibility", "beneficiary", "patients")
# Kinds of the layouts in which a number stands that is neither a name nor a year.
_NO_QUANTITY = ("YEAR", "RFRNC_YR", "subject_id")
_DIAGNOSES = ("diagnosis_code_", "ICD9_DGNS_CD", "LINE_ICD9_DGNS_CD", "ICD_DGNS_CD", "PRNCPAL_DGNS_CD", "LINE_ICD_DGNS")
_NO_DIAGNOSIS = ("diagnosis_code_type",)
_NDCS = ("ndc_code", "PROD_SRVC_ID", "ndc")

Change = Callable[[str, World, np.random.Generator], World]
Tables = dict[str, Rows]


@dataclass(frozen=True, eq=False)
class Relation:
    """A change and what it does.

    `left_out` says of each source to which it does not apply why, `fails` of each for which it does not hold yet what
    comes out instead.
    """

    name: str
    change: Change
    left_out: Mapping[str, str] = field(default_factory=dict)
    group: str = TOGETHER
    fails: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] = field(default_factory=dict)
    counts: Callable[[str, World, Outcome], bool] = lambda source, world, outcome: True
    expected: Callable[[Tables], Tables] = lambda tables: tables
    undo: Callable[[Tables], Tables] = lambda tables: tables
    view: Callable[[str, World, Tables], Tables] = lambda source, world, tables: tables


# ---- Changes ----


def _form(**changes: object) -> Change:
    return lambda source, world, rng: tuple(table.with_form(**changes) for table in world)


def _tables(change: Callable[[str, RawTable], RawTable]) -> Change:
    return lambda source, world, rng: tuple(change(source, table) for table in world)


def _cells(is_chosen: Callable[[str, str], bool], change: Callable[[str], str | None]) -> Change:
    """Change the cells of columns by name and kind."""

    def of_table(source: str, table: RawTable) -> RawTable:
        kinds = kinds_of(source, table.name)
        return table.map_cells(lambda name: is_chosen(name, kinds.get(name, "text")), change)

    return _tables(of_table)


def _of_kind(*kinds: str) -> Callable[[str, str], bool]:
    return lambda name, kind: kind in kinds and name != "subject_id"


def _permute(source: str, world: World, rng: np.random.Generator) -> World:
    return tuple(replace(table, rows=tuple(table.rows[i] for i in rng.permutation(len(table.rows)))) for table in world)


def _split(source: str, world: World, rng: np.random.Generator) -> World:
    """The first half in the file whose name comes last."""
    parts = []
    for table in world:
        middle = len(table.rows) // 2
        parts += [replace(table, rows=table.rows[:middle], part="z"), replace(table, rows=table.rows[middle:], part="a")]
    return tuple(parts)


def _twice(source: str, table: RawTable) -> RawTable:
    return replace(table, rows=(*table.rows, *table.rows))


def _files_twice(source: str, world: World, rng: np.random.Generator) -> World:
    return (*world, *(replace(table, part="copy") for table in world))


def _with_column(table: RawTable, name: str, value: str) -> RawTable:
    return replace(table, columns=(*table.columns, name)).map_rows(lambda row: row | {name: value})


def _twice_in_two_files(source: str, world: World, rng: np.random.Generator) -> World:
    return tuple(_with_column(replace(table, part=part), "file_name", part) for table in world for part in ("a", "b"))


def _again_in_other_writing(source: str, world: World, rng: np.random.Generator) -> World:
    again = world
    for change in (_cells(_of_kind("id"), lambda cell: f"{cell} "), _cells(_is_quantity, _other_writing), _DOTTED):
        again = change(source, again, rng)
    return (*world, *(replace(table, part="again") for table in again))


def _other_case(source: str, table: RawTable) -> RawTable:
    names = {name: name.swapcase() for name in table.columns}
    renamed = table.map_rows(lambda row: {names[name]: cell for name, cell in row.items() if name in names})
    return replace(renamed, columns=tuple(names.values()))


def _is_quantity(name: str, kind: str) -> bool:
    return kind in ("amount", "number") and name not in _NO_QUANTITY


def _other_writing(cell: str) -> str:
    """`50` as `50.0`, `12.50` as `12.5`, `30.00` as `30`."""
    if "." not in cell:
        return f"{cell}.0"
    return cell.rstrip("0").rstrip(".")


def _is_diagnosis(name: str, kind: str) -> bool:
    return name.startswith(_DIAGNOSES) and name not in _NO_DIAGNOSIS or name == "icd9_code"


def _dot(cell: str) -> str:
    return f"{cell[:3]}.{cell[3:]}" if len(cell) > 3 else cell


_DOTTED = _cells(lambda name, kind: _is_diagnosis(name, kind) and name != "icd9_code", _dot)


def _dot_codes(source: str, world: World, rng: np.random.Generator) -> World:
    if source == "meds":
        return _meds_codes(world, "ICD10CM", _dot)
    if source == "mimic3":
        return tuple(
            table.map_cells(lambda name: name == "icd9_code", _dot) if table.name == "diagnoses_icd" else table
            for table in world
        )
    return _DOTTED(source, world, rng)


def _meds_codes(world: World, system: str, change: Callable[[str], str]) -> World:
    def of_code(text: str) -> str:
        name, _, code = text.partition("//")
        return f"{name}//{change(code)}" if name == system or not system else text

    return tuple(table.map_cells(lambda name: name == "code", of_code) for table in world)


def _hyphenate(cell: str) -> str:
    return f"{cell[:5]}-{cell[5:9]}-{cell[9:]}"


def _hyphenate_drugs(source: str, world: World, rng: np.random.Generator) -> World:
    if source == "meds":
        return _meds_codes(world, "NDC", _hyphenate)
    return _cells(lambda name, kind: name in _NDCS, _hyphenate)(source, world, rng)


def _swap_case(source: str, world: World, rng: np.random.Generator) -> World:
    if source == "meds":
        return _meds_codes(world, "", str.lower)
    return _cells(lambda name, kind: kind == "code", str.swapcase)(source, world, rng)


def _swap_words(source: str, world: World, rng: np.random.Generator) -> World:
    words = ("gender", "claim_type", "diagnosis_code_type", "procedure_code_type", "drg_code_type", "race", "drg_type")
    words += ("admission_type", "admission_location", "discharge_location", "DML_IND", "FINAL_ACTION")
    return _cells(lambda name, kind: name in words, str.swapcase)(source, world, rng)


def _fill_nulls(*kinds: str) -> Change:
    def of_table(source: str, table: RawTable) -> RawTable:
        known = kinds_of(source, table.name)
        chosen = [name for name in table.columns if known.get(name) in kinds]
        return table.map_rows(lambda row: row | {name: "NULL" for name in chosen if row.get(name) is None})

    return _tables(of_table)


def _empty_file(source: str, world: World, rng: np.random.Generator) -> World:
    return (*world, *(replace(table, rows=(), part="empty") for table in world))


def _rename(is_chosen: Callable[[str, str], bool], change: Callable[[str], str]) -> Change:
    def of_table(source: str, table: RawTable) -> RawTable:
        return table.map_cells(lambda name: is_chosen(source, name), change)

    return _tables(of_table)


def _mirror(cell: str) -> str:
    """Another id of the same world, in reverse order of the old ones; twice it is the old one."""
    digits = len(cell) - 6
    return f"{cell[:6]}{10**digits - 1 - int(cell[6:]):0{digits}d}"


def _mirror_patient(cell: str) -> str:
    return f"{cell[:5]}{9999 - int(cell[5:]):04d}"


def _unmirror(column: str, change: Callable[[str], str]) -> Callable[[Tables], Tables]:
    def of_row(row: dict[str, Any]) -> dict[str, Any]:
        # Drugs of MIMIC-III are numbered by their rows.
        if column not in row or (column == "claim_id" and row[column][0] == "9"):
            return row
        text, dash, rest = row[column].partition("-")
        return row | {column: change(f"10000{text}").removeprefix("10000") + dash + rest}

    return lambda tables: {name: in_order([of_row(row) for row in rows]) for name, rows in tables.items()}


# ---- A stray quote ----


def _stray_quote(place: str, times: int = 1) -> Change:
    """A quote in a cell of a row of each table; the row is marked, so that what it may change is known."""

    def of_table(source: str, table: RawTable, rng: np.random.Generator) -> RawTable:
        kinds = kinds_of(source, table.name)
        number = int(rng.integers(len(table.rows)))
        row = table.rows[number]
        filled = [name for name in table.columns if row.get(name) and kinds[name] in ("text", "code")]
        if not filled or (source == "meds" and row["code"].startswith(("MEDS", "GENDER", "ENROLL"))):
            return table
        name = str(rng.choice(["text_value"] if source == "meds" else filled))
        cell = row[name] or ""
        written = {"opens": f'"{cell}', "closes": f'{cell}"', "inside": f'{cell[:1]}"{cell[1:]}', "alone": '"'}[place]
        changed = {**row, name: written, _QUOTED: "yes"}
        part = f"quote{place}{times}"
        return replace(table, rows=(*table.rows[:number], changed, *table.rows[number + 1 :]), part=part)

    def change(source: str, world: World, rng: np.random.Generator) -> World:
        for _ in range(times):
            world = tuple(of_table(source, table, rng) for table in world)
        return world

    return change


_QUOTED = "quoted by the relation"


def _without_quoted(source: str, world: World, tables: Tables) -> Tables:
    """What the marked rows may not change: other claims, and timelines and labels of other patients."""
    marked = [(table.name, row) for table in world for row in table.rows if row.get(_QUOTED)]
    patients = {(row[PATIENT_COLUMN[source]] or "")[5:] for _, row in marked}
    insured = {(row[PATIENT_COLUMN[source]] or "")[5:] for name, row in marked if name in _PEOPLE}
    claims = {row[name][5:] for _, row in marked for name in (*CLAIM_COLUMNS, "row_id") if row.get(name)}

    def stays(name: str, row: dict[str, Any]) -> bool:
        if name in ("claim_line", "rx_claim"):
            return row["claim_id"].partition("-")[0] not in claims
        return row["patient_id"] not in (insured if name == "eligibility" else patients)

    return {name: [row for row in rows if stays(name, row)] for name, rows in tables.items()}


# ---- Further patients ----


def _newcomer(source: str, world: World, number: int, mark: int = 0) -> dict[str, list[Row]]:
    """The rows of the second patient once more, as those of somebody else."""
    column = PATIENT_COLUMN[source]
    who = sorted({row[column] or "" for table in world for row in table.rows})[1]

    def renamed(name: str, cell: str | None) -> str | None:
        if cell is None:
            return None
        if name in (column, "member_id"):
            return f"{cell[:5]}{number}{cell[6:]}"
        return f"{cell[:5]}5{mark}{cell[6:]}" if name in (*CLAIM_COLUMNS, "row_id") else cell

    return {
        table.name: [{name: renamed(name, cell) for name, cell in row.items()} for row in table.rows if row[column] == who]
        for table in world
    }


def _add(world: World, rows: Mapping[str, list[Row]], columns: Mapping[str, str] | None = None) -> World:
    return tuple(
        replace(
            table,
            rows=(*table.rows, *rows.get(table.name, [])),
            columns=tuple(dict.fromkeys((*table.columns, *(columns or {}).get(table.name, "").split()))),
        )
        for table in world
    )


def _absurd(day: str, *names: str) -> Change:
    """A patient who has one absurd date, in the last row that has one of the columns: claims of stays stand first."""

    def change(source: str, world: World, rng: np.random.Generator) -> World:
        rows = _newcomer(source, world, 6)
        date = dt.date.fromisoformat(day)
        for name in names:
            for of_table in reversed(rows.values()):
                for row in reversed(of_table):
                    if row.get(name) and (source != "meds" or row["code"] == names[-1]):
                        row[name] = _written(source, date)
                        return _add(world, rows)
        raise KeyError(f"{names} in no table of {source}")

    return change


def _written(source: str, date: dt.date) -> str:
    if source == "synpuf":
        return f"{date:%Y%m%d}"
    if source == "cms-rif":
        return rif_date(date)
    return f"{date} 00:00:00" if source in ("mimic3", "meds") else f"{date}"


def _without(number: int) -> Callable[[str, World, Tables], Tables]:
    return lambda source, world, tables: {
        name: [row for row in rows if not row["patient_id"].startswith(f"{number}")] for name, rows in tables.items()
    }


def _nobody(source: str, world: World, rng: np.random.Generator) -> World:
    """Rows of nobody: ids that say that there is none."""
    rows: dict[str, list[Row]] = {}
    words = [None] if source == "meds" else ["NULL", "null", "None", "nan", "N/A", "0000000000", "0", " ", "UNKNOWN"]
    for mark, word in enumerate(words):
        for name, of_table in _newcomer(source, world, 6, mark).items():
            rows.setdefault(name, []).extend(row | {PATIENT_COLUMN[source]: word} for row in of_table)
    return _add(world, rows)


# ---- Another payer ----


def _other_payer(source: str, world: World, rng: np.random.Generator) -> World:
    """The same claim numbers at another payer, of other people."""
    column = PATIENT_COLUMN[source]
    others = tuple(
        table.map_rows(
            lambda row: row | {"data_source": "other", column: f"{row[column][:5]}7{row[column][6:]}{row[column][5]}"}
        )
        for table in world
    )
    return _add(world, {table.name: list(table.rows) for table in others})


def _shared_number(source: str, world: World, rng: np.random.Generator) -> World:
    """The readmission is billed by another payer, under the number of the first stay."""
    first, second = _two_stays(world)

    def moved(row: Row) -> Row:
        return row | {"claim_id": first, "data_source": "other"} if row.get("claim_id") == second else row

    return tuple(table.map_rows(moved) for table in world)


def _two_stays(world: World) -> tuple[str, str]:
    (medical,) = [table for table in world if table.name == "medical_claim"]
    stays = sorted({(row["claim_start_date"], row["claim_id"]) for row in medical.rows if row.get("drg_code")})
    patient = {row["claim_id"]: row["person_id"] for row in medical.rows}
    own = [claim for _, claim in stays if patient[claim] == min(patient.values())]
    return own[0], own[1]


def _leave_out(*columns: str) -> Callable[[str, World, Tables], Tables]:
    def view(source: str, world: World, tables: Tables) -> Tables:
        return {
            name: in_order([{key: row[key] for key in row if not key.startswith(columns)} for row in rows])
            for name, rows in tables.items()
        }

    return view


# ---- Days ----


def _shift(source: str, world: World, rng: np.random.Generator) -> World:
    def shifted(cell: str) -> str:
        form = {"synpuf": "%Y%m%d", "cms-rif": "%d-%b-%Y"}.get(source, "%Y-%m-%d")
        date = dt.datetime.strptime(cell.partition(" ")[0].title(), form) + dt.timedelta(days=SHIFT_DAYS)
        return date.strftime(form).upper() + (cell[10:] if source in ("mimic3", "meds") else "")

    return _cells(lambda name, kind: kind in ("date", "time"), shifted)(source, world, rng)


def _shift_tables(tables: Tables) -> Tables:
    step = dt.timedelta(days=SHIFT_DAYS)

    def move(name: str, value: Any) -> Any:
        if isinstance(value, dt.date):
            return value + step
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return [{key: move(key, part) for key, part in entry.items()} for entry in value]
        if name.endswith("_day") and value is not None:
            return [None if day is None else day + SHIFT_DAYS for day in value] if isinstance(value, list) else value + SHIFT_DAYS
        return value

    return {name: in_order([{key: move(key, value) for key, value in row.items()} for row in rows]) for name, rows in tables.items()}


def _without_months(source: str, world: World, tables: Tables) -> Tables:
    """Enrolment by month and year does not move with the days."""
    is_fixed = source in ("synpuf", "cms-rif")
    return _leave_out("enrollment_")(source, world, tables) if is_fixed else tables


# ---- The relations ----

_TEXT = {"meds": "it is parquet alone"}
_PARQUET = {"mimic3": "it is delimited text alone"}
_ISO = {"synpuf": "its dates are no ISO dates", "cms-rif": "its dates are no ISO dates", "meds": "it has times", **_PARQUET}
_NO_CLAIMS = {"meds": "it has no claims"}
_ONE_PAYER = dict.fromkeys(("synpuf", "cms-rif", "mimic3", "meds"), "a load has one payer")
_NO_QUOTES = {"cms-rif": "a quote is a letter", **_TEXT}
_NO_OPTION = dict.fromkeys(("simulated", "synpuf", "cms-rif", "mimic3", "meds"), "it has no such option")
_NO_AMOUNTS = {"mimic3": "it has neither amounts nor quantities", "meds": "numbers are not read"}
_NO_SPANS = {"mimic3": "it has no enrolment", "synpuf": "enrolment is months", "cms-rif": "enrolment is months"}
_ENGINE = {"meds": "no engine reads it"}
_NOT_STAGED = dict.fromkeys(("tuva", "simulated", "mimic3", "meds"), "the store of deliveries does not take it")
_NUMBERS = {"meds": "its subjects are whole numbers"}

RELATIONS = (
    Relation("rows_are_permuted", _permute),
    Relation("files_are_renamed", lambda source, world, rng: tuple(replace(table, part="x") for table in world)),
    Relation("files_are_split_in_two", _split),
    Relation(
        "files_are_delivered_twice",
        _files_twice,
        group="files twice",
        error=dict.fromkeys(("tuva", "simulated", "synpuf", "cms-rif", "mimic3"), "E_FILE_TWICE"),
    ),
    Relation(
        "rows_are_delivered_twice",
        _tables(lambda source, table: replace(_twice(source, table), part="twice")),
        counts=lambda source, world, outcome: (
            outcome.counts["W_DUPLICATE" if source == "meds" else "D_DUPLICATE"]
            == sum(len(table.rows) for table in world) // 2
        ),
    ),
    Relation("rows_are_delivered_twice_beside_the_name_of_their_file", _twice_in_two_files),
    Relation("rows_are_delivered_again_in_another_writing", _again_in_other_writing, _NUMBERS),
    Relation(
        "a_column_outside_the_layout_is_added",
        lambda source, world, rng: tuple(_with_column(table, "loaded_by", "somebody") for table in world),
    ),
    Relation("the_header_is_in_another_case", _tables(_other_case), {"meds": "names are those of the standard"}),
    Relation(
        "columns_are_in_another_order",
        lambda source, world, rng: tuple(replace(table, columns=table.columns[::-1]) for table in world),
    ),
    *(
        Relation(f"{what}_are_padded_with_{blank}", _cells(_of_kind(*kinds), change), left_out)
        for what, kinds, left_out in (
            ("ids", ("id",), _NUMBERS),
            ("codes", ("code",), {}),
            ("words", ("text",), {}),
            ("amounts_and_numbers", ("amount", "number"), _NO_AMOUNTS),
            ("dates", ("date",), {"meds": "it has times"}),
        )
        for blank, change in (
            ("blanks", lambda cell: f" {cell}  "),
            ("no_break_spaces", lambda cell: f"{NBSP}{cell}{NBSP}"),
        )
    ),
    Relation("codes_are_in_another_case", _swap_case),
    Relation("words_are_in_another_case", _swap_words, {"meds": "its words are codes"}),
    Relation("diagnoses_are_dotted", _dot_codes),
    Relation("drugs_are_hyphenated", _hyphenate_drugs),
    Relation("amounts_are_in_another_writing", _cells(lambda name, kind: kind == "amount", _other_writing), _NO_AMOUNTS),
    Relation(
        "numbers_are_in_another_writing",
        _cells(lambda name, kind: kind == "number" and name not in _NO_QUANTITY, _other_writing),
        _NUMBERS,
    ),
    Relation("lines_end_as_in_windows", _form(line_end="\r\n"), _TEXT),
    Relation("lines_end_as_in_old_macs", _form(line_end="\r"), _TEXT),
    Relation("lines_end_in_both_ways", _form(has_mixed_ends=True), _TEXT),
    Relation("the_last_line_does_not_end", _form(has_last_end=False), _TEXT),
    Relation("lines_end_with_a_separator_too_many", lambda source, world, rng: _behind(source, world), _TEXT),
    Relation("files_begin_with_a_byte_order_mark", _form(mark=b"\xef\xbb\xbf"), _TEXT),
    Relation("fields_are_in_quotes", _form(is_quoted=True), _NO_QUOTES),
    Relation("files_are_gzipped", _form(ending=".csv.gz"), _TEXT),
    Relation("files_are_zipped", _form(ending=".zip"), _TEXT | _PARQUET),
    Relation("files_are_parquet", _form(ending=".parquet"), _PARQUET | {"meds": "it is parquet always"}),
    Relation("strings_are_large", _form(ending=".parquet", string=pa.large_string()), _PARQUET),
    Relation(
        "strings_are_dictionaries", _form(ending=".parquet", string=pa.dictionary(pa.int32(), pa.string())), _PARQUET
    ),
    Relation("row_groups_are_small", _form(ending=".parquet", rows_per_group=2), _PARQUET),
    Relation("dates_are_of_their_own_type", _form(ending=".parquet", date=pa.date32()), _ISO),
    Relation(
        "dates_are_times",
        _form(ending=".parquet", date=pa.timestamp("us")),
        _ISO,
        group="times",
        error=dict.fromkeys(("tuva", "simulated"), "E_TIMESTAMP"),
    ),
    *(
        Relation(
            f"times_are_in_{name}",
            _form(time=kind),
            dict.fromkeys(("tuva", "simulated", "synpuf", "cms-rif", "mimic3"), "it has no type for times"),
        )
        for name, kind in (
            ("seconds", pa.timestamp("s")),
            ("milliseconds", pa.timestamp("ms")),
            ("universal_time", pa.timestamp("us", "UTC")),
            ("days", pa.date32()),
        )
    ),
    Relation("an_empty_file_is_added", _empty_file),
    Relation("empty_codes_are_null_words", _fill_nulls("code"), {"meds": "its columns are filled"}),
    Relation("empty_amounts_and_numbers_are_null_words", _fill_nulls("amount", "number"), _NO_AMOUNTS),
    Relation("empty_dates_are_null_words", _fill_nulls("date"), {"meds": "it has times"}),
    Relation("rows_of_nobody_are_added", _nobody),
    Relation(
        "claims_are_renamed",
        _rename(lambda source, name: name in CLAIM_COLUMNS, _mirror),
        _NO_CLAIMS,
        undo=_unmirror("claim_id", _mirror),
    ),
    Relation(
        "patients_are_renamed",
        _rename(lambda source, name: name in (PATIENT_COLUMN[source], "member_id"), _mirror_patient),
        undo=_unmirror("patient_id", _mirror_patient),
    ),
    *(Relation(f"a_stray_quote_{place}", _stray_quote(place), view=_without_quoted) for place in ("opens", "closes", "inside", "alone")),
    Relation("two_stray_quotes_open", _stray_quote("opens", 2), view=_without_quoted),
    Relation("another_payer_uses_the_same_claim_numbers", _other_payer, _ONE_PAYER, view=_without(7)),
    Relation("a_patient_has_one_claim_number_at_two_payers", _shared_number, _ONE_PAYER, view=_leave_out("claim_id", "data_source")),
    Relation("others_are_not_there", lambda source, world, rng: world, group="alone"),
    Relation(
        "threads_and_shards_are_more",
        lambda source, world, rng: world,
        _ENGINE,
        group="threads",
        options={"threads": 2, "shards": 3},
    ),
    Relation(
        "everybody_is_shifted_by_weeks",
        _shift,
        group="shift",
        options={"shift_days": SHIFT_DAYS},
        expected=_shift_tables,
        view=_without_months,
    ),
    *(
        Relation(
            f"separator_is_{name}_in_{encoding}",
            _form(delimiter=sign, encoding=encoding),
            _NO_OPTION,
            group=name,
            options={"delimiter": sign, "encoding": encoding},
        )
        for name, sign, encoding in (("semicolon", ";", "latin-1"), ("tab", "\t", "utf-8"))
    ),
    *(
        Relation(f"somebody_has_{what}", _absurd(day, *names), left_out, group=ABSURD, view=_without(6))
        for what, day, names, left_out in (
            ("a_stay_that_ends_in_2199", "2199-12-31", ("discharge_date", "NCH_BENE_DSCHRG_DT", "dischtime"), _NO_CLAIMS),
            ("a_claim_that_ends_in_2061", "2061-05-05", ("claim_end_date", "CLM_THRU_DT", "dischtime"), _NO_CLAIMS),
            ("a_claim_of_1800", "1800-01-01", ("claim_start_date", "CLM_FROM_DT", "admittime"), _NO_CLAIMS),
            ("a_drug_of_9999", "9999-12-31", ("dispensing_date", "SRVC_DT", "startdate"), _NO_CLAIMS),
            ("a_drug_of_2061", "2061-05-05", ("dispensing_date", "SRVC_DT", "startdate"), _NO_CLAIMS),
            ("a_birth_in_1800", "1800-01-01", ("birth_date", "BENE_BIRTH_DT", "dob", "time", "MEDS_BIRTH"), {}),
            ("an_enrolment_until_2199", "2199-12-31", ("enrollment_end_date", "time", "ENROLLMENT//END"), _NO_SPANS),
            ("a_payment_of_2199", "2199-12-31", ("paid_date", "NCH_WKLY_PROC_DT"), _NO_CLAIMS | {"synpuf": "it has none", "mimic3": "it has none"}),
        )
    ),
)


def _behind(source: str, world: World) -> World:
    """A separator behind the last column, in the header and in every row."""
    return tuple(table.with_form(behind=LAYOUTS[source][table.name].delimiter) for table in world)
