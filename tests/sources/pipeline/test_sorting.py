"""Sorting by ranges of patients: the bytes are those of one sort, whatever fits into memory at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources.raw_claims import inpatient, outpatient, prescription, write_synpuf

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.sequences import PatientsWriter
from claim_transformers.sources.pipeline import contract, sorting
from claim_transformers.sources.pipeline import ingest as ingesting
from claim_transformers.sources.pipeline.publishing import complete_lines

PATIENTS = [f"P{number}" for number in (3, 1, 12, 2, 7)]


def _raw(folder: Path) -> Path:
    stays = [inpatient(patient, f"I{patient}") for patient in PATIENTS]
    # A claim that goes on in another segment, and one whose number another kind of claim has too, on the same day.
    stays += [inpatient("P7", "IP7", SEGMENT="2", CLM_PMT_AMT="7.00", HCPCS_CD_1="99213", HCPCS_CD_3="G0008")]
    visits = [outpatient(patient, f"O{place}") for place, patient in enumerate(PATIENTS)]
    visits += [outpatient("P1", "IP1", CLM_FROM_DT="20090412", CLM_THRU_DT="20090412", HCPCS_CD_1="36415")]
    fills = [prescription(patient, f"E{patient}") for patient in PATIENTS]
    return write_synpuf(folder, inpatients=stays, outpatients=visits, prescriptions=fills)


def _content(raw: Path, out: Path, **options: str) -> dict[str, bytes]:
    ingesting.ingest("synpuf", raw, out, progress=False, threads=1, **options)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_ranges_and_little_memory_give_the_same_bytes_as_one_sort(tmp_path: Path, monkeypatch) -> None:
    raw = _raw(tmp_path / "raw")
    expected = _content(raw, tmp_path / "whole", memory_limit="4GB")
    monkeypatch.setattr(sorting, "_ROWS_PER_RANGE", 3)
    spread, spread_rows = [], sorting._spread

    def watch(*given: Any) -> None:
        spread.append(given)
        spread_rows(*given)

    monkeypatch.setattr(sorting, "_spread", watch)

    assert _content(raw, tmp_path / "ranges", memory_limit="100MB") == expected
    assert min(len(paths) for _, _, paths in spread) > 1


def test_lines_unfolded_after_the_sort_are_those_unfolded_before_it(tmp_path: Path, monkeypatch) -> None:
    raw = _raw(tmp_path / "raw")
    _content(raw, tmp_path / "folded")

    def complete_unfolded(connection, target, screened, *others, **options):
        unfolded = [replace(one, table=replace(one.table, to_folded=None)) for one in screened]
        return complete_lines(connection, target, unfolded, *others, **options)

    monkeypatch.setattr(ingesting, "complete_lines", complete_unfolded)

    _content(raw, tmp_path / "unfolded")
    found, expected = (pq.read_table(tmp_path / name / "claim_line") for name in ("folded", "unfolded"))
    assert found.to_pylist() == expected.to_pylist()
    assert found.schema == expected.schema


def test_patients_of_lines_as_they_are_written_are_those_that_are_read_back(tmp_path: Path, monkeypatch) -> None:
    raw = _raw(tmp_path / "raw")
    expected = _content(raw, tmp_path / "read")
    added: list[str] = []
    add = PatientsWriter.add

    def watch(self: PatientsWriter, table: str, rows: pa.Table) -> None:
        added.append(table)
        add(self, table, rows)

    monkeypatch.setattr(PatientsWriter, "add", watch)
    monkeypatch.setattr(contract, "_FEW_CELLS", 0)

    assert _content(raw, tmp_path / "written") == expected
    assert added == ["claim_line", "rx_claim"]


@pytest.mark.parametrize("patient_ids", [["b", "a", "c", "a", "a", "d"], ["a"] * 6, []])
def test_rows_come_in_one_order_and_none_is_lost(tmp_path: Path, monkeypatch, patient_ids: list[str]) -> None:
    monkeypatch.setattr(sorting, "_ROWS_PER_RANGE", 2)
    monkeypatch.setattr(sorting, "_SAMPLED_ROWS_PER_RANGE", 100)
    connection = connect(threads=1)
    days = [None, 2, 2, 1, None, 3][: len(patient_ids)]
    table = pa.table({"patient_id": pa.array(patient_ids, pa.string()), "day": pa.array(days, pa.int32())})
    rows = load(connection, "rows", table.append_column("place", pa.array(range(len(patient_ids)), pa.int64())))

    # Of equal keys the row that came last stands first.
    batches = sorting.sort_batches(
        connection,
        rows,
        ("patient_id", "day"),
        num_rows=6,
        folder=tmp_path,
        break_ties=lambda tied: -tied["place"].to_numpy(),
    )
    found = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]

    expected = rows.order_by(["patient_id", ibis.asc("day"), rows.place.desc()])
    assert found == [tuple(row.values()) for row in fetch(connection, expected).to_pylist()]
    assert len(found) == len(patient_ids)
    assert not list(tmp_path.iterdir())
