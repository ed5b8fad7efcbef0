"""Signed requests: who calls, by a JSON web token whose issuer and keys are on the list, and which is used once.

Source: CDS Hooks 2.0, Trusting CDS Clients; RFC 7515, 7517 and 7519. ES384 and RS384 alone are taken: no HMAC, whose
key both sides would have to know, and no token without a signature.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import jwt
import msgspec

from claim_transformers.serving.config import ServeConfig, TrustedClient
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.used_once import UsedOnce

_ALGORITHMS = ("ES384", "RS384")
_KEY_TYPES = {"ES384": "EC", "RS384": "RSA"}
_CLAIMS = ("iss", "aud", "exp", "iat", "jti")
_LEEWAY_SECONDS = 10
_MOST_TOKEN = 8192
_LEAST_RSA_BITS = 2048
_MOST_KEYS_BYTES = 2**20
# Keys are looked up again for a new kid this often at most, whatever tokens name, and anew after an hour.
_KEYS_SECONDS, _KEYS_LIFE_SECONDS = 60, 3600


class TokenVerifier:
    """Verifies the tokens of requests against the clients of the configuration."""

    def __init__(self, config: ServeConfig, http: httpx2.AsyncClient, used: UsedOnce) -> None:
        self._clients = {client.issuer: client for client in config.clients}
        self._http, self._limits, self._allows_unsigned = http, config.limits, config.allow_unsigned
        self._keys: dict[str, Mapping[str, jwt.PyJWK]] = {}
        self._asked: dict[str, float] = {}
        self._used = used
        self._locks = {issuer: asyncio.Lock() for issuer in self._clients}

    async def verify(self, authorization: str | None, audiences: tuple[str, ...]) -> None:
        """Take a request or raise an error of status 401; `audiences` are addresses that it may be meant for."""
        if authorization is None and self._allows_unsigned:
            return
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _MOST_TOKEN:
            raise _refused("E_TOKEN", "expected a signed token in the Authorization header, found none")
        header, client = self._read(token)
        key = await self._key(client, header)
        payload = _verified(token, key, header["alg"], client.issuer)
        audience = payload["aud"]
        if (audience if isinstance(audience, list) else [audience]) not in [[one] for one in audiences]:
            raise _refused("E_TOKEN_AUDIENCE", "expected a token for this service alone, found another audience")
        self._use_once(client.issuer, payload)

    def _read(self, token: str) -> tuple[dict[str, Any], TrustedClient]:
        """The header of a token, and the client that it says it is of; nothing of it is believed yet."""
        try:
            header = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _refused("E_TOKEN", "expected a JSON web token, found another text") from error
        if header.get("alg") not in _ALGORITHMS:
            raise _refused(
                "E_TOKEN_ALGORITHM", f"expected a token signed by {' or '.join(_ALGORITHMS)}, found another or none"
            )
        client = self._clients.get(issuer) if isinstance(issuer, str) else None
        if client is None:
            raise _refused("E_TOKEN_ISSUER", "expected an issuer of the list of this service, found another")
        if "jku" in header and header["jku"] != client.jku:
            raise _refused("E_TOKEN_ISSUER", "expected the jku of the list of this service, found another")
        if str(header.get("typ", "JWT")).upper() != "JWT" or not isinstance(header.get("kid"), str):
            raise _refused("E_TOKEN", "expected a token of type JWT with the kid of its key, found another")
        return header, client

    async def _key(self, client: TrustedClient, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The key that a token names; keys are fetched again where it is new, but not for every token."""
        async with self._locks[client.issuer]:
            known = self._keys.get(client.issuer, {})
            age = time.monotonic() - self._asked.get(client.issuer, -float("inf"))
            if age > _KEYS_LIFE_SECONDS or (header["kid"] not in known and age > _KEYS_SECONDS):
                known = self._keys[client.issuer] = _parse_keys(await self._key_bytes(client))
                self._asked[client.issuer] = time.monotonic()
        key = known.get(header["kid"])
        if key is None or key.key_type != _KEY_TYPES[header["alg"]]:
            raise _refused("E_TOKEN_KEY", "expected the kid of a public key of the client, found another")
        return key

    async def _key_bytes(self, client: TrustedClient) -> bytes:
        if client.jwks_file is not None:
            return Path(client.jwks_file).read_bytes()
        try:
            async with asyncio.timeout(self._limits.keys_seconds):
                async with self._http.stream("GET", str(client.jku), follow_redirects=False) as answer:
                    content = b""
                    async for chunk in answer.aiter_bytes():
                        content += chunk
                        if len(content) > _MOST_KEYS_BYTES:
                            break
                if answer.status_code == 200 and len(content) <= _MOST_KEYS_BYTES:
                    return content
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError):
            pass
        raise ServiceError(503, "E_TOKEN_KEYS", "expected the keys of the client, found no answer", retry_after=1)

    def _use_once(self, issuer: str, payload: Mapping[str, Any]) -> None:
        identifier = payload["jti"]
        if not isinstance(identifier, str) or not identifier:
            raise _refused("E_TOKEN", "expected a jti in the token, found none")
        if payload["exp"] - time.time() > self._limits.token_seconds:
            raise _refused(
                "E_TOKEN_EXPIRED", f"expected a token that lives {self._limits.token_seconds} seconds at most"
            )
        if not self._used.take("token", issuer, identifier, last=payload["exp"] + _LEEWAY_SECONDS):
            raise _refused("E_TOKEN_REPLAYED", "expected a token that is used once, found one that was used")


def _parse_keys(content: bytes) -> dict[str, jwt.PyJWK]:
    """Public keys by their kid; what is no usable key is passed over, as RFC 7517 says."""
    try:
        listed = msgspec.json.decode(content, type=dict[str, Any]).get("keys")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        listed = None
    keys = {}
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("kid"), str) or one.get("use", "sig") != "sig":
            continue
        algorithm = {"EC": "ES384", "RSA": "RS384"}.get(str(one.get("kty")))
        try:
            key = jwt.PyJWK(one, algorithm) if algorithm is not None else None
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if key is not None and _is_strong(key):
            keys[one["kid"]] = key
    return keys


def _is_strong(key: jwt.PyJWK) -> bool:
    curve = getattr(key.key, "curve", None)
    if curve is not None:
        return bool(curve.name == "secp384r1")
    return int(getattr(key.key, "key_size", 0)) >= _LEAST_RSA_BITS


def _verified(token: str, key: jwt.PyJWK, algorithm: str, issuer: str) -> dict[str, Any]:
    """The content of a token whose signature, issuer and time are right."""
    try:
        payload: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            issuer=issuer,
            leeway=_LEEWAY_SECONDS,
            # The audience is compared by the caller, exactly.
            options={"require": list(_CLAIMS), "verify_aud": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise _refused("E_TOKEN_EXPIRED", "expected a token that has not expired, found one that has") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise _refused(
            "E_TOKEN", "expected a token with a right signature and all its claims, found another"
        ) from error
    if isinstance(payload["exp"], bool) or not isinstance(payload["exp"], int | float):
        raise _refused("E_TOKEN", "expected a number as exp of the token, found another value")
    return payload


def _refused(reason_code: str, message: str) -> ServiceError:
    return ServiceError(401, reason_code, message)
