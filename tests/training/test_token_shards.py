"""Tokens of a folder: shards of its files, read as a stream of which each process has its own."""

import shutil

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from task_runs import TasksHere
from training.ingested_folder import ingested

from claim_transformers.training import tokenize_claims, tokenize_dataset


def test_shards_hold_the_tokens_of_their_files_and_processes_read_their_own(tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    claims = ingested(tmp_path / "claims", {"train": 30, "validation": 0, "test": 5})
    first = pq.read_table(claims / "patients" / "train-00000.parquet")
    pq.write_table(first.slice(0, 20), claims / "patients" / "train-00000.parquet", row_group_size=7)
    pq.write_table(first.slice(20), claims / "patients" / "train-00001.parquet")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    assert tokenize_claims(tmp_path / "tokenizer", claims, tmp_path / "here") == 35
    assert tokenize_claims("tokenizer", "claims", "out", tasks=TasksHere()) == 35

    names = [path.name for path in sorted((claims / "patients").iterdir())]
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    files = {"train": [str(tmp_path / "out" / name) for name in names if name.startswith("train")]}
    stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    expected = tokenize_dataset(datasets.Dataset(first), tokenizer).to_list()
    assert list(stream) == expected
    shards = [list(stream.shard(num_shards=2, index=rank)) for rank in range(2)]
    assert shards == [expected[:20], expected[20:]]
    empty = pq.read_table(tmp_path / "out" / "validation-00000.parquet")
    assert empty.num_rows == 0
    assert empty.schema.equals(pa.schema(pq.read_schema(tmp_path / "out" / names[-2])))


def test_a_run_takes_no_tokenizer_that_an_earlier_one_found_under_its_name(tokenizer, tmp_path):
    claims = ingested(tmp_path / "claims", {"train": 3, "validation": 0, "test": 0})
    place = tmp_path / "tokenizer"
    tokenizer.save_pretrained(place)
    tokenize_claims(place, claims, tmp_path / "first")
    shutil.rmtree(place)
    with pytest.raises(OSError, match="tokenizer"):
        tokenize_claims(place, claims, tmp_path / "second")
