"""The ADT report: messages become stays, stays are scored as cards are, and nobody is lost or named."""

import datetime as dt
import json
import re

import pyarrow.parquet as pq
import pytest
from cohorts.patients_by_hand import write_claims
from serving.served import MARK, TODAY, claims
from sources.fhir_resources import bundle, coverage, patient

from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.cli import main
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.serving import IndexStay, read_adt, readmission_interval, report_adt
from claim_transformers.serving.config import SpeakRules
from claim_transformers.sources.formats.fhir_eob.bundle import read_eob_bundle

END = "\r"


def message(event, time="20240601120000", visit="v1", person=MARK, *, kind="ADT", pv1=None, more=(), facility="NORTH"):
    """A message; of PV1 the fields that are given by number, trailing ones cut."""
    fields = {2: "I", 3: "ward^1^2^" + facility, 19: visit} | (pv1 or {})
    return END.join(
        [
            f"MSH|^~\\&|EHR|{facility}|||{time}||{kind}^{event}|{visit}{event}{time}|P|2.5.1",
            f"EVN|{event}|{time}",
            f"PID|1||M1^^^H^MR~{person}^^^CMS^MC",
            "PV1|" + "|".join(fields.get(number, "") for number in range(1, max(fields) + 1)),
            *more,
        ]
    )


def stay(visit="v1", person=MARK, begin="20240526", end="20240601", **options):
    """An admission, a diagnosis and a discharge."""
    code = ["DG1|1||I50.23^Heart failure^I10", "ZZZ|local|fields"]
    return [
        message("A01", begin + "0800", visit, person, **options),
        message("A08", begin + "0900", visit, person, more=code, **options),
        message("A03", end + "1200", visit, person, **options),
    ]


def read(tmp_path, *messages, end="\r", **options):
    path = tmp_path / "feed.hl7"
    path.write_bytes((end.join(messages) + end).replace("\r", end).encode())
    return read_adt(path, id_type="MC", **options)


def states(feed):
    return dict(
        zip(
            (visit.split("^")[-1] for visit in feed.stays["visit"].to_pylist()),
            feed.stays["state"].to_pylist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_messages_of_a_stay_in_any_order_and_twice_are_one_stay(tmp_path, end):
    messages = stay()
    feed = read(tmp_path, messages[2], messages[0], messages[1], messages[1], end=end)
    (row,) = feed.stays.to_pylist()
    dates = dt.date(2024, 5, 26), dt.date(2024, 6, 1)
    assert (row["patient_id"], row["state"], row["facility"], row["codes"]) == (
        MARK,
        "discharged",
        "NORTH",
        ["ICD10CM/I5023"],
    )
    assert (row["admission_date"], row["discharge_date"]) == dates
    assert feed.messages == {"read": 4, "folded": 4}


def test_the_last_word_of_a_visit_holds(tmp_path):
    feed = read(
        tmp_path,
        *stay("cancelled")[:2],
        message("A11", "20240527", "cancelled"),
        *stay("undone"),
        message("A13", "20240602", "undone"),
        *stay("left again"),
        message("A13", "20240602", "left again"),
        message("A03", "20240603", "left again", pv1={45: "20240603"}),
        *stay("corrected"),
        message("A08", "20240604", "corrected", pv1={44: "202405250800", 45: "20240531"}, more=["DG1|1||E11.9^^I10"]),
        *stay("day", pv1={2: "O"}),
        *stay("died", pv1={36: "20"}),
        message("A08", "20240602", "died"),
        *stay("again")[:1],
        message("A11", "202405261000", "again", pv1={44: "20240526"}),
        *stay("again", begin="20240528"),
        *stay("open")[:1],
        *stay("backwards", begin="20240610"),
        *stay("shared")[:2],
        message("A03", "20240602", "shared", "another"),
        *stay("other house", facility="SOUTH"),
    )
    assert states(feed) == {
        "cancelled": "admission cancelled",
        "undone": "not discharged",
        "left again": "discharged",
        "corrected": "discharged",
        "day": "not an inpatient",
        "died": "died in hospital",
        "again": "discharged",
        "open": "not discharged",
        "backwards": "R_DATE_ORDER",
        "shared": "R_VISIT_SHARED",
        "other house": "discharged",
    }
    rows = {row["visit"].split("^")[-1]: row for row in feed.stays.to_pylist()}
    assert rows["again"]["admission_date"] == dt.date(2024, 5, 28)
    assert rows["left again"]["discharge_date"] == dt.date(2024, 6, 3)
    # What was coded after the discharge nobody knew then; dates may be put right.
    assert rows["corrected"]["codes"] == ["ICD10CM/I5023"]
    assert (rows["corrected"]["admission_date"], rows["corrected"]["discharge_date"]) == (
        dt.date(2024, 5, 25),
        dt.date(2024, 5, 31),
    )


def test_every_message_is_folded_dropped_or_set_aside_with_its_reason(tmp_path):
    bad = [
        message("A02"),
        message("R01", kind="ORU"),
        "MSH|^~",
        message("A01", visit=""),
        message("A01", person=""),
        message("A01", "yesterday"),
        message("A01", pv1={44: "20241399"}),
    ]
    feed = read(tmp_path, "FHS|^~\\&|batch", "garbage before the first header", *bad, *stay(), "FTS|1")
    assert feed.messages == {"read": 11, "folded": 3, "D_EVENT": 2, "R_DATE": 2, "R_MESSAGE": 2, "R_NO_ID": 2}
    assert feed.messages["read"] == sum(feed.messages.values()) - feed.messages["read"]
    assert feed.quarantine.column_names == ["file", "message", "reason"]
    assert feed.quarantine["message"].to_pylist() == [0, 3, 4, 5, 6, 7]


def test_a_feed_that_is_none_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ClaimDataError, match="E_NO_FILE"):
        read_adt(tmp_path)
    monkeypatch.setattr("claim_transformers.serving.adt_messages._LONGEST_SEGMENT", 100)
    (tmp_path / "feed").write_bytes(b"x" * 200)
    with pytest.raises(ClaimDataError, match="E_LAYOUT"):
        read_adt(tmp_path / "feed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The claims of the patient of requests, as an ingested folder."""
    found = read_eob_bundle([patient(MARK), claims(), bundle(coverage(MARK))], extract_date=TODAY)
    path = tmp_path_factory.mktemp("adt") / "claims"
    write_claims(path, found.patients.to_pylist(), last_day="2024-06-01", last_enrollment_day="2024-06-01")
    for old in path.glob("patients/*"):
        old.unlink()
    pq.write_table(found.patients, path / "patients" / "train-00000.parquet")
    (path / "eligibility").mkdir(exist_ok=True)
    table = found.tables["eligibility"].cast(SCHEMAS["eligibility"])
    pq.write_table(table, path / "eligibility" / "part-00000.parquet")
    return path


def test_a_stay_has_the_risk_of_its_card_and_the_rest_are_told_why(
    assessor, checkpoint, folder, tmp_path, monkeypatch, capsys
):
    feed = tmp_path / "feed.hl7"
    messages = [*stay(), *stay("v2", "stranger"), *stay("early", begin="20100101", end="20100105")]
    messages += [line for number in range(20) for line in stay(f"many-{number}")]
    feed.write_text("\r".join(messages))
    summary = report_adt(feed, folder, checkpoint, tmp_path / "out", id_type="MC", raw_counts=True)
    rows = {row["visit"].split("^")[-1]: row for row in pq.read_table(tmp_path / "out" / "stays.parquet").to_pylist()}
    index = IndexStay(TODAY, dt.date(2024, 5, 26), ("ICD10CM/I5023",))
    card = assessor.assess([patient(MARK), claims(), bundle(coverage(MARK))], TODAY, index_stay=index)
    assert rows["v1"]["risk"] == pytest.approx(card.risk, abs=1e-6)
    assert rows["v1"]["newest_claim_days"] == card.newest_claim_days
    assert {rows[f"many-{number}"]["risk"] for number in range(20)} == {rows["v1"]["risk"]}
    assert (rows["v2"]["assessment"], rows["early"]["assessment"]) == ("S_UNKNOWN_PATIENT", "S_NO_CLAIMS")
    assert (rows["v2"]["risk"], rows["early"]["risk"]) == (None, None)
    assert summary.counts["assessed"] == 21
    assert summary.expected == pytest.approx(21 * rows["v1"]["risk"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert MARK not in page
    assert "no calibration" in page
    assert not re.search(r"https?://|<script", page)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["facilities"][0]["stays"] == 21
    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        report_adt(feed, folder, checkpoint, tmp_path / "out")
    paths = [str(path) for path in (feed, folder, checkpoint, tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["claim-transformers", "report-adt", *paths, "--id-type", "MC", "--overwrite"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = "23 stays that ended, hidden assessed; hidden readmissions expected\n"
    assert (ended.value.code, capsys.readouterr().out) == (0, told)
    counts = json.loads((tmp_path / "out" / "report.json").read_text())["counts"]
    assert (counts["stays"], counts["S_NO_CLAIMS"], counts["assessed"]) == (23, "<11", "hidden")
    old = report_adt(
        feed,
        folder,
        checkpoint,
        tmp_path / "old",
        id_type="MC",
        rules=SpeakRules(newest_claim_days=1),
        raw_counts=True,
    )
    assert (old.counts["S_OLD_CLAIMS"], old.expected) == (21, 0.0)


def test_the_interval_is_that_of_exact_chances():
    risks = [0.1, 0.7, 0.35, 0.02, 0.5]
    shares = [0.0] * 6
    for outcome in range(32):
        chance = 1.0
        for place, risk in enumerate(risks):
            chance *= risk if outcome >> place & 1 else 1 - risk
        shares[bin(outcome).count("1")] += chance
    low, high = readmission_interval(risks)
    assert sum(shares[:low]) < 0.025 <= sum(shares[: low + 1])
    assert sum(shares[:high]) < 0.975 <= sum(shares[: high + 1])
    wide = readmission_interval([0.2] * 2_500)
    assert wide == pytest.approx((461, 539), abs=1)  # 500 and 1.96 standard deviations of 20 on either side
    with pytest.raises(ValueError, match="probabilities"):
        readmission_interval([1.5])
