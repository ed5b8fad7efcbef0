"""Claims of CMS RIF: what the rows of a layout file mean, for all seven claim types and Part D events.

One raw row is one claim line; the claim stands again on every one of its rows. Amounts of a whole claim therefore go
to its first line only, so that the lines of a claim add up to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from claim_transformers.claims.engine import store_rows
from claim_transformers.claims.fields import add_each, clean_id, parse_amount, parse_date, parse_number, subtract_share
from claim_transformers.claims.planning import build_wide
from claim_transformers.claims.quality import (
    RowCheck,
    check_date,
    check_id,
    check_line_number,
    check_order,
    fix_amount,
    fix_dates,
    warn_amount,
    warn_diagnosis_gap,
)
from claim_transformers.claims.reversals import Reversal
from claim_transformers.sources.formats.cms_rif.fields import (
    CODING_DAY,
    DATES,
    add_coding_day,
    add_days,
    code_of,
    day_of,
    find_admitting_columns,
    find_diagnosis_columns,
    split_codes,
    use_columns,
    warn_code_version,
)
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, StagedTable, Versions, are_few
from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.pipeline.lines import list_diagnoses, list_modifiers, list_procedures, one_diagnosis

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

# CMS, MS-DRG: in use for discharges from this day on; the same numbers meant other groups before.
_MS_DRG_START = dt.date(2007, 10, 1)
_CODES = {
    "hcpcs_code": "HCPCS",
    "drg_code": "DRG",
    "revenue_center_code": "REV",
    "place_of_service_code": "POS",
    "discharge_disposition_code": "DISP",
}
_PLAIN = ("admit_source_code", "admit_type_code", "place_of_service_code", "discharge_disposition_code")
_STAY = ("admission_date", "discharge_date")
_LINE = ("claim_line_start_date", "claim_line_end_date")
_OPTIONAL_DATES = (*_STAY, *_LINE)
_DAYS = ("claim_start_date", "claim_end_date", *_LINE)
_VERSION = "VERSION_OF_CLAIM"


def stage_rif_claims(
    connection: Backend,
    rows: ir.Table,
    files: Sequence[RawFile],
    layout: FileLayout,
    *,
    scratch: Path,
    keep_denied: bool = False,
) -> StagedTable:
    """Say what the rows of a claims file mean."""
    whole = layout
    # Most claims fill few of their numbered columns, and every one of them would be planned at every step.
    if all(file.filled is not None for file in files):
        layout = layout.up_to_last({name for file in files for name in file.filled or ()})
    (patient,), (claim,) = layout.find("patient_id"), layout.find("claim_id")
    is_rx = layout.target == "rx_claim"
    start = layout.find("dispensing_date" if is_rx else "claim_start_date")[0]
    return StagedTable(
        name=layout.name,
        target="rx_claim" if is_rx else "claim_line",
        rows=rows,
        files=tuple(files),
        patient_column=patient,
        row_key=(patient, claim, *layout.find("claim_line_number")),
        kinds=whole.kinds,
        derive=lambda rows: store_rows(
            connection,
            f"derived_{layout.name}",
            build_wide(_derive_rif_rows, rows, layout),
            scratch,
            are_few=are_few(rows, files),
        ),
        to_canonical=(lambda rows: _to_rx_claims(rows, layout))
        if is_rx
        else lambda rows: _to_lines(rows, layout, whole),
        is_wide=True,
        claim_type=layout.claim_type,
        claim_column=claim,
        service_date=lambda rows: parse_date(rows[day_of(start)], DATES),
        checks=(
            *(one for one in layout.checks(("D_",)) if not (keep_denied and one.reason_code == "D_DENIED")),
            *_checks(layout),
            *layout.checks(("R_",)),
        ),
        code_columns=_code_columns(layout),
        reversal=_reversal(layout),
        versions=None if layout.version_day is None else Versions((patient, claim), lambda rows: rows[_VERSION]),
        warnings=(*_warnings(layout), *layout.checks(("W_",))),
        denials=layout.denials,
    )


def _derive_rif_rows(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Add what the checks and the lines read: days, codes by system, and the version of the claim."""
    rows = add_days(use_columns(rows, layout), layout)
    if layout.target == "claim_line":
        rows = split_codes(add_coding_day(rows, layout), layout)
    if layout.version_day is None:
        return rows
    version = rows[day_of(layout.version_day)]
    if layout.version_instruction is not None:
        # Of one day, the later instruction counts.
        order = rows[layout.version_instruction].upper().cases(("UPDATE", "1"), ("DELETE", "2"), else_="0")
        version += order.fill_null("0")
    return rows.mutate(**{_VERSION: version})


def _checks(layout: FileLayout) -> tuple[RowCheck, ...]:
    (patient,), (claim,) = layout.find("patient_id"), layout.find("claim_id")
    ids = (check_id(patient), check_id(claim))
    if layout.target == "rx_claim":
        return (*ids, check_date(day_of(layout.find("dispensing_date")[0]), DATES))
    (number,) = layout.find("claim_line_number")
    start, end = (day_of(layout.find(field)[0]) for field in ("claim_start_date", "claim_end_date"))
    checks = [
        *ids,
        check_line_number(number),
        check_date(start, DATES),
        check_date(end, DATES),
        *(check_date(day_of(name), DATES, required=False) for field in _OPTIONAL_DATES for name in layout.find(field)),
        check_order(start, end, DATES),
    ]
    admitted, discharged = (layout.find(field) for field in _STAY)
    if admitted and discharged:
        checks.append(check_order(day_of(admitted[0]), day_of(discharged[0]), DATES))
    return tuple(checks)


def _code_columns(layout: FileLayout) -> tuple[CodeColumns, ...]:
    if layout.target == "rx_claim":
        return (CodeColumns(layout.find("ndc_code"), "NDC"),)
    diagnoses = [code for code, _, _ in find_diagnosis_columns(layout)]
    diagnoses += [code for code, _ in find_admitting_columns(layout)]
    procedures = layout.find("procedures.code")
    groups = {
        **{system: tuple(code_of(system, name) for name in diagnoses) for system in ("ICD9CM", "ICD10CM")},
        **{system: tuple(code_of(system, name) for name in procedures) for system in ("ICD9PCS", "ICD10PCS")},
        **{system: layout.find(field) for field, system in _CODES.items()},
    }
    return tuple(CodeColumns(columns, system) for system, columns in groups.items() if columns)


def _reversal(layout: FileLayout) -> Reversal | None:
    """A charge and its reversal share patient, dates and what was done; any amount or count tells them apart."""
    amounts = _amount_columns(layout)
    if not amounts:
        return None
    shared = ("patient_id", *_DAYS, "dispensing_date", "revenue_center_code", "hcpcs_code", "ndc_code")
    numbers, counts = ("claim_id", "claim_line_number"), ("service_unit_quantity", "quantity", "days_supply")
    key, of_claim, counted = (
        tuple(name for field in fields for name in layout.find(field)) for fields in (shared, numbers, counts)
    )
    return Reversal(key, of_claim, amounts, counted)


def _amount_columns(layout: FileLayout) -> tuple[str, ...]:
    fields = ("paid_amount", "allowed_amount", "charge_amount")
    parts = ("", ".of_claim", ".patient_share")
    return tuple(name for field in fields for part in parts for name in layout.find(f"{field}{part}"))


def _warnings(layout: FileLayout) -> tuple[RowCheck, ...]:
    paid = layout.find("paid_amount") or layout.find("paid_amount.of_claim") or layout.find("allowed_amount")
    allowed = layout.find("allowed_amount") if layout.find("paid_amount") else ()
    found = []
    if paid:
        share = next(iter(layout.find("paid_amount.patient_share")), None)
        pairs = [(paid[0], next(iter(allowed), None)), *([(share, paid[0])] if share else [])]
        found = [warn_amount(*pairs), fix_amount(*_amount_columns(layout))]
    fields = (*_OPTIONAL_DATES, "paid_date", "procedures.date")
    if secondary := [day_of(name) for field in fields for name in layout.find(field)]:
        found.append(fix_dates(secondary, DATES))
    if listed := layout.find("diagnoses.listed.code"):
        found.append(warn_diagnosis_gap(listed))
    if (version := warn_code_version(layout)) is not None:
        found.append(version)
    if stated := [rule.column for rule in layout.rules if rule.reason_code == "R_CLAIM_TYPE"]:
        found.append(
            RowCheck(
                "W_CLAIM_TYPE",
                "a claim that does not say its type has that of the file",
                lambda rows: rows[stated[0]].isnull(),
            )
        )
    if drg := layout.find("drg_code"):
        found.append(
            RowCheck(
                "F_DRG_TYPE",
                "a DRG from before MS-DRG becomes null",
                lambda rows: rows[drg[0]].notnull() & (rows[CODING_DAY] < ibis.date(_MS_DRG_START)),
            )
        )
    return tuple(found)


def _claim_id(rows: ir.Table, layout: FileLayout) -> ir.StringValue:
    # The same number can stand under two claim types.
    return rows[layout.find("claim_id")[0]] + f"-{layout.claim_type}"


def _to_lines(rows: ir.Table, layout: FileLayout, whole: FileLayout) -> ir.Table:
    (patient,), (number,) = layout.find("patient_id"), layout.find("claim_line_number")
    # Dates that stand in two lists are read, and planned, once.
    dated = {_procedure_date(name): rows[day_of(name)] for name in layout.find("procedures.date")}
    rows = add_each(rows, dated, lambda text: parse_date(text, DATES))
    columns: dict[str, Any] = {
        "patient_id": rows[patient],
        "claim_id": _claim_id(rows, layout),
        "claim_line_number": parse_number(rows[number], "int32"),
        "claim_type": ibis.literal(layout.claim_type),
        **_dates(rows, layout),
        **{name: rows[raw[0]] for name in _PLAIN if (raw := layout.find(name))},
        **{name: rows[raw[0]] for name in ("revenue_center_code", "hcpcs_code") if (raw := layout.find(name))},
        **_amounts(rows, layout),
        "diagnoses": _diagnoses(rows, layout, whole),
    }
    for name in ("rendering_npi", "billing_npi", "facility_npi"):
        if raw := layout.find(name):
            columns[name] = ibis.coalesce(*(clean_id(rows[column]) for column in raw))
    if bill := [layout.find(f"bill_type_code.{part}") for part in ("facility", "classification", "frequency")]:
        parts = [rows[raw[0]] for raw in bill if raw]
        if len(parts) == len(bill):
            columns["bill_type_code"] = parts[0] + parts[1] + parts[2]
    if drg := layout.find("drg_code"):
        is_ms_drg = rows[CODING_DAY] >= ibis.date(_MS_DRG_START)
        columns["drg_code"] = ibis.ifelse(is_ms_drg, rows[drg[0]], ibis.null("string"))
        is_there = is_ms_drg & rows[drg[0]].notnull()
        columns["drg_code_type"] = ibis.ifelse(is_there, "ms-drg", ibis.null("string"))
    if units := layout.find("service_unit_quantity"):
        columns["service_unit_quantity"] = parse_number(rows[units[0]], "float32")
    if hcpcs := layout.find("hcpcs_code"):
        columns["hcpcs_modifiers"] = list_modifiers(rows, hcpcs[0], layout.find("hcpcs_modifiers"))
    for name, _ in find_admitting_columns(layout):
        icd9, icd10 = (rows[code_of(system, name)] for system in ("ICD9CM", "ICD10CM"))
        system = ibis.ifelse(icd9.notnull(), "ICD9CM", "ICD10CM")
        columns["admitting_diagnosis"] = one_diagnosis(system, ibis.coalesce(icd9, icd10))
    if layout.find("procedures.code"):
        columns["procedures"] = _procedures(rows, layout)
    return rows.select("source_file", "row_no", **columns)


def _dates(rows: ir.Table, layout: FileLayout) -> dict[str, ir.DateValue]:
    fields = ("claim_start_date", "claim_end_date", "paid_date", *_STAY)
    starts = layout.find(_LINE[0])
    # A service of one day has one column.
    columns = {name: layout.find(name) for name in fields} | {
        _LINE[0]: starts,
        _LINE[1]: layout.find(_LINE[1]) or starts,
    }
    return {name: parse_date(rows[day_of(raw[0])], DATES) for name, raw in columns.items() if raw}


def _amounts(rows: ir.Table, layout: FileLayout) -> dict[str, ir.DecimalValue]:
    (patient,), (claim,) = layout.find("patient_id"), layout.find("claim_id")
    (number,) = layout.find("claim_line_number")
    order = [parse_number(rows[number], "int32"), rows["source_file"], rows["row_no"]]
    position = ibis.row_number().over(group_by=[rows[patient], rows[claim]], order_by=order)
    amounts = {}
    for name in ("paid_amount", "allowed_amount", "charge_amount"):
        if raw := layout.find(name):
            amounts[name] = parse_amount(rows[raw[0]])
        elif raw := layout.find(f"{name}.of_claim"):
            amounts[name] = parse_amount(ibis.ifelse(position == 0, rows[raw[0]], ibis.null("string")))
    return amounts


def _diagnoses(rows: ir.Table, layout: FileLayout, whole: FileLayout) -> ir.ArrayValue:
    columns = find_diagnosis_columns(layout)
    ranks = {code: rank for rank, (code, _, _) in enumerate(find_diagnosis_columns(whole), start=1)}
    principal = layout.find("diagnoses.principal.code")
    flags = [ibis.null("string") if flag is None else rows[flag] for _, _, flag in columns]
    if principal and (flag := code_of("POA", principal[0])) in rows.columns:
        flags[0] = rows[flag]
    lists = [
        list_diagnoses(
            system,
            [rows[code_of(system, code)] for code, _, _ in columns],
            flags,
            ranks=[ranks[code] for code, _, _ in columns],
        )
        for system in ("ICD9CM", "ICD10CM")
    ]
    return lists[0].concat(lists[1])


def _procedure_date(name: str) -> str:
    return f"date of {name}"


def _procedures(rows: ir.Table, layout: FileLayout) -> ir.ArrayValue:
    names, dated = layout.find("procedures.code"), layout.find("procedures.date")
    dates = [rows[_procedure_date(name)] for name in dated] or None
    lists = [
        list_procedures(system, [rows[code_of(system, name)] for name in names], dates)
        for system in ("ICD9PCS", "ICD10PCS")
    ]
    return lists[0].concat(lists[1])


def _to_rx_claims(rows: ir.Table, layout: FileLayout) -> ir.Table:
    def raw(field: str) -> ir.StringValue:
        found = layout.find(field)
        return rows[found[0]] if found else ibis.null("string")

    cost = parse_amount(raw("allowed_amount"))
    if layout.find("paid_amount.patient_share"):
        # CCW: the gross cost of the drug, of which the patient pays a share; DE-SynPUF is read the same way.
        paid = subtract_share(cost, parse_amount(raw("paid_amount.patient_share")))
    else:
        paid = parse_amount(raw("paid_amount"))
    paid_day = [parse_date(rows[day_of(name)], DATES) for name in layout.find("paid_date")]
    return rows.select(
        "source_file",
        "row_no",
        patient_id=raw("patient_id"),
        claim_id=_claim_id(rows, layout),
        claim_line_number=ibis.literal(1, "int32"),
        dispensing_date=parse_date(rows[day_of(layout.find("dispensing_date")[0])], DATES),
        ndc_code=raw("ndc_code"),
        quantity=parse_number(raw("quantity"), "float32"),
        days_supply=parse_number(raw("days_supply"), "int16"),
        refills=parse_number(raw("refills"), "int16"),
        paid_amount=paid,
        allowed_amount=cost,
        paid_date=paid_day[0] if paid_day else ibis.null("date"),
    )
