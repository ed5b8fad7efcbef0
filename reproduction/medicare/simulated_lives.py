"""Stays straight from the simulator's lives, without claims: audits by the hundred, on scores right by design.

A simulated block knows every stay, every death and every hazard before the first claim is written. Labels follow from
the lives, and the true risk is their exact probability, so that an audit of it can report nothing but false alarms.
With a bias planted as a hidden hazard, the risk without that hazard is what the best model says that cannot see it.
Scores are lowered, and outcomes lost, after the lives were simulated, so that any group can be the one.
"""

import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.audit.audit_power import PlantedGap, SimulatedStays, plant_gap
from claim_transformers.analysis.audit.subgroup_attributes import (
    TextArray,
    census_regions,
    dual_names,
    entitlement_names,
    place_names,
    race_names,
)
from claim_transformers.analysis.audit.subgroups import age_bands
from claim_transformers.claims.ages import whole_years
from claim_transformers.cohorts.readmission.definition import HORIZON_DAYS

if TYPE_CHECKING:
    from claim_transformers.simulation.medicare.stays import Stays, World

# The window of `simulate_medicare`.
START, END = dt.date(2008, 1, 1), dt.date(2012, 12, 31)
SEXES = {"female": "F", "male": "M"}
# Other subgroups of the simulator. Its disabled patients are all whose original entitlement is not by age; nearly all
# of them are in the group of disability.
_OTHERS = {"dual": ("dual status", "dual"), "disabled": ("entitlement", "disability"), "rural": ("place", "rural")}


@dataclass(frozen=True)
class LivesSource:
    """A source of stays for [`audit_power`]: call it with a planted bias, or none, and a seed.

    Args:
        patients (`int`): Simulated patients, of whom about half have a stay.
        hidden (`float`, *optional*, defaults to 1.0): Strength of the hidden hazard where a bias is planted.

    Examples:
        >>> stays = LivesSource(200)(planted=None, seed=3)
        >>> len(stays.labels) == len(stays.probabilities) > 100, sorted(set(stays.attributes["sex"].tolist()))
        (True, ['F', 'M'])
    """

    patients: int
    hidden: float = 1.0

    def __call__(self, *, planted: PlantedGap | None, seed: int) -> SimulatedStays:
        """Simulate stays and score them.

        Args:
            planted ([`PlantedGap`], *optional*): A hidden risk of a group is a hazard of strength `hidden`, of which
                the scores do not know; without it they are the true risks.
            seed (`int`): Seed.

        Returns:
            [`SimulatedStays`]: Stays that ended alive, in a month of coverage and a window before the end.

        Raises:
            ValueError: If the group is none that the simulator can give a hidden hazard.
        """
        if planted is None:
            return _lives(self.patients, seed)
        if planted.kind == "hidden risk":
            return _lives(self.patients, seed, simulated_subgroup(planted), self.hidden)
        return plant_gap(_lives(self.patients, seed), planted, seed=seed)


# The same lives meet one planted bias after the other.
@lru_cache(maxsize=1)
def _lives(patients: int, seed: int, subgroup: str = "race=black", hidden: float = 0.0) -> SimulatedStays:
    """Stays of the first patients of a simulation."""
    from claim_transformers.simulation.engine.generation import BLOCK_PATIENTS

    blocks = range(-(-patients // BLOCK_PATIENTS))
    sizes = [min(BLOCK_PATIENTS, patients - block * BLOCK_PATIENTS) for block in blocks]
    return _join([_block(seed, block, size, subgroup, hidden) for block, size in zip(blocks, sizes, strict=True)])


def audited_group(subgroup: str) -> tuple[str, str]:
    """Find the group of the audit that a bias of the simulator is planted against.

    Args:
        subgroup (`str`): As the simulator's `PlantedBias` names it.

    Returns:
        `tuple[str, str]`: Attribute and group.

    Raises:
        ValueError: If the audit has no such group.

    Examples:
        >>> audited_group("race=black"), audited_group("gender=female"), audited_group("rural")
        (('race', 'black'), ('sex', 'F'), ('place', 'rural'))
    """
    if subgroup in _OTHERS:
        return _OTHERS[subgroup]
    kind, _, value = subgroup.partition("=")
    if kind == "race" and value:
        return "race", str(race_names(pa.array([value]))[0])
    if kind == "gender" and value in SEXES:
        return "sex", SEXES[value]
    raise ValueError(f"expected a race, a gender or one of {list(_OTHERS)}, found {subgroup!r}")


def simulated_subgroup(planted: PlantedGap) -> str:
    """Name the group of a planted bias as the simulator does.

    Args:
        planted ([`PlantedGap`]): The bias of the audit.

    Returns:
        `str`: Such as `"race=black"`.

    Raises:
        ValueError: If the simulator has no such subgroup.

    Examples:
        >>> simulated_subgroup(PlantedGap("sex", "M", 0.5))
        'gender=male'
    """
    from claim_transformers.simulation.medicare.population import RACES

    names = {audited_group(f"race={race}"): f"race={race}" for race in RACES}
    names |= {audited_group(f"gender={gender}"): f"gender={gender}" for gender in SEXES}
    names |= {group: name for name, group in _OTHERS.items()}
    if (planted.attribute, planted.group) not in names:
        raise ValueError(f"expected one of {list(names)}, found {(planted.attribute, planted.group)}")
    return names[planted.attribute, planted.group]


def _block(seed: int, number: int, patients: int, subgroup: str, hidden: float) -> SimulatedStays:
    """Stays of the first patients of one block."""
    from claim_transformers.simulation.engine.calendar import Calendar
    from claim_transformers.simulation.medicare import PlantedBias
    from claim_transformers.simulation.medicare.generate import draw_world
    from claim_transformers.simulation.medicare.hazards import true_risk
    from claim_transformers.simulation.medicare.planted import HIDDEN_LOG_HAZARD, PlantedDrift
    from claim_transformers.simulation.medicare.stays import draw_stays

    bias = PlantedBias(subgroup, hidden=hidden)
    world, streams = draw_world(Calendar(START, END), seed, number, bias, PlantedDrift(END.year))
    stays, death_day = draw_stays(world, streams["risk"])
    kept = np.flatnonzero(_is_index_stay(world, stays, death_day) & (stays.patient < patients))
    unseen = np.float32(HIDDEN_LOG_HAZARD * hidden) * world.bias_members[stays.patient]
    _, risk = true_risk(replace(stays.hazards, boost=stays.hazards.boost * np.exp(-unseen)))
    attributes = {name: groups[kept] for name, groups in _attributes(world, stays).items()}
    labels = _readmitted(stays)[kept].astype(np.int64)
    return SimulatedStays(labels, risk[kept].astype(np.float64), attributes, stays.patient[kept].astype(np.int64))


def _is_index_stay(world: "World", stays: "Stays", death_day: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Stays for which the simulator writes a true risk, and whose window ends before the simulation does."""
    from claim_transformers.simulation.medicare.admission import DIED
    from claim_transformers.simulation.medicare.tables import covered

    found: NDArray[np.bool_] = (stays.disposition != DIED) & (stays.discharge + HORIZON_DAYS <= world.calendar.last)
    for day in (stays.admission, stays.discharge):
        found &= covered(world, death_day, stays.patient, day)
    return found


def _readmitted(stays: "Stays") -> NDArray[np.bool_]:
    """Whether the next stay of the patient begins in the window; whoever dies before it is not readmitted."""
    is_followed = np.r_[stays.patient[1:] == stays.patient[:-1], False]
    gap_days = np.r_[stays.admission[1:], 0] - stays.discharge
    found: NDArray[np.bool_] = is_followed & (gap_days <= HORIZON_DAYS)
    return found


def _attributes(world: "World", stays: "Stays") -> dict[str, TextArray]:
    """Groups of each stay, named as those of claims."""
    from claim_transformers.simulation.medicare.counties import counties
    from claim_transformers.simulation.medicare.population import DUAL_CODES, RACES

    patients = world.patients
    of_patient = {
        "sex": np.where(patients.male, SEXES["male"], SEXES["female"]),
        "race": race_names(pa.array(RACES))[patients.race],
        "entitlement": entitlement_names(pa.array(["0", "1", "2", "3"]))[patients.entitlement],
        "dual status": dual_names(pa.array(DUAL_CODES))[patients.dual],
        "region": census_regions(pa.array(counties().fips))[patients.county],
        "place": place_names(pa.array(patients.rural.astype(np.int8))),
    }
    # The index date is the day after the discharge.
    age_years = whole_years(patients.birth_day[stays.patient], stays.discharge + 1)
    found = {"age": age_bands(age_years)} | {name: groups[stays.patient] for name, groups in of_patient.items()}
    return {name: found[name] for name in ("sex", "age", "race", "entitlement", "dual status", "region", "place")}


def _join(parts: list[SimulatedStays]) -> SimulatedStays:
    """Stays of several blocks; patients are numbered on."""
    from claim_transformers.simulation.engine.generation import BLOCK_PATIENTS

    return SimulatedStays(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        {name: np.concatenate([part.attributes[name] for part in parts]) for name in parts[0].attributes},
        np.concatenate([part.patients + number * BLOCK_PATIENTS for number, part in enumerate(parts)]),
    )
