"""Simulated populations of a benchmark: claims and ingested claims of each, made once and found again."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from reproduction.engine.steps import Workspace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Plan = TypeVar("Plan", bound="DataclassInstance")


@dataclass(frozen=True)
class Populations(ABC, Generic[Plan]):
    """The people of a benchmark.

    Args:
        workspace ([`Workspace`]): Where everything is kept.
        plans (`Mapping[str, dataclass]`): What is simulated, by the name of the population: small letters, digits and
            `-`.
    """

    workspace: Workspace
    plans: Mapping[str, Plan]

    @abstractmethod
    def simulate(self, plan: Plan, folder: Path) -> None:
        """Write the claims of a population into a new folder, with true risks beside them."""

    def raw(self, name: str) -> Path:
        """Simulate a population.

        Args:
            name (`str`): Name of the population.

        Returns:
            `Path`: Folder of `claim-transformers simulate`; its name is a digest of its content.

        Raises:
            ValueError: If there is no such population, or the simulator refuses a number.
        """
        if name not in self.plans:
            raise ValueError(f"expected a population among {sorted(self.plans)}, found {name!r}")
        plan = self.plans[name]
        return self.workspace.folder_step(
            f"prepare/raw-{name}", asdict(plan), lambda folder: self.simulate(plan, folder)
        )

    def claims(self, name: str) -> Path:
        """Ingest the claims of a population.

        Args:
            name (`str`): Name of the population.

        Returns:
            `Path`: Folder of `claim-transformers ingest`.

        Raises:
            ValueError: As [`raw`].
        """
        raw = self.raw(name)

        def ingest(folder: Path) -> None:
            from claim_transformers.sources.pipeline.ingest import ingest as run

            run("simulated", raw, folder, progress=sys.stderr.isatty())

        return self.workspace.folder_step(f"prepare/claims-{name}", {"raw": raw.name}, ingest)
