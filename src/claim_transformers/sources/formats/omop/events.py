"""Conditions, procedures, drugs and eras of a CDM: rows with one code each, lines of the claim that they name.

The system of a code decides where it stands, and not the table: OMOP files a code by what it means, so that there are
HCPCS codes among the drugs and procedures among the conditions. NDC codes become fills of `rx_claim`; ICD diagnoses
are diagnoses, HCPCS codes are services, and all others stand with the table that they are in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import ibis
from ibis import _

from claim_transformers.claims.engine import create_view, fetch_rows
from claim_transformers.claims.fields import parse_date, parse_number
from claim_transformers.claims.quality import RowCheck, check_date, check_id
from claim_transformers.sources.formats.omop.concepts import (
    CODE,
    SYSTEM,
    CodeTriple,
    ReadCodes,
    check_codes,
    count_codes,
    name_systems,
)
from claim_transformers.sources.formats.omop.tables import CdmTable
from claim_transformers.sources.formats.omop.visits import claim_of, join_claims, number_rows
from claim_transformers.sources.pipeline.contract import CodeColumns, StagedTable
from claim_transformers.sources.pipeline.lines import list_diagnoses, list_procedures, one_diagnosis
from claim_transformers.sources.pipeline.visit_claims import (
    CLAIM,
    CLAIM_START,
    CLAIM_TYPE,
    DRUG_TYPE,
    VISIT_DATES,
    claim_columns,
    own_claim,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_DIAGNOSES, _SERVICE, _FILL = ("ICD9CM", "ICD10CM"), "HCPCS", "NDC"
_ICD_PROCEDURES = ("ICD9PCS", "ICD10PCS")
_CONDITION, _DRUG = "condition", "drug"
# Two letters or digits, also several glued or with signs between.
_MODIFIER = "^[A-Z0-9]{2}$"


@dataclass(frozen=True)
class EventTable:
    """A raw table whose rows have one code each."""

    name: str  # Name of the table; its key is `NAME_id`.
    domain: str  # `condition`, `procedure` or `drug`, with which its columns of codes begin.
    day: str  # Column of the day.
    is_era: bool = False  # Whether it has standard concepts alone, and no visits.

    @property
    def key(self) -> str:
        """Column of the number of a row."""
        return f"{self.name}_id"

    @property
    def kinds(self) -> dict[str, str]:
        """What its columns of codes are, for the comparison of rows."""
        return {} if self.is_era else {f"{self.domain}_source_value": "ndc" if self.domain == _DRUG else "code"}

    @property
    def triple(self) -> CodeTriple:
        """Columns of its codes."""
        standard = f"{self.domain}_concept_id"
        if self.is_era:
            return CodeTriple(standard)
        return CodeTriple(standard, f"{self.domain}_source_value", f"{self.domain}_source_concept_id")


EVENTS = (
    EventTable("condition_occurrence", _CONDITION, "condition_start_date"),
    EventTable("procedure_occurrence", "procedure", "procedure_date"),
    EventTable("drug_exposure", _DRUG, "drug_exposure_start_date"),
    EventTable("condition_era", _CONDITION, "condition_era_start_date", is_era=True),
    EventTable("drug_era", _DRUG, "drug_era_start_date", is_era=True),
)


@dataclass(frozen=True)
class ReadEvents:
    """What is read of a table before its rows are staged."""

    event: EventTable  # The table.
    codes: ReadCodes  # Its codes.
    claims: Mapping[str, ir.Table]  # The claims that its rows may name.

    def derive(self, rows: ir.Table) -> ir.Table:
        """Add code and claim to rows."""
        rows = join_claims(self.codes.join(rows), self.claims, self.event.name)
        if self.event.domain != _DRUG:
            return rows
        # A drug that is no service of a visit is a claim of its own, as pharmacies write them.
        is_own = ~name_systems(rows, (_SERVICE,))
        own = own_claim(claim_of(rows, self.event.name), DRUG_TYPE)
        return rows.mutate(**{part: ibis.ifelse(is_own, own[part], rows[part]) for part in own})


def stage_events(connection: Backend, table: CdmTable, read: ReadEvents) -> list[StagedTable]:
    """Stage a table: fills by NDC, and lines of claims."""
    lines = _stage_lines(table, read)
    if read.event.name != "drug_exposure":
        return [lines]
    fill_rows, other_rows = (
        create_view(connection, f"omop_drugs_{is_of}", read.codes.pick(table.rows, _FILL, is_of=is_of))
        for is_of in (True, False)
    )
    counts = fetch_rows(connection, fill_rows.group_by("source_file").aggregate(n=_.count()))
    numbers = {row["source_file"]: row["n"] for row in counts}
    # Each part has the files as if they held it alone; what is true of a file is told of the second.
    of_fills = [
        replace(file, num_rows=numbers.get(file.name, 0), rejects=None, fixes={}, warnings={}) for file in table.files
    ]
    of_others = [replace(file, num_rows=file.num_rows - numbers.get(file.name, 0)) for file in table.files]
    fills = replace(
        lines,
        name=f"{read.event.name}_by_ndc",
        target="rx_claim",
        rows=fill_rows,
        files=tuple(of_fills),
        claim_type=DRUG_TYPE,
        to_canonical=_to_fills,
        code_columns=(CodeColumns((CODE,), _FILL),),
    )
    systems = tuple(one for one in read.codes.systems if one != _FILL)
    return [fills, replace(lines, rows=other_rows, files=tuple(of_others), code_columns=_code_columns(systems))]


def _stage_lines(table: CdmTable, read: ReadEvents) -> StagedTable:
    event = read.event
    statuses = table.layout.values.get("condition_status_concept_id", {})

    def to_canonical(rows: ir.Table) -> ir.Table:
        return _to_lines(rows, event, statuses)

    warnings = () if event.is_era or event.domain == _DRUG else (_warn_without_claim(),)
    return StagedTable(
        name=event.name,
        target="claim_line",
        rows=table.rows,
        files=table.files,
        patient_column="person_id",
        row_key=(event.key,),
        to_canonical=to_canonical,
        claim_type=lambda rows: rows[CLAIM_TYPE],
        derive=read.derive,
        # Copies are judged by codes in canonical writing; a reader would refuse columns of codes that were floats.
        kinds={**table.layout.kinds, **event.kinds},
        claim_column=None if event.is_era else "visit_occurrence_id",
        service_date=lambda rows: parse_date(rows[event.day], VISIT_DATES),
        checks=(check_id("person_id"), check_id(event.key), check_date(event.day, VISIT_DATES), *check_codes()),
        code_columns=_code_columns(read.codes.systems),
        warnings=(*count_codes(), *warnings),
    )


def _code_columns(systems: tuple[str, ...]) -> tuple[CodeColumns, ...]:
    return (CodeColumns((CODE,), system_of=lambda rows: rows[SYSTEM], systems=systems),) if systems else ()


def _warn_without_claim() -> RowCheck:
    return RowCheck(
        "W_CLAIM_TYPE",
        "a row that names no visit that is there is an outpatient claim of its own",
        lambda rows: rows[CLAIM_START].isnull(),
    )


def _to_lines(rows: ir.Table, event: EventTable, statuses: Mapping[str, str]) -> ir.Table:
    day = parse_date(rows[event.day], VISIT_DATES)
    is_diagnosis = name_systems(rows, _DIAGNOSES)
    is_service = name_systems(rows, (_SERVICE,))
    if event.domain == _CONDITION:
        is_diagnosis |= ~(is_service | name_systems(rows, _ICD_PROCEDURES))
    is_admitting, is_primary = (_has_status(rows, statuses, meaning) for meaning in ("admitting", "primary"))
    is_admitting &= is_diagnosis
    nothing = ibis.null("string")
    code = rows[CODE]
    diagnosis = ibis.ifelse(is_diagnosis & ~is_admitting, code, nothing)
    rank = ibis.ifelse(is_primary, ibis.literal(1, "int8"), ibis.null("int8"))
    procedure = ibis.ifelse(is_diagnosis | is_service, nothing, code)
    more = {}
    if "modifier_source_value" in rows.columns:
        modifier = rows.modifier_source_value.upper()
        more["hcpcs_modifiers"] = ibis.array([ibis.ifelse(modifier.re_search(_MODIFIER), modifier, nothing)]).filter(
            lambda one: one.notnull()
        )
    if "quantity" in rows.columns:
        more["service_unit_quantity"] = parse_number(rows.quantity, "float32")
    return rows.select(
        "source_file",
        "row_no",
        **claim_columns(rows, "person_id", rows[event.day]),
        claim_line_number=number_rows(rows, event.name, event.key),
        claim_line_start_date=day,
        claim_line_end_date=day,
        hcpcs_code=ibis.ifelse(is_service, code, nothing),
        diagnoses=list_diagnoses(rows[SYSTEM], [diagnosis], ranks=[rank]),
        admitting_diagnosis=one_diagnosis(rows[SYSTEM], ibis.ifelse(is_admitting, code, nothing)),
        procedures=list_procedures(rows[SYSTEM], [procedure], [day]),
        **more,
    )


def _has_status(rows: ir.Table, statuses: Mapping[str, str], meaning: str) -> ir.BooleanValue:
    """Whether the status of a condition has a meaning; other tables have none."""
    concepts = [concept for concept, of_concept in statuses.items() if of_concept == meaning]
    return rows.condition_status_concept_id.isin(concepts).fill_null(False) if concepts else ibis.literal(False)


def _to_fills(rows: ir.Table) -> ir.Table:
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows.person_id,
        claim_id=rows[CLAIM],
        claim_line_number=ibis.literal(1, "int32"),
        dispensing_date=parse_date(rows.drug_exposure_start_date, VISIT_DATES),
        ndc_code=rows[CODE],
        quantity=parse_number(rows.quantity, "float32"),
        days_supply=parse_number(rows.days_supply, "int16"),
        refills=parse_number(rows.refills, "int16"),
    )
