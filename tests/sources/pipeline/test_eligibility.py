"""Eligibility as a whole: lives that cannot be, rows that contradict each other, and who has no enrolment at all."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sources.raw_claims import (
    TUVA,
    Row,
    eligibility,
    inpatient,
    medical_claim,
    pharmacy_claim,
    write_rows,
    write_synpuf,
    write_tuva,
)
from sources.raw_claims import beneficiary as synpuf_year
from sources.rif_rows import beneficiary as rif_year
from sources.rif_rows import claim, write_rif

from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.pipeline.loading import load_claims

SPAN = (dt.date(2018, 1, 1), dt.date(2018, 12, 31))


class Ingested:
    """What came of a raw folder."""

    def __init__(self, source: str, raw: Path, out: Path, **options: Any) -> None:
        shares = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}
        summary = ingest(source, raw, out, progress=False, threads=2, overwrite=True, **shares, **options)
        self.report, self.counts = summary.report, summary.patients
        self.eligibility = self._rows(out / "eligibility")
        self.patients = {row["patient_id"]: row for row in self._rows(out / "patients")}
        self.lines = self._rows(out / "claim_line")

    def _rows(self, folder: Path) -> list[dict[str, Any]]:
        return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]

    def noted(self, *codes: str) -> dict[str, int]:
        """Rows of all files by reason code."""
        total: Counter[str] = Counter()
        for entry in self.report["files"]:
            for notes in ("fixes", "warnings", "quarantine_reasons"):
                total.update(entry[notes])
        return {code: total[code] for code in codes or sorted(total)}


def _tuva(tmp_path: Path, people: Sequence[Row], *, medical: Sequence[Row] | None = None, **options: Any) -> Ingested:
    ids = dict.fromkeys(row["person_id"] for row in people)
    claims = [medical_claim(patient, claim=f"M-{patient}") for patient in ids] if medical is None else medical
    return Ingested("tuva", write_tuva(tmp_path / "raw", medical=claims, people=people), tmp_path / "out", **options)


# ---- A birth or a death that cannot be ----


def test_a_birth_that_cannot_be_costs_itself_and_not_the_span(tmp_path: Path) -> None:
    # On the day after a 121st birthday the enrolment begins, or on the day itself; its last day is a birth.
    codes = {
        **dict.fromkeys(("1900-01-01", "0001-01-01", "9999-12-31", "0000-00-00", "1753-01-01"), "F_DATE_NULL"),
        **dict.fromkeys(("2019-01-01", "2090-05-05", "1897-01-01", "1860-03-04"), "F_LIFE_DATE"),
        **dict.fromkeys(("1897-01-02", "2018-12-31", ""), None),
        "1950-02-30": "R_DATE",
    }
    people = {f"P{number}": birth for number, birth in enumerate(codes)}
    found = _tuva(tmp_path, [eligibility(patient, birth_date=birth) for patient, birth in people.items()])
    # No claim leaves as one before a birth that is not true; the one before a true birth does.
    assert found.noted("F_DATE_NULL", "F_LIFE_DATE", "R_DATE", "R_BEFORE_BIRTH", "W_NO_ELIGIBILITY") == {
        "F_DATE_NULL": 5,
        "F_LIFE_DATE": 4,
        "R_DATE": 1,
        "R_BEFORE_BIRTH": 1,
        "W_NO_ELIGIBILITY": 1,
    }
    rows = {row["patient_id"]: row for row in found.eligibility}
    for patient, birth in people.items():
        if codes[birth] == "R_DATE":
            assert (patient in rows, found.patients[patient]["enrollment_start_day"]) == (False, [])
            continue
        assert (rows[patient]["enrollment_start_date"], rows[patient]["enrollment_end_date"]) == SPAN
        true = dt.date.fromisoformat(birth) if birth and codes[birth] is None else None
        assert rows[patient]["birth_date"] == true


def test_a_death_that_cannot_be_costs_itself_and_not_the_span(tmp_path: Path) -> None:
    codes = {
        **dict.fromkeys(("9999-12-31", "2199-12-31", "2099-12-31", "1900-01-01", "0000-00-00"), "F_DATE_NULL"),
        **dict.fromkeys(("2017-12-31", "2019-06-02"), "F_LIFE_DATE"),
        **dict.fromkeys(("2019-06-01", "2018-11-02"), None),
    }
    people = {f"P{number}": death for number, death in enumerate(codes)}
    rows = [eligibility(patient, death_date=death) for patient, death in people.items()]
    early = {"enrollment_start_date": "1940-01-01"}
    rows.append(eligibility("turned", birth_date="1950-01-01", death_date="1949-12-31", **early))
    found = _tuva(tmp_path, rows, extract_date=dt.date(2019, 6, 1))
    assert found.noted("F_DATE_NULL", "F_LIFE_DATE", "R_AFTER_DEATH") == {
        "F_DATE_NULL": 5,
        "F_LIFE_DATE": 3,
        "R_AFTER_DEATH": 0,
    }
    lines = {row["patient_id"]: row for row in found.eligibility}
    for patient, death in people.items():
        true = dt.date.fromisoformat(death) if codes[death] is None else None
        assert (lines[patient]["death_date"], lines[patient]["birth_date"]) == (true, dt.date(1950, 1, 31))
        assert lines[patient]["enrollment_start_date"] == SPAN[0]
    turned = lines["turned"]
    assert (turned["birth_date"], turned["death_date"], turned["enrollment_end_date"]) == (None, None, SPAN[1])


def test_of_an_open_span_a_birth_long_after_everybody_else_began_cannot_be(tmp_path: Path) -> None:
    open_end = {"enrollment_end_date": ""}
    people = [
        eligibility("child", birth_date="2018-11-01", **open_end),
        eligibility("last", birth_date="2019-01-02", **open_end),
        eligibility("later", birth_date="2019-01-03", **open_end),
        eligibility("P3"),
    ]
    births = {row["patient_id"]: row["birth_date"] for row in _tuva(tmp_path, people).eligibility}
    assert births == {
        "child": dt.date(2018, 11, 1),
        "last": dt.date(2019, 1, 2),
        "later": None,
        "P3": dt.date(1950, 1, 31),
    }


def test_births_and_deaths_of_cms_files_cost_themselves_too(tmp_path: Path) -> None:
    births = {"P1": "19000101", "P2": "", "P3": "20500101", "P4": "00010101", "P5": "19400501"}
    rows = [synpuf_year(patient, BENE_BIRTH_DT=birth) for patient, birth in births.items()]
    rows[4] |= {"BENE_DEATH_DT": "99991231"}
    raw = write_synpuf(
        tmp_path / "synpuf",
        beneficiaries={"2009": rows},
        inpatients=[inpatient(patient, f"C-{patient}") for patient in births],
    )
    found = Ingested("synpuf", raw, tmp_path / "out")
    assert [row["birth_day"] for row in found.patients.values()].count(None) == 4
    assert [bool(row["enrollment_start_day"]) for row in found.patients.values()] == [True] * 5
    assert found.noted("F_DATE_NULL", "F_LIFE_DATE", "R_DATE") == {"F_DATE_NULL": 3, "F_LIFE_DATE": 1, "R_DATE": 0}

    births = {"P1": "01-Jan-1900", "P2": "", "P3": "01-Jan-2050", "P4": "17-Jan-1942"}
    rows = [rif_year(patient, BENE_BIRTH_DT=birth) for patient, birth in births.items()]
    claims = [claim("carrier", f"{number}", patient=patient) for number, patient in enumerate(births, start=1)]
    found = Ingested("cms-rif", write_rif(tmp_path / "rif", beneficiary=rows, carrier=claims), tmp_path / "out")
    assert [row["birth_day"] for row in found.patients.values()].count(None) == 3
    assert [bool(row["enrollment_start_day"]) for row in found.patients.values()] == [True] * 4
    assert found.noted("F_DATE_NULL", "F_LIFE_DATE", "R_DATE") == {"F_DATE_NULL": 1, "F_LIFE_DATE": 1, "R_DATE": 0}


# ---- Rows that contradict each other ----


def _year(year: int, patient: str = "P1", **changes: str) -> Row:
    span = {"enrollment_start_date": f"{year}-01-01", "enrollment_end_date": f"{year}-12-31"}
    return eligibility(patient, **(span | changes))


def test_the_latest_enrolment_has_the_last_word_in_any_order_of_rows(tmp_path: Path) -> None:
    people = [
        _year(2016, birth_date="1951-01-31", gender="male"),
        _year(2018, birth_date="1950-01-31", death_date="2018-12-01"),
        _year(2017, birth_date="1951-01-31", death_date="2018-11-20"),
        _year(2018, "P2"),
    ]
    for number, rows in enumerate((people, people[::-1])):
        found = _tuva(tmp_path / str(number), rows)
        one = found.patients["P1"]
        assert (one["sex"], one["birth_day"], one["death_day"]) == ("F", -7275, 17866)
        # One row has another birth and sex, another one another birth and death.
        assert found.noted("F_DEMOGRAPHICS", "R_DEMOGRAPHICS") == {"F_DEMOGRAPHICS": 2, "R_DEMOGRAPHICS": 0}


def test_the_birth_that_wins_judges_the_claims(tmp_path: Path) -> None:
    people = [_year(2018, birth_date="2018-11-03"), _year(2019, birth_date="2018-11-01")]
    found = _tuva(tmp_path, [*people, _year(2018, "P2")])
    assert found.noted("R_BEFORE_BIRTH", "F_DEMOGRAPHICS") == {"R_BEFORE_BIRTH": 0, "F_DEMOGRAPHICS": 1}


def test_births_more_than_two_years_apart_are_two_people(tmp_path: Path) -> None:
    is_torn = {"1952": False, "1953": True, "1948": False, "1947": True}
    people = [_year(2017, patient, birth_date=f"{patient}-06-01") for patient in is_torn]
    found = _tuva(tmp_path, [*people, *(_year(2018, patient) for patient in is_torn)])
    fate = {"F_DEMOGRAPHICS": 2, "R_DEMOGRAPHICS": 4, "W_NO_ELIGIBILITY": 2}
    assert found.noted(*fate) == fate
    assert sorted(row["patient_id"] for row in found.eligibility) == ["1948", "1948", "1952", "1952"]
    assert {patient: not row["enrollment_start_day"] for patient, row in found.patients.items()} == is_torn
    (quarantined,) = (tmp_path / "out" / "quarantine").iterdir()
    assert pq.read_table(quarantined)["reason_code"].to_pylist() == ["R_DEMOGRAPHICS"] * 4


def test_conflicts_of_years_in_two_files_are_seen(tmp_path: Path) -> None:
    years = {"2008": [synpuf_year(), synpuf_year("P2", BENE_SEX_IDENT_CD="1")]}
    years["2009"] = [synpuf_year(BENE_BIRTH_DT="19700501"), synpuf_year("P2")]
    raw = write_synpuf(tmp_path / "raw", beneficiaries=years, inpatients=[inpatient("P2")])
    found = Ingested("synpuf", raw, tmp_path / "out")
    assert found.noted("F_DEMOGRAPHICS", "R_DEMOGRAPHICS") == {"F_DEMOGRAPHICS": 1, "R_DEMOGRAPHICS": 2}
    assert found.patients["P2"]["sex"] == "F"


def test_spans_that_overlap_are_merged_and_counted(tmp_path: Path) -> None:
    # The second span of each patient beside all of 2018, and what comes of both.
    cases = {
        "adjacent": ("2019-01-01", "2019-12-31", [(17532, 18261)]),
        "a day between": ("2019-01-02", "2019-12-31", [(17532, 17896), (17898, 18261)]),
        "a day shared": ("2018-12-31", "2019-12-31", [(17532, 18261)]),
        "inside": ("2018-03-01", "2018-04-01", [(17532, 17896)]),
        "of two payers": ("2018-01-01", "2018-12-31", [(17532, 17896)]),
        "ends before it begins": ("2019-12-31", "2019-12-30", [(17532, 17896)]),
    }
    people = [eligibility(patient, payer="one") for patient in cases]
    for patient, (start, end, _spans) in cases.items():
        dates = {"enrollment_start_date": start, "enrollment_end_date": end}
        people.append(eligibility(patient, payer="another", **dates))
    people.append(eligibility("never", enrollment_end_date="2017-12-31"))
    found = _tuva(tmp_path, people)
    for patient, (_start, _end, spans) in cases.items():
        one = found.patients[patient]
        assert list(zip(one["enrollment_start_day"], one["enrollment_end_day"], strict=True)) == spans
    assert found.patients["never"]["enrollment_start_day"] == []
    assert found.noted("F_SPANS", "R_SPAN", "W_NO_ELIGIBILITY") == {"F_SPANS": 3, "R_SPAN": 2, "W_NO_ELIGIBILITY": 1}


# ---- Unknown and none ----


def test_a_patient_whom_the_enrolment_does_not_know_has_none_and_is_counted_in_each_file(tmp_path: Path) -> None:
    medical = [medical_claim("P1"), medical_claim("P2", "M2"), medical_claim("P2", "M3")]
    folder = write_tuva(
        tmp_path / "raw", medical=medical, pharmacy=[pharmacy_claim("P3"), pharmacy_claim("P1", "R2")],
        people=[eligibility()],
    )  # fmt: skip
    found = Ingested("tuva", folder, tmp_path / "out")
    assert {name: row["enrollment_start_day"] for name, row in found.patients.items()} == {
        "P1": [17532],
        "P2": [],
        "P3": [],
    }
    by_file = {entry["source_file"]: entry["warnings"] for entry in found.report["files"]}
    assert [by_file[f"{table}_claim.csv"]["W_NO_ELIGIBILITY"] for table in ("medical", "pharmacy")] == [2, 1]
    assert (found.counts.patients_without_enrollment, found.counts.patients_of_unknown_enrollment) == (2, 0)


def test_without_a_table_of_enrolment_it_is_unknown(tmp_path: Path) -> None:
    found = Ingested("tuva", write_tuva(tmp_path / "raw", medical=[medical_claim()]), tmp_path / "out")
    one = found.patients["P1"]
    assert (one["enrollment_start_day"], one["enrollment_end_day"]) == (None, None)
    (row,) = (row for rows in load_claims("claims", tmp_path / "out", cache_dir=tmp_path).values() for row in rows)
    assert (row["enrollment_start_day"], row["enrollment_end_day"]) == (None, None)
    assert found.noted("W_NO_ELIGIBILITY") == {"W_NO_ELIGIBILITY": 0}
    assert (found.counts.patients_without_enrollment, found.counts.patients_of_unknown_enrollment) == (0, 1)


def test_a_table_of_enrolment_without_rows_leaves_everybody_without_any(tmp_path: Path) -> None:
    folder = write_tuva(tmp_path / "raw", medical=[medical_claim()])
    write_rows(folder / "eligibility.csv", TUVA["eligibility"], [])
    found = Ingested("tuva", folder, tmp_path / "out")
    assert found.patients["P1"]["enrollment_start_day"] == []
    assert found.noted("W_NO_ELIGIBILITY") == {"W_NO_ELIGIBILITY": 1}


def test_a_source_in_which_nobody_was_covered_still_tells_of_enrolment(tmp_path: Path) -> None:
    raw = write_rif(tmp_path / "rif", beneficiary=[rif_year(months=" " * 12)], carrier=[claim("carrier")])
    found = Ingested("cms-rif", raw, tmp_path / "out")
    assert (found.patients["P1"]["enrollment_start_day"], found.patients["P1"]["sex"]) == ([], "F")
    assert found.noted("W_NO_ELIGIBILITY") == {"W_NO_ELIGIBILITY": 1}
    years = {"2009": [synpuf_year(BENE_HI_CVRAGE_TOT_MONS="0", BENE_SMI_CVRAGE_TOT_MONS="0")]}
    found = Ingested(
        "synpuf", write_synpuf(tmp_path / "s", beneficiaries=years, inpatients=[inpatient()]), tmp_path / "o"
    )
    assert (found.patients["P1"]["enrollment_start_day"], found.patients["P1"]["sex"]) == ([], "F")


@pytest.mark.parametrize(
    ("named", "states"),
    [
        # Eligibility of A alone: who has claims of B alone is unknown, who has claims of both is not.
        ("A", {"P1": [17532], "A only": [], "B only": None, "A and B": []}),
        # Names that the claims do not use, or none at all: eligibility of all.
        ("Z", {"P1": [17532], "A only": [], "B only": [], "A and B": []}),
        ("", {"P1": [17532], "A only": [], "B only": [], "A and B": []}),
    ],
)
def test_each_data_source_tells_of_its_own_enrolment(tmp_path: Path, named: str, states: Mapping[str, Any]) -> None:
    pairs = [("P1", "A"), ("A only", "A"), ("B only", "B"), ("A and B", "A"), ("A and B", "B")]
    medical = [
        medical_claim(patient, f"M{number}", data_source=source) for number, (patient, source) in enumerate(pairs)
    ]
    # Claims that name no source are of the same name as eligibility that names none.
    medical.append(medical_claim("P1", "M9", data_source=""))
    found = _tuva(tmp_path, [eligibility(data_source=named)], medical=medical)
    assert {name: row["enrollment_start_day"] for name, row in found.patients.items()} == states
