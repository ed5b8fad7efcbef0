"""ExplanationOfBenefit: every dialect, versions, quarantine, enrolment, and files in every form, in one ingest."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sources.fhir_changes import damage, every_kind
from sources.fhir_resources import (
    BILL,
    CARIN,
    HL7,
    NDC,
    bundle,
    cms_eob,
    coded,
    coverage,
    diagnosis,
    patient,
    payer_eob,
    payer_line,
    stu3_eob,
    write_lines,
)

from claim_transformers.claims.engine import connect
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.fhir_eob.bundle import read_eob_bundle
from claim_transformers.sources.formats.fhir_eob.source import read_fhir_eob
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest

Rows = list[dict[str, Any]]
ANY_SHARE = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}
DAMAGED = damage(every_kind(1000), seed=7)
_INSTITUTIONAL = {"type": coded(f"{HL7}claim-type", "institutional")}


def _billed(bill: str) -> dict[str, Any]:
    info = {"category": coded(f"{CARIN}CodeSystem/C4BBSupportingInfoType", "typeofbill"), "code": coded(BILL, bill)}
    return {**_INSTITUTIONAL, "supportingInfo": [info]}


def _sub_typed(kind: str) -> dict[str, Any]:
    return {**_INSTITUTIONAL, "subType": coded(f"{CARIN}CodeSystem/C4BBInstitutionalClaimSubType", kind)}


CASES: dict[str, dict[str, Any]] = {
    # A payer says the type of bill, or only the kind and its part.
    "b111": payer_eob("b111", **_billed("0111")),
    "b211": payer_eob("b211", **_billed("211")),
    "b329": payer_eob("b329", **_billed("329")),
    "b811": payer_eob("b811", **_billed("811")),
    "b131": payer_eob("b131", **_billed("131")),
    "s-in": payer_eob("s-in", **_sub_typed("inpatient")),
    "s-out": payer_eob("s-out", **_sub_typed("outpatient")),
    "oral": payer_eob("oral", kind="oral"),
    # What a claim cannot be without.
    "no-type": payer_eob("no-type", type=None),
    "nobody": payer_eob("nobody") | {"patient": {"display": "somebody"}},
    "inside": payer_eob("inside") | {"patient": {"reference": "#patient"}},
    "no-day": payer_eob("no-day", billablePeriod=None, item=[{"sequence": 1, "productOrService": coded("x", "y")}]),
    "no-code": payer_eob("no-code", diagnosis=None, item=[{"sequence": 1, "servicedDate": "2024-03-03"}]),
    "no-line-number": payer_eob("no-line-number", item=[payer_line("first")]),
    "no-dialect": {
        "resourceType": "ExplanationOfBenefit",
        "id": "no-dialect",
        "status": "active",
        "patient": {"reference": "Patient/Ada"},
        "billablePeriod": {"start": "2024-03-03"},
    },
    # Days of the lines stand in for those of the claim, and a claim without lines is one line.
    "line-days": payer_eob(
        "line-days", billablePeriod=None, item=[payer_line(1), payer_line(2, servicedDate="2024-03-05")]
    ),
    "no-lines": payer_eob("no-lines", item=None),
    # Neither is a claim.
    "asked": payer_eob("asked", use="preauthorization"),
    "estimated": cms_eob("estimated", use="predetermination"),
    # Versions.
    "taken-back": payer_eob("taken-back", status="cancelled"),
    "not-final": cms_eob("not-final", final="NotFinalAction"),
    "final": cms_eob("final"),
    "old": stu3_eob("old", group="-5"),
    "new": stu3_eob("new", group="-5", meta={"lastUpdated": "2024-05-01T00:00:00Z"}),
    "newest-but-cancelled": stu3_eob(
        "newest-but-cancelled", group="-5", status="cancelled", meta={"lastUpdated": "2024-06-01T00:00:00Z"}
    ),
    # Codes: a principal that comes again, systems that nobody knows, a service that is another kind of code.
    "again": cms_eob(
        "again",
        diagnosis=[
            diagnosis("I50.23", "principal", 1),
            diagnosis("I50.23", "admitting", 2),
            diagnosis("I50.23", "other", 3, onAdmission=coded("x", "Y")),
            diagnosis("E11.9", "other", 4),
        ],
    ),
    "snomed": payer_eob(
        "snomed",
        diagnosis=[diagnosis("44054006", "principal", 1, "http://snomed.info/sct"), diagnosis("I10", "other", 2)],
    ),
    "own-codes": payer_eob(
        "own-codes", item=[payer_line() | {"productOrService": coded("http://payer/member/1234567", "A")}]
    ),
}
_PART = {"quantity": {"value": 2}}
CASES["compound"] = payer_eob(
    "compound",
    kind="pharmacy",
    item=[
        {
            "sequence": 3,
            "productOrService": coded(f"{CARIN}CodeSystem/C4BBCompoundLiteral", "compound"),
            "servicedDate": "2024-03-04",
            "detail": [
                {**_PART, "productOrService": coded(NDC, "00409-1890-01")},
                {**_PART, "productOrService": coded(NDC, "52427038290")},
            ],
            "adjudication": [
                {"category": coded(f"{CARIN}CodeSystem/C4BBAdjudication", "drugcost"), "amount": {"value": 50.25}},
                {"category": coded(f"{CARIN}CodeSystem/C4BBAdjudication", "paidbypatient"), "amount": {"value": 10}},
            ],
        }
    ],
)
PEOPLE = [
    patient("Gus"),
    coverage("Gus", "Part A", "2020-01-01", "2024-12-31"),
    coverage("Gus", "Part C", "2021-03-01", "2021-05-31"),
    coverage("Gus", "Part D", "2019-01-01"),
    coverage("Eve", None, "2022-07-01", "2023-06-30"),
    patient("Eve", gender="male", birthDate="1980-05-05"),
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bulk file, a packed one, a bundle and a single resource; some lines are no JSON, and some no resource."""
    folder = tmp_path_factory.mktemp("raw")
    claims = list(CASES.values())
    broken = ['{"resourceType": "ExplanationOfBenefit", "id": ', "", '{"id": "x"}', "  "]
    write_lines(folder / "ExplanationOfBenefit.ndjson", [*claims[:9], *broken, *claims[9:-2]])
    lines = "\n".join(json.dumps(one) for one in DAMAGED)
    (folder / "damaged.ndjson.gz").write_bytes(gzip.compress(lines.encode()))
    (folder / "people.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(bundle(*PEOPLE, next_page=True)).encode())
    (folder / "one.json").write_text(json.dumps(claims[-2]))
    (folder / "two.json").write_text(json.dumps([claims[-1], {"resourceType": "Practitioner", "id": "x"}]))
    (folder / "broken.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def ingested(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> IngestSummary:
    return ingest("fhir-eob", raw, tmp_path_factory.mktemp("out") / "out", progress=False, threads=1, **ANY_SHARE)


def _read(summary: IngestSummary, table: str) -> Rows:
    return [row for path in open_folder(summary.out).table_files(table) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def lines(ingested: IngestSummary) -> dict[str, Rows]:
    """Lines of both claim tables by the number of the claim."""
    found: dict[str, Rows] = {}
    for row in [*_read(ingested, "claim_line"), *_read(ingested, "rx_claim")]:
        found.setdefault(row["claim_id"].rpartition("-")[0], []).append(row)
    return found


@pytest.fixture(scope="module")
def quarantined(ingested: IngestSummary) -> Rows:
    return [row for path in (ingested.out / "quarantine").glob("*.parquet") for row in pq.read_table(path).to_pylist()]


def test_a_fill_of_which_the_patient_paid_more_than_it_cost_has_a_warning(tmp_path: Path) -> None:
    (line,) = CASES["compound"]["item"]
    paid = {"category": coded(f"{CARIN}CodeSystem/C4BBAdjudication", "paidbypatient"), "amount": {"value": 50.26}}
    overpaid = line | {"adjudication": [line["adjudication"][0], paid]}
    fills = [payer_eob(name, kind="pharmacy", item=[one]) for name, one in (("fair", line), ("dear", overpaid))]
    write_lines(tmp_path / "ExplanationOfBenefit.ndjson", fills)
    summary = ingest("fhir-eob", tmp_path, tmp_path / "out", progress=False, **ANY_SHARE)
    (entry,) = summary.report["files"]
    assert (entry["rows_out"], entry["warnings"]["W_AMOUNT"]) == (2, 1)


def test_nothing_is_lost(ingested: IngestSummary) -> None:
    entries = ingested.report["files"]
    gone = ("quarantined", "dropped", "netted_out")
    assert all(one["rows_in"] == one["rows_out"] + sum(one[name] for name in gone) for one in entries)
    rows_in = Counter[str]()
    for one in entries:
        rows_in[one["source_file"]] += one["rows_in"]
    # Written by the test, so this count is nobody's parser's: lines of the claims, and two that are no resource.
    bulk = list(CASES.values())[:-2]
    assert rows_in["ExplanationOfBenefit.ndjson"] == sum(max(len(one.get("item", ())), 1) for one in bulk) + 2
    assert rows_in["*.json"] == len(PEOPLE) + 2 + 1
    entry = next(one for one in entries if one["source_file"] == "*.json" and one["warnings"])
    assert entry["warnings"]["W_NEXT_PAGE"] == 1
    assert ingested.report["unused_columns"]["*.json"] == ["Practitioner resources"]


@pytest.mark.parametrize(
    ("claim", "claim_type"),
    [
        ("b111", "IP"),
        ("b211", "SNF"),
        ("b329", "HHA"),
        ("b811", "HOSP"),
        ("b131", "OP"),
        ("s-in", "IP"),
        ("s-out", "OP"),
    ],
)
def test_a_payer_says_the_claim_type_by_its_bill_or_its_part(
    lines: dict[str, Rows], claim: str, claim_type: str
) -> None:
    (line,) = lines[claim]
    assert (line["claim_type"], line["claim_id"]) == (claim_type, f"{claim}-{claim_type}")
    assert (line["paid_amount"], line["allowed_amount"], line["charge_amount"]) == (None, None, None)
    assert (str(line["paid_date"]), line["hcpcs_code"]) == ("2024-03-20", "99213")


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("oral", "R_CLAIM_TYPE"),
        ("no-type", "R_CLAIM_TYPE"),
        ("nobody", "R_NO_ID"),
        ("inside", "R_NO_ID"),
        ("no-day", "R_DATE"),
        ("no-code", "R_NO_CODES"),
        ("no-line-number", "R_LINE_NUMBER"),
        (None, "R_DIALECT"),
    ],
)
def test_what_a_claim_cannot_be_without_is_named(
    lines: dict[str, Rows], quarantined: Rows, claim: str | None, reason: str
) -> None:
    assert claim not in lines
    found = {row["reason_code"] for row in quarantined if row["document"] == "ExplanationOfBenefit.ndjson"}
    assert reason in found
    keys = {row["reason_code"] for row in quarantined if claim and (row.get("claim_key") or "").startswith(claim)}
    assert keys <= {reason}


def test_what_is_no_json_or_no_resource_is_kept_as_it_came(quarantined: Rows) -> None:
    found = [(row["document"], row["raw_line"]) for row in quarantined if row["reason_code"] == "R_JSON"]
    bulk = "ExplanationOfBenefit.ndjson"
    broken = '{"resourceType": "ExplanationOfBenefit", "id": '
    assert sorted(found, key=str) == [(bulk, '{"id": "x"}'), (bulk, broken), ("broken.json", None)]


def test_days_of_lines_and_a_claim_without_lines(lines: dict[str, Rows], ingested: IngestSummary) -> None:
    days = [(str(line["claim_start_date"]), str(line["claim_end_date"])) for line in lines["line-days"]]
    assert days == [("2024-03-03", "2024-03-05")] * 2
    (line,) = lines["no-lines"]
    assert (line["claim_line_number"], line["hcpcs_code"], len(line["diagnoses"])) == (1, None, 2)
    bulk = [one for one in ingested.report["files"] if one["source_file"] == "ExplanationOfBenefit.ndjson"]
    assert sum(one["warnings"].get("W_NO_LINES", 0) for one in bulk) == 1


def test_of_versions_the_final_or_the_newest_that_is_not_taken_back_counts(
    lines: dict[str, Rows], ingested: IngestSummary
) -> None:
    versions = ("taken-back", "not-final", "final", "old", "new", "newest-but-cancelled")
    assert [name for name in versions if name in lines] == ["final", "new"]
    bulk = [one for one in ingested.report["files"] if one["source_file"] == "ExplanationOfBenefit.ndjson"]
    assert sum(one["drop_reasons"].get("D_SUPERSEDED", 0) for one in bulk) == 4


def test_a_request_for_authorisation_and_an_estimate_are_no_claims(
    lines: dict[str, Rows], ingested: IngestSummary
) -> None:
    assert not {"asked", "estimated"} & lines.keys()
    bulk = [one for one in ingested.report["files"] if one["source_file"] == "ExplanationOfBenefit.ndjson"]
    assert sum(one["drop_reasons"].get("D_NO_CLAIM", 0) for one in bulk) == 2


def test_a_principal_that_comes_again_is_one_diagnosis(lines: dict[str, Rows]) -> None:
    (line,) = lines["again"]
    assert [(one["code"], one["rank"], one["poa"]) for one in line["diagnoses"]] == [
        ("I5023", 1, "Y"),
        ("E119", 2, None),
    ]
    assert line["admitting_diagnosis"] == {"system": "ICD10CM", "code": "I5023"}


def test_code_systems_that_nobody_knows_are_counted_by_address(
    lines: dict[str, Rows], ingested: IngestSummary
) -> None:
    assert [one["code"] for one in lines["snomed"][0]["diagnoses"]] == ["I10"]
    counted = ingested.report["unknown_code_systems"]
    # An address that could hold somebody's number, and what is no address, are not named.
    assert counted["ExplanationOfBenefit.ndjson"] == {"http://snomed.info/sct": 1, "other": 1}
    assert counted["*.json"] == {"other": 1}


def test_parts_of_a_compound_are_lines_and_what_was_paid_stands_once(lines: dict[str, Rows]) -> None:
    found = sorted(
        (one["claim_line_number"], one["ndc_code"], one["quantity"], str(one["paid_amount"]))
        for one in lines["compound"]
    )
    assert found == [(3001, "00409189001", 2.0, "40.25"), (3002, "52427038290", 2.0, "None")]


def test_spans_are_periods_less_what_a_plan_of_part_c_hides(ingested: IngestSummary) -> None:
    spans = {
        (row["patient_id"], str(row["enrollment_start_date"]), str(row["enrollment_end_date"]))
        for row in _read(ingested, "eligibility")
        if row["enrollment_start_date"] is not None and row["patient_id"] in ("Gus", "Eve")
    }
    hidden = {("Gus", "2020-01-01", "2021-02-28"), ("Gus", "2021-06-01", "2024-12-31")}
    assert hidden | {("Eve", "2022-07-01", "2023-06-30")} == spans


def test_a_bundle_in_memory_gives_what_the_ingest_of_it_gives(raw: Path, ingested: IngestSummary) -> None:
    read = read_eob_bundle([*CASES.values(), *DAMAGED, *PEOPLE, {"resourceType": "Practitioner"}])
    for name in ("claim_line", "rx_claim", "eligibility"):
        assert sorted(map(repr, read.tables[name].to_pylist())) == sorted(map(repr, _read(ingested, name)))
    assert sorted(map(repr, read.patients.to_pylist())) == sorted(map(repr, _read(ingested, "patients")))
    reasons = Counter[str]()
    systems = Counter[str]()
    for one in ingested.report["files"]:
        reasons.update(one["quarantine_reasons"] | one["drop_reasons"])
    for of_file in ingested.report["unknown_code_systems"].values():
        systems.update(of_file)
    assert (read.left_out, read.unknown_systems) == (dict(reasons - Counter(R_JSON=3)), dict(systems))


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, "E_NO_FILE"),
        ({"a.ndjson": ""}, "E_EMPTY_FILE"),
        ({"a.json": json.dumps(patient("P77"))}, "E_NO_FILE"),
        ({"a.ndjson": json.dumps(payer_eob()), "b.ndjson": json.dumps(payer_eob())}, "E_FILE_TWICE"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, files: dict[str, str], code: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(ClaimDataError, match=code) as caught:
        read_fhir_eob(tmp_path, connect(threads=1), scratch=tmp_path / "scratch")
    assert "P77" not in str(caught.value)


def test_very_many_files_are_counted_together(tmp_path: Path) -> None:
    for number in range(30):
        broken = ["", f"{{{number}"] if number == 17 else []
        write_lines(tmp_path / "raw" / f"{number}.ndjson", [payer_eob(str(number)), *broken, cms_eob(f"C{number}")])
    (tmp_path / "scratch").mkdir()
    staged = read_fhir_eob(tmp_path / "raw", connect(threads=1), scratch=tmp_path / "scratch")
    (table,) = staged.tables
    (file,) = table.files
    assert (file.name, file.num_rows, file.num_rejected) == ("*.ndjson", 61, 1)
    assert file.rejects is not None
    assert file.rejects.select(["document", "raw_line"]).to_pylist() == [{"document": "17.ndjson", "raw_line": "{17"}]
