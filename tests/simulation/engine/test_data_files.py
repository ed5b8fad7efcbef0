import csv
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import claim_transformers.simulation
from claim_transformers.codes.normalize import normalize_code
from claim_transformers.simulation.engine.data_files import _POOL_COLUMNS, read_pools, read_rows

ROOM = Path(claim_transformers.simulation.__file__).parent
POOL_FILES = sorted(ROOM.glob("*/data/*.csv"))
ROW_FILES = sorted(ROOM.glob("*/data/*.yaml"))
HEAD = ",".join(_POOL_COLUMNS)


@dataclass(frozen=True)
class Dish:
    name: str
    portions: float = 1.0
    course: int = 0
    sides: tuple[str, ...] = ()
    grams: tuple[float, float] = (0, 0)
    needs: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        if self.portions < 0:
            raise ValueError(f"expected portions of at least 0, found {self.portions}")


def written(folder, *rows):
    path = folder / "pools.csv"
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


def dishes(folder, text):
    path = folder / "dishes.yaml"
    path.write_text(text)
    return read_rows(path, Dish, {"course": ("starter", "main")})


def test_both_populations_have_their_data_files():
    assert {path.parts[-3] for path in POOL_FILES} == {"engine", "pediatric", "medicare"}
    assert {path.parts[-3] for path in ROW_FILES} == {"pediatric", "medicare"}


@pytest.mark.parametrize("path", POOL_FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_row_of_a_pool_has_a_source_and_a_code_in_canonical_form(path):
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(row["source"].strip() for row in rows)
    assert all(normalize_code(row["system"], row["code"]) == row["code"] for row in rows)


@pytest.mark.parametrize("path", ROW_FILES, ids=lambda path: path.stem)
def test_every_cause_and_condition_has_a_source_and_canonical_groups(path):
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert rows
    assert all(row["source"].strip() for row in rows)
    groups = {group for row in rows for group in row.get("drg", "").split()}
    assert all(normalize_code("DRG", group) == group for group in groups)


def test_pools_are_read_in_order_with_their_weights(tmp_path):
    path = written(tmp_path, "visit,1,99213,HCPCS,3,a", "visit,2,99214,HCPCS,1,a", "cold,1,460,ICD9CM,,a")
    assert read_pools(path) == {"HCPCS": {"visit": "99213:3 99214:1"}, "ICD9CM": {"cold": "460"}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("cold,1,460,ICD9CM,,", "line 2: expected a source, found none"),
        (",1,460,ICD9CM,,a", "expected a pool"),
        ("cold,1,460,ICD9CM,0,a", "expected a positive weight or none, found '0'"),
        ("cold,1,460,ICD9CM,much,a", "expected a positive weight"),
        ("cold,2,460,ICD9CM,,a", "expected rank 1 in its pool, found '2'"),
        ("cold,1,460,ICD8,,a", "expected a system of"),
        ("cold,1,491.2,ICD9CM,,a", "expected a code of ICD9CM in canonical form, found '491.2'"),
        ("cold,1,460,ICD9CM", "expected 6 cells"),
    ],
)
def test_a_pool_with_a_fault_is_refused(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_pools(written(tmp_path, row))


def test_a_pool_mixes_no_weights_with_ranks_and_names_no_code_twice(tmp_path):
    with pytest.raises(ValueError, match="line 3: expected a weight in every row of a pool or in none"):
        read_pools(written(tmp_path, "cold,1,460,ICD9CM,3,a", "cold,2,4659,ICD9CM,,a"))
    (tmp_path / "again").mkdir()
    with pytest.raises(ValueError, match="line 3: expected a code once in a pool"):
        read_pools(written(tmp_path / "again", "cold,1,460,ICD9CM,,a", "cold,2,460,ICD9CM,,a"))


def test_rows_keep_their_numbers_and_lose_their_source(tmp_path):
    text = "- {name: pie, portions: 2, course: main, sides: [peas], grams: [1, 0.5], needs: {oven: 1.5}, source: a}"
    (pie,) = dishes(tmp_path, text)
    assert pie == Dish("pie", 2, 1, ("peas",), (1, 0.5), (("oven", 1.5),))
    assert isinstance(pie.portions, int)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{name: pie}", "row 1: expected a source, found none"),
        ("{name: pie, source: ' '}", "expected a source"),
        ("{portions: 2, source: a}", r"expected the keys \['name'\]"),
        ("{name: pie, size: 2, source: a}", r"found \['size'\]"),
        ("{name: pie, portions: two, source: a}", "portions: expected float, found 'two'"),
        ("{name: pie, portions: true, source: a}", "portions: expected float, found True"),
        ("{name: pie, portions: -1, source: a}", "row 1: expected portions of at least 0, found -1"),
        ("{name: pie, course: soup, source: a}", "expected one of .*found 'soup'"),
        ("{name: pie, grams: [1], source: a}", "expected a list of 2"),
        ("{name: pie, needs: [oven], source: a}", "expected a mapping from names to numbers"),
    ],
)
def test_a_row_with_a_fault_is_refused(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        dishes(tmp_path, f"- {row}")


def test_a_name_stands_once(tmp_path):
    with pytest.raises(ValueError, match="row 2: expected a name of its own"):
        dishes(tmp_path, "- {name: pie, source: a}\n- {name: pie, source: a}")
