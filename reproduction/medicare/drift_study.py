"""A world that changes, beside the same world without the change: what does an audit of drift see, and when?

A count model learns from stays before the change. Its validation patients are the reference, and test patients, of
whom it knows nothing, are watched from half-year to half-year in both worlds. Before the change both worlds follow one
law: the same patients live another draw of their lives, so that rows differ by chance. What both show after it is not
the planted drift: patients grow older, and those who enter are younger.
"""

import datetime as dt
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.audit.drift import DriftSample, measure_drift
from claim_transformers.analysis.audit.drift_tables import drift_table, field_table
from claim_transformers.analysis.audit.patient_draws import REPLICATES, draw
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.analysis.rivals.features import read_labels
from claim_transformers.claims.splits import SPLITS, assert_disjoint, split_of
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition
from claim_transformers.training import MetricInterval
from claim_transformers.training.metrics import FloatArray
from reproduction.medicare.calibrated_models import CalibratedModel, Kind, fit_calibrated
from reproduction.medicare.drift_fields import drift_fields, keep_frequent
from reproduction.medicare.populations import MedicarePopulations, example_patients, read_examples
from reproduction.medicare.stored_tables import Tables, stored_tables

_EPOCH = dt.date(1970, 1, 1)
# The patients of this study are divided anew: more of them for the periods than the tenth that tests a model.
SALT = "medicare-drift"
MONTHS = {"year": 12, "half-year": 6, "quarter": 3}


@dataclass(frozen=True)
class DriftOptions:
    """Sizes of the study.

    Args:
        first_year (`int`, *optional*, defaults to 2010): First year whose test patients are watched.
        period (`str`, *optional*, defaults to `"half-year"`): `"year"`, `"half-year"` or `"quarter"`.
        train (`float`, *optional*, defaults to 0.4): Share of patients that the model learns from.
        validation (`float`, *optional*, defaults to 0.2): Share in the reference; the rest is watched.
        kind (`str`, *optional*, defaults to `"lr"`): Count model, `"lr"` or `"gb"`.
        replicates (`int`, *optional*, defaults to 1000): Bootstrap replicates.
        seed (`int`, *optional*, defaults to 0): Seed of the model and of the draws.

    Raises:
        ValueError: If the period is unknown, or the shares leave nobody to be watched.
    """

    first_year: int = 2010
    period: Literal["year", "half-year", "quarter"] = "half-year"
    train: float = 0.4
    validation: float = 0.2
    kind: Kind = "lr"
    replicates: int = REPLICATES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.period not in MONTHS:
            raise ValueError(f"expected a period out of {', '.join(MONTHS)}, found {self.period!r}")
        if not (self.train > 0 and self.validation > 0 and self.train + self.validation < 1):
            raise ValueError(f"expected shares that leave patients to watch, found {self.train} and {self.validation}")

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class DriftStudy:
    """Drift of the inputs and of the performance, with a planted change and without.

    Args:
        populations ([`MedicarePopulations`]): Where the populations are.
        still (`str`): The population without a change.
        moved (`str`): The same with a planted drift.
        definition ([`ReadmissionDefinition`]): The cohort.
        options ([`DriftOptions`], *optional*): Sizes.

    Raises:
        ValueError: If the two are not the same patients, or no drift is planted.
    """

    populations: MedicarePopulations
    still: str
    moved: str
    definition: ReadmissionDefinition
    options: DriftOptions = field(default_factory=DriftOptions)

    def __post_init__(self) -> None:
        still, moved = (self.populations.plans[name] for name in (self.still, self.moved))
        if (still.seed, still.patients) != (moved.seed, moved.patients):
            raise ValueError("expected two populations of the same seed and size, found others")
        if not moved.drift_strength or still.drift_strength:
            raise ValueError(
                f"expected a drift in one population, found strengths {still.drift_strength:g} and "
                f"{moved.drift_strength:g}"
            )

    @property
    def changes_on(self) -> dt.date:
        """First day of the changed world."""
        return dt.date(self.populations.plans[self.moved].drift_year, 1, 1)

    def tables(self) -> Tables:
        """Run the study.

        Returns:
            `dict[str, ResultTable]`: By file name `drift`, one row per period and world, and `drift-fields`, one row
            per field and period.
        """
        found = {name: self._world(name) for name in (self.still, self.moved)}
        still, moved = found[self.still], found[self.moved]
        return {
            "drift": self._stacked(still["periods"], moved["periods"]),
            "drift-fields": self._beside(still["fields"], moved["fields"]),
        }

    def samples(self, name: str) -> tuple[DriftSample, dict[str, DriftSample]]:
        """Take the reference, and the test patients of one world by period.

        Args:
            name (`str`): The population.

        Returns:
            `tuple[DriftSample, dict[str, DriftSample]]`: For [`measure_drift`], periods in order.

        Raises:
            ClaimDataError: `E_SPLIT_OVERLAP` if a patient of the training were among those who are watched.
        """
        watched = self._examples(name)["test"]
        learned = self._learned
        assert_disjoint({"training": learned["train"]["patient_id"], name: watched["patient_id"]})
        reference = learned["validation"]
        numbers = example_patients(
            pa.concat_tables([reference.select(["patient_id"]), watched.select(["patient_id"])])
        )
        fields = drift_fields(reference)
        sample = self._sample(reference, keep_frequent(fields, fields), numbers[: reference.num_rows])
        # What the model has not learned is unseen, so its training stays stand for the codes of the reference.
        sample = replace(sample, codes=learned["train"])
        period = period_names(watched, self.options.period)
        periods = {}
        for text in np.unique(period).tolist():
            if int(text[:4]) >= self.options.first_year:
                rows = watched.filter(pa.array(period == text))
                found = keep_frequent(drift_fields(rows), fields)
                periods[text] = self._sample(rows, found, numbers[reference.num_rows :][period == text])
        return sample, periods

    def _sample(
        self, examples: pa.Table, fields: dict[str, npt.NDArray[np.generic]], patients: npt.NDArray[np.int64]
    ) -> DriftSample:
        return DriftSample(fields, patients, self._model.predict(examples), read_labels(examples), examples)

    # ---- Steps ----
    def _world(self, name: str) -> Tables:
        parameters = {
            "watched": self.populations.cohort(name, self.definition).name,
            "learned": self.populations.cohort(self.still, self.definition).name,
            "changes_on": self.changes_on.isoformat(),
            "options": self.options.to_dict(),
        }

        def make() -> Tables:
            reference, periods = self.samples(name)
            sizes: dict[str, Any] = {"replicates": self.options.replicates, "seed": self.options.seed}
            measured = measure_drift(reference, periods, **sizes)
            table = drift_table(measured)
            rows = [
                {**row, "observed/expected": observed_over_expected(periods[str(row["period"])], **sizes)}
                for row in table.rows
            ]
            return {"periods": replace(table, rows=rows), "fields": field_table(measured)}

        return stored_tables(self.populations.workspace, "drift/world", parameters, make)

    def _examples(self, name: str) -> dict[str, pa.Table]:
        """All stays of a population, divided anew by patient."""
        parts = read_examples(self.populations.cohort(name, self.definition))
        examples = pa.concat_tables([parts[split] for split in SPLITS])
        split = split_of(examples["patient_id"], SALT, self.options.train, self.options.validation)
        return {part: examples.filter(pc.equal(split, part)) for part in SPLITS}

    @cached_property
    def _learned(self) -> dict[str, pa.Table]:
        """Training and validation stays whose window ends before the change, where both worlds are one."""
        last = (self.changes_on - _EPOCH).days - self.definition.horizon_days
        found = self._examples(self.still)
        return {
            part: found[part].filter(pc.less(found[part]["discharge_day"], last)) for part in ("train", "validation")
        }

    @cached_property
    def _model(self) -> CalibratedModel:
        train, validation = self._learned["train"], self._learned["validation"]
        return fit_calibrated(self.options.kind, train, validation, seed=self.options.seed)

    # ---- Tables ----
    def _stacked(self, still: ResultTable, moved: ResultTable) -> ResultTable:
        rows: list[dict[str, Cell]] = []
        for without, planted in zip(still.rows, moved.rows, strict=True):
            for world, row in (("no drift", without), ("planted drift", planted)):
                rows.append({"period": row["period"], "world": world} | {name: row[name] for name in row})
        population = self.populations.plans[self.moved]
        notes = [
            *still.notes,
            f"Drift of strength {population.drift_strength:g} from {self.changes_on.isoformat()} on. Before that day "
            "both worlds follow one law, and rows differ by chance. The reference are validation patients discharged "
            f"before it, and unseen codes are those that the training patients ({self.options.kind.upper()}) did not "
            "have by then. Observed over expected readmissions need labels, as the true AUROC does: a change of risk "
            "alone shows there.",
        ]
        return ResultTable("Drift by period, with a planted change and without", rows, notes)

    def _beside(self, still: ResultTable, moved: ResultTable) -> ResultTable:
        rows: list[dict[str, Cell]] = [
            {
                "period": without["period"],
                "field": without["field"],
                "PSI, no drift": without["PSI"],
                "PSI, planted drift": planted["PSI"],
                "noise": planted["noise"],
                "verdict, no drift": without["verdict"],
                "verdict, planted drift": planted["verdict"],
            }
            for without, planted in zip(still.rows, moved.rows, strict=True)
        ]
        rows.sort(key=lambda row: (str(row["field"]), str(row["period"])))
        return ResultTable("Population stability by field, with a planted change and without", rows, still.notes)


def observed_over_expected(sample: DriftSample, *, replicates: int = REPLICATES, seed: int = 0) -> MetricInterval:
    """Divide the readmissions of a period by those that the model expected.

    Args:
        sample ([`DriftSample`]): With probabilities and labels.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        `MetricInterval`: With its 95 % interval over patients; below 1 the model says too much.

    Examples:
        >>> sample = DriftSample({"sex": ["F"] * 4}, probabilities=[0.5] * 4, labels=[0, 0, 0, 1])
        >>> observed_over_expected(sample, replicates=20).value
        0.5
    """
    both = np.stack([np.asarray(sample.labels, np.float64), np.asarray(sample.probabilities, np.float64)], axis=1)

    def ratio(weights: FloatArray) -> FloatArray:
        sums = weights @ both
        found: FloatArray = sums[:, :1] / sums[:, 1:]
        return found

    return draw(ratio, sample.rows, sample.patients, replicates=replicates, seed=seed).interval(0)


def period_names(examples: pa.Table, period: str) -> npt.NDArray[np.str_]:
    """Name the period of the discharge of each example.

    Args:
        examples (`pa.Table`): Examples with `discharge_day` (days since 1970-01-01).
        period (`str`): `"year"`, `"half-year"` or `"quarter"`.

    Returns:
        `NDArray[str]` of shape `(examples,)`: Such as `"2012"`, `"2012 H1"` or `"2012 Q1"`.

    Examples:
        >>> days = pa.table({"discharge_day": pa.array([15340, 15700], pa.int32())})
        >>> period_names(days, "half-year").tolist()
        ['2012 H1', '2012 H2']
    """
    months = examples["discharge_day"].to_numpy().astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    years: npt.NDArray[np.str_] = (1970 + months // 12).astype(str)
    if period == "year":
        return years
    number = (months % 12 // MONTHS[period] + 1).astype(str)
    letter = " H" if period == "half-year" else " Q"
    named: npt.NDArray[np.str_] = np.char.add(np.char.add(years, letter), number)
    return named
