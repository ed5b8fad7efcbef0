"""One bundle in memory: what a request brings becomes canonical tables and a patient record, without a file of claims.

The dialect files, the layout files and the order of the checks are those of the ingest.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.sequences import fold_patients
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.fhir_eob.bundle_people import read_people
from claim_transformers.sources.formats.fhir_eob.bundle_rows import Resource, Row, read_claim_rows
from claim_transformers.sources.formats.fhir_eob.bundle_rules import settle_rows, to_fills, to_lines
from claim_transformers.sources.formats.fhir_eob.systems import name_system

_EobInput: TypeAlias = "Mapping[str, Any] | Sequence[Mapping[str, Any]] | bytes | str"
_EOB, _BUNDLE, _OUTCOME = "ExplanationOfBenefit", "Bundle", "OperationOutcome"
_PEOPLE = ("Patient", "Coverage")
_SOURCE = "fhir-eob"


@dataclass(frozen=True)
class EobBundle:
    """What a bundle says.

    Args:
        tables (`Mapping[str, pa.Table]`): `claim_line`, `rx_claim` and `eligibility`, canonical.
        patients (`pa.Table`): One row per patient with visits, as `load_claims` gives them.
        left_out (`Mapping[str, int]`): Claim lines and people that left, by reason code.
        unknown_systems (`Mapping[str, int]`): Code systems whose codes nothing reads, by address, counted.
        others (`Mapping[str, int]`): Resources of other kinds, counted.
        has_next_page (`bool`): Whether the server has more claims of this search than are here. A prediction from a
            part of a record is another prediction: fetch the rest, or say so.

    Examples:
        >>> EobBundle({}, pa.table({}), {}, {}, {}, has_next_page=True).has_next_page
        True
    """

    tables: Mapping[str, pa.Table]
    patients: pa.Table
    left_out: Mapping[str, int]
    unknown_systems: Mapping[str, int]
    others: Mapping[str, int]
    has_next_page: bool


def read_eob_bundle(bundle: _EobInput, *, extract_date: dt.date | None = None) -> EobBundle:
    """Read claims that a request brings, by the rules of the ingest of `fhir-eob`.

    Of these rules those are left out that compare a whole population: shares in quarantine, births of one person that
    differ, ids with too many rows.

    Args:
        bundle (`dict`, `list` of `dict`, `bytes` or `str`): A bundle, a resource, or several of both, such as the
            pages of a search and the Coverage of the patient; or their JSON.
        extract_date (`datetime.date`, *optional*): Day of the request; a later service leaves (`R_FUTURE`), and later
            payments are unknown.

    Returns:
        [`EobBundle`]: Tables, patients and what was left out.

    Raises:
        ClaimDataError: `E_JSON` if the text is no JSON, `E_OPERATION_OUTCOME` if the server sent an error instead of
            claims, `E_RESOURCE` if something is no resource or a resource that holds no claims. The message holds
            nothing of what was sent.

    Source:
        HL7 FHIR R4, Bundle and ExplanationOfBenefit; CDS Hooks 2.0, prefetch.

    Examples:
        >>> read_eob_bundle({"resourceType": "Bundle", "type": "searchset", "total": 0}).patients.num_rows
        0
        >>> read_eob_bundle({"resourceType": "OperationOutcome", "issue": [{"code": "exception"}]})
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_OPERATION_OUTCOME: expected claims, found an error of ...
    """
    resources, has_next_page = _flatten(_parse(bundle))
    kinds = Counter(str(resource["resourceType"]) for resource in resources)
    if kinds[_OUTCOME] and not kinds[_EOB]:
        raise ClaimDataError(
            "E_OPERATION_OUTCOME",
            "expected claims, found an error of the server (OperationOutcome): look into its issues, and ask again",
        )
    people, left_people, knows = read_people(one for one in resources if one["resourceType"] in _PEOPLE)
    lives = {
        row["patient_id"]: (row["birth_date"], row["death_date"])
        for row in people
        if row["birth_date"] is not None or row["death_date"] is not None
    }
    rows = [row for one in resources if one["resourceType"] == _EOB for row in read_claim_rows(one)]
    systems = Counter(name_system(text) for row in rows[:] for text in _once(row))
    drugs = [row for row in rows if row["claim_type"] == "RX"]
    claims = [row for row in rows if row["claim_type"] != "RX"]
    staying, left = settle_rows(claims, lives, extract_date)
    staying_drugs, left_drugs = settle_rows(drugs, lives, extract_date)
    tables = {
        "claim_line": _table("claim_line", to_lines(staying, extract_date)),
        "rx_claim": _table("rx_claim", to_fills(staying_drugs, extract_date)),
        "eligibility": _table("eligibility", people),
    }
    return EobBundle(
        tables,
        fold_patients(
            tables, extract_date=extract_date, source=_SOURCE, without_enrollment=set() if knows else {_SOURCE}
        ),
        dict(left + left_drugs + Counter(left_people)),
        dict(systems),
        {kind: number for kind, number in kinds.items() if kind not in (_EOB, *_PEOPLE)},
        has_next_page,
    )


def _once(row: Row) -> list[str]:
    """Unknown systems of a resource, which stand on each of its rows."""
    return row["unknown_systems"] if row["is_first_row"] else []


def _parse(bundle: _EobInput) -> Any:
    if not isinstance(bundle, bytes | str):
        return bundle
    try:
        return json.loads(bundle)
    except ValueError:
        pass
    raise ClaimDataError("E_JSON", "expected JSON, found text that is none: check how the resources are sent")


def _flatten(given: Any) -> tuple[list[Resource], bool]:
    """All resources, those in bundles too, and whether a bundle has a next page."""
    resources: list[Resource] = []
    has_next_page = False
    for one in given if isinstance(given, Sequence) and not isinstance(given, str) else [given]:
        if not isinstance(one, Mapping) or not isinstance(one.get("resourceType"), str):
            raise ClaimDataError("E_RESOURCE", "expected a bundle or a resource of FHIR, found something else")
        if one["resourceType"] != _BUNDLE:
            resources.append(one)
            continue
        has_next_page |= any(
            isinstance(link, Mapping) and link.get("relation") == "next" for link in _list(one, "link")
        )
        for entry in _list(one, "entry"):
            resource = entry.get("resource") if isinstance(entry, Mapping) else None
            if not isinstance(resource, Mapping) or not isinstance(resource.get("resourceType"), str):
                raise ClaimDataError(
                    "E_RESOURCE", "expected a resource in every entry of the bundle, found none in one"
                )
            resources.append(resource)
    kinds = {resource["resourceType"] for resource in resources}
    if resources and not kinds & {_EOB, *_PEOPLE, _OUTCOME}:
        raise ClaimDataError(
            "E_RESOURCE", f"expected {_EOB}, Patient or Coverage, found none of them: check what was prefetched"
        )
    return resources, has_next_page


def _list(resource: Resource, name: str) -> Sequence[Any]:
    found = resource.get(name)
    return found if isinstance(found, list) else []


def _table(name: str, rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), SCHEMAS[name])
