"""Made-up rows in the layout of Synthea's CSV exporter: what each table becomes."""

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest
from claim_transformers.sources.pipeline.loading import load_claims

Row = dict[str, str]
ANN, BOB = "0aa1-ann", "0bb2-bob"
STAY, OFFICE = "e-stay", "e-office"
NO_PAYER = "b1c428d6-4f07-31e0-90f0-68ffa6ff8c76"
PATIENTS = [
    {"Id": ANN, "BIRTHDATE": "1950-02-03", "DEATHDATE": "", "GENDER": "F", "RACE": "White", "FIPS": "09001"},
    {"Id": BOB, "BIRTHDATE": "1960-05-06", "DEATHDATE": "2018-08-01", "GENDER": "M", "RACE": "asian", "FIPS": ""},
]
ENCOUNTERS = [
    {"Id": STAY, "START": "2016-03-01T22:10:00Z", "STOP": "2016-03-05T10:00:00Z", "PATIENT": ANN}
    | {"ENCOUNTERCLASS": "inpatient", "TOTAL_CLAIM_COST": "9000.00", "PAYER_COVERAGE": "7000.50"},
    {"Id": OFFICE, "START": "2017-04-02T09:00:00Z", "STOP": "2017-04-02T09:30:00Z", "PATIENT": BOB}
    | {"ENCOUNTERCLASS": "wellness", "TOTAL_CLAIM_COST": "120.00", "PAYER_COVERAGE": "100.00"},
    {"Id": "e-odd", "START": "2017-06-02T09:00:00Z", "STOP": "2017-06-02T09:30:00Z", "PATIENT": BOB}
    | {"ENCOUNTERCLASS": "starship", "TOTAL_CLAIM_COST": "1.00", "PAYER_COVERAGE": "1.00"},
]
CONDITIONS = [
    {"START": "2016-03-02", "STOP": "", "PATIENT": ANN, "ENCOUNTER": STAY, "CODE": "22298006", "SYSTEM": "SNOMED-CT"},
    {"START": "2017-04-02", "STOP": "", "PATIENT": BOB, "ENCOUNTER": OFFICE, "CODE": "e11.9"}
    | {"SYSTEM": "http://hl7.org/fhir/sid/icd-10-cm"},
    {"START": "2017-09-09", "STOP": "", "PATIENT": BOB, "ENCOUNTER": "", "CODE": "44054006", "SYSTEM": ""},
]
PROCEDURES = [
    {"START": "2016-03-03T08:00:00Z", "PATIENT": ANN, "ENCOUNTER": STAY, "CODE": "415070008", "BASE_COST": "500.00"}
]
MEDICATIONS = [
    {"START": "2016-03-04T08:00:00Z", "STOP": "", "PATIENT": ANN, "ENCOUNTER": STAY, "CODE": "308182"}
    | {"DISPENSES": "2", "PAYER_COVERAGE": "8.00", "TOTALCOST": "10.00"}
]
TRANSITIONS = [
    {"PATIENT": ANN, "MEMBERID": "m1", "START_DATE": "2010-01-01T00:00:00Z", "END_DATE": "2019-12-31T00:00:00Z"}
    | {"PAYER": "payer-1"},
    {"PATIENT": BOB, "MEMBERID": "", "START_DATE": "2010-01-01T00:00:00Z", "END_DATE": "2012-01-01T00:00:00Z"}
    | {"PAYER": NO_PAYER},
    {"PATIENT": BOB, "MEMBERID": "m2", "START_DATE": "2012-01-01T00:00:00Z", "END_DATE": "2017-12-31T00:00:00Z"}
    | {"PAYER": "payer-2"},
]
PAYERS = [{"Id": "payer-1", "NAME": "Humana"}, {"Id": "payer-2", "NAME": "Anthem"}]
CLAIMS = [
    {"Id": "c1", "PATIENTID": ANN, "APPOINTMENTID": STAY, "SERVICEDATE": "2016-03-01T22:10:00Z"}
    | {"DIAGNOSIS1": "22298006", "DIAGNOSIS2": "38341003"}
]
TRANSACTIONS = [
    {"ID": f"t{place}", "CLAIMID": "c1", "PATIENTID": ANN, "APPOINTMENTID": STAY, "TYPE": kind, "AMOUNT": "300.00"}
    | {"FROMDATE": "2016-03-01T22:10:00Z", "UNITS": "1", "PROCEDURECODE": "99213"}
    for place, kind in enumerate(("CHARGE", "PAYMENT", "CHARGE", "TRANSFERIN"))
]
TABLES = {
    "patients": PATIENTS,
    "encounters": ENCOUNTERS,
    "conditions": CONDITIONS,
    "procedures": PROCEDURES,
    "medications": MEDICATIONS,
    "payer_transitions": TRANSITIONS,
    "payers": PAYERS,
}


def write_synthea(folder: Path, tables: dict[str, list[Row]]) -> Path:
    folder.mkdir(parents=True)
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), restval="")
            writer.writeheader()
            writer.writerows(rows)
    return folder


def run(folder: Path, tables: dict[str, list[Row]], **options: object) -> IngestSummary:
    shares = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "threads": 1, "progress": False}
    return ingest("synthea", write_synthea(folder / "raw", tables), folder / "out", **shares | options)


def read(folder: Path, name: str) -> list[Row]:
    return pa.concat_tables(pq.read_table(path) for path in sorted((folder / "out" / name).glob("*"))).to_pylist()


def entries(summary: IngestSummary, file: str) -> dict[str, Any]:
    return {entry["claim_type"]: entry for entry in summary.report["files"] if entry["source_file"] == f"{file}.csv"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IngestSummary]:
    """All tables, with rows that cannot be used, and the years of older exports beside the days of newer ones."""
    folder = tmp_path_factory.mktemp("synthea")
    condition = CONDITIONS[0]
    wrong = [
        condition | {"PATIENT": ""},
        condition | {"START": "2016-02-30"},
        condition | {"CODE": ""},
        condition | {"SYSTEM": "of my own"},
        dict(condition),
        condition | {"CODE": "I50.9"},
        condition | {"START": "1940-01-01"},
    ]
    years = [
        {"PATIENT": ANN, "START_YEAR": "2007", "END_YEAR": "2008", "PAYER": "payer-1"},
        {"PATIENT": BOB, "START_YEAR": "2011", "END_YEAR": "2010", "PAYER": "payer-1"},
        {"PATIENT": BOB, "START_YEAR": "2010", "END_YEAR": "2011", "PAYER": "NO_INSURANCE"},
    ]
    tables = TABLES | {"conditions": [*CONDITIONS, *wrong], "payer_transitions": [*TRANSITIONS, *years]}
    return folder, run(folder, tables | {"claims": CLAIMS, "claims_transactions": TRANSACTIONS})


def test_codes_stand_on_the_day_and_the_type_of_their_encounter(done: tuple[Path, IngestSummary]) -> None:
    patients = {row["patient_id"]: row for row in read(done[0], "patients")}
    day = lambda text: (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days  # noqa: E731
    ann, bob = patients[ANN], patients[BOB]
    assert ann["visit_day"] == [day("2016-03-01"), day("2016-03-03"), day("2016-03-04")]
    assert ann["visit_type"] == ["IP", "IP", "RX"]
    assert ann["codes"] == [["SNOMED/22298006", "SNOMED/38341003"], ["SNOMED/415070008"], ["RXNORM/308182"]]
    assert ann["visit_end_day"][0] == day("2016-03-05")
    assert (bob["visit_type"], bob["codes"]) == (["CAR", "OP"], [["ICD10CM/E119"], ["SNOMED/44054006"]])
    assert (ann["sex"], bob["sex"], bob["death_day"]) == ("F", "M", day("2018-08-01"))


def test_time_without_a_payer_is_no_enrolment(done: tuple[Path, IngestSummary]) -> None:
    spans = [row for row in read(done[0], "eligibility") if row["enrollment_start_date"]]
    (bob,) = [row for row in spans if row["patient_id"] == BOB]
    assert (bob["enrollment_start_date"], bob["payer"]) == (dt.date(2012, 1, 1), "Anthem")
    ann = sorted(f"{row['enrollment_start_date']} {row['enrollment_end_date']}" for row in spans if row is not bob)
    assert ann == ["2007-01-01 2008-12-31", "2010-01-01 2019-12-31"]
    entry = entries(done[1], "payer_transitions")["NONE"]
    assert (entry["drop_reasons"], entry["quarantine_reasons"]) == ({"D_NO_PAYER": 2}, {"R_SPAN": 1})


def test_amounts_stand_once(done: tuple[Path, IngestSummary]) -> None:
    lines = [row for row in read(done[0], "claim_line") if row["claim_id"] == STAY]
    first = min(lines, key=lambda line: line["claim_line_number"])
    # What was charged stands with the transactions, once.
    assert (f"{first['paid_amount']}", first["charge_amount"]) == ("7000.50", None)
    assert sum(float(line["charge_amount"] or 0) for line in lines) == 2 * 300
    assert (first["admission_date"], first["discharge_date"]) == (dt.date(2016, 3, 1), dt.date(2016, 3, 5))
    assert len({line["claim_line_number"] for line in lines}) == len(lines) == 7


def test_amounts_below_zero_and_above_the_cost_are_counted(tmp_path: Path) -> None:
    odd = [{"PAYER_COVERAGE": "9000.01"}, {"PAYER_COVERAGE": "-1.00"}, {"TOTAL_CLAIM_COST": "-5.00"}]
    odd = [ENCOUNTERS[0] | {"Id": f"odd-{place}"} | one for place, one in enumerate(odd)]
    summary = run(tmp_path, TABLES | {"encounters": [*ENCOUNTERS, *odd]})
    assert entries(summary, "encounters")["IP"]["warnings"]["W_AMOUNT"] == 3


def test_what_names_no_type_or_no_encounter_is_counted(done: tuple[Path, IngestSummary]) -> None:
    assert entries(done[1], "encounters")["OP"]["warnings"] == {"W_CLAIM_TYPE": 1}
    assert entries(done[1], "conditions")["OP"]["warnings"]["W_CLAIM_TYPE"] == 1


def test_rows_that_cannot_be_used_are_in_quarantine_with_their_reason(done: tuple[Path, IngestSummary]) -> None:
    found = entries(done[1], "conditions").values()
    reasons = {reason: number for entry in found for reason, number in entry["quarantine_reasons"].items()}
    assert reasons == {"R_NO_ID": 1, "R_DATE": 1, "R_NO_CODE": 1, "R_CODE_SYSTEM": 1, "R_BEFORE_BIRTH": 1}
    assert sum(entry["drop_reasons"].get("D_DUPLICATE", 0) for entry in found) == 1
    # A code that its system does not have leaves alone.
    assert done[1].report["codes"]["SNOMED"]["quarantined"] == {"R_DOMAIN": 1}
    for entry in done[1].report["files"]:
        kept = sum(entry[kind] for kind in ("rows_out", "quarantined", "dropped", "netted_out"))
        assert kept == entry["rows_in"]


def test_claims_rank_the_diagnoses_and_transactions_give_the_charges(done: tuple[Path, IngestSummary]) -> None:
    lines = [row for row in read(done[0], "claim_line") if row["claim_id"] == STAY]
    ranked = [entry for line in lines for entry in line["diagnoses"] or [] if entry["rank"] is not None]
    assert [(entry["code"], entry["rank"]) for entry in ranked] == [("22298006", 1), ("38341003", 2)]
    assert entries(done[1], "claims_transactions")["IP"]["drop_reasons"] == {"D_NO_CHARGE": 2}
    (ann,) = [row for row in read(done[0], "patients") if row["patient_id"] == ANN]
    assert ann["principal_codes"][0] == ["SNOMED/22298006"]


def test_load_claims_knows_it_and_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    few = {name: TABLES[name] for name in ("patients", "encounters", "conditions")}
    raw = write_synthea(tmp_path / "raw", few)
    patients = load_claims("synthea", raw, cache_dir=tmp_path / "cache", threads=1, progress=False)
    rows = [row for split in patients.values() for row in split]
    assert sum(len(row["visit_day"]) for row in rows) == 3
    # Without payer transitions nobody tells of enrolment.
    assert all(row["enrollment_start_day"] is None for row in rows)
    (folder,) = (tmp_path / "cache" / "claim_transformers" / "ingested").glob("*")
    lines = pq.read_table(folder / "claim_line").to_pylist()
    assert sorted(f"{line['charge_amount']}" for line in lines if line["charge_amount"]) == [
        "1.00",
        "120.00",
        "9000.00",
    ]
    (raw / "encounters.csv").unlink()
    with pytest.raises(ClaimDataError, match=r"E_NO_FILE: expected patients.csv and encounters.csv .* encounters.csv"):
        ingest("synthea", raw, tmp_path / "out", progress=False)
