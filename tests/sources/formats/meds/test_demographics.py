"""Who a subject of MEDS is: lives that cannot be, births that contradict each other, and the states of enrollment."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.sources.formats.meds.export import export_meds
from claim_transformers.sources.formats.meds.source import ingest_meds

BIRTH, DEATH, START = "MEDS_BIRTH", "MEDS_DEATH", "ENROLLMENT//START"
EVERYTHING = {"max_reason_share": 1.0, "max_quarantine_share": 1.0}


def _read(out: Path) -> dict[str, dict[str, Any]]:
    return {row["patient_id"]: row for file in (out / "patients").iterdir() for row in pq.read_table(file).to_pylist()}


def _ingested(
    path: Path, *files: list[tuple[int, str, str]]
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Patients, and the notes of each file, of events (subject, date, code)."""
    (path / "meds" / "data").mkdir(parents=True)
    for number, events in enumerate(files):
        subjects, dates, codes = zip(*events, strict=True)
        times = pa.array([dt.datetime.fromisoformat(date) for date in dates], pa.timestamp("us"))
        table = pa.table({"subject_id": pa.array(subjects, pa.int64()), "time": times, "code": codes})
        pq.write_table(table, path / "meds" / "data" / f"{number}.parquet")
    report = ingest_meds(path / "meds", path / "out", progress=False, **EVERYTHING).report
    names = ("quarantine_reasons", "fixes", "warnings")
    notes = [{code: count for name in names for code, count in entry[name].items()} for entry in report["files"]]
    return _read(path / "out"), notes


def test_a_code_before_the_birth_or_long_after_the_death_leaves(tmp_path):
    events = [
        (1, "2010-05-05", BIRTH),
        (1, "2010-05-04", "A/1"),
        (1, "2010-05-05", "A/2"),
        (1, "2011-01-01", DEATH),
        (1, "2011-01-31", "A/3"),
        (1, "2011-02-01", "A/4"),
        (2, "2009-01-01", "A/5"),
    ]
    for number, rows in enumerate((events, events[::-1])):
        patients, (notes,) = _ingested(tmp_path / str(number), rows)
        assert patients["1"]["codes"] == [["A/2"], ["A/3"]]
        assert patients["2"]["codes"] == [["A/5"]]
        assert {name: notes[name] for name in notes if name.startswith("R_")} == {
            "R_AFTER_DEATH": 1,
            "R_BEFORE_BIRTH": 1,
        }


def test_a_filler_costs_the_birth_and_nothing_else(tmp_path):
    events = [(1, "1900-01-01", BIRTH), (1, "2099-12-31", DEATH), (1, "2010-01-01", START), (1, "2010-06-01", "A/1")]
    patients, (notes,) = _ingested(tmp_path, events)
    one = patients["1"]
    assert (one["birth_day"], one["death_day"], one["enrollment_start_day"]) == (None, None, [14610])
    assert notes["R_DATE"] == 2


def test_of_births_up_to_two_years_apart_the_later_wins_and_of_others_none(tmp_path):
    close = [(1, "1950-01-01", BIRTH), (1, "1952-12-31", BIRTH), (1, "1951-06-01", "A/1"), (1, "2010-01-01", "A/2")]
    far = [(2, "1950-12-31", BIRTH), (2, "1953-01-01", BIRTH), (2, "1951-06-01", "A/1"), (2, "2010-01-01", "A/2")]
    patients, notes = _ingested(tmp_path, close, far)
    assert (patients["1"]["birth_day"], patients["1"]["codes"]) == (-6210, [["A/2"]])
    assert (patients["2"]["birth_day"], patients["2"]["codes"]) == (None, [["A/1"], ["A/2"]])
    counted = [{name: note[name] for name in note if not name.startswith("W_")} for note in notes]
    assert counted == [{"F_DEMOGRAPHICS": 1, "R_BEFORE_BIRTH": 1}, {"R_DEMOGRAPHICS": 2}]


def test_enrollment_is_unknown_where_nobody_has_any_and_none_where_others_have(tmp_path):
    codes = [(1, "2010-03-01", "A/1"), (1, "2010-04-01", "A/1"), (2, "2010-03-01", "A/1"), (2, "2010-03-02", "A/2")]
    patients, (notes,) = _ingested(tmp_path / "unknown", codes)
    assert [patients[name]["enrollment_end_day"] for name in "12"] == [None, None]
    assert "W_NO_ELIGIBILITY" not in notes
    patients, every_note = _ingested(tmp_path / "none", [*codes[:2], (1, "2010-01-01", START)], codes[2:], [codes[2]])
    assert [patients[name]["enrollment_start_day"] for name in "12"] == [[14610], []]
    assert [note.get("W_NO_ELIGIBILITY") for note in every_note] == [None, 2, 1]
    for name in ("unknown", "none"):
        export_meds(tmp_path / name / "out", tmp_path / name / "again")
        ingest_meds(tmp_path / name / "again", tmp_path / name / "back", progress=False)
        spans = [{who: row["enrollment_start_day"] for who, row in _read(tmp_path / name / out).items()}
                 for out in ("out", "back")]  # fmt: skip
        assert spans[0] == spans[1]
