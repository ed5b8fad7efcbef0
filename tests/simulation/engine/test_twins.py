"""The same lives in ICD-9 and in ICD-10."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from simulation.written_files import GENERATORS, PATIENTS, SEED

from claim_transformers.codes.normalize import normalize_codes
from claim_transformers.simulation.engine.icd10 import read_icd10

CODED = ("diagnosis_code", "procedure_code")


@pytest.fixture(scope="module", params=GENERATORS)
def twins(request, tmp_path_factory):
    """Folders of one population under ICD-9, under ICD-10, and across a switch inside the year."""
    generator = GENERATORS[request.param]
    folders = {}
    for coding in ("never", "always", "2010-07-01"):
        folders[coding] = tmp_path_factory.mktemp(request.param) / coding
        generator.write(folders[coding], patients=PATIENTS, seed=SEED, icd10_from=coding, **generator.window)
    return folders


def _columns(table, prefix):
    return [name for name in table.column_names if name.startswith(prefix) and not name.endswith("type")]


def test_risks_lives_fills_and_coverage_are_the_same_bytes(twins):
    for name in ("true_risk", "pharmacy_claim", "eligibility", "drug_ingredients"):
        files = {hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest() for folder in twins.values()}
        assert len(files) == 1


def test_claims_differ_in_the_codes_of_diagnoses_and_procedures_alone(twins):
    first, *others = (pq.read_table(folder / "medical_claim.parquet") for folder in twins.values())
    rest = [name for name in first.column_names if not name.startswith(CODED)]
    for other in others:
        assert other.select(rest).equals(first.select(rest))
        assert not other.equals(first)


def test_the_last_day_of_a_claim_decides_its_coding(twins):
    table = pq.read_table(twins["2010-07-01"] / "medical_claim.parquet")
    later = table["claim_end_date"].to_numpy() >= np.datetime64("2010-07-01")
    for prefix, column, systems in (
        ("diagnosis_code", "diagnosis_code_type", ("icd-9-cm", "icd-10-cm")),
        ("procedure_code", "procedure_code_type", ("icd-9-pcs", "icd-10-pcs")),
    ):
        kinds = np.array(table[column].cast(pa.string()).to_pylist(), dtype=object)
        assert set(kinds[later]) - {None} == {systems[1]}
        assert set(kinds[~later]) - {None} == {systems[0]}
        system = f"ICD10{systems[1].rpartition('-')[2].upper()}"
        for name in _columns(table, prefix):
            words = pc.unique(table[name].cast(pa.string()).filter(pa.array(later))).drop_null()
            assert normalize_codes(system, words).codes.equals(words)


def test_every_code_stands_for_one_of_the_twin(twins):
    before, after = (pq.read_table(twins[coding] / "medical_claim.parquet") for coding in ("never", "always"))
    for prefix, system in (("diagnosis_code", "ICD9CM"), ("procedure_code", "ICD9PCS")):
        pools = {
            code: {part.partition(":")[0] for part in pool.split()} for code, pool in read_icd10()[system].items()
        }
        rows = (
            zip(*(table[name].cast(pa.string()).to_pylist() for name in _columns(table, prefix)), strict=True)
            for table in (before, after)
        )
        for old, new in zip(*rows, strict=True):
            possible = [pools[code] for code in old if code]
            written = {code for code in new if code}
            # None is lost and none is added; the first stays the first.
            assert written <= set().union(*possible)
            assert all(codes & written for codes in possible)
            assert (not possible) or new[0] in possible[0]


def test_the_manifest_names_the_coding(twins):
    told = {json.loads((folder / "simulation.json").read_text())["icd10_from"] for folder in twins.values()}
    assert told == set(twins)


@pytest.mark.parametrize("population", GENERATORS)
def test_an_earlier_version_had_the_same_claims_and_other_drugs(population):
    generator = GENERATORS[population]
    before, after = (
        generator.in_memory(PATIENTS, SEED, simulation_version=version, **generator.window)
        for version in (generator.version - 1, None)
    )
    for name in ("medical_claim", "true_risk", "eligibility"):
        assert getattr(before, name).equals(getattr(after, name))
    lasting = ["person_id", "dispensing_date", "days_supply"]
    assert before.pharmacy_claim.select(lasting).equals(after.pharmacy_claim.select(lasting))
    assert before.pharmacy_claim.num_rows > 500


@pytest.mark.parametrize("population", GENERATORS)
def test_at_least_300_generic_ingredients_can_be_dispensed(population):
    generator = GENERATORS[population]
    table = generator.in_memory(1, SEED, icd10_from="never", **generator.window).drug_ingredients
    names = pc.unique(table["ingredient"])
    assert len(names) >= 300
    assert normalize_codes("DRUG", names).codes.equals(names)
    assert len(pc.unique(table["ndc9"])) == len(table)
    assert {len(ndc9) for ndc9 in table["ndc9"].to_pylist()} == {9}
