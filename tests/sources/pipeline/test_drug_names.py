import http.server
import json
import threading
import zipfile
from functools import partial

import pyarrow.parquet as pq
import pytest
from sources.raw_claims import eligibility, medical_claim, pharmacy_claim, write_tuva

from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.pipeline.loading import load_claims

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
