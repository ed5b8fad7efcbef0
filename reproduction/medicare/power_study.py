"""Does the subgroup audit find the planted bias, and how often does it raise one that is not there?

Two ways, which need each other:

* **On lives** (`simulated_lives`): hundreds of populations without claims. The scores are right by design: the true
  risk, in which every reported bias is a false alarm, and the true risk with a bias planted: a hidden hazard, and for
  one group of every attribute scores that are lowered and outcomes that are not recorded.
* **On claims**: disjoint slices of patients of two ingested populations, scored by a count model that learned from a
  third one. A count model has gaps of its own, because deprivation raises the hazard and is hardly on claims; what it
  gets reported in the world without a planted bias stands beside the power, and is no false alarm of the audit.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from claim_transformers.analysis.audit.audit_power import (
    AuditPower,
    PlantedGap,
    SimulatedStays,
    audit_power,
    audit_stays,
    share_with_interval,
)
from claim_transformers.analysis.audit.subgroup_attributes import audit_attributes
from claim_transformers.analysis.audit.subgroup_tables import gap_table
from claim_transformers.analysis.audit.subgroups import LEVEL
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.analysis.rivals.features import read_labels
from claim_transformers.claims.splits import SPLITS, assert_disjoint
from claim_transformers.cohorts.readmission.definition import UNPLANNED, ReadmissionDefinition
from reproduction.engine.steps import StepResult
from reproduction.medicare.audit_slices import (
    SliceReports,
    add_up,
    audit_slices,
    planted_bias,
    planted_gaps,
    slices_of,
)
from reproduction.medicare.calibrated_models import CalibratedModel, Kind, fit_calibrated
from reproduction.medicare.populations import MedicarePopulations, example_patients, read_examples
from reproduction.medicare.simulated_lives import LivesSource
from reproduction.medicare.stored_tables import Tables, stored_tables

Score = Literal["model", "true risk"]


@dataclass(frozen=True)
class PowerOptions:
    """Sizes of the study.

    Args:
        lives_patients (`tuple[int, ...]`, *optional*, defaults to `(2500, 5000)`): Simulated patients of an audit on
            lives, one row of the table each.
        lives_audits (`int`, *optional*, defaults to 100): Audits of each size with, and as many without, the bias.
        gap_audits (`int`, *optional*, defaults to 100): Audits of each size with each bias of [`planted_gaps`].
        audits_per_step (`int`, *optional*, defaults to 25): Audits on lives that are kept together.
        slice_patients (`int`, *optional*, defaults to 5000): Simulated patients of an audit on claims.
        replicates (`int`, *optional*, defaults to 400): Bootstrap replicates of an audit.
        level (`float`, *optional*, defaults to 0.05): Family-wise level of an audit.
        kind (`str`, *optional*, defaults to `"lr"`): Count model of the audits on claims, `"lr"` or `"gb"`.
        seed (`int`, *optional*, defaults to 0): Seed of the lives and of the model.
    """

    lives_patients: tuple[int, ...] = (2500, 5000)
    lives_audits: int = 100
    gap_audits: int = 100
    audits_per_step: int = 25
    slice_patients: int = 5000
    replicates: int = 400
    level: float = LEVEL
    kind: Kind = "lr"
    seed: int = 0


@dataclass(frozen=True)
class PowerStudy:
    """Power and false alarms of the audit on the simulated Medicare population.

    Args:
        populations ([`MedicarePopulations`]): Where the three populations are.
        training (`str`): Plain population from which the count model learns.
        plain (`str`): Another one without a bias, which is audited.
        biased (`str`): One with a planted bias, which is audited.
        definition ([`ReadmissionDefinition`]): The cohort.
        options ([`PowerOptions`], *optional*): Sizes.

    Raises:
        ValueError: If a population is used twice, no bias is planted, or not against a group of the audit.
    """

    populations: MedicarePopulations
    training: str
    plain: str
    biased: str
    definition: ReadmissionDefinition
    options: PowerOptions = field(default_factory=PowerOptions)

    def __post_init__(self) -> None:
        seeds = [self.populations.plans[name].seed for name in (self.training, self.plain, self.biased)]
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"expected three populations with seeds of their own, found the seeds {seeds}")
        _ = self.planted

    @property
    def planted(self) -> PlantedGap:
        """The planted bias as the audit sees it."""
        return planted_bias(self.populations.plans[self.biased])

    # ---- On lives ----
    def on_lives(self, patients: int, planted: Sequence[PlantedGap], audits: int) -> AuditPower:
        """Audit populations that were simulated without claims.

        Args:
            patients (`int`): Simulated patients of each.
            planted (`list[PlantedGap]`): Biases to find, one at a time.
            audits (`int`): Populations with each bias, and as many without any.

        Returns:
            [`AuditPower`]: Counts over all steps.

        Raises:
            ValueError: If there is no audit.
        """
        options, hidden = self.options, self.populations.plans[self.biased].bias_hidden
        parts = []
        # Every size has seeds of its own, far apart from each other.
        first = 1_000_000 * (1 + options.seed) + 10 * patients
        for done in range(0, audits, options.audits_per_step):
            count, seed = min(options.audits_per_step, audits - done), first * 1000 + 2 * done
            parameters: dict[str, Any] = {"patients": patients, "audits": count, "seed": seed, "hidden": hidden}
            parameters |= {"planted": [asdict(gap) for gap in planted]}
            parameters |= {"replicates": options.replicates, "level": options.level}

            def measure(count: int = count, seed: int = seed) -> dict[str, Any]:
                measured = audit_power(
                    planted,
                    simulate=LivesSource(patients, hidden),
                    simulations=count,
                    replicates=options.replicates,
                    level=options.level,
                    seed=seed,
                )
                return asdict(measured)

            step = self.populations.workspace.step(f"power/lives-{patients}", parameters, measure)
            parts.append(AuditPower(**step.value))
        return add_up(parts)

    # ---- On claims ----
    def on_claims(self, name: str, score: Score = "model") -> SliceReports:
        """Audit the slices of an ingested population.

        Args:
            name (`str`): The population, plain or biased.
            score (`str`, *optional*, defaults to `"model"`): What is audited: the count model or `"true risk"`.

        Returns:
            [`SliceReports`]: Counts.
        """
        options, planted = self.options, self.planted
        slices = max(self.populations.plans[name].patients // options.slice_patients, 1)

        def audit() -> dict[str, Any]:
            parts = slices_of(self._stays(name, score), slices)
            return asdict(audit_slices(parts, planted, replicates=options.replicates, level=options.level))

        parameters = self._parameters(name, score) | {"slices": slices, "planted": asdict(planted)}
        step = self.populations.workspace.step(f"power/claims-{score.replace(' ', '-')}", parameters, audit)
        return SliceReports(**step.value)

    def whole(self, name: str, score: Score = "model") -> ResultTable:
        """Audit a population as a whole: gaps that slices are too small to show.

        Args:
            name (`str`): The population, plain or biased.
            score (`str`, *optional*, defaults to `"model"`): What is audited: the count model or `"true risk"`.

        Returns:
            [`ResultTable`]: One row per gap.
        """

        def audit() -> Tables:
            audited = audit_stays(
                self._stays(name, score), replicates=self.options.replicates, level=self.options.level
            )
            return {"gaps": gap_table(audited, title=f"{self._title(name)}, {score}: gaps between subgroups")}

        step = f"power/whole-{score.replace(' ', '-')}"
        return stored_tables(self.populations.workspace, step, self._parameters(name, score), audit)["gaps"]

    def tables(self) -> Tables:
        """Run the study.

        Returns:
            `dict[str, ResultTable]`: By file name `audit-power`, and `audit-gaps-plain` and `audit-gaps-biased` of the
            count model in the two populations as a whole.
        """
        return {
            "audit-power": self.power_table(),
            "audit-gaps-plain": self.whole(self.plain),
            "audit-gaps-biased": self.whole(self.biased),
        }

    def power_table(self) -> ResultTable:
        """Shares of audits that found the planted bias, and that raised one that was not planted.

        Returns:
            [`ResultTable`]: One row per question and population.
        """
        rows: list[dict[str, Cell]] = []
        alarms: Counter[str] = Counter()
        for patients in self.options.lives_patients:
            power = self.on_lives(patients, [self.planted], self.options.lives_audits)
            gaps = self.on_lives(patients, planted_gaps(), self.options.gap_audits)
            alarms.update(power.alarms_by_metric)
            audits, blind = power.simulations, "true risk without the bias"
            (found,) = power.found.values()
            rows.append(_row("lives", "planted bias found", blind, patients, audits, found))
            rows += [
                _row("lives", name, "true risk, bias planted", patients, gaps.simulations, count)
                for name, count in gaps.found.items()
            ]
            rows.append(_row("lives", "false alarm: any reported", "true risk", patients, audits, power.false_alarms))
        with_bias, without = self.on_claims(self.biased), self.on_claims(self.plain)
        calibrated = self.on_claims(self.plain, "true risk")
        size, model = self.options.slice_patients, self.options.kind.upper()
        rows += [
            _row("claims", "planted bias found", model, size, with_bias.audits, with_bias.found),
            _row("claims", "no bias planted: the same group reported", model, size, without.audits, without.found),
            _row("claims", "no bias planted: any reported", model, size, without.audits, without.reported),
            _row("claims", "no bias planted: any reported", "true risk", size, calibrated.audits, calibrated.reported),
        ]
        return ResultTable(
            "Power and false alarms of the audit, simulated Medicare", rows, self._notes(alarms, without)
        )

    def _notes(self, alarms: Mapping[str, int], without: SliceReports) -> list[str]:
        biased, planted = self.populations.plans[self.biased], self.planted
        by_metric = ", ".join(f"{metric} {count}" for metric, count in sorted(alarms.items())) or "none"
        by_group = ", ".join(f"{group} {count}" for group, count in sorted(without.by_group.items())) or "none"
        return [
            f"Planted against {planted.attribute} {planted.group}: a hidden hazard of strength {biased.bias_hidden:g}"
            f"; on claims {biased.bias_unrecorded:.0%} of their care is not recorded as well. Exact 95 % intervals. "
            f"Family-wise level of each audit {self.options.level:.0%}.",
            f"False alarms on lives by metric: {by_metric}.",
            "Outcomes that are not recorded are found where their group is reported as overestimated. Where the model "
            "learned from such labels, they agree with it, and a report would be a false alarm.",
            "Patients are simulated ones; about half have a stay. What is reported of a model where no bias is "
            "planted may be a gap that is there: deprivation raises the hazard after a discharge, differs between "
            "groups, and claims show it through the county alone. Slices with a report, by group: " + by_group + ".",
            "On claims the true risk is held against the labels of the cohort, which leaves out who died within the "
            "window without a readmission, unless the rule is the plain one.",
        ]

    # ---- Scores ----
    def _parameters(self, name: str, score: Score) -> dict[str, Any]:
        options = self.options
        parameters: dict[str, Any] = {"cohort": self._cohort(name).name, "score": score}
        parameters |= {"replicates": options.replicates, "level": options.level}
        if score == "true risk":
            return parameters | {"raw": self.populations.raw(name).name}
        return parameters | {"training": self._cohort(self.training).name, "kind": options.kind, "seed": options.seed}

    def _cohort(self, name: str) -> Path:
        return self.populations.cohort(name, self.definition)

    def _title(self, name: str) -> str:
        return "Planted bias" if name == self.biased else "No bias planted"

    def _stays(self, name: str, score: Score) -> SimulatedStays:
        """All stays of a population with the scores that are audited."""
        examples = pa.concat_tables([read_examples(self._cohort(name))[split] for split in SPLITS])
        threshold = None
        if score == "model":
            probabilities, threshold = self._scores(name, examples)
        else:
            probabilities = self._true_risks(name, examples)
            known = ~np.isnan(probabilities)
            examples, probabilities = examples.filter(pa.array(known)), probabilities[known]
        return SimulatedStays(
            read_labels(examples), probabilities, audit_attributes(examples), example_patients(examples), threshold
        )

    def _scores(self, name: str, examples: pa.Table) -> tuple[npt.NDArray[np.float64], float]:
        def score() -> StepResult:
            assert_disjoint({"training": self._training["train"]["patient_id"], name: examples["patient_id"]})
            risks = self._model.predict(examples)
            return StepResult({"threshold": self._model.threshold}, pa.table({"risk": risks}))

        step = self.populations.workspace.step("power/scores", self._parameters(name, "model"), score)
        assert step.table is not None
        return step.table["risk"].to_numpy(), float(step.value["threshold"])

    def _true_risks(self, name: str, examples: pa.Table) -> npt.NDArray[np.float64]:
        import pyarrow.parquet as pq

        from claim_transformers.analysis.rivals.true_risk import stay_risk_scores

        outcome = "readmission_unplanned" if self.definition.rule == UNPLANNED else "readmission_any"
        risks = pq.read_table(self.populations.raw(name) / "true_risk.parquet")
        return stay_risk_scores(examples, risks, outcome, missing="nan")

    @cached_property
    def _training(self) -> dict[str, pa.Table]:
        return read_examples(self._cohort(self.training))

    @cached_property
    def _model(self) -> CalibratedModel:
        splits = self._training
        return fit_calibrated(self.options.kind, splits["train"], splits["validation"], seed=self.options.seed)


def _row(population: str, question: str, scores: str, patients: int, audits: int, count: int) -> dict[str, Cell]:
    share, low, high = share_with_interval(count, audits)
    return {
        "population": population,
        "question": question,
        "scores": scores,
        "patients per audit": patients,
        "audits": audits,
        "reported": count,
        "share": share,
        "low": low,
        "high": high,
    }
