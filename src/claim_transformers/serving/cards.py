"""Cards: an assessment as CDS Hooks 2.0 shows it, and nothing but the reason where the model must not speak.

What has no value is left out and never null. Source: CDS Hooks 2.0 (HL7), Card Attributes; reasons for not following
a card are of HL7's code system non-adherence-reason.
"""

import uuid
from typing import Any

import msgspec

from claim_transformers.serving.assessment import Assessment
from claim_transformers.serving.config import ServeConfig
from claim_transformers.serving.hooks import HookRequest
from claim_transformers.serving.interventions import Intervention, choose_interventions
from claim_transformers.serving.reasons import Reason

_MOST_SUMMARY = 139
_MOST_SUGGESTIONS = 3
_OVERRIDE_SYSTEM = "http://cds-hooks.hl7.org/CodeSystem/non-adherence-reason"
_OVERRIDES = {
    "patient-ineligible": "Patient does not meet eligibility for recommended action",
    "action-completed": "Recommended action was already completed",
    "action-not-priority": "Recommended action is not relevant or a priority in current state of health",
    "wrong-time-workflow": "PC CDS delivered at wrong time in workflow or patient lifecycle",
    "recipient-does-not-trust": "Recipient does not agree with or trust the recommended action",
    "patient-refuses": "Patient refuses/declines (no context given)*",
    "service-not-available": "Treatment or service is not practically available",
}
_LEAST_PERCENT, _MOST_PERCENT = 1, 99


def write_card(
    assessment: Assessment, request: HookRequest, config: ServeConfig, table: tuple[Intervention, ...]
) -> dict[str, Any]:
    """The card of an assessment."""
    card: dict[str, Any] = {
        "uuid": str(uuid.uuid4()),
        "summary": _summary(assessment),
        "indicator": "info",
        "source": _source(config, "RISK" if assessment.cannot_speak is None else assessment.cannot_speak.code),
    }
    if assessment.risk is None:
        return card
    if config.warn_from is not None and assessment.risk >= config.warn_from:
        card["indicator"] = "warning"
    card["detail"] = _detail(assessment)
    suggestions = [
        _suggestion(one, request) for one in choose_interventions(table, assessment.reasons, _MOST_SUGGESTIONS)
    ]
    if suggestions:
        card |= {"suggestions": suggestions, "selectionBehavior": "any"}
    card["overrideReasons"] = [
        {"system": _OVERRIDE_SYSTEM, "code": code, "display": text} for code, text in _OVERRIDES.items()
    ]
    if config.smart is not None:
        # The launch brings patient and encounter; what is told here are no identifiers.
        context = msgspec.json.encode({"card": card["uuid"], "hook": request.hook}).decode()
        link = {"label": config.smart.link_label, "url": f"{config.base_url}/launch", "type": "smart"}
        card["links"] = [link | {"appContext": context}]
    return card


def _source(config: ServeConfig, topic: str) -> dict[str, Any]:
    service = config.service
    source: dict[str, Any] = {"label": service.source_label}
    if service.source_url is not None:
        source["url"] = service.source_url
    return source | {"topic": {"system": f"{config.base_url}/topics", "code": topic}}


def _summary(assessment: Assessment) -> str:
    if assessment.risk is None:
        sentence = "" if assessment.cannot_speak is None else assessment.cannot_speak.sentence
        return f"{assessment.outcome}: no estimate. {sentence}"[:_MOST_SUMMARY]
    interval = assessment.interval
    spread = "no interval known" if interval is None else f"95 % interval {span(interval.low, interval.high)}"
    age = f"newest claim {days(assessment.newest_claim_days or 0)} old"
    return f"{assessment.outcome}: {percent(assessment.risk)} ({spread}); {age}"[:_MOST_SUMMARY]


def _detail(assessment: Assessment) -> str:
    reasons = [f"{number}. {_reason(one)}" for number, one in enumerate(assessment.reasons, start=1)]
    parts = ["**What weighs most** (what the model read, which need not be causes)", "\n".join(reasons)]
    return "\n\n".join(
        [*parts, f"**What the claims cover** {cover_sentences(assessment)}", f"**How sure** {how_sure(assessment)}"]
    )


def _reason(reason: Reason) -> str:
    verb = "raises" if reason.raises else "lowers"
    if not reason.num_visits or reason.days_before is None:
        return f"{verb} the risk: {_plain(reason.name)}"
    visits = "1 visit" if reason.num_visits == 1 else f"{reason.num_visits} visits, the last"
    return f"{verb} the risk: {_plain(reason.name)} ({visits} {days(reason.days_before)} before)"


def cover_sentences(assessment: Assessment) -> str:
    """What the claims cover, and what they cannot tell."""
    sentences = [f"The newest claim is {days(assessment.newest_claim_days or 0)} old."]
    if assessment.enrolled_days is None:
        sentences.append("Enrolment is unknown: what other insurers paid may be missing.")
    else:
        sentences.append(
            f"Enrolment is known for {assessment.enrolled_days} of the {assessment.look_back_days} days before."
        )
    if assessment.index_stay is not None:
        sentences.append("The present stay has no claim yet: of it the model knows its dates and its reason alone.")
    return " ".join(sentences)


def how_sure(assessment: Assessment) -> str:
    """What is known of the precision of a risk."""
    interval = assessment.interval
    first = (
        "No interval is known: nobody measured it for this model."
        if interval is None
        else f"Among validation patients of a like risk {span(interval.low, interval.high)} had the outcome "
        "(95 % interval of their share)."
    )
    if interval is not None and not interval.low <= (assessment.risk or 0.0) <= interval.high:
        first = f"{first} The risk lies outside of it: the model is off for such patients."
    if assessment.calibration == "none":
        return f"{first} The risk is the model's own and was not calibrated."
    return f"{first} The risk is calibrated ({assessment.calibration})."


def _suggestion(intervention: Intervention, request: HookRequest) -> dict[str, Any]:
    """A suggestion that drafts an order; nothing happens before somebody accepts it."""
    code: dict[str, Any] = {"text": intervention.action}
    if intervention.service is not None:
        code["coding"] = [msgspec.to_builtins(intervention.service)]
        if intervention.service.display is None:
            code["coding"][0].pop("display")
    order: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "code": code,
        "subject": {"reference": f"Patient/{request.context.patient_id}"},
    }
    if request.context.encounter_id:
        order["encounter"] = {"reference": f"Encounter/{request.context.encounter_id}"}
    action = {"type": "create", "description": intervention.action, "resource": order}
    return {"label": intervention.action, "uuid": str(uuid.uuid4()), "actions": [action]}


def percent(share: float) -> str:
    """A share as a whole percentage that is never 0 or 100."""
    whole = round(100 * share)
    if whole < _LEAST_PERCENT:
        return "below 1 %"
    return "above 99 %" if whole > _MOST_PERCENT else f"{whole} %"


def span(low: float, high: float) -> str:
    """The bounds of an interval of shares, in whole percent."""
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def days(number: int) -> str:
    """A number of days in words."""
    return "1 day" if number == 1 else f"{number} days"


def _plain(text: str) -> str:
    """A text without what Markdown or HTML would read as a mark."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|~" else letter for letter in text)
