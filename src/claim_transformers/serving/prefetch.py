"""What a request brings, and what has to be fetched: absent, null, an error, more pages, or of somebody else.

Source: CDS Hooks 2.0, Prefetch Template. A key that is absent was not asked by the client, and is fetched; null says
that there is nothing; an OperationOutcome says that asking again is in vain. What cannot be had is an error (412) and
never an empty set of cards; only coverage may be missing, and then enrolment is unknown.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.fhir_server import FhirServer
from claim_transformers.serving.hooks import TEMPLATES, HookRequest, fill_template

_Resource = dict[str, Any]
_KINDS = {
    "patient": "Patient",
    "claims": "ExplanationOfBenefit",
    "coverage": "Coverage",
    "encounter": "Encounter",
}
_SEARCHES = ("claims", "coverage")
_OPTIONAL = "coverage"
_BUNDLE, _OUTCOME = "Bundle", "OperationOutcome"


@dataclass(frozen=True)
class Gathered:
    """What is known of a patient: resources for the reader of claims, and the encounter that ends."""

    resources: list[_Resource]
    encounter: _Resource | None


async def gather(request: HookRequest, server: FhirServer | None) -> Gathered:
    """Take what was prefetched and fetch the rest."""
    names = TEMPLATES[request.hook]
    if server is None:
        of_name = {name: await _part(name, request, None) for name in names}
    else:
        async with server.within_budget():
            of_name = await _all_parts(request, server)
    for name in ("patient", "encounter"):
        if name in of_name and not of_name[name]:
            raise ServiceError(412, "E_UNKNOWN_PATIENT", f"expected a resource as {name}, found that there is none")
    patient_id = request.context.patient_id
    (patient,) = of_name["patient"]
    if patient.get("id") != patient_id:
        raise ServiceError(412, "E_FOREIGN", "expected the patient of the context, found another one as patient")
    encounter = next(iter(of_name.get("encounter", [])), None)
    if encounter is not None and _subject(encounter) not in (patient_id, None):
        raise ServiceError(412, "E_FOREIGN", "expected an encounter of the patient of the context, found another's")
    resources = [one for name in ("patient", "claims", "coverage") for one in of_name[name]]
    return Gathered(resources, encounter)


async def _all_parts(request: HookRequest, server: FhirServer) -> dict[str, list[_Resource]]:
    """All parts at once; the first error ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(_part(name, request, server)) for name in TEMPLATES[request.hook]}
    except BaseExceptionGroup as errors:
        # All of them are of one request, which has one answer.
        raise errors.exceptions[0] from errors
    return {name: task.result() for name, task in tasks.items()}


async def _part(name: str, request: HookRequest, server: FhirServer | None) -> list[_Resource]:
    """The resource of a key, or the pages of it; none where there is nothing."""
    given = (request.prefetch or {}).get(name)
    if given is not None:
        content = bytes(given)
    elif server is None:
        if name == _OPTIONAL:
            return []
        raise ServiceError(
            412, "E_PREFETCH", f"expected {name} in the prefetch, or fhirServer and fhirAuthorization, found neither"
        )
    else:
        content = await server.read(fill_template(TEMPLATES[request.hook][name], request.context))
    pages: list[_Resource] = []
    while True:
        page = _page(name, content)
        if page is None:
            return pages
        pages.append(page)
        following = _next_page(page) if name in _SEARCHES else None
        if following is None:
            return pages
        if server is None:
            raise ServiceError(
                412, "E_PAGED", f"expected all of {name}, found one page and no fhirAuthorization to fetch the next"
            )
        content = await server.read(following)


def _page(name: str, content: bytes) -> _Resource | None:
    """A resource of the kind that was asked for, none of null."""
    try:
        page: Any = msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ServiceError(412, "E_FHIR_ANSWER", f"expected JSON as {name}, found text that is none") from error
    if page is None:
        return None
    kind = page.get("resourceType") if isinstance(page, Mapping) else None
    if kind == _OUTCOME:
        if name == _OPTIONAL:
            return None
        raise ServiceError(
            412, "E_OPERATION_OUTCOME", f"expected {name}, found an error of the client's server (OperationOutcome)"
        )
    if kind != _KINDS[name] and not (kind == _BUNDLE and name in _SEARCHES):
        raise ServiceError(412, "E_FOREIGN", f"expected {_KINDS[name]} as {name}, found something else")
    resource: _Resource = page
    return resource


def _next_page(bundle: _Resource) -> str | None:
    """Address of the next page of a search."""
    links = bundle.get("link")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("relation") == "next":
            address = link.get("url")
            if not isinstance(address, str) or not address:
                raise ServiceError(412, "E_FHIR_ANSWER", "expected the address of a next page, found none")
            return address
    return None


def _subject(encounter: _Resource) -> str | None:
    """Id of the patient of an encounter."""
    subject = encounter.get("subject")
    reference = subject.get("reference") if isinstance(subject, Mapping) else None
    return reference.rpartition("/")[2] if isinstance(reference, str) and reference else None
