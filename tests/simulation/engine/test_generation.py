import json

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from simulation.written_files import GENERATORS, PATIENTS, SEED, TABLES, digests, plain


@pytest.fixture(params=GENERATORS)
def generator(request):
    return GENERATORS[request.param]


@pytest.fixture
def written(generator, pediatric_folder, medicare_folder):
    return pediatric_folder if generator is GENERATORS["pediatric"] else medicare_folder


def test_the_same_seed_gives_the_same_bytes(generator, written, tmp_path):
    out, _ = written
    generator.write(tmp_path / "again", patients=PATIENTS, seed=SEED, **generator.window)
    assert digests(tmp_path / "again") == digests(out)


def test_another_seed_gives_other_patients(generator, written):
    out, _ = written
    first = set(pq.read_table(out / "eligibility.parquet")["person_id"].to_pylist())
    second = set(generator.in_memory(PATIENTS, SEED + 1, **generator.window).eligibility["person_id"].to_pylist())
    assert not first & second


def test_the_claims_of_a_patient_do_not_depend_on_how_many_there_are(generator, written):
    out, _ = written
    more = generator.in_memory(2600, SEED, **generator.window)
    for name in TABLES:
        few = pq.read_table(out / f"{name}.parquet")
        column = "patient_id" if name == "true_risk" else "person_id"
        table = getattr(more, name)
        kept = table.filter(pc.is_in(table[column].cast("string"), pc.unique(few[column].cast("string"))))
        assert plain(kept).equals(plain(few))


def test_files_and_counts_agree(generator, written):
    out, summary = written
    rows = {name: pq.read_metadata(out / f"{name}.parquet").num_rows for name in TABLES}
    assert rows == {
        "medical_claim": summary.claim_lines,
        "pharmacy_claim": summary.rx_claims,
        "eligibility": summary.eligibility_spans,
        "true_risk": summary.true_risks,
    }
    manifest = json.loads((out / "simulation.json").read_text())
    assert manifest["simulation_version"] == generator.version
    assert manifest["rows"] | rows == manifest["rows"]
    assert manifest["seed"] == SEED


def test_every_patient_is_insured(written):
    out, _ = written
    spans = pq.read_table(out / "eligibility.parquet")
    assert len(pc.unique(spans["person_id"].cast("string"))) == PATIENTS
    assert np.all(spans["enrollment_start_date"].to_numpy() <= spans["enrollment_end_date"].to_numpy())
