"""Visits, as Ibis expressions that any engine can run.

A visit is the codes billed for one patient on one service date under one claim type. This module says which canonical
columns give codes and on which date, and collects them with nothing but unions. `claims.sequences` folds them into
visits as packed integers; tests compare its rows with those of an Ibis form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ibis.expr.types as ir

INPATIENT = "IP"
_NDC_PRODUCT_LENGTH = len("NDC/") + 9
PHARMACY = "RX"


@dataclass(frozen=True)
class CodeColumn:
    """Where the codes of one kind stand in the canonical tables, and which date they carry."""

    name: str  # Name of the choice in `code_columns`.
    table: Literal["claim_line", "rx_claim"]  # `"claim_line"` or `"rx_claim"`.
    column: str  # The canonical column. A list column holds structs with `system` and `code`.
    system: str | None  # Code system of a plain column; `None` for a list column, whose structs name it.
    # The code's own date: a column of the table or, in a list column, a field of the struct. Where it is null or not
    # given, the header date stands in.
    date: str | None = None
    # Column, its value, and the system of the codes beside that value, such as those of another grouper, which gives
    # the same numbers to other groups.
    other: tuple[str, str, str] | None = None


_COLUMNS = (
    CodeColumn("diagnoses", "claim_line", "diagnoses", None),
    CodeColumn("procedures", "claim_line", "procedures", None, "date"),
    CodeColumn("hcpcs", "claim_line", "hcpcs_code", "HCPCS", "claim_line_start_date"),
    CodeColumn("drg", "claim_line", "drg_code", "DRG", other=("drg_code_type", "apr-drg", "APRDRG")),
    CodeColumn("ndc", "rx_claim", "ndc_code", "NDC", "dispensing_date"),
    CodeColumn("rev", "claim_line", "revenue_center_code", "REV", "claim_line_start_date"),
    CodeColumn("pos", "claim_line", "place_of_service_code", "POS", "claim_line_start_date"),
    CodeColumn("disp", "claim_line", "discharge_disposition_code", "DISP"),
)
CODE_COLUMNS = {code_column.name: code_column for code_column in _COLUMNS}
# Revenue centre, place of service and discharge disposition describe the bill more than the patient, and the
# disposition states a transfer, which gives a readmission label away.
DEFAULT_CODE_COLUMNS = ("diagnoses", "procedures", "hcpcs", "drg", "ndc")


def resolve_code_columns(code_columns: Sequence[str] = DEFAULT_CODE_COLUMNS) -> list[CodeColumn]:
    """Look the chosen code columns up by name."""
    known = ", ".join(CODE_COLUMNS)
    for name in code_columns:
        if name not in CODE_COLUMNS:
            raise ValueError(f"expected code columns out of {known}, found {name!r}")
    if not code_columns:
        raise ValueError(f"expected at least one code column out of {known}, found none")
    return [code_column for name, code_column in CODE_COLUMNS.items() if name in code_columns]


def _header_date(claim_line: "ir.Table") -> "ir.Value":
    """Date of the codes on the header of a claim: the admission of an inpatient claim, else the start of the claim."""
    import ibis

    admitted = ibis.coalesce(claim_line.admission_date, claim_line.claim_start_date)
    return ibis.ifelse(claim_line.claim_type == INPATIENT, admitted, claim_line.claim_start_date)


def collect_code_events(
    claim_line: "ir.Table", rx_claim: "ir.Table", code_columns: Sequence[str] = DEFAULT_CODE_COLUMNS
) -> "ir.Table":
    """Take every code of the canonical tables to its patient, service date and claim type, each once."""
    import ibis

    events = []
    for code_column in resolve_code_columns(code_columns):
        table = claim_line if code_column.table == "claim_line" else rx_claim
        events.append(_events_of_column(table, code_column))
    return ibis.union(*events, distinct=True) if len(events) > 1 else events[0].distinct()


def name_drugs(events: "ir.Table", drug_names: "ir.Table") -> "ir.Table":
    """Put the ingredient in the place of the NDC where the ingested folder names it, as its patients have it."""
    import ibis

    names = drug_names.select(product="NDC/" + drug_names.ndc9, named="DRUG/" + drug_names.ingredient)
    joined = events.left_join(names, events.code.substr(0, _NDC_PRODUCT_LENGTH) == names.product)
    return joined.mutate(code=ibis.coalesce(joined.named, joined.code)).select(*events.columns).distinct()


def _events_of_column(table: "ir.Table", code_column: CodeColumn) -> "ir.Table":
    """Codes of one column as rows of patient, date, type and `SYSTEM/CODE`."""
    import ibis

    on_claim_line = code_column.table == "claim_line"
    system: ir.StringValue = ibis.literal(code_column.system, "string")
    if code_column.other is not None:
        column, value, other = code_column.other
        system = ibis.ifelse(table[column] == value, other, system)
    rows = table.select(
        "patient_id",
        code_system=system,
        visit_type=table.claim_type if on_claim_line else ibis.literal(PHARMACY),
        fallback_date=_header_date(table) if on_claim_line else ibis.null("date"),
        own_date=table[code_column.date] if code_column.system and code_column.date else ibis.null("date"),
        code=table[code_column.column] if code_column.system else table[code_column.column].unnest(),
    )
    if code_column.system is None:
        own_date = rows.code[code_column.date] if code_column.date else rows.own_date
        rows = rows.mutate(own_date=own_date, code=rows.code["system"] + "/" + rows.code["code"])
    else:
        rows = rows.mutate(code=rows.code_system + "/" + rows.code)
    return rows.select(
        "patient_id", visit_date=ibis.coalesce(rows.own_date, rows.fallback_date), visit_type="visit_type", code="code"
    ).drop_null()
