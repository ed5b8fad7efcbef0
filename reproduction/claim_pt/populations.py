"""Pediatric populations of the benchmark: claims, cohorts and pretraining patients, each made once and found again."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduction.engine.populations import Populations
from reproduction.engine.silence import quiet
from reproduction.engine.steps import digest_of
from reproduction.engine.tasks import BenchmarkCohort

if TYPE_CHECKING:
    import datasets

FIRST = "a"


@dataclass(frozen=True)
class PediatricPlan:
    """Children to simulate.

    Args:
        patients (`int`): How many.
        seed (`int`): Seed of the simulation.
        institution (`str`, *optional*, defaults to `"a"`): `"b"` has other patients and shifted codes.
        start (`str`, *optional*, defaults to `"2010-01-01"`): First day of the claims.
        end (`str`, *optional*, defaults to `"2014-12-31"`): Last day.
        icd10_from (`str`, *optional*): First day of ICD-10; that of the version without it.
        simulation_version (`int`, *optional*): The newest without it.
    """

    patients: int
    seed: int
    institution: str = "a"
    start: str = "2010-01-01"
    end: str = "2014-12-31"
    icd10_from: str | None = None
    simulation_version: int | None = None


@dataclass(frozen=True)
class PediatricPopulations(Populations[PediatricPlan]):
    """The children of the benchmark, their cohorts, and who may be pretrained on.

    Args:
        workspace ([`Workspace`]): Where everything is kept.
        plans (`Mapping[str, PediatricPlan]`): Populations by name.
        cohorts (`Mapping[str, Mapping]`): Built-in cohorts, each with changes of its sampling.

    Examples:
        >>> import tempfile
        >>> from reproduction.engine.steps import Workspace
        >>> people = PediatricPopulations(Workspace(tempfile.mkdtemp()), {"a": PediatricPlan(20, seed=1)}, {})
        >>> people.raw("b")
        Traceback (most recent call last):
            ...
        ValueError: expected a population among ['a'], found 'b'
        >>> people.cohort_folder("asthma_exacerbation")
        Traceback (most recent call last):
            ...
        ValueError: expected a cohort among [], found 'asthma_exacerbation'
    """

    cohorts: Mapping[str, Mapping[str, Any]]

    def simulate(self, plan: PediatricPlan, folder: Path) -> None:
        """Write the claims of a population into a new folder, with true risks beside them."""
        from claim_transformers.simulation import simulate

        simulate(folder, **asdict(plan), progress=sys.stderr.isatty())

    def cohort_folder(self, name: str, population: str = FIRST) -> Path:
        """A cohort of a population.

        Args:
            name (`str`): A cohort of the profile.
            population (`str`, *optional*, defaults to `"a"`): Name in the profile.

        Returns:
            `Path`: Folder of `claim-transformers cohort`.

        Raises:
            ValueError: If the profile has no such cohort.
        """
        from claim_transformers.cohorts import build_cohort, load_definition

        if name not in self.cohorts:
            raise ValueError(f"expected a cohort among {sorted(self.cohorts)}, found {name!r}")
        definition = load_definition(name, "event")
        if changes := self.cohorts[name]:
            definition = definition.with_sampling(**changes)
        claims = self.claims(population)

        def build(folder: Path) -> None:
            with quiet():
                build_cohort(definition, claims).save(folder, raw_counts=True)  # of simulated people

        # The definition as it is written down, so that tuples and lists are one.
        content = json.loads(json.dumps(definition.to_dict()))
        parameters = {"claims": claims.name, "definition": content}
        return self.workspace.folder_step(
            f"prepare/cohort-{population}-{name.replace('_', '-')}",
            parameters,
            build,
        )

    def cohort(self, name: str, population: str = FIRST) -> BenchmarkCohort:
        """A cohort ready for models."""
        folder = self.cohort_folder(name, population)
        shown = name.replace("_", "-") + ("" if population == FIRST else f"-{population}")
        return BenchmarkCohort.load(folder, raw=self.raw(population), name=shown)

    def in_cohorts(self, population: str = FIRST) -> Path:
        """Everybody who is in any cohort of a population: who must not be pretrained on."""
        cohorts = {name: self.cohort_folder(name, population) for name in self.cohorts}

        def collect(folder: Path) -> None:
            from datasets import DatasetDict, concatenate_datasets, load_from_disk

            splits = {
                name: concatenate_datasets(
                    [split.select_columns(["patient_id"]) for split in load_from_disk(str(cohort)).values()]
                )
                for name, cohort in cohorts.items()
            }
            with quiet():
                DatasetDict(splits).save_to_disk(str(folder))

        parameters = {"cohorts": {name: cohort.name for name, cohort in cohorts.items()}}
        return self.workspace.folder_step(f"prepare/in-cohorts-{population}", parameters, collect)

    def outside(self, population: str = FIRST, *, most: int | None = None) -> "datasets.DatasetDict":
        """Everybody outside all cohorts, for pretraining; that nobody of a cohort is among them is checked.

        Args:
            population (`str`, *optional*, defaults to `"a"`): Name in the profile.
            most (`int`, *optional*): Training patients at most; an eighth as many for validation.

        Returns:
            `datasets.DatasetDict`: `train` and `validation`.

        Raises:
            ClaimDataError: `E_SPLIT_OVERLAP` if a patient of a cohort were among them.
        """
        from datasets import DatasetDict, load_from_disk

        from claim_transformers.claims.splits import assert_disjoint
        from claim_transformers.sources.pipeline.loading import load_claims
        from claim_transformers.training import leave_out_patients

        excluded = load_from_disk(str(self.in_cohorts(population)))
        with quiet():
            patients = load_claims("claims", self.claims(population), cache_dir=self.workspace.folder / "cache")
        outside = leave_out_patients(DatasetDict({name: patients[name] for name in ("train", "validation")}), excluded)
        if most is not None:
            limits = {"train": most, "validation": max(most // 8, 1)}
            outside = DatasetDict(
                {name: split.select(range(min(limits[name], len(split)))) for name, split in outside.items()}
            )
        ids = {f"pretraining {name}": _identifiers(split) for name, split in outside.items()}
        for name, split in excluded.items():
            for pretraining, column in ids.items():
                assert_disjoint({pretraining: column, name: _identifiers(split)})
        return outside

    def key(self, population: str = FIRST, *, most: int | None = None) -> str:
        """Digest of the pretraining patients."""
        names: Mapping[str, Any] = {
            "claims": self.claims(population).name,
            "in_cohorts": self.in_cohorts(population).name,
            "most": most,
        }
        return digest_of(dict(names))


def _identifiers(split: "datasets.Dataset") -> Any:
    return split.select_columns(["patient_id"]).with_format("arrow")[:].column("patient_id")
