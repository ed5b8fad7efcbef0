"""What a cause of the true risk was worth: the same simulated life again without it, drawn with the same numbers.

Random numbers of a block are drawn by place, whatever they decide, so that a life without a cause differs from the
first one in what follows from that cause alone. The risk of both is a mean over paths that are drawn alike too.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.simulation.engine.calendar import Calendar, calendar_of
from claim_transformers.simulation.engine.generation import BLOCK_PATIENTS
from claim_transformers.simulation.engine.identifiers import patient_names
from claim_transformers.simulation.engine.random_streams import block_key_of, generator_of
from claim_transformers.simulation.pediatric.atopy import AtopyState
from claim_transformers.simulation.pediatric.courses import join, take
from claim_transformers.simulation.pediatric.disease import live
from claim_transformers.simulation.pediatric.institutions import INSTITUTIONS
from claim_transformers.simulation.pediatric.population import draw_population
from claim_transformers.simulation.pediatric.risk import survive
from reproduction.claim_pt.populations import PediatricPlan

# Events of asthma and conditions that its hazard depends on, each of which a claim can show.
CAUSES = ("asthma", "stay", "emergency", "steroid", "controller", "food_allergy", "rhinitis", "eczema", "obesity")
_PATHS = 256
_AT_ONCE = 16_384


def true_changes(plan: PediatricPlan, examples: pa.Table, causes: Sequence[str] = CAUSES) -> pa.Table:
    """Find the true risk of a stay for asthma within a year, and how much of it each cause brought.

    Args:
        plan ([`PediatricPlan`]): Whose children they are.
        examples (`pa.Table`): `patient_id` and `index_day`, on a first of January or July.
        causes (`Sequence[str]`, *optional*): Conditions that never begin in the other life, and events that never
            happen in it.

    Returns:
        `pa.Table`: In the order of the examples `risk`, and for each cause the risk minus that without it; positive
        where the cause raises the risk.

    Raises:
        ValueError: If a patient is none of the simulation, or an index day is no snapshot of it.
    """
    calendar = calendar_of(plan.start, plan.end, example="2010-01-01")
    month = calendar.month_of_day(examples["index_day"].to_numpy().astype(np.int32))
    if not np.isin(month, calendar.snapshots()).all():
        raise ValueError("expected index days on a first of January or July, found others")
    found = np.full((len(causes) + 1, examples.num_rows), np.nan)
    for number in range(-(-plan.patients // BLOCK_PATIENTS)):
        _block_risks(plan, number, calendar, examples["patient_id"], month, causes, found)
    if np.isnan(found).any():
        raise ValueError("expected patients of the simulation, found others")
    changes = {cause: found[0] - without for cause, without in zip(causes, found[1:], strict=True)}
    return pa.table({"risk": found[0], **changes})


def _block_risks(
    plan: PediatricPlan,
    number: int,
    calendar: Calendar,
    patient_ids: pa.ChunkedArray,
    month: NDArray[np.int32],
    causes: Sequence[str],
    found: NDArray[np.float64],
) -> None:
    """Fill in the risks of the examples of one block, with everything and without each cause."""
    place = INSTITUTIONS[plan.institution]
    key = block_key_of(f"{plan.seed}|{plan.institution}|{number}")
    people = generator_of(plan.seed, place.number, number, "people")
    patients = draw_population(BLOCK_PATIENTS, calendar, key, people)
    at = pc.index_in(patient_ids, value_set=patient_names(patients.key)).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(~np.isnan(at))
    if not len(rows):
        return
    at, when = at[rows].astype(np.int64), month[rows]
    as_it_was: AtopyState | None = None
    for place_of_cause, without in enumerate([(), *([cause] for cause in causes)]):
        history = live(patients, calendar, generator_of(plan.seed, place.number, number, "disease"), without=without)
        states = dict(zip(history.snapshots.tolist(), history.atopy_states, strict=True))
        state = join([take(states[int(one)], np.array([where])) for one, where in zip(when, at, strict=True)])
        as_it_was = as_it_was or state
        # What is taken away is the past: from the index date on a condition may begin as it might have.
        state = replace(state, proneness=as_it_was.proneness)
        found[place_of_cause, rows] = _risk(state, when, calendar, number)


def _risk(state: AtopyState, month: NDArray[np.int32], calendar: Calendar, seed: int) -> NDArray[np.float64]:
    """Chance of a stay within 365 days; the same seed draws the same paths for another state."""
    generator = np.random.Generator(np.random.Philox(seed))
    path = np.repeat(np.arange(len(month)), _PATHS)
    survival = [
        survive(take(state, part), month[part], calendar, generator)[-1]
        for part in np.split(path, range(_AT_ONCE, len(path), _AT_ONCE))
    ]
    total: NDArray[np.float64] = 1.0 - np.bincount(path, np.concatenate(survival)) / _PATHS
    return total
