"""MIMIC-III: admissions as inpatient claims, from made-up rows, and from the demo where `CLAIMS_DATA_DIR` has it."""

import csv
import datetime as dt
import gzip
import os
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.mimic3.source import _LAYOUTS, _LINES_PER_TABLE, _find_files
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest

Rows = dict[str, list[dict[str, str]]]
EPOCH = dt.date(1970, 1, 1)


def _days(*texts: str) -> list[int]:
    return [(dt.date.fromisoformat(text) - EPOCH).days for text in texts]


def _stay(patient: str, stay: str, start: str, end: str, **changes: str) -> dict[str, str]:
    return {
        "subject_id": patient,
        "hadm_id": stay,
        "admittime": f"{start} 21:09:00",
        "dischtime": f"{end} 17:15:00",
        "admission_type": "EMERGENCY",
        "admission_location": "EMERGENCY ROOM ADMIT",
        "discharge_location": "SNF",
    } | changes


def _made_up() -> Rows:
    """Two patients: one with two stays past the year 2200, one above 89 whose birth is shifted."""
    first = {"subject_id": "1", "hadm_id": "101"}
    second = {"subject_id": "1", "hadm_id": "102"}
    old = {"subject_id": "2", "hadm_id": "201"}
    return {
        "patients": [
            {"subject_id": "1", "gender": "F", "dob": "2140-03-05 00:00:00", "dod": "2202-12-01 00:00:00"},
            {"subject_id": "2", "gender": "M", "dob": "1844-07-18 00:00:00", "dod": ""},
        ],
        "admissions": [
            _stay("1", "101", "2202-01-10", "2202-01-15"),
            _stay("1", "102", "2202-10-01", "2202-10-11", discharge_location="DEAD/EXPIRED"),
            _stay("2", "201", "2144-07-18", "2144-07-20", admission_location="SOMEWHERE"),
        ],
        "diagnoses_icd": [
            {**first, "seq_num": "2", "icd9_code": "4019"},
            {**first, "seq_num": "1", "icd9_code": "0389"},
            {**second, "seq_num": "1", "icd9_code": "E8791"},
            {**old, "seq_num": "", "icd9_code": ""},
            {**old, "seq_num": "1", "icd9_code": "V4581"},
        ],
        "procedures_icd": [{**first, "seq_num": "1", "icd9_code": "966"}],
        "drgcodes": [
            {**first, "drg_type": "HCFA", "drg_code": "416"},
            {**first, "drg_type": "APR ", "drg_code": "7204"},
            {**second, "drg_type": "MS", "drg_code": "870"},
        ],
        "cptevents": [
            {**first, "chartdate": "", "cpt_cd": "99291"},
            {**first, "chartdate": "2202-01-12 00:00:00", "cpt_cd": "94002"},
        ],
        "prescriptions": [
            {**first, "startdate": "2202-01-11 00:00:00", "enddate": "2202-01-10 00:00:00", "ndc": "00006494300"},
            {**first, "startdate": "2202-01-11 00:00:00", "enddate": "", "ndc": "0"},
        ],
    }


def test_a_far_discharge_or_event_moves_no_stay_and_a_filler_is_unknown(tmp_path):
    tables = _made_up()
    tables["admissions"][0]["dischtime"] = "2299-01-15 17:15:00"
    tables["admissions"][2]["dischtime"] = "9999-12-31 00:00:00"
    tables["patients"][0]["dod"] = "9999-12-31 00:00:00"
    tables["cptevents"][1]["chartdate"] = "2299-01-12 00:00:00"
    summary = _ingest(tmp_path, tables, max_quarantine_share=1.0, max_reason_share=1.0)
    lines = pq.read_table(tmp_path / "out" / "claim_line").to_pylist()
    assert {line["discharge_date"] for line in lines if line["claim_id"] in ("101", "201")} == {None}
    (event,) = (line for line in lines if line["hcpcs_code"] == "94002")
    assert event["claim_line_start_date"] == dt.date(2202, 1, 10)
    fixes = {entry["source_file"]: entry["fixes"] for entry in summary.report["files"]}
    assert fixes["ADMISSIONS.csv"] == {"F_DATE_NULL": 1, "F_FAR_DATE": 1, "F_LINE_DATE": 1}
    assert fixes["PATIENTS.csv"] == {"F_DATE_NULL": 1}
    assert fixes["CPTEVENTS.csv"]["F_LINE_DATE"] == 1
    assert summary.report["last_day"] == "2144-07-18"  # the later of the two patients' is that of one alone


def _write(folder: Path, tables: Rows, *, is_full_release: bool = False) -> Path:
    """Write tables as the demo does, or as the full release: gzip, and names of columns quoted in upper case."""
    folder.mkdir()
    number = 0
    for name, rows in tables.items():
        columns = _LAYOUTS[name].names
        header = ",".join(f'"{column.upper()}"' if is_full_release else column for column in columns) + "\n"
        path = folder / (f"{name.upper()}.csv.gz" if is_full_release else f"{name.upper()}.csv")
        with gzip.open(path, "wt", newline="") if is_full_release else path.open("w", newline="") as file:
            file.write(header)
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            for row in rows:
                number += 1
                writer.writerow({"row_id": str(number), **row})
    return folder


def _ingest(tmp_path: Path, tables: Rows, name: str = "out", **options) -> IngestSummary:
    raw = _write(tmp_path / f"raw-{name}", tables, is_full_release=options.pop("is_full_release", False))
    return ingest("mimic3", raw, tmp_path / name, progress=False, **options)


def _rows(summary: IngestSummary, table: str) -> list[dict]:
    return pq.read_table(summary.out / table).to_pylist()


def _reasons(summary: IngestSummary) -> dict[str, Counter]:
    return {
        entry["source_file"].split(".")[0].lower(): Counter(entry["quarantine_reasons"])
        for entry in summary.report["files"]
        if entry["quarantine_reasons"]
    }


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> IngestSummary:
    return _ingest(tmp_path_factory.mktemp("mimic3"), _made_up())


def test_a_sex_that_mimic_does_not_document_is_null_and_counted(tmp_path: Path) -> None:
    tables = _made_up()
    tables["patients"][0]["gender"], tables["patients"][1]["gender"] = "2", " m"
    summary = _ingest(tmp_path, tables)
    assert [row["gender"] for row in _rows(summary, "eligibility")] == [None, "male"]
    assert [entry["fixes"] for entry in summary.report["files"] if entry["claim_type"] == "NONE"] == [
        {"F_SEX_NULL": 1, "F_TEXT_FORM": 1}
    ]


def test_an_admission_is_one_inpatient_claim_whose_lines_share_its_dates(summary) -> None:
    lines = _rows(summary, "claim_line")
    assert len(lines) == 3 + 5 + 1 + 3 + 2
    assert {line["claim_type"] for line in lines} == {"IP"}
    dates = {
        (
            line["patient_id"],
            line["claim_id"],
            line["claim_start_date"],
            line["admission_date"],
            line["discharge_date"],
        )
        for line in lines
    }
    day = dt.date
    assert dates == {
        ("1", "101", day(2202, 1, 10), day(2202, 1, 10), day(2202, 1, 15)),
        ("1", "102", day(2202, 10, 1), day(2202, 10, 1), day(2202, 10, 11)),
        ("2", "201", day(2144, 7, 18), day(2144, 7, 18), day(2144, 7, 20)),
    }


def test_no_two_lines_of_a_claim_share_a_number_and_each_table_has_its_own(summary) -> None:
    lines = _rows(summary, "claim_line")
    assert len({(line["claim_id"], line["claim_line_number"]) for line in lines}) == len(lines)
    of_first = {line["claim_line_number"]: line for line in lines if line["claim_id"] == "101"}
    assert sorted(of_first) == [1] + [
        table * _LINES_PER_TABLE + position
        for table, count in ((1, 2), (2, 1), (3, 2), (4, 2))
        for position in range(1, count + 1)
    ]
    assert of_first[2 * _LINES_PER_TABLE + 1]["procedures"][0]["code"] == "966"


def test_diagnoses_keep_their_rank_and_a_row_without_a_code_stays_without_one(summary) -> None:
    diagnoses = [
        (line["claim_id"], entry["system"], entry["code"], entry["rank"])
        for line in _rows(summary, "claim_line")
        for entry in line["diagnoses"] or ()
    ]
    assert sorted(diagnoses) == [
        ("101", "ICD9CM", "0389", 1),
        ("101", "ICD9CM", "4019", 2),
        ("102", "ICD9CM", "E8791", 1),
        ("201", "ICD9CM", "V4581", 1),
    ]


def test_only_ms_drgs_become_codes_and_the_others_are_counted(summary) -> None:
    drgs = [line for line in _rows(summary, "claim_line") if line["drg_code"]]
    assert [(line["claim_id"], line["drg_code"], line["drg_code_type"]) for line in drgs] == [("102", "870", "ms-drg")]
    entry = next(entry for entry in summary.report["files"] if entry["source_file"] == "DRGCODES.csv")
    assert entry["fixes"]["F_DRG_TYPE"] == 2
    assert (entry["rows_in"], entry["rows_out"]) == (3, 3)


def test_words_of_the_billing_form_become_its_codes_and_others_nothing(summary) -> None:
    heads = {line["claim_id"]: line for line in _rows(summary, "claim_line") if line["claim_line_number"] == 1}
    codes = ("discharge_disposition_code", "admit_source_code", "admit_type_code")
    assert [heads["101"][name] for name in codes] == ["03", "7", "1"]
    assert [heads["102"][name] for name in codes] == ["20", "7", "1"]
    assert [heads["201"][name] for name in codes] == ["03", None, "1"]


def test_a_drug_without_a_code_stays_and_is_counted(summary) -> None:
    drugs = _rows(summary, "rx_claim")
    assert sorted((drug["dispensing_date"], drug["ndc_code"] or "") for drug in drugs) == [
        (dt.date(2202, 1, 11), ""),
        (dt.date(2202, 1, 11), "00006494300"),
    ]
    assert summary.report["codes"]["NDC"]["quarantined"] == {"R_NDC": 1}


def test_patients_have_shifted_dates_visits_in_order_and_no_enrolment(summary) -> None:
    patients = {row["patient_id"]: row for row in _rows(summary, "patients")}
    one, old = patients["1"], patients["2"]
    assert one["visit_day"] == _days("2202-01-10", "2202-01-11", "2202-01-12", "2202-10-01")
    assert one["visit_type"] == ["IP", "RX", "IP", "IP"]
    assert one["codes"] == [
        ["HCPCS/99291", "ICD9CM/0389", "ICD9CM/4019", "ICD9PCS/966"],
        ["NDC/00006494300"],
        ["HCPCS/94002"],
        ["DRG/870", "ICD9CM/E8791"],
    ]
    assert (one["sex"], [one["birth_day"], one["death_day"]]) == ("F", _days("2140-03-05", "2202-12-01"))
    assert (old["birth_day"], old["codes"]) == (_days("1844-07-18")[0], [["ICD9CM/V4581"]])
    for row in (one, old):
        assert not row["enrollment_start_day"]


def test_the_age_of_a_shifted_birth_is_the_oldest_that_the_tokenizer_knows(summary) -> None:
    from claim_transformers.models.claim import ClaimTokenizer

    old = next(row for row in _rows(summary, "patients") if row["patient_id"] == "2")
    tokenizer = ClaimTokenizer({"AGE/90": 3, "SEX/M": 4, "TYPE/IP": 5, "ICD9CM/V4581": 6}, time_tokens="none")
    assert tokenizer.convert_ids_to_tokens(tokenizer(old)["input_ids"])[:2] == ["AGE/90", "SEX/M"]


def test_the_full_release_gives_the_same_lines(summary, tmp_path: Path) -> None:
    zipped = _ingest(tmp_path, _made_up(), is_full_release=True)
    for table in ("claim_line", "rx_claim", "eligibility", "patients"):
        assert _rows(zipped, table) == _rows(summary, table)
    assert all(entry["fixes"]["F_HEADER"] for entry in zipped.report["files"])


def test_the_order_of_rows_changes_nothing(summary, tmp_path: Path) -> None:
    tables = _made_up()
    number = 0
    for rows in tables.values():
        for row in rows:
            number += 1
            row["row_id"] = str(number)
    backward = _ingest(tmp_path, {name: rows[::-1] for name, rows in tables.items()})
    for table in ("claim_line", "rx_claim", "eligibility", "patients"):
        assert _rows(backward, table) == _rows(summary, table)


def test_bad_rows_go_to_quarantine_with_their_reason(tmp_path: Path) -> None:
    tables = _made_up()
    tables["admissions"] += [
        _stay("1", "103", "2202-02-30", "2202-03-01"),
        _stay("1", "104", "2202-05-10", "2202-05-01"),
        _stay("1", "105", "2139-01-01", "2139-01-05"),
        _stay("1", "106", "2210-01-01", "2210-01-05"),
    ]
    tables["diagnoses_icd"] += [
        {"subject_id": "1", "hadm_id": stay, "seq_num": "1", "icd9_code": "4019"}
        for stay in ("103", "104", "105", "106", "999", "")
    ]
    tables["diagnoses_icd"] += [{"subject_id": "", "hadm_id": "101", "seq_num": "1", "icd9_code": "4019"}]
    tables["cptevents"] += [{"subject_id": "1", "hadm_id": "101", "chartdate": "12/01/2202", "cpt_cd": "94002"}]
    tables["prescriptions"] += [{"subject_id": "1", "hadm_id": "101", "startdate": "", "ndc": "00006494300"}]
    summary = _ingest(tmp_path, tables, max_quarantine_share=1.0, max_reason_share=1.0)
    of_stays = {"R_DATE": 1, "R_DATE_ORDER": 1, "R_BEFORE_BIRTH": 1, "R_AFTER_DEATH": 1}
    assert _reasons(summary) == {
        "admissions": of_stays,
        # An admission that is not there has no date; no id at all comes first.
        "diagnoses_icd": {**of_stays, "R_DATE": 2, "R_NO_ID": 2},
        "cptevents": {"R_DATE": 1},
        "prescriptions": {"R_DATE": 1},
    }
    assert {line["claim_id"] for line in _rows(summary, "claim_line")} == {"101", "102", "201"}


def test_an_admission_of_two_patients_goes_to_quarantine_with_all_its_rows(tmp_path: Path) -> None:
    tables = _made_up()
    tables["diagnoses_icd"] += [{"subject_id": "2", "hadm_id": "101", "seq_num": "3", "icd9_code": "4019"}]
    summary = _ingest(tmp_path, tables, max_quarantine_share=1.0, max_reason_share=1.0)
    # The row of the wrong patient has no admission, which is found before.
    assert _reasons(summary) == {"diagnoses_icd": {"R_CLAIM_SHARED": 2, "R_DATE": 1}}


def test_a_copied_row_is_dropped_and_numbers_stay(tmp_path: Path, summary) -> None:
    tables = _made_up()
    for number, row in enumerate(tables["diagnoses_icd"], start=6):
        row["row_id"] = str(number)
    tables["diagnoses_icd"] += [dict(tables["diagnoses_icd"][0])]
    twice = _ingest(tmp_path, tables)
    entry = next(entry for entry in twice.report["files"] if entry["source_file"] == "DIAGNOSES_ICD.csv")
    assert entry["drop_reasons"] == {"D_DUPLICATE": 1}
    assert _rows(twice, "claim_line") == _rows(summary, "claim_line")


@pytest.mark.parametrize("missing", ["patients", "admissions"])
def test_patients_and_admissions_are_needed(tmp_path: Path, missing: str) -> None:
    tables = {name: rows for name, rows in _made_up().items() if name != missing}
    with pytest.raises(
        ClaimDataError, match=f"E_NO_FILE: expected PATIENTS and ADMISSIONS .* without {missing.upper()}"
    ):
        _ingest(tmp_path, tables)


def test_tables_of_other_names_are_left_alone(tmp_path: Path) -> None:
    for name in ("PATIENTS.csv", "admissions.CSV.gz", "CPTEVENTS_codes_only.csv", "D_ICD_DIAGNOSES.csv", "README.md"):
        (tmp_path / name).touch()
    found = {name: [file.name for file in files] for name, files in _find_files(tmp_path).items()}
    assert found == {
        "patients": ["PATIENTS.csv"],
        "admissions": ["admissions.CSV.gz"],
        "cptevents": ["CPTEVENTS_codes_only.csv"],
    }


@pytest.mark.skipif(not os.environ.get("CLAIMS_DATA_DIR"), reason="CLAIMS_DATA_DIR is not set")
def test_the_demo_is_read_whole(tmp_path: Path) -> None:
    demo = Path(os.environ["CLAIMS_DATA_DIR"], "mimic3_demo")
    summary = ingest("mimic3", demo, tmp_path / "out", progress=False)
    rows = {entry["source_file"]: (entry["rows_in"], entry["rows_out"]) for entry in summary.report["files"]}
    assert rows == {
        "PATIENTS.csv": (100, 100),
        "ADMISSIONS.csv": (129, 129),
        "DIAGNOSES_ICD.csv": (1_761, 1_761),
        "PROCEDURES_ICD.csv": (506, 506),
        "DRGCODES.csv": (297, 297),
        "CPTEVENTS_codes_only.csv": (1_579, 1_579),
        "PRESCRIPTIONS.csv": (10_398, 10_398),
    }
    assert summary.patients is not None
    assert summary.patients.patients == 100
    coverage = {entry["table"]: entry for entry in summary.report["code_coverage"]}
    assert coverage["diagnoses_icd"]["occurrences_mapped_share"] == 1
    assert len({line["claim_id"] for line in _rows(summary, "claim_line")}) == 129
