"""Benchmark of the Medicare encoder that is open: its cohorts, and the pretrained encoder of its tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduction.engine.benchmark import Benchmark, BenchmarkArguments, open_places
from reproduction.medicare.contestants import OURS
from reproduction.medicare.profiles import PRETRAINING, MedicareProfile
from reproduction.medicare.readmission_study import ReadmissionStudy


@dataclass(frozen=True)
class MedicareBenchmark(Benchmark[MedicareProfile]):
    """The benchmark of the Medicare encoder, with the arguments of [`Benchmark`]."""

    @classmethod
    def open(cls, arguments: BenchmarkArguments) -> "MedicareBenchmark":
        """Read the profile and open its workspace."""
        profile = MedicareProfile.load(arguments.profile)
        places = open_places(arguments, profile.name, prefix="medicare-")
        return cls(profile, *places, arguments.checkpoint or profile.checkpoint)

    @property
    def study(self) -> ReadmissionStudy:
        """Cohorts and models."""
        return ReadmissionStudy(self.workspace, self.profile)

    def pretrain(self) -> Path:
        """Pretrain the encoder of the tables, once."""
        return self.study.checkpoint(OURS)

    def tested(self) -> Mapping[str, Mapping[str, Any]]:
        """What tells the populations that a table is about from others, by name."""
        plans = self.profile.populations.items()
        return {name: {"population": "medicare", "seed": plan.seed} for name, plan in plans if name != PRETRAINING}
