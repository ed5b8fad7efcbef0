"""Files of tables are found by the names of the tables."""

from pathlib import Path

import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.table_files import find_table_files


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    "name", ["cost.csv", "COST.CSV", "cost_1.csv.gz", "Cost-2019_2.zip", "cost.3.parquet", "COST/part-0.parquet"]
)
def test_a_table_is_found_in_any_case_in_parts_and_in_a_folder(tmp_path: Path, name: str) -> None:
    _touch(tmp_path, name)
    assert find_table_files(tmp_path, ["cost", "person"]) == {"cost": [tmp_path / name]}


@pytest.mark.parametrize(
    "name", ["cost.txt", "costs.csv", "my_cost.csv", "cost_old.csv", "cost/readme.md", "other/cost.csv"]
)
def test_a_file_of_another_name_or_kind_is_not_a_table(tmp_path: Path, name: str) -> None:
    _touch(tmp_path, name)
    assert find_table_files(tmp_path, ["cost"]) == {}


@pytest.mark.parametrize("name", ["part-0.csv", "note.txt"])
def test_partitions_are_not_taken_for_a_table_without_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / "cost").mkdir()
    _touch(tmp_path / "cost", name, "year=2018/part-0.csv")
    with pytest.raises(ClaimDataError, match="found 1 in folders below"):
        find_table_files(tmp_path, ["cost"])


def test_a_suffix_is_part_of_the_name(tmp_path: Path) -> None:
    _touch(tmp_path, "claims.csv", "claims_raw.csv")
    assert find_table_files(tmp_path, ["claims"], "_raw") == {"claims": [tmp_path / "claims_raw.csv"]}


def test_a_folder_that_is_not_there_has_no_tables(tmp_path: Path) -> None:
    assert find_table_files(tmp_path / "missing", ["claims"]) == {}
