import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from simulation.written_files import PEDIATRIC_YEAR, digests

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.simulation import SIMULATION_VERSION, simulate, simulate_tables
from claim_transformers.simulation.engine import generation
from claim_transformers.simulation.pediatric import generate as generate_module
from claim_transformers.simulation.pediatric.parameters import parameters_digest


def test_blocks_are_independent(monkeypatch):
    monkeypatch.setattr(generate_module, "BLOCK_PATIENTS", 100)
    monkeypatch.setattr(generation, "BLOCK_PATIENTS", 100)
    both = simulate_tables(200, 5, **PEDIATRIC_YEAR)
    first = simulate_tables(100, 5, **PEDIATRIC_YEAR)
    assert both.eligibility.num_rows > first.eligibility.num_rows
    head = both.medical_claim.slice(0, first.medical_claim.num_rows)
    assert head["claim_id"].to_pylist() == first.medical_claim["claim_id"].to_pylist()
    assert head["hcpcs_code"].to_pylist() == first.medical_claim["hcpcs_code"].to_pylist()
    assert len(pc.unique(both.eligibility["person_id"].cast("string"))) == 200


def test_the_parameters_are_those_that_each_version_published():
    assert SIMULATION_VERSION == 2
    assert parameters_digest(2) == "2cad37f13e3fa598a15b650b2ba70213526369a02605c2c08487905eb1d2a6cd"
    assert parameters_digest(1) == "90df5aee6dd6de9d05ca08b2edbba3eec3fb52277e613ce92e81185f97a90ef9"


def test_patient_numbers_do_not_tell_their_order(pediatric_folder):
    out, _ = pediatric_folder
    names = pc.unique(pq.read_table(out / "eligibility.parquet")["person_id"].cast("string")).to_pylist()
    assert names != sorted(names)
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


def test_an_existing_folder_is_refused_unless_it_may_be_replaced(pediatric_folder):
    out, _ = pediatric_folder
    before = digests(out)
    with pytest.raises(ClaimDataError, match=r"E_EXISTS.*pass overwrite=True"):
        simulate(out, patients=10, **PEDIATRIC_YEAR)
    assert digests(out) == before


def test_overwrite_replaces_the_whole_folder(tmp_path):
    out = tmp_path / "claims"
    simulate(out, patients=10, **PEDIATRIC_YEAR)
    (out / "stale.txt").write_text("stale")
    simulate(out, patients=10, overwrite=True, **PEDIATRIC_YEAR)
    assert not (out / "stale.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["claims"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generate_module, "_simulate_block", fail)
    with pytest.raises(ClaimDataError, match=r"E_WRITE: .*No space left on device\. Nothing was published"):
        simulate(tmp_path / "claims", patients=10, **PEDIATRIC_YEAR)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_simulation_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ClaimDataError, match=r"E_EXISTS.*a folder that a simulation wrote"):
        simulate(tmp_path, patients=10, overwrite=True, **PEDIATRIC_YEAR)
    assert (tmp_path / "thesis.txt").is_file()


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ClaimDataError, match="E_WRITE"):
        simulate(tmp_path / "file" / "claims", patients=10, **PEDIATRIC_YEAR)


def test_institution_b_codes_the_same_diseases_otherwise():
    first, second = (simulate_tables(800, 5, institution=name, **PEDIATRIC_YEAR) for name in ("a", "b"))
    shares = []
    for claims in (first, second):
        codes = claims.medical_claim["diagnosis_code_1"].cast("string").to_pylist()
        asthma = [code for code in codes if code.startswith("493")]
        assert len(asthma) > 20
        shares.append({code: asthma.count(code) / len(asthma) for code in set(asthma)})
    distance = sum(abs(shares[0].get(code, 0) - shares[1].get(code, 0)) for code in shares[0] | shares[1]) / 2
    assert distance > 0.15
    products = [set(claims.pharmacy_claim["ndc_code"].cast("string").to_pylist()) for claims in (first, second)]
    assert products[0] & products[1]


def test_a_window_may_be_short_and_begin_in_any_month():
    claims = simulate_tables(50, 1, start="2011-02-01", end="2011-04-30")
    days = claims.medical_claim["claim_start_date"].to_numpy()
    assert days.min() >= np.datetime64("2011-02-01")
    assert days.max() <= np.datetime64("2011-04-30")
    assert max(claims.true_risk["horizon_days"].to_pylist()) <= 31


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": 0}, "at least 1 patient"),
        ({"patients": 1, "seed": -1}, "a seed from 0"),
        ({"patients": 1, "institution": "z"}, "an institution"),
        ({"patients": 1, "dirt": "heavy"}, "dirt to be None"),
        ({"patients": 1, "end": "2014-12-30"}, "whole months"),
        ({"patients": 1, "end": "2009-12-31"}, "ends after it starts"),
        ({"patients": 1, "end": "2039-12-31"}, "1 to 240 months"),
        ({"patients": 1, "start": "soon"}, "ISO date such as 2010-01-01 as start, found 'soon'"),
        ({"patients": 1, "replicates": -1}, "replicates"),
        ({"patients": 1, "icd10_from": "soon"}, "ISO date such as 2015-10-01, 'always' or 'never' as icd10_from"),
        ({"patients": 1, "simulation_version": 3}, "a simulation version of 1 or 2, found 3"),
        (
            {"patients": 1, "simulation_version": 1, "icd10_from": "always"},
            "expected no icd10_from with simulation version 1",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_tables(**arguments)
