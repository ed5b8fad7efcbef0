"""A simulated hospital on this machine alone: a FHIR server, an authorization server, an EHR page, and the service.

    python examples/serving/hospital.py runs/demo-serving

The folder holds `claims`, that `ingest` wrote, and `encoder`, a fine-tuned checkpoint. Ctrl-C ends all of it.
"""

import argparse
import base64
import hashlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx2
import uvicorn
import yaml
from fhir_claims import Chart, read_charts
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

_PAGE = Path(__file__).parent / "ehr.html"
_HOST, _SERVICE, _CLIENT = "127.0.0.1", "claims-risk", "claims-page"
_CODE_SECONDS, _MOST_GRANTS = 60, 1000
_START_SECONDS = 180
_SERVE = "from claim_transformers.cli import main; main()"


class Hospital:
    """The servers of the hospital; everything is in memory and read-only."""

    def __init__(self, charts: dict[str, Chart], own: str, service: str, secret: str) -> None:
        self.charts, self.own, self.service, self.secret = charts, own, service, secret
        self.fhir = f"{own}/fhir"
        self.page = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE.read_text("utf-8"))
        self.grants: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        """The routes."""
        routes = [
            Route("/", self.show),
            Route("/feedback", self.feedback, methods=["POST"]),
            Route("/open", self.open_page),
            Route("/fhir/.well-known/smart-configuration", self.smart_configuration),
            Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["POST"]),
            Route("/fhir/{kind}/{id}", self.read),
            Route("/fhir/{kind}", self.search),
        ]
        return Starlette(routes=routes)

    # ---- EHR ----

    async def show(self, request: Request) -> Response:
        """The list of patients, the chart of one, and the card that a hook brings."""
        name = request.query_params.get("patient", next(iter(self.charts)))
        hook = request.query_params.get("hook", "encounter-discharge")
        if name not in self.charts or hook not in ("encounter-discharge", "patient-view"):
            return HTMLResponse("no such patient or hook", 404)
        cards, error = await self._fire(name, hook)
        for card in cards:
            card["html"] = _html(card.get("detail", ""))
        content = {"charts": self.charts, "name": name, "chart": self.charts[name], "hook": hook, "cards": cards}
        return HTMLResponse(self.page.render(error=error, **content))

    async def _fire(self, name: str, hook: str) -> tuple[list[dict[str, Any]], str]:
        """Call the service as an EHR does, with all that it prefetches."""
        chart = self.charts[name]
        context = {"userId": "Practitioner/demo", "patientId": name}
        prefetch: dict[str, Any] = {"patient": chart.patient, "claims": _bundle(chart.claims)}
        prefetch["coverage"] = _bundle(chart.coverage)
        if hook == "encounter-discharge":
            context["encounterId"], prefetch["encounter"] = chart.encounter["id"], chart.encounter
        body = {"hook": hook, "hookInstance": str(uuid.uuid4()), "fhirServer": self.fhir, "context": context}
        answer = await self._post("", body | {"prefetch": prefetch})
        content = answer.json()
        if answer.status_code != 200:
            return [], f"{answer.status_code}: {content.get('message', content)}"
        return content["cards"], ""

    async def feedback(self, request: Request) -> Response:
        """Tell the service what became of a card."""
        form = await _form(request)
        one: dict[str, Any] = {"card": form.get("card", ""), "outcome": form.get("outcome", "overridden")}
        one["outcomeTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if one["outcome"] == "accepted":
            one["acceptedSuggestions"] = [{"id": form.get("suggestion", "")}]
        await self._post("/feedback", {"feedback": [one]})
        return RedirectResponse(f"/?{urlencode({'patient': form.get('patient', '')})}", 303)

    async def _post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
            return await client.post(f"{self.service}/cds-services/{_SERVICE}{path}", json=body)

    async def open_page(self, request: Request) -> Response:
        """Launch the page of the card with a handle of its own, as an EHR does with a link of type smart."""
        name = request.query_params.get("patient", "")
        if name not in self.charts:
            return HTMLResponse("no such patient", 404)
        launch = self._grant({"patient": name, "appContext": request.query_params.get("appContext", "")})
        return RedirectResponse(f"{self.service}/launch?{urlencode({'iss': self.fhir, 'launch': launch})}", 303)

    # ---- Authorization server: the user of the demo agrees to everything ----

    def _grant(self, content: dict[str, Any]) -> str:
        """A handle that is used once, and soon."""
        now = time.time()
        self.grants = {key: one for key, one in self.grants.items() if one["end"] > now}
        if len(self.grants) >= _MOST_GRANTS:
            self.grants.pop(next(iter(self.grants)))
        handle = secrets.token_urlsafe(24)
        self.grants[handle] = content | {"end": now + _CODE_SECONDS}
        return handle

    async def smart_configuration(self, _: Request) -> Response:
        """Where to authorize."""
        return JSONResponse(
            {
                "issuer": self.fhir,
                "authorization_endpoint": f"{self.own}/authorize",
                "token_endpoint": f"{self.own}/token",
                "grant_types_supported": ["authorization_code"],
                "code_challenge_methods_supported": ["S256"],
                "capabilities": [
                    "launch-ehr",
                    "client-confidential-symmetric",
                    "context-ehr-patient",
                    "permission-v2",
                ],
            }
        )

    async def authorize(self, request: Request) -> Response:
        """Exchange the handle of a launch for a code, to the one address that is registered."""
        asked = request.query_params
        known = self.grants.pop(asked.get("launch", ""), None)
        redirect = asked.get("redirect_uri", "")
        is_fine = asked.get("client_id") == _CLIENT and redirect == f"{self.service}/callback"
        if known is None or not is_fine or asked.get("code_challenge_method") != "S256":
            return HTMLResponse("expected a launch of this hospital, found none: open the page anew", 400)
        code = self._grant(known | {"challenge": asked["code_challenge"], "scope": asked.get("scope", "")})
        return RedirectResponse(f"{redirect}?{urlencode({'code': code, 'state': asked.get('state', '')})}", 303)

    async def token(self, request: Request) -> Response:
        """Exchange a code and the verifier of PKCE for a token of one patient."""
        form = await _form(request)
        pair = base64.b64encode(f"{_CLIENT}:{self.secret}".encode()).decode()
        known = self.grants.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_client = secrets.compare_digest(request.headers.get("authorization", ""), f"Basic {pair}")
        if known is None or not is_client or known.get("challenge") != challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = self._grant({"patient": known["patient"]})
        content = {"access_token": token, "token_type": "Bearer", "expires_in": _CODE_SECONDS, "scope": known["scope"]}
        content |= {"patient": known["patient"], "encounter": self.charts[known["patient"]].encounter["id"]}
        content |= {"appContext": known["appContext"]} if known.get("appContext") else {}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    # ---- FHIR server ----

    def _chart_of(self, request: Request, name: str) -> Chart | None:
        """The chart, for who has a token of that patient."""
        known = self.grants.get(request.headers.get("authorization", "").removeprefix("Bearer "), {})
        is_allowed = known.get("patient") == name and known["end"] > time.time() and "challenge" not in known
        return self.charts.get(name) if is_allowed else None

    async def read(self, request: Request) -> Response:
        """A patient, or the encounter of one."""
        kind, identifier = request.path_params["kind"], request.path_params["id"]
        chart = self._chart_of(request, identifier.removeprefix("stay-of-"))
        found = {} if chart is None else {"Patient": chart.patient, "Encounter": chart.encounter}
        if kind not in found:
            return JSONResponse({"resourceType": "OperationOutcome"}, 404)
        return JSONResponse(found[kind], media_type="application/fhir+json")

    async def search(self, request: Request) -> Response:
        """Claims or coverage of a patient."""
        chart = self._chart_of(request, request.query_params.get("patient", "").removeprefix("Patient/"))
        found = {} if chart is None else {"ExplanationOfBenefit": chart.claims, "Coverage": chart.coverage}
        if request.path_params["kind"] not in found:
            return JSONResponse({"resourceType": "OperationOutcome"}, 404)
        return JSONResponse(_bundle(found[request.path_params["kind"]]), media_type="application/fhir+json")


def _html(detail: str) -> Markup:
    """The Markdown of a card: words in bold and numbered lines, with everything else as it stands."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(detail)))
    text = re.sub(r"(?m)^\d+\. (.*)\n?", r"<li>\1</li>", text)
    text = re.sub(r"(?:<li>.*?</li>)+", r"<ol>\g<0></ol>", text)
    return Markup("".join(f"<div>{block}</div>" for block in re.sub(r"\\(.)", r"\1", text).split("\n\n")))


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def _bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _write_config(run: Path, service: str, port: int, fhir: str) -> Path:
    """serve.yaml of the demo: unsigned requests, on loopback alone; the secret comes by the environment."""
    content = {
        "base_url": service,
        "port": port,
        "outcome": "Readmission within 30 days",
        "feedback_file": "feedback.jsonl",
        "fhir_servers": [fhir],
        "allow_unsigned": True,
        "warn_from": 0.2,
        # Simulated drugs stand in no directory: the checkpoint knows their ingredients, and requests have their NDC.
        "speak": {"unknown_code_share": 0.6},
        "smart": {"client_id": _CLIENT, "secret": {"env": "DEMO_PAGE_SECRET"}, "issuers": [fhir]},
    }
    path = run / "serve.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _wait_for(service: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the checkpoint is loaded."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(f"{service}/readyz", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.3)
    raise SystemExit("expected a service that is ready, found none; its log is service.log")


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated hospital with the service of claim-transformers.")
    parser.add_argument("run", type=Path, help="Folder with claims and encoder.")
    parser.add_argument("--port", type=int, default=8400, help="Port of the hospital; the service has the next one.")
    parser.add_argument("--patients", type=int, default=12, help="Patients on the list.")
    given = parser.parse_args()
    own, service = (f"http://{_HOST}:{given.port + step}" for step in (0, 1))
    secret = secrets.token_urlsafe(32)
    hospital = Hospital(read_charts(given.run / "claims", given.patients), own, service, secret)
    config = _write_config(given.run, service, given.port + 1, hospital.fhir)
    command = [sys.executable, "-c", _SERVE, "serve", str(given.run / "encoder"), "--config", str(config)]
    environment = {**os.environ, "DEMO_PAGE_SECRET": secret}
    with (given.run / "service.log").open("wb") as log:
        # In a session of its own, so that Ctrl-C ends the hospital first, and the service by it.
        process = subprocess.Popen(command, stderr=log, env=environment, start_new_session=True)
        # The server hands the signal on when it has ended, and by default that would leave the service running.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        try:
            _wait_for(service, process)
            print(f"\nThe simulated hospital is at {own}/  (Ctrl-C ends it)\n", flush=True)
            uvicorn.run(hospital.app(), host=_HOST, port=given.port, log_level="warning")
        except KeyboardInterrupt:
            pass
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
