"""A far date beside the date of service changes no timeline of any source, and the last day of the data stays."""

import datetime as dt
import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
from sources import raw_claims as raw
from sources import rif_rows as rif

from claim_transformers.claims.store import open_folder
from claim_transformers.sources.pipeline.ingest import ingest

EPOCH = dt.date(1970, 1, 1)


def tuva(folder, far):
    stay = {"claim_type": "institutional", "bill_type_code": "111", "admission_date": "2018-11-02",
            "discharge_date": "2018-11-05", "claim_end_date": "2018-11-05", "paid_date": "2018-12-01",
            "procedure_code_type": "icd-10-pcs", "procedure_code_1": "0SR9019"}  # fmt: skip
    ends = {"claim_end_date": "2061-11-02", "claim_line_end_date": "2061-11-02", "discharge_date": "2061-11-05"}
    starts = {"claim_line_start_date": "2013-11-02", "admission_date": "2013-11-02", "procedure_date_1": "2013-11-02"}
    medical = [raw.medical_claim(patient, f"M{patient}") for patient in ("P1", "P2", "P3")]
    medical += [
        raw.medical_claim("P1", "S1", **stay | (ends if far else {})),
        raw.medical_claim("P1", "S2", **stay | (starts if far else {})),
    ]
    pharmacy = [raw.pharmacy_claim(paid_date="2061-01-01" if far else "2018-09-20")]
    people = [raw.eligibility(enrollment_end_date="2061-12-31" if far else "2018-12-31"), raw.eligibility("P2")]
    return raw.write_tuva(folder, medical=medical, pharmacy=pharmacy, people=people)


def synpuf(folder, far):
    ends = {"CLM_THRU_DT": "20610418", "NCH_BENE_DSCHRG_DT": "20610418"} if far else {}
    return raw.write_synpuf(
        folder,
        beneficiaries={"2009": [raw.beneficiary(patient) for patient in ("P1", "P2", "P3")]},
        inpatients=[
            *(raw.inpatient(**ends), raw.inpatient("P2", "C2"), raw.inpatient("P3", "C3")),
            raw.inpatient("P1", "C4", CLM_ADMSN_DT="20060412" if far else "20090412"),
        ],
        outpatients=[raw.outpatient(**{"CLM_THRU_DT": "20610911"} if far else {})],
        carriers=[raw.carrier(**{"CLM_THRU_DT": "20610101"} if far else {})],
    )


def cms_rif(folder, far):
    ends = {"CLM_THRU_DT": "09-Mar-2061", "NCH_BENE_DSCHRG_DT": "09-Mar-2061"} if far else {}
    lines = {"REV_CNTR_DT": "03-Mar-2013", "LINE_1ST_EXPNS_DT": "03-Mar-2013", "LINE_LAST_EXPNS_DT": "03-Mar-2061"}
    of_line = lines if far else {}
    everybody = [rif.claim("inpatient", number, patient=f"P{number}") for number in "123"]
    return rif.write_rif(
        folder,
        inpatient=[*everybody, rif.claim("inpatient", "4", patient="P1", **ends)],
        outpatient=[rif.claim("outpatient", "5", patient="P1", **of_line)],
        carrier=[rif.claim("carrier", "6", patient="P1", **of_line)],
        part_d=[rif.drug(PD_DT="07-Mar-2061" if far else "07-Mar-2018")],
        beneficiary=[rif.beneficiary(f"P{number}") for number in "123"],
    )


SOURCES = {"tuva": tuva, "simulated": tuva, "synpuf": synpuf, "cms-rif": cms_rif}
OPTIONS = {"progress": False, "threads": 1, "max_quarantine_share": 1.0, "max_reason_share": 1.0}


def patients(out):
    return [row for path in open_folder(out).table_files("patients") for row in pq.read_table(path).to_pylist()]


def timelines(out):
    return {row["patient_id"]: [row[name] for name in ("visit_day", "visit_type", "codes")] for row in patients(out)}


@pytest.mark.parametrize("extract_date", [None, pytest.param(dt.date(2019, 6, 30), marks=pytest.mark.slow)])
@pytest.mark.parametrize("source", SOURCES)
def test_a_far_date_beside_the_date_of_service_changes_no_timeline(tmp_path, source, extract_date):
    summaries = {}
    for name, is_far in (("near", False), ("far", True)):
        folder = SOURCES[source](tmp_path / f"{name}-raw", is_far)
        summaries[name] = ingest(source, folder, tmp_path / name, extract_date=extract_date, **OPTIONS)
    assert timelines(tmp_path / "far") == timelines(tmp_path / "near")
    near, far = (summaries[name].report for name in ("near", "far"))
    written = json.loads((tmp_path / "far" / "quality_report.json").read_text())
    assert written["last_day"] == far["last_day"] == near["last_day"]
    assert open_folder(tmp_path / "far").manifest["patients"]["last_day"] == far["last_day"]
    fixes = {name: sum((Counter(file["fixes"]) for file in report["files"]), Counter()) for name, report in
             (("near", near), ("far", far))}  # fmt: skip
    assert not {"F_FAR_DATE", "F_LINE_DATE"} & set(fixes["near"])
    expected = {"tuva": (3, 2), "simulated": (3, 2), "synpuf": (4, 3), "cms-rif": (2, 2)}[source]
    assert (fixes["far"]["F_FAR_DATE"], fixes["far"]["F_LINE_DATE"]) == expected
    assert near["totals"]["quarantined"] == far["totals"]["quarantined"] == 0


def test_a_service_after_the_extract_is_quarantined_in_every_table(tmp_path):
    late = dt.date(2008, 1, 1)
    for source in ("tuva", "synpuf", "cms-rif"):
        folder = SOURCES[source](tmp_path / f"{source}-raw", False)
        summary = ingest(source, folder, tmp_path / source, extract_date=late, **OPTIONS)
        for file in summary.report["files"]:
            if file["claim_type"] != "NONE":
                assert file["quarantine_reasons"] == {"R_FUTURE": file["rows_in"]}


FILLERS = ("", "9999-12-31", "2199-12-31", "2099-12-31", "2050-12-31")


def test_every_filler_of_an_open_end_means_until_the_last_day_of_the_data(tmp_path):
    people = [raw.eligibility(f"P{number}", enrollment_end_date=end) for number, end in enumerate(FILLERS)]
    medical = [raw.medical_claim(f"P{number}", f"M{number}") for number in range(len(FILLERS))]
    folder = raw.write_tuva(tmp_path / "raw", medical=medical, people=people)
    summary = ingest("tuva", folder, tmp_path / "out", **OPTIONS)
    (entry,) = (file for file in summary.report["files"] if file["claim_type"] == "NONE")
    assert entry["fixes"] == {"F_OPEN_SPAN": len(FILLERS) - 1}
    last_day = (dt.date(2018, 11, 2) - EPOCH).days
    assert [row["enrollment_end_day"] for row in patients(tmp_path / "out")] == [[last_day]] * len(FILLERS)
    assert summary.report["last_day"] == "2018-11-02"
    assert "the last day of the data is 2018-11-02" in str(summary)


def test_a_filler_of_another_date_costs_that_date_and_not_the_row(tmp_path):
    people = [raw.eligibility(birth_date="1900-01-01", death_date="9999-12-31")]
    stay = {
        "claim_type": "IP",
        "admission_date": "2018-11-02",
        "discharge_date": "2099-12-31",
        "paid_date": "9999-12-31",
    }
    folder = raw.write_tuva(tmp_path / "raw", medical=[raw.medical_claim(**stay)], people=people)
    summary = ingest("tuva", folder, tmp_path / "out", **OPTIONS)
    fixes = {file["claim_type"]: (file["fixes"], file["warnings"]) for file in summary.report["files"]}
    assert fixes == {"NONE": ({"F_DATE_NULL": 1}, {}), "IP": ({"F_DATE_NULL": 1}, {"W_OPEN_STAY": 1})}
    (line,), (person,) = (pq.read_table(tmp_path / "out" / name).to_pylist() for name in ("claim_line", "eligibility"))
    assert line["discharge_date"] is line["paid_date"] is person["birth_date"] is person["death_date"] is None
    assert person["enrollment_end_date"] == dt.date(2018, 12, 31)


def test_months_of_few_rows_are_counted_by_raw_table_and_claim_type(tmp_path):
    def rows(months):
        days = [f"2018-{month:02d}-11" for month, number in enumerate(months, start=1) for _ in range(number)]
        return [
            raw.medical_claim(f"P{n}", f"M{n}", claim_start_date=day, claim_end_date=day) for n, day in enumerate(days)
        ]

    folder = raw.write_tuva(tmp_path / "raw", medical=rows([20, 20, 9, 20, 0, 20]))
    summary = ingest("tuva", folder, tmp_path / "out", **OPTIONS)
    (entry,) = summary.report["files"]
    assert entry["warnings"] == {"W_VOLUME": 2}
    volume = [{"table": "medical_claim", "claim_type": "CAR", "low_months": ["2018-03", "2018-05"]}]
    assert summary.report["volume"] == volume
