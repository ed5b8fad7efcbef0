"""Codes of a cohort against the dates of the claims themselves, for the leak check.

Shares nothing with the code that cuts (`claims.known`, `cohorts.timelines`, `cohorts.readmission.examples`): when each
claim ended and was paid is read off the canonical tables once more, and every code of every example must stand on a
claim of its patient that was over, and paid where that is asked for, at the index date.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.claims.engine import connect, engine_errors, fetch, load, materialize, view_table
from claim_transformers.claims.patient_parts import count_parts, run_on_parts
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import DRUG_NAMES, DRUG_NAMES_SCHEMA, open_folder
from claim_transformers.claims.visits import CODE_COLUMNS, INPATIENT, collect_code_events, name_drugs

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.claims.spark import SparkTasks

_EXAMPLES_AT_ONCE = 50_000
_COLUMNS = ("patient_id", "index_day", "visit_day", "visit_type", "codes")
_NEVER = np.iinfo(np.int32).max
_STAYS = ("HHA", "HOSP", INPATIENT, "SNF")


def count_unknown_codes(
    tables: Sequence[pa.Table],
    claims: str | Path,
    *,
    hides_unpaid: bool,
    connection: "Backend | None" = None,
    tasks: "SparkTasks | None" = None,
) -> int:
    """How many codes of the examples stand on no claim that was known; none where the folder has no claims.

    The folder of a part, for which there is a connection, may have none and is asked all the same.
    """
    folder = open_folder(claims)
    files = {name: folder.table_files(name) for name in ("claim_line", "rx_claim")}
    if connection is None and not any(files.values()):
        return 0
    names = [*_COLUMNS, *(("admission_day",) if "discharge_day" in tables[0].column_names else ())]
    examples = pa.concat_tables(table.select(names) for table in tables)
    if tasks is not None:
        columns = {**dict.fromkeys(files), "patients": ("patient_id",)}
        count_part = partial(_count_in_part, examples, hides_unpaid)
        return sum(run_on_parts(tasks, folder, columns, count_part, count_parts(folder, *files)))
    connection, count = connection or connect(), 0
    with engine_errors("checking a cohort against its claims"):
        codes = load(connection, "shown_codes", _shown_codes(examples.slice(0, 0)))
        claim_line, rx_claim = (
            view_table(connection, name, paths, SCHEMAS[name]).semi_join(codes, "patient_id")
            for name, paths in files.items()
        )
        names = view_table(connection, DRUG_NAMES, folder.table_files(DRUG_NAMES), DRUG_NAMES_SCHEMA)
        events = name_drugs(_dated_events(claim_line, rx_claim), names)
        for start in range(0, examples.num_rows, _EXAMPLES_AT_ONCE):
            load(connection, "shown_codes", _shown_codes(examples.slice(start, _EXAMPLES_AT_ONCE)))
            # Both questions below are asked of them.
            dated, _ = materialize(connection, "dated_events", events)
            unknown = fetch(connection, _unknown_codes(codes, dated, hides_unpaid=hides_unpaid).count().as_table())
            count += int(unknown[0][0].as_py())
    return count


def _count_in_part(examples: pa.Table, hides_unpaid: bool, _: int, connection: "Backend", claims: Path) -> int:
    """Count for the examples of the patients of a part."""
    ids = pa.concat_tables(pq.read_table(path, columns=["patient_id"]) for path in (claims / "patients").iterdir())
    own = examples.filter(pc.is_in(examples["patient_id"], value_set=ids["patient_id"].combine_chunks()))
    return count_unknown_codes([own], claims, hides_unpaid=hides_unpaid, connection=connection) if own.num_rows else 0


def _shown_codes(examples: pa.Table) -> pa.Table:
    """Every code of the examples with its patient, index date and visit; the last visit of a stay's is the stay."""
    visits = pc.list_flatten(examples["codes"])
    owners = np.repeat(np.arange(examples.num_rows), _lengths(examples["codes"]))
    visit = np.repeat(np.arange(len(visits)), _lengths(visits))
    columns = {name: examples[name].take(pa.array(owners[visit])) for name in ("patient_id", "index_day")}
    columns["kind"] = pc.list_flatten(examples["visit_type"]).take(pa.array(visit)).cast(pa.string())
    columns["day"] = pc.list_flatten(examples["visit_day"]).take(pa.array(visit))
    columns["code"] = pc.list_flatten(visits).cast(pa.string())
    if "admission_day" in examples.column_names:
        admission = examples["admission_day"].take(pa.array(owners)).combine_chunks()
        is_last = np.ones(len(owners), bool)
        is_last[:-1] = owners[1:] != owners[:-1]
        columns["admission_day"] = pc.if_else(pa.array(is_last), admission, None).take(pa.array(visit))
    else:
        columns["admission_day"] = pa.nulls(len(visit), pa.int32())
    return pa.table(columns)


def _lengths(lists: pa.ChunkedArray) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = pc.list_value_length(lists).to_numpy().astype(np.int64)
    return lengths


def _unknown_codes(codes: "ir.Table", events: "ir.Table", *, hides_unpaid: bool) -> "ir.Table":
    """Codes of visits without a claim that was known, and codes of index stays without a claim of the stay."""
    paid_day = events.paid_day if hides_unpaid else ibis.null("int32")
    events = events.mutate(known_day=ibis.greatest(events.last_day + 1, paid_day))
    of_visits = codes.filter(codes.admission_day.isnull())
    unknown = of_visits.anti_join(
        events, ["patient_id", "kind", "day", "code", of_visits.index_day >= events.known_day]
    )
    # An index stay is seen whole on the day after its discharge, whatever is billed or paid of it later.
    of_stays = codes.filter(codes.admission_day.notnull())
    foreign = of_stays.anti_join(
        events,
        [
            "patient_id",
            "kind",
            "code",
            of_stays.index_day > events.discharge_day,
            of_stays.admission_day <= events.discharge_day,
        ],
    )
    return ibis.union(unknown.select("code"), foreign.select("code"))


def _dated_events(claim_line: "ir.Table", rx_claim: "ir.Table") -> "ir.Table":
    """Every code with the days that decide when it was known, in days since 1970-01-01."""
    epoch = ibis.date(1970, 1, 1)

    def day(*dates: "ir.Value") -> "ir.Value":
        return ibis.greatest(*dates).delta(epoch, unit="day").cast("int32")

    over = day(claim_line.claim_end_date, claim_line.discharge_date)
    line_over = day(claim_line.claim_line_start_date, claim_line.claim_line_end_date, claim_line.claim_start_date)
    paid, dispensed = day(claim_line.paid_date), day(rx_claim.dispensing_date)
    discharged = ibis.coalesce(
        claim_line.discharge_date, claim_line.claim_end_date, claim_line.admission_date, claim_line.claim_start_date
    )
    of_lines = {
        # A stay without an end is over when it is paid.
        "last_day": ibis.cases(
            (claim_line.claim_type.isin(_STAYS) & over.isnull(), ibis.coalesce(paid, _NEVER) - 1),
            (claim_line.claim_type == INPATIENT, over),
            else_=ibis.greatest(over, line_over),
        ).cast("int32"),
        "paid_day": paid,
        "discharge_day": day(discharged),
    }
    of_drugs = {"last_day": dispensed, "paid_day": day(rx_claim.paid_date), "discharge_day": dispensed}
    # Codes are collected per patient; with its days as part of the patient, each code keeps them.
    admission = ibis.coalesce(claim_line.admission_date, claim_line.claim_start_date)
    begun = day(ibis.ifelse(claim_line.claim_type == INPATIENT, admission, claim_line.claim_start_date))
    # What was suspected at the admission is known from then on.
    admitting = claim_line.filter(claim_line.admitting_diagnosis.notnull()).select(
        "patient_id",
        code=claim_line.admitting_diagnosis["system"] + "/" + claim_line.admitting_diagnosis["code"],
        kind=claim_line.claim_type.cast("string"),
        day=begun,
        last_day=begun,
        paid_day=paid,
        discharge_day=of_lines["discharge_day"],
    )
    lines, drugs = (
        table.mutate(patient_id=ibis.struct({"patient_id": table.patient_id, **days}))
        for table, days in ((claim_line, of_lines), (rx_claim, of_drugs))
    )
    events = collect_code_events(lines, drugs, tuple(CODE_COLUMNS))
    dated = events.select(
        patient_id=events.patient_id["patient_id"],
        code=events.code,
        kind=events.visit_type.cast("string"),
        day=day(events.visit_date),
        **{name: events.patient_id[name] for name in of_drugs},
    )
    return ibis.union(dated, admitting)
