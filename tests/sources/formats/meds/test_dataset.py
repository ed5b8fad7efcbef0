import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.packing import NULL_DAY
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.meds.dataset import to_days
from claim_transformers.sources.formats.meds.export import check_meds
from claim_transformers.sources.formats.meds.source import ingest_meds

PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def _write(path, times, codes=None, subjects=None, **options):
    (path / "data").mkdir(parents=True)
    subjects = pa.array([1] * len(times), pa.int64()) if subjects is None else subjects
    table = pa.table({"subject_id": subjects, "time": times, "code": codes or ["A/1"] * len(times)})
    pq.write_table(table, path / "data" / "0.parquet", **options)
    return path


def _ingest(source, out, **options):
    ingest_meds(source, out, progress=False, **options)
    rows = [row for file in sorted((out / "patients").iterdir()) for row in pq.read_table(file).to_pylist()]
    return rows, json.loads((out / "quality_report.json").read_text())["files"][0]


@pytest.mark.parametrize("unit", PER_DAY)
@pytest.mark.parametrize("zone", [None, "UTC", "Etc/UTC", "+00:00"])
def test_the_date_is_taken_in_any_unit_to_the_last_tick_of_a_day_and_before_1970(unit, zone):
    ticks = [0, PER_DAY[unit] - 1, PER_DAY[unit], -1, -PER_DAY[unit], -PER_DAY[unit] - 1, None]
    times = pa.chunked_array([pa.array(ticks, pa.int64()).cast(pa.timestamp(unit, zone))])
    days, of_day = to_days(times)
    assert days.tolist() == [0, 0, 1, -1, -1, -2, NULL_DAY]
    assert of_day[:4].tolist() == [0, 86_400 * 10**9 - 10**9 * 86_400 // PER_DAY[unit], 0, of_day[1]]


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_plain_dates_are_dates(kind):
    days, of_day = to_days(pa.chunked_array([pa.array([dt.date(1969, 12, 31), dt.date(2010, 1, 5), None], kind)]))
    assert days.tolist() == [-1, 14_614, NULL_DAY]
    assert not of_day.any()


def test_a_time_out_of_reach_does_not_come_round_to_a_real_day():
    wraps = (2**32 + 14_614) * PER_DAY["s"]
    days, _ = to_days(pa.chunked_array([pa.array([wraps, -wraps], pa.int64()).cast(pa.timestamp("s"))]))
    assert days.tolist() == [2**31 - 1, NULL_DAY + 1]


def test_an_end_out_of_reach_is_none_or_the_day_itself_and_one_that_is_no_day_is_refused(tmp_path):
    far, day = np.iinfo(np.int64), 14_614
    for name, days in (("far", pa.array([far.max, far.min], pa.int64())), ("words", pa.array(["x", "y"]))):
        (tmp_path / name / "data").mkdir(parents=True)
        times = pa.array([-day, day], pa.int32()).cast(pa.date32())
        table = {"subject_id": [1, 2], "time": times, "code": ["A/1", "A/1"], "visit_end_day": days}
        pq.write_table(pa.table(table), tmp_path / name / "data" / "0.parquet")
    rows, _ = _ingest(tmp_path / "far", tmp_path / "out")
    assert {row["patient_id"]: row["visit_end_day"] for row in rows} == {"1": [None], "2": [day]}
    with pytest.raises(ClaimDataError, match="E_SCHEMA"):
        _ingest(tmp_path / "words", tmp_path / "none")


@pytest.mark.parametrize(
    "kind",
    [*(pa.timestamp(unit) for unit in PER_DAY), pa.timestamp("ns", "UTC"), pa.date32(), pa.date64()],
    ids=str,
)
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_dataset_gives_the_same_patients_in_every_type_of_time(tmp_path, kind, is_whole):
    parts = np.array(["1950-06-25T08:53:19.876543211", "2010-01-05T23:59:59.999999999"], "datetime64[ns]")
    texts = parts.astype("datetime64[D]").astype("datetime64[ns]") if is_whole else parts
    times = pa.array(texts).cast(pa.timestamp("us") if pa.types.is_date(kind) else kind, safe=False)
    source = _write(tmp_path / "meds", times.cast(kind, safe=False), ["MEDS_BIRTH", "LAB//1"])
    ((row,), entry) = _ingest(source, tmp_path / "out")
    assert (row["birth_day"], row["visit_day"], row["codes"]) == (-7130, [14_614], [["LAB/1"]])
    assert (entry["rows_in"], entry["rows_out"], entry["warnings"]) == (2, 2, {})
    assert check_meds(source) == {}


def test_times_of_96_bits_reach_beyond_the_years_of_nanoseconds(tmp_path):
    times = pa.array([dt.datetime(2010, 1, 5, 23), dt.datetime(2300, 1, 1)], pa.timestamp("us"))
    source = _write(tmp_path / "meds", times, use_deprecated_int96_timestamps=True)
    ((row,), _) = _ingest(source, tmp_path / "out")
    assert row["visit_day"] == [14_614, 120_530]


def test_one_absurd_time_goes_to_quarantine_and_the_others_stay(tmp_path):
    dates = [dt.date(1696, 12, 31), dt.date(1697, 1, 1), dt.date(2412, 12, 31), dt.date(2413, 1, 1)]
    days = [*((date - dt.date(1970, 1, 1)).days for date in dates), 2**32 + 14_614]
    source = _write(tmp_path / "meds", pa.array([day * PER_DAY["s"] for day in days]).cast(pa.timestamp("s")))
    ((row,), entry) = _ingest(source, tmp_path / "out", max_reason_share=1, max_quarantine_share=1)
    assert row["visit_day"] == days[1:3]
    assert (entry["rows_in"], entry["rows_out"], entry["quarantine_reasons"]) == (5, 2, {"R_DATE": 3})


@pytest.mark.parametrize("unit", PER_DAY)
def test_a_local_time_is_refused_with_the_cure_and_without_a_time(tmp_path, unit):
    times = pa.array([dt.datetime(2010, 1, 5, 23)], pa.timestamp(unit, "America/New_York"))
    with pytest.raises(ClaimDataError, match=r"E_TIMESTAMP.*UTC, found.*Write the local time") as caught:
        ingest_meds(_write(tmp_path / "meds", times), tmp_path / "out", progress=False)
    assert "2010" not in str(caught.value)


def test_a_subject_that_does_not_fit_is_refused_without_its_number(tmp_path):
    times = pa.array([dt.date(2010, 1, 5)], pa.date32())
    source = _write(tmp_path / "meds", times, subjects=pa.array([2**63 + 4711], pa.uint64()))
    for read in (lambda: ingest_meds(source, tmp_path / "out", progress=False), lambda: check_meds(source)):
        with pytest.raises(ClaimDataError, match="E_ID_TYPE") as caught:
            read()
        assert str(2**63 + 4711) not in str(caught.value)


def test_a_sex_that_is_none_is_counted(tmp_path):
    times = pa.array([None, dt.date(2010, 1, 5)], pa.date32())
    ((row,), entry) = _ingest(_write(tmp_path / "meds", times, ["GENDER//W", "A/1"]), tmp_path / "out")
    assert (row["sex"], entry["fixes"]) == (None, {"F_SEX_NULL": 1})


def test_row_groups_whose_dictionaries_differ_are_one_file(tmp_path):
    days = pa.array([dt.date(2010, 1, day) for day in (1, 2, 3, 4, 5)], pa.date32())
    codes = pa.array([f"LAB//{name}" for name in "ABCAD"]).dictionary_encode()
    source = _write(tmp_path / "meds", days, codes, row_group_size=2)
    assert pq.ParquetFile(source / "data" / "0.parquet").num_row_groups == 3
    ((row,), entry) = _ingest(source, tmp_path / "out")
    assert row["codes"] == [[f"LAB/{name}"] for name in "ABCAD"]
    assert (entry["rows_in"], entry["warnings"], check_meds(source)) == (5, {}, {})
