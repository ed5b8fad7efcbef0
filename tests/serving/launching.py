"""An authorization server that follows SMART App Launch 2.2 and RFC 7636, and the record behind it."""

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import httpx2
from serving.served import BASE, FHIR, MARK, Fhir, config_of

from claim_transformers.serving import ServeConfig
from claim_transformers.serving.config import Limits, SmartApp, _Secret

CLIENT, SECRET = "cds page", "p%:ss word"


def with_page(folder: Path, base: str = BASE, issuer: str = FHIR, **changes: Any) -> ServeConfig:
    (folder / "secret").write_text(SECRET)
    secret = _Secret(file=str(folder / "secret"))
    smart = SmartApp(client_id=CLIENT, secret=secret, issuers=(issuer,), frame_ancestors=("https://ehr.example.org",))
    known = {"base_url": base, "smart": smart, "limits": Limits(page_seconds=30)}
    return config_of(folder, **(known | changes))


class Record(Fhir):
    """The FHIR server of a record with its authorization server: a code is used once, and its verifier is checked."""

    def __init__(self, base: str = BASE, issuer: str = FHIR, **answers: Any) -> None:
        super().__init__(**answers)
        self.base, self.issuer = base, issuer
        self.codes: dict[str, dict[str, str]] = {}
        self.refused: list[str] = []
        self.token: dict[str, Any] = {}
        self.configuration: dict[str, Any] = {}

    def authorize(self, address: str, **changes: str) -> str:
        """What the browser is sent back to, after the clinician agreed."""
        assert address.startswith(f"{self.issuer}/authorize?")
        asked = dict(parse_qsl(urlsplit(address).query, strict_parsing=True))
        assert (asked["response_type"], asked["client_id"], asked["aud"]) == ("code", CLIENT, self.issuer)
        assert (asked["redirect_uri"], asked["launch"]) == (f"{self.base}/callback", "xyz")
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["state"]) > 32
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{self.base}/callback?{urlencode({'code': code, 'state': asked['state']} | changes)}"

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = str(request.url).removeprefix(self.issuer)
        if path == "/.well-known/smart-configuration":
            self.asked.append(request)
            known = {
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "code_challenge_methods_supported": ["S256"],
            }
            return httpx2.Response(200, json=known | self.configuration)
        if path == "/token":
            self.asked.append(request)
            return self._exchange(request)
        assert request.headers["authorization"] == "Bearer opaque~1"
        return await super().__call__(request)

    def _exchange(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: value for name, (value,) in parse_qs(request.content.decode(), strict_parsing=True).items()}
        scheme, _, pair = request.headers["authorization"].partition(" ")
        client, _, secret = base64.b64decode(pair).decode().partition(":")
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        checks = {
            "invalid_client": (scheme, unquote(client), unquote(secret)) == ("Basic", CLIENT, SECRET),
            "invalid_grant": asked is not None and challenge == asked["code_challenge"],
            "invalid_request": (form["grant_type"], form["redirect_uri"])
            == ("authorization_code", f"{self.base}/callback"),
        }
        self.refused += [error for error, is_fine in checks.items() if not is_fine]
        if asked is None or self.refused:
            return httpx2.Response(400, json={"error": self.refused[0]})
        token = {"access_token": "opaque~1", "token_type": "Bearer", "expires_in": 300, "scope": asked["scope"]}
        token |= {"patient": MARK, "encounter": "enc-1", "id_token": "not.looked.at"} | self.token
        return httpx2.Response(200, json={name: value for name, value in token.items() if value is not ...})
