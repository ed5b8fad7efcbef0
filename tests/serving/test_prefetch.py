"""Prefetch: absent, null, an error, paged, foreign and huge; and the FHIR server, slow, lying or off the list."""

import asyncio

import httpx2
import pytest
from serving.served import FHIR, MARK, PATH, Fhir, claims, config_of, encounter, hook, prefetch, serving
from sources.fhir_resources import bundle, coverage, patient, payer_eob

from claim_transformers.serving.config import Limits

OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": MARK}]}
PAGED = claims(payer_eob("1", MARK), next_page=True)
HUGE = httpx2.Response(200, content=b"{" + b" " * 400_000)


def next_page(address):
    page = claims(payer_eob("1", MARK))
    page["link"] = [{"relation": "next", "url": address}]
    return page


def code_of(answer, status=412):
    assert answer.status_code == status, answer.text
    assert MARK not in answer.text
    assert set(answer.json()) == {"code", "message"}
    return answer.json()["code"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"claims": ...}, "E_PREFETCH"),
        ({"patient": ...}, "E_PREFETCH"),
        ({"patient": None}, "E_UNKNOWN_PATIENT"),
        ({"claims": OUTCOME}, "E_OPERATION_OUTCOME"),
        ({"claims": bundle(OUTCOME)}, "E_OPERATION_OUTCOME"),
        ({"patient": OUTCOME}, "E_OPERATION_OUTCOME"),
        ({"claims": PAGED}, "E_PAGED"),
        ({"claims": patient(MARK)}, "E_FOREIGN"),
        ({"claims": "text"}, "E_FOREIGN"),
        ({"claims": claims(payer_eob("1", MARK), payer_eob("2", "Eve"))}, "E_FOREIGN"),
        ({"claims": claims(payer_eob("1", "Eve"))}, "E_FOREIGN"),
        ({"patient": patient("Eve")}, "E_FOREIGN"),
        ({"coverage": bundle(coverage("Eve"))}, "E_FOREIGN"),
        ({"claims": {"resourceType": "Bundle", "entry": [{"fullUrl": MARK}]}}, "E_RESOURCE"),
    ],
)
def test_what_cannot_be_had_is_an_error_and_no_empty_set_of_cards(client, given, code):
    assert code_of(client.post(PATH, json=hook(prefetch=prefetch(**given)))) == code


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"encounter": ...}, "E_PREFETCH"),
        ({"encounter": None}, "E_UNKNOWN_PATIENT"),
        ({"encounter": encounter(subject={"reference": "Patient/Eve"})}, "E_FOREIGN"),
        ({"encounter": encounter(id="enc-2")}, "E_FOREIGN"),
        ({"encounter": encounter(period={"start": "2030-01-01"})}, "E_ENCOUNTER"),
        ({"encounter": encounter(period={"start": "soon"})}, "E_ENCOUNTER"),
    ],
)
def test_an_encounter_that_does_not_fit_is_an_error(client, given, code):
    body = hook("encounter-discharge", prefetch=prefetch(**({"encounter": encounter()} | given)))
    assert code_of(client.post(PATH, json=body)) == code


def test_a_request_larger_than_the_limit_is_refused_before_it_is_read(tmp_path, assessor):
    with serving(config_of(tmp_path, limits=Limits(request_bytes=1000)), assessor) as client:
        assert code_of(client.post(PATH, json=hook()), 413) == "E_SIZE"
        chunks = iter([b"{" + b" " * 600, b" " * 600])
        assert code_of(client.post(PATH, content=chunks), 413) == "E_SIZE"


def test_what_was_not_prefetched_is_fetched_with_the_token_and_all_pages(tmp_path, assessor):
    def pages(request):
        if "page" in request.url.params:
            return claims(payer_eob("2", MARK))
        return next_page(f"{FHIR}/ExplanationOfBenefit?patient={MARK}&page=2")

    fhir = Fhir(ExplanationOfBenefit=pages)
    with serving(config_of(tmp_path, limits=Limits(fetch_seconds=30)), assessor, fhir) as client:
        fetched = client.post(PATH, json=hook("encounter-discharge", fetch=True)).json()["cards"][0]
        given = client.post(PATH, json=hook("encounter-discharge")).json()["cards"][0]
    assert fetched["summary"] == given["summary"]
    assert {request.headers["authorization"] for request in fhir.asked} == {"Bearer opaque"}
    assert sorted(request.url.path.removeprefix("/fhir/").partition("/")[0] for request in fhir.asked) == [
        "Coverage", "Encounter", "ExplanationOfBenefit", "ExplanationOfBenefit", "Patient",
    ]  # fmt: skip


async def slow(_):
    await asyncio.sleep(30)


def broken(request):
    raise httpx2.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"ExplanationOfBenefit": slow}, "E_FHIR_TIME"),
        ({"ExplanationOfBenefit": broken}, "E_FHIR_ANSWER"),
        ({"ExplanationOfBenefit": HUGE}, "E_FHIR_SIZE"),
        ({"ExplanationOfBenefit": httpx2.Response(200, content=b"<html>")}, "E_FHIR_ANSWER"),
        ({"ExplanationOfBenefit": httpx2.Response(401, json=OUTCOME)}, "E_FHIR_ANSWER"),
        (
            {"ExplanationOfBenefit": httpx2.Response(302, headers={"location": "https://evil.example"})},
            "E_FHIR_ANSWER",
        ),
        ({"ExplanationOfBenefit": OUTCOME}, "E_OPERATION_OUTCOME"),
        ({"Patient": httpx2.Response(404)}, "E_UNKNOWN_PATIENT"),
        ({"ExplanationOfBenefit": next_page("https://evil.example/fhir/x")}, "E_FHIR_SERVER"),
        ({"ExplanationOfBenefit": next_page(f"{FHIR}/../admin")}, "E_FHIR_SERVER"),
        ({"ExplanationOfBenefit": next_page("http://169.254.169.254/")}, "E_FHIR_SERVER"),
        ({"ExplanationOfBenefit": lambda _: next_page(f"{FHIR}/ExplanationOfBenefit?again=1")}, "E_FHIR_SIZE"),
    ],
)
def test_a_server_that_is_slow_or_lies_costs_a_bounded_time_and_size(tmp_path, assessor, answers, code):
    limits = Limits(fetch_seconds=0.5 if slow in answers.values() else 30, fetch_bytes=200_000, fetch_pages=6)
    fhir = Fhir(**answers)
    with serving(config_of(tmp_path, limits=limits), assessor, fhir) as client:
        assert code_of(client.post(PATH, json=hook(fetch=True))) == code
    assert all(str(request.url).startswith(f"{FHIR}/") for request in fhir.asked)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"fhirServer": "https://evil.example/fhir"}, 412, "E_FHIR_SERVER"),
        ({"fhirServer": f"{FHIR}.evil.example"}, 412, "E_FHIR_SERVER"),
        ({"fhirServer": "http://ehr.example.org/fhir"}, 412, "E_FHIR_SERVER"),
        ({"fhirServer": "https://evil.example", "prefetch": prefetch()}, 412, "E_FHIR_SERVER"),
        ({"fhirServer": None}, 412, "E_PREFETCH"),
        ({"fhirAuthorization": None}, 412, "E_PREFETCH"),
        ({"fhirAuthorization": {"access_token": "a", "patient": "Eve"}}, 412, "E_FOREIGN"),
        ({"fhirAuthorization": {"access_token": "a\nb"}}, 400, "E_REQUEST"),
        ({"fhirAuthorization": {"access_token": "a", "token_type": "MAC"}}, 400, "E_REQUEST"),
    ],
)
def test_a_server_off_the_list_is_never_asked(tmp_path, assessor, changes, status, code):
    fhir = Fhir()
    with serving(config_of(tmp_path), assessor, fhir) as client:
        assert code_of(client.post(PATH, json=hook(fetch=True, **changes)), status) == code
    assert fhir.asked == []
