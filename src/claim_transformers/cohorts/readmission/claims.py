"""Claims and stays behind a readmission cohort, as Ibis expressions on the canonical tables.

One row per claim says when it began and ended, when it was paid and what was paid, because an example sees whole
claims or nothing of them. One row per stay is an example to be: a claim under the plain rule, joined claims under the
others.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import engine_errors, materialize, view_table
from claim_transformers.claims.known import line_end_date
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.stays import join_stays
from claim_transformers.claims.store import DRUG_NAMES, DRUG_NAMES_SCHEMA, open_folder
from claim_transformers.claims.visits import INPATIENT, PHARMACY, collect_code_events, name_drugs
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

STAY_CLAIMS, CLAIMS, EVENTS = "stay_claims", "claims", "events"
# A number is of the payer that gave it, and of one kind of claims: medical and pharmacy claims are numbered apart.
CLAIM_KEY = ("patient_id", "data_source", "claim_id", "claim_type")


def open_tables(connection: "Backend", claims: str | Path) -> dict[str, "ir.Table"]:
    """The canonical tables of an ingested folder, as views of the engine; a table without files has no rows."""
    folder = open_folder(claims)
    tables = {}
    for name, schema in SCHEMAS.items():
        with engine_errors(f"opening {name}"):
            tables[name] = view_table(connection, name, folder.table_files(name), schema)
    tables[DRUG_NAMES] = view_table(connection, DRUG_NAMES, folder.table_files(DRUG_NAMES), DRUG_NAMES_SCHEMA)
    return tables


def _list_claims(claim_line: "ir.Table", rx_claim: "ir.Table") -> "ir.Table":
    """One row per claim; `last_date` tells when it is known and is null for a stay without an end."""
    start = ibis.coalesce(claim_line.admission_date, claim_line.claim_start_date)
    start = ibis.ifelse(claim_line.claim_type == INPATIENT, start, claim_line.claim_start_date)
    end = ibis.greatest(
        ibis.coalesce(claim_line.discharge_date, claim_line.claim_end_date, start),
        ibis.coalesce(claim_line.claim_line_end_date, claim_line.claim_line_start_date, start),
    )
    # The last line of an inpatient claim may be billed after the discharge; the stay ends with the discharge.
    end = ibis.ifelse(
        claim_line.claim_type == INPATIENT,
        ibis.coalesce(claim_line.discharge_date, claim_line.claim_end_date, start),
        end,
    )
    lines = claim_line.select(
        "patient_id",
        "data_source",
        "claim_id",
        "paid_date",
        claim_type=claim_line.claim_type.cast("string"),
        start_date=start,
        end_date=end,
        last_date=line_end_date(claim_line),
        paid_amount=claim_line.paid_amount.cast("float64"),
        disposition=claim_line.discharge_disposition_code,
        has_discharge=claim_line.discharge_date.notnull(),
        admitting=claim_line.admitting_diagnosis["system"] + "/" + claim_line.admitting_diagnosis["code"],
    )
    drugs = rx_claim.select(
        "patient_id",
        "data_source",
        "claim_id",
        "paid_date",
        claim_type=ibis.literal(PHARMACY),
        start_date=rx_claim.dispensing_date,
        end_date=rx_claim.dispensing_date,
        last_date=rx_claim.dispensing_date,
        paid_amount=rx_claim.paid_amount.cast("float64"),
        disposition=ibis.null("string"),
        has_discharge=ibis.literal(False),
        admitting=ibis.null("string"),
    )
    both = ibis.union(lines, drugs)
    return both.group_by(*CLAIM_KEY).aggregate(
        start_date=both.start_date.min(),
        end_date=both.end_date.max(),
        last_date=ibis.ifelse(both.last_date.notnull().all(), both.last_date.max(), ibis.null("date")),
        paid_date=both.paid_date.max(),
        paid_amount=both.paid_amount.sum(),
        disposition=both.disposition.max(),
        has_discharge=both.has_discharge.any(),
        admitting=both.admitting.min(),
    )


def _list_code_events(claim_line: "ir.Table", rx_claim: "ir.Table", definition: ReadmissionDefinition) -> "ir.Table":
    """Every code with its claim and service date, each once, and whether it is the principal diagnosis."""

    # Visits are made per patient; with the claim as part of the patient, each code keeps its claim.
    def keyed(table: "ir.Table") -> "ir.Table":
        return table.mutate(patient_id=ibis.struct({name: table[name] for name in CLAIM_KEY[:3]}))

    events = collect_code_events(keyed(claim_line), keyed(rx_claim), definition.code_columns)
    events = events.select(
        "visit_date",
        "code",
        **{name: events.patient_id[name] for name in CLAIM_KEY[:3]},
        claim_type=events.visit_type.cast("string"),
    )
    key = [*CLAIM_KEY, "code"]
    principal = _principal_diagnoses(claim_line).mutate(is_principal=True)
    joined = events.left_join(principal, key)
    return joined.select(*events.columns, is_principal=joined.is_principal.fill_null(False))


def _codes_of(claim_line: "ir.Table", column: str, **fields: str) -> "ir.Table":
    """Codes of a list column with their claim, and further fields of the column."""
    lines = claim_line.mutate(claim_type=claim_line.claim_type.cast("string"))
    entries = lines.select(*CLAIM_KEY, entry=lines[column].unnest())
    code = entries.entry["system"] + "/" + entries.entry["code"]
    return entries.select(*CLAIM_KEY, code=code, **{name: entries.entry[field] for name, field in fields.items()})


def _principal_diagnoses(claim_line: "ir.Table") -> "ir.Table":
    entries = _codes_of(claim_line, "diagnoses", place="rank")
    return entries.filter(entries.place == 1).drop("place").drop_null().distinct()


def _list_stays(claims: "ir.Table", claim_line: "ir.Table", definition: ReadmissionDefinition) -> "ir.Table":
    """One row per stay, in the order in which the rule reads them."""
    if definition.joins_stays:
        joined = join_stays(
            claim_line, max_gap_days=definition.max_gap_days, interim_gap_days=definition.max_gap_days + 1
        )
        stays = joined.select(
            "patient_id",
            "admission_date",
            "discharge_date",
            "is_open",
            "claims",
            disposition=joined.discharge_disposition_code,
        )
    else:
        inpatient = claims.filter(claims.claim_type == INPATIENT)
        stays = inpatient.select(
            "patient_id",
            "disposition",
            admission_date=inpatient.start_date,
            discharge_date=inpatient.end_date,
            is_open=~inpatient.has_discharge,
            claims=ibis.array([ibis.struct({name: inpatient[name] for name in CLAIM_KEY[1:3]})]),
        )
    order = [stays.patient_id, stays.admission_date, stays.discharge_date, stays.claims[0]]
    return stays.mutate(stay=ibis.row_number().over(order_by=order).cast("int64"))


def _stay_claims(stays: "ir.Table") -> "ir.Table":
    """The claims of each stay: `stay` and `CLAIM_KEY`."""
    claims = stays.select("stay", "patient_id", claim=stays.claims.unnest(), claim_type=ibis.literal(INPATIENT))
    return claims.unpack("claim")


def stay_codes(stays_claims: "ir.Table", claims: "ir.Table", claim_line: "ir.Table") -> tuple["ir.Table", "ir.Table"]:
    """The principal diagnosis of each stay and the procedures of all of its claims: what tells planned stays.

    The principal diagnosis of joined claims is that of the first, in the order of admission, end and number: what the
    patient was admitted for.
    """
    own = stays_claims.join(claims.select(*CLAIM_KEY, "start_date", "end_date"), CLAIM_KEY)
    order = ibis.window(group_by=own.stay, order_by=[own.start_date, own.end_date, own.claim_id, own.data_source])
    own = own.mutate(place=ibis.row_number().over(order)).select("stay", *CLAIM_KEY, "place")
    lines = claim_line.filter(claim_line.claim_type == INPATIENT)
    principal = own.filter(own.place == 0).join(_principal_diagnoses(lines), CLAIM_KEY)
    procedures = own.join(_codes_of(lines, "procedures").distinct(), CLAIM_KEY)
    return tuple(table.select("stay", "code").distinct() for table in (principal, procedures))


def prepare(connection: "Backend", tables: dict[str, "ir.Table"], definition: ReadmissionDefinition) -> "ir.Table":
    """Make the tables that examples are built from: `claims`, `events` and `stay_claims`; the stays are returned."""
    claim_line, rx_claim = tables["claim_line"], tables["rx_claim"]
    with engine_errors("listing claims and stays"):
        claims, _ = materialize(connection, CLAIMS, _list_claims(claim_line, rx_claim))
        events = name_drugs(_list_code_events(claim_line, rx_claim, definition), tables[DRUG_NAMES])
        materialize(connection, EVENTS, events)
        stays, _ = materialize(connection, "stays", _list_stays(claims, claim_line, definition))
        materialize(connection, STAY_CLAIMS, _stay_claims(stays))
    return stays
