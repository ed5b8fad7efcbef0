import datetime as dt
import os
import resource
import signal
import stat
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims.folding import write_patients

from claim_transformers.claims.patient_files import PATIENTS_SCHEMA, PRINCIPAL_CODES
from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA
from claim_transformers.claims.splits import SPLITS, split_of
from claim_transformers.claims.store import write_folder, write_manifest
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline import loading
from claim_transformers.sources.pipeline.loading import load_claims

NUM_PATIENTS = 60


def _ingested(out: Path, num_patients: int = NUM_PATIENTS, *, prefix: str = "P") -> Path:
    start = dt.date(2010, 1, 1)
    rows = [
        {
            "patient_id": f"{prefix}{number:03d}",
            "claim_id": f"C{number}-{visit}",
            "claim_line_number": 1,
            "claim_type": "OP",
            "claim_start_date": start + dt.timedelta(days=30 * visit),
            "hcpcs_code": f"9921{visit}",
            "diagnoses": [{"system": "ICD9CM", "code": "4280", "poa": None, "rank": 1}],
            "data_source": "test",
        }
        for number in range(num_patients)
        for visit in range(1 + number % 3)
    ]
    rows = [dict.fromkeys(_CLAIM_LINE_SCHEMA.names) | row for row in rows]
    with write_folder(out) as folder:
        (folder / "claim_line").mkdir()
        pq.write_table(pa.Table.from_pylist(rows, _CLAIM_LINE_SCHEMA), folder / "claim_line" / "part-00000.parquet")
        write_patients(folder)
        write_manifest(folder, {"source": "test"})
    return out


def _rows(folder: Path) -> dict[str, list[dict]]:
    files = {split: sorted((folder / "patients").glob(f"{split}-*.parquet")) for split in SPLITS}
    return {split: [row for path in files[split] for row in pq.read_table(path).to_pylist()] for split in SPLITS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return _ingested(tmp_path_factory.mktemp("claims") / "out")


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def test_rows_are_those_of_the_patients_table(folder, cache):
    loaded = load_claims("claims", folder, cache_dir=cache)
    assert isinstance(loaded, datasets.DatasetDict)
    assert list(loaded) == list(SPLITS)
    assert {split: loaded[split].to_list() for split in SPLITS} == _rows(folder)


def test_streaming_gives_the_same_rows_and_features(folder, cache):
    loaded = load_claims("claims", folder, cache_dir=cache)
    streamed = load_claims("claims", folder, streaming=True, cache_dir=cache)
    assert isinstance(streamed, datasets.IterableDatasetDict)
    for split in SPLITS:
        assert list(streamed[split]) == loaded[split].to_list()
        assert streamed[split].features == loaded[split].features


def test_features_are_fixed_lists_and_survive_saving(folder, cache, tmp_path):
    train = load_claims("claims", folder, split="train", cache_dir=cache)
    assert train.features["codes"] == datasets.List(datasets.List(datasets.Value("string")))
    assert pa.schema(train.features.arrow_schema).remove_metadata().equals(PATIENTS_SCHEMA.append(PRINCIPAL_CODES))
    train.save_to_disk(tmp_path / "saved")
    assert datasets.load_from_disk(tmp_path / "saved").features == train.features


def test_one_split_or_a_slice_of_it_is_a_dataset(folder, cache):
    train = load_claims("claims", folder, split="train", cache_dir=cache)
    assert isinstance(train, datasets.Dataset)
    assert load_claims("claims", folder, split="train[:3]", cache_dir=cache).to_list() == train.to_list()[:3]
    assert isinstance(
        load_claims("claims", folder, split="train", streaming=True, cache_dir=cache), datasets.IterableDataset
    )


def test_own_shares_are_drawn_by_hash_and_keep_everyone(folder, cache):
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    loaded = load_claims("claims", folder, splits=shares, salt="mine", cache_dir=cache)
    ids = {split: loaded[split]["patient_id"] for split in SPLITS}
    for split in SPLITS:
        assert set(split_of(pa.array(list(ids[split])), "mine", 0.5, 0.25).to_pylist()) == {split}
    assert sum(len(of_split) for of_split in ids.values()) == NUM_PATIENTS
    streamed = load_claims("claims", folder, splits=shares, salt="mine", streaming=True, cache_dir=cache)
    assert {split: list(streamed[split]) for split in SPLITS} == {split: loaded[split].to_list() for split in SPLITS}


def test_the_stored_salt_gives_the_stored_splits(folder, cache):
    stored = load_claims("claims", folder, cache_dir=cache)
    drawn = load_claims("claims", folder, salt="claim-transformers", cache_dir=cache)
    assert {split: set(drawn[split]["patient_id"]) for split in SPLITS} == {
        split: set(stored[split]["patient_id"]) for split in SPLITS
    }


def test_split_without_patients_is_there_and_empty(tmp_path, cache):
    loaded = load_claims("claims", _ingested(tmp_path / "out", num_patients=2), cache_dir=cache)
    sizes = {split: len(loaded[split]) for split in SPLITS}
    assert sum(sizes.values()) == 2
    empty = min(sizes, key=sizes.get)
    assert sizes[empty] == 0
    assert loaded[empty].features == loaded["train"].features
    assert len(load_claims("claims", tmp_path / "out", split=empty, cache_dir=cache)) == 0
    streamed = load_claims("claims", tmp_path / "out", split=empty, streaming=True, cache_dir=cache)
    assert list(streamed) == []


def test_second_load_reads_the_same_copy_and_changed_patients_another(tmp_path, cache):
    out = _ingested(tmp_path / "out")
    first = load_claims("claims", out, split="train", cache_dir=cache).cache_files
    assert load_claims("claims", out, split="train", cache_dir=cache).cache_files == first
    write_patients(out, salt="another")
    assert load_claims("claims", out, split="train", cache_dir=cache).cache_files != first


def test_copies_can_be_read_by_nobody_else(folder, cache):
    cache.mkdir()
    old = os.umask(0)
    try:
        train = load_claims("claims", folder, split="train", cache_dir=cache)
    finally:
        os.umask(old)
    (private,) = cache.iterdir()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert all(private in Path(file["filename"]).parents for file in train.cache_files)


def test_patient_in_two_splits_is_refused_without_naming_them(tmp_path, cache):
    out = _ingested(tmp_path / "out")
    train, test = (out / "patients" / f"{split}-00000.parquet" for split in ("train", "test"))
    pq.write_table(pa.concat_tables([pq.read_table(test), pq.read_table(train).slice(0, 1)]), test)
    for streaming in (False, True):
        with pytest.raises(ClaimDataError, match="1 patient in both 'train' and 'test'") as caught:
            load_claims("claims", out, streaming=streaming, cache_dir=cache)
        assert caught.value.reason_code == "E_SPLIT_OVERLAP"
        assert "P0" not in str(caught.value)


def test_unfinished_folder_is_refused(tmp_path, cache):
    out = _ingested(tmp_path / "out")
    (out / "_SUCCESS").unlink()
    with pytest.raises(ClaimDataError, match="E_INCOMPLETE"):
        load_claims("claims", out, cache_dir=cache)


def test_folder_without_patients_is_refused(tmp_path, cache):
    out = _ingested(tmp_path / "out", num_patients=0)
    with pytest.raises(ClaimDataError, match="E_NO_PATIENTS"):
        load_claims("claims", out, cache_dir=cache)


def test_unknown_source_suggests_a_known_one():
    with pytest.raises(ValueError, match="did you mean 'synpuf'") as caught:
        load_claims("synpouf", "raw")
    known = "cclf, claims, cms-rif, cohort, fhir-eob, meds, mimic3, omop, simulated, synpuf, synthea, tables, tuva"
    assert known in str(caught.value)


def test_ingested_folder_takes_no_options_of_raw_sources(folder):
    with pytest.raises(ValueError, match=r"\['out', 'sample'\]"):
        load_claims("claims", folder, out="elsewhere", sample=1)
    with pytest.raises(ValueError, match="found no path"):
        load_claims("claims")


def test_shares_must_sum_to_one(folder):
    for splits in ({"train": 0.5}, {"train": 0.9, "holdout": 0.1}):
        with pytest.raises(ValueError, match="sum to 1"):
            load_claims("claims", folder, splits=splits)


def test_raw_files_are_ingested_once_per_content(tmp_path, cache, monkeypatch):
    calls = []

    def ingest(source, path, out, **options):
        calls.append((source, options))
        _ingested(Path(out))

    monkeypatch.setattr("claim_transformers.sources.pipeline.ingest.ingest", ingest)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "claims.csv").write_text("a,b\n1,2\n")
    first = load_claims("tuva", raw, cache_dir=cache)
    again = load_claims("tuva", raw, cache_dir=cache)
    assert len(calls) == 1
    assert first["train"].cache_files == again["train"].cache_files
    (raw / "claims.csv").write_text("a,b\n1,3\n")
    load_claims("tuva", raw, cache_dir=cache)
    load_claims("tuva", raw, cache_dir=cache, max_quarantine_share=0.2)
    assert [options for _, options in calls] == [{}, {}, {"max_quarantine_share": 0.2}]
    # A copy of another format of folders is none that this version can read.
    with monkeypatch.context() as other:
        other.setattr(loading, "_VERSION", "another")
        load_claims("tuva", raw, cache_dir=cache)
    assert len(calls) == 4
    load_claims("tuva", raw, out=tmp_path / "out", cache_dir=cache)
    assert (tmp_path / "out" / "_SUCCESS").exists()
    with pytest.raises(ValueError, match="found nothing there"):
        load_claims("tuva", tmp_path / "absent", cache_dir=cache)


def test_warehouse_needs_a_folder_to_ingest_into(cache):
    with pytest.raises(ValueError, match="expected out"):
        load_claims("tuva", object(), cache_dir=cache)


@pytest.mark.skipif("CLAIMS_DATA_DIR" not in os.environ, reason="needs CLAIMS_DATA_DIR")
def test_real_raw_files_load_as_ingested_and_streamed(cache):
    raw = Path(os.environ["CLAIMS_DATA_DIR"], "synpuf", "fixture_csv")
    loaded = load_claims("synpuf", raw, cache_dir=cache, progress=False)
    assert sum(len(loaded[split]) for split in SPLITS) > 80
    (folder,) = (cache / "claim_transformers" / "ingested").iterdir()
    assert {split: loaded[split].to_list() for split in SPLITS} == _rows(folder)
    streamed = load_claims("synpuf", raw, streaming=True, cache_dir=cache, progress=False)
    assert list(streamed["train"]) == loaded["train"].to_list()


def test_module_does_not_import_datasets():
    assert not hasattr(loading, "datasets")


def test_a_cohort_is_loaded_as_it_was_split(folder, cache, tmp_path):
    splits = load_claims("claims", folder, cache_dir=cache)
    splits.save_to_disk(str(tmp_path / "cohort"))
    loaded = load_claims("cohort", tmp_path / "cohort")
    assert {name: rows["patient_id"][:] for name, rows in loaded.items()} == {
        name: rows["patient_id"][:] for name, rows in splits.items()
    }
    assert len(load_claims("cohort", tmp_path / "cohort", split="train")) == len(splits["train"])


def test_a_cohort_is_not_split_anew_and_must_be_one(folder, cache, tmp_path):
    with pytest.raises(ValueError, match=r"split already: expected their folder alone, found \['salt'\]"):
        load_claims("cohort", tmp_path, salt="x")
    with pytest.raises(ClaimDataError, match="E_NO_FOLDER"):
        load_claims("cohort", tmp_path)
    splits = load_claims("claims", folder, cache_dir=cache)
    datasets.DatasetDict({"train": splits["train"], "test": splits["train"]}).save_to_disk(str(tmp_path / "leak"))
    with pytest.raises(ClaimDataError, match="E_SPLIT_OVERLAP"):
        load_claims("cohort", tmp_path / "leak")


def test_a_full_disk_under_the_cache_is_one_sentence_and_the_next_load_succeeds(folder, cache):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        with pytest.raises(ClaimDataError, match="E_WRITE"):
            load_claims("claims", folder, cache_dir=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(cache.rglob("*.arrow"))
    assert load_claims("claims", folder, cache_dir=cache).num_rows


@pytest.fixture(scope="module")
def more(tmp_path_factory) -> Path:
    return _ingested(tmp_path_factory.mktemp("more") / "out", 20, prefix="Q")


def test_several_folders_are_one_data_set(folder, more, cache):
    alone = [load_claims("claims", each, cache_dir=cache) for each in (folder, more)]
    together = load_claims("claims", [folder, str(more)], cache_dir=cache)
    for split in SPLITS:
        assert together[split].to_list() == alone[0][split].to_list() + alone[1][split].to_list()
    assert sum(len(split) for split in together.values()) == NUM_PATIENTS + 20
    assert (
        load_claims("claims", [folder, more], split="train", cache_dir=cache).to_list() == together["train"].to_list()
    )
    streamed = load_claims("claims", [folder, more], streaming=True, cache_dir=cache)
    assert list(streamed["test"]) == together["test"].to_list()


def test_a_patient_of_two_folders_is_refused_without_naming_them(folder, more, tmp_path, cache):
    again = _ingested(tmp_path / "again", 1)
    with pytest.raises(ClaimDataError, match=r"E_SPLIT_OVERLAP.*1 patient in both") as caught:
        load_claims("claims", [folder, more, again], cache_dir=cache)
    assert "P000" not in str(caught.value)
    with pytest.raises(ValueError, match="expected every ingested folder once, found one twice"):
        load_claims("claims", [folder, folder], cache_dir=cache)


@pytest.mark.parametrize(("source", "given"), [("tuva", {}), ("cohort", {}), ("claims", {"out": "out"})])
def test_only_ingested_folders_can_be_several(folder, more, cache, source, given):
    with pytest.raises(ValueError, match="expected a list of ingested folders of the source 'claims' alone"):
        load_claims(source, [folder, more], cache_dir=cache, **given)
    with pytest.raises(ValueError, match="expected a list of ingested folders"):
        load_claims("claims", [], cache_dir=cache)
