import csv
import os
from pathlib import Path

import numpy as np
import pytest

from claim_transformers.simulation import SIMULATION_VERSION
from claim_transformers.simulation.engine.data_files import read_pools
from claim_transformers.simulation.engine.products import _FIRST_LABELER
from claim_transformers.simulation.engine.sampling import CodeTable, mix, unit
from claim_transformers.simulation.pediatric.causes import DATA
from claim_transformers.simulation.pediatric.codebook import _diagnosis_pools, codebook_of

POOLS = _diagnosis_pools()
PROCEDURES = read_pools(DATA / "procedures.csv")["ICD9PCS"]
CODES = {code for pool in POOLS.values() for code in pool.split()}


def test_there_is_a_long_tail_of_diagnoses():
    assert len(CODES) > 5000


def test_outcome_codes_stand_in_their_own_pools_alone():
    for name, pool in POOLS.items():
        harm = [code for code in pool.split() if code.startswith("E95")]
        assert not harm or name == "self_harm_cause"
        asthma = [code for code in pool.split() if code.startswith("493")]
        assert not asthma or name.startswith("asthma")


@pytest.mark.skipif("CLAIMS_DATA_DIR" not in os.environ, reason="needs the public tables in CLAIMS_DATA_DIR")
def test_every_code_stands_in_the_public_tables():
    folder = Path(os.environ["CLAIMS_DATA_DIR"]) / "terminology" / "ccs_icd9"
    for name, codes in (
        ("dxref_2015_clean.csv", CODES),
        ("prref_2015_clean.csv", {code for pool in PROCEDURES.values() for code in pool.split()}),
    ):
        with (folder / name).open(encoding="utf-8") as file:
            known = {row["ICD-9-CM CODE"].strip() for row in csv.DictReader(file)}
        assert codes - known == set()


@pytest.mark.parametrize("version", [SIMULATION_VERSION - 1, SIMULATION_VERSION])
def test_products_cannot_be_mistaken_for_real_ones(version):
    products = [ndc for pool in codebook_of("a", version).product_pools.values() for ndc in pool.split()]
    assert len(set(products)) == len(products) > 2000
    assert all(len(ndc) == 11 and int(ndc[:5]) >= _FIRST_LABELER for ndc in products)


def test_an_ingredient_keeps_its_products_from_one_version_to_the_next():
    first, latest = (
        codebook_of("a", version).product_pools for version in (SIMULATION_VERSION - 1, SIMULATION_VERSION)
    )
    kept = first.keys() & latest.keys()
    assert len(kept) > 100
    assert all(first[name] == latest[name] for name in kept)


def test_alias_draws_follow_the_weights():
    table = CodeTable({"other": "x y", "pool": "a:5 b:3 c:2"})
    uniform = (np.arange(100_000, dtype=np.float32) + 0.5) / 100_000
    drawn = table.draw(np.full(100_000, table.pool("pool"), dtype=np.int32), uniform)
    counts = {table.vocabulary[code]: int((drawn == code).sum()) for code in np.unique(drawn)}
    assert counts.keys() == {"a", "b", "c"}
    assert counts["a"] == pytest.approx(50_000, rel=0.01)
    assert counts["c"] == pytest.approx(20_000, rel=0.01)


def test_habits_belong_to_patients():
    table = CodeTable({"pool": " ".join(f"c{number}" for number in range(300))})
    generator = np.random.Generator(np.random.Philox(0))
    pool = np.zeros(20_000, dtype=np.int32)
    mine = table.draw_habit(pool, np.full(20_000, 7, dtype=np.uint64), 0.9, generator)
    ours = table.draw_habit(pool, np.arange(20_000, dtype=np.uint64), 0.9, generator)
    mine_top, ours_top = (np.bincount(codes, minlength=300).max() / len(codes) for codes in (mine, ours))
    assert mine_top > 2 * ours_top
    assert len(np.unique(ours)) == 300


def test_hashes_look_uniform_and_independent():
    key = np.arange(50_000, dtype=np.uint64)
    first, second = unit(key, 1), unit(key, 2)
    assert first.mean() == pytest.approx(0.5, abs=0.01)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert len(np.unique(mix(key, 3))) == len(key)
