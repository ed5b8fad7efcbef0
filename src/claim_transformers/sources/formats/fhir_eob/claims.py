"""Claims of ExplanationOfBenefit: what the rows mean that the resources became."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ibis

from claim_transformers.claims.fields import (
    DateFormat,
    clean_id,
    parse_amount,
    parse_date,
    parse_number,
    subtract_share,
)
from claim_transformers.claims.quality import (
    RowCheck,
    check_date,
    check_id,
    check_line_number,
    check_order,
    fix_amount,
    fix_dates,
    warn_amount,
)
from claim_transformers.sources.formats.fhir_eob import SOURCE
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, StagedTable, Versions
from claim_transformers.sources.pipeline.lines import (
    list_diagnoses,
    list_modifiers,
    list_procedures,
    one_diagnosis,
    unfold_lines,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from claim_transformers.sources.pipeline.layout_files import FileLayout

DATES: DateFormat = "YYYY-MM-DD"
LAYOUTS = SOURCE.read_layouts()
_LINES, _DRUGS = LAYOUTS["claim_lines"], LAYOUTS["drug_events"]
# What the bill of an institution says, it says of the whole claim.
INSTITUTIONAL = ("IP", "OP", "HHA", "HOSP", "SNF")
_CODES = {"hcpcs": "HCPCS", "drg": "DRG", "revenue": "REV", "place": "POS", "discharge_status": "DISP"}
PARTS_PER_LINE = 1000


def stage_claim_lines(rows: ir.Table, files: Sequence[RawFile], widths: Mapping[str, int]) -> StagedTable:
    """Say what the rows of claims other than drugs mean."""
    names = {stem: _numbered(stem, widths) for stem in widths}
    return StagedTable(
        name="claim_lines",
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column="patient",
        row_key=("patient", "claim_key", "line_number"),
        to_canonical=lambda rows: _to_lines(rows, names),
        claim_type=lambda rows: rows.claim_type,
        kinds=_kinds(_LINES, rows),
        claim_column="claim_key",
        service_date=lambda rows: parse_date(rows.start, DATES),
        checks=(
            *_first_checks(_LINES),
            check_date("start", DATES),
            check_date("end", DATES, required=False),
            check_order("start", "end", DATES),
            check_order("admission", "discharge", DATES),
            _check_codes(),
        ),
        code_columns=tuple(
            CodeColumns(columns, system)
            for columns, system in (
                ((*names["diagnosis_9"], "admitting_9"), "ICD9CM"),
                ((*names["diagnosis_10"], "admitting_10"), "ICD10CM"),
                (names["procedure_9"], "ICD9PCS"),
                (names["procedure_10"], "ICD10PCS"),
                *(((column,), system) for column, system in _CODES.items()),
            )
            if columns
        ),
        versions=_versions(),
        warnings=(
            *_LINES.checks(("W_",)),
            warn_amount(("paid_amount", "allowed_amount"), ("paid_of_claim", None)),
            fix_amount("paid_amount", "allowed_amount", "charge_amount", "paid_of_claim", "charge_of_claim"),
            fix_dates(("admission", "discharge", "line_start", "line_end", "paid", *names["procedure_date"]), DATES),
            _fix_truncated(),
        ),
        denials=_LINES.denials,
    )


def stage_drug_events(rows: ir.Table, files: Sequence[RawFile], widths: Mapping[str, int]) -> StagedTable:
    """Say what the rows of drug events mean."""
    ndcs, quantities = _numbered("ndc", widths), _numbered("quantity", widths)
    return StagedTable(
        name="drug_events",
        target="rx_claim",
        rows=rows,
        files=tuple(files),
        patient_column="patient",
        row_key=("patient", "claim_key", "line_number"),
        to_canonical=lambda rows: _to_rx_claims(rows, ndcs, quantities),
        claim_type="RX",
        kinds=_kinds(_DRUGS, rows),
        claim_column="claim_key",
        service_date=lambda rows: parse_date(rows.dispensed, DATES),
        checks=(*_first_checks(_DRUGS), check_date("dispensed", DATES), _check_codes()),
        code_columns=(CodeColumns(ndcs, "NDC"),),
        versions=_versions(),
        warnings=(
            *_DRUGS.checks(("W_",)),
            warn_amount(("plan_paid", "cost"), ("patient_share", "cost"), ("cost", None)),
            fix_amount("plan_paid", "cost", "patient_share"),
            fix_dates(("paid",), DATES),
            _fix_truncated(),
        ),
    )


def _numbered(stem: str, widths: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{stem}_{number}" for number in range(1, widths[stem] + 1))


def _kinds(layout: FileLayout, rows: ir.Table) -> dict[str, str]:
    return {name: kind for name, kind in layout.kinds.items() if name in rows.columns}


def _first_checks(layout: FileLayout) -> tuple[RowCheck, ...]:
    """What a resource cannot be read without, and whether it counts."""
    return (
        RowCheck(
            "R_DIALECT", "the resource bears the marks of no dialect, or of two", lambda rows: rows.dialect.isnull()
        ),
        *layout.checks(("D_",)),
        RowCheck("R_CLAIM_TYPE", "the resource has no type that is known", lambda rows: rows.claim_type.isnull()),
        check_id("patient"),
        check_id("claim_key"),
        check_line_number("line_number", name="sequence"),
    )


def _check_codes() -> RowCheck:
    return RowCheck("R_NO_CODES", "the resource has no code of any known system", lambda rows: rows.has_codes == "no")


def _fix_truncated() -> RowCheck:
    return RowCheck(
        "F_TRUNCATED", "a claim with more codes than there are columns", lambda rows: rows.num_left_out != "0"
    )


def _versions() -> Versions:
    """Of a claim that is sent more than once, the version known last counts; one that is taken back is none."""
    return Versions(("patient", "version_key"), lambda rows: rows.version)


def _to_lines(rows: ir.Table, names: Mapping[str, tuple[str, ...]]) -> ir.Table:
    drg_type = ibis.ifelse(rows.drg.notnull(), "ms-drg", ibis.null("string"))
    dates = {
        "claim_start_date": "start",
        "claim_end_date": "end",
        "claim_line_start_date": "line_start",
        "claim_line_end_date": "line_end",
        "admission_date": "admission",
        "discharge_date": "discharge",
        "paid_date": "paid",
    }
    codes = {
        "discharge_disposition_code": "discharge_status",
        "admit_source_code": "admit_source",
        "admit_type_code": "admit_type",
        "place_of_service_code": "place",
        "bill_type_code": "bill_type",
        "drg_code": "drg",
        "revenue_center_code": "revenue",
        "hcpcs_code": "hcpcs",
    }
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows.patient,
        claim_id=rows.claim_key,
        claim_line_number=parse_number(rows.line_number, "int32"),
        claim_type=rows.claim_type,
        **{name: parse_date(rows[column], DATES) for name, column in dates.items()},
        **{name: rows[column] for name, column in codes.items()},
        drg_code_type=drg_type,
        hcpcs_modifiers=list_modifiers(rows, "hcpcs", names["modifier"]),
        diagnoses=_diagnoses(rows, names),
        admitting_diagnosis=_admitting(rows),
        procedures=_procedures(rows, names),
        rendering_npi=clean_id(rows.rendering_npi),
        billing_npi=clean_id(rows.billing_npi),
        facility_npi=clean_id(rows.facility_npi),
        service_unit_quantity=parse_number(rows.units, "float32"),
        **_amounts(rows),
    )


def _amounts(rows: ir.Table) -> dict[str, Any]:
    """Amounts of a line; what stands once for a whole bill goes to its first line only."""
    order = [parse_number(rows.line_number, "int32"), rows.source_file, rows.row_no]
    position = ibis.row_number().over(group_by=[rows.patient, rows.claim_key], order_by=order)
    is_institutional = rows.claim_type.isin(INSTITUTIONAL)

    def of_claim(whole: str, part: str) -> ir.DecimalValue:
        of_bill = ibis.ifelse(position == 0, rows[whole], ibis.null("string"))
        stands_for_all = is_institutional & rows[whole].notnull()
        return parse_amount(ibis.ifelse(stands_for_all, of_bill, rows[part]))

    return {
        "paid_amount": of_claim("paid_of_claim", "paid_amount"),
        "charge_amount": of_claim("charge_of_claim", "charge_amount"),
        "allowed_amount": parse_amount(rows.allowed_amount),
    }


def _diagnoses(rows: ir.Table, names: Mapping[str, tuple[str, ...]]) -> ir.ArrayValue:
    flags = [rows[name] for name in names["poa"]]
    lists = [
        list_diagnoses(system, [rows[name] for name in names[stem]], flags)
        for stem, system in (("diagnosis_9", "ICD9CM"), ("diagnosis_10", "ICD10CM"))
        if names[stem]
    ]
    return lists[0] if len(lists) == 1 else lists[0].concat(lists[1])


def _admitting(rows: ir.Table) -> ir.StructValue:
    system = ibis.ifelse(rows.admitting_9.notnull(), "ICD9CM", "ICD10CM")
    return one_diagnosis(system, ibis.coalesce(rows.admitting_9, rows.admitting_10))


def _procedures(rows: ir.Table, names: Mapping[str, tuple[str, ...]]) -> ir.ArrayValue:
    days = [parse_date(rows[name], DATES) for name in names["procedure_date"]]
    lists = [
        list_procedures(system, [rows[name] for name in names[stem]], days)
        for stem, system in (("procedure_9", "ICD9PCS"), ("procedure_10", "ICD10PCS"))
        if names[stem]
    ]
    return lists[0] if len(lists) == 1 else lists[0].concat(lists[1])


def _to_rx_claims(rows: ir.Table, ndcs: Sequence[str], quantities: Sequence[str]) -> ir.Table:
    entries = [{"ndc": rows[code], "quantity": rows[amount]} for code, amount in zip(ndcs, quantities, strict=True)]
    lines = unfold_lines(rows, entries, lambda entry: entry.ndc.notnull())
    # Parts of a compound are lines of their own; what was paid stands on the first.
    is_compound = ibis.or_(ibis.literal(False), *(lines[code].notnull() for code in ndcs[1:]))
    number = parse_number(lines.line_number, "int32")
    part = number * PARTS_PER_LINE + lines.line.position
    cost, share = parse_amount(lines.cost), parse_amount(lines.patient_share)
    amounts = {"paid_amount": ibis.coalesce(subtract_share(cost, share), parse_amount(lines.plan_paid))}
    amounts["allowed_amount"] = cost
    return lines.select(
        "source_file",
        "row_no",
        "is_first_line",
        patient_id=lines.patient,
        claim_id=lines.claim_key,
        claim_line_number=ibis.ifelse(is_compound, part, number).cast("int32"),
        dispensing_date=parse_date(lines.dispensed, DATES),
        ndc_code=lines.line.ndc,
        quantity=parse_number(lines.line.quantity, "float32"),
        days_supply=parse_number(lines.days_supply, "int16"),
        refills=parse_number(lines.refills, "int16"),
        paid_date=parse_date(lines.paid, DATES),
        **{
            name: ibis.ifelse(lines.is_first_line, amount, ibis.null("decimal(12, 2)"))
            for name, amount in amounts.items()
        },
    )
