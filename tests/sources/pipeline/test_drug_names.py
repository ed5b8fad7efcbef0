import http.server
import json
import threading
import zipfile
from collections import Counter
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources.raw_claims import eligibility, medical_claim, pharmacy_claim, write_tuva

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import EventDefinition, build_cohort, check_leaks, load_definition
from claim_transformers.cohorts.event.definition import IndexRule, LabelRule
from claim_transformers.simulation import simulate, simulate_medicare
from claim_transformers.sources.pipeline.ingest import drugs_of as drug_names_of
from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.pipeline.loading import load_claims
from claim_transformers.sources.registry import sources

DIRECTORY = "PRODUCTNDC\tNONPROPRIETARYNAME\tSUBSTANCENAME\tPHARM_CLASSES\n52427-382\tx\tMETFORMIN HYDROCHLORIDE\t\n"


@pytest.fixture
def raw(tmp_path):
    fills = [pharmacy_claim(claim=f"R{number}") for number in range(30)]
    fills += [pharmacy_claim(claim=f"S{number}", ndc_code="00093014505") for number in range(15)]
    return write_tuva(tmp_path / "raw", medical=[medical_claim()], pharmacy=fills, people=[eligibility()])


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "product.txt").write_text(DIRECTORY)
    return tmp_path / "product.txt"


def codes_of(folder):
    (row,) = [row for path in sorted((folder / "patients").iterdir()) for row in pq.read_table(path).to_pylist()]
    return {code for visit in row["codes"] for code in visit}


def test_a_fill_stands_as_its_ingredient_where_the_directory_lists_it(raw, directory, tmp_path):
    summary = ingest("tuva", raw, tmp_path / "out", ndc_directory=directory, progress=False)
    assert {"DRUG/METFORMIN", "NDC/00093014505"} < codes_of(tmp_path / "out")
    assert "NDC/52427038290" not in codes_of(tmp_path / "out")
    assert "30 of 45 fills stand as their ingredient" in str(summary)
    drugs = json.loads((tmp_path / "out" / "quality_report.json").read_text())["drugs"]
    assert (drugs["fills"], drugs["products"], drugs["named_fills"], len(drugs["directory_sha256"])) == (45, 2, 30, 64)
    # The canonical table keeps what was dispensed.
    assert "52427038290" in pq.read_table(tmp_path / "out" / "rx_claim")["ndc_code"].to_pylist()


def test_without_a_directory_the_ndc_stays_and_the_summary_says_once_what_it_would_bring(raw, tmp_path):
    summary = str(ingest("tuva", raw, tmp_path / "out", progress=False))
    assert {"NDC/52427038290", "NDC/00093014505"} < codes_of(tmp_path / "out")
    assert summary.count("45 fills of <11 products stand as their NDC; with the NDC directory of the FDA") == 1


def test_a_table_of_the_simulation_names_drugs_too_and_a_changed_table_is_read_again(raw, tmp_path):
    table = tmp_path / "drugs.csv"
    for ingredient, name in (("metformin hcl", "DRUG/METFORMIN_HCL"), ("glipizide", "DRUG/GLIPIZIDE")):
        table.write_text(f"ndc9,ingredient\n524270382,{ingredient}\n")
        patients = load_claims("tuva", raw, cache_dir=tmp_path / "cache", ndc_directory=table, progress=False)
        rows = [row for split in patients.values() for row in split]
        assert name in {code for row in rows for visit in row["codes"] for code in visit}


def test_the_directory_is_fetched_once(raw, directory, tmp_path, monkeypatch):
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / "ndctext.zip", "w") as archive:
        archive.write(directory, "product.txt")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/ndctext.zip"
        ingest("tuva", raw, tmp_path / "first", ndc_directory=address, progress=False)
        (served / "ndctext.zip").unlink()
        ingest("tuva", raw, tmp_path / "second", ndc_directory=address, progress=False)
        server.shutdown()
    assert "DRUG/METFORMIN" in codes_of(tmp_path / "first") & codes_of(tmp_path / "second")


def test_a_source_without_fills_by_ndc_refuses_a_directory(directory, tmp_path):
    with pytest.raises(ValueError, match="expected no ndc_directory for 'meds'"):
        ingest("meds", tmp_path, tmp_path / "out", ndc_directory=directory)


# ---- A population that tells what is in its products ----
@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "raw"
    simulate(folder, patients=120, seed=3, start="2012-01-01", end="2014-12-31", replicates=0)
    return folder


@pytest.fixture(scope="module", params=["named", "none"])
def ingested(request, simulated, tmp_path_factory):
    """The population with the ingredients that it tells, and without; and what the ingest said."""
    out = tmp_path_factory.mktemp("out") / request.param
    names = {} if request.param == "named" else {"ndc_directory": "none"}
    return out, str(ingest("simulated", simulated, out, progress=False, **names))


def test_simulated_fills_stand_as_their_ingredients_unless_no_names_are_asked_for(simulated, ingested):
    out, said = ingested
    rows = [row for path in sorted((out / "patients").iterdir()) for row in pq.read_table(path).to_pylist()]
    kinds = Counter(code.partition("/")[0] for row in rows for visit in row["codes"] for code in visit)
    if out.name == "none":
        assert (kinds["DRUG"], (out / "drug_names").exists()) == (0, False)
        assert kinds["NDC"] > 100
        return
    assert kinds["DRUG"] > 100
    assert kinds["NDC"] == 0
    assert "fills stand as their ingredient" in said
    names = pq.read_table(out / "drug_names").to_pydict()
    table = pq.read_table(simulated / "drug_ingredients.parquet").to_pydict()
    assert dict(zip(*names.values(), strict=True)).items() <= dict(zip(*table.values(), strict=True)).items()
    filled = {code[:9] for code in pq.read_table(out / "rx_claim")["ndc_code"].to_pylist()}
    assert set(names["ndc9"]) == filled


def test_a_table_that_is_given_takes_the_place_of_that_of_the_simulation(simulated, tmp_path):
    (tmp_path / "drugs.csv").write_text("ndc9,ingredient\n000930145,metformin\n")
    source = sources()["simulated"]
    own, given = (drug_names_of(source, simulated, table) for table in (None, tmp_path / "drugs.csv"))
    assert given.names == {"000930145": "METFORMIN"}
    assert len(own.names) > 300


def test_a_cohort_of_claims_whose_drugs_are_named_passes_the_leak_check(ingested):
    out, _ = ingested
    definition = EventDefinition(
        name="admission", title="Any admission", source="this test", codes={}, criteria=(),
        index=IndexRule("fixed_date", ("2014-01-01",)), label=LabelRule(100, visit_types=("OP",)),
    )  # fmt: skip
    splits = build_cohort(definition, out).splits()
    kind = "NDC" if out.name == "none" else "DRUG"
    codes = splits["train"]["codes"].to_pylist()
    assert sum(code.startswith(kind) for row in codes for visit in row for code in visit) > 20
    check_leaks(splits, out)
    # A drug that the patient has no fill of is found, whichever of the two names it has.
    train = splits["train"]
    shown = [[[*visit, f"{kind}/99999999999"] for visit in row] for row in codes]
    planted = train.set_column(train.column_names.index("codes"), "codes", pa.array(shown, train["codes"].type))
    with pytest.raises(ClaimDataError, match="E_LEAK"):
        check_leaks({**splits, "train": planted}, out)


def test_a_readmission_cohort_has_the_drugs_of_its_claims_by_their_ingredient(tmp_path):
    simulate_medicare(tmp_path / "raw", patients=90, seed=3, start="2010-01-01", end="2011-12-31")
    ingest("simulated", tmp_path / "raw", tmp_path / "out", progress=False)
    splits = build_cohort(load_definition("readmission"), tmp_path / "out").splits()
    codes = [
        code for split in splits.values() for row in split["codes"].to_pylist() for visit in row for code in visit
    ]
    kinds = Counter(code.partition("/")[0] for code in codes)
    assert kinds["DRUG"] > 20
    assert kinds["NDC"] == 0
    check_leaks(splits, tmp_path / "out")


@pytest.mark.parametrize("name", ["none.csv", "none.zip"])
def test_a_directory_of_products_that_is_not_there_is_named(raw, tmp_path, name):
    with pytest.raises(ClaimDataError, match=f"E_NO_FILE: .*{name}', found no such file"):
        ingest("tuva", raw, tmp_path / "out", ndc_directory=tmp_path / name)
