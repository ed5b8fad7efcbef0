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
_KINDS = {"patient": "Patient", "claims": "ExplanationOfBenefit", "coverage": "Coverage", "encounter": "Encounter"}
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
    found: dict[str, list[_Resource]] = {}
    missing: dict[str, str] = {}
    for name, template in TEMPLATES[request.hook].items():
        given = (request.prefetch or {}).get(name)
        page = None if given is None else _page(name, bytes(given))
        found[name] = [] if page is None else [page]
        following = fill_template(template, request.context) if given is None else _next_page(name, page)
        if following is not None:
            missing[name] = following
    if server is not None and missing:
        async with server.within_budget():
            await _fetch_all(missing, found, server)
    elif needed := [name for name in missing if found[name] or name != _OPTIONAL]:
        _refuse(needed[0], is_part=bool(found[needed[0]]))
    return _checked(request, found)


def _refuse(name: str, *, is_part: bool) -> None:
    """Say what is missing and may not be fetched."""
    if is_part:
        raise ServiceError(
            412, "E_PAGED", f"expected all of {name}, found one page and no fhirAuthorization to fetch the next"
        )
    raise ServiceError(
        412, "E_PREFETCH", f"expected {name} in the prefetch, or fhirServer and fhirAuthorization, found neither"
    )


async def _fetch_all(missing: Mapping[str, str], found: Mapping[str, list[_Resource]], server: FhirServer) -> None:
    """Fetch all that is missing at once; the first error ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for name, address in missing.items():
                group.create_task(_fetch(name, address, found[name], server))
    except BaseExceptionGroup as errors:
        # All of them are of one request, which has one answer.
        raise errors.exceptions[0] from errors


async def _fetch(name: str, address: str, pages: list[_Resource], server: FhirServer) -> None:
    """Fetch a resource, or a page and those that follow it."""
    following: str | None = address
    while following is not None:
        page = _page(name, await server.read(following))
        if page is not None:
            pages.append(page)
        following = _next_page(name, page)


def _checked(request: HookRequest, found: Mapping[str, list[_Resource]]) -> Gathered:
    """What was found, refused where it is of somebody else or of another stay."""
    context = request.context
    for name in ("patient", "encounter"):
        if name in found and not found[name]:
            raise ServiceError(412, "E_UNKNOWN_PATIENT", f"expected a resource as {name}, found that there is none")
    if found["patient"][0].get("id") != context.patient_id:
        raise ServiceError(412, "E_FOREIGN", "expected the patient of the context, found another one as patient")
    encounter = found["encounter"][0] if "encounter" in found else None
    if encounter is not None:
        subject = _subject(encounter)
        if encounter.get("id") != context.encounter_id or subject not in (context.patient_id, None):
            raise ServiceError(412, "E_FOREIGN", "expected the encounter of the context, found another one")
    return Gathered([one for name in ("patient", "claims", "coverage") for one in found[name]], encounter)


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


def _next_page(name: str, page: _Resource | None) -> str | None:
    """Address of the next page of a search."""
    links = page.get("link") if page is not None and name in _SEARCHES else None
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
