"""The stay that ends now: it has no claim yet, so it comes from the encounter, and the history from claims."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claim_transformers.codes import normalize_code
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.serving.errors import ServiceError

_ICD10 = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
# HL7 v3 ActEncounterCode: what has no night in a hospital.
_NO_STAYS = ("AMB", "EMER", "FLD", "HH", "PRENC", "VR")
_MOST_CODES = 100


@dataclass(frozen=True)
class IndexStay:
    """A stay without a claim.

    Args:
        discharge_date (`datetime.date`): Its last day.
        admission_date (`datetime.date`, *optional*): Its first day.
        codes (`tuple[str, ...]`): Diagnoses that are known of it, such as `ICD10CM/I5023`.

    Raises:
        ValueError: If it ends before it begins.

    Examples:
        >>> IndexStay(dt.date(2024, 3, 9), dt.date(2024, 3, 3)).codes
        ()
        >>> IndexStay(dt.date(2024, 3, 3), dt.date(2024, 3, 9))
        Traceback (most recent call last):
        ValueError: expected a stay that ends on or after its first day, found one that ends before
    """

    discharge_date: dt.date
    admission_date: dt.date | None = None
    codes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.admission_date is not None and self.discharge_date < self.admission_date:
            raise ValueError("expected a stay that ends on or after its first day, found one that ends before")


def read_encounter(encounter: Mapping[str, Any], today: dt.date) -> IndexStay | None:
    """The stay of an Encounter of FHIR R4, none of a visit; without an end, or with a planned one, it ends today."""
    kind = encounter.get("class")
    if isinstance(kind, Mapping) and kind.get("code") in _NO_STAYS:
        return None
    period = encounter.get("period")
    start, end = (_day(period, name) for name in ("start", "end"))
    discharge = today if end is None else min(end, today)
    if start is not None and start > discharge:
        raise ServiceError(412, "E_ENCOUNTER", "expected an encounter that has begun, found one that begins later")
    return IndexStay(discharge, start, tuple(dict.fromkeys(_codes(encounter))))


def _day(period: Any, name: str) -> dt.date | None:
    text = period.get(name) if isinstance(period, Mapping) else None
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(str(text)[:10])
    except ValueError as error:
        raise ServiceError(412, "E_ENCOUNTER", f"expected a date as {name} of the encounter, found none") from error


def _codes(encounter: Mapping[str, Any]) -> Iterator[str]:
    """Diagnoses of the reasons of an encounter; a code without a usable form is left out."""
    reasons = encounter.get("reasonCode")
    for reason in (reasons if isinstance(reasons, list) else [])[:_MOST_CODES]:
        codings = reason.get("coding") if isinstance(reason, Mapping) else None
        for coding in (codings if isinstance(codings, list) else [])[:_MOST_CODES]:
            if isinstance(coding, Mapping) and coding.get("system") in _ICD10 and isinstance(coding.get("code"), str):
                try:
                    yield f"ICD10CM/{normalize_code('ICD10CM', coding['code'])}"
                except ClaimDataError:
                    continue
