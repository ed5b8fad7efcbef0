"""The web application: routes, origins, and answers that all have a code and a body."""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.serving.config import ServeConfig
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.hooks import discovery
from claim_transformers.serving.logs import place_of
from claim_transformers.serving.service import HookService

if TYPE_CHECKING:
    from claim_transformers.serving.assessment import Assessor

_Answer = Callable[[Request], Awaitable[tuple[Any, str]]]
NOT_TO_BE_KEPT = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PROBES = ("health", "ready")
_CODES_OF_STATUS = {404: "E_ROUTE", 405: "E_METHOD"}

_logger = logging.getLogger(__name__)


def create_app(
    config: ServeConfig,
    load: "Callable[[], Assessor]",
    *,
    http: httpx2.AsyncClient | None = None,
    today: Callable[[], dt.date] = dt.date.today,
    on_failure: Callable[[BaseException], None] | None = None,
    more_routes: "Callable[[HookService], Sequence[BaseRoute]] | None" = None,
) -> Starlette:
    """Make the application of a service.

    Args:
        config ([`ServeConfig`]): Whom it trusts and what it may cost.
        load (`Callable`): Loads the [`Assessor`], in a thread, while `/readyz` answers 503.
        http (`httpx2.AsyncClient`, *optional*): How other servers are asked.
        today (`Callable`, *optional*): The day of a request.
        on_failure (`Callable`, *optional*): Told the error when the checkpoint cannot be loaded.
        more_routes (`Callable`, *optional*): Makes further routes of the service, such as those of a page.

    Returns:
        `starlette.applications.Starlette`: The application; it holds its files from its start to its end.

    Raises:
        ValueError: If the table of interventions or the file of used tokens does not fit.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> file = Path(tempfile.mkdtemp()) / "feedback.jsonl"
        >>> config = ServeConfig(base_url="http://127.0.0.1", outcome="Death", feedback_file=str(file),
        ...                      allow_unsigned=True)
        >>> sorted(route.path for route in create_app(config, lambda: None).routes)[:2]
        ['/cds-services', '/cds-services/{service}']
    """
    client = http or httpx2.AsyncClient(timeout=None)
    service = HookService(config, client, today)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(service, load, on_failure))
        yield
        loading.cancel()
        await asyncio.to_thread(service.close)
        await client.aclose()

    async def discover(_: Request) -> tuple[dict[str, Any], str]:
        return discovery(config), "OK"

    async def live(_: Request) -> tuple[dict[str, Any], str]:
        return {"status": "up"}, "OK"

    async def ready(_: Request) -> tuple[dict[str, Any], str]:
        return {"status": "ready", "checkpoint": service.ready().checkpoint}, "OK"

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(service.metrics.to_text(), headers=NOT_TO_BE_KEPT)

    wrap = Answers(service)
    routes: list[BaseRoute] = [
        Route("/cds-services", wrap.coded("discovery", discover), methods=["GET"]),
        Route("/cds-services/{service}", wrap.coded("hook", service.call), methods=["POST"]),
        Route("/cds-services/{service}/feedback", wrap.coded("feedback", service.feedback), methods=["POST"]),
        Route("/healthz", wrap.coded("health", live), methods=["GET"]),
        Route("/readyz", wrap.coded("ready", ready), methods=["GET"]),
        *([Route("/metrics", metrics, methods=["GET"])] if config.metrics else []),
        *(more_routes(service) if more_routes is not None else []),
    ]
    origins = Middleware(
        CORSMiddleware,
        allow_origins=list(config.allowed_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
    )
    handlers: dict[Any, Any] = {HTTPException: wrap.unknown_route}
    app = Starlette(
        routes=routes,
        middleware=[origins] if config.allowed_origins else [],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    # An answer without a body, to an address that the request itself names.
    app.router.redirect_slashes = False
    return app


async def _load(
    service: HookService, load: "Callable[[], Assessor]", on_failure: Callable[[BaseException], None] | None
) -> None:
    try:
        await service.load(load)
    except Exception as error:
        # Whatever it is: nobody waits for this task, so that an error would be lost and the service never be ready.
        fields = {"event": "failed", "error": type(error).__name__, "place": place_of(error)}
        _logger.error("failed", extra={"fields": fields})
        if on_failure is None:
            raise
        on_failure(error)


class Answers:
    """Turns what a handler gives or raises into an answer with a body, a line in the log and a count."""

    def __init__(self, service: HookService) -> None:
        self._service = service

    def coded(self, route: str, answer: _Answer) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of a route."""

        async def endpoint(request: Request) -> Response:
            begin = time.perf_counter()
            more: dict[str, str] = {}
            try:
                content, code = await answer(request)
                response = self._success(content)
            except ServiceError as error:
                response, code = self._error(error), error.reason_code
            except ClaimDataError as error:
                # The reader of claims says what is wrong with the resources.
                code = error.reason_code
                response = self._error(ServiceError(412, code, error.args[1]))
            except Exception as error:  # noqa: BLE001 - the last place where an answer can be given
                code, more = "E_INTERNAL", {"error": type(error).__name__, "place": place_of(error)}
                response = self._error(ServiceError(500, code, "expected an answer, found a fault of the service"))
            self._tell(route, response.status_code, code, time.perf_counter() - begin, more)
            return response

        return endpoint

    def unknown_route(self, _: Request, error: HTTPException) -> Response:
        """The answer where there is no route."""
        code = _CODES_OF_STATUS.get(error.status_code, "E_ROUTE")
        self._tell("none", error.status_code, code, 0.0, {})
        answer = self._error(ServiceError(error.status_code, code, "expected an address and a method of this service"))
        answer.headers.update(error.headers or {})
        return answer

    def _tell(self, route: str, status: int, code: str, seconds: float, more: dict[str, str]) -> None:
        self._service.metrics.observe(route, status, code, seconds)
        fields = {"event": "answer", "route": route, "status": status, "code": code}
        fields |= {"milliseconds": round(1000 * seconds, 1), **more}
        level = logging.DEBUG if route in _PROBES else logging.ERROR if status == 500 else logging.INFO
        _logger.log(level, "answer", extra={"fields": fields})

    def _success(self, content: Any) -> Response:
        return _json(200, content)

    def _error(self, error: ServiceError) -> Response:
        response = self._failure(error)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _failure(self, error: ServiceError) -> Response:
        message = str(error.args[1])
        content: dict[str, Any] = {"code": error.reason_code, "message": message}
        if self._service.config.hooks_version == "3.0":
            coding = {"system": f"{self._service.config.base_url}/codes", "code": error.reason_code}
            details = {"coding": [coding], "text": message}
            issue = {"severity": "error", "code": "processing", "details": details}
            content = {"resourceType": "OperationOutcome", "issue": [issue]}
        return _json(error.status, content)


def _json(status: int, content: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(content), status, NOT_TO_BE_KEPT, "application/json")
