"""Medicare populations of the benchmark: claims and readmission cohorts, each made once and found again."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.claims.splits import SPLITS
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition
from reproduction.engine.populations import Populations
from reproduction.engine.silence import quiet

# What the table of counties shows; named, so that a measure added to it later changes no result unasked.
COUNTY_MEASURES = ("deprivation_index", "is_rural")


@dataclass(frozen=True)
class MedicarePlan:
    """A population to simulate; what is planted is described in `docs/simulation_medicare.md`.

    Args:
        patients (`int`): How many patients.
        seed (`int`): Seed of the simulation.
        bias_subgroup (`str`, *optional*, defaults to `"race=black"`): Whom a planted bias is against.
        bias_unrecorded (`float`, *optional*, defaults to 0.0): Share from 0 to 1 of their care that is not recorded.
        bias_hidden (`float`, *optional*, defaults to 0.0): From 0 to 1, a hazard of theirs that no claim shows.
        drift_year (`int`, *optional*, defaults to 2012): First year of a changed world.
        drift_strength (`float`, *optional*, defaults to 0.0): From 0, no change, to 1.
        start (`str`, *optional*, defaults to `"2008-01-01"`): First day of the claims.
        end (`str`, *optional*, defaults to `"2012-12-31"`): Last day.
        icd10_from (`str`, *optional*): First day of ICD-10; that of the version without it.
        simulation_version (`int`, *optional*): The newest without it.
    """

    patients: int
    seed: int
    bias_subgroup: str = "race=black"
    bias_unrecorded: float = 0.0
    bias_hidden: float = 0.0
    drift_year: int = 2012
    drift_strength: float = 0.0
    start: str = "2008-01-01"
    end: str = "2012-12-31"
    icd10_from: str | None = None
    simulation_version: int | None = None


@dataclass(frozen=True)
class MedicarePopulations(Populations[MedicarePlan]):
    """The Medicare patients of the benchmark and their cohorts.

    Args:
        workspace ([`Workspace`]): Where everything is kept.
        plans (`Mapping[str, MedicarePlan]`): Populations by name.

    Examples:
        >>> import tempfile
        >>> from reproduction.engine.steps import Workspace
        >>> people = MedicarePopulations(Workspace(tempfile.mkdtemp()), {"a": MedicarePlan(20, seed=1)})
        >>> people.raw("a") == people.raw("a"), people.workspace.ran
        (True, 1)
    """

    def simulate(self, plan: MedicarePlan, folder: Path) -> None:
        """Write the claims of a population into a new folder, with true risks and county measures beside them."""
        from claim_transformers.simulation.medicare import PlantedBias, PlantedDrift, simulate_medicare

        simulate_medicare(
            folder,
            patients=plan.patients,
            seed=plan.seed,
            start=plan.start,
            end=plan.end,
            icd10_from=plan.icd10_from,
            simulation_version=plan.simulation_version,
            planted_bias=PlantedBias(plan.bias_subgroup, plan.bias_unrecorded, plan.bias_hidden),
            planted_drift=PlantedDrift(plan.drift_year, plan.drift_strength),
            progress=sys.stderr.isatty(),
        )

    def cohort(self, name: str, definition: ReadmissionDefinition) -> Path:
        """Build a readmission cohort of a population, with the measures of its counties as tokens of the patient.

        Args:
            name (`str`): Name of the population.
            definition ([`ReadmissionDefinition`]): The rule.

        Returns:
            `Path`: A `DatasetDict` on disk; [`read_examples`] reads it.

        Raises:
            ValueError: As `raw`.
            ClaimDataError: As `build_cohort`.
        """
        raw, claims = self.raw(name), self.claims(name)

        def build(folder: Path) -> None:
            from claim_transformers.claims.counties import read_county_features
            from claim_transformers.cohorts import build_cohort

            counties = read_county_features(raw / "county_features.parquet", COUNTY_MEASURES)
            with quiet():
                build_cohort(definition, claims, counties=counties).save(folder, raw_counts=True)  # simulated people

        # The definition as it is written down, so that tuples and lists are one.
        content = json.loads(json.dumps(definition.to_dict()))
        parameters = {"claims": claims.name, "counties": list(COUNTY_MEASURES), "definition": content}
        return self.workspace.folder_step(f"prepare/cohort-{name}-{definition.rule}", parameters, build)


def read_examples(cohort: Path) -> dict[str, pa.Table]:
    """Read the splits of a saved cohort.

    Args:
        cohort (`Path`): Folder of a cohort.

    Returns:
        `dict[str, pa.Table]`: Examples of `train`, `validation` and `test`.

    Raises:
        FileNotFoundError: If the folder is no saved cohort.
    """
    from datasets import load_from_disk

    splits = load_from_disk(str(cohort))
    return {name: splits[name].with_format("arrow")[:] for name in SPLITS}


def example_patients(examples: pa.Table) -> NDArray[np.int64]:
    """Number the patients of examples, so that stays of one patient can be drawn together.

    Args:
        examples (`pa.Table`): Examples with `patient_id`.

    Returns:
        `NDArray[int]` of shape `(examples,)`: From 0, in the order in which patients appear.

    Examples:
        >>> example_patients(pa.table({"patient_id": ["b", "a", "b"]})).tolist()
        [0, 1, 0]
    """
    encoded = examples["patient_id"].cast(pa.string()).combine_chunks().dictionary_encode()
    numbers: NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers
