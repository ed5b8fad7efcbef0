import hashlib
import json

import pyarrow as pa
import pyarrow.compute as pc
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
    ("population", "version", "expected", "total"),
    [
        ("pediatric", 1, "eb7e0139cfb0d617", 86688.31),
        ("pediatric", 2, "0dc696d5c350ef30", 80927.61),
        ("medicare", 2, "647b2e9affd7114c", 1166331.11),
        ("medicare", 3, "a43453a34237632c", 1167072.81),
    ],
)
def test_every_version_keeps_its_rows(tmp_path, population, version, expected, total):
    # The two share blocks, tables and random streams; a change made for one must not move the other. The last bits of
    # an exponential and of a matrix product depend on the vector instructions of the processor, and with them a cent.
    write = GENERATORS[population].write
    out = write(tmp_path / "claims", patients=40, simulation_version=version, **_WINDOWS[population]).path
    digest, sums = hashlib.sha256(), 0.0
    for name in TABLES:
        for column in plain(pq.read_table(out / f"{name}.parquet")).columns:
            if pa.types.is_decimal(column.type) or pa.types.is_floating(column.type):
                sums += float(pc.sum(column).as_py() or 0)
            else:
                digest.update(repr(column.to_pylist()).encode())
    assert digest.hexdigest()[:16] == expected
    assert sums == pytest.approx(total, rel=1e-6)


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
