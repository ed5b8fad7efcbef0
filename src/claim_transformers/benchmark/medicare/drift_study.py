"""A world that changes, beside the same world without the change: what does an audit of drift see, and when?

A count model learns from stays before the change. Its validation patients are the reference, and test patients, of
whom it knows nothing, are watched from half-year to half-year in both worlds. Up to the change they are the same
patients with the same claims, so that what a reader sees there is no drift, and what both worlds show after it is not
the planted one: patients grow older, and those who enter are younger.
"""

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.audit_table import AuditTable, Cell
from claim_transformers.analysis.drift import DriftSample, PeriodDrift, measure_drift
from claim_transformers.analysis.drift_tables import drift_table, field_table
from claim_transformers.analysis.features import read_labels
from claim_transformers.analysis.patient_draws import REPLICATES
from claim_transformers.benchmark.medicare.calibrated import CalibratedModel, Kind, fit_calibrated
from claim_transformers.benchmark.medicare.drift_fields import drift_fields, keep_frequent
from claim_transformers.benchmark.medicare.populations import MedicarePopulations, example_patients, read_examples
from claim_transformers.benchmark.medicare.stored_tables import Tables, stored_tables
from claim_transformers.claims.splits import SPLITS, assert_disjoint, split_of
from claim_transformers.cohorts.readmission_definition import ReadmissionDefinition

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
        train (`float`, *optional*, defaults to 0.5): Share of patients that the model learns from.
        validation (`float`, *optional*, defaults to 0.25): Share in the reference; the rest is watched.
        kind (`str`, *optional*, defaults to `"lr"`): Count model, `"lr"` or `"gb"`.
        replicates (`int`, *optional*, defaults to 1000): Bootstrap replicates.
        seed (`int`, *optional*, defaults to 0): Seed of the model and of the draws.

    Raises:
        ValueError: If the period is unknown, or the shares leave nobody to be watched.
    """

    first_year: int = 2010
    period: Literal["year", "half-year", "quarter"] = "half-year"
    train: float = 0.5
    validation: float = 0.25
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
        still, moved = (self.populations.populations[name] for name in (self.still, self.moved))
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
        return dt.date(self.populations.populations[self.moved].drift_year, 1, 1)

    def tables(self) -> Tables:
        """Run the study.

        Returns:
            `dict[str, AuditTable]`: By file name `drift`, one row per period and world, and `drift-fields`, one row
            per field and period.
        """
        found = {name: self._world(name) for name in (self.still, self.moved)}
        still, moved = found[self.still], found[self.moved]
        return {
            "drift": self._stacked(still["periods"], moved["periods"]),
            "drift-fields": self._beside(still["fields"], moved["fields"]),
        }

    def measure(self, name: str) -> list[PeriodDrift]:
        """Hold the test patients of one world against the reference.

        Args:
            name (`str`): The population.

        Returns:
            `list[PeriodDrift]`: One per period.

        Raises:
            ValueError: If a patient of the training is among the watched, or a period is empty.
        """
        watched = self._examples(name)["test"]
        learned = self._learned
        assert_disjoint({"training": learned["train"]["patient_id"], name: watched["patient_id"]})
        reference = learned["validation"]
        numbers = example_patients(
            pa.concat_tables([reference.select(["patient_id"]), watched.select(["patient_id"])])
        )
        fields = drift_fields(reference)
        # What the model has not learned is unseen, so its training stays stand for the codes of the reference.
        sample = self._sample(reference, keep_frequent(fields, fields), numbers[: reference.num_rows])
        sample = DriftSample(sample.fields, sample.patients, sample.probabilities, sample.labels, learned["train"])
        period = period_names(watched, self.options.period)
        names = [text for text in np.unique(period).tolist() if int(text[:4]) >= self.options.first_year]
        periods = {}
        for text in names:
            inside = period == text
            rows = watched.filter(pa.array(inside))
            found = keep_frequent(drift_fields(rows), fields)
            periods[text] = self._sample(rows, found, numbers[reference.num_rows :][inside])
        return measure_drift(sample, periods, replicates=self.options.replicates, seed=self.options.seed)

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
            measured = self.measure(name)
            return {"periods": drift_table(measured), "fields": field_table(measured)}

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
    def _stacked(self, still: AuditTable, moved: AuditTable) -> AuditTable:
        rows: list[dict[str, Cell]] = []
        for without, planted in zip(still.rows, moved.rows, strict=True):
            for world, row in (("no drift", without), ("planted drift", planted)):
                rows.append({"period": row["period"], "world": world} | {name: row[name] for name in row})
        population = self.populations.populations[self.moved]
        notes = [
            *still.notes,
            f"Drift of strength {population.drift_strength:g} from {self.changes_on.isoformat()} on. Before that day "
            "both worlds are the same. The reference are validation patients discharged before it, and unseen codes "
            f"are those that the training patients ({self.options.kind.upper()}) did not have by then; rare codes are "
            "unseen without a drift too.",
        ]
        return AuditTable("Drift by period, with a planted change and without", rows, notes)

    def _beside(self, still: AuditTable, moved: AuditTable) -> AuditTable:
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
        return AuditTable("Population stability by field, with a planted change and without", rows, still.notes)


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
    years = (1970 + months // 12).astype(str)
    if period == "year":
        return years
    number = (months % 12 // MONTHS[period] + 1).astype(str)
    letter = " H" if period == "half-year" else " Q"
    return np.char.add(np.char.add(years, letter), number)
