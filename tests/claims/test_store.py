"""Published whole or not at all; equal rows give equal bytes."""

import errno
from pathlib import Path

import pyarrow as pa
import pytest

from claim_transformers.claims.store import _TableWriter, open_folder, write_folder, write_manifest
from claim_transformers.codes.errors import ClaimDataError

SCHEMA = pa.schema([("day", pa.int32()), ("name", pa.dictionary(pa.int32(), pa.string()))])


def _publish(out: Path, text: str = "first", **options: bool) -> None:
    with write_folder(out, **options) as folder:
        (folder / "note.txt").write_text(text)
        write_manifest(folder, {"source": "test"})


def test_a_folder_appears_with_its_success_mark(tmp_path: Path) -> None:
    _publish(tmp_path / "out")
    assert open_folder(tmp_path / "out").manifest["source"] == "test"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _fail(out: Path, fault: BaseException) -> None:
    with write_folder(out) as folder:
        (folder / "note.txt").write_text("half")
        raise fault


@pytest.mark.parametrize("fault", [ValueError("x"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_nothing_remains_when_the_block_fails(tmp_path: Path, fault: BaseException) -> None:
    with pytest.raises(type(fault)):
        _fail(tmp_path / "out", fault)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=r"E_WRITE.*No space left"):
        _fail(tmp_path / "out", OSError(errno.ENOSPC, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_reading_is_not_taken_for_one_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_folder(tmp_path / "out"):
        (tmp_path / "missing").read_text()


def test_a_block_that_writes_no_manifest_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="manifest"), write_folder(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_old_folder_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    _publish(tmp_path / "out")
    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        _publish(tmp_path / "out", "second")
    assert (tmp_path / "out" / "note.txt").read_text() == "first"
    _publish(tmp_path / "out", "second", overwrite=True)
    assert (tmp_path / "out" / "note.txt").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_old_folder_stays_when_its_replacement_fails(tmp_path: Path) -> None:
    _publish(tmp_path / "out")
    with pytest.raises(ValueError, match="x"), write_folder(tmp_path / "out", overwrite=True):
        raise ValueError("x")
    assert (tmp_path / "out" / "note.txt").read_text() == "first"


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(ClaimDataError, match=r"E_EXISTS.*something else"):
        _publish(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").exists()


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    _publish(tmp_path / "out")
    open_folder(tmp_path / "out")


def test_a_folder_without_success_mark_is_refused(tmp_path: Path) -> None:
    _publish(tmp_path / "out")
    (tmp_path / "out" / "_SUCCESS").unlink()
    with pytest.raises(ClaimDataError, match=r"E_INCOMPLETE.*ingest again"):
        open_folder(tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("attrition.json", "found a cohort: give the claims that it was built from"),
        ("dataset_dict.json", "found a data set of sequences or tokens: give the claims"),
        ("_scores.json", "found scores: give the claims"),
        ("claims/_SUCCESS", "found a run: give its folder claims"),
        ("config.json", "found a checkpoint: give the claims"),
        ("first/_SUCCESS", "found a folder that holds ingested ones: give one of them, such as 'first'"),
        ("claims.csv", "found another folder: if it holds raw files, ingest them first"),
        (None, "found an empty folder: ingest into it first"),
    ],
)
def test_a_folder_of_another_kind_is_named_with_what_to_give_instead(tmp_path: Path, file: str, found: str) -> None:
    if file is not None:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(ClaimDataError, match=f"E_INCOMPLETE: expected ingested claims, .*, {found}"):
        open_folder(tmp_path)


def test_a_file_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "claims.csv").touch()
    with pytest.raises(ClaimDataError, match="found a file: ingest it first"):
        open_folder(tmp_path / "claims.csv")


@pytest.mark.parametrize(
    ("content", "code"),
    [('{"format_version": 99}', "E_FORMAT_VERSION"), ("{", "E_INCOMPLETE"), ("[]", "E_FORMAT_VERSION")],
)
def test_a_manifest_of_another_version_or_none_is_refused(tmp_path: Path, content: str, code: str) -> None:
    _publish(tmp_path / "out")
    (tmp_path / "out" / "manifest.json").write_text(content)
    with pytest.raises(ClaimDataError, match=code):
        open_folder(tmp_path / "out")


def test_a_table_of_which_a_file_was_cut_is_refused_by_its_name(tmp_path: Path) -> None:
    _publish(tmp_path / "out")
    with _TableWriter(tmp_path / "out" / "rows", SCHEMA) as writer:
        writer.write(pa.table({"day": pa.array([1], pa.int32()), "name": ["a"]}))
    (file,) = open_folder(tmp_path / "out").table_files("rows")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ClaimDataError, match=r"E_PARQUET: .* of rows, found part-00000[.]parquet"):
        open_folder(tmp_path / "out").table_files("rows")


@pytest.mark.parametrize("cuts", [[10], [1, 9], [3, 3, 4], [1] * 10])
def test_bytes_do_not_depend_on_how_the_engine_cuts_its_batches(tmp_path: Path, cuts: list[int]) -> None:
    rows = pa.table({"day": pa.array(range(10), pa.int32()), "name": ["b", "a"] * 5})
    with _TableWriter(tmp_path / "whole", SCHEMA, rows_per_group=4, rows_per_part=8) as writer:
        writer.write(rows)
    with _TableWriter(tmp_path / "cut", SCHEMA, rows_per_group=4, rows_per_part=8) as writer:
        start = 0
        for size in cuts:
            writer.write(rows.slice(start, size))
            start += size
    names = ["part-00000.parquet", "part-00001.parquet"]
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == names
    for name in names:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_table_without_rows_has_no_file(tmp_path: Path) -> None:
    with _TableWriter(tmp_path / "empty", SCHEMA) as writer:
        writer.write(SCHEMA.empty_table())
    assert not (tmp_path / "empty").exists()
