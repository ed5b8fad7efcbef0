"""The claims behind visits, for people inside the boundary; neither patients nor examples hold their numbers."""

from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.engine import connect, engine_errors, fetch, load, view_table
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import open_folder
from claim_transformers.claims.visits import CODE_COLUMNS, collect_code_events


def claims_of_visits(patients: pa.Table, claims: str | Path) -> pa.Table:
    """Look up which claims gave the codes of each visit, by patient, day and type.

    The result holds identifiers and dates of service and stays inside the boundary of the claims.

    Args:
        patients (`pa.Table`): Rows of the patients table or of a cohort: `patient_id`, and the lists `visit_day` and
            `visit_type`. The index stay of a readmission cohort stands on its discharge and has the claims of its
            patient that were admitted in the stay; such rows have `admission_day` and `discharge_day`.
        claims (`str` or `Path`): The ingested folder that they come from.

    Returns:
        `pa.Table`: `row` (position in `patients`), `visit` (position in its lists), `data_source` and `claim_id`,
        sorted; a visit of several claims has several rows, and one of MEDS, which knows no claims, has none.

    Raises:
        ClaimDataError: `E_NO_FOLDER` or `E_INCOMPLETE` if there is no whole ingested folder.

    Examples:
        >>> claims_of_visits(pa.table({"patient_id": ["P1"], "visit_day": [[7]], "visit_type": [["OP"]]}), "/nowhere")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NO_FOLDER: expected an ingested folder at /nowhere, ...
    """
    folder = open_folder(claims)
    connection = connect()
    with engine_errors("looking up claims"):
        wanted = load(connection, "wanted_visits", _visits_of(patients))
        # Visits are made per patient; with the claim as part of the patient, each code keeps its claim.
        names = ("patient_id", "data_source", "claim_id")
        tables = [
            view_table(connection, name, folder.table_files(name), SCHEMAS[name]).semi_join(wanted, "patient_id")
            for name in ("claim_line", "rx_claim")
        ]
        lines, drugs = (
            table.mutate(patient_id=ibis.struct({name: table[name] for name in names})) for table in tables
        )
        events = collect_code_events(lines, drugs, tuple(CODE_COLUMNS))
        given = events.select(
            visit_day=events.visit_date.delta(ibis.date(1970, 1, 1), unit="day").cast("int32"),
            visit_type=events.visit_type.cast("string"),
            **{name: events.patient_id[name] for name in names},
        ).distinct()
        found = wanted.join(
            given,
            ["patient_id", "visit_type", wanted.first_day <= given.visit_day, wanted.last_day >= given.visit_day],
        )
        columns = ("row", "visit", "data_source", "claim_id")
        return fetch(connection, found.select(*columns).distinct().order_by(columns))


def _visits_of(patients: pa.Table) -> pa.Table:
    """One row per visit, and the days on which its codes may stand."""
    lengths = pc.list_value_length(patients["visit_day"]).to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(patients.num_rows), lengths)
    starts = np.cumsum(lengths) - lengths
    first = pc.list_flatten(patients["visit_day"]).to_numpy().astype(np.int64)
    last = first
    if "discharge_day" in patients.column_names:
        is_index = np.zeros(len(rows), bool)
        is_index[(starts + lengths - 1)[lengths > 0]] = True
        first, last = (
            np.where(is_index, patients[name].to_numpy()[rows], days)
            for name, days in (("admission_day", first), ("discharge_day", last))
        )
    return pa.table(
        {
            "row": rows,
            "visit": np.arange(len(rows)) - starts[rows],
            "patient_id": patients["patient_id"].cast(pa.string()).take(pa.array(rows)),
            "visit_type": pc.list_flatten(patients["visit_type"]).cast(pa.string()),
            "first_day": pa.array(first, pa.int32()),
            "last_day": pa.array(last, pa.int32()),
        }
    )
