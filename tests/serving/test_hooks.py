"""Discovery and the shape of requests."""

import re

import pytest
from serving.served import PATH, config_of, hook

from claim_transformers.serving.hooks import discovery, read_request

TOKEN = re.compile(r"\{\{(.*?)\}\}")
# Parameters of FHIR searches and reads that CDS Hooks 2.0 recommends templates to keep to.
PLAIN = re.compile(r"[A-Z]\w+(/\{\{[\w.]+\}\}|\?patient=\{\{[\w.]+\}\}(&_count=\d+)?)")


def test_discovery_lists_one_service_on_two_hooks(client):
    answer = client.get("/cds-services")
    services = answer.json()["services"]
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert [service["hook"] for service in services] == ["patient-view", "encounter-discharge"]
    assert {service["id"] for service in services} == {"claims-risk"}
    assert all(service[name] for service in services for name in ("title", "description", "usageRequirements"))


def test_templates_hold_fields_of_the_context_and_plain_searches_alone(client):
    services = client.get("/cds-services").json()["services"]
    templates = [template for service in services for template in service["prefetch"].values()]
    assert {token for text in templates for token in TOKEN.findall(text)} == {
        "context.patientId",
        "context.encounterId",
    }
    assert all(map(PLAIN.fullmatch, templates))
    assert "encounter" not in services[0]["prefetch"]
    assert "encounter" in services[1]["prefetch"]


def test_the_additions_of_3_come_by_option(tmp_path):
    old, new = (discovery(config_of(tmp_path, hooks_version=version))["services"][0] for version in ("2.0", "3.0"))
    assert {"version", "hookVersion"} <= set(new)
    assert not {"version", "hookVersion"} & set(old)
    assert "today()" in new["prefetch"]["claims"]
    assert "today()" not in old["prefetch"]["claims"]


BAD_CONTEXT = {"userId": "Practitioner/9", "patientId": "../Patient/1"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "E_REQUEST"),
        (b"{", "E_REQUEST"),
        (b"[]", "E_REQUEST"),
        (b"\xff", "E_REQUEST"),
        (b"[" * 100_000, "E_REQUEST"),
        (hook(hookInstance=None), "E_REQUEST"),
        (hook(context={"patientId": "1"}), "E_REQUEST"),
        (hook("order-sign"), "E_HOOK"),
        (hook(context=BAD_CONTEXT), "E_CONTEXT"),
        (hook("encounter-discharge", context={"userId": "Practitioner/9", "patientId": "1"}), "E_CONTEXT"),
    ],
)
def test_a_body_that_is_no_request_of_this_service_is_told_so(client, body, code):
    answer = client.post(PATH, content=body) if isinstance(body, bytes) else client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert set(answer.json()) == {"code", "message"}


def test_fields_that_are_not_known_are_passed_over():
    import msgspec

    body = msgspec.json.encode(hook(extension={"org.example": {"a": 1}}, fhirAuthorization=None))
    assert read_request(body).hook == "patient-view"
