"""The process: one server, one checkpoint, an end that finishes what was begun."""

import logging
from pathlib import Path

import uvicorn

from claim_transformers.serving.app import create_app
from claim_transformers.serving.assessment import Assessor
from claim_transformers.serving.config import ServeConfig
from claim_transformers.serving.logs import write_json_logs
from claim_transformers.serving.page import page_routes

_logger = logging.getLogger(__name__)


def run_server(checkpoint: str | Path, config: ServeConfig) -> None:
    """Serve a checkpoint until the process is told to end; one that cannot be loaded ends it with its error."""
    write_json_logs()
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    def load() -> Assessor:
        return Assessor(checkpoint, config.outcome, config.speak)

    more = None if config.smart is None else page_routes
    app = create_app(config, load, on_failure=fail, more_routes=more)
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=config.limits.drain_seconds,
        ssl_certfile=None if config.tls is None else config.tls.certificate,
        ssl_keyfile=None if config.tls is None else config.tls.key,
    )
    server = uvicorn.Server(settings)
    server.run()
    if failures:
        raise failures[0]
