"""The expected cost of each patient, by living the time after a date again: for evaluation, never for training.

What had happened by the date stays as it was: conditions, stays and what they left behind, visits. From then on
stays, deaths, visits, care and drugs are drawn anew, and an amount counts with its mean. The course of each condition
and of a patient's hidden instability is part of the patient and is not drawn anew, so the mean knows more than any
record tells: it is a bound, and what is left of it is chance alone.
"""

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.simulation.engine.calendar import Int, calendar_of
from claim_transformers.simulation.engine.generation import BLOCK_PATIENTS
from claim_transformers.simulation.engine.icd10 import check_coding
from claim_transformers.simulation.engine.identifiers import patient_names
from claim_transformers.simulation.medicare.care import write_care
from claim_transformers.simulation.medicare.codebook import MedicareCodebook, codebook_of
from claim_transformers.simulation.medicare.community import Contacts, Events, draw_contacts
from claim_transformers.simulation.medicare.fills import write_products
from claim_transformers.simulation.medicare.generate import MEDICARE_SIMULATION_VERSION, draw_world
from claim_transformers.simulation.medicare.planted import PlantedBias, PlantedDrift
from claim_transformers.simulation.medicare.stays import Stays, World, continue_stays, draw_stays
from claim_transformers.simulation.medicare.tables import MEAN_OVER_MEDIAN, fill_dollars

_EPOCH = dt.date(1970, 1, 1)
_VERSIONS = (MEDICARE_SIMULATION_VERSION - 1, MEDICARE_SIMULATION_VERSION)


def expected_costs(
    patients: int,
    seed: int,
    at: str,
    *,
    start: str = "2008-01-01",
    end: str = "2012-12-31",
    horizon_days: int = 365,
    replicates: int = 20,
    simulation_version: int | None = None,
) -> pa.Table:
    """Compute what each patient of a plain simulated population is expected to cost, given the patient's life so far.

    Args:
        patients (`int`): Number of patients, as of `simulate_medicare`.
        seed (`int`): Seed of the population.
        at (`str`): First day of the horizon, ISO, the first of a month.
        start (`str`, *optional*, defaults to `"2008-01-01"`): First day of the population.
        end (`str`, *optional*, defaults to `"2012-12-31"`): Last day.
        horizon_days (`int`, *optional*, defaults to `365`): Days whose claims count, by their first day.
        replicates (`int`, *optional*, defaults to `20`): Lives behind each mean. The mean of `R` lives errs by chance
            too: the unexplained variance of it is `1 + 1 / R` times that of the expectation.
        simulation_version (`int`, *optional*): As of `simulate_medicare`.

    Returns:
        `pa.Table`: `patient_id`, `index_date`, `horizon_days` and `allowed_amount`, the mean in US dollars of a
        patient who stays insured, for those alive at the date.

    Raises:
        ValueError: If the date or the horizon lies outside the window.

    Examples:
        >>> costs = expected_costs(20, 0, "2008-07-01", end="2008-12-31", horizon_days=90, replicates=1)
        >>> costs.column_names
        ['patient_id', 'index_date', 'horizon_days', 'allowed_amount']
    """
    calendar = calendar_of(start, end, example="2008-01-01")
    day = (dt.date.fromisoformat(at) - _EPOCH).days
    if not calendar.first < day or day + horizon_days - 1 > calendar.last or replicates < 1:
        raise ValueError("expected a date and a horizon inside the window and at least one life, found others")
    drift = PlantedDrift(calendar.end.year)
    codes = codebook_of(drift, check_coding(simulation_version, _VERSIONS, None))
    parts = []
    for number in range(-(-patients // BLOCK_PATIENTS)):
        world, streams = draw_world(calendar, seed, number, PlantedBias.of(0.0), drift)
        stays, death_day = draw_stays(world, streams["risk"])
        _insure_from(world, day)
        again, total = streams["again"], np.zeros(len(world.patients))
        for _ in range(replicates):
            total += _cost_of_a_life(world, codes, stays, death_day, day, horizon_days, again)
        kept = np.flatnonzero(death_day >= day)
        kept = kept[kept < patients - number * BLOCK_PATIENTS]
        names = patient_names(world.patients.key).take(pa.array(kept))
        parts.append(pa.table({"patient_id": names, "allowed_amount": total[kept] / replicates}))
    costs = pa.concat_tables(parts)
    date = pa.array(np.full(costs.num_rows, day, np.int32)).cast(pa.date32())
    horizon = pa.array(np.full(costs.num_rows, horizon_days, np.int16))
    return costs.add_column(1, "index_date", date).add_column(2, "horizon_days", horizon)


def _insure_from(world: World, day: int) -> None:
    """Keep whoever is insured in the month of a day insured to the end."""
    month = int(world.calendar.month_of_day(np.array([day]))[0])
    world.patients.enrolled[month:] |= world.patients.enrolled[month]


def _cost_of_a_life(
    world: World,
    codes: MedicareCodebook,
    stays: Stays,
    death_day: Int,
    day: int,
    horizon_days: int,
    again: np.random.Generator,
) -> NDArray[np.float64]:
    """What each patient costs in one life from the day on."""
    others = draw_contacts(world.patients, world.illness, world.community, world.calendar, world.drift, again)
    changed = replace(world, contacts=_switch(world.contacts, others, day))
    new_stays, new_deaths = continue_stays(changed, stays, death_day, day, again)
    care = write_care(changed, codes, new_stays, new_deaths, again, again)
    ingredient, _ = write_products(changed, codes, care.fills, again)
    spent = np.zeros(len(world.patients))
    for patient, begins, dollars in (
        (care.sheet.patient[care.lines.claim], care.sheet.start[care.lines.claim], care.lines.dollars),
        (care.fills.patient, care.fills.day, fill_dollars(ingredient, care.fills)),
    ):
        counts = (begins >= day) & (begins < day + horizon_days)
        spent += np.bincount(patient[counts], weights=dollars[counts], minlength=len(spent))
    return spent * MEAN_OVER_MEDIAN


def _switch(past: Contacts, future: Contacts, day: int) -> Contacts:
    """The visits of one life before a day and those of another from it on."""
    office, urgent = (_joined(getattr(past, kind), getattr(future, kind), day) for kind in ("office", "emergency"))
    observed = np.concatenate(
        [past.is_observation[past.emergency.day < day], future.is_observation[future.emergency.day >= day]]
    )
    return Contacts(office[0], urgent[0], observed[urgent[1]])


def _joined(past: Events, future: Events, day: int) -> tuple[Events, NDArray[np.int64]]:
    """Events of both in order of patient and day, and the order that brought them there."""
    early, late = past.day < day, future.day >= day
    columns = [
        np.concatenate([getattr(past, name)[early], getattr(future, name)[late]])
        for name in ("patient", "day", "reason")
    ]
    events = Events(*columns)
    order = np.argsort(events.keys(), kind="stable")
    return Events(*(column[order] for column in columns)), order
