"""Claims in the making: what stands on their head, and their lines, as arrays."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from claim_transformers.claims.schema import CLAIM_TYPES
from claim_transformers.simulation.engine.calendar import Bool, Float, Int
from claim_transformers.simulation.medicare.codebook import MedicareCodebook

TYPE_OF = {name: position for position, name in enumerate(CLAIM_TYPES)}
PROCEDURES = 3
REVENUE_CODES = (
    "0120", "0200", "0250", "0270", "0300", "0320", "0350", "0360", "0420", "0450", "0510", "0551", "0571", "0636",
    "0651", "0762", "0821", "0335", "0730", "0022", "0023", "0402", "0710", "0191", "0390",
)  # fmt: skip
_REVENUE = {code: position for position, code in enumerate(REVENUE_CODES)}
BILL_TYPES = (
    "111", "112", "114", "131", "721", "211", "212", "213", "214", "329", "811", "812", "813", "814",
)  # fmt: skip
BILL = {code: position for position, code in enumerate(BILL_TYPES)}
PLACES = ("11", "12", "21", "23", "31", "65", "81")
_PLACE = {code: position for position, code in enumerate(PLACES)}


@dataclass
class Lines:
    """Claim lines, one entry each."""

    claim: Int  # Position of the claim.
    revenue: Int  # Index into `REVENUE_CODES`, `-1` for none.
    service: Int  # Code of `MedicareCodebook.services`, `-1` for none.
    day: Int  # Day of service.
    dollars: Float  # Amount allowed, in the median.
    units: Float  # Units of service.

    def __len__(self) -> int:
        return len(self.claim)


@dataclass
class Sheet:
    """Claims of one kind, one entry each; codes are `-1` where there are none."""

    patient: Int  # Position of the patient.
    claim_type: Int  # Index into `CLAIM_TYPES`.
    # `start`, `end`: first and last day.
    start: Int
    end: Int
    pool: Int  # Pool of the first diagnosis.
    mention: Float  # Scale of the chance that each of the patient's conditions is named.
    most: Int  # Most diagnoses on the claim.
    # `admission`, `discharge`: days of the stay, `-1` for none.
    admission: Int
    discharge: Int
    disposition: Int  # Index into `admission.DISPOSITIONS`, or `STILL_PATIENT`, `TRANSFERRED`.
    # `bill`, `place`, `group`, `admit_type`: codes as positions.
    bill: Int
    place: Int
    group: Int
    admit_type: Int
    procedures: Int  # Codes of `MedicareCodebook.procedures`, shape `(claims, PROCEDURES)`.
    lines: list[Lines] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.patient)

    def add_lines(
        self,
        rows: Int,
        day: Int,
        dollars: float | Float,
        *,
        revenue: str = "",
        service: Int | None = None,
        units: float | Float = 1.0,
    ) -> None:
        """Bill one line on each of some claims."""
        count = len(rows)
        self.lines.append(
            Lines(
                rows.astype(np.int32),
                np.full(count, _REVENUE[revenue] if revenue else -1, dtype=np.int32),
                np.full(count, -1, dtype=np.int32) if service is None else service.astype(np.int32),
                np.broadcast_to(day, (count,)).astype(np.int32),
                np.broadcast_to(np.asarray(dollars, dtype=np.float32), (count,)),
                np.broadcast_to(np.asarray(units, dtype=np.float32), (count,)),
            )
        )


def new_sheet(
    claim_type: str,
    patient: Int,
    start: Int,
    end: Int,
    pool: Int | int,
    *,
    mention: float = 0.5,
    most: int = 4,
    bill: str = "",
    place: str = "",
) -> Sheet:
    """Claims without stays, procedures and lines yet."""
    count = len(patient)

    def same(value: int) -> Int:
        return np.full(count, value, dtype=np.int32)

    return Sheet(
        patient=patient.astype(np.int32),
        claim_type=same(TYPE_OF[claim_type]),
        start=start.astype(np.int32),
        end=end.astype(np.int32),
        pool=np.broadcast_to(np.asarray(pool, dtype=np.int32), (count,)).copy(),
        mention=np.full(count, mention, dtype=np.float32),
        most=same(most),
        admission=same(-1),
        discharge=same(-1),
        disposition=same(-1),
        bill=same(BILL[bill] if bill else -1),
        place=same(_PLACE[place] if place else -1),
        group=same(-1),
        admit_type=same(-1),
        procedures=np.full((count, PROCEDURES), -1, dtype=np.int32),
    )


def draw_services(codes: MedicareCodebook, pool: str, day: Int, generator: np.random.Generator) -> Int:
    """One service of a pool per day given."""
    pools = np.full(len(day), codes.services.pool(pool), dtype=np.int32)
    return codes.services.draw(pools, generator.random(len(day), dtype=np.float32), day)


def some(count: int, share: float | Float, generator: np.random.Generator) -> Int:
    """Positions of a random part of some entries."""
    positions: Int = np.flatnonzero(generator.random(count, dtype=np.float32) < share).astype(np.int32)
    return positions


def join_sheets(sheets: list[Sheet], keep: list[Bool]) -> tuple[Sheet, Lines]:
    """Put claims of all kinds in order of patient, first day and type, and their lines in order of claims."""
    kept = np.concatenate(keep)
    names = [item.name for item in fields(Sheet) if item.name != "lines"]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(sheet, name) for sheet in sheets])[kept] for name in names
    }
    # Patient, first day (at most 2**32 of them) and type of claim (fewer than 16) in one number: a single stable sort
    # keeps the order in which claims of one kind were written.
    key = (
        (columns["patient"].astype(np.int64) << 36) | (columns["start"].astype(np.int64) << 4) | columns["claim_type"]
    )
    order = np.argsort(key, kind="stable")
    joined = Sheet(**{name: column[order] for name, column in columns.items()})
    # From the position of a claim before joining to that after it, -1 for claims that are not recorded. Lines point to
    # claims of their own sheet, so the start of the sheet is added before they look up where their claim went.
    place = np.full(len(kept), -1, dtype=np.int32)
    place[np.flatnonzero(kept)[order]] = np.arange(len(order), dtype=np.int32)
    offsets = np.cumsum([0] + [len(sheet) for sheet in sheets])
    parts = [
        (place[lines.claim + np.int32(offset)], lines)
        for sheet, offset in zip(sheets, offsets[:-1], strict=True)
        for lines in sheet.lines
    ]
    claim = np.concatenate([claim for claim, _ in parts])
    recorded = np.flatnonzero(claim >= 0)
    recorded = recorded[np.argsort(claim[recorded], kind="stable")]
    rest = [item.name for item in fields(Lines) if item.name != "claim"]
    values = {name: np.concatenate([getattr(lines, name) for _, lines in parts])[recorded] for name in rest}
    return joined, Lines(claim=claim[recorded], **values)
