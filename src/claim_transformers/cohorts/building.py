"""Cohorts from an ingested folder: the one way to build any kind of them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from claim_transformers.claims.store import open_folder
from claim_transformers.cohorts.cohort import Cohort
from claim_transformers.cohorts.definition_file import load_definition
from claim_transformers.cohorts.event.definition import EventDefinition
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition

if TYPE_CHECKING:
    from claim_transformers.claims.counties import CountyFeatures
    from claim_transformers.claims.spark import SparkTasks
    from claim_transformers.cohorts.readmission.building import ReadmissionCohort
    from claim_transformers.cohorts.readmission.patient_codes import CountyBins


@overload
def build_cohort(
    definition: ReadmissionDefinition,
    claims: str | Path,
    *,
    counties: "CountyFeatures | CountyBins | None" = None,
    tasks: "SparkTasks | None" = None,
) -> "ReadmissionCohort": ...


@overload
def build_cohort(
    definition: EventDefinition | ReadmissionDefinition | str | Path,
    claims: str | Path,
    *,
    counties: "CountyFeatures | CountyBins | None" = None,
    tasks: "SparkTasks | None" = None,
) -> Cohort: ...


def build_cohort(
    definition: EventDefinition | ReadmissionDefinition | str | Path,
    claims: str | Path,
    *,
    counties: "CountyFeatures | CountyBins | None" = None,
    tasks: "SparkTasks | None" = None,
) -> Cohort:
    """Build a cohort from an ingested folder.

    Args:
        definition ([`EventDefinition`], [`ReadmissionDefinition`], `str` or `Path`): The cohort, its built-in name, or
            its YAML file.
        claims (`str` or `Path`): Folder that `claim-transformers ingest` wrote.
        counties ([`CountyFeatures`] or [`CountyBins`], *optional*): Measures that a readmission cohort adds as
            `COUNTY/NAME-k`: with bins of training examples, or with those that [`CountyBins.reuse`] takes from
            elsewhere, such as a checkpoint.
        tasks ([`SparkTasks`], *optional*): Select the examples in tasks of Spark, for which the folder lies on a file
            system that every executor shares.

    Raises:
        ClaimDataError: If the folder is no ingested folder, nobody is left (`E_EMPTY_COHORT`), all labels are equal
            (`E_ONE_CLASS`), or an example holds anything that was not known at its index date (`E_LEAK`).
        ValueError: If the definition does not fit, or measures of counties are given for an event.
    """
    if isinstance(definition, str | Path):
        definition = load_definition(definition)
    if isinstance(definition, ReadmissionDefinition):
        # Imported here, because the stays need an engine that events do without.
        from claim_transformers.cohorts.readmission.building import build_readmission_cohort

        return replace(
            build_readmission_cohort(definition, claims, counties=counties, tasks=tasks), claims=_facts(claims)
        )
    from claim_transformers.cohorts.event.building import build_event_cohort

    if counties is not None:
        raise ValueError(
            f"expected no measures of counties for the event {definition.name!r}, found some; readmissions have them"
        )
    return replace(build_event_cohort(definition, claims, tasks), claims=_facts(claims))


def _facts(claims: str | Path) -> dict[str, Any]:
    """What a cohort has to say of where its claims come from."""
    manifest = open_folder(claims).manifest
    return {name: manifest.get(name) for name in ("source", "simulation")}
