import datetime as dt
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims.folding import write_patients
from meds.schema import CodeMetadataSchema, DataSchema, DatasetMetadataSchema, SubjectSplitSchema

from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA, _ELIGIBILITY_SCHEMA
from claim_transformers.claims.splits import SPLITS
from claim_transformers.claims.store import open_folder, write_folder, write_manifest
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.meds.codes import _name_system, _read_code
from claim_transformers.sources.formats.meds.export import check_meds, export_meds
from claim_transformers.sources.formats.meds.source import ingest_meds
from claim_transformers.sources.pipeline.loading import load_claims

EPOCH = dt.datetime(1970, 1, 1)
EVENTS = pa.schema(
    [("subject_id", pa.int64()), ("time", pa.timestamp("us")), ("code", pa.string()), ("numeric_value", pa.float32())]
)


def _event(subject_id: int | None, day: float | None, code: str | None) -> tuple:
    return subject_id, None if day is None else EPOCH + dt.timedelta(days=day), code, None


def _dataset(path: Path, files: dict[str, list[tuple]], splits: dict[int, str] | None = None, schema=EVENTS) -> Path:
    for name, events in files.items():
        file = path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        columns = list(zip(*events, strict=True)) if events else [() for _ in schema]
        pq.write_table(
            pa.table(
                [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema.names
            ),
            file,
        )
    (path / "metadata").mkdir()
    (path / "metadata" / "dataset.json").write_text(json.dumps({"meds_version": "0.3.3"}))
    if splits is not None:
        table = pa.table({"subject_id": pa.array(list(splits), pa.int64()), "split": list(splits.values())})
        pq.write_table(table, path / "metadata" / "subject_splits.parquet")
    return path


def _patients(out: Path) -> dict[str, dict[str, dict]]:
    folder = open_folder(out)
    rows = {split: {} for split in SPLITS}
    for path in folder.table_files("patients"):
        for row in pq.read_table(path).to_pylist():
            rows[path.name.split("-")[0]][row["patient_id"]] = row
    return rows


def _ingest(source: Path, out: Path, **options) -> dict[str, dict[str, dict]]:
    ingest_meds(source, out, progress=False, **options)
    return _patients(out)


def _report(out: Path) -> list[dict]:
    return json.loads((out / "quality_report.json").read_text())["files"]


PERSON = [
    _event(7, None, "GENDER//F"),
    _event(7, -400, "MEDS_BIRTH"),
    _event(7, 10.4, "SNOMED/62106007"),
    _event(7, 10.9, "ICD10CM//E11.9"),
    _event(7, 12, "RxNorm/161"),
    _event(7, 900, "MEDS_DEATH"),
]


def test_events_of_one_date_are_one_visit(tmp_path):
    source = _dataset(tmp_path / "meds", {"train/0.parquet": PERSON}, {7: "train"})
    row = _ingest(source, tmp_path / "out")["train"]["7"]
    assert row == {
        "patient_id": "7",
        "sex": "F",
        "birth_day": -400,
        "death_day": 900,
        "enrollment_start_day": None,
        "enrollment_end_day": None,
        "visit_day": [10, 12],
        "visit_type": ["MEDS", "MEDS"],
        "codes": [["ICD10CM/E119", "SNOMED/62106007"], ["RXNORM/161"]],
        "visit_end_day": [10, 12],
    }


def test_a_sex_of_another_value_is_unknown_and_counted(tmp_path):
    events = [_event(7, None, "GENDER//2"), _event(7, 10, "A/1"), _event(8, None, "sex/ female"), _event(8, 10, "A/1")]
    source = _dataset(tmp_path / "meds", {"train/0.parquet": events}, {7: "train", 8: "train"})
    patients = _ingest(source, tmp_path / "out")["train"]
    assert {name: row["sex"] for name, row in patients.items()} == {"7": None, "8": "F"}
    assert [entry["fixes"] for entry in _report(tmp_path / "out")] == [{"F_SEX_NULL": 1}]


def test_folder_has_patients_report_and_manifest_and_no_canonical_tables(tmp_path):
    source = _dataset(tmp_path / "meds", {"train/0.parquet": PERSON}, {7: "train"})
    ingest_meds(source, tmp_path / "out", progress=False)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["_SUCCESS", "manifest.json", "patients", "quality_report.json"]
    assert open_folder(tmp_path / "out").manifest["source_facts"] == {"meds_version": "0.3.3"}


def test_splits_of_the_dataset_are_kept(tmp_path):
    files = {f"{split}/0.parquet": [_event(n, 1, "A/1")] for n, split in enumerate(("train", "tuning", "held_out"))}
    for name, splits in (("table", {0: "train", 1: "tuning", 2: "held_out"}), ("folders", None)):
        patients = _ingest(_dataset(tmp_path / name, files, splits), tmp_path / f"out-{name}")
        assert [list(patients[split]) for split in SPLITS] == [["0"], ["1"], ["2"]]


def test_dataset_without_splits_is_split_by_hash(tmp_path):
    events = [_event(number, 1, "A/1") for number in range(200)]
    patients = _ingest(_dataset(tmp_path / "meds", {"0.parquet": events}), tmp_path / "out")
    assert min(len(patients[split]) for split in SPLITS) > 5
    assert sum(len(patients[split]) for split in SPLITS) == 200


def test_order_and_sharding_do_not_matter(tmp_path):
    events = [_event(subject, day, f"A/{code}") for subject in range(9) for day in (3, 1) for code in (2, 1)]
    splits = {subject: ("train", "tuning", "held_out")[subject % 3] for subject in range(9)}
    first = _ingest(_dataset(tmp_path / "a", {"0.parquet": events}, splits), tmp_path / "out-a")
    halves = {"0.parquet": events[20::-1], "1.parquet": events[:20:-1]}
    second = _ingest(_dataset(tmp_path / "b", halves, splits), tmp_path / "out-b")
    assert first == second
    (entry,) = _report(tmp_path / "out-a")
    assert entry["warnings"] == {"W_UNSORTED": 9}


def test_every_row_is_used_quarantined_or_dropped(tmp_path):
    events = [
        *PERSON,
        _event(7, None, "SNOMED/1"),
        _event(7, 5, None),
        _event(None, 5, "SNOMED/1"),
        _event(7, 5, "NDC//123"),
        _event(8, 5, "SNOMED/1"),
    ]
    source = _dataset(tmp_path / "meds", {"0.parquet": events}, {7: "train"})
    patients = _ingest(source, tmp_path / "out", max_quarantine_share=1, max_reason_share=1)
    (entry,) = _report(tmp_path / "out")
    assert (entry["rows_in"], entry["rows_out"]) == (11, 6)
    assert entry["quarantine_reasons"] == {"R_CODE_TEXT": 1, "R_NDC": 1, "R_NO_ID": 1}
    assert entry["drop_reasons"] == {"D_NO_SPLIT": 1, "D_NO_TIME": 1}
    assert sum(len(visit) for visit in patients["train"]["7"]["codes"]) == 3
    quarantine = pq.read_table(tmp_path / "out" / "quarantine" / "0.parquet").to_pylist()
    assert [(row["row_no"], row["reason_code"], row["code"]) for row in quarantine] == [
        (8, "R_CODE_TEXT", None),
        (9, "R_NO_ID", "SNOMED/1"),
        (10, "R_NDC", "NDC//123"),
    ]


def test_too_many_refused_rows_publish_nothing(tmp_path):
    source = _dataset(tmp_path / "meds", {"0.parquet": [_event(7, 5, "NDC//123"), *PERSON]}, {7: "train"})
    with pytest.raises(ClaimDataError, match="E_QUARANTINE_RATE"):
        ingest_meds(source, tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["meds"]


def test_extra_claim_type_column_names_the_visits(tmp_path):
    schema = EVENTS.append(pa.field("claim_type", pa.string()))
    events = [(*_event(7, 5, "A/1"), "IP"), (*_event(7, 5, "A/2"), None)]
    source = _dataset(tmp_path / "meds", {"0.parquet": events}, {7: "train"}, schema)
    assert _ingest(source, tmp_path / "out")["train"]["7"]["visit_type"] == ["IP", "MEDS"]


def test_large_strings_and_milliseconds_of_other_writers_are_read(tmp_path):
    schema = pa.schema([("subject_id", pa.int64()), ("time", pa.timestamp("ms")), ("code", pa.large_string())])
    events = [event[:3] for event in PERSON]
    other = _dataset(tmp_path / "other", {"train/0.parquet": events}, {7: "train"}, schema)
    ours = _dataset(tmp_path / "ours", {"train/0.parquet": PERSON}, {7: "train"})
    assert _ingest(other, tmp_path / "out-other") == _ingest(ours, tmp_path / "out-ours")


def test_subject_in_two_splits_is_refused_without_naming_them(tmp_path):
    both = {"train/0.parquet": [_event(4711, 1, "A/1")], "tuning/0.parquet": [_event(4711, 2, "A/1")]}
    for name, splits in (("folders", None), ("table", {4711: "train"})):
        with pytest.raises(ClaimDataError, match="E_SPLIT_OVERLAP") as caught:
            ingest_meds(_dataset(tmp_path / name, both, splits), tmp_path / "out", progress=False)
        assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (pa.schema([("subject_id", pa.int64()), ("time", pa.timestamp("us"))]), "E_COLUMN"),
        (EVENTS.set(0, pa.field("subject_id", pa.string())), "E_ID_TYPE"),
        (EVENTS.set(1, pa.field("time", pa.timestamp("us", tz="Europe/Berlin"))), "E_TIMESTAMP"),
        (EVENTS.set(1, pa.field("time", pa.timestamp("ns", tz="+01:00"))), "E_TIMESTAMP"),
        (EVENTS.set(1, pa.field("time", pa.int64())), "E_TIMESTAMP"),
        (EVENTS.set(1, pa.field("time", pa.string())), "E_TIMESTAMP"),
    ],
)
def test_files_that_are_not_meds_are_refused(tmp_path, schema, reason):
    source = _dataset(tmp_path / "meds", {"0.parquet": []}, None, schema)
    with pytest.raises(ClaimDataError) as caught:
        ingest_meds(source, tmp_path / "out", progress=False)
    assert caught.value.reason_code == reason


def test_unknown_split_names_are_refused(tmp_path):
    source = _dataset(tmp_path / "meds", {"0.parquet": PERSON}, {7: "fold_1"})
    with pytest.raises(ClaimDataError, match=r"found \['fold_1'\]"):
        ingest_meds(source, tmp_path / "out", progress=False)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ICD9Proc//37.22", "ICD9PCS/3722"),
        ("ICD-10-PCS//0DB60ZZ", "ICD10PCS/0DB60ZZ"),
        ("PROCEDURE//ICD//10//0DB60ZZ", "ICD10PCS/0DB60ZZ"),
        ("NDC/0093-0145-05", "NDC/00093014505"),
        ("LAB//51221//%", "LAB/51221"),
        ("AGE//5", "MEDS_AGE/5"),
        ("[MASK]", "EVENT/MASK"),
    ],
)
def test_codes_of_public_extracts_get_our_form(text, code):
    assert _read_code(*_name_system(text)) == code


def test_broken_promises_are_counted(tmp_path):
    files = {
        "0.parquet": [_event(1, 5, "A/1"), _event(1, 4, "A/1"), _event(2, 1, "A/1"), _event(1, 9, "A/1")],
        "1.parquet": [_event(2, 2, "A/1"), _event(2, 2, "A/1"), _event(3, None, "A/1")],
    }
    found = check_meds(_dataset(tmp_path / "meds", files, {1: "train", 2: "train"}))
    assert found == {
        "W_DUPLICATE": 1,
        "W_NOT_CONTIGUOUS": 1,
        "W_NO_SPLIT": 1,
        "W_SUBJECT_FILES": 1,
        "W_UNSORTED": 1,
    }


def _claims(out: Path, patient_id: str) -> Path:
    start = dt.date(2010, 1, 1)
    lines, spans = [], []
    for number in range(40):
        who = {"patient_id": patient_id.format(number), "data_source": "test"}
        for visit in range(1 + number % 4):
            line = {
                "claim_id": f"{number}-{visit}",
                "claim_line_number": 1,
                "claim_type": ("IP", "OP", "CAR")[visit % 3],
            }
            begin = start + dt.timedelta(days=visit // 2)
            known = {"claim_end_date": begin + dt.timedelta(3), "paid_date": begin + dt.timedelta(20)} if visit else {}
            principal = {"system": "ICD9CM", "code": "4019", "poa": None, "rank": 1}
            facts = {"claim_start_date": begin, "hcpcs_code": f"9921{visit}", "diagnoses": [principal], **known}
            lines.append(who | line | facts)
        for year in ((0, 2), (0, 1), ())[number % 3]:
            first = start.replace(year=start.year + year)
            spans.append(
                who
                | {
                    "gender": ("female", "male", None)[number % 3],
                    "birth_date": dt.date(1950, 1, 1 + number % 28),
                    "death_date": dt.date(2013, 1, 1) if number % 5 == 0 else None,
                    "enrollment_start_date": first,
                    "enrollment_end_date": first.replace(month=12, day=31),
                }
            )
    with write_folder(out) as folder:
        for name, rows, schema in (
            ("claim_line", lines, _CLAIM_LINE_SCHEMA),
            ("eligibility", spans, _ELIGIBILITY_SCHEMA),
        ):
            (folder / name).mkdir()
            rows = [dict.fromkeys(schema.names) | row for row in rows]
            pq.write_table(pa.Table.from_pylist(rows, schema), folder / name / "part-00000.parquet")
        write_patients(folder)
        write_manifest(folder, {"source": "test"})
    return out


@pytest.mark.parametrize("patient_id", ["P{:03d}", "{}", "{:03d}"])
def test_exported_claims_read_back_as_the_same_patients(tmp_path, patient_id):
    claims = _claims(tmp_path / "claims", patient_id)
    counts = export_meds(claims, tmp_path / "meds")
    assert counts["subjects"] == 40
    expected = _patients(claims)
    rows = [row for split in expected.values() for row in split.values()]
    # MEDS has no place for which diagnosis is the principal one.
    assert all(row.pop("principal_codes") for row in rows)
    assert _ingest(tmp_path / "meds", tmp_path / "back") == expected
    ends = [end for row in rows for end in row["visit_end_day"]]
    assert None in ends
    assert max(end for end in ends if end is not None) > max(row["visit_day"][-1] for row in rows)
    assert any(paid for row in rows for paid in row["visit_paid_day"])


def test_export_passes_the_schemas_of_meds_and_keeps_its_promises(tmp_path):
    export_meds(_claims(tmp_path / "claims", "P{:03d}"), tmp_path / "meds")
    files = sorted((tmp_path / "meds" / "data").rglob("*.parquet"))
    assert [file.parent.name for file in files] == ["held_out", "train", "tuning"]
    for file in files:
        DataSchema.validate(pq.read_table(file, partitioning=None))
    metadata = tmp_path / "meds" / "metadata"
    SubjectSplitSchema.validate(pq.read_table(metadata / "subject_splits.parquet"))
    CodeMetadataSchema.validate(pq.read_table(metadata / "codes.parquet"))
    DatasetMetadataSchema.validate(json.loads((metadata / "dataset.json").read_text()))
    assert check_meds(tmp_path / "meds") == {}
    used = {code for file in files for code in pq.read_table(file, partitioning=None)["code"].to_pylist()}
    assert set(pq.read_table(metadata / "codes.parquet")["code"].to_pylist()) == used


def test_whole_numbers_stay_the_subject_and_other_ids_are_numbered(tmp_path):
    for name, patient_id, expected in (("numbers", "{}", set(range(40))), ("texts", "P{:03d}", set(range(1, 41)))):
        export_meds(_claims(tmp_path / name, patient_id), tmp_path / f"meds-{name}")
        splits = pq.read_table(tmp_path / f"meds-{name}" / "metadata" / "subject_splits.parquet")
        assert set(splits["subject_id"].to_pylist()) == expected


def test_export_never_replaces_anything(tmp_path):
    claims = _claims(tmp_path / "claims", "{}")
    (tmp_path / "meds").mkdir()
    (tmp_path / "meds" / "mine").touch()
    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        export_meds(claims, tmp_path / "meds")
    assert [path.name for path in (tmp_path / "meds").iterdir()] == ["mine"]


@pytest.mark.skipif("CLAIMS_DATA_DIR" not in os.environ, reason="needs CLAIMS_DATA_DIR")
@pytest.mark.parametrize(("name", "num_patients"), [("meds_gibleed", 2147), ("meds_synthea_1k", 586)])
def test_real_datasets_lose_no_row_and_survive_the_round_trip(tmp_path, name, num_patients):
    source = Path(os.environ["CLAIMS_DATA_DIR"], name)
    patients = _ingest(source, tmp_path / "out")
    assert sum(map(len, patients.values())) == num_patients
    left = [
        entry["quarantine_reasons"] for entry in _report(tmp_path / "out") if entry["rows_in"] != entry["rows_out"]
    ]
    assert left == ([{"R_BEFORE_BIRTH": 1}] if name == "meds_gibleed" else [])
    splits = pq.read_table(source / "metadata" / "subject_splits.parquet").to_pylist()
    expected = {"train": "train", "tuning": "validation", "held_out": "test"}
    assert all(str(row["subject_id"]) in patients[expected[row["split"]]] for row in splits)
    export_meds(tmp_path / "out", tmp_path / "meds")
    assert check_meds(tmp_path / "meds") == {}
    assert _ingest(tmp_path / "meds", tmp_path / "back") == patients
    loaded = load_claims("meds", source, split="train", cache_dir=tmp_path / "cache", progress=False)
    assert pa.schema(loaded.features.arrow_schema).remove_metadata().equals(PATIENTS_SCHEMA)


def test_the_type_of_a_visit_is_trimmed_and_its_absence_counted(tmp_path: Path) -> None:
    schema = EVENTS.append(pa.field("claim_type", pa.string()))
    types = ["IP", " ip\u00a0", "", None, "clinic "]
    events = [(*_event(1, 10 * number, "ICD9CM//4019"), kind) for number, kind in enumerate(types)]
    path = _dataset(tmp_path / "meds", {"a.parquet": events}, schema=schema)
    summary = ingest_meds(path, tmp_path / "out", progress=False)
    (entry,) = summary.report["files"]
    assert entry["warnings"] == {"W_CLAIM_TYPE": 2}
    (row,) = [
        row
        for file in open_folder(tmp_path / "out").table_files("patients")
        for row in pq.read_table(file).to_pylist()
    ]
    assert row["visit_type"] == ["IP", "IP", "MEDS", "MEDS", "clinic"]


@pytest.mark.parametrize(
    ("codes", "system"),
    [
        (["ICD9CM//389.0", "ICD9CM/25000.0", "LAB//1.0"], "ICD9CM"),
        (["DIAGNOSIS//ICD//9//389.0", "DIAGNOSIS//ICD//9//4019.0"], "ICD9CM"),
        (["MS-DRG//194.0", "ICD9CM//4019"], "DRG"),
    ],
)
def test_codes_that_a_float_was_written_to_are_refused(tmp_path: Path, codes: list[str], system: str) -> None:
    path = _dataset(tmp_path / "meds", {"a.parquet": [_event(1, day, code) for day, code in enumerate(codes)]})
    with pytest.raises(ClaimDataError, match=f"E_CODE_TYPE: expected codes of {system} as text in a.parquet"):
        ingest_meds(path, tmp_path / "out", progress=False)


def test_codes_and_patient_ids_that_are_numbers_are_refused(tmp_path: Path) -> None:
    numeric = EVENTS.set(2, pa.field("code", pa.int64()))
    path = _dataset(tmp_path / "code", {"a.parquet": [(1, EPOCH, 4019, None)]}, schema=numeric)
    with pytest.raises(ClaimDataError, match=r"E_CODE_TYPE: data/a[.]parquet: expected code as text, found int64"):
        ingest_meds(path, tmp_path / "out", progress=False)
    numeric = EVENTS.append(pa.field("patient_id", pa.int64()))
    path = _dataset(tmp_path / "id", {"a.parquet": [(1, EPOCH, "ICD9CM//4019", None, 7)]}, schema=numeric)
    with pytest.raises(ClaimDataError, match=r"E_ID_TYPE: data/a[.]parquet: expected patient_id as text, found int64"):
        ingest_meds(path, tmp_path / "out", progress=False)


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    schema = EVENTS.append(pa.field("unit", pa.string()))
    path = _dataset(tmp_path / "meds", {"a.parquet": [(*_event(1, 1, "ICD9CM//4019"), "mg")]}, schema=schema)
    assert ingest_meds(path, tmp_path / "out", progress=False).report["unused_columns"] == {"a.parquet": ["unit"]}
