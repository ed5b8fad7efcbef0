"""Encounters of Synthea as claims; conditions, procedures, medications, diagnoses and charges are their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import ibis

from claim_transformers.claims.engine import materialize
from claim_transformers.claims.fields import clean_id, clean_word, parse_amount, parse_date, parse_number
from claim_transformers.claims.quality import (
    RowCheck,
    check_date,
    check_id,
    check_order,
    fix_amount,
    fix_dates,
    warn_amount,
)
from claim_transformers.sources.formats.synthea.people import LAYOUTS
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, StagedTable
from claim_transformers.sources.pipeline.lines import list_diagnoses, list_procedures
from claim_transformers.sources.pipeline.visit_claims import (
    CLAIM,
    CLAIM_END,
    CLAIM_PARTS,
    CLAIM_START,
    CLAIM_TYPE,
    DRUG_TYPE,
    OTHER_TYPE,
    VISIT_DATES,
    claim_columns,
    number_lines,
    own_claim,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

# The order of the lines of a claim.
_TABLES = ("encounters", "conditions", "procedures", "medications", "claims", "claims_transactions")
_CLASSES = LAYOUTS["encounters"].values["ENCOUNTERCLASS"]
_DIAGNOSES = tuple(name for name in LAYOUTS["claims"].names if name.startswith("DIAGNOSIS"))
_SNOMED, _RXNORM = "SNOMED", "RXNORM"
_HAS_CODE = RowCheck("R_NO_CODE", "no code", lambda rows: rows.CODE.isnull())


class _At(NamedTuple):
    """Raw columns that say where a row belongs."""

    patient: str
    encounter: str
    day: str
    key: str = ""  # Number of the row, where it has one.


_OF_ENCOUNTER = _At("PATIENT", "ENCOUNTER", "START")
_COLUMNS = {
    "claims": _At("PATIENTID", "APPOINTMENTID", "SERVICEDATE", "Id"),
    "claims_transactions": _At("PATIENTID", "APPOINTMENTID", "FROMDATE", "ID"),
}


def read_encounters(connection: Backend, rows: ir.Table) -> ir.Table:
    """The claims of encounters by patient and encounter, with type and dates."""
    start, last = (parse_date(rows[name], VISIT_DATES) for name in ("START", "STOP"))
    # What is screened out is no claim of any row.
    kept = rows.filter(rows.Id.notnull() & start.notnull() & (last.isnull() | (last >= start)))
    claims = kept.group_by(PATIENT=clean_id(kept.PATIENT), Id=clean_id(kept.Id)).aggregate(
        encounter_class=_type_of(kept).min(), encounter_start=kept.START.min(), encounter_stop=kept.STOP.max()
    )
    return materialize(connection, "synthea_encounters", claims)[0]


def _type_of(rows: ir.Table) -> ir.StringValue:
    return clean_word(rows.ENCOUNTERCLASS).cases(*_CLASSES.items(), else_=OTHER_TYPE)


def _join(rows: ir.Table, encounters: ir.Table, at: _At) -> ir.Table:
    """Add the claim to rows; one of an encounter that is not there is a claim of its own, by patient and day."""
    patient, encounter = rows[at.patient], rows[at.encounter]
    known = encounters.rename(of_patient="PATIENT", of_encounter="Id")
    joined = rows.left_join(known, [patient == known.of_patient, encounter == known.of_encounter])
    return joined.select(
        *(rows[name] for name in rows.columns),
        **{
            CLAIM: ibis.coalesce(encounter, patient + "-" + rows[at.day]),
            CLAIM_TYPE: ibis.coalesce(known.encounter_class, ibis.literal(OTHER_TYPE)),
            CLAIM_START: known.encounter_start,
            CLAIM_END: known.encounter_stop,
        },
    )


def stage_encounters(rows: ir.Table, files: Sequence[RawFile], *, has_charges: bool) -> StagedTable:
    """Encounters become lines without codes; charges count once, with the transactions where there are any."""

    def derive(rows: ir.Table) -> ir.Table:
        own = (rows.Id, _type_of(rows), rows.START, rows.STOP)
        return rows.mutate(**dict(zip(CLAIM_PARTS, own, strict=True)))

    def to_canonical(rows: ir.Table) -> ir.Table:
        charge = {} if has_charges else {"charge_amount": parse_amount(rows.TOTAL_CLAIM_COST)}
        return rows.select(
            "source_file",
            "row_no",
            **claim_columns(rows, "PATIENT", rows.START),
            claim_line_number=ibis.literal(1, "int32"),
            claim_line_start_date=parse_date(rows.START, VISIT_DATES),
            claim_line_end_date=parse_date(rows.STOP, VISIT_DATES),
            paid_amount=parse_amount(rows.PAYER_COVERAGE),
            **charge,
        )

    return StagedTable(
        name="encounters",
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column="PATIENT",
        row_key=("Id",),
        to_canonical=to_canonical,
        claim_type=lambda rows: rows[CLAIM_TYPE],
        derive=derive,
        kinds=LAYOUTS["encounters"].kinds,
        claim_column="Id",
        service_date=lambda rows: parse_date(rows.START, VISIT_DATES),
        checks=(
            check_id("PATIENT"),
            check_id("Id"),
            check_date("START", VISIT_DATES),
            check_date("STOP", VISIT_DATES, required=False),
            check_order("START", "STOP", VISIT_DATES),
        ),
        warnings=(
            fix_dates(("STOP",), VISIT_DATES),
            warn_amount(("PAYER_COVERAGE", "TOTAL_CLAIM_COST"), ("TOTAL_CLAIM_COST", None)),
            fix_amount("TOTAL_CLAIM_COST", "PAYER_COVERAGE"),
            RowCheck(
                "W_CLAIM_TYPE",
                "an encounter of a class that names no type of claim is an outpatient one",
                lambda rows: clean_word(rows.ENCOUNTERCLASS).notin([*_CLASSES]).fill_null(True),
            ),
        ),
    )


def stage_codes(name: str, rows: ir.Table, files: Sequence[RawFile], encounters: ir.Table) -> StagedTable:
    """Conditions or procedures, one code each, become lines of their encounter."""
    systems = LAYOUTS[name].values["SYSTEM"]

    def system_of(rows: ir.Table) -> ir.StringValue:
        named = clean_word(rows.SYSTEM).cases(*systems.items(), else_=ibis.null("string"))
        return ibis.ifelse(rows.SYSTEM.isnull(), _SNOMED, named)

    def columns_of(rows: ir.Table) -> dict[str, ir.Value]:
        if name == "conditions":
            return {"diagnoses": list_diagnoses(system_of(rows), [rows.CODE], ranks=[ibis.null("int8")])}
        day = parse_date(rows.START, VISIT_DATES)
        return {"procedures": list_procedures(system_of(rows), [rows.CODE], [day])}

    return _staged(
        name,
        rows,
        files,
        encounters,
        columns_of,
        checks=(
            _HAS_CODE,
            RowCheck("R_CODE_SYSTEM", "a code system that is not known", lambda rows: system_of(rows).isnull()),
        ),
        codes=CodeColumns(("CODE",), system_of=system_of, systems=tuple(sorted({_SNOMED, *systems.values()}))),
    )


def stage_medications(rows: ir.Table, files: Sequence[RawFile], *, has_charges: bool) -> StagedTable:
    """Medications become drug claims of their own, on the day they begin."""

    def columns_of(rows: ir.Table) -> dict[str, ir.Value]:
        return {
            "procedures": list_procedures(_RXNORM, [rows.CODE], [parse_date(rows.START, VISIT_DATES)]),
            "service_unit_quantity": parse_number(rows.DISPENSES, "float32"),
            "paid_amount": parse_amount(rows.PAYER_COVERAGE),
            **({} if has_charges else {"charge_amount": parse_amount(rows.TOTALCOST)}),
        }

    warnings = (
        warn_amount(("PAYER_COVERAGE", "TOTALCOST"), ("TOTALCOST", None)),
        fix_amount("PAYER_COVERAGE", "TOTALCOST"),
    )
    codes = CodeColumns(("CODE",), _RXNORM)
    return _staged("medications", rows, files, None, columns_of, checks=(_HAS_CODE,), codes=codes, warnings=warnings)


def stage_claims(rows: ir.Table, files: Sequence[RawFile], encounters: ir.Table) -> StagedTable:
    """Claims become lines with the diagnoses of their encounter, in billed order."""

    def columns_of(rows: ir.Table) -> dict[str, ir.Value]:
        return {"diagnoses": list_diagnoses(_SNOMED, [rows[name] for name in _DIAGNOSES])}

    return _staged("claims", rows, files, encounters, columns_of, codes=CodeColumns(_DIAGNOSES, _SNOMED))


def stage_transactions(rows: ir.Table, files: Sequence[RawFile], encounters: ir.Table) -> StagedTable:
    """Charges become lines with their amount; what was paid for them is dropped and counted."""

    def columns_of(rows: ir.Table) -> dict[str, ir.Value]:
        return {
            "service_unit_quantity": parse_number(rows.UNITS, "float32"),
            "charge_amount": parse_amount(rows.AMOUNT),
        }

    warnings = (warn_amount(("AMOUNT", None)), fix_amount("AMOUNT"))
    return _staged("claims_transactions", rows, files, encounters, columns_of, warnings=warnings)


def _own_drug_claims(rows: ir.Table) -> ir.Table:
    claim = ibis.coalesce(rows.ENCOUNTER, rows.PATIENT) + "-medication"
    return rows.mutate(**own_claim(claim, DRUG_TYPE))


def _staged(
    name: str,
    rows: ir.Table,
    files: Sequence[RawFile],
    encounters: ir.Table | None,
    columns_of: Callable[[ir.Table], dict[str, ir.Value]],
    *,
    checks: tuple[RowCheck, ...] = (),
    codes: CodeColumns | None = None,
    warnings: tuple[RowCheck, ...] = (),
) -> StagedTable:
    """A table whose rows name an encounter, lines of its claim; without `encounters` each is a claim of its own."""
    layout, at = LAYOUTS[name], _COLUMNS.get(name, _OF_ENCOUNTER)

    def derive(rows: ir.Table) -> ir.Table:
        return _own_drug_claims(rows) if encounters is None else _join(rows, encounters, at)

    def to_canonical(rows: ir.Table) -> ir.Table:
        day = rows[at.day]
        return rows.select(
            "source_file",
            "row_no",
            **claim_columns(rows, at.patient, day),
            claim_line_number=number_lines(rows, _TABLES.index(name), [day, rows[at.key or "CODE"]]),
            claim_line_start_date=parse_date(day, VISIT_DATES),
            claim_line_end_date=parse_date(day, VISIT_DATES),
            **columns_of(rows),
        )

    without_visit = RowCheck(
        "W_CLAIM_TYPE",
        "a row that names no encounter that is there is an outpatient claim of its own",
        lambda rows: rows[CLAIM_START].isnull(),
    )
    return StagedTable(
        name=name,
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column=at.patient,
        # Without numbers of their own, rows are told apart by all they say.
        row_key=(at.key,) if at.key else layout.names,
        to_canonical=to_canonical,
        claim_type=lambda rows: rows[CLAIM_TYPE],
        derive=derive,
        kinds=layout.kinds,
        claim_column=at.encounter,
        service_date=lambda rows: parse_date(rows[at.day], VISIT_DATES),
        checks=(
            *layout.checks(("D_",)),
            check_id(at.patient),
            *((check_id(at.key),) if at.key else ()),
            check_date(at.day, VISIT_DATES),
            *checks,
        ),
        code_columns=() if codes is None else (codes,),
        warnings=warnings if encounters is None else (*warnings, without_visit),
    )
