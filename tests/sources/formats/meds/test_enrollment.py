import datetime as dt
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_transformers.sources.formats.meds.enrollment import pair_events
from claim_transformers.sources.formats.meds.source import ingest_meds
from claim_transformers.sources.pipeline.ingest import ingest

Spans = list[tuple[int, int | None]]


def _paired(events: list[tuple[int, float, str]]) -> tuple[dict[int, Spans], dict[str, int]]:
    """Spans and counted warnings of events (patient, day, "S" or "E")."""
    patients = np.array([patient for patient, _, _ in events], np.int64)
    days = np.array([int(day // 1) for _, day, _ in events], np.int32)
    ticks = np.array([int(day % 1 * 1000) for _, day, _ in events], np.int64)
    pairs = pair_events(patients, days, ticks, np.array([kind == "S" for _, _, kind in events], bool))
    spans: dict[int, Spans] = {}
    for start, end in zip(pairs.starts, pairs.ends, strict=True):
        spans.setdefault(int(patients[start]), []).append((int(days[start]), int(days[end]) if end >= 0 else None))
    return spans, dict(pairs.count(np.zeros(len(events), int)).get(0, {}))


def _by_hand(events: list[tuple[int, float, str]]) -> tuple[dict[int, Spans], dict[str, int]]:
    """The same rule as a loop over the moments of each patient."""
    spans: dict[int, Spans] = {}
    left = {"W_START_UNPAIRED": 0, "W_END_UNPAIRED": 0, "W_OPEN_SPAN": 0}
    for patient in sorted({event[0] for event in events}):
        mine = [event[1:] for event in events if event[0] == patient]
        start = None
        for day in sorted({day for day, _ in mine}):
            kinds = [kind for at, kind in mine if at == day]
            for kind in ("S", "E") if start is None else ("E", "S"):
                count = kinds.count(kind)
                is_paired = (start is None) == (kind == "S")
                left["W_START_UNPAIRED" if kind == "S" else "W_END_UNPAIRED"] += max(0, count - is_paired)
                if count and is_paired and kind == "S":
                    start = int(day)
                elif count and is_paired and start is not None:
                    spans.setdefault(patient, []).append((start, int(day)))
                    start = None
        if start is not None:
            spans.setdefault(patient, []).append((start, None))
            left["W_OPEN_SPAN"] += 1
    return spans, {warning: count for warning, count in left.items() if count}


@pytest.mark.parametrize(
    ("events", "spans", "warnings"),
    [
        ("", [], {}),
        ("S1 E5", [(1, 5)], {}),
        ("E1 S2 E5", [(2, 5)], {"W_END_UNPAIRED": 1}),
        ("S1 S3 E5 S7 E9", [(1, 5), (7, 9)], {"W_START_UNPAIRED": 1}),
        ("S1 E5 E6 S7 E9", [(1, 5), (7, 9)], {"W_END_UNPAIRED": 1}),
        ("S1 S1 E5 E5", [(1, 5)], {"W_START_UNPAIRED": 1, "W_END_UNPAIRED": 1}),
        ("S1 E1", [(1, 1)], {}),
        ("S1 E5 S5 E9", [(1, 5), (5, 9)], {}),
        ("S1 E5 S5", [(1, 5), (5, None)], {"W_OPEN_SPAN": 1}),
        ("S1 E1 S1 E1", [(1, 1)], {"W_START_UNPAIRED": 1, "W_END_UNPAIRED": 1}),
        ("S1 E5 S7", [(1, 5), (7, None)], {"W_OPEN_SPAN": 1}),
        ("E4", [], {"W_END_UNPAIRED": 1}),
        # Within a day the time decides: a start before noon and the end after it, and the other way round.
        ("S1 S5.3 E5.7", [(1, 5)], {"W_START_UNPAIRED": 1}),
        ("E5.3 S5.7 E9", [(5, 9)], {"W_END_UNPAIRED": 1}),
    ],
)
def test_starts_and_ends_are_paired_by_time_in_any_order_of_rows(events, spans, warnings):
    rows = [(0, float(event[1:]), event[0]) for event in events.split()]
    for permuted in itertools.permutations(rows):
        assert _paired(list(permuted)) == ({0: spans} if spans else {}, warnings)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3).map(float), st.sampled_from("SE")), max_size=14))
def test_pairing_of_many_subjects_is_what_a_loop_over_each_gives(events):
    assert _paired(events) == _by_hand(events)
    assert _paired(events[::-1]) == _by_hand(events)
    assert _paired(events * 2)[0] == _by_hand(events)[0]


START, END = "ENROLLMENT//START", "ENROLLMENT//END"
UNPAIRED = [
    (4, "2010-01-01", END),
    (4, "2010-02-01", START),
    (4, "2010-03-01", "A/1"),
    (4, "2011-02-01", END),
    (6, "2010-01-01", START),
    (6, "2010-03-01", "A/1"),
    (6, "2010-07-01", START),
    (6, "2010-12-31", END),
    (6, "2012-01-01", START),
    (6, "2012-12-31", END),
]


def _ingested(path: Path, *files: list[tuple[int, str, str]]) -> tuple[dict[str, list], list[dict]]:
    """Spans by patient, and the report's files, of events (subject, date, code)."""
    (path / "meds" / "data").mkdir(parents=True)
    for number, events in enumerate(files):
        subjects, dates, codes = zip(*events, strict=True)
        times = pa.array([dt.datetime.fromisoformat(date) for date in dates], pa.timestamp("us"))
        table = pa.table({"subject_id": pa.array(subjects, pa.int64()), "time": times, "code": codes})
        pq.write_table(table, path / "meds" / "data" / f"{number}.parquet")
    ingest_meds(path / "meds", path / "out", progress=False, max_reason_share=1, max_quarantine_share=1)
    rows = [row for file in sorted((path / "out" / "patients").iterdir()) for row in pq.read_table(file).to_pylist()]
    spans = {
        row["patient_id"]: [
            tuple(str(dt.date(1970, 1, 1) + dt.timedelta(day)) for day in span)
            for span in zip(row["enrollment_start_day"], row["enrollment_end_day"], strict=True)
        ]
        for row in rows
    }
    return spans, json.loads((path / "out" / "quality_report.json").read_text())["files"]


def test_an_unpaired_end_or_start_costs_no_span_and_fills_no_gap(tmp_path):
    right = {
        "4": [("2010-02-01", "2011-02-01")],
        "6": [("2010-01-01", "2010-12-31"), ("2012-01-01", "2012-12-31")],
    }
    spans, (entry,) = _ingested(tmp_path / "one", UNPAIRED)
    assert spans == right
    assert entry["warnings"] == {"W_END_UNPAIRED": 1, "W_START_UNPAIRED": 1}
    assert entry["rows_in"] == entry["rows_out"] == 10
    spans, entries = _ingested(tmp_path / "two", UNPAIRED[::-2], UNPAIRED[-2::-2])
    assert spans == right
    assert [entry["warnings"].get("W_END_UNPAIRED", 0) for entry in entries] == [0, 1]
    assert sum(entry["warnings"].get("W_START_UNPAIRED", 0) for entry in entries) == 1


@pytest.mark.parametrize(
    ("ends", "report"),
    [([], {}), ([(1, "9999-12-31", END)], {"F_OPEN_SPAN": 1}), ([(1, "9999-12-31", END)] * 2, {"F_OPEN_SPAN": 2})],
)
def test_a_span_without_end_or_until_the_end_of_time_ends_with_the_data(tmp_path, ends, report):
    events = [(1, "2010-01-01", START), (1, "2010-02-01", "A/1"), *ends]
    events += [(patient, "2010-12-30", "A/1") for patient in (2, 3)]
    spans, (entry,) = _ingested(tmp_path, events)
    assert spans == {"1": [("2010-01-01", "2010-12-30")], "2": [], "3": []}
    assert entry["warnings"]["W_OPEN_SPAN"] == 1
    assert entry["fixes"] == report


def test_starts_and_ends_in_another_case_or_padded_are_starts_and_ends(tmp_path):
    events = [(1, "2010-01-01", "enrollment//start "), (1, "2010-02-01", "A/1"), (1, "2010-03-01", "Enrollment//End")]
    assert _ingested(tmp_path, events)[0] == {"1": [("2010-01-01", "2010-03-01")]}


@pytest.mark.parametrize("filler", ["2050-12-31", "2099-12-31", "2199-12-31", "9999-12-31"])
def test_a_filler_is_an_open_end_beyond_the_data_only(tmp_path, filler):
    events = [(1, "2010-01-01", START), (1, filler, END), (2, "2010-06-30", "A/1"), (1, "2010-06-30", "A/1")]
    spans, (entry,) = _ingested(tmp_path / "open", events)
    assert spans == {"1": [("2010-01-01", "2010-06-30")], "2": []}
    assert entry["fixes"] == {"F_OPEN_SPAN": 1}
    shifted = [(1, "2050-01-01", START), (1, "2050-12-31", END), (2, "2051-06-30", "A/1"), (1, "2051-06-30", "A/1")]
    spans, (entry,) = _ingested(tmp_path / "real", shifted)
    assert spans == {"1": [("2050-01-01", "2050-12-31")], "2": []}
    assert entry["fixes"] == {}


def test_one_event_far_ahead_does_not_move_the_end_of_open_spans(tmp_path):
    events = [(number, "2010-01-01", START) for number in (1, 2, 3)]
    events += [(number, "2010-06-30", "A/1") for number in (1, 2, 3)]
    spans, _ = _ingested(tmp_path / "near", events)
    assert set(map(tuple, spans.values())) == {(("2010-01-01", "2010-06-30"),)}
    assert _ingested(tmp_path / "far", [*events, (1, "2061-06-30", "A/1")])[0] == spans


def test_events_after_the_extract_are_quarantined_and_enrollment_may_reach_beyond(tmp_path):
    events = [(1, "2010-01-01", START), (1, "2012-12-31", END), (1, "2010-06-30", "A/1"), (1, "2010-07-01", "A/1")]
    (tmp_path / "meds" / "data").mkdir(parents=True)
    subjects, dates, codes = zip(*events, strict=True)
    times = pa.array([dt.datetime.fromisoformat(date) for date in dates], pa.timestamp("us"))
    table = pa.table({"subject_id": pa.array(subjects, pa.int64()), "time": times, "code": codes})
    pq.write_table(table, tmp_path / "meds" / "data" / "0.parquet")
    shares = {"max_reason_share": 1, "max_quarantine_share": 1}
    summary = ingest(
        "meds", tmp_path / "meds", tmp_path / "out", extract_date=dt.date(2010, 6, 30), progress=False, **shares
    )
    (entry,) = summary.report["files"]
    assert entry["quarantine_reasons"] == {"R_FUTURE": 1}
    assert summary.report["last_day"] == "2010-06-30"
    (row,) = (row for file in (tmp_path / "out" / "patients").iterdir() for row in pq.read_table(file).to_pylist())
    assert len(row["visit_day"]) == 1
    assert row["enrollment_end_day"] == [(dt.date(2012, 12, 31) - dt.date(1970, 1, 1)).days]
