"""The launch: against an authorization server that follows the standard, and against those who do not."""

import logging
import time
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from serving.launching import CLIENT, SECRET, Record, with_page
from serving.served import FHIR, MARK, config_of, serving
from starlette.testclient import TestClient

from claim_transformers.serving.config import SmartApp
from claim_transformers.serving.logs import _JsonLines
from claim_transformers.serving.page import page_routes
from claim_transformers.serving.smart import SmartLaunch
from claim_transformers.serving.used_once import UsedOnce

LAUNCH = {"iss": FHIR, "launch": "xyz"}


@pytest.fixture(scope="module")
def launcher(assessor, tmp_path_factory):
    """A client, and the record behind it, which a test may change."""
    record = Record()
    with serving(with_page(tmp_path_factory.mktemp("page")), assessor, record, page_routes) as client:
        client.follow_redirects = False
        yield client, record


@pytest.fixture
def launched(launcher):
    client, record = launcher
    record.token, record.configuration, record.refused = {}, {}, []
    record.asked.clear()
    return client, record


def go(client: TestClient, **changes: str) -> str:
    answer = client.get("/launch", params=LAUNCH | changes)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def test_a_launch_ends_at_the_page_and_leaves_nothing_in_the_browser(launched):
    client, record = launched
    address = go(client)
    assert set(parse_qs(urlsplit(address).query)["scope"][0].split()) == {
        "launch",
        "patient/Patient.r",
        "patient/ExplanationOfBenefit.s",
        "patient/Coverage.s",
        "patient/Encounter.r",
    }
    page = client.get(record.authorize(address))
    assert page.status_code == 200, page.text
    assert record.refused == []
    assert "<h1>Readmission within 30 days</h1>" in page.text
    assert [word for word in ("opaque~1", SECRET, CLIENT, MARK, "not.looked.at") if word in page.text] == []
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert policy.endswith("frame-ancestors https://ehr.example.org")
    assert not client.cookies
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"iss": "https://evil.example/fhir", "launch": "xyz"}, 403, "E_LAUNCH_ISSUER"),
        ({"iss": f"{FHIR}/../other", "launch": "xyz"}, 403, "E_LAUNCH_ISSUER"),
        ({"iss": FHIR}, 400, "E_LAUNCH"),
        ({"iss": [FHIR, "https://evil.example"], "launch": "xyz"}, 400, "E_LAUNCH"),
    ],
)
def test_a_foreign_issuer_is_refused_before_any_request(launched, query, status, code):
    client, record = launched
    answer = client.get("/launch", params=query)
    assert (answer.status_code, code in answer.text) == (status, True)
    assert "evil" not in answer.text
    assert record.asked == []


def test_a_state_is_of_this_service_and_browser_young_and_used_once(launched, monkeypatch):
    client, record = launched
    back = record.authorize(go(client))
    other = record.authorize(go(client))
    state, forged = (parse_qs(urlsplit(one).query)["state"][0] for one in (back, other))
    forged = f"{state.rpartition('.')[0]}.{forged.rpartition('.')[2]}"
    record.asked.clear()
    for wrong in (forged, "a.0.99999999999.b", ".", "é.é"):
        answer = client.get("/callback", params={"code": "c", "state": wrong})
        assert (answer.status_code, "E_STATE<" in answer.text) == (400, True)
    for another in ({"User-Agent": "another browser"}, {"Accept-Language": "fr"}):
        assert "E_STATE<" in client.get(back, headers=another).text
    assert record.asked == []
    assert client.get(back).status_code == 200
    num_asked = len(record.asked)
    assert "E_STATE_USED" in client.get(back).text
    assert len(record.asked) == num_asked
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 301)
    assert "E_STATE_EXPIRED" in client.get(other).text


def test_a_code_of_another_launch_has_another_verifier(launched):
    client, record = launched
    mine, stolen = (parse_qs(urlsplit(record.authorize(go(client))).query) for _ in range(2))
    answer = client.get("/callback", params={"state": mine["state"][0], "code": stolen["code"][0]})
    assert (answer.status_code, "E_AUTHORIZATION" in answer.text) == (502, True)
    assert record.refused == ["invalid_grant"]
    record.refused.clear()
    # The code was taken from the server, so that it cannot be replayed in a launch of its own.
    answer = client.get("/callback", params={"state": stolen["state"][0], "code": stolen["code"][0]})
    assert (answer.status_code, record.refused) == (502, ["invalid_grant"])


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ({"scope": "launch patient/Patient.rs"}, 403, "E_SCOPE"),
        ({"scope": "patient/Patient.rs patient/ExplanationOfBenefit.s?category=x"}, 403, "E_SCOPE"),
        ({"scope": ...}, 403, "E_SCOPE"),
        ({"token_type": "mac"}, 502, "E_AUTHORIZATION"),
        ({"access_token": "two\nlines"}, 502, "E_AUTHORIZATION"),
        ({"access_token": ...}, 502, "E_AUTHORIZATION"),
        ({"patient": ...}, 400, "E_CONTEXT"),
        ({"patient": "../Patient"}, 400, "E_CONTEXT"),
        ({"patient": "other"}, 412, "E_FOREIGN"),
        ({"scope": "patient/*.read", "encounter": ...}, 200, "h1"),
        ({"scope": "user/*.rs", "appContext": '{"hook":"patient-view"}'}, 200, "h1"),
    ],
)
def test_what_a_token_brings_is_checked(launched, token, status, code):
    client, record = launched
    record.token = token
    answer = client.get(record.authorize(go(client)))
    assert (answer.status_code, code in answer.text) == (status, True), answer.text
    is_view = any("Encounter" in request.url.path for request in record.asked)
    assert is_view == ("encounter" not in token and "appContext" not in token and code in ("E_FOREIGN",))


def test_a_refusal_of_the_server_is_told(launched):
    client, record = launched
    back = record.authorize(go(client))
    state = parse_qs(urlsplit(back).query)["state"][0]
    answer = client.get("/callback", params={"error": "access_denied", "state": state})
    assert (answer.status_code, "E_LAUNCH_DENIED" in answer.text) == (403, True)


def test_the_query_of_an_authorization_endpoint_stays(tmp_path, assessor):
    record = Record()
    record.configuration = {"authorization_endpoint": f"{FHIR}/authorize?tenant=7"}
    with serving(with_page(tmp_path), assessor, record, page_routes) as client:
        client.follow_redirects = False
        address = go(client)
    assert address.startswith(f"{FHIR}/authorize?tenant=7&response_type=code&")


@pytest.mark.parametrize(
    "configuration",
    [
        {"code_challenge_methods_supported": ["plain"]},
        {"token_endpoint": "http://ehr.example.org/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ],
)
def test_a_server_that_is_not_safe_gets_no_launch(tmp_path, assessor, configuration):
    record = Record()
    record.configuration = configuration
    with serving(with_page(tmp_path), assessor, record, page_routes) as client:
        answer = client.get("/launch", params=LAUNCH, follow_redirects=False)
    assert (answer.status_code, "E_AUTHORIZATION" in answer.text) == (502, True)


def test_no_code_state_token_or_patient_stands_in_a_log(launched, caplog):
    client, record = launched
    caplog.set_level(logging.DEBUG)
    back = record.authorize(go(client))
    client.get(back)
    record.answers["Patient"], good = httpx2.Response(500, text=MARK), record.answers["Patient"]
    answer = client.get(record.authorize(go(client)))
    record.answers["Patient"] = good
    assert "E_FHIR_ANSWER" in answer.text
    told = "\n".join(map(_JsonLines().format, caplog.records)) + answer.text
    query = parse_qs(urlsplit(back).query)
    words = [MARK, "opaque~1", SECRET, query["code"][0], query["state"][0], "xyz"]
    assert [word for word in words if word in told] == []
    assert '"route": "page", "status": 200, "code": "OK"' in told


def test_the_page_needs_a_client_with_a_secret(tmp_path):
    for smart in (None, SmartApp(client_id="a"), SmartApp(client_id="a", issuers=(FHIR,))):
        with pytest.raises(ValueError, match="a secret and issuers"):
            SmartLaunch(config_of(tmp_path, smart=smart), httpx2.AsyncClient(), UsedOnce(tmp_path / "used"))
    for origin in ("https://a.example; script-src *", "https://a.example/path", "*", "http://a.example"):
        with pytest.raises(ValueError, match="frame_ancestors"):
            SmartApp(client_id="a", frame_ancestors=(origin,))
