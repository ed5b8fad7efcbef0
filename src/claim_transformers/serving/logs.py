"""Logs of the service: one line of JSON per event, without an identifier, an address or a value.

Other libraries write addresses into their messages, which hold ids of patients: of them only the name and the level
are kept.
"""

import datetime as dt
import json
import logging
import sys
from typing import Any

_OURS = ("claim_transformers", "uvicorn")


class _JsonLines(logging.Formatter):
    """Writes a record as a line of JSON; of an exception its type alone, since its text may quote what was read."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {"time": time, "level": record.levelname.lower(), "logger": record.name}
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            entry |= fields
        elif record.name.partition(".")[0] in _OURS:
            entry["message"] = record.getMessage().partition("\n")[0]
        if record.exc_info and record.exc_info[0] is not None:
            entry["error"] = record.exc_info[0].__name__
        return json.dumps(entry)


def write_json_logs() -> None:
    """Let all loggers of the process write to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)


def place_of(error: BaseException) -> str:
    """Where in this package an error was raised, which says enough to find it and nothing of who was read."""
    place, trace = "outside", error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.startswith("claim_transformers"):
            place = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
