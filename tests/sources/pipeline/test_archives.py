"""Zip and gzip: unpacked whole, or not used at all."""

import gzip
import stat
import zipfile
from pathlib import Path

import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline import archives
from claim_transformers.sources.pipeline.archives import allow_expansion, unpack


def _zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def test_members_are_unpacked_without_their_folders(tmp_path: Path) -> None:
    path = _zip(tmp_path / "claims.zip", **{"deep__b.csv": b"2", "a.csv": b"1"})
    unpacked = unpack(path, tmp_path / "scratch")
    assert [(file.name, file.read_bytes()) for file in unpacked] == [("a.csv", b"1"), ("b.csv", b"2")]


def test_archives_of_one_name_and_two_folders_do_not_meet(tmp_path: Path) -> None:
    for folder in ("people", "claims"):
        (tmp_path / folder).mkdir()
        _zip(tmp_path / folder / "part.zip", **{"a.csv": folder.encode()})
        (tmp_path / folder / "part.csv.gz").write_bytes(gzip.compress(folder.encode()))
    for name in ("part.zip", "part.csv.gz"):
        found = [unpack(tmp_path / folder / name, tmp_path / "scratch") for folder in ("people", "claims")]
        assert [file.read_bytes() for (file,) in found] == [b"people", b"claims"]


def test_what_a_mac_adds_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "claims.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._a.csv", b"junk")
        archive.writestr("a.csv", b"1")
    assert [file.name for file in unpack(path, tmp_path / "scratch")] == ["a.csv"]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_zip_is_refused(tmp_path: Path, share: float) -> None:
    path = _zip(tmp_path / "claims.zip", **{"a.csv": bytes(range(256)) * 50})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE: .*claims.zip"):
        unpack(path, tmp_path / "scratch")


def test_a_damaged_zip_member_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "claims.zip", **{"a.csv": bytes(range(256)) * 50})
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(ClaimDataError, match="E_ARCHIVE: "):
        unpack(path, tmp_path / "scratch")


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "x/../../a.csv", "..\\a.csv"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "claims.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"1")
    with pytest.raises(ClaimDataError, match="E_ARCHIVE_PATH"):
        unpack(path, tmp_path / "scratch")
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "claims.zip"
    link = zipfile.ZipInfo("a.csv")
    link.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE_PATH.*link"):
        unpack(path, tmp_path / "scratch")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "claims.zip", **{"x__a.csv": b"1", "y__a.csv": b"2"})
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE_PATH.*same name"):
        unpack(path, tmp_path / "scratch")


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_a_bomb_is_stopped_unless_its_size_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(archives, "_FREE_BYTES", 1000)
    content = b"0" * 1_000_000
    if kind == "zip":
        path = _zip(tmp_path / "claims.zip", **{"a.csv": content})
    else:
        path = tmp_path / "claims.csv.gz"
        path.write_bytes(gzip.compress(content))
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE_PATH.*expands.*--max-expansion"):
        unpack(path, tmp_path / "scratch")
    assert sum(file.stat().st_size for file in (tmp_path / "scratch").rglob("*.csv")) <= 100 * path.stat().st_size
    with allow_expansion(1000):
        assert unpack(path, tmp_path / "allowed")[0].stat().st_size == len(content)


def test_members_are_counted_together_and_by_what_they_become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_FREE_BYTES", 1000)
    path = _zip(tmp_path / "claims.zip", **{f"{number}.csv": b"0" * 9_000 for number in range(9)})
    with allow_expansion(20), pytest.raises(ClaimDataError, match=r"E_ARCHIVE_PATH.*expands"):
        unpack(path, tmp_path / "scratch")
    assert not list((tmp_path / "scratch").rglob("*.csv"))
    # An author may understate the sizes.
    monkeypatch.setattr(zipfile.ZipInfo, "file_size", property(lambda self: 1, lambda self, size: None))
    with allow_expansion(20), pytest.raises(ClaimDataError, match=r"E_ARCHIVE"):
        unpack(path, tmp_path / "scratch")
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 8)
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE_PATH.*at most 8 files"):
        unpack(path, tmp_path / "scratch")


@pytest.mark.parametrize("name", ["inner.zip", "a.csv.gz", "a.tar"])
def test_an_archive_in_an_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "claims.zip", **{name: b"1"})
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE: .*another archive: unpack it yourself"):
        unpack(path, tmp_path / "scratch")
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(b"1"))
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE: .*another archive"):
        unpack(packed, tmp_path / "scratch")


def test_a_gzip_file_is_unpacked_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv.gz"
    path.write_bytes(gzip.compress(b"1"))
    (unpacked,) = unpack(path, tmp_path / "scratch")
    assert (unpacked.name, unpacked.read_bytes()) == ("claims.csv", b"1")


@pytest.mark.parametrize("fault", ["truncated", "damaged", "other"])
def test_a_broken_gzip_file_is_refused(tmp_path: Path, fault: str) -> None:
    content = gzip.compress(bytes(range(256)) * 50)
    broken = {"truncated": content[:-20], "damaged": content[:-6] + b"\0\0\0\0\0\0", "other": b"CLM_ID,PAID"}
    path = tmp_path / "claims.csv.gz"
    path.write_bytes(broken[fault])
    with pytest.raises(ClaimDataError, match=r"E_ARCHIVE: .*claims.csv.gz"):
        unpack(path, tmp_path / "scratch")
