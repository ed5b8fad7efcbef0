"""Benchmark of Claim-PT that is open: its populations, and the pretrained models of its tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduction.claim_pt.populations import PediatricPopulations
from reproduction.claim_pt.pretraining import Variant, pretrain
from reproduction.claim_pt.profiles import ClaimPTProfile
from reproduction.engine.benchmark import Benchmark, BenchmarkArguments, open_places


@dataclass(frozen=True)
class ClaimPTBenchmark(Benchmark[ClaimPTProfile]):
    """The benchmark of Claim-PT, with the arguments of [`Benchmark`]."""

    @classmethod
    def open(cls, arguments: BenchmarkArguments) -> "ClaimPTBenchmark":
        """Read the profile and open its workspace."""
        profile = ClaimPTProfile.load(arguments.profile)
        return cls(profile, *open_places(arguments, profile.name), arguments.checkpoint or profile.checkpoint)

    @property
    def populations(self) -> PediatricPopulations:
        """Claims, cohorts and pretraining patients."""
        return PediatricPopulations(self.workspace, self.profile.populations, self.profile.cohorts)

    def pretrain(self) -> Path:
        """Pretrain the model of the tables, once."""
        return pretrain(self.populations, self.profile.pretraining["base"], Variant("base", "Claim-PT")).folder

    def tested(self) -> Mapping[str, Mapping[str, Any]]:
        """What tells the populations that a table is about from others, by name."""
        plans = self.profile.populations.items()
        return {name: {"institution": plan.institution, "seed": plan.seed} for name, plan in plans}

    def paper_checkpoint(self) -> Path | None:
        """A model pretrained as the paper says, where the profile asks for one."""
        plan = self.profile.pretraining.get("paper")
        if plan is None:
            return None
        return pretrain(self.populations, plan, Variant("paper", "Claim-PT as in the paper")).folder
