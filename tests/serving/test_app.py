"""The web around the service: origins, routes, logs and metrics, and bodies that nobody meant."""

import copy
import json
import logging
import random
import re
import time
from pathlib import Path

import pytest
from serving.served import FHIR, MARK, PATH, Fhir, claims, config_of, encounter, hook, prefetch, serving
from sources.fhir_resources import payer_eob
from starlette.testclient import TestClient

from claim_transformers.serving.app import create_app
from claim_transformers.serving.config import Limits
from claim_transformers.serving.logs import _JsonLines

ROOT = Path(__file__).parents[2]
ORIGIN = "https://ehr.example.org"
ROW = re.compile(r"^\| (.+) \| (`test_.+`) \|$", re.MULTILINE)
SECRET = "opaque"


def test_each_rule_of_the_standard_names_a_test_that_exists():
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    rows = ROW.findall(page.partition("## What CDS Hooks 2.0 asks")[2])
    assert len(rows) >= 25
    assert len({rule for rule, _ in rows}) == len(rows)
    for _, tests in rows:
        for file, name in re.findall(r"`(test_\w+\.py)::(\w+)`", tests):
            assert f"def {name}(" in (Path(__file__).parent / file).read_text(encoding="utf-8"), name


def test_every_code_of_the_room_stands_on_the_page():
    # Those of files and feeds are the catalogue's.
    page = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("serving.md", "quality.md"))
    files = (ROOT / "src" / "claim_transformers" / "serving").glob("*.py")
    codes = {code for file in files for code in re.findall(r'"([ES]_[A-Z_]+)"', file.read_text(encoding="utf-8"))}
    assert codes
    assert codes <= set(re.findall(r"[ES]_[A-Z_]+", page))


def test_a_browser_of_a_listed_origin_may_call_with_its_token(tmp_path, assessor):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with serving(config_of(tmp_path, allowed_origins=(ORIGIN,)), assessor) as client:
        allowed = client.options(PATH, headers={"Origin": ORIGIN, **asks})
        error = client.post(PATH, content=b"", headers={"Origin": ORIGIN})
        other = client.options(PATH, headers={"Origin": "https://evil.example", **asks})
    assert allowed.status_code == 200
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    assert error.status_code == 400
    assert error.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in other.headers


def test_what_is_no_route_is_told_so(client):
    for answer, status, code in [
        (client.get("/"), 404, "E_ROUTE"),
        (client.get(PATH), 405, "E_METHOD"),
        (client.post(f"{PATH}/", json=hook(), follow_redirects=False), 404, "E_ROUTE"),
        (client.get("/metrics"), 404, "E_ROUTE"),
        (client.post("/cds-services/other", json=hook()), 404, "E_SERVICE"),
    ]:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert MARK not in answer.text


def test_errors_of_3_are_operation_outcomes(tmp_path, assessor):
    with serving(config_of(tmp_path, hooks_version="3.0"), assessor) as client:
        answer = client.post(PATH, content=b"")
    (issue,) = answer.json()["issue"]
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    assert issue["details"]["coding"][0]["code"] == "E_REQUEST"
    assert issue["details"]["text"]


def test_no_identifier_and_no_token_stands_in_a_log_a_metric_or_an_error(tmp_path, assessor, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    fhir = Fhir()
    config = config_of(tmp_path, metrics=True, limits=Limits(fetch_seconds=30))
    with serving(config, assessor, fhir) as client:
        answers = [client.post(PATH, json=hook(fetch=True)), client.post(PATH, json=hook(fetch=True, hook=MARK))]
        monkeypatch.setattr(assessor, "assess", lambda *_, **__: {}[MARK])
        answers.append(client.post(PATH, json=hook()))
        answers.append(client.get(f"/Patient/{MARK}?access_token={SECRET}"))
        metrics = client.get("/metrics").text
    lines = "\n".join(map(_JsonLines().format, caplog.records))
    told = "\n".join([lines, metrics, *(answer.text for answer in answers[1:])])
    assert [answer.status_code for answer in answers] == [200, 400, 500, 404]
    assert [word for word in (MARK, SECRET, "1950-02-01", "2024-03-03", FHIR) if word in told] == []
    entries = [json.loads(line) for line in lines.splitlines()]
    answered = [entry for entry in entries if entry.get("event") == "answer" and entry["route"] == "hook"]
    assert [(entry["status"], entry["code"]) for entry in answered] == [
        (200, "OK"),
        (400, "E_HOOK"),
        (500, "E_INTERNAL"),
    ]
    assert answered[-1]["error"] == "KeyError"
    assert answered[-1]["place"].startswith("claim_transformers.serving.")
    assert 'answers_total{route="hook",status="200",code="OK"} 1\n' in metrics
    assert 'answer_seconds_bucket{route="hook",le="+Inf"} 3\n' in metrics


def test_a_checkpoint_that_does_not_load_is_told_with_its_place_and_without_its_words(tmp_path, caplog):
    told = []
    app = create_app(config_of(tmp_path), lambda: {}[MARK], on_failure=told.append)
    with TestClient(app) as client:
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            time.sleep(0.005)
        answer = client.get("/readyz")
    assert [type(error) for error in told] == [KeyError]
    assert answer.status_code == 503
    lines = list(map(_JsonLines().format, caplog.records))
    assert MARK not in "".join(lines)
    (entry,) = [entry for entry in map(json.loads, lines) if entry.get("event") == "failed"]
    assert entry["error"] == "KeyError"
    assert entry["place"].startswith("claim_transformers.serving.")


# ---- Bodies that nobody meant ----


def fuzzed(seed):
    """A request with one or several faults: in its bytes, in its fields or in its resources."""
    source = random.Random(seed)
    eob = payer_eob("1", MARK)
    body = hook("encounter-discharge") if source.random() < 0.3 else hook()
    given = prefetch(claims=claims(eob))
    given |= {"encounter": encounter()} if "encounterId" in body["context"] else {}
    body["prefetch"] = given
    for _ in range(source.randint(1, 3)):
        spoil(body, source)
    content = json.dumps(body).encode()
    if source.random() < 0.3:
        place = source.randrange(len(content))
        content = content[:place] + bytes([source.randrange(256)]) + content[place + source.randint(0, 40) :]
    return content


ODD = (None, "", [], {}, 0, -1, 1e308, True, "x" * 2000, "\u0000", "2024-13-40", [None], {"a": {"b": []}}, "Ünïcode")


def spoil(value, source):
    """Put something odd somewhere into a body."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = source.choice(keys)
        inner = value[key]
        if isinstance(inner, dict | list) and inner and source.random() < 0.85:
            value = inner
            continue
        if source.random() < 0.2 and isinstance(value, dict):
            del value[key]
        else:
            value[key] = copy.deepcopy(source.choice(ODD))
        return


def check_fuzzed(client, seeds):
    counts = {}
    for seed in seeds:
        answer = client.post(PATH, content=fuzzed(seed))
        content = answer.json()
        assert answer.status_code in (200, 400, 412), (seed, answer.status_code, content)
        assert len(content["cards"]) == 1 if answer.status_code == 200 else content["code"] and content["message"], (
            seed
        )
        counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
    return counts


def test_a_body_that_nobody_meant_has_a_coded_answer(client):
    assert set(check_fuzzed(client, range(100))) == {200, 400, 412}


@pytest.mark.slow
def test_a_thousand_bodies_that_nobody_meant_have_coded_answers(client):
    assert set(check_fuzzed(client, range(1000, 2000))) == {200, 400, 412}
