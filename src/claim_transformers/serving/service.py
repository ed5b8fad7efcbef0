"""The service itself: what becomes of a request, from who sent it to the card, without the web around it."""

import asyncio
import datetime as dt
import gc
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2

from claim_transformers.serving.cards import write_card
from claim_transformers.serving.config import ServeConfig
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.feedback import FeedbackLog
from claim_transformers.serving.fhir_server import FhirServer
from claim_transformers.serving.hooks import HookRequest, read_request
from claim_transformers.serving.index_stays import read_encounter
from claim_transformers.serving.interventions import read_interventions
from claim_transformers.serving.limits import Gate
from claim_transformers.serving.metrics import Metrics
from claim_transformers.serving.prefetch import Gathered, gather
from claim_transformers.serving.tokens import TokenVerifier
from claim_transformers.serving.used_once import UsedOnce

if TYPE_CHECKING:
    from starlette.requests import Request

    from claim_transformers.serving.assessment import Assessment, Assessor

_FEEDBACK_BYTES = 2**20
_FEEDBACK_WAITING = 64
_START_SECONDS = 5
_OBJECTS_BETWEEN_LOOKS = 100_000

_logger = logging.getLogger(__name__)


class HookService:
    """What answers requests; it exists from the start, and its assessor once the checkpoint is loaded."""

    def __init__(self, config: ServeConfig, http: httpx2.AsyncClient, today: Callable[[], dt.date]) -> None:
        self.config, self.http, self.metrics = config, http, Metrics()
        self.assessor: Assessor | None = None
        self._today = today
        self.table = read_interventions(config.interventions)
        self.used = UsedOnce(f"{config.feedback_file}.used")
        self._verifier = TokenVerifier(config, http, self.used)
        self.gate = Gate(config.limits.concurrency, config.limits.waiting)
        self._feedback_gate = Gate(1, _FEEDBACK_WAITING)
        self._feedback = FeedbackLog(config.feedback_file)

    async def load(self, load: "Callable[[], Assessor]") -> None:
        """Load the checkpoint and warm it up, while the service answers that it is not ready."""
        assessor = await asyncio.to_thread(load)
        await asyncio.to_thread(assessor.warm_up)
        # What is loaded stays: looking through it for garbage would hold a request for a second now and then.
        gc.collect()
        gc.freeze()
        # Resources are many small objects without cycles, which go when their request does.
        gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
        self.assessor = assessor
        _logger.info("ready", extra={"fields": {"event": "ready", "checkpoint": assessor.checkpoint}})

    def close(self) -> None:
        """Finish what was taken."""
        self.gate.close()
        self._feedback_gate.close()
        self._feedback.close()
        self.used.close()

    def ready(self) -> "Assessor":
        """The assessor; `E_STARTING` while the checkpoint is loaded."""
        if self.assessor is None:
            raise ServiceError(
                503, "E_STARTING", "expected a checkpoint that is loaded: ask again", retry_after=_START_SECONDS
            )
        return self.assessor

    async def call(self, request: "Request") -> tuple[dict[str, Any], str]:
        """Answer a hook: the cards, and the code of what they say."""
        self.ready()
        self._check_service(request)
        async with self.gate:
            await self._verifier.verify(request.headers.get("authorization"), (self.config.service_url,))
            hook = read_request(await self._body(request, self.config.limits.request_bytes))
            gathered = await gather(hook, FhirServer.of_request(hook, self.http, self.config))
            assessment = await self.assess(hook, gathered)
        card = write_card(assessment, hook, self.config, self.table)
        silence = assessment.cannot_speak
        return {"cards": [card]}, "OK" if silence is None else silence.code

    async def assess(self, hook: HookRequest, gathered: Gathered) -> "Assessment":
        """Assess a patient by what is known; who asks holds a place of `gate`."""
        today = self._today()
        stay = None if gathered.encounter is None else read_encounter(gathered.encounter, today)
        assess = partial(self.ready().assess, index_stay=stay, patient_id=hook.context.patient_id)
        return await self.gate.run(partial(assess, gathered.resources, today))

    async def feedback(self, request: "Request") -> tuple[dict[str, Any], str]:
        """Store what became of cards."""
        self._check_service(request)
        address = self.config.service_url
        async with self._feedback_gate:
            await self._verifier.verify(request.headers.get("authorization"), (f"{address}/feedback", address))
            body = await self._body(request, _FEEDBACK_BYTES)
            store = partial(self._feedback.append, body, self.config.service.id)
            stored = await self._feedback_gate.run(store)
        return {"stored": stored}, "OK"

    def _check_service(self, request: "Request") -> None:
        if request.path_params["service"] != self.config.service.id:
            raise ServiceError(404, "E_SERVICE", "expected the id of a service of this server, found another")

    async def _body(self, request: "Request", most: int) -> bytes:
        """The body, within its bounds of size and time."""
        from starlette.requests import ClientDisconnect

        too_large = ServiceError(413, "E_SIZE", f"expected at most {most:,} bytes, found more")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise too_large
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self.config.limits.read_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise too_large
                    chunks.append(chunk)
        except TimeoutError as error:
            raise ServiceError(
                408, "E_SLOW", f"expected the body within {self.config.limits.read_seconds:g} seconds"
            ) from error
        except ClientDisconnect as error:
            raise ServiceError(400, "E_REQUEST", "expected a whole body, found that the client went away") from error
        return b"".join(chunks)
