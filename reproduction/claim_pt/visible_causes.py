"""Which cause of the true risk of asthma a visit shows, read off its codes as the simulator writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from claim_transformers.simulation.engine.data_files import SHARED_DATA, read_pools

NO_CAUSE, MIXED = "none", "mixed"
_ASTHMA, _DIAGNOSIS = "ICD10CM/J45", "ICD10CM/"
_KINDS = ("21", "22", "31", "32", "41", "42", "51", "52", "901", "902")
_FLARE = tuple(f"{_ASTHMA}{kind}" for kind in _KINDS)
_EMERGENCY_ROOM = tuple(f"HCPCS/9928{level}" for level in range(1, 6))
_EVENTS = ("stay", "emergency", "steroid")
_CONDITIONS = {
    "food_allergy": ("ICD10CM/Z9101", "ICD10CM/T780"),
    "rhinitis": ("ICD10CM/J30",),
    "eczema": ("ICD10CM/L20",),
    "obesity": ("ICD10CM/E66", "ICD10CM/Z685"),
}
# A stay goes on under its date for some days, an arrival is billed the day before, steroids are filled soon after.
_STAY_DAYS, _ARRIVAL_DAYS, _FILL_DAYS = 7, 1, 7


def _drugs(*pools: str) -> frozenset[str]:
    texts = read_pools(SHARED_DATA / "more_drugs.csv")["DRUG"]
    return frozenset(f"DRUG/{drug.partition(':')[0]}" for pool in pools for drug in texts[pool].split())


def visible_causes(patient: Mapping[str, Any]) -> list[str]:
    """Name the cause that each visit of an example shows.

    Args:
        patient (`Mapping`): `visit_day`, `visit_type` and `codes` of an example coded in ICD-10.

    Returns:
        `list[str]`: One of `removed_causes.CAUSES` each: a stay, an emergency visit or a flare in the office
        (`steroid`) where a flare of asthma is coded, `asthma` where asthma or its rescue inhaler is, `controller` for
        a fill of one, else the condition that is coded. `"none"` where nothing shows a cause: the true risk does not
        know of the visit. `"mixed"` for fills of a controller and something else.

    Examples:
        >>> flare, check_up = ["HCPCS/99283", "ICD10CM/J45901"], ["HCPCS/99393", "ICD10CM/Z00129"]
        >>> days, types = [0, 3, 9, 40], ["OP", "RX", "OP", "RX"]
        >>> codes = [flare, ["DRUG/PREDNISOLONE"], check_up, ["DRUG/MONTELUKAST"]]
        >>> visible_causes({"visit_day": days, "visit_type": types, "codes": codes})
        ['emergency', 'emergency', 'none', 'controller']
    """
    rescue, steroids, controllers = _drugs("saba"), _drugs("ocs"), _drugs("ics", "montelukast")
    visits = list(zip(patient["visit_day"], patient["visit_type"], patient["codes"], strict=True))
    stays = [day for day, kind, codes in visits if kind == "IP" and _has(codes, (_ASTHMA,))]
    found: list[str] = []
    last: dict[str, int] = {}
    for day, kind, codes in visits:
        if kind == "RX":
            event = next((name for name in _EVENTS if name in last and day - last[name] <= _FILL_DAYS), None)
            cause = _cause_of_fill(set(codes), rescue, steroids, controllers, event)
        else:
            cause = _cause_of_care(day, kind, codes, stays)
        if cause == NO_CAUSE:
            cause = next((name for name, starts in _CONDITIONS.items() if _has(codes, starts)), NO_CAUSE)
        if kind != "RX" and cause in _EVENTS:
            last[cause] = day
        found.append(cause)
    return found


def _has(codes: Sequence[str], starts: tuple[str, ...]) -> bool:
    return any(code.startswith(starts) for code in codes)


def _cause_of_care(day: int, kind: str, codes: Sequence[str], stays: Sequence[int]) -> str:
    if kind == "IP":
        goes_on = not _has(codes, (_DIAGNOSIS,)) and any(0 <= day - stay <= _STAY_DAYS for stay in stays)
        return "stay" if _has(codes, (_ASTHMA,)) or goes_on else NO_CAUSE
    if not _has(codes, _FLARE):
        return "asthma" if _has(codes, (_ASTHMA,)) else NO_CAUSE
    if not _has(codes, _EMERGENCY_ROOM):
        return "steroid"
    return "stay" if any(0 <= stay - day <= _ARRIVAL_DAYS for stay in stays) else "emergency"


def _cause_of_fill(
    drugs: set[str], rescue: frozenset[str], steroids: frozenset[str], controllers: frozenset[str], event: str | None
) -> str:
    if drugs & controllers:
        return MIXED if drugs & (rescue | steroids) else "controller"
    if drugs & steroids and event is not None:
        return event
    return "asthma" if drugs & rescue else NO_CAUSE
