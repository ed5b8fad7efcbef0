"""A bundle in memory: errors that are told apart, order that does not matter, RIF rows and their resources alike."""

import csv
import datetime as dt
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sources.fhir_changes import KINDS, damage, every_kind
from sources.fhir_resources import (
    Resource,
    bundle,
    cms_eob,
    coverage,
    patient,
    payer_eob,
    rif_resources,
    stu3_eob,
)
from sources.rif_rows import FILES, Row, claim, drug, write_rif

from claim_transformers import ClaimDataError, read_eob_bundle
from claim_transformers.claims.store import open_folder
from claim_transformers.sources.formats.cms_rif import SOURCE
from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.pipeline.layout_files import read_layouts

DATA = os.environ.get("CLAIMS_DATA_DIR")
RIF = Path(DATA or "") / "cms_rif" / "rif-synthea"
SAMPLES = Path(DATA or "") / "fhir_eob"
LAYOUTS_OF_RIF = Path(str(SOURCE.layouts))
# Codes of all systems on one claim, the principal not listed, one diagnosis of a line alone, an adjustment taken back.
_CODED = {"ADMTG_DGNS_CD": "R0602", "ICD_DGNS_CD3": "N179", "ICD_DGNS_E_CD1": "V4352XA", "ICD_PRCDR_CD1": "0SG30AJ"}
_CODED |= {"PRCDR_DT1": "04-Mar-2018", "CLM_POA_IND_SW2": "Y", "HCPCS_1ST_MDFR_CD": "25"}


def _tables(read: Any) -> dict[str, list[str]]:
    found = {name: sorted(map(repr, table.to_pylist())) for name, table in read.tables.items()}
    return found | {"patients": sorted(map(repr, read.patients.to_pylist()))}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (b"{", "E_JSON"),
        (b"\xff", "E_JSON"),
        ({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "P77"}]}, "E_OPERATION_OUTCOME"),
        (bundle({"resourceType": "OperationOutcome"}, patient("P77")), "E_OPERATION_OUTCOME"),
        ({"resourceType": "Encounter", "id": "P77"}, "E_RESOURCE"),
        (bundle({"resourceType": "Practitioner", "id": "P77"}), "E_RESOURCE"),
        ({"id": "P77"}, "E_RESOURCE"),
        ({"resourceType": "Bundle", "entry": [{"fullUrl": "P77"}]}, "E_RESOURCE"),
        (None, "E_RESOURCE"),
        ("null", "E_RESOURCE"),
    ],
)
def test_what_holds_no_claims_is_an_error_of_its_own(given: Any, code: str) -> None:
    with pytest.raises(ClaimDataError, match=code) as caught:
        read_eob_bundle(given)
    assert "P77" not in str(caught.value)


def test_a_next_page_is_said_and_other_resources_are_counted() -> None:
    read = read_eob_bundle([bundle(payer_eob(), {"resourceType": "Practitioner"}, next_page=True), bundle(patient())])
    assert (read.has_next_page, read.others, read.patients.num_rows) == (True, {"Practitioner": 1}, 1)
    assert not read_eob_bundle(json.dumps(bundle(payer_eob()))).has_next_page
    empty = read_eob_bundle({"resourceType": "Bundle", "total": 0})
    assert (empty.patients.num_rows, empty.tables["claim_line"].num_rows) == (0, 0)


def test_enrolment_is_unknown_without_a_coverage_and_none_where_another_has_one() -> None:
    def spans(*resources: Resource) -> Any:
        return read_eob_bundle([payer_eob(), *resources]).patients["enrollment_start_day"][0].as_py()

    assert spans() is None
    assert spans(patient()) is None
    assert spans(coverage("Ada", start=None)) is None
    assert spans(coverage("Eve")) == []
    assert spans(coverage("Ada", start="1970-01-11")) == [10]
    months = {f"buyin{n:02d}": "C" if n < 7 else "0" for n in range(1, 13)} | {"hmo_ind_02": "C"}
    cms = "https://bluebutton.cms.gov/resources/variables/"
    extension = [{"url": f"{cms}{name}", "valueCoding": {"code": code}} for name, code in months.items()]
    extension.append({"url": f"{cms}rfrnc_yr", "valueDate": "1970"})
    of_year = read_eob_bundle(
        [
            payer_eob(),
            coverage(start=None, extension=extension),
            coverage(part="Part C", start=None, extension=extension),
        ]
    ).patients
    # January, and March to June: in February a plan took the place of Medicare.
    assert of_year["enrollment_start_day"][0].as_py() == [0, 59]
    assert of_year["enrollment_end_day"][0].as_py() == [30, 180]


def test_services_outside_life_or_after_the_request_leave() -> None:
    late = payer_eob("8", billablePeriod={"start": "2025-01-01", "end": "2025-01-01"})
    read = read_eob_bundle([payer_eob(), late], extract_date=dt.date(2024, 6, 1))
    assert read.left_out == {"R_FUTURE": 1}
    born = read_eob_bundle([payer_eob(), patient(birthDate="2024-03-04")])
    dead = read_eob_bundle([payer_eob(), patient(deceasedDateTime="2024-01-01T08:00:00-05:00")])
    assert (born.left_out, dead.left_out) == ({"R_BEFORE_BIRTH": 1}, {"R_AFTER_DEATH": 1})


def test_the_order_of_resources_elements_and_entries_does_not_matter() -> None:
    draw = random.Random(5)

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            draw.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        entries = [shuffled(one) for one in value] if isinstance(value, list) else value
        if isinstance(entries, list) and all(isinstance(one, dict) and "sequence" in one for one in entries):
            draw.shuffle(entries)
        return entries

    resources = [one for one in every_kind() if one["resourceType"] != "Coverage"]
    mixed = [shuffled(one) for one in resources]
    draw.shuffle(mixed)
    assert _tables(read_eob_bundle(mixed)) == _tables(read_eob_bundle(resources))


def test_a_resource_that_comes_twice_changes_nothing() -> None:
    resources = every_kind()
    once, twice = read_eob_bundle(resources), read_eob_bundle([*resources, *resources[:20]])
    assert _tables(once) == _tables(twice)
    assert twice.left_out == {"D_DUPLICATE": sum(len(one["item"]) for one in resources[:20])}


@pytest.mark.parametrize("seed", range(20))
def test_every_line_of_damaged_resources_stays_or_leaves_for_a_reason(seed: int) -> None:
    resources = [one for one in damage(every_kind(), seed) if one["resourceType"] == "ExplanationOfBenefit"]
    read = read_eob_bundle(resources)
    items = [one.get("item") for one in resources]
    number = sum(max(len(item), 1) if isinstance(item, list) else 1 for item in items)
    staying = sum(table.num_rows for table in read.tables.values())
    assert staying + sum(read.left_out.values()) == number
    assert staying > number / 2


@pytest.fixture(scope="module")
def rif_layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layout files with fewer numbered columns, because the engine plans wide ones for long."""
    folder = tmp_path_factory.mktemp("layouts")
    for kind in (*KINDS, "part_d"):
        text = (LAYOUTS_OF_RIF / f"{kind}.yaml").read_text(encoding="utf-8")
        (folder / f"{kind}.yaml").write_text(re.sub(r"<1[.][.](12|25)>", "<1..6>", text), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def rif_rows(rif_layouts: Path) -> dict[str, list[Row]]:
    """Made-up rows of all kinds, and those of CMS where they are at hand."""
    rows = {kind: [claim(kind, "71", line, **_CODED) for line in (1, 2)] for kind in KINDS}
    for kind in KINDS:
        rows[kind] += [claim(kind, "72", ICD_DGNS_CD1="I4891"), claim(kind, "73", FINAL_ACTION="N")]
        old = {"PRNCPAL_DGNS_VRSN_CD": "9", "ICD_DGNS_VRSN_CD1": "9", "ICD_DGNS_VRSN_CD2": "9"}
        rows[kind].append(claim(kind, "74", **old, PRNCPAL_DGNS_CD="4280", ICD_DGNS_CD1="4280", ICD_DGNS_CD2="25000"))
    rows["carrier"].append(claim("carrier", "75", LINE_ICD_DGNS_CD="J189", LINE_ICD_DGNS_VRSN_CD="0"))
    rows["part_d"] = [drug("D1"), drug("D2", SRVC_DT="09-Mar-2018", PROD_SRVC_ID="00409189001")]
    if DATA:
        for kind in rows:
            with (RIF / FILES[kind]).open(encoding="utf-8") as file:
                rows[kind] += list(csv.DictReader(file, delimiter="|", quoting=csv.QUOTE_NONE))
    names = {kind: {*layout.names} for kind, layout in read_layouts(rif_layouts).items()}
    return {
        kind: [{name: value for name, value in row.items() if name in names[kind]} for row in of_kind]
        for kind, of_kind in rows.items()
    }


@pytest.fixture(scope="module")
def rif_patients(
    rif_rows: dict[str, list[Row]], rif_layouts: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("rif")
    raw = write_rif(folder / "raw", layouts=read_layouts(rif_layouts), **rif_rows)
    any_share = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}
    ingest("cms-rif", raw, folder / "out", progress=False, threads=1, layouts=rif_layouts, **any_share)
    paths = open_folder(folder / "out").table_files("patients")
    return sorted((row for path in paths for row in pq.read_table(path).to_pylist()), key=repr)


@pytest.mark.parametrize("is_stu3", [False, True])
def test_rif_rows_and_their_resources_are_the_same_patients(
    rif_rows: dict[str, list[Row]], rif_patients: list[dict[str, Any]], is_stu3: bool
) -> None:
    resources = [one for kind, rows in rif_rows.items() for one in rif_resources(kind, rows, is_stu3=is_stu3)]
    read = read_eob_bundle(resources)
    assert {kind for row in read.patients.to_pylist() for kind in row["visit_type"]} == {
        *("IP", "OP", "CAR", "DME", "HHA", "HOSP", "SNF", "RX")
    }
    assert sorted(read.patients.to_pylist(), key=repr) == rif_patients


def test_one_claim_in_two_dialects_is_the_same_rows() -> None:
    rows = [(kind, [claim(kind, str(n), line, **_CODED) for line in (1, 2)]) for n, kind in enumerate(KINDS, start=1)]
    rows.append(("part_d", [drug("D1")]))
    carin, stu3 = (
        read_eob_bundle([one for kind, of_kind in rows for one in rif_resources(kind, of_kind, is_stu3=is_stu3)])
        for is_stu3 in (False, True)
    )
    assert _tables(carin) == _tables(stu3)
    assert read_eob_bundle([cms_eob(), stu3_eob("8"), payer_eob("9")]).left_out == {}


# What the servers of CMS themselves say differently of one claim: v1 has no billing provider of carriers and
# suppliers; v2 counts a drug where v1 counts a service, calls the admitting diagnosis of a nursing facility another
# one, and drops a physician of a hospice.
_SAID_DIFFERENTLY = {
    "CAR": {"billing_npi"},
    "DME": {"billing_npi"},
    "HOSP": {"rendering_npi", "service_unit_quantity"},
    "IP": {"service_unit_quantity"},
    "SNF": {"diagnoses", "admitting_diagnosis"},
}


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_the_claims_of_cms_in_two_dialects_are_the_same_rows() -> None:
    lines = []
    for folder in ("stu3_v1", "carin_v2"):
        # One of the two carrier claims, which have one number.
        files = [
            file for file in sorted((SAMPLES / folder).glob("eobRead*.json")) if file.name != "eobReadCarrier.json"
        ]
        read = read_eob_bundle([json.loads(file.read_text(encoding="utf-8")) for file in files])
        assert read.left_out == {}
        rows = [*read.tables["claim_line"].to_pylist(), *read.tables["rx_claim"].to_pylist()]
        lines.append({(row["claim_id"], row["claim_line_number"]): row for row in rows})
    stu3, carin = lines
    assert stu3.keys() == carin.keys()
    assert {key[0].rpartition("-")[2] for key in stu3} == {"IP", "OP", "CAR", "DME", "HHA", "HOSP", "SNF", "RX"}
    for key, row in stu3.items():
        different = {name for name, value in row.items() if carin[key][name] != value}
        assert different <= _SAID_DIFFERENTLY.get(row.get("claim_type", "RX"), set()), key


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_the_claims_of_cms_v3_are_read_whole() -> None:
    files = [file for file in sorted((SAMPLES / "cms_v3").glob("*.json")) if not file.stem.endswith("-MCS")]
    read = read_eob_bundle([json.loads(file.read_text(encoding="utf-8")) for file in files])
    assert (read.left_out, read.unknown_systems) == ({}, {})
    types = {row["claim_type"] for row in read.tables["claim_line"].to_pylist()}
    assert types == {"IP", "OP", "CAR", "DME", "HHA", "HOSP", "SNF"}
    (fill,) = read.tables["rx_claim"].to_pylist()
    assert (fill["ndc_code"], fill["days_supply"], str(fill["paid_date"])) == ("00071015523", 30, "2024-01-20")
