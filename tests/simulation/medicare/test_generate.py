import hashlib
import json

import pyarrow.parquet as pq
import pytest
from simulation.written_files import GENERATORS, MEDICARE_YEAR, PATIENTS, SEED, TABLES, plain

from claim_transformers.simulation.medicare import (
    MEDICARE_SIMULATION_VERSION,
    PlantedBias,
    PlantedDrift,
    simulate_medicare_tables,
)
from claim_transformers.simulation.medicare.parameters import medicare_parameters_digest


def test_the_manifest_names_the_population_and_its_parameters(medicare_folder):
    out, _ = medicare_folder
    manifest = json.loads((out / "simulation.json").read_text())
    assert manifest["population"] == "medicare"
    assert manifest["parameters_sha256"] == medicare_parameters_digest(MEDICARE_SIMULATION_VERSION)


def test_the_parameters_are_those_that_each_version_published():
    assert MEDICARE_SIMULATION_VERSION == 3
    assert medicare_parameters_digest(3) == "7e5cf7adf67bc9e8bb604bc94cd794a254cef3d86a0185c1aa52c0e032a655b6"
    assert medicare_parameters_digest(2) == "a9d1349bc06fd8724cf1b9582d0b90cf85f6824257767cca7fe259afc5b4c0a0"


_WINDOWS = {
    "pediatric": {"seed": 1, "end": "2010-06-30", "replicates": 0},
    "medicare": {"seed": 1, "start": "2015-08-01", "end": "2015-12-31", "planted_drift": 0.0, "planted_bias": 0.5},
}


@pytest.mark.parametrize(
    ("population", "version", "expected"),
    [
        ("pediatric", 1, "cb1ede73cb394be5"),
        ("pediatric", 2, "724af9c59661e8c1"),
        ("medicare", 2, "c32d97869c24fa27"),
        ("medicare", 3, "d5a9fa9de745efda"),
    ],
)
def test_every_version_keeps_its_bytes(tmp_path, population, version, expected):
    # The two share blocks, tables and random streams; a change made for one must not move the other.
    write = GENERATORS[population].write
    out = write(tmp_path / "claims", patients=40, simulation_version=version, **_WINDOWS[population]).path
    digest = hashlib.sha256()
    for name in TABLES:
        for column in plain(pq.read_table(out / f"{name}.parquet")).columns:
            digest.update(repr(column.to_pylist()).encode())
    assert digest.hexdigest()[:16] == expected


def test_a_planted_bias_or_drift_of_strength_zero_is_none(medicare_folder):
    out, _ = medicare_folder
    same = simulate_medicare_tables(
        PATIENTS, SEED, planted_bias=PlantedBias("dual"), planted_drift=PlantedDrift(1999), **MEDICARE_YEAR
    )
    assert plain(same.medical_claim).equals(plain(pq.read_table(out / "medical_claim.parquet")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": 0}, "at least 1 patient"),
        ({"patients": 1, "seed": -1}, "a seed from 0"),
        ({"patients": 1, "end": "2012-12-30"}, "whole months"),
        ({"patients": 1, "start": "soon"}, "ISO date such as 2008-01-01 as start, found 'soon'"),
        ({"patients": 1, "planted_bias": 2.0}, "unrecorded from 0 to 1"),
        ({"patients": 1, "planted_drift": 1.5}, "strength of the drift from 0 to 1"),
        ({"patients": 1, "planted_drift": PlantedDrift(2008, 0.5)}, "after its first year, 2009 to 2012, found 2008"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_medicare_tables(**arguments)
