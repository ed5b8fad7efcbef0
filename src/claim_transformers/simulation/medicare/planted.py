"""What a user can plant to test an audit: a known bias against a subgroup, and a known drift from a year on."""

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import Bool, Float, Int
from claim_transformers.simulation.medicare.population import RACES, MedicarePopulation

# Full strength, as the logarithm of a hazard ratio or as a share; the size of a planted fault is free, so these are
# no estimates of anything.
HIDDEN_LOG_HAZARD = 0.5
DRIFT_LOG_HAZARD = -0.5
DRIFT_VOLUME = -0.35
DRIFT_CODE_JITTER = 1.2
DRIFT_NEW_PRODUCTS = 0.4
# By how much the effects of history on readmission shrink.
DRIFT_EFFECTS = -0.6


@dataclass(frozen=True)
class PlantedBias:
    """A subgroup whose records understate its risk.

    A share of what is billed for the subgroup is not recorded: secondary diagnoses of every claim, and whole claims
    other than stays and what follows them, and fills. On top of it a hazard that nothing on claims shows can be raised
    after discharge. Who belongs to the subgroup, and the life of its patients up to their first stay, does not change.

    Args:
        subgroup (`str`, *optional*, defaults to `"race=black"`):
            `race=` and a race, `gender=female`, `gender=male`, `dual`, `disabled` (original reason of entitlement) or
            `rural`.
        unrecorded (`float`, *optional*, defaults to `0.0`): Share from 0 to 1 that is not recorded.
        hidden (`float`, *optional*, defaults to `0.0`):
            From 0 to 1: the readmission hazard of the subgroup is multiplied by `exp(HIDDEN_LOG_HAZARD * hidden)`.

    Raises:
        ValueError: If the subgroup is unknown or a number is out of range.

    Examples:
        >>> PlantedBias("rural", unrecorded=0.3).hidden
        0.0
        >>> PlantedBias("tall")
        Traceback (most recent call last):
        ValueError: expected a subgroup such as 'race=black', 'gender=female', 'dual', 'disabled' or 'rural', found
        'tall'
    """

    subgroup: str = "race=black"
    unrecorded: float = 0.0
    hidden: float = 0.0

    def __post_init__(self) -> None:
        races = {f"race={race}" for race in RACES}
        if self.subgroup not in races | {"gender=female", "gender=male", "dual", "disabled", "rural"}:
            raise ValueError(
                "expected a subgroup such as 'race=black', 'gender=female', 'dual', 'disabled' or 'rural', "
                f"found {self.subgroup!r}"
            )
        for name in ("unrecorded", "hidden"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} from 0 to 1, found {getattr(self, name)}")

    @classmethod
    def of(cls, planted: "float | PlantedBias") -> "PlantedBias":
        """Read an argument: a strength from 0 to 1 stands for both ways at once.

        Examples:
            >>> PlantedBias.of(0.5)
            PlantedBias(subgroup='race=black', unrecorded=0.5, hidden=0.5)
        """
        if isinstance(planted, PlantedBias):
            return planted
        return cls(unrecorded=float(planted), hidden=float(planted))

    def members(self, patients: MedicarePopulation) -> Bool:
        """Patients of the subgroup."""
        name, _, value = self.subgroup.partition("=")
        if name == "race":
            found: Bool = patients.race == RACES.index(value)
        elif name == "gender":
            found = patients.male == (value == "male")
        elif name == "dual":
            found = patients.dual > 0
        elif name == "disabled":
            found = patients.entitlement > 0
        else:
            found = patients.rural > 0
        return found


@dataclass(frozen=True)
class PlantedDrift:
    """A world that changes on January 1 of a year.

    Args:
        year (`int`): First year of the changed world.
        strength (`float`, *optional*, defaults to `0.0`):
            From 0, no change, to 1. Moved in proportion: the weights of codes inside their pools, the products
            dispensed (some of them new), the number of visits, the readmission hazard, and how much it depends on
            history.

    Raises:
        ValueError: If the strength is out of range.

    Examples:
        >>> PlantedDrift(2012, 0.5).first_day
        15340
        >>> PlantedDrift(2012, 2.0)
        Traceback (most recent call last):
        ValueError: expected a strength of the drift from 0 to 1, found 2.0
    """

    year: int
    strength: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"expected a strength of the drift from 0 to 1, found {self.strength}")

    @property
    def first_day(self) -> int:
        """January 1 of the year, in days since 1970-01-01."""
        return int(np.datetime64(f"{self.year:04d}-01-01", "D").astype(np.int64))

    def share(self, day: Int) -> Float:
        """Strength in force on each day."""
        return np.where(day >= self.first_day, np.float32(self.strength), np.float32(0)).astype(np.float32)
