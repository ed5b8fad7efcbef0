"""MIMIC-III: the hospital tables of an intensive-care population, one admission as one inpatient claim.

CSV or gzipped CSV with MIMIC's own column names in any case. `ADMISSIONS` gives the header of each claim; the rows of
`DIAGNOSES_ICD`, `PROCEDURES_ICD`, `DRGCODES` and `CPTEVENTS` are further lines of it, with the dates of their
admission; `PRESCRIPTIONS` are drug claims. The table of raw and canonical columns is `docs/sources/mimic3.md`.

Three things are particular to these files:

* The dates of each patient are shifted by one offset, to between 2100 and 2200 or later, and births of patients above
  89 lie some 300 years before the first admission. Both stay as they are: days between dates are right, and an age
  of 300 is read as the oldest age that a tokenizer knows. Other sources refuse such dates, so this file reads its own.
* `DRGCODES` mixes three groupers that give the same numbers to different groups. Only MS-DRGs become codes.
* There is no enrolment: what happened outside the hospital is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import materialize
from claim_transformers.claims.fields import FILLER_DATES, clean_id, clean_number, parse_number
from claim_transformers.claims.quality import RowCheck, check_id
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.mimic3 import SOURCE
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, RawLocation, StagedSource, StagedTable
from claim_transformers.sources.pipeline.demographics import fix_sex, map_sex
from claim_transformers.sources.pipeline.lines import list_diagnoses, list_procedures
from claim_transformers.sources.pipeline.reading import stage_files

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_LAYOUTS = SOURCE.read_layouts()
_SUFFIXES = (".csv", ".csv.gz")
_REQUIRED = ("patients", "admissions")
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?$"
# Births of the oldest lie in the 19th century, shifted dates reach past 2200.
_FIRST_DATE, _LAST_DATE = "1800-01-01", "2399-12-31"
_GENDERS = _LAYOUTS["patients"].values["gender"]
# Codes behind the words of MIMIC, by column.
_CODES = _LAYOUTS["admissions"].values
# Lines of each raw table have numbers of their own, so that no two lines of a claim share one.
_LINES_PER_TABLE = 100_000


def read_mimic3(path: RawLocation, connection: Backend, *, scratch: Path) -> StagedSource:
    """Stage the tables of MIMIC-III, or of its demo."""
    if not isinstance(path, (str, Path)):
        raise ClaimDataError("E_NO_FILE", "expected a folder of MIMIC-III files as path, found none")
    files = _find_files(Path(path))
    staged = {
        name: stage_files(
            connection, [(file, layout.to_layout()) for file in files[name]], scratch, name=f"mimic3_{name}"
        )
        for name, layout in _LAYOUTS.items()
        if name in files
    }
    tables = [_stage_patients(*staged["patients"]), _stage_admissions(*staged["admissions"])]
    admissions = _dates_of_admissions(connection, staged["admissions"][0])
    for name, stage in _STAGES.items():
        if name in staged:
            tables.append(stage(*staged[name], admissions))
    if "prescriptions" in staged:
        tables.append(_stage_prescriptions(*staged["prescriptions"]))
    return StagedSource("mimic3", tuple(tables))


def _find_files(folder: Path) -> dict[str, list[Path]]:
    """Find the files of each table by their names, in any case: `ADMISSIONS.csv.gz`, `CPTEVENTS_codes_only.csv`."""
    candidates = sorted(folder.iterdir()) if folder.is_dir() else []
    found: dict[str, list[Path]] = {}
    for name in _LAYOUTS:
        pattern = re.compile(rf"{name}(_.*)?", re.IGNORECASE)
        files = [
            file
            for file in candidates
            if file.is_file()
            and file.name.lower().endswith(_SUFFIXES)
            and pattern.fullmatch(re.sub(r"[.]csv([.]gz)?$", "", file.name, flags=re.IGNORECASE))
        ]
        if files:
            found[name] = files
    if missing := [name.upper() for name in _REQUIRED if name not in found]:
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected PATIENTS and ADMISSIONS of MIMIC-III as CSV or gzip in {folder}, found {len(candidates)} files "
            f"without {' and '.join(missing)}",
        )
    return found


def _parse_shifted_date(text: ir.StringValue) -> ir.DateValue:
    """Read the date of a date or timestamp of MIMIC-III, null if it is impossible or in another format."""
    is_real = text.re_search(_TIMESTAMP) & text.between(_FIRST_DATE, f"{_LAST_DATE} 23:59:59")
    return ibis.ifelse(is_real, text.substr(0, 10), ibis.null("string")).try_cast("date")


# ---- Checks ----


def _check_date(column: str, *, required: bool = True) -> RowCheck:
    def fails(rows: ir.Table) -> ir.BooleanValue:
        unreadable = _parse_shifted_date(rows[column]).isnull()
        # Dates are shifted, so what can be one is one, and only a filler beyond all of them says that none is known.
        return unreadable if required else unreadable & ~rows[column].substr(0, 10).isin(FILLER_DATES)

    return RowCheck("R_DATE", f"{column} is no real date in the format YYYY-MM-DD, with or without a time", fails)


def _check_order(first: str, second: str) -> RowCheck:
    return RowCheck(
        "R_DATE_ORDER",
        f"{second} lies before {first}",
        lambda rows: _parse_shifted_date(rows[second]) < _parse_shifted_date(rows[first]),
    )


def _fix_date(column: str) -> RowCheck:
    return RowCheck(
        "F_DATE_NULL",
        f"{column} is a filler and becomes null",
        lambda rows: rows[column].notnull() & _parse_shifted_date(rows[column]).isnull(),
    )


_STAY_CHECKS = (
    check_id("subject_id"),
    check_id("hadm_id"),
    # Of a row other than that of the admission, this is also the date of an admission that is not there.
    _check_date("admittime"),
    _check_date("dischtime", required=False),
    _check_order("admittime", "dischtime"),
)


# ---- Tables ----


def _stage_patients(rows: ir.Table, files: Sequence[RawFile]) -> StagedTable:
    """Patients become eligibility without a span."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows.subject_id,
            gender=map_sex(rows.gender, _GENDERS),
            birth_date=_parse_shifted_date(rows.dob),
            death_date=_parse_shifted_date(rows.dod),
        )

    return StagedTable(
        name="patients",
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column="subject_id",
        row_key=("subject_id",),
        kinds=_LAYOUTS["patients"].kinds,
        to_canonical=to_canonical,
        checks=(
            check_id("subject_id"),
            _check_date("dob"),
            _check_date("dod", required=False),
            _check_order("dob", "dod"),
        ),
        warnings=(fix_sex("gender", _GENDERS, unknown=()), _fix_date("dod")),
        has_spans=False,
    )


def _stage_admissions(rows: ir.Table, files: Sequence[RawFile]) -> StagedTable:
    """Admissions become line 1 of their claim: dates, how the patient came and where the patient went."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        start, end = _parse_shifted_date(rows.admittime), _parse_shifted_date(rows.dischtime)
        return rows.select(
            "source_file",
            "row_no",
            **_claim_of(rows, ibis.literal(1, "int32")),
            claim_line_start_date=start,
            claim_line_end_date=end,
            discharge_disposition_code=_code_of(rows, "discharge_location"),
            admit_source_code=_code_of(rows, "admission_location"),
            admit_type_code=_code_of(rows, "admission_type"),
        )

    return _stay_table(
        "admissions",
        rows,
        files,
        to_canonical=to_canonical,
        warnings=(_fix_date("dischtime"),),
    )


def _stage_diagnoses(rows: ir.Table, files: Sequence[RawFile], admissions: ir.Table) -> StagedTable:
    """Diagnoses become lines with one diagnosis each, its rank as numbered by MIMIC."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        rank = parse_number(rows.seq_num, "int16").try_cast("int8")
        return _lines_of_stay(rows, table=1, diagnoses=list_diagnoses("ICD9CM", [rows.icd9_code], ranks=[rank]))

    codes = CodeColumns(("icd9_code",), "ICD9CM")
    return _stay_table("diagnoses_icd", rows, files, to_canonical=to_canonical, admissions=admissions, codes=codes)


def _stage_procedures(rows: ir.Table, files: Sequence[RawFile], admissions: ir.Table) -> StagedTable:
    """Procedures become lines with one procedure each; MIMIC does not date them."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        return _lines_of_stay(rows, table=2, procedures=list_procedures("ICD9PCS", [rows.icd9_code]))

    codes = CodeColumns(("icd9_code",), "ICD9PCS")
    return _stay_table("procedures_icd", rows, files, to_canonical=to_canonical, admissions=admissions, codes=codes)


def _stage_drgs(rows: ir.Table, files: Sequence[RawFile], admissions: ir.Table) -> StagedTable:
    """DRGs become lines; only those of the MS-DRG grouper keep their code."""
    is_ms = lambda rows: rows.drg_type.upper() == "MS"  # noqa: E731 - used in three expressions.

    def derive(rows: ir.Table) -> ir.Table:
        return rows.mutate(ms_drg_code=ibis.ifelse(is_ms(rows), rows.drg_code, ibis.null("string")))

    def to_canonical(rows: ir.Table) -> ir.Table:
        drg_type = ibis.ifelse(rows.ms_drg_code.notnull(), "ms-drg", ibis.null("string"))
        return _lines_of_stay(rows, table=3, drg_code_type=drg_type, drg_code=rows.ms_drg_code)

    other_grouper = RowCheck(
        "F_DRG_TYPE",
        "a group of HCFA-DRG or APR-DRG, whose numbers mean other groups than those of MS-DRG, becomes null",
        lambda rows: rows.drg_code.notnull() & ~is_ms(rows).fill_null(False),
    )
    return _stay_table(
        "drgcodes",
        rows,
        files,
        to_canonical=to_canonical,
        admissions=admissions,
        derive=derive,
        codes=CodeColumns(("ms_drg_code",), "DRG"),
        warnings=(other_grouper,),
    )


def _stage_cpt_events(rows: ir.Table, files: Sequence[RawFile], admissions: ir.Table) -> StagedTable:
    """CPT events become lines with a HCPCS code, on their own date where MIMIC gives one."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        day = _parse_shifted_date(rows.chartdate)
        return _lines_of_stay(
            rows, table=4, claim_line_start_date=day, claim_line_end_date=day, hcpcs_code=rows.cpt_cd
        )

    return _stay_table(
        "cptevents",
        rows,
        files,
        to_canonical=to_canonical,
        admissions=admissions,
        codes=CodeColumns(("cpt_cd",), "HCPCS"),
        checks=(_check_date("chartdate", required=False),),
        warnings=(_fix_date("chartdate"),),
    )


def _stage_prescriptions(rows: ir.Table, files: Sequence[RawFile]) -> StagedTable:
    """Prescriptions become drug claims of their own, on the day they begin."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows.subject_id,
            claim_id=rows.row_id,
            claim_line_number=ibis.literal(1, "int32"),
            dispensing_date=_parse_shifted_date(rows.startdate),
            ndc_code=rows.ndc,
        )

    return StagedTable(
        name="prescriptions",
        target="rx_claim",
        rows=rows,
        files=tuple(files),
        patient_column="subject_id",
        row_key=("row_id",),
        kinds=_LAYOUTS["prescriptions"].kinds,
        to_canonical=to_canonical,
        claim_type="RX",
        claim_column="row_id",
        service_date=lambda rows: _parse_shifted_date(rows.startdate),
        checks=(check_id("subject_id"), check_id("row_id"), _check_date("startdate")),
        code_columns=(CodeColumns(("ndc",), "NDC"),),
    )


_STAGES: dict[str, Callable[..., StagedTable]] = {
    "diagnoses_icd": _stage_diagnoses,
    "procedures_icd": _stage_procedures,
    "drgcodes": _stage_drgs,
    "cptevents": _stage_cpt_events,
}


# ---- What the tables of a stay share ----


def _dates_of_admissions(connection: Backend, rows: ir.Table) -> ir.Table:
    """Dates of each admission, by patient and admission."""
    rows = rows.mutate(subject_id=clean_id(rows.subject_id), hadm_id=clean_number(rows.hadm_id))
    one_each = rows.group_by("subject_id", "hadm_id").aggregate(
        admittime=rows.admittime.min(), dischtime=rows.dischtime.max()
    )
    return materialize(connection, "mimic3_admission_dates", one_each)[0]


def _stay_table(
    name: str,
    rows: ir.Table,
    files: Sequence[RawFile],
    *,
    to_canonical: Callable[[ir.Table], ir.Table],
    admissions: ir.Table | None = None,
    derive: Callable[[ir.Table], ir.Table] | None = None,
    codes: CodeColumns | None = None,
    checks: tuple[RowCheck, ...] = (),
    warnings: tuple[RowCheck, ...] = (),
) -> StagedTable:
    """Stage a table whose rows are lines of inpatient claims; `admissions` gives the dates that they lack."""

    def with_dates(rows: ir.Table) -> ir.Table:
        if admissions is not None:
            rows = rows.left_join(admissions, ["subject_id", "hadm_id"]).select(
                *(rows[column] for column in rows.columns), admissions.admittime, admissions.dischtime
            )
        return rows if derive is None else derive(rows)

    return StagedTable(
        name=name,
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column="subject_id",
        # Lines are numbered here, but the admission itself is line 1 of its claim.
        row_key=("row_id", "hadm_id") if admissions is not None else ("hadm_id",),
        kinds=_LAYOUTS[name].kinds,
        to_canonical=to_canonical,
        claim_type="IP",
        derive=with_dates,
        claim_column="hadm_id",
        service_date=lambda rows: _parse_shifted_date(rows.admittime),
        checks=(*_STAY_CHECKS, *checks),
        code_columns=() if codes is None else (codes,),
        warnings=warnings,
    )


def _lines_of_stay(rows: ir.Table, *, table: int, **columns: ir.Value) -> ir.Table:
    """Number the rows of each admission by their MIMIC row, behind the lines of the other tables."""
    number = ibis.row_number().over(group_by=rows.hadm_id, order_by=[rows.row_id.try_cast("int64"), rows.row_no])
    return rows.select(
        "source_file",
        "row_no",
        **_claim_of(rows, (table * _LINES_PER_TABLE + 1 + number).cast("int32")),
        **columns,
    )


def _claim_of(rows: ir.Table, number: ir.IntegerValue) -> dict[str, ir.Value]:
    """Say which claim a row belongs to, and when it was."""
    start, end = _parse_shifted_date(rows.admittime), _parse_shifted_date(rows.dischtime)
    return {
        "patient_id": rows.subject_id,
        "claim_id": rows.hadm_id,
        "claim_line_number": number,
        "claim_type": ibis.literal("IP"),
        "claim_start_date": start,
        "claim_end_date": end,
        "admission_date": start,
        "discharge_date": end,
    }


def _code_of(rows: ir.Table, column: str) -> ir.StringValue:
    """Look a word of MIMIC up, null where the table of codes lacks it."""
    return rows[column].upper().cases(*_CODES[column].items(), else_=ibis.null("string"))
