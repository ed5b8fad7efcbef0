"""Requests of CDS Hooks and the discovery of the service: one id on two hooks, so that a discharge replaces a view.

Source: CDS Hooks 2.0 (HL7), Discovery and Calling a CDS Service. Of a request the fields are read that are used; its
prefetched resources stay bytes until they are asked for.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from claim_transformers.serving.config import ServeConfig
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.feedback import where
from claim_transformers.version import __version__

PATIENT_VIEW, ENCOUNTER_DISCHARGE = "patient-view", "encounter-discharge"
_PATIENT = "Patient/{{context.patientId}}"
_CLAIMS = "ExplanationOfBenefit?patient={{context.patientId}}&_count=200"
_COVERAGE = "Coverage?patient={{context.patientId}}"
_ENCOUNTER = "Encounter/{{context.encounterId}}"
_VIEW = {"patient": _PATIENT, "claims": _CLAIMS, "coverage": _COVERAGE}
TEMPLATES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {PATIENT_VIEW: _VIEW, ENCOUNTER_DISCHARGE: {**_VIEW, "encounter": _ENCOUNTER}}
)
# FHIR R4, data type id; one that is longer or has other letters could not be put into an address.
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_DAYS_OF_CLAIMS = 730
_HOOK_VERSION = "1.0"


class _FhirAuthorization(msgspec.Struct):
    """Access to the FHIR server of the client, for this request alone."""

    access_token: str
    token_type: str = "Bearer"
    patient: str | None = None


class _HookContext(msgspec.Struct, rename="camel"):
    """Whom the request is about."""

    patient_id: str
    user_id: str
    encounter_id: str | None = None


class HookRequest(msgspec.Struct, rename="camel"):
    """A request of a hook, as far as it is read."""

    hook: str
    hook_instance: str
    context: _HookContext
    fhir_server: str | None = None
    fhir_authorization: _FhirAuthorization | None = None
    prefetch: dict[str, msgspec.Raw] | None = None


def read_request(body: bytes) -> HookRequest:
    """Read the body of a call; `E_REQUEST`, `E_HOOK` or `E_CONTEXT` where it is none that this service answers."""
    try:
        request = msgspec.json.decode(body, type=HookRequest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ServiceError(
            400, "E_REQUEST", f"expected a request of CDS Hooks 2.0 as JSON, found another body{where(error)}"
        ) from error
    if request.hook not in TEMPLATES:
        raise ServiceError(400, "E_HOOK", f"expected one of the hooks {', '.join(TEMPLATES)}, found another")
    if not request.hook_instance:
        raise ServiceError(400, "E_REQUEST", "expected a hookInstance, found an empty one")
    ids = [request.context.patient_id]
    if request.hook == ENCOUNTER_DISCHARGE:
        ids.append(request.context.encounter_id or "")
    if not all(map(_ID.fullmatch, ids)):
        raise ServiceError(400, "E_CONTEXT", "expected ids of FHIR in the context of the hook, found others or none")
    return request


def fill_template(template: str, context: _HookContext) -> str:
    """A template with the ids of a context, as an address below the base of a server."""
    filled = template.replace("{{context.patientId}}", context.patient_id)
    return filled.replace("{{context.encounterId}}", context.encounter_id or "")


def discovery(config: ServeConfig) -> dict[str, Any]:
    """The answer to `GET /cds-services`."""
    is_later = config.hooks_version == "3.0"
    services = []
    for hook, templates in TEMPLATES.items():
        prefetch = dict(templates)
        if is_later:
            # A client of 2.0 would leave the expression as it stands.
            prefetch["claims"] += f"&service-date=ge{{{{today() - {_DAYS_OF_CLAIMS} days}}}}"
        service = {
            "hook": hook,
            "id": config.service.id,
            "title": config.service.title,
            "description": config.service.description,
            "prefetch": prefetch,
            "usageRequirements": "Needs claims of the patient as ExplanationOfBenefit, by prefetch or by fhirServer "
            "and fhirAuthorization.",
        }
        services.append(service | ({"version": __version__, "hookVersion": _HOOK_VERSION} if is_later else {}))
    return {"services": services}
