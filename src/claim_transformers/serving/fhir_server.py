"""The FHIR server of one request: asked only where it is on the list, within a budget of time, bytes and pages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urljoin, urlsplit

import httpx2

from claim_transformers.serving.config import Limits, ServeConfig
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.hooks import HookRequest

_JSON_OF_FHIR = "application/fhir+json"


class FhirServer:
    """A server that may be asked for what was not prefetched, with the token of one request."""

    def __init__(self, http: httpx2.AsyncClient, base: str, token: str, limits: Limits) -> None:
        self._http, self._base, self._token, self._limits = http, base, token, limits
        self._bytes_left, self._pages_left = limits.fetch_bytes, limits.fetch_pages

    @classmethod
    def of_request(cls, request: HookRequest, http: httpx2.AsyncClient, config: ServeConfig) -> "FhirServer | None":
        """The server that a request names, none where it gives no access; `E_FHIR_SERVER` where it is off the list."""
        server, access = request.fhir_server, request.fhir_authorization
        if server is not None and server.rstrip("/") not in config.fhir_servers:
            raise ServiceError(
                412, "E_FHIR_SERVER", "expected a fhirServer of the list of this service, found another"
            )
        if access is None or server is None:
            return None
        if access.token_type.lower() != "bearer" or not access.access_token.isascii() or "\n" in access.access_token:
            raise ServiceError(400, "E_REQUEST", "expected a Bearer token in fhirAuthorization, found another")
        if access.patient is not None and access.patient != request.context.patient_id:
            raise ServiceError(
                412, "E_FOREIGN", "expected access to the patient of the context, found another patient"
            )
        return cls(http, server.rstrip("/"), access.access_token, config.limits)

    @asynccontextmanager
    async def within_budget(self) -> AsyncIterator[None]:
        """All that is fetched inside takes the time of the budget at most."""
        try:
            async with asyncio.timeout(self._limits.fetch_seconds):
                yield
        except TimeoutError as error:
            raise ServiceError(
                412, "E_FHIR_TIME", f"expected the FHIR server to answer in {self._limits.fetch_seconds:g} seconds"
            ) from error

    async def read(self, address: str) -> bytes:
        """Read an address below the base of the server, or the absolute one of a next page there."""
        target = urljoin(f"{self._base}/", address)
        path = unquote(urlsplit(target).path)
        if not target.startswith((f"{self._base}/", f"{self._base}?")) or ".." in path.split("/"):
            raise ServiceError(412, "E_FHIR_SERVER", "expected a next page on the same FHIR server, found another one")
        self._pages_left -= 1
        if self._pages_left < 0:
            raise ServiceError(
                412, "E_FHIR_SIZE", f"expected at most {self._limits.fetch_pages} answers of the FHIR server"
            )
        # Packed answers could become far larger than what was counted.
        headers = {"Authorization": f"Bearer {self._token}", "Accept": _JSON_OF_FHIR, "Accept-Encoding": "identity"}
        try:
            async with self._http.stream("GET", target, headers=headers, follow_redirects=False) as answer:
                if answer.status_code in (404, 410):
                    raise ServiceError(412, "E_UNKNOWN_PATIENT", "expected the FHIR server to know what it was asked")
                if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
                    raise ServiceError(
                        412, "E_FHIR_ANSWER", f"expected status 200 and plain JSON, found status {answer.status_code}"
                    )
                return await self._body(answer)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ServiceError(
                412, "E_FHIR_ANSWER", f"expected an answer of the FHIR server, found {type(error).__name__}"
            ) from error

    async def _body(self, answer: httpx2.Response) -> bytes:
        chunks = []
        async for chunk in answer.aiter_bytes():
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise ServiceError(
                    412, "E_FHIR_SIZE", f"expected at most {self._limits.fetch_bytes:,} bytes of the FHIR server"
                )
            chunks.append(chunk)
        return b"".join(chunks)
