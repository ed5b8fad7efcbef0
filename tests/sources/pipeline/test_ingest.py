"""Ingest as a whole: rows are conserved, order and copies do not matter, and nothing private is said."""

import datetime as dt
import json
import logging
import os
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources.raw_claims import (
    CARRIER_FILE,
    INPATIENT_FILE,
    OUTPATIENT_FILE,
    PRESCRIPTION_FILE,
    SYNPUF,
    Row,
    beneficiary,
    carrier,
    eligibility,
    inpatient,
    medical_claim,
    outpatient,
    pharmacy_claim,
    prescription,
    write_rows,
    write_synpuf,
    write_tuva,
    zip_file,
)

from claim_transformers.claims.assembly import PatientCounts
from claim_transformers.claims.planning import to_expression
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline import publishing, reading
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest

ANY_SHARE = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}


def _synpuf(folder: Path, **tables) -> Path:
    people = {year: [beneficiary(MEDREIMB_IP=year), beneficiary("P2", MEDREIMB_IP=year)] for year in ("2008", "2009")}
    return write_synpuf(folder, **({"beneficiaries": people} | tables))


def _run(source: str, raw: Path, out: Path, **options) -> IngestSummary:
    return ingest(source, raw, out, progress=False, threads=2, **(ANY_SHARE | options))


def _table(out: Path, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in open_folder(out).table_files(name)])


def _entry(summary: IngestSummary, source_file: str, claim_type: str | None = None) -> Row:
    (entry,) = (
        entry
        for entry in summary.report["files"]
        if entry["source_file"] == source_file and claim_type in (None, entry["claim_type"])
    )
    assert entry["rows_in"] == entry["rows_out"] + entry["quarantined"] + entry["dropped"] + entry["netted_out"]
    return entry


def _bytes(out: Path) -> dict[str, bytes]:
    tables = (*SCHEMAS, "patients")
    return {
        str(file.relative_to(out)): file.read_bytes() for name in tables for file in open_folder(out).table_files(name)
    }


def _some_claims() -> dict[str, list[Row]]:
    second = {"DESYNPUF_ID": "P1", "CLM_ID": "C1", "SEGMENT": "2", "CLM_PMT_AMT": "7.00", "CLM_ADMSN_DT": "20090412"}
    return {
        "inpatients": [inpatient(), second, inpatient("P2", "C2"), inpatient("P2", "C3", CLM_DRG_CD="OTH")],
        "outpatients": [outpatient("P2", f"O{n}", ICD9_DGNS_CD_2=f"25{n:02d}") for n in range(20)],
        "carriers": [carrier(), carrier("P2", "K2")],
        "prescriptions": [prescription(), prescription("P2", "E2", PROD_SRVC_ID="0093014505")],
    }


def test_a_source_becomes_canonical_tables_and_patients(tmp_path: Path) -> None:
    summary = _run("synpuf", _synpuf(tmp_path / "raw", **_some_claims()), tmp_path / "out")
    for name, schema in SCHEMAS.items():
        table = _table(tmp_path / "out", name)
        assert table.schema.equals(schema, check_metadata=False)
        assert table.num_rows == summary.lines[name]
        assert table["patient_id"].to_pylist() == sorted(table["patient_id"].to_pylist())
    assert summary.lines == {"eligibility": 4, "claim_line": 48, "rx_claim": 2}
    assert set(_table(tmp_path / "out", "patients")["patient_id"].to_pylist()) == {"P1", "P2"}
    assert "inpatient" in str(summary).lower()


def test_a_link_that_leads_nowhere_beside_the_files_is_passed_over(tmp_path: Path) -> None:
    raw = write_tuva(tmp_path / "raw", medical=[medical_claim("P1", "M1")], people=[eligibility("P1")])
    (raw / ".#medical_claim.csv").symlink_to("somebody@somewhere")
    assert ingest("tuva", raw, tmp_path / "out", progress=False).lines["claim_line"] == 1


def test_the_manifest_names_inputs_counts_and_versions_but_not_the_salt(tmp_path: Path) -> None:
    raw = write_tuva(tmp_path / "raw", pharmacy=[pharmacy_claim()])
    _run("tuva", raw, tmp_path / "out", salt="a secret salt")
    manifest = open_folder(tmp_path / "out").manifest
    assert manifest["source"] == "tuva"
    assert manifest["lines"]["rx_claim"] == 1
    (file,) = manifest["inputs"]
    assert (file["name"], file["rows"], len(file["sha256"])) == ("pharmacy_claim.csv", 1, 64)
    assert "duckdb" in manifest["versions"]
    assert "secret" not in json.dumps(manifest)
    assert manifest["simulation"] is None


def test_the_manifest_says_which_simulation_made_the_claims_whatever_source_reads_them(tmp_path: Path) -> None:
    raw = write_tuva(tmp_path / "raw", pharmacy=[pharmacy_claim()])
    (raw / "simulation.json").write_text(json.dumps({"simulation_version": 3, "seed": 8, "patients": 1}))
    for source in ("tuva", "simulated"):
        _run(source, raw, tmp_path / source)
        assert open_folder(tmp_path / source).manifest["simulation"] == {"version": 3, "seed": 8}


def test_bytes_do_not_depend_on_the_order_of_rows_or_threads(tmp_path: Path) -> None:
    tables = _some_claims()
    _run("synpuf", _synpuf(tmp_path / "raw", **tables), tmp_path / "out")
    generator = random.Random(1)
    shuffled = {name: generator.sample(rows, len(rows)) for name, rows in tables.items()}
    ingest("synpuf", _synpuf(tmp_path / "raw2", **shuffled), tmp_path / "out2", progress=False, threads=1, **ANY_SHARE)
    assert _bytes(tmp_path / "out") == _bytes(tmp_path / "out2")


def test_bytes_do_not_depend_on_exact_duplicates(tmp_path: Path) -> None:
    tables = _some_claims()
    _run("synpuf", _synpuf(tmp_path / "raw", **tables), tmp_path / "out")
    doubled = {name: rows + rows[:2] for name, rows in tables.items()}
    summary = _run("synpuf", _synpuf(tmp_path / "raw2", **doubled), tmp_path / "out2")
    assert _bytes(tmp_path / "out") == _bytes(tmp_path / "out2")
    for file in (INPATIENT_FILE, OUTPATIENT_FILE, CARRIER_FILE, PRESCRIPTION_FILE):
        assert _entry(summary, file)["drop_reasons"] == {"D_DUPLICATE": 2}


def test_a_zip_of_the_same_rows_gives_the_same_bytes(tmp_path: Path) -> None:
    raw = write_synpuf(tmp_path / "raw", prescriptions=[prescription(), prescription("P2", "E2")])
    _run("synpuf", raw, tmp_path / "out")
    zip_file(raw / PRESCRIPTION_FILE)
    _run("synpuf", raw, tmp_path / "out2")
    assert _bytes(tmp_path / "out") == _bytes(tmp_path / "out2")


_UNUSABLE = [
    ({"DESYNPUF_ID": " "}, "R_NO_ID"),
    ({"CLM_ID": ""}, "R_NO_ID"),
    ({"CLM_FROM_DT": "20090230"}, "R_DATE"),
    ({"CLM_FROM_DT": ""}, "R_DATE"),
    ({"CLM_THRU_DT": "99991231"}, "R_DATE"),
    ({"CLM_ADMSN_DT": "20090231"}, "R_DATE"),
    ({"CLM_THRU_DT": "20090401"}, "R_DATE_ORDER"),
    ({"NCH_BENE_DSCHRG_DT": "20090401"}, "R_DATE_ORDER"),
    ({"CLM_FROM_DT": "19390101"}, "R_BEFORE_BIRTH"),
    ({"DESYNPUF_ID": "dead", "CLM_FROM_DT": "20090302"}, "R_AFTER_DEATH"),
    ({"CLM_FROM_DT": "20110101", "CLM_THRU_DT": "20110102"}, "R_FUTURE"),
]


def test_rows_that_cannot_be_used_go_to_quarantine_as_they_came(tmp_path: Path) -> None:
    people = {"2008": [beneficiary(), beneficiary("dead", BENE_DEATH_DT="20090130")]}
    # Thirty days after death a service still counts.
    last = inpatient("dead", "last", CLM_FROM_DT="20090301", CLM_THRU_DT="20090301")
    bad = [inpatient(claim=f"C{number}") | changes for number, (changes, _) in enumerate(_UNUSABLE)]
    raw = write_synpuf(tmp_path / "raw", beneficiaries=people, inpatients=[last, *bad, inpatient(claim="good")])
    summary = _run("synpuf", raw, tmp_path / "out", extract_date=dt.date(2010, 12, 31))
    entry = _entry(summary, INPATIENT_FILE)
    assert (entry["rows_in"], entry["rows_out"], entry["quarantined"]) == (len(bad) + 2, 2, len(bad))
    assert set(_table(tmp_path / "out", "claim_line")["claim_id"].to_pylist()) == {"last", "good"}
    rows = pq.read_table(tmp_path / "out" / "quarantine" / f"{Path(INPATIENT_FILE).stem}.parquet").to_pylist()
    assert [row["reason_code"] for row in rows] == [reason for _, reason in _UNUSABLE]
    assert [row["row_no"] for row in rows] == list(range(2, len(bad) + 2))
    assert {(row["source_file"], row["stage"]) for row in rows} == {(INPATIENT_FILE, "checks")}
    assert [{name: row[name] or "" for name in came} for row, came in zip(rows, bad, strict=True)] == bad


def test_a_line_that_cannot_be_split_is_quarantined_as_text(tmp_path: Path) -> None:
    raw = write_synpuf(tmp_path / "raw", prescriptions=[prescription(), prescription("P2", "E2")])
    with (raw / PRESCRIPTION_FILE).open("a") as file:
        file.write("P1,E3,20090101\n")
    entry = _entry(_run("synpuf", raw, tmp_path / "out"), PRESCRIPTION_FILE)
    assert (entry["rows_in"], entry["quarantine_reasons"]) == (3, {"R_NCOLS": 1})
    (row,) = pq.read_table(tmp_path / "out" / "quarantine" / f"{Path(PRESCRIPTION_FILE).stem}.parquet").to_pylist()
    assert (row["raw_line"], row["row_no"], row["stage"]) == ("P1,E3,20090101", 3, "reading")


def test_a_claim_of_two_patients_is_quarantined_with_all_its_rows(tmp_path: Path) -> None:
    claims = [medical_claim(), medical_claim(line=2), medical_claim("P2", line=3), medical_claim("P2", "M2")]
    raw = write_tuva(tmp_path / "raw", medical=claims)
    entry = _entry(_run("tuva", raw, tmp_path / "out"), "medical_claim.csv")
    assert entry["quarantine_reasons"] == {"R_CLAIM_SHARED": 3}
    assert _table(tmp_path / "out", "claim_line")["claim_id"].to_pylist() == ["M2"]


def test_a_charge_and_its_reversal_are_netted_and_the_lone_reversal_is_kept(tmp_path: Path) -> None:
    claims = [
        medical_claim(),
        medical_claim(paid_amount="-29.56", allowed_amount="-40.00", paid_date="2019-01-01"),
        medical_claim(claim="M2", paid_amount="-5.00"),
        medical_claim(claim="M3"),
    ]
    raw = write_tuva(tmp_path / "raw", medical=claims)
    entry = _entry(_run("tuva", raw, tmp_path / "out"), "medical_claim.csv")
    assert (entry["netted_out"], entry["rows_out"], entry["warnings"]) == (2, 2, {"W_AMOUNT": 1})
    assert _table(tmp_path / "out", "claim_line")["claim_id"].to_pylist() == ["M2", "M3"]


def test_a_claim_type_without_canonical_type_is_counted_as_unknown(tmp_path: Path) -> None:
    raw = write_tuva(tmp_path / "raw", medical=[medical_claim(), medical_claim(claim="M2", claim_type="dental")])
    summary = _run("tuva", raw, tmp_path / "out")
    assert _entry(summary, "medical_claim.csv", "UNKNOWN")["quarantine_reasons"] == {"R_CLAIM_TYPE": 1}
    assert _entry(summary, "medical_claim.csv", "CAR")["rows_out"] == 1


def test_a_bad_code_leaves_and_its_row_stays(tmp_path: Path) -> None:
    claims = [medical_claim(diagnosis_code_1="1E10", diagnosis_code_2="e11.9", hcpcs_code="9921325")]
    drugs = [pharmacy_claim(ndc_code="0093014505"), pharmacy_claim(claim="R2", ndc_code="0093-0145-05")]
    summary = _run("tuva", write_tuva(tmp_path / "raw", medical=claims, pharmacy=drugs), tmp_path / "out")
    (line,) = _table(tmp_path / "out", "claim_line").to_pylist()
    assert [(entry["code"], entry["rank"]) for entry in line["diagnoses"]] == [("E119", 2)]
    assert (line["hcpcs_code"], line["hcpcs_modifiers"]) == ("99213", ["25"])
    assert _table(tmp_path / "out", "rx_claim")["ndc_code"].to_pylist() == [None, "00093014505"]
    codes = summary.report["codes"]
    assert (codes["ICD10CM"]["quarantined"], codes["ICD10CM"]["fixes"]) == ({"R_ICDFORM": 1}, {"F_CODE_FORM": 1})
    assert codes["HCPCS"]["fixes"] == {"F_MODIFIER": 1}
    assert (codes["NDC"]["quarantined"], codes["NDC"]["fixes"]) == ({"R_NDC10": 1}, {"F_NDC": 1})


def test_the_report_and_the_summary_show_how_many_codes_have_a_category(tmp_path: Path) -> None:
    claims = [medical_claim(claim=f"M{n}", diagnosis_code_1=("E11.9", "E119")[n % 2]) for n in range(12)]
    summary = _run("tuva", write_tuva(tmp_path / "raw", medical=claims), tmp_path / "out")
    coverage = json.loads((tmp_path / "out" / "quality_report.json").read_text())["code_coverage"]
    (entry,) = (one for one in coverage if one["system"] == "ICD10CM")
    assert (entry["table"], entry["num_codes"], entry["num_occurrences"]) == ("medical_claim", 1, 12)
    assert (entry["occurrences_mapped_share"], entry["num_occurrences_unlisted"]) == (1.0, 0)
    assert ["medical_claim", "ICD10CM", "1", "12", "100", "%", "100", "%"] in [
        line.split() for line in str(summary).splitlines()
    ]


@pytest.mark.parametrize(("source", "options"), [("simulated", {"delimiter": "|"}), ("tuva", {"sampel": 2})])
def test_an_option_that_the_source_does_not_know_is_refused(tmp_path: Path, source: str, options: dict) -> None:
    with pytest.raises(ValueError, match=f"expected options of '{source}' out of"):
        ingest(source, tmp_path, tmp_path / "out", progress=False, **options)


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClaimDataError, match="E_WRITE"):
        ingest("tuva", write_tuva(tmp_path / "raw", medical=[medical_claim()]), tmp_path / "file" / "out")


def test_amounts_that_are_no_decimals_become_null_and_are_counted(tmp_path: Path) -> None:
    claims = [medical_claim(paid_amount=text, claim=f"M{n}") for n, text in enumerate(["$1,234.50", "NaN", "1.00"])]
    summary = _run("tuva", write_tuva(tmp_path / "raw", medical=claims), tmp_path / "out")
    assert _entry(summary, "medical_claim.csv")["fixes"] == {"F_AMOUNT_NULL": 1, "F_TEXT_FORM": 1}
    amounts = _table(tmp_path / "out", "claim_line")["paid_amount"].to_pylist()
    assert [None if amount is None else str(amount) for amount in amounts] == [None, None, "1.00"]


def test_a_span_that_ends_before_it_begins_is_quarantined(tmp_path: Path) -> None:
    people = [eligibility(), eligibility(enrollment_end_date="2017-01-01")]
    summary = _run("tuva", write_tuva(tmp_path / "raw", medical=[medical_claim()], people=people), tmp_path / "out")
    assert _entry(summary, "eligibility.csv")["quarantine_reasons"] == {"R_SPAN": 1}


def test_too_many_rows_in_quarantine_publish_nothing(tmp_path: Path) -> None:
    drugs = [pharmacy_claim(claim=f"R{n}", dispensing_date="20180918" if n < 3 else "2018-09-18") for n in range(50)]
    raw = write_tuva(tmp_path / "raw", pharmacy=drugs)
    with pytest.raises(ClaimDataError, match=r"E_QUARANTINE_RATE.*R_DATE <11 of 50 rows"):
        ingest("tuva", raw, tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    _run("tuva", raw, tmp_path / "out", max_reason_share=0.06)


def test_a_row_lost_on_the_way_is_found_by_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = publishing._complete

    def losing(*arguments):
        lines = to_expression(complete(*arguments))
        return lines.filter(lines.claim_id != "R2")

    monkeypatch.setattr(publishing, "_complete", losing)
    raw = write_tuva(tmp_path / "raw", pharmacy=[pharmacy_claim(), pharmacy_claim(claim="R2")])
    with pytest.raises(ClaimDataError, match=r"E_CONSERVATION.*<11 rows in, but <11 out"):
        _run("tuva", raw, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_row_lost_by_the_reader_is_found_by_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_delimited = reading._stage_delimited

    def losing(*arguments):
        select, raw_file = stage_delimited(*arguments)
        return replace(select, held=select.held.slice(0, 1)), raw_file

    monkeypatch.setattr(reading, "_stage_delimited", losing)
    raw = write_tuva(tmp_path / "raw", pharmacy=[pharmacy_claim(), pharmacy_claim(claim="R2")])
    with pytest.raises(
        ClaimDataError, match=r"E_CONSERVATION.*expected <11 rows in pharmacy_claim.csv, found <11 readable"
    ):
        _run("tuva", raw, tmp_path / "out")


def test_a_killed_run_leaves_no_readable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("claim_transformers.sources.pipeline.ingest.PatientsWriter.write", killed)
    with pytest.raises(KeyboardInterrupt):
        _run("tuva", write_tuva(tmp_path / "raw", pharmacy=[pharmacy_claim()]), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_among_raw_files_is_neither_left_out_nor_waited_for(tmp_path: Path, kind: str) -> None:
    raw = write_tuva(tmp_path / "raw", pharmacy=[pharmacy_claim()])
    if kind == "link":
        (raw / "medical_claim.csv").symlink_to(tmp_path / "unmounted" / "medical_claim.csv")
    else:
        os.mkfifo(raw / "medical_claim.csv")
    with pytest.raises(ClaimDataError, match="E_INPUT"):
        _run("tuva", raw, tmp_path / "out")
    with pytest.raises(ClaimDataError, match="E_INPUT"):
        open_folder(raw)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    raw = write_tuva(tmp_path / "raw", pharmacy=[pharmacy_claim()])
    _run("tuva", raw, tmp_path / "out")
    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        _run("tuva", raw, tmp_path / "out")
    _run("tuva", raw, tmp_path / "out", overwrite=True)


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    raw = write_synpuf(tmp_path / "raw", inpatients=[inpatient()])
    shutil.copy(raw / INPATIENT_FILE, raw / "inpatient_again.csv")
    with pytest.raises(ClaimDataError, match="E_FILE_TWICE"):
        _run("synpuf", raw, tmp_path / "out")


def test_eligibility_alone_of_unknown_patients_does_not_stop_their_claims(tmp_path: Path) -> None:
    raw = write_tuva(tmp_path / "raw", medical=[medical_claim("stranger")], people=[eligibility()])
    summary = _run("tuva", raw, tmp_path / "out")
    assert summary.lines["claim_line"] == 1


def test_claims_in_hostile_text_stay_data(tmp_path: Path) -> None:
    hostile = "'; DROP TABLE x; --"
    claims = [medical_claim(hostile, claim='"quoted"', diagnosis_code_1="[MASK]"), medical_claim("P2", claim="M|2")]
    _run("tuva", write_tuva(tmp_path / "raw", medical=claims), tmp_path / "out")
    table = _table(tmp_path / "out", "claim_line")
    assert sorted(table["patient_id"].to_pylist()) == sorted([hostile, "P2"])
    assert "[MASK]" not in str(table["diagnoses"].to_pylist())


PLANTED = ("PATIENT77", "CLAIM88", "20090431", "31.31.2009", "SECRETCODE")


@pytest.mark.parametrize("fault", ["rate", "delimiter", "columns", "truncated", "same file"])
def test_no_message_or_log_holds_an_identifier_a_date_or_a_code(tmp_path: Path, caplog, capfd, fault: str) -> None:
    bad = inpatient(
        "PATIENT77", "CLAIM88", CLM_FROM_DT="20090431", CLM_THRU_DT="31.31.2009", ICD9_DGNS_CD_1="SECRETCODE"
    )
    raw = tmp_path / "raw"
    raw.mkdir()
    file = write_rows(raw / INPATIENT_FILE, SYNPUF["inpatient"], [bad, bad | {"SEGMENT": "2"}])
    if fault == "delimiter":
        file.write_text(file.read_text().replace(",", ";"))
    elif fault == "columns":
        file.write_text(file.read_text().replace('"CLM_FROM_DT"', '"PATIENT_DATE"'))
    elif fault == "truncated":
        zipped = zip_file(file)
        zipped.write_bytes(zipped.read_bytes()[:-30])
    elif fault == "same file":
        shutil.copy(file, raw / "copy_of_inpatient.csv")
    with caplog.at_level(logging.DEBUG), pytest.raises(ClaimDataError) as raised:
        ingest("synpuf", raw, tmp_path / "out", progress=True)
    said = str(raised.value) + caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in PLANTED if secret in said]


def test_the_printed_summary_says_what_was_repaired_kept_with_a_warning_and_left_out(tmp_path: Path) -> None:
    rows = [
        inpatient(claim="C1", CLM_PMT_AMT="12x34"),
        inpatient(claim="C2", CLM_PMT_AMT="-5.00", ICD9_DGNS_CD_1="", ICD9_DGNS_CD_2="??"),
        inpatient(claim="C3"),
    ]
    people = {"2008": [beneficiary(BENE_SEX_IDENT_CD="Z"), beneficiary("P2")]}
    raw = write_synpuf(tmp_path / "raw", beneficiaries=people, inpatients=rows)
    lines = str(_run("synpuf", raw, tmp_path / "out")).splitlines()
    assert "repaired: <11 F_AMOUNT_NULL, <11 F_SEX_NULL" in lines
    assert "kept, with a warning: <11 W_AMOUNT, <11 W_DX_GAP" in lines
    assert "codes left out: <11 R_CODE_TEXT" in lines
    clean = write_synpuf(tmp_path / "clean", inpatients=rows[2:])
    text = str(_run("synpuf", clean, tmp_path / "clean_out"))
    assert not any(word in text for word in ("repaired", "warning", "left out:", "quality.md"))


def test_the_printed_summary_has_no_small_cell_and_none_follows_from_it():
    counts = {"dropped": 0, "netted_out": 0, "fixes": {"F_ID_FORM": 3}, "warnings": {"W_AMOUNT": 40}}
    entry = {"source_file": "a.csv", "claim_type": "IP", "rows_in": 5000, "rows_out": 4993, "quarantined": 7, **counts}
    code = {"table": "a", "system": "ICD9CM", "num_codes": 12, "num_occurrences": 9000, "num_occurrences_mapped": 8996,
            "num_occurrences_unlisted": 9}  # fmt: skip
    report = {"files": [entry], "codes": {}, "code_coverage": [code], "unused_columns": {}, "denials": {}}
    people = PatientCounts(980, 4100, 9000, 12, {"train": 980}, 6, 0, 5, 0, 0, 0, "2012-12-31", "2012-12-31")
    text = str(IngestSummary(Path("out"), report, {"claim_line": 4993}, people))
    assert text.split("\n")[1].split() == ["a.csv", "IP", "5,000", "hidden", "<11", "0", "0"]
    for words in ("hidden lines of claim_line", "<11 F_ID_FORM", "40 W_AMOUNT", "9,000          hidden   hidden",
                  "980 patients with 4,100 visits; <11 patients without", "<11 without any enrol"):  # fmt: skip
        assert words in text, words
    assert not {"7", "3", "6", "5", "4,993"} & set(re.findall(r"[\d,]+", text))
