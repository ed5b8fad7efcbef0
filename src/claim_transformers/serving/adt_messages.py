"""Messages of an ADT feed (HL7 v2): what a hospital sends when patients come, go and change, as rows in batches.

A message is split by the signs that its own header names; trailing fields may be cut, segments may end with a carriage
return or a line feed, and what is not asked for, such as Z segments, is passed over.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from claim_transformers.claims.plain_fields import tidy_id
from claim_transformers.codes import normalize_code
from claim_transformers.codes.errors import ClaimDataError

_EVENTS = ("A01", "A03", "A08", "A11", "A13")
DROPPED_EVENT = "D_EVENT"
MESSAGE_SCHEMA = pa.schema(
    [
        *(("file", pa.int32()), ("message", pa.int64()), ("reason", pa.string()), ("order_key", pa.string())),
        *((name, pa.string()) for name in ("event", "visit", "patient_id", "patient_class", "facility")),
        *(("day", pa.date32()), ("admission_date", pa.date32()), ("discharge_date", pa.date32())),
        *(("is_dead", pa.bool_()), ("codes", pa.string())),
    ]
)
_CHUNK = 1 << 20
_LONGEST_SEGMENT, _MOST_SEGMENTS = 16 << 20, 10_000
_MESSAGES_PER_BATCH = 10_000
_ENDS = re.compile(rb"[\r\n\x0b\x1c]+")  # The last two frame messages that were recorded from the wire (MLLP).
_TIME = re.compile(r"\d{8}(?:\d\d){0,3}")
_ICD10 = ("I10", "I10C", "ICD10", "ICD-10", "ICD-10-CM", "ICD10CM", "10")
_DIED = ("20", "40", "41", "42", "EXP")  # UB-04 discharge status: expired; the last as HL7's own table has it.
_MOST_CODES = 100
_WANTED = frozenset(("MSH", "EVN", "PID", "PV1", "DG1"))


def read_messages(feed: str | Path, *, id_type: str | None = None) -> Iterator[pa.Table]:
    """Read a file of messages, or all files of a folder, in batches of `MESSAGE_SCHEMA`, one row per message."""
    path = Path(feed)
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    files = [file for file in files if not file.name.startswith(".")]
    if not files or not path.exists():
        raise ClaimDataError("E_NO_FILE", "expected a file or a folder of ADT messages as the feed, found none")
    rows: list[Mapping[str, object]] = []
    for number, file in enumerate(files):
        for message, segments in enumerate(_messages(file)):
            rows.append({"file": number, "message": message, **_row(segments, number, message, id_type)})
            if len(rows) == _MESSAGES_PER_BATCH:
                yield pa.Table.from_pylist(rows, MESSAGE_SCHEMA)
                rows = []
    yield pa.Table.from_pylist(rows, MESSAGE_SCHEMA)


def _messages(file: Path) -> Iterator[list[str]]:
    """Segments of each message; what stands before the first header, but for headers of batches, is one without."""
    segments: list[str] = []
    for raw in _segments(file):
        name = raw[:3]
        if name == b"MSH" and segments:
            yield segments
            segments = []
        if name in (b"FHS", b"BHS", b"BTS", b"FTS") or not raw.strip():
            continue
        if len(segments) < _MOST_SEGMENTS and (name.decode("latin-1") in _WANTED or not segments):
            segments.append(raw.decode("utf-8", errors="replace"))
    if segments:
        yield segments


def _segments(file: Path) -> Iterator[bytes]:
    rest = b""
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            *whole, rest = _ENDS.split(rest + chunk)
            yield from whole
            if len(rest) > _LONGEST_SEGMENT:
                raise ClaimDataError(
                    "E_LAYOUT",
                    f"expected segments of at most {_LONGEST_SEGMENT >> 20} MiB in the feed, found a longer one",
                )
    yield rest


def _row(segments: Sequence[str], file: int, message: int, id_type: str | None) -> dict[str, object]:
    """The columns of a message, or the reason why it cannot be used."""
    header = segments[0]
    if not header.startswith("MSH") or len(header) < 9 or header[3].isalnum():
        return {"reason": "R_MESSAGE"}
    field, part, repeat = header[3], header[4], header[5]
    rows: dict[str, list[list[str]]] = {}
    for segment in segments:
        rows.setdefault(segment[:3], []).append(segment.split(field))
    # The sign between fields is itself the first field of a header.
    rows["MSH"][0].insert(1, field)

    def get(name: str, number: int, component: int = 1) -> str:
        fields = rows.get(name, [[]])[0]
        parts = fields[number].split(repeat)[0].split(part) if number < len(fields) else []
        text = parts[component - 1].strip() if component <= len(parts) else ""
        return "" if text == '""' else text

    kind, event = get("MSH", 9), get("MSH", 9, 2)
    if kind != "ADT" or event not in _EVENTS:
        return {"reason": DROPPED_EVENT if kind else "R_MESSAGE"}
    patient_id, visit = _patient_id(rows, part, repeat, id_type), get("PV1", 19)
    if patient_id is None or not visit:
        return {"reason": "R_NO_ID"}
    time = next((found for found in (get("EVN", 2), get("MSH", 7)) if _date(found)), "")
    days = {"admission_date": get("PV1", 44), "discharge_date": get("PV1", 45)}
    if not time or any(text and _date(text) is None for text in days.values()):
        return {"reason": "R_DATE"}
    digits = _TIME.match(time)
    return {
        "order_key": f"{digits[0] if digits else '':0<14}{file:06}{message:012}",
        "event": event,
        # Numbers of visits are those of one sender.
        "visit": part.join((get("MSH", 4), get("PV1", 19, 4), visit)),
        "patient_id": patient_id,
        "patient_class": get("PV1", 2).upper() or None,
        "facility": get("PV1", 3, 4) or get("MSH", 4) or None,
        "day": _date(get("EVN", 6)) or _date(time),
        **{name: _date(text) for name, text in days.items()},
        # A later message that says nothing of it takes no death back.
        "is_dead": get("PV1", 36).upper() in _DIED or get("PID", 30) == "Y"
        if get("PV1", 36) or get("PID", 30)
        else None,
        "codes": " ".join(dict.fromkeys(_codes(rows, part))) or None,
    }


def _patient_id(
    rows: Mapping[str, Sequence[Sequence[str]]], part: str, repeat: str, id_type: str | None
) -> str | None:
    """The first identifier of the patient, or the first of the type that is asked for (PID-3.5)."""
    fields = rows.get("PID", [[]])[0]
    for text in fields[3].split(repeat) if len(fields) > 3 else ():
        parts = [one.strip() for one in text.split(part)]
        if id_type is None or (len(parts) > 4 and parts[4] == id_type):
            return tidy_id(parts[0])
    return None


def _codes(rows: Mapping[str, Sequence[Sequence[str]]], part: str) -> Iterator[str]:
    """Diagnoses in ICD-10-CM; a code without a usable form is left out, as in requests."""
    for fields in rows.get("DG1", ())[:_MOST_CODES]:
        parts = fields[3].split(part) if len(fields) > 3 else [""]
        system = parts[2] if len(parts) > 2 else fields[2] if len(fields) > 2 else ""
        if parts[0].strip() and system.strip().upper() in _ICD10:
            try:
                yield f"ICD10CM/{normalize_code('ICD10CM', parts[0])}"
            except ClaimDataError:
                continue


def _date(text: str) -> dt.date | None:
    """The day of a time of HL7, where the hospital is; none of what is no time."""
    if _TIME.match(text) is None:
        return None
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
