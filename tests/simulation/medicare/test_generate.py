import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from claim_transformers.simulation import simulate
from claim_transformers.simulation.medicare import (
    MEDICARE_SIMULATION_VERSION,
    PlantedBias,
    PlantedDrift,
    simulate_medicare,
    simulate_medicare_tables,
)
from claim_transformers.simulation.medicare.generate import medicare_parameters_digest

SHORT = {"start": "2010-01-01", "end": "2010-12-31"}
TABLES = ("medical_claim", "pharmacy_claim", "eligibility", "true_risk")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("medicare") / "claims"
    return out, simulate_medicare(out, patients=300, seed=5, **SHORT)


def _digests(out):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}


def _plain(table):
    kinds = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))


def test_the_same_seed_gives_the_same_bytes(folder, tmp_path):
    out, _ = folder
    simulate_medicare(tmp_path / "again", patients=300, seed=5, **SHORT)
    assert _digests(tmp_path / "again") == _digests(out)


def test_another_seed_gives_other_patients(folder):
    out, _ = folder
    first = set(pq.read_table(out / "eligibility.parquet")["person_id"].to_pylist())
    second = set(simulate_medicare_tables(300, 6, **SHORT).eligibility["person_id"].to_pylist())
    assert not first & second


def test_the_claims_of_a_patient_do_not_depend_on_how_many_there_are(folder):
    out, _ = folder
    more = simulate_medicare_tables(2600, 5, **SHORT)
    for name in TABLES:
        few = pq.read_table(out / f"{name}.parquet")
        column = "patient_id" if name == "true_risk" else "person_id"
        table = getattr(more, name)
        kept = table.filter(pc.is_in(table[column].cast("string"), pc.unique(few[column].cast("string"))))
        assert _plain(kept).equals(_plain(few))


def test_files_and_counts_agree(folder):
    out, summary = folder
    rows = {name: pq.read_metadata(out / f"{name}.parquet").num_rows for name in TABLES}
    assert rows == {
        "medical_claim": summary.claim_lines,
        "pharmacy_claim": summary.rx_claims,
        "eligibility": summary.eligibility_spans,
        "true_risk": summary.true_risks,
    }
    manifest = json.loads((out / "simulation.json").read_text())
    assert manifest["population"] == "medicare"
    assert manifest["simulation_version"] == MEDICARE_SIMULATION_VERSION
    assert manifest["rows"] | rows == manifest["rows"]
    assert manifest["parameters_sha256"] == medicare_parameters_digest()


def test_the_pediatric_population_keeps_its_bytes():
    # The two share blocks, tables and random streams; a change made for one must not move the other.
    with tempfile.TemporaryDirectory() as folder:
        out = simulate(Path(folder) / "claims", patients=40, seed=1, end="2010-06-30", replicates=0).path
        digest = hashlib.sha256()
        for name in TABLES:
            for column in _plain(pq.read_table(out / f"{name}.parquet")).columns:
                digest.update(repr(column.to_pylist()).encode())
    assert digest.hexdigest()[:16] == "cb1ede73cb394be5"


def test_a_planted_bias_or_drift_of_strength_zero_is_none(folder):
    out, _ = folder
    same = simulate_medicare_tables(
        300, 5, planted_bias=PlantedBias("dual"), planted_drift=PlantedDrift(1999), **SHORT
    )
    assert _plain(same.medical_claim).equals(_plain(pq.read_table(out / "medical_claim.parquet")))


def test_every_patient_is_insured(folder):
    out, _ = folder
    spans = pq.read_table(out / "eligibility.parquet")
    assert len(pc.unique(spans["person_id"].cast("string"))) == 300
    assert np.all(spans["enrollment_start_date"].to_numpy() <= spans["enrollment_end_date"].to_numpy())


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
