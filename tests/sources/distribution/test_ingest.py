"""What is ingested patient by patient is what is ingested at once; Spark itself is met in `tests/test_spark.py`."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from same_folders import assert_same_folders
from sources.raw_claims import eligibility, medical_claim, pharmacy_claim, write_tuva
from task_runs import TasksHere

from claim_transformers.claims.patient_parts import unpack_piece
from claim_transformers.claims.spark import open_spark
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.distribution.ingest import ingest_on_spark
from claim_transformers.sources.distribution.units import CutUnit, Job, Unit, Whole, _Keys
from claim_transformers.sources.pipeline.ingest import ingest

ANYTHING = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "progress": False}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Claims of ten patients with every kind of dirt that is found by looking at other rows; all files of one name."""
    patients = [f"P{number}" for number in range(10)]
    people = [eligibility(patient) for patient in patients[:8]]
    people += [eligibility("P1", enrollment_end_date=""), eligibility("P2", birth_date="1955-01-31")]
    people += [eligibility("P3", gender="male", enrollment_start_date="2018-03-01"), eligibility("nobody else")]
    medical = [medical_claim(patient, f"M{patient}", line) for patient in patients for line in (1, 2)]
    medical += [medical_claim("P0", "M shared"), medical_claim("P5", "M shared"), medical_claim("", "M none")]
    medical += [medical_claim("P4", "MP4", 1), medical_claim(" P6 ", "M blank")]
    medical += [medical_claim("P7", "M back", paid_amount=amount) for amount in ("10.00", "-10.00")]
    medical += [
        medical_claim("P8", "M bad", claim_start_date="2018-02-30"),
        medical_claim("P8", "M code", diagnosis_code_1="?"),
    ]
    pharmacy = [pharmacy_claim(patient, f"R{patient}") for patient in patients[::2]]
    folder = write_tuva(tmp_path_factory.mktemp("raw"), medical=medical, pharmacy=pharmacy, people=people)
    for file in sorted(folder.iterdir()):
        file.with_suffix("").mkdir()
        file.rename(file.with_suffix("") / "part-0.csv")
    return folder


def test_parts_of_patients_add_up_to_the_folder_of_one_machine(raw: Path, tmp_path: Path) -> None:
    # As lakes name their folders, here like a column of the rows.
    lake = tmp_path / "patient_id=P0"
    lake.mkdir()
    one, other = tmp_path / "one", lake / "other"
    at_once = ingest("tuva", raw, one, **ANYTHING)
    reasons = {reason for entry in at_once.report["files"] for reason in entry["quarantine_reasons"]}
    assert {"R_NO_ID", "R_CLAIM_SHARED", "R_DEMOGRAPHICS", "R_DATE"} <= reasons
    rows: Counter[str] = Counter()
    for entry in at_once.report["files"]:
        rows[entry["source_file"]] += entry["rows_in"]
    written = {path.parent.name: len(path.read_text().splitlines()) - 1 for path in raw.glob("*/part-0.csv")}
    # Eligibility comes first.
    names = {"eligibility": "part-0.csv"}
    assert rows == {names.get(table, f"{table}-part-0.csv"): number for table, number in written.items()}
    in_parts = ingest_on_spark("tuva", raw, other, spark=TasksHere(attempts=2), num_parts=2, **ANYTHING)
    assert len(list((other / "claim_line").iterdir())) > 1
    assert_same_folders(one, other)
    assert str(in_parts) == str(at_once).replace(str(one), str(other))


def test_a_column_of_parts_of_medicare_is_no_part_of_patients(tmp_path: Path) -> None:
    job, unit = Job("tuva", "", tmp_path), Unit("medical_claim", 0, tmp_path, None)
    rows = pa.table({"patient_id": [f"P{number}" for number in range(9)], "part": ["A"] * 9})
    unit.staged(job).parent.mkdir()
    pq.write_table(rows, unit.staged(job))
    whole = Whole(job, (unit,), {0: _Keys("medical_claim", "patient_id", ())})
    pieces = [unpack_piece(piece)[1] for _, piece in CutUnit(whole, 2)(unit)]
    found = pa.concat_tables(pq.read_table(pa.BufferReader(piece)) for piece in pieces)
    assert found.sort_by("patient_id") == rows


def test_a_file_too_bad_for_one_machine_is_too_bad_in_parts(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=r"E_QUARANTINE_RATE: .* medical_claim-part-0.csv: .*R_CLAIM_SHARED"):
        ingest_on_spark("tuva", raw, tmp_path / "out", spark=TasksHere(), num_parts=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_compared_within_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a source that is cut by patient .*synpuf.*, found 'cclf'"):
        ingest_on_spark("cclf", tmp_path, tmp_path / "out", spark=TasksHere())


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ClaimDataError, match=r"E_SPARK: expected sc://HOST:PORT"):
        open_spark("localhost")
