"""Raw files of one name: each gets its own, unless that says the same file was given twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.contract import RawFile, name_apart

FIRST, SECOND = (RawFile("part-0.csv", num_rows=1, num_bytes=9, sha256=digest) for digest in ("00", "01"))


def test_a_name_that_is_taken_begins_with_the_folder_or_the_archive_and_a_number_where_that_is_not_enough() -> None:
    places = ("2014/part-0.csv", "2015/part-0.csv", "a/2015/part-0.csv", "b/2015/part-0.csv", "raw/2016.zip")
    found = [(Path(place), replace(FIRST, sha256=f"{number:02}")) for number, place in enumerate(places)]
    names = ["part-0.csv", *(f"{place}-part-0.csv" for place in ("2015", "2015-1", "2015-2", "2016"))]
    assert [file.name for file in name_apart(found, taken=set())] == names
    # Another table of the source.
    taken = {"part-0.csv"}
    assert [file.name for file in name_apart(found[:1], taken=taken)] == ["2014-part-0.csv"]
    assert taken == {"part-0.csv", "2014-part-0.csv"}
    # Of a file that is named from the working folder.
    assert name_apart([(Path("part-0.csv"), FIRST)], taken=taken)[0].name == f"{Path.cwd().name}-part-0.csv"


def test_where_contents_may_repeat_they_are_counted_and_a_name_may_not() -> None:
    copy = replace(FIRST, name="other.csv")
    _, found = name_apart([(Path("a"), FIRST), (Path("b"), copy)], taken=set(), may_repeat=True)
    assert found == replace(copy, warnings={"W_FILE_TWICE": 1})
    with pytest.raises(ClaimDataError, match=r"E_FILE_TWICE: expected every file name once, found part-0\.csv"):
        name_apart([(Path("a"), FIRST), (Path("b"), SECOND)], taken=set(), may_repeat=True)


def test_equal_contents_are_one_file_given_twice_whatever_its_name() -> None:
    with pytest.raises(ClaimDataError, match=r"part-0\.csv and other\.csv have the same content: remove one"):
        name_apart([(Path("a"), FIRST), (Path("b"), replace(FIRST, name="other.csv"))], taken=set())
