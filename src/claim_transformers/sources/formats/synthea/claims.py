"""Encounters of Synthea as claims; conditions, procedures, medications, diagnoses and charges are their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import materialize
from claim_transformers.claims.fields import clean_id, clean_word, parse_amount, parse_date, parse_number
from claim_transformers.claims.quality import RowCheck, check_date, check_id, check_order, fix_amount, fix_dates
from claim_transformers.sources.formats.synthea.people import LAYOUTS
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, StagedTable
from claim_transformers.sources.pipeline.lines import list_diagnoses
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


def _join(rows: ir.Table, encounters: ir.Table, patient: str, encounter: str, day: str) -> ir.Table:
    """Add the claim to rows; one of an encounter that is not there is a claim of its own, by patient and day."""
    known = encounters.rename(of_patient="PATIENT", of_encounter="Id")
    joined = rows.left_join(known, [rows[patient] == known.of_patient, rows[encounter] == known.of_encounter])
    return joined.select(
        *(rows[name] for name in rows.columns),
        **{
            CLAIM: ibis.coalesce(rows[encounter], rows[patient] + "-" + rows[day]),
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
    is_condition = name == "conditions"

    def system_of(rows: ir.Table) -> ir.StringValue:
        named = clean_word(rows.SYSTEM).cases(*systems.items(), else_=ibis.null("string"))
        return ibis.ifelse(rows.SYSTEM.isnull(), _SNOMED, named)

    def to_canonical(rows: ir.Table) -> ir.Table:
        day = parse_date(rows.START, VISIT_DATES)
        entry = {"system": system_of(rows), "code": rows.CODE}
        entry |= {"poa": ibis.null("string"), "rank": ibis.null("int8")} if is_condition else {"date": day}
        codes = ibis.array([ibis.struct(entry)]).filter(lambda one: one.code.notnull())
        return _line(name, rows, "PATIENT", rows.START, **{"diagnoses" if is_condition else "procedures": codes})

    return _staged(
        name,
        rows,
        files,
        lambda rows: _join(rows, encounters, "PATIENT", "ENCOUNTER", "START"),
        patient="PATIENT",
        encounter="ENCOUNTER",
        day="START",
        to_canonical=to_canonical,
        checks=(
            *_has_code(),
            RowCheck("R_CODE_SYSTEM", "a code system that is not known", lambda rows: system_of(rows).isnull()),
        ),
        codes=CodeColumns(("CODE",), system_of=system_of, systems=tuple(sorted({_SNOMED, *systems.values()}))),
    )


def stage_medications(rows: ir.Table, files: Sequence[RawFile], *, has_charges: bool) -> StagedTable:
    """Medications become drug claims of their own, on the day they begin."""

    def derive(rows: ir.Table) -> ir.Table:
        claim = ibis.coalesce(rows.ENCOUNTER, rows.PATIENT) + "-medication"
        return rows.mutate(**own_claim(rows, claim, DRUG_TYPE))

    def to_canonical(rows: ir.Table) -> ir.Table:
        day = parse_date(rows.START, VISIT_DATES)
        code = ibis.struct({"system": ibis.literal(_RXNORM), "code": rows.CODE, "date": day})
        return _line(
            "medications",
            rows,
            "PATIENT",
            rows.START,
            procedures=ibis.array([code]).filter(lambda one: one.code.notnull()),
            service_unit_quantity=parse_number(rows.DISPENSES, "float32"),
            paid_amount=parse_amount(rows.PAYER_COVERAGE),
            **({} if has_charges else {"charge_amount": parse_amount(rows.TOTALCOST)}),
        )

    return _staged(
        "medications",
        rows,
        files,
        derive,
        patient="PATIENT",
        encounter="ENCOUNTER",
        day="START",
        to_canonical=to_canonical,
        checks=_has_code(),
        codes=CodeColumns(("CODE",), _RXNORM),
        warnings=(fix_amount("PAYER_COVERAGE", "TOTALCOST"),),
    )


def stage_claims(rows: ir.Table, files: Sequence[RawFile], encounters: ir.Table) -> StagedTable:
    """Claims become lines with the diagnoses of their encounter, in billed order."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        diagnoses = list_diagnoses(_SNOMED, [rows[name] for name in _DIAGNOSES])
        return _line("claims", rows, "PATIENTID", rows.SERVICEDATE, diagnoses=diagnoses)

    return _staged(
        "claims",
        rows,
        files,
        lambda rows: _join(rows, encounters, "PATIENTID", "APPOINTMENTID", "SERVICEDATE"),
        patient="PATIENTID",
        encounter="APPOINTMENTID",
        day="SERVICEDATE",
        to_canonical=to_canonical,
        key=("Id",),
        codes=CodeColumns(_DIAGNOSES, _SNOMED),
    )


def stage_transactions(rows: ir.Table, files: Sequence[RawFile], encounters: ir.Table) -> StagedTable:
    """Charges become lines with their amount; what was paid for them is dropped and counted."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        return _line(
            "claims_transactions",
            rows,
            "PATIENTID",
            rows.FROMDATE,
            service_unit_quantity=parse_number(rows.UNITS, "float32"),
            charge_amount=parse_amount(rows.AMOUNT),
        )

    return _staged(
        "claims_transactions",
        rows,
        files,
        lambda rows: _join(rows, encounters, "PATIENTID", "APPOINTMENTID", "FROMDATE"),
        patient="PATIENTID",
        encounter="APPOINTMENTID",
        day="FROMDATE",
        to_canonical=to_canonical,
        key=("ID",),
        warnings=(fix_amount("AMOUNT"),),
    )


def _has_code() -> tuple[RowCheck, ...]:
    return (RowCheck("R_NO_CODE", "no code", lambda rows: rows.CODE.isnull()),)


def _line(name: str, rows: ir.Table, patient: str, day: ir.StringValue, **columns: ir.Value) -> ir.Table:
    return rows.select(
        "source_file",
        "row_no",
        **claim_columns(rows, patient, day),
        claim_line_number=number_lines(rows, _TABLES.index(name), [day, *(rows[key] for key in _order_of(name))]),
        claim_line_start_date=parse_date(day, VISIT_DATES),
        claim_line_end_date=parse_date(day, VISIT_DATES),
        **columns,
    )


def _order_of(name: str) -> tuple[str, ...]:
    return {"claims": ("Id",), "claims_transactions": ("ID",)}.get(name, ("CODE",))


def _staged(
    name: str,
    rows: ir.Table,
    files: Sequence[RawFile],
    derive: Callable[[ir.Table], ir.Table],
    *,
    patient: str,
    encounter: str,
    day: str,
    to_canonical: Callable[[ir.Table], ir.Table],
    key: tuple[str, ...] | None = None,
    checks: tuple[RowCheck, ...] = (),
    codes: CodeColumns | None = None,
    warnings: tuple[RowCheck, ...] = (),
) -> StagedTable:
    """A table whose rows name an encounter; without numbers of their own, rows are told apart by all they say."""
    layout = LAYOUTS[name]
    is_drug = layout.claim_type == DRUG_TYPE
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
        patient_column=patient,
        row_key=layout.names if key is None else key,
        to_canonical=to_canonical,
        claim_type=lambda rows: rows[CLAIM_TYPE],
        derive=derive,
        kinds=layout.kinds,
        claim_column=encounter,
        service_date=lambda rows: parse_date(rows[day], VISIT_DATES),
        checks=(
            *layout.checks(("D_",)),
            check_id(patient),
            *(() if key is None else map(check_id, key)),
            check_date(day, VISIT_DATES),
            *checks,
        ),
        code_columns=() if codes is None else (codes,),
        warnings=warnings if is_drug else (*warnings, without_visit),
    )
