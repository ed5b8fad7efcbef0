"""Raw files of one name: each gets its own, unless that says the same file was given twice."""

from pathlib import Path

import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.contract import RawFile, check_files_differ, name_apart

FIRST, SECOND = (RawFile("beneficiary.csv", num_rows=1, num_bytes=9, sha256=digest) for digest in ("00", "01"))


def test_a_file_of_another_folder_has_its_folder_in_its_name() -> None:
    assert name_apart(FIRST, [], Path("2014/beneficiary.csv"), 0) == FIRST
    assert name_apart(SECOND, [FIRST], Path("2015/beneficiary.csv"), 0).name == "2015-0-beneficiary.csv"


def test_where_contents_may_repeat_a_name_may_not() -> None:
    with pytest.raises(ClaimDataError, match=r"E_FILE_TWICE: expected every file name once, found beneficiary\.csv"):
        name_apart(SECOND, [FIRST], Path("2015/beneficiary.csv"), 0, may_repeat=True)


def test_equal_contents_are_one_file_given_twice_whatever_its_name() -> None:
    check_files_differ([FIRST, SECOND])
    with pytest.raises(ClaimDataError, match="have the same content: remove one"):
        check_files_differ([FIRST, RawFile("other.csv", num_rows=1, num_bytes=9, sha256="00")])
