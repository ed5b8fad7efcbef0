"""Members without any claim: they are in no row of the patients table, are enrolled all the same, and have a risk."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.engine import connect, engine_errors, read_batches, view_table
from claim_transformers.claims.enrollment import ELIGIBILITY_COLUMNS, SEXES, EligibilityRows, merge_eligibility
from claim_transformers.claims.packing import NULL_DAY
from claim_transformers.claims.patient_files import PATIENTS_SCHEMA, PRINCIPAL_CODES
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import IngestedFolder
from claim_transformers.claims.visit_amounts import AMOUNT_FIELDS

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

# Rows of eligibility that become patients at a time, twelve or so per patient and year in monthly files.
_ROWS_AT_A_TIME = 1 << 16
_MEMORY = "256MB"

# What is read of an ingested folder.
TABLES = {"eligibility": ELIGIBILITY_COLUMNS, "patients": ("patient_id",)}


def unclaimed_patients(
    folder: IngestedFolder, last_day: int, *, threads: int | None = None, connection: "Backend | None" = None
) -> Iterator[pa.Table]:
    """Read who is in the table of eligibility and has no claim, as rows of the patients table without visits."""
    files = folder.table_files("eligibility")
    if not files:
        return
    with engine_errors("looking for members without claims"):
        connection = connection or connect(threads=threads, memory_limit=_MEMORY)
        eligibility = view_table(connection, "eligibility", files, SCHEMAS["eligibility"])
        patients = view_table(connection, "patients", folder.table_files("patients"), PATIENTS_SCHEMA)
        rows = eligibility.anti_join(patients, "patient_id").select(*ELIGIBILITY_COLUMNS).order_by("patient_id")
        pending: list[pa.Table] = []
        for batch in read_batches(connection, rows, rows_per_batch=_ROWS_AT_A_TIME):
            pending.append(pa.Table.from_batches([batch]))
            while sum(table.num_rows for table in pending) > _ROWS_AT_A_TIME:
                table = pa.concat_tables(pending)
                cut = _cut(table["patient_id"])
                yield _patients_of(table.slice(0, cut), last_day)
                pending = [table.slice(cut)]
        if sum(table.num_rows for table in pending):
            yield _patients_of(pa.concat_tables(pending), last_day)


def _cut(identifiers: pa.ChunkedArray) -> int:
    """Where the first rows end so that no patient is torn apart: behind the patient of the last of them."""
    following = identifiers.slice(_ROWS_AT_A_TIME)
    same = pc.equal(following, identifiers[_ROWS_AT_A_TIME - 1]).to_numpy()
    return _ROWS_AT_A_TIME + (len(same) if same.all() else int(np.argmin(same)))


def _patients_of(rows: pa.Table, last_day: int) -> pa.Table:
    """Fold rows of eligibility into patients without visits."""
    identifiers = pc.unique(rows["patient_id"])
    found, _ = EligibilityRows.of_batches(
        rows.combine_chunks().to_batches(),
        lambda ids: pc.index_in(ids, value_set=identifiers).to_numpy(zero_copy_only=False),
    )
    known = merge_eligibility(found, len(identifiers), last_day, is_known=True)
    spans = pa.array(known.span_offsets.astype(np.int32))
    number = len(identifiers)
    nothing = pa.array(np.zeros(number + 1, np.int32))
    columns = {
        "patient_id": identifiers,
        "sex": pa.array([*SEXES, None], pa.string()).take(pa.array(known.sexes.astype(np.int64) % (len(SEXES) + 1))),
        "birth_day": _days(known.birth_days),
        "death_day": _days(known.death_days),
        "enrollment_start_day": pa.ListArray.from_arrays(spans, pa.array(known.span_starts, pa.int32())),
        "enrollment_end_day": pa.ListArray.from_arrays(spans, pa.array(known.span_ends, pa.int32())),
    }
    for field in (*list(PATIENTS_SCHEMA)[len(columns) :], PRINCIPAL_CODES, *AMOUNT_FIELDS.values()):
        columns[field.name] = pa.ListArray.from_arrays(nothing, pa.array([], field.type.value_type))
    return pa.table(columns)


def _days(days: "npt.NDArray[np.integer]") -> pa.Array:
    return pa.array(days, pa.int32(), mask=days == NULL_DAY)
