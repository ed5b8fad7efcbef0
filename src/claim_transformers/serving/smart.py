"""The launch of the page from a record: who may launch it, the way to the authorization server and back, the token.

Source: SMART App Launch 2.2 (HL7), EHR Launch, as a confidential client; RFC 6749 and 7636 (PKCE). Between the two
halves of a launch nothing is kept here and nothing in the browser: the state is signed for what the browser says that
it is, and the verifier of PKCE follows from it by a key of the service.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from claim_transformers.serving.config import ServeConfig, SmartApp, check_address
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.fhir_server import FhirServer
from claim_transformers.serving.hooks import ENCOUNTER_DISCHARGE, PATIENT_VIEW, HookRequest, read_request
from claim_transformers.serving.used_once import UsedOnce

# Reading by id is r, searching is s; the encounter may be refused, and then the page stands on today.
_SCOPES = {"Patient": "r", "ExplanationOfBenefit": "s", "Coverage": "s", "Encounter": "r"}
_NEEDED = ("Patient", "ExplanationOfBenefit")
_SCOPE = re.compile(r"(?:patient|user)/(\*|[A-Za-z]+)\.(read|write|\*|[cruds]+)(\?.*)?")
_OF_VERSION_1 = {"read": "rs", "*": "cruds", "write": "cud"}
_STATE_SECONDS = 300
_CONFIGURATION_SECONDS = 3600
_MOST_TEXT, _MOST_BYTES = 4096, 2**20
_OPAQUE = re.compile(r"[\x21-\x7e]{1,16384}")


@dataclass(frozen=True, repr=False)
class _Launched:
    """Whose page is asked for, and the server that may be read for it. It has no `repr` that could get into a log."""

    request: HookRequest
    server: FhirServer
    needs_banner: bool


class SmartLaunch:
    """Launches of one client at the issuers of its list."""

    def __init__(self, config: ServeConfig, http: httpx2.AsyncClient, used: UsedOnce) -> None:
        smart = config.smart
        if smart is None or smart.secret is None or not smart.issuers:
            raise ValueError("expected smart with a client_id, a secret and issuers, to serve the page; found less")
        self._smart: SmartApp = smart
        self._secret = smart.secret.read()
        self._issuers = tuple(issuer.rstrip("/") for issuer in smart.issuers)
        self._http, self._limits = (
            http,
            msgspec.structs.replace(config.limits, fetch_seconds=config.limits.page_seconds),
        )
        self._redirect_uri = f"{config.base_url}/callback"
        self._used = used
        self._known: dict[str, tuple[float, Mapping[str, str]]] = {}
        self._locks = {issuer: asyncio.Lock() for issuer in self._issuers}

    async def begin(self, query: Mapping[str, list[str]], browser: str) -> str:
        """The address at the authorization server that a launch goes on to; `browser` is what it says that it is."""
        issuer, launch = _single(query, "iss").rstrip("/"), _single(query, "launch")
        if issuer not in self._issuers:
            raise ServiceError(403, "E_LAUNCH_ISSUER", "expected an issuer of the list of this service, found another")
        endpoints = await self._endpoints(issuer)
        state = self._new_state(issuer, browser)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self._verifier(state).encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._smart.client_id,
            "redirect_uri": self._redirect_uri,
            "launch": launch,
            "scope": " ".join(["launch", *(f"patient/{kind}.{how}" for kind, how in _SCOPES.items())]),
            "state": state,
            "aud": issuer,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        # RFC 6749, 3.1: the address of the endpoint may have a query, which stays.
        endpoint = endpoints["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def finish(self, query: Mapping[str, list[str]], browser: str) -> _Launched:
        """Exchange what the authorization server sent back for a token, and say whose page is asked for."""
        state = _single(query, "state")
        issuer = self._use_state(state, browser)
        if "error" in query:
            raise ServiceError(403, "E_LAUNCH_DENIED", "expected access to the record, found that it was refused")
        form = {
            "grant_type": "authorization_code",
            "code": _single(query, "code"),
            "redirect_uri": self._redirect_uri,
            "code_verifier": self._verifier(state),
        }
        # RFC 6749, 2.3.1: both parts are encoded as in a form before they are joined.
        pair = f"{quote(self._smart.client_id, safe='')}:{quote(self._secret, safe='')}"
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}", "Accept": "application/json"}
        endpoint = (await self._endpoints(issuer))["token_endpoint"]
        token = await self._ask("POST", endpoint, headers=headers, data=form)
        return self._launched(issuer, token)

    def _launched(self, issuer: str, token: Mapping[str, Any]) -> _Launched:
        access = token.get("access_token")
        is_bearer = str(token.get("token_type", "")).lower() == "bearer"
        if not is_bearer or not isinstance(access, str) or not _OPAQUE.fullmatch(access):
            raise _refused("expected a Bearer token of the authorization server, found another answer")
        granted = set(_granted(str(token.get("scope", ""))))
        for kind in _NEEDED:
            if not _may(granted, kind):
                raise ServiceError(403, "E_SCOPE", f"expected to be allowed to read {kind}, found that it is not")
        if not isinstance(token.get("patient"), str):
            raise ServiceError(400, "E_CONTEXT", "expected a patient with the token, found none: open one and launch")
        encounter = token.get("encounter") if _may(granted, "Encounter") else None
        is_discharge = encounter is not None and _hook_of(token.get("appContext")) != PATIENT_VIEW
        context = {"patientId": token.get("patient"), "userId": "", "encounterId": encounter}
        # The rules for ids are those of a hook.
        hook = ENCOUNTER_DISCHARGE if is_discharge else PATIENT_VIEW
        request = read_request(msgspec.json.encode({"hook": hook, "hookInstance": "page", "context": context}))
        server = FhirServer(self._http, issuer, access, self._limits)
        return _Launched(request, server, token.get("need_patient_banner") is True)

    # ---- State ----

    def _new_state(self, issuer: str, browser: str) -> str:
        end = int(time.time()) + _STATE_SECONDS
        content = f"{secrets.token_urlsafe(16)}.{self._issuers.index(issuer)}.{end}"
        return f"{content}.{self._signed('state', content, browser)}"

    def _use_state(self, state: str, browser: str) -> str:
        """The issuer of a state that was signed for this browser, is young, and is used for the first time."""
        content, _, signature = state.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed("state", content, browser).encode()):
            raise ServiceError(
                400, "E_STATE", "expected the state of a launch that began here in this browser, found another"
            )
        _, issuer, end = content.split(".")
        if int(end) < time.time():
            raise ServiceError(
                400, "E_STATE_EXPIRED", "expected a launch of the last five minutes: open the page anew"
            )
        if not self._used.take("state", state, last=int(end) + 1):
            raise ServiceError(400, "E_STATE_USED", "expected a launch that is used once: open the page anew")
        return self._issuers[int(issuer)]

    def _verifier(self, state: str) -> str:
        return self._signed("verifier", state)

    def _signed(self, purpose: str, text: str, browser: str = "") -> str:
        digest = hmac.digest(self._used.key, f"{purpose}:{text}:{browser}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    # ---- The authorization server ----

    async def _endpoints(self, issuer: str) -> Mapping[str, str]:
        """Where an issuer authorizes and gives tokens, asked once an hour."""
        async with self._locks[issuer]:
            end, known = self._known.get(issuer, (0.0, {}))
            if end < time.monotonic():
                address = f"{issuer}/.well-known/smart-configuration"
                found = await self._ask("GET", address, headers={"Accept": "application/json"})
                methods = found.get("code_challenge_methods_supported")
                if not isinstance(methods, list) or "S256" not in methods:
                    raise _refused("expected an authorization server with PKCE by S256, found another")
                known = {name: _endpoint(found, name) for name in ("authorization_endpoint", "token_endpoint")}
                self._known[issuer] = (time.monotonic() + _CONFIGURATION_SECONDS, known)
        return known

    async def _ask(self, method: str, address: str, **sent: Any) -> Mapping[str, Any]:
        """The JSON object of an answer, within bounds of time and size."""
        content = b""
        with _told():
            async with asyncio.timeout(self._limits.page_seconds):
                async with self._http.stream(method, address, follow_redirects=False, **sent) as answer:
                    async for chunk in answer.aiter_bytes():
                        content += chunk
                        if len(content) > _MOST_BYTES:
                            raise _refused(f"expected at most {_MOST_BYTES:,} bytes of the server, found more")
        if answer.status_code != 200:
            raise _refused(
                f"expected status 200 of the authorization server, found {answer.status_code}: open the page anew"
            )
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise _refused("expected a JSON object of the authorization server, found another answer") from error


@contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong on the way into an error with a code."""
    try:
        yield
    except TimeoutError as error:
        raise ServiceError(504, "E_AUTHORIZATION", "expected the authorization server to answer in time") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _refused(f"expected an answer of the authorization server, found {type(error).__name__}") from error


def _refused(message: str) -> ServiceError:
    return ServiceError(502, "E_AUTHORIZATION", message)


def _single(query: Mapping[str, list[str]], name: str) -> str:
    values = query.get(name, [])
    if len(values) != 1 or not 0 < len(values[0]) <= _MOST_TEXT:
        raise ServiceError(400, "E_LAUNCH", f"expected {name} once in the address, as a record launches the page")
    return values[0]


def _endpoint(found: Mapping[str, Any], name: str) -> str:
    address = str(found.get(name))
    base, mark, query = address.partition("?")
    try:
        return f"{check_address(base, name)}{mark}{query.partition('#')[0]}"
    except ValueError as error:
        raise _refused(f"expected an https address as {name}, found another or none") from error


def _granted(scope: str) -> Iterator[tuple[str, str]]:
    """Kinds of resources and letters of what may be done; a scope with a filter grants a part and does not count."""
    for one in scope.split():
        matched = _SCOPE.fullmatch(one)
        if matched is not None and matched[3] is None:
            yield from ((matched[1], letter) for letter in _OF_VERSION_1.get(matched[2], matched[2]))


def _may(granted: set[tuple[str, str]], kind: str) -> bool:
    return bool(granted & {(kind, _SCOPES[kind]), ("*", _SCOPES[kind])})


def _hook_of(context: Any) -> str | None:
    """The hook of the card whose link was followed, from the `appContext` that was given to it."""
    try:
        return str(msgspec.json.decode(context, type=dict[str, Any]).get("hook"))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, TypeError):
        return None
