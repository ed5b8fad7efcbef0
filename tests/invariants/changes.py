"""Changes of raw files, and ways to look at tables that undo what a change cannot help changing."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from invariants.clean_worlds import rif_date
from invariants.ingest_worlds import Rows, in_order
from invariants.raw_files import LAYOUTS, RawTable, Row, World, kinds_of

NBSP = "\u00a0"
SHIFT_DAYS = 28
PATIENT_COLUMN = {"tuva": "person_id", "simulated": "person_id", "synpuf": "DESYNPUF_ID", "cms-rif": "BENE_ID"}
PATIENT_COLUMN |= {"cclf": "BENE_MBI_ID", "mimic3": "subject_id", "meds": "subject_id", "omop": "person_id"}
CLAIM_COLUMNS = ("claim_id", "CLM_ID", "PDE_ID", "CUR_CLM_UNIQ_ID", "hadm_id", "visit_occurrence_id")
# Numbers of rows, in whose order the lines of a claim stand.
_ROW_COLUMNS = (
    "row_id",
    "condition_occurrence_id",
    "procedure_occurrence_id",
    "drug_exposure_id",
    "observation_period_id",
)
_STAY = {"tuva": "claim_id", "simulated": "claim_id", "synpuf": "CLM_ID", "cms-rif": "CLM_ID", "mimic3": "hadm_id"}
_PEOPLE = ("eligibility", "beneficiary", "cclf8", "enrollment", "patients", "person", "observation_period", "death")
# Kinds of the layouts in which a number stands that is neither a name nor a year.
NO_QUANTITY = ("YEAR", "RFRNC_YR", "subject_id")
_DIAGNOSES = (
    "diagnosis_code_",
    "ICD9_DGNS_CD",
    "LINE_ICD9_DGNS_CD",
    "ICD_DGNS_CD",
    "PRNCPAL_DGNS_CD",
    "LINE_ICD_DGNS",
    "PRNCPL_DGNS_CD",
    "CLM_DGNS_",
    "CLM_LINE_DGNS_CD",
)
_NO_DIAGNOSIS = ("diagnosis_code_type",)
_NDCS = ("ndc_code", "PROD_SRVC_ID", "CLM_LINE_NDC_CD", "ndc", "drug_source_value")

Change = Callable[[str, World, np.random.Generator], World]
Tables = dict[str, Rows]


# ---- Forms and cells ----


def form(**changes: object) -> Change:
    return lambda source, world, rng: tuple(table.with_form(**changes) for table in world)


def tables(change: Callable[[str, RawTable], RawTable]) -> Change:
    return lambda source, world, rng: tuple(change(source, table) for table in world)


def cells(is_chosen: Callable[[str, str], bool], change: Callable[[str], str | None]) -> Change:
    """Change the cells of columns by name and kind."""

    def of_table(source: str, table: RawTable) -> RawTable:
        kinds = kinds_of(source, table.name)
        return table.map_cells(lambda name: is_chosen(name, kinds.get(name, "text")), change)

    return tables(of_table)


def of_kind(*kinds: str) -> Callable[[str, str], bool]:
    return lambda name, kind: kind in kinds and name != "subject_id"


def permute(source: str, world: World, rng: np.random.Generator) -> World:
    return tuple(
        replace(table, rows=tuple(table.rows[i] for i in rng.permutation(len(table.rows)))) for table in world
    )


def split(source: str, world: World, rng: np.random.Generator) -> World:
    """The first half in the file whose name comes last."""
    parts = []
    for table in world:
        middle = len(table.rows) // 2
        parts += [
            replace(table, rows=table.rows[:middle], part="z"),
            replace(table, rows=table.rows[middle:], part="a"),
        ]
    return tuple(parts)


def twice(source: str, table: RawTable) -> RawTable:
    return replace(table, rows=(*table.rows, *table.rows))


def files_twice(source: str, world: World, rng: np.random.Generator) -> World:
    return (*world, *(replace(table, part="copy") for table in world))


def with_column(table: RawTable, name: str, value: str) -> RawTable:
    return replace(table, columns=(*table.columns, name)).map_rows(lambda row: row | {name: value})


def twice_in_two_files(source: str, world: World, rng: np.random.Generator) -> World:
    return tuple(with_column(replace(table, part=part), "file_name", part) for table in world for part in ("a", "b"))


def again_in_other_writing(source: str, world: World, rng: np.random.Generator) -> World:
    again = world
    for change in (cells(of_kind("id"), lambda cell: f"{cell} "), cells(_is_quantity, other_writing), _DOTTED):
        again = change(source, again, rng)
    return (*world, *(replace(table, part="again") for table in again))


def other_case(source: str, table: RawTable) -> RawTable:
    names = {name: name.swapcase() for name in table.columns}
    renamed = table.map_rows(lambda row: {names[name]: cell for name, cell in row.items() if name in names})
    return replace(renamed, columns=tuple(names.values()))


def _is_quantity(name: str, kind: str) -> bool:
    return kind in ("amount", "number") and name not in NO_QUANTITY


def other_writing(cell: str) -> str:
    """`50` as `50.0`, `12.50` as `12.5`, `30.00` as `30`."""
    if "." not in cell:
        return f"{cell}.0"
    return cell.rstrip("0").rstrip(".")


def _is_diagnosis(name: str, kind: str) -> bool:
    is_named = name in ("icd9_code", "condition_source_value")
    return (name.startswith(_DIAGNOSES) and name not in _NO_DIAGNOSIS) or is_named


def _dot(cell: str) -> str:
    return f"{cell[:3]}.{cell[3:]}" if len(cell) > 3 else cell


_DOTTED = cells(lambda name, kind: _is_diagnosis(name, kind) and name != "icd9_code", _dot)


def dot_codes(source: str, world: World, rng: np.random.Generator) -> World:
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


def hyphenate_drugs(source: str, world: World, rng: np.random.Generator) -> World:
    if source == "meds":
        return _meds_codes(world, "NDC", _hyphenate)
    return cells(lambda name, kind: name in _NDCS, _hyphenate)(source, world, rng)


def swap_case(source: str, world: World, rng: np.random.Generator) -> World:
    if source == "meds":
        return _meds_codes(world, "", str.lower)
    return cells(lambda name, kind: kind == "code", str.swapcase)(source, world, rng)


def swap_words(source: str, world: World, rng: np.random.Generator) -> World:
    words: tuple[str, ...] = (
        "gender",
        "claim_type",
        "diagnosis_code_type",
        "procedure_code_type",
        "drg_code_type",
        "race",
        "drg_type",
    )
    words += ("admission_type", "admission_location", "discharge_location", "DML_IND", "FINAL_ACTION")
    return cells(lambda name, kind: name in words, str.swapcase)(source, world, rng)


def fill_nulls(*kinds: str) -> Change:
    def of_table(source: str, table: RawTable) -> RawTable:
        known = kinds_of(source, table.name)
        chosen = [name for name in table.columns if known.get(name) in kinds]
        return table.map_rows(lambda row: row | {name: "NULL" for name in chosen if row.get(name) is None})

    return tables(of_table)


def empty_file(source: str, world: World, rng: np.random.Generator) -> World:
    return (*world, *(replace(table, rows=(), part="empty") for table in world))


def rename(is_chosen: Callable[[str, str], bool], change: Callable[[str], str]) -> Change:
    def of_table(source: str, table: RawTable) -> RawTable:
        return table.map_cells(lambda name: is_chosen(source, name), change)

    return tables(of_table)


def mirror(cell: str) -> str:
    """Another id of the same world, in reverse order of the old ones; twice it is the old one."""
    digits = len(cell) - 6
    return f"{cell[:6]}{10**digits - 1 - int(cell[6:]):0{digits}d}"


def mirror_patient(cell: str) -> str:
    return f"{cell[:5]}{9999 - int(cell[5:]):04d}"


def unmirror(column: str, change: Callable[[str], str]) -> Callable[[Tables], Tables]:
    def of_row(row: dict[str, Any]) -> dict[str, Any]:
        # Drugs of MIMIC-III are numbered by their rows.
        if column not in row or (column == "claim_id" and row[column][0] == "9"):
            return row
        text, dash, rest = row[column].partition("-")
        return row | {column: change(f"10000{text}").removeprefix("10000") + dash + rest}

    return lambda tables: {name: in_order([of_row(row) for row in rows]) for name, rows in tables.items()}


# ---- A stray quote ----


def stray_quote(place: str, times: int = 1) -> Change:
    """A quote in a cell of a row of each table; the row is marked, so that what it may change is known."""

    def of_table(source: str, table: RawTable, rng: np.random.Generator) -> RawTable:
        kinds = kinds_of(source, table.name)
        number = int(rng.integers(len(table.rows)))
        row = table.rows[number]
        filled = [name for name in table.columns if row.get(name) and kinds[name] in ("text", "code")]
        # Numbers of a CDM are flags, and some are names.
        filled = [name for name in filled if source != "omop" or not name.endswith("_id")]
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


def without_quoted(source: str, world: World, tables: Tables) -> Tables:
    """What the marked rows may not change: other claims, and timelines and labels of other patients."""
    marked = [(table.name, row) for table in world for row in table.rows if row.get(_QUOTED)]
    patients = {(row[PATIENT_COLUMN[source]] or "")[5:] for _, row in marked}
    insured = {(row[PATIENT_COLUMN[source]] or "")[5:] for name, row in marked if name in _PEOPLE}
    claims = {row[name][5:] for _, row in marked for name in (*CLAIM_COLUMNS, *_ROW_COLUMNS) if row.get(name)}

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
        return f"{cell[:5]}5{mark}{cell[6:]}" if name in (*CLAIM_COLUMNS, *_ROW_COLUMNS) else cell

    return {
        table.name: [
            {name: renamed(name, cell) for name, cell in row.items()} for row in table.rows if row[column] == who
        ]
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


def absurd(day: str, *names: str) -> Change:
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


def without(number: int) -> Callable[[str, World, Tables], Tables]:
    return lambda source, world, tables: {
        name: [row for row in rows if not row["patient_id"].startswith(f"{number}")] for name, rows in tables.items()
    }


def nobody(source: str, world: World, rng: np.random.Generator) -> World:
    """Rows of nobody: ids that say that there is none."""
    rows: dict[str, list[Row]] = {}
    words = [None] if source == "meds" else ["NULL", "null", "None", "nan", "N/A", "0000000000", "0", " ", "UNKNOWN"]
    for mark, word in enumerate(words):
        for name, of_table in _newcomer(source, world, 6, mark).items():
            rows.setdefault(name, []).extend(row | {PATIENT_COLUMN[source]: word} for row in of_table)
    return _add(world, rows)


# ---- Another payer ----


def other_payer(source: str, world: World, rng: np.random.Generator) -> World:
    """The same claim numbers at another payer, of other people."""
    column = PATIENT_COLUMN[source]
    others = tuple(
        table.map_rows(
            lambda row: row | {"data_source": "other", column: f"{row[column][:5]}7{row[column][6:]}{row[column][5]}"}
        )
        for table in world
    )
    return _add(world, {table.name: list(table.rows) for table in others})


def shared_number(source: str, world: World, rng: np.random.Generator) -> World:
    """The readmission is billed by another payer, under the number of the first stay."""
    first, second = _two_stays(world)

    def moved(row: Row) -> Row:
        return row | {"claim_id": first, "data_source": "other"} if row.get("claim_id") == second else row

    return tuple(table.map_rows(moved) for table in world)


def _two_stays(world: World) -> tuple[str, str]:
    (medical,) = [table for table in world if table.name == "medical_claim"]
    stays = sorted(
        (row["person_id"] or "", row["claim_start_date"] or "", row["claim_id"] or "")
        for row in medical.rows
        if row.get("drg_code")
    )
    first, second = list(dict.fromkeys(claim for _, _, claim in stays))[:2]
    return first, second


def leave_out(*columns: str) -> Callable[[str, World, Tables], Tables]:
    def view(source: str, world: World, tables: Tables) -> Tables:
        return {
            name: in_order([{key: row[key] for key in row if not key.startswith(columns)} for row in rows])
            for name, rows in tables.items()
        }

    return view


# ---- Days ----


def shift(source: str, world: World, rng: np.random.Generator) -> World:
    def shifted(cell: str) -> str:
        form = {"synpuf": "%Y%m%d", "cms-rif": "%d-%b-%Y"}.get(source, "%Y-%m-%d")
        date = dt.datetime.strptime(cell.partition(" ")[0].title(), form) + dt.timedelta(days=SHIFT_DAYS)
        return date.strftime(form).upper() + (cell[10:] if source in ("mimic3", "meds") else "")

    return cells(lambda name, kind: kind in ("date", "time"), shifted)(source, world, rng)


def shift_tables(tables: Tables) -> Tables:
    step = dt.timedelta(days=SHIFT_DAYS)

    def move(name: str, value: Any) -> Any:
        if isinstance(value, dt.date):
            return value + step
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return [{key: move(key, part) for key, part in entry.items()} for entry in value]
        if name.endswith("_day") and value is not None:
            return (
                [None if day is None else day + SHIFT_DAYS for day in value]
                if isinstance(value, list)
                else value + SHIFT_DAYS
            )
        return value

    return {
        name: in_order([{key: move(key, value) for key, value in row.items()} for row in rows])
        for name, rows in tables.items()
    }


def without_months(source: str, world: World, tables: Tables) -> Tables:
    """Enrolment by month and year does not move with the days."""
    is_fixed = source in ("synpuf", "cms-rif")
    return leave_out("enrollment_")(source, world, tables) if is_fixed else tables


def behind(source: str, world: World) -> World:
    """A separator behind the last column, in the header and in every row."""
    return tuple(table.with_form(behind=LAYOUTS[source][table.name].delimiter) for table in world)
