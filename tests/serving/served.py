"""A tiny checkpoint, a service around it, requests of a clinic and a FHIR server that may lie."""

import base64
import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import jwt
import torch
from claim_batches import randomise
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sources.fhir_resources import bundle, coverage, patient, payer_eob
from starlette.testclient import TestClient

from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.models.claim.form_claim import ClaimForm
from claim_transformers.serving import Assessor, ServeConfig, create_app
from claim_transformers.serving.config import TrustedClient

TODAY = dt.date(2024, 6, 1)
BASE, FHIR = "https://cds.example.org", "https://ehr.example.org/fhir"
ISSUER, JKU = "https://ehr.example.org", "https://ehr.example.org/jwks.json"
SERVICE = f"{BASE}/cds-services/claims-risk"
PATH = "/cds-services/claims-risk"
CODES = {"ICD10CM/I5023": "CCSR/CIR019", "ICD10CM/E119": "CCSR/END002", "HCPCS/99213": "HCPCSGROUP/992"}
MARK = "Ada-77131"  # An id that must stand in no log, metric or error.


def save_checkpoint(folder: Path, num_labels: int = 2, form: ClaimForm | None = None) -> Path:
    names = ["SEX/F", "SEX/M", *(f"TYPE/{kind}" for kind in ("CAR", "IP", "OP", "RX"))]
    names += [*(f"AGE/{age}" for age in range(91)), *CODES]
    if form is not None:
        names += [*CODES.values(), "LOS/0", "LOS/1", "PAID/0", "PAID/1"]
    tokenizer = ClaimTokenizer(dict(zip(names, range(3, 999), strict=False)), CODES, time_tokens="none")
    tokenizer.take_form(form)
    config = ClaimConfig(  # type: ignore[call-arg]  # num_labels is of PreTrainedConfig
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        visit_pooling="sum",
        num_labels=num_labels,
        problem_type="single_label_classification",
    )
    torch.manual_seed(0)
    randomise(ClaimForSequenceClassification(config)).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# ---- The clinic ----


def claims(*eobs: dict[str, Any], **options: Any) -> dict[str, Any]:
    return bundle(*(eobs or (payer_eob("1", MARK), payer_eob("2", MARK))), **options)


def prefetch(**changes: Any) -> dict[str, Any]:
    """What a client that does all that it is asked sends; `...` leaves a key out."""
    given = {"patient": patient(MARK), "claims": claims(), "coverage": bundle(coverage(MARK))} | changes
    return {name: value for name, value in given.items() if value is not ...}


def hook(kind: str = "patient-view", *, fetch: bool = False, **changes: Any) -> dict[str, Any]:
    """A request; with `fetch` it gives access to the FHIR server and prefetched nothing."""
    body: dict[str, Any] = {
        "hook": kind,
        "hookInstance": str(uuid.uuid4()),
        "context": {"userId": "Practitioner/9", "patientId": MARK},
    }
    if kind == "encounter-discharge":
        body["context"]["encounterId"] = "enc-1"
    if fetch:
        access = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.read"}
        body |= {"fhirServer": FHIR, "fhirAuthorization": access | {"subject": "cds"}}
    else:
        body["prefetch"] = prefetch(**({"encounter": encounter()} if "encounterId" in body["context"] else {}))
    return body | changes


def encounter(**changes: Any) -> dict[str, Any]:
    reason = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I50.23"}]}
    return {
        "resourceType": "Encounter",
        "id": "enc-1",
        "subject": {"reference": f"Patient/{MARK}"},
        "period": {"start": "2024-05-26T08:00:00Z"},
        "reasonCode": [reason],
    } | changes


# ---- Keys and tokens ----


class Keys:
    """Key pairs of a client, and tokens that they sign."""

    def __init__(self) -> None:
        self.ec = ec.generate_private_key(ec.SECP384R1())
        self.rsa = rsa.generate_private_key(65537, 2048)

    def jwks(self) -> dict[str, Any]:
        listed = [
            jwt.get_algorithm_by_name("ES384").to_jwk(self.ec.public_key(), as_dict=True) | {"kid": "ec"},
            jwt.get_algorithm_by_name("RS384").to_jwk(self.rsa.public_key(), as_dict=True) | {"kid": "rsa"},
        ]
        return {"keys": listed}

    def token(
        self, *, kid: str = "ec", key: Any = None, alg: str = "ES384", header: Any = None, **changes: Any
    ) -> str:
        """A token that is right but for the changes; `...` leaves a claim out."""
        now = int(time.time())
        content = {"iss": ISSUER, "aud": SERVICE, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())} | changes
        content = {name: value for name, value in content.items() if value is not ...}
        headers = {"kid": kid, "jku": JKU} | (header or {})
        return jwt.encode(content, key or (self.rsa if kid == "rsa" else self.ec), algorithm=alg, headers=headers)

    def unsigned(self) -> str:
        parts = [{"alg": "none", "typ": "JWT", "kid": "ec"}, {"iss": ISSUER, "aud": SERVICE, "jti": "1"}]
        texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
        return ".".join([*texts, ""])


# ---- The service ----


def config_of(folder: Path, **changes: Any) -> ServeConfig:
    known: dict[str, Any] = {
        "base_url": BASE,
        "outcome": "Readmission within 30 days",
        "feedback_file": str(folder / f"feedback-{uuid.uuid4()}.jsonl"),
        "fhir_servers": (FHIR,),
        "allow_unsigned": True,
    }
    return ServeConfig(**(known | changes))


def trusting(folder: Path, **changes: Any) -> ServeConfig:
    """A configuration that takes signed requests alone."""
    return config_of(folder, allow_unsigned=False, clients=(TrustedClient(issuer=ISSUER, jku=JKU),), **changes)


@contextmanager
def serving(
    config: ServeConfig,
    assessor: Assessor | Any,
    answer: Callable[[httpx2.Request], Any] | None = None,
    more_routes: Any = None,
) -> Iterator[TestClient]:
    """A client of a service that is ready; `answer` is the rest of the web."""

    def nothing(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(500)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer or nothing))
    app = create_app(config, lambda: assessor, http=http, today=lambda: TODAY, more_routes=more_routes)
    with TestClient(app, base_url=BASE, raise_server_exceptions=True) as client:
        deadline = time.monotonic() + 20
        while client.get("/readyz").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.005)
        yield client


class Fhir:
    """A FHIR server; what it answers can be replaced address by address."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[httpx2.Request] = []
        self.answers = {
            "Patient": patient(MARK),
            "ExplanationOfBenefit": claims(),
            "Coverage": bundle(coverage(MARK)),
            "Encounter": encounter(),
        } | answers

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        kind = request.url.path.removeprefix("/fhir/").partition("/")[0]
        answer = self.answers[kind]
        if callable(answer):
            answer = answer(request)
            answer = await answer if hasattr(answer, "__await__") else answer
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)
