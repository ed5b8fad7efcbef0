"""Cards as a client meets them: what they say, what they leave out, and that the model keeps quiet where it must."""

import msgspec
import pytest
from serving.served import MARK, PATH, TODAY, claims, config_of, hook, prefetch, serving
from sources.fhir_resources import patient, payer_eob

from claim_transformers.serving.config import SmartApp


def card_of(client, body):
    answer = client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    (card,) = answer.json()["cards"]
    return card


def holes(value):
    """Every null and every empty thing in a body."""
    if value is None or value in ("", [], {}):
        yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from holes(part)


@pytest.mark.parametrize("kind", ["patient-view", "encounter-discharge"])
def test_a_hook_is_answered_by_a_card_with_risk_reasons_and_cover(client, kind):
    card = card_of(client, hook(kind))
    assert card["summary"].startswith("Readmission within 30 days: ")
    assert len(card["summary"]) < 140
    assert "no interval known" in card["summary"]
    assert card["indicator"] == "info"
    assert card["source"]["label"] == "claim-transformers"
    assert sum(f"\n{number}. " in card["detail"] for number in (1, 2, 3)) == 3
    assert ("present stay has no claim yet" in card["detail"]) == (kind == "encounter-discharge")
    assert "not calibrated" in card["detail"]
    assert "of the 365 days" in card["detail"]
    assert not list(holes(card))


def test_enrolment_that_nobody_told_of_is_said_to_be_unknown(client):
    assert "Enrolment is unknown" in card_of(client, hook(prefetch=prefetch(coverage=None)))["detail"]
    assert "Enrolment is unknown" in card_of(client, hook(prefetch=prefetch(coverage=...)))["detail"]


def test_suggestions_are_drafts_with_a_behaviour_and_override_reasons_have_texts(tmp_path, assessor):
    table = tmp_path / "table.yaml"
    table.write_text('- {reasons: ["A", "S", "T", "C", "H"], action: Call, service: {system: s, code: "1"}}')
    smart = SmartApp(client_id="cds")
    with serving(config_of(tmp_path, interventions=str(table), smart=smart, warn_from=1e-9), assessor) as client:
        body = hook("encounter-discharge")
        card = card_of(client, body)
        assert all("Call" not in str(answer) for answer in [card_of(client, body).get("links")])
    assert card["indicator"] == "warning"
    assert card["selectionBehavior"] == "any"
    (suggestion,) = card["suggestions"]
    (action,) = suggestion["actions"]
    order = action["resource"]
    assert (suggestion["label"], action["type"], action["description"]) == ("Call", "create", "Call")
    assert (order["status"], order["subject"], order["encounter"]["reference"]) == (
        "draft",
        {"reference": f"Patient/{MARK}"},
        "Encounter/enc-1",
    )
    assert order["code"]["coding"] == [{"system": "s", "code": "1"}]
    assert all(reason["display"] and reason["system"] and reason["code"] for reason in card["overrideReasons"])
    (link,) = card["links"]
    assert (link["type"], link["url"]) == ("smart", "https://cds.example.org/launch")
    assert msgspec.json.decode(link["appContext"])["card"] == card["uuid"]
    assert MARK not in link["appContext"]
    assert not list(holes(card))


OLD = {"billablePeriod": {"start": "2020-03-03", "end": "2020-03-03"}, "created": "2020-03-20"}
UNKNOWN = {"diagnosis": None, "item": [{"sequence": 1, "productOrService": {"coding": [
    {"system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "J1234"}]}}]}  # fmt: skip


def eob_on(day, **changes):
    dates = {"billablePeriod": {"start": day, "end": day}, "created": day}
    eob = payer_eob("1", MARK, **(dates | changes))
    eob["item"] = [{**line, "servicedDate": day} for line in eob["item"]]
    return eob


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("S_NO_CLAIMS", {"claims": None}),
        ("S_NO_CLAIMS", {"claims": {"resourceType": "Bundle", "type": "searchset", "total": 0}}),
        ("S_NO_CLAIMS", {"claims": claims(eob_on(f"{TODAY}"))}),
        ("S_OLD_CLAIMS", {"claims": claims(eob_on("2020-03-03"))}),
        ("S_FOREIGN_CODES", {"claims": claims(eob_on("2024-03-03", **UNKNOWN))}),
        ("S_UNREADABLE", {"claims": claims(payer_eob("1", MARK, type=None))}),
        ("S_NOT_LIVING", {"patient": patient(MARK, deceasedDateTime="2024-05-01")}),
    ],
)
def test_where_the_model_must_not_speak_the_card_says_that_and_nothing_else(client, code, given):
    card = card_of(client, hook(prefetch=prefetch(**given)))
    assert card["source"]["topic"]["code"] == code
    assert set(card) == {"uuid", "summary", "indicator", "source"}
    assert "no estimate" in card["summary"]
    assert len(card["summary"]) < 140
    assert "%" not in card["summary"]


def test_a_model_of_discharges_speaks_at_a_discharge_alone(tmp_path, checkpoint):
    from claim_transformers.serving import Assessor
    from claim_transformers.serving.config import SpeakRules

    with serving(config_of(tmp_path), Assessor(checkpoint, "Readmission", SpeakRules(needs_stay=True))) as client:
        assert card_of(client, hook())["source"]["topic"]["code"] == "S_NO_STAY"
        assert card_of(client, hook("encounter-discharge"))["source"]["topic"]["code"] == "RISK"


def test_two_calls_give_cards_and_suggestions_of_their_own(client):
    body = hook()
    assert card_of(client, body)["uuid"] != card_of(client, body)["uuid"]


def test_a_name_cannot_be_markup():
    from claim_transformers.serving import Assessment, Reason
    from claim_transformers.serving.cards import _detail

    reason = Reason("X", "<b>*a*</b> [x](http://y)", 1.0, 2, 3)
    detail = _detail(Assessment("Death", TODAY, risk=0.5, reasons=(reason,), newest_claim_days=1))
    assert "raises the risk: \\<b\\>\\*a\\*\\</b\\> \\[x\\](http://y) (2 visits, the last 3 days before)" in detail
