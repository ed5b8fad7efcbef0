"""Claims ceiling: how much of the true risk boosted trees read off claims when it teaches them.

The simulator's risk knows hidden states, so that no model of claims can reach it. This entry learns the risk, not the
outcome, of many more children than a cohort has: a teacher without the noise of the outcome. What it reaches on a
cohort bounds from below what claims can tell; more children or other features could only tell more. It is a yardstick
and never a model, because nobody has true risks of real patients.

The children are of another population of the same institution. A cohort takes nearly every case of its own, so that
those who are left there are children to whom nothing happened, whose risk is lower than their claims say.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.rivals.features import demographics
from claim_transformers.claims.splits import assert_disjoint
from claim_transformers.codes import CategoryRules
from claim_transformers.cohorts.event.sampling import unit_hash
from reproduction.claim_pt.populations import FIRST, PediatricPopulations
from reproduction.claim_pt.windowed_counts import WINDOWS_DAYS, count_in_windows
from reproduction.engine.claims_ceiling import FloatArray, Lessons, TeachingOptions, teach
from reproduction.engine.silence import quiet
from reproduction.engine.steps import StepResult
from reproduction.engine.tables import COLD_START, ModelPredictions, compare_over_repeats
from reproduction.engine.tasks import BenchmarkCohort, Scores, Task

GROUP = "claims ceiling"
# The simulator writes risks over a year on each January 1 and July 1; the first two years are for histories.
INDEX_DATES = ("2012-01-01", "2012-07-01", "2013-01-01", "2013-07-01", "2014-01-01")
SHARES = (Fraction(1, 8), Fraction(1, 2), Fraction(1))
POPULATION = "ceiling"
SEED_STEP = 1000
# A column of fewer rows is noise to a tree whose leaves have as many.
FEWEST_ROWS, FEWEST_SHARE = 20, 0.005
COLUMNS = ("patient_id", "sex", "birth_day", "index_day", "visit_day", "visit_type", "codes")


@dataclass(frozen=True)
class ClaimsCeiling:
    """What trees that were taught by the true risk say of a cohort; an entry of a table like any model.

    Args:
        share (`Fraction`): Share of the children that taught.
        cohort_key (`str`): The cohort that is scored.
        scores (`NDArray[float]`): Risk of every example of the cohort, in its rows' order, as the sample has it.
        source (`str`): Digest of how the scores came about.
        details (`dict`, *optional*): Children, rows, features and trees.
    """

    share: Fraction
    cohort_key: str
    scores: FloatArray
    source: str
    details: Mapping[str, Any] = field(default_factory=dict)
    group: ClassVar[str] = GROUP
    is_probability: ClassVar[bool] = True
    grid: ClassVar[Sequence[Mapping[str, Any]]] = ({},)

    @property
    def slug(self) -> str:
        """Short name."""
        return "claims-ceiling" + ("" if self.share == 1 else f"-{self.share.numerator}-{self.share.denominator}")

    @property
    def name(self) -> str:
        """Name for tables."""
        return f"Claims ceiling (taught by the true risk), {self.details.get('children', 0):,} children"

    def key(self) -> dict[str, Any]:
        """What decides about the scores beside the task."""
        return {"kind": "claims ceiling", "source": self.source}

    def takes(self, task: Task) -> bool:
        """Whether the scores are of the cohort of the task."""
        return task.cohort.key == self.cohort_key

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Look the scores of validation and test patients up: nothing is learned from the cohort."""
        validation, test = (self.scores[task.splits[split]["row"].to_numpy()] for split in ("validation", "test"))
        return Scores(validation, test, dict(self.details))


@dataclass(frozen=True)
class Teaching:
    """Lessons for one cohort: its definition at several index dates, without sampling, in another population.

    Args:
        populations ([`PediatricPopulations`]): Where the cohort is.
        name (`str`, *optional*, defaults to `"asthma_exacerbation"`): A cohort with fixed index dates.
        index_dates (`tuple[str]`, *optional*): ISO dates at which the simulator has written risks over the horizon.
        options ([`TeachingOptions`], *optional*): Sizes of the trees.

    Raises:
        ValueError: If the cohort has no fixed index date.
    """

    populations: PediatricPopulations
    name: str = "asthma_exacerbation"
    index_dates: tuple[str, ...] = INDEX_DATES
    options: TeachingOptions = field(default_factory=TeachingOptions)

    def __post_init__(self) -> None:
        from claim_transformers.cohorts import load_definition

        if (rule := load_definition(self.name, "event").index.rule) != "fixed_date":
            raise ValueError(
                f"expected a cohort with fixed index dates, found {rule!r} in {self.name!r}: at a visit no risk of a "
                "period that begins there is written, so that there is nothing to teach"
            )

    @property
    def others(self) -> PediatricPopulations:
        """The populations with the children who teach: as many as there are in `"a"`, and none of them."""
        plans = self.populations.plans
        first = plans[FIRST]
        taken = {(each.institution, each.seed) for each in plans.values()}
        seed = first.seed + SEED_STEP
        while (first.institution, seed) in taken:
            seed += 1
        return replace(self.populations, plans={**plans, POPULATION: replace(first, seed=seed)})

    def children(self, index_date: str) -> Path:
        """Everybody of the other population who is eligible at an index date.

        Args:
            index_date (`str`): ISO date.

        Returns:
            `Path`: A cohort folder with all cases and all controls.
        """
        from claim_transformers.cohorts import build_cohort, load_definition

        definition = load_definition(self.name, "event")
        definition = replace(definition, index=replace(definition.index, dates=(index_date,)))
        definition = definition.with_sampling(cases=None, controls_per_case=None)
        claims = self._claims

        def build(folder: Path) -> None:
            with quiet():
                build_cohort(definition, claims).save(folder, raw_counts=True)  # of simulated people

        parameters = {"claims": claims.name, "definition": json.loads(json.dumps(definition.to_dict()))}
        name = f"prepare/cohort-{POPULATION}-{self.name.replace('_', '-')}-{index_date}"
        return self.populations.workspace.folder_step(name, parameters, build)

    @cached_property
    def _claims(self) -> Path:
        return self.others.claims(POPULATION)

    @cached_property
    def cohort(self) -> BenchmarkCohort:
        """The cohort that is scored."""
        return self.populations.cohort(self.name)

    def contestants(self, shares: Sequence[Fraction] = SHARES) -> list[ClaimsCeiling]:
        """Teach with more and more of the children.

        Args:
            shares (`list[Fraction]`, *optional*): Shares of the children, each part of the next.

        Returns:
            `list[ClaimsCeiling]`: One entry per share.

        Raises:
            ClaimDataError: `E_SPLIT_OVERLAP` if a patient of the cohort were among those who teach.
        """
        with self.populations.workspace.plan(f"{self.cohort.name}: children", 2 + len(self.index_dates)):
            folders = [self.children(date) for date in self.index_dates]
        with self.populations.workspace.plan(f"{self.cohort.name}: claims ceiling", len(shares)):
            return [self._contestant(share, folders) for share in shares]

    def _contestant(self, share: Fraction, folders: Sequence[Path]) -> ClaimsCeiling:
        parameters = {
            "cohort": self.cohort.key,
            "children": [folder.name for folder in folders],
            "share": str(share),
            "options": asdict(self.options),
            "features": {"windows_days": list(WINDOWS_DAYS), "fewest": [FEWEST_ROWS, FEWEST_SHARE]},
        }
        name = f"{self.cohort.name}/claims-ceiling/share-{share.numerator}-{share.denominator}"
        result = self.populations.workspace.step(name, parameters, lambda: self._teach(share))
        assert result.table is not None
        scores = as_in_sample(result.table["risk"].to_numpy(), self.cohort.definition["sampled_share"])
        return ClaimsCeiling(share, self.cohort.key, scores, result.key, result.value)

    def _teach(self, share: Fraction) -> StepResult:
        names, lessons = self._lessons
        chosen = unit_hash(lessons.patient_ids, f"claims-ceiling/{self.name}/share") <= float(share)
        part = Lessons(lessons.patient_ids.filter(pa.array(chosen)), lessons.features[chosen], lessons.risk[chosen])
        examples = windowed_features(self.cohort.examples, self.cohort.rules, names)
        risk, details = teach(part, examples, self.options)
        return StepResult(details, pa.table({"risk": risk}))

    @cached_property
    def _lessons(self) -> tuple[list[str], Lessons]:
        """All children with their columns; made once, and only where a share is not stored yet."""
        from claim_transformers.analysis.rivals.true_risk import true_risk_scores

        raw = self.others.raw(POPULATION)
        tables, risks, rules = [], [], self.cohort.rules
        for date in self.index_dates:
            children = BenchmarkCohort.load(self.children(date), raw=raw)
            risks.append(true_risk_scores(children.examples, children.true_risk(), children.definition))
            tables.append(children.examples.select(COLUMNS))
        rows = pa.concat_tables(tables)
        assert_disjoint({"teaching": rows["patient_id"], self.cohort.name: self.cohort.examples["patient_id"]})
        names = frequent_names(rows, rules)
        return names, Lessons(rows["patient_id"], windowed_features(rows, rules, names), np.concatenate(risks))


def frequent_names(rows: pa.Table, rules: CategoryRules) -> list[str]:
    """Windowed counts that enough rows have for a tree to split at them.

    Args:
        rows (`pa.Table`): Children at their index dates.
        rules (`CategoryRules`): From code to category.

    Returns:
        `list[str]`: Sorted names of [`count_in_windows`].
    """
    counts = count_in_windows(rows, rules=rules)
    held_by = np.bincount(counts.matrix.indices, minlength=len(counts.names))
    fewest = max(FEWEST_ROWS, FEWEST_SHARE * rows.num_rows)
    return [name for name, count in zip(counts.names, held_by, strict=True) if count >= fewest]


def windowed_features(examples: pa.Table, rules: CategoryRules, names: Sequence[str]) -> NDArray[np.float32]:
    """Windowed counts, age, sex and use of care as one matrix; trees bin every column, so single precision is enough.

    Args:
        examples (`pa.Table`): Examples with an index date.
        rules (`CategoryRules`): From code to category.
        names (`list[str]`): Counts that become columns.

    Returns:
        `NDArray[float32]` of shape `(examples, columns)`.
    """
    counts = count_in_windows(examples, rules=rules, names=names).matrix.toarray()
    return np.hstack([counts, demographics(examples)[0].astype(np.float32)])


def as_in_sample(risk: FloatArray, sampled_share: Sequence[float]) -> FloatArray:
    """Turn risks of the population into risks of a sample that kept more cases than controls.

    Args:
        risk (`NDArray[float]`): Below 1.
        sampled_share (`tuple[float, float]`): Shares of the controls and of the cases that were kept.

    Returns:
        `NDArray[float]`: The order stays.

    Examples:
        >>> as_in_sample(np.array([0.0, 0.2]), (0.25, 1.0)).tolist()
        [0.0, 0.5]
    """
    controls_share, cases_share = sampled_share
    odds: FloatArray = risk / (1 - risk) * (cases_share / controls_share)
    return odds / (1 + odds)


def describe_saturation(models: Sequence[ModelPredictions]) -> str:
    """Say what the last children brought: the entry of the most children against the one before.

    Args:
        models (`list[ModelPredictions]`): Entries in the order of their shares, two at least.

    Returns:
        `str`: One sentence with the paired difference.

    Raises:
        ValueError: If there are fewer than two entries.
    """
    if len(models) < 2:
        raise ValueError(f"expected two entries to compare, found {len(models)}")
    fewer, more = models[-2:]
    # The reference of a table is its best cold-start row, so the entry of fewer children stands in for one.
    table = compare_over_repeats("", [replace(fewer, group=COLD_START), more])
    gain = table.rows[1].difference
    if gain is None or gain.value is None or gain.low is None or gain.high is None:
        return f"What the last children brought is undefined in {table.primary}."
    verdict = "the curve may still rise" if gain.low > 0 else "within the interval the last children brought nothing"
    return (
        f"{more.name} minus {fewer.name}, paired: {gain.value:+.3f} {table.primary} "
        f"({gain.low:+.3f} to {gain.high:+.3f}): {verdict}."
    )
