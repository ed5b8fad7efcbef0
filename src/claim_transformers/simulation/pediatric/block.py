"""One block of patients while its care is being drawn: insured months, visits and fills."""

from dataclasses import dataclass, field

import numpy as np

from claim_transformers.simulation.engine.calendar import WEEKEND_SHIFT, Bool, Calendar, Float, Int
from claim_transformers.simulation.engine.fills import Fills, join_fills, order_of
from claim_transformers.simulation.engine.sampling import unit
from claim_transformers.simulation.pediatric.codebook import PediatricCodebook
from claim_transformers.simulation.pediatric.disease import History
from claim_transformers.simulation.pediatric.institutions import Institution
from claim_transformers.simulation.pediatric.population import PediatricPopulation, band_of_age


@dataclass
class Visits:
    """Visits of one block, one entry each."""

    patient: Int  # Position of the patient in the block.
    day: Int  # First day, days since 1970-01-01.
    cause: Int  # Index into `PediatricCodebook.causes`.
    kind: Int  # `OFFICE`, `EMERGENCY`, `STAY`, `PREVENTIVE`, `BEHAVIOURAL` or `DENTAL`.
    pool: Int  # Pool of the first diagnosis.

    def __len__(self) -> int:
        return len(self.patient)


@dataclass
class Block:
    """Patients, what they live through, and the care drawn so far."""

    # `patients`, `history`, `calendar`, `institution`, `codes`, `generator`: what care is drawn from.
    patients: PediatricPopulation
    history: History
    calendar: Calendar
    institution: Institution
    codes: PediatricCodebook
    generator: np.random.Generator
    # `month`, `patient`: every insured month of every patient, in order of month.
    month: Int = field(init=False)
    patient: Int = field(init=False)
    # `age`, `band`, `month_of_year`: of each insured month.
    age: Int = field(init=False)
    band: Int = field(init=False)
    month_of_year: Int = field(init=False)
    last_month: Int = field(init=False)  # Last month of the current span of coverage, shape `(months, patients)`.
    _visits: list[Visits] = field(default_factory=list, init=False)
    _fills: list[Fills] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        month, patient = np.nonzero(self.patients.enrolled)
        self.month, self.patient = month.astype(np.int32), patient.astype(np.int32)
        self.age = self.month - self.patients.birth_month[self.patient]
        self.band = band_of_age()[self.age]
        self.month_of_year = self.calendar.month_of_year(self.month)
        # From the last month backwards: a month whose successor is insured ends where the successor's span ends.
        self.last_month = np.zeros(self.patients.enrolled.shape, dtype=np.int32)
        self.last_month[-1] = self.calendar.months - 1
        for row in range(self.calendar.months - 2, -1, -1):
            self.last_month[row] = np.where(self.patients.enrolled[row + 1], self.last_month[row + 1], row)

    def happen(self, chance: Float) -> Bool:
        """Draw one event per entry."""
        drawn: Bool = self.generator.random(len(chance), dtype=np.float32) < chance
        return drawn

    def trait(self, name: str, patient: Int) -> Float:
        """A lasting number in `[0, 1)` of each patient, the same whenever it is asked for."""
        salt = int.from_bytes(name.encode()[:7], "big")
        lasting: Float = unit(self.patients.key, salt)[patient]
        return lasting

    def days_in(self, month: Int, patient: Int) -> Int:
        """One day of each month, while the patient lives, seldom on a weekend."""
        first = np.maximum(self.calendar.first_day(month), self.patients.birth_day[patient])
        last = np.minimum(self.calendar.last_day(month), self.patients.death_day[patient])
        span = np.maximum(last - first + 1, 1)
        days: Int = first + (self.generator.random(len(month), dtype=np.float32) * span).astype(np.int32)
        return days.astype(np.int32, copy=False)

    def on_weekdays(self, patient: Int, day: Int) -> Int:
        """Move days of elective visits from Saturday to Friday and from Sunday to Monday, inside month and life."""
        # January 1, 1970 was a Thursday, which is 3 counted from Monday.
        moved = day + WEEKEND_SHIFT[(day + 3) % 7]
        month = self.calendar.month_of_day(day)
        inside = (moved >= self.calendar.first_day(month)) & (moved <= self.calendar.last_day(month))
        inside &= (moved >= self.patients.birth_day[patient]) & (moved <= self.patients.death_day[patient])
        shifted: Int = np.where(inside, moved, day).astype(np.int32)
        return shifted

    def covered(self, patient: Int, day: Int) -> Bool:
        """Whether each day lies in the window, in life and in a month of coverage."""
        month = self.calendar.month_of_day(day)
        inside = (month >= 0) & (month < self.calendar.months) & (day >= self.patients.birth_day[patient])
        inside &= day <= self.patients.death_day[patient]
        enrolled: Bool = self.patients.enrolled[np.clip(month, 0, self.calendar.months - 1), patient] & inside
        return enrolled

    def add_visits(self, patient: Int, day: Int, cause: Int | int, kind: Int | int, pool: Int | None = None) -> None:
        """Add visits; without `pool`, the first diagnosis comes from the pool of the cause."""
        causes = np.broadcast_to(np.asarray(cause, dtype=np.int32), patient.shape)
        kinds = np.broadcast_to(np.asarray(kind, dtype=np.int32), patient.shape)
        pools = self.codes.primary_pool[causes] if pool is None else pool
        self._visits.append(Visits(patient.astype(np.int32), day, causes, kinds, pools))

    def add_fills(self, patient: Int, day: Int, drug_class: Int | int, days_supply: Int | int) -> None:
        """Add fills; those outside coverage are left out."""
        kept = self.covered(patient, day)
        classes = np.broadcast_to(np.asarray(drug_class, dtype=np.int32), patient.shape)[kept]
        supply = np.broadcast_to(np.asarray(days_supply, dtype=np.int32), patient.shape)[kept]
        self._fills.append(Fills(patient[kept].astype(np.int32), day[kept], classes, supply))

    def visits(self) -> Visits:
        """All visits in order of patient and day."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in self._visits]) for name in Visits.__annotations__
        }
        order = order_of(columns["patient"], columns["day"])
        return Visits(**{name: column[order] for name, column in columns.items()})

    def fills(self) -> Fills:
        """All fills in order of patient and day."""
        return join_fills(self._fills)
