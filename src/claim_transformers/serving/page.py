"""The page behind the card: launched from a record, answered once as HTML, and kept nowhere."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from claim_transformers.serving.app import NOT_TO_BE_KEPT, Answers
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.page_content import page_content
from claim_transformers.serving.prefetch import gather
from claim_transformers.serving.smart import SmartLaunch

if TYPE_CHECKING:
    from claim_transformers.serving.service import HookService

_FOLDER = Path(__file__).parent


def page_routes(service: "HookService") -> Sequence[BaseRoute]:
    """The routes of the page: where a record launches it, and where the browser comes back to."""
    page = _Page(service)
    wrap = _PageAnswers(service, page)
    return [
        Route("/launch", wrap.coded("launch", page.launch), methods=["GET"]),
        Route("/callback", wrap.coded("page", page.show), methods=["GET"]),
    ]


class _Page:
    """What the two routes do, and how HTML is sent."""

    def __init__(self, service: "HookService") -> None:
        self._service, self._launches = service, SmartLaunch(service.config, service.http, service.used)
        style = (_FOLDER / "page.css").read_text(encoding="utf-8")
        environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
        environment.globals["style"] = style
        self._template = environment.from_string((_FOLDER / "page.html").read_text(encoding="utf-8"))
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        framing = () if service.config.smart is None else service.config.smart.frame_ancestors
        ancestors = " ".join(framing) or "'none'"
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        self.headers = NOT_TO_BE_KEPT | {
            "Content-Security-Policy": f"{policy}; frame-ancestors {ancestors}",
            "Referrer-Policy": "no-referrer",
        }

    async def launch(self, request: Request) -> tuple[Response, str]:
        """Send the browser on to the authorization server."""
        self._service.ready()
        async with self._service.gate:
            address = await self._launches.begin(_query(request), _browser(request))
        return RedirectResponse(address, 302, self.headers), "OK"

    async def show(self, request: Request) -> tuple[Response, str]:
        """Answer with the page."""
        assessor = self._service.ready()
        async with self._service.gate:
            launched = await self._launches.finish(_query(request), _browser(request))
            async with launched.server.within_budget():
                gathered = await gather(launched.request, launched.server)
            assessment = await self._service.assess(launched.request, gathered)
            explanation, groups = None, []
            if assessment.cannot_speak is None:
                explanation = await self._service.gate.run(partial(assessor.explain, assessment))
                groups = assessor.contributions(explanation)
            person = gathered.resources[0] if launched.needs_banner else None
            fill = partial(page_content, assessment, explanation, groups, self._service.table, person)
            content = await self._service.gate.run(fill)
        silence = assessment.cannot_speak
        return self.render(200, content), "OK" if silence is None else silence.code

    def render(self, status: int, content: Mapping[str, Any]) -> Response:
        """A page with its headers."""
        return HTMLResponse(self._template.render(content), status, self.headers)


class _PageAnswers(Answers):
    """Answers that people read."""

    def __init__(self, service: "HookService", page: _Page) -> None:
        super().__init__(service)
        self._page = page

    def _success(self, content: Any) -> Response:
        response: Response = content
        return response

    def _failure(self, error: ServiceError) -> Response:
        content = {"kind": "error", "code": error.reason_code, "message": str(error.args[1])}
        return self._page.render(error.status, content | {"outcome": self._service.config.outcome})


def _query(request: Request) -> dict[str, list[str]]:
    return {name: request.query_params.getlist(name) for name in request.query_params}


def _browser(request: Request) -> str:
    """What a browser says it is, which is the same on the way there and back."""
    return "\n".join(request.headers.get(name, "") for name in ("user-agent", "accept-language"))
