import datetime as dt
import os
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims.folding import write_patients
from claims.timelines_by_ibis import group_visits, order_timelines
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from claim_transformers.claims import assembly, packing, patient_files
from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA, _ELIGIBILITY_SCHEMA, _RX_CLAIM_SCHEMA
from claim_transformers.claims.splits import SPLITS, split_of
from claim_transformers.claims.visits import CODE_COLUMNS, collect_code_events
from claim_transformers.codes.errors import ClaimDataError

EPOCH = dt.date(1970, 1, 1)
ALL_COLUMNS = tuple(CODE_COLUMNS)
SCHEMAS = {"claim_line": _CLAIM_LINE_SCHEMA, "rx_claim": _RX_CLAIM_SCHEMA, "eligibility": _ELIGIBILITY_SCHEMA}


def _day(number: int | None) -> dt.date | None:
    return None if number is None else EPOCH + dt.timedelta(days=number)


def _nullable(schema: pa.Schema) -> pa.Schema:
    # A required field would refuse the incomplete rows that the tests need.
    return pa.schema([pa.field(field.name, field.type) for field in schema])


def _write(folder: Path, name: str, rows: list[dict], num_files: int = 1, row_group_size: int = 1000) -> None:
    schema = _nullable(SCHEMAS[name])
    table = pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema)
    (folder / name).mkdir(parents=True)
    for number in range(num_files):
        part = table.take(pa.array(range(number, len(rows), num_files), pa.int64()))
        pq.write_table(part, folder / name / f"part-{number:05d}.parquet", row_group_size=row_group_size)


def _folder(path: Path, lines=(), drugs=(), eligibility=(), **layout) -> Path:
    for name, rows in (("claim_line", lines), ("rx_claim", drugs), ("eligibility", eligibility)):
        _write(path, name, list(rows), **layout)
    return path


def _line(patient_id: str = "P1", day: int = 0, **values) -> dict:
    return {"patient_id": patient_id, "claim_type": "OP", "claim_start_date": _day(day)} | values


def _span(start: int | None, end: int | None, patient_id: str = "P1", **values) -> dict:
    return {"patient_id": patient_id, "enrollment_start_date": _day(start), "enrollment_end_date": _day(end)} | values


def _read(folder: Path) -> list[dict]:
    return [row for split in SPLITS for row in _read_split(folder, split)]


def _read_split(folder: Path, split: str) -> list[dict]:
    return [
        row for path in sorted(folder.glob(f"patients/{split}-*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "patients").iterdir())}


@pytest.fixture(scope="module")
def engine():
    connection = ibis.duckdb.connect(threads=1)
    yield connection
    connection.disconnect()


def _expected_timelines(connection, folder: Path, code_columns=ALL_COLUMNS) -> dict[str, tuple]:
    """The Ibis definition, run on DuckDB."""
    claim_line, rx_claim = (
        connection.read_parquet(str(folder / table / "*.parquet")) for table in ("claim_line", "rx_claim")
    )
    timelines = order_timelines(group_visits(collect_code_events(claim_line, rx_claim, code_columns)))
    rows = timelines.to_pyarrow().to_pylist()
    return {row["patient_id"]: (row["visit_day"], row["visit_type"], row["codes"]) for row in rows}


def _timelines(rows: list[dict]) -> dict[str, tuple]:
    return {row["patient_id"]: (row["visit_day"], row["visit_type"], row["codes"]) for row in rows}


def _expected_spans(rows: list[dict], last_day: int) -> dict[str, list[tuple[int, int]]]:
    """Merging day by day: the plainest form there is."""
    days: dict[str, set[int]] = {}
    for row in rows:
        start, end = row["enrollment_start_date"], row["enrollment_end_date"]
        covered = days.setdefault(row["patient_id"], set())
        if start is not None:
            stop = last_day if end is None else (end - EPOCH).days
            covered.update(range((start - EPOCH).days, stop + 1))
    return {
        patient_id: [
            (first, next(day for day in range(first, first + 10_000) if day + 1 not in covered))
            for first in sorted(covered)
            if first - 1 not in covered
        ]
        for patient_id, covered in days.items()
    }


patient_ids = st.sampled_from(["P1", "P2", "P10", "0001", "Ärztin", "Z9"])
days = st.integers(-40, 40)
codes = st.sampled_from(["1", "10", "2", "V70", "0450"])
diagnosis = st.fixed_dictionaries(
    {"system": st.sampled_from(["ICD9CM", "ICD10CM"]), "code": st.none() | codes, "poa": st.none(), "rank": st.none()}
)
procedure = st.fixed_dictionaries({"system": st.just("ICD9PCS"), "code": codes, "date": st.none() | days.map(_day)})
claim_lines = st.fixed_dictionaries(
    {
        "patient_id": patient_ids,
        "claim_type": st.sampled_from(["IP", "OP", "CAR", "SNF"]),
        "claim_start_date": days.map(_day),
        "admission_date": st.none() | days.map(_day),
        "claim_line_start_date": st.none() | days.map(_day),
        "diagnoses": st.none() | st.lists(diagnosis, max_size=4),
        "procedures": st.none() | st.lists(procedure, max_size=2),
        "hcpcs_code": st.none() | codes,
        "drg_code": st.none() | codes,
        "revenue_center_code": st.none() | codes,
        "place_of_service_code": st.none() | codes,
        "discharge_disposition_code": st.none() | codes,
    }
)
rx_claims = st.fixed_dictionaries(
    {"patient_id": patient_ids, "dispensing_date": days.map(_day), "ndc_code": st.none() | codes}
)
spans = st.fixed_dictionaries(
    {
        "patient_id": patient_ids,
        "enrollment_start_date": st.none() | days.map(_day),
        "enrollment_end_date": st.none() | days.map(_day),
        "gender": st.none() | st.sampled_from(["female", "male"]),
        "birth_date": st.none() | days.map(_day),
    }
)


@given(
    lines=st.lists(claim_lines, max_size=12),
    drugs=st.lists(rx_claims, max_size=6),
    eligibility=st.lists(spans, max_size=8),
    shards=st.integers(1, 4),
    row_group_size=st.integers(1, 5),
    num_files=st.integers(1, 2),
)
# Shrinking would run the engine for minutes; the failing tables are small as they are.
@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_rows_equal_the_definition(
    engine, tmp_path_factory, lines, drugs, eligibility, shards, row_group_size, num_files
):
    folder = _folder(
        tmp_path_factory.mktemp("claims"),
        lines,
        drugs,
        eligibility,
        row_group_size=row_group_size,
        num_files=num_files,
    )
    counts, _ = write_patients(folder, code_columns=ALL_COLUMNS, shards=shards)
    rows = _read(folder)
    expected = _expected_timelines(engine, folder)
    assert _timelines(rows) == expected
    for split in SPLITS:
        ids = [row["patient_id"] for row in _read_split(folder, split)]
        assert ids == sorted(ids)
        assert set(split_of(pa.array(ids, pa.string())).to_pylist()) <= {split}
    known = {row["patient_id"] for row in [*lines, *drugs, *eligibility]}
    assert counts.patients == len(rows)
    assert counts.visits == sum(len(row["visit_day"]) for row in rows)
    assert counts.codes == sum(len(visit) for row in rows for visit in row["codes"])
    assert counts.patients_without_visits == len(known) - len(rows)


@given(eligibility=st.lists(spans, min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_merged_spans_cover_the_same_days(tmp_path_factory, eligibility):
    ids = sorted({row["patient_id"] for row in eligibility})
    ends = [row["enrollment_end_date"] for row in eligibility if row["enrollment_end_date"] is not None]
    last_day = max([-50, *((end - EPOCH).days for end in ends)])
    lines = [_line(patient_id, day=last_day, hcpcs_code="1") for patient_id in ids]
    folder = _folder(tmp_path_factory.mktemp("claims"), lines, (), eligibility)
    write_patients(folder)
    merged = {
        row["patient_id"]: list(zip(row["enrollment_start_day"], row["enrollment_end_day"], strict=True))
        for row in _read(folder)
    }
    assert merged == _expected_spans(eligibility, last_day)


def _sample(seed: int, num_lines: int = 400) -> dict[str, list[dict]]:
    generator = np.random.Generator(np.random.PCG64(seed))
    ids = [f"P{number:03d}" for number in range(60)]
    pick = lambda values: values[int(generator.integers(len(values)))]  # noqa: E731
    lines = [
        _line(
            pick(ids),
            int(generator.integers(1000)),
            claim_type=pick(["IP", "OP", "CAR"]),
            hcpcs_code=pick(["99213", "36415", None]),
            diagnoses=[{"system": "ICD9CM", "code": str(generator.integers(50)), "poa": None, "rank": 1}] * 2,
        )
        for _ in range(num_lines)
    ]
    drugs = [
        {"patient_id": pick(ids), "dispensing_date": _day(int(generator.integers(1000))), "ndc_code": pick(["1", "2"])}
        for _ in range(50)
    ]
    eligibility = [
        _span(start, start + 364, patient_id, gender=pick(["female", "male", None]), birth_date=_day(-9000 - start))
        for patient_id in ids
        for start in (0, 365, 900)
    ]
    return {"lines": lines, "drugs": drugs, "eligibility": eligibility}


def test_bytes_do_not_depend_on_row_order_files_row_groups_or_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(patient_files, "_PATIENTS_PER_ROW_GROUP", 7)
    rows = _sample(seed=0)
    write_patients(_folder(tmp_path / "a", **rows))
    shuffled = {
        name: [table[i] for i in np.random.default_rng(1).permutation(len(table))] for name, table in rows.items()
    }
    write_patients(_folder(tmp_path / "b", **shuffled, num_files=3, row_group_size=17), shards=5)
    first, second = _bytes(tmp_path / "a"), _bytes(tmp_path / "b")
    # As with more patients than a key has room for.
    for module in (packing, assembly):
        monkeypatch.setattr(module, "MAX_PATIENTS", 16)
    write_patients(tmp_path / "b")
    assert first == _bytes(tmp_path / "b")
    assert list(first) == [
        "test-00000.parquet",
        "train-00000.parquet",
        "train-00001.parquet",
        "validation-00000.parquet",
    ]
    assert first == second


def test_large_splits_are_cut_into_row_groups_and_files_without_losing_anyone(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(patient_files, "_PATIENTS_PER_ROW_GROUP", 3)
    folder = _folder(tmp_path, **_sample(seed=2))
    write_patients(folder, shards=4)
    files = [pq.ParquetFile(path) for path in sorted(folder.glob("patients/train-*.parquet"))]
    assert len(files) > 2
    assert all(file.metadata.num_row_groups == 4 for file in files[:-1])
    groups = [file.metadata.row_group(number).num_rows for file in files for number in range(file.num_row_groups)]
    assert set(groups[:-1]) == {3}
    assert _timelines(_read(folder)) == _expected_timelines(engine, folder)


def test_files_have_the_patients_schema(tmp_path):
    folder = _folder(tmp_path, [_line(hcpcs_code="1")])
    write_patients(folder)
    for split in SPLITS:
        (path,) = folder.glob(f"patients/{split}-*.parquet")
        assert pq.read_schema(path).equals(PATIENTS_SCHEMA)


def test_plain_and_large_strings_give_the_same_rows_as_dictionaries(tmp_path):
    rows = _sample(seed=3, num_lines=60)
    expected = _bytes_after_casting(tmp_path / "a", rows, lambda column: column)
    for name, string in (("b", pa.string()), ("c", pa.large_string())):
        cast = lambda column, string=string: column.cast(string) if column.type in _STRINGS else column  # noqa: E731
        assert _bytes_after_casting(tmp_path / name, rows, cast) == expected


_STRINGS = (pa.string(), pa.dictionary(pa.int32(), pa.string()))


def _bytes_after_casting(folder: Path, rows: dict, cast) -> dict[str, bytes]:
    _folder(folder, **rows)
    for path in folder.glob("*/*.parquet"):
        table = pq.read_table(path)
        pq.write_table(pa.table({name: cast(table[name]) for name in table.column_names}), path, use_dictionary=False)
    write_patients(folder)
    return _bytes(folder)


def test_more_codes_than_a_parquet_dictionary_holds_give_the_same_rows(engine, tmp_path):
    codes = [f"{number:05d}" for number in range(300)]
    diagnoses = [[{"system": "ICD9CM", "code": code, "poa": None, "rank": 1}] * 2 for code in codes]
    lines = [_line(f"P{number % 7}", hcpcs_code=codes[number], diagnoses=diagnoses[number]) for number in range(300)]
    folder = _folder(tmp_path, lines)
    path = folder / "claim_line" / "part-00000.parquet"
    pq.write_table(pq.read_table(path), path, dictionary_pagesize_limit=200, write_batch_size=10, data_page_size=50)
    write_patients(folder)
    assert _timelines(_read(folder)) == _expected_timelines(engine, folder)


def test_latest_known_demographics_win_whatever_the_row_order(tmp_path):
    eligibility = [
        _span(0, 364, gender="male", birth_date=_day(-100), death_date=None),
        _span(365, 729, gender="F", birth_date=None, death_date=_day(700)),
    ]
    for name, rows in (("a", eligibility), ("b", eligibility[::-1])):
        folder = _folder(tmp_path / name, [_line(hcpcs_code="1")], (), rows)
        write_patients(folder)
        (row,) = _read(folder)
        assert (row["sex"], row["birth_day"], row["death_day"]) == ("F", -100, 700)
        assert (row["enrollment_start_day"], row["enrollment_end_day"]) == ([0], [729])


def test_patient_without_eligibility_is_kept_and_counted(tmp_path):
    folder = _folder(tmp_path, [_line(hcpcs_code="1"), _line("P2", hcpcs_code="1")], (), [_span(0, 9)])
    counts, _ = write_patients(folder)
    assert (counts.patients_without_eligibility, counts.patients_without_enrollment) == (1, 1)
    (row,) = [row for row in _read(folder) if row["patient_id"] == "P2"]
    assert (row["sex"], row["birth_day"], row["enrollment_start_day"]) == (None, None, [])


@pytest.mark.parametrize(
    ("of_claims", "of_eligibility", "options", "expected"),
    [
        ("A", "A", {}, []),
        ("B", "A", {}, []),  # No name in common: eligibility of all.
        ("B", "A", {"others": ["A"]}, None),
        ("B", "A", {"others": ["A"], "source": "A"}, []),  # Eligibility that names no source is that of all.
        ("A", "A", {"without_enrollment": ["A"]}, None),
        ("A", None, {}, []),  # A table without rows: nobody was enrolled.
        ("A", None, {"without_enrollment": ["A"]}, None),
    ],
)
def test_enrolment_is_none_or_unknown_by_the_sources_that_tell_of_it(
    tmp_path, of_claims, of_eligibility, options, expected
):
    lines = [_line(hcpcs_code="1", data_source=of_claims)]
    lines += [_line("P3", hcpcs_code="1", data_source=source) for source in options.pop("others", ())]
    eligibility = [] if of_eligibility is None else [_span(None, None, "P2", data_source=of_eligibility)]
    counts, _ = write_patients(_folder(tmp_path, lines, (), eligibility), **options)
    row = next(row for row in _read(tmp_path) if row["patient_id"] == "P1")
    assert (row["enrollment_start_day"], row["enrollment_end_day"]) == (expected, expected)
    assert counts.patients_without_enrollment + counts.patients_of_unknown_enrollment == counts.patients
    assert bool(counts.patients_of_unknown_enrollment) == (expected is None)


def test_patients_without_visits_are_left_out_and_counted(tmp_path):
    lines = [_line(hcpcs_code="1"), _line("P2")]
    counts, _ = write_patients(_folder(tmp_path, lines, (), [_span(0, 9), _span(0, 9, "P3")]))
    assert counts.patients_without_visits == 2
    assert [row["patient_id"] for row in _read(tmp_path)] == ["P1"]


def test_repeated_and_incomplete_codes_are_counted(tmp_path):
    lines = [_line(hcpcs_code="1"), _line(hcpcs_code="1"), _line(hcpcs_code="2", claim_start_date=None)]
    counts, _ = write_patients(_folder(tmp_path, lines))
    assert (counts.codes, counts.repeated_codes, counts.codes_without_visit) == (1, 1, 1)


def test_dates_from_the_eighteenth_to_the_twentyfourth_century_fit(tmp_path):
    wanted = [(dt.date(year, 6, 1) - EPOCH).days for year in (1720, 1969, 2190, 2400)]
    folder = _folder(tmp_path, [_line(day=day, hcpcs_code="1") for day in wanted])
    write_patients(folder)
    assert _read(folder)[0]["visit_day"] == wanted


def test_date_beyond_the_key_is_refused_without_showing_it(tmp_path):
    folder = _folder(tmp_path, [_line(day=(dt.date(2999, 12, 31) - EPOCH).days, hcpcs_code="1")])
    with pytest.raises(ClaimDataError, match="<11 of <11 outside") as caught:
        write_patients(folder)
    assert caught.value.reason_code == "E_KEY_RANGE"
    assert "2999" not in str(caught.value)
    assert not [path.name for path in folder.iterdir() if path.name not in SCHEMAS]


def test_missing_column_is_named(tmp_path):
    folder = _folder(tmp_path, [_line(hcpcs_code="1")])
    path = folder / "claim_line" / "part-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["hcpcs_code"]), path)
    with pytest.raises(ClaimDataError, match="expected a column 'hcpcs_code'"):
        write_patients(folder)


def test_writing_again_replaces_the_patients(tmp_path):
    folder = _folder(tmp_path, **_sample(seed=4, num_lines=50))
    write_patients(folder, salt="first")
    first = _bytes(folder)
    write_patients(folder, salt="second")
    assert _bytes(folder) != first
    assert sorted(path.name for path in folder.iterdir()) == ["claim_line", "eligibility", "patients", "rx_claim"]


def test_no_claims_at_all_still_gives_readable_splits(tmp_path):
    counts, _ = write_patients(_folder(tmp_path, (), (), [_span(0, 9)]))
    assert (counts.patients, counts.patients_without_visits) == (0, 1)
    assert _read(tmp_path) == []


@pytest.mark.skipif("CLAIMS_DATA_DIR" not in os.environ, reason="needs CLAIMS_DATA_DIR")
def test_real_claims_equal_the_definition(engine, tmp_path):
    folder = _folder(tmp_path, **_outpatient_claims(Path(os.environ["CLAIMS_DATA_DIR"], "synpuf", "sample1")))
    counts, _ = write_patients(folder, shards=3)
    rows = _read(folder)
    assert _timelines(rows) == _expected_timelines(engine, folder, ("diagnoses", "procedures", "hcpcs", "drg", "ndc"))
    assert counts.patients == len(rows) > 1000


def _outpatient_claims(sample: Path) -> dict[str, list[dict]]:
    """Outpatient and drug claims of DE-SynPUF, mapped by hand and without any quality rule."""
    parse = lambda text: dt.datetime.strptime(text, "%Y%m%d").date()  # noqa: E731
    lines = []
    for row in pq.read_table(sample / "outpatient_prefix.parquet").to_pylist():
        if row["CLM_FROM_DT"] is None:
            continue
        of_header = {
            "patient_id": row["DESYNPUF_ID"],
            "claim_type": "OP",
            "claim_start_date": parse(row["CLM_FROM_DT"]),
            "diagnoses": [
                {"system": "ICD9CM", "code": row[f"ICD9_DGNS_CD_{number}"], "poa": None, "rank": number}
                for number in range(1, 11)
                if row[f"ICD9_DGNS_CD_{number}"]
            ],
        }
        hcpcs_codes = [row[f"HCPCS_CD_{number}"] for number in range(1, 46) if row[f"HCPCS_CD_{number}"]]
        lines += [of_header | {"hcpcs_code": code} for code in hcpcs_codes or [None]]
    drugs = [
        {"patient_id": row["DESYNPUF_ID"], "dispensing_date": parse(row["SRVC_DT"]), "ndc_code": row["PROD_SRVC_ID"]}
        for row in pq.read_table(sample / "pde_prefix.parquet").to_pylist()
    ]
    return {"lines": lines, "drugs": drugs, "eligibility": []}
