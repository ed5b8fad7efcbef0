"""The true risk of each patient, known because the causes are: for evaluation, never for training.

Three horizons are written. The chance within the month that begins at the index date is exact: it is the hazard that
the simulation itself draws from. The chances within 180 and 365 days are means over paths carried forward from a copy
of the full state. No outcome is drawn on such a path. The chance that none has happened is the product of `1 -
hazard` along the path on which none has happened, and its mean over paths is unbiased with far less noise than
counting outcomes (Rao-Blackwell; Casella and Robert, 1996).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from claim_transformers.simulation.engine.calendar import Bool, Calendar, Float, Int
from claim_transformers.simulation.pediatric import atopy, mood
from claim_transformers.simulation.pediatric.courses import join, take
from claim_transformers.simulation.pediatric.disease import History
from claim_transformers.simulation.pediatric.population import PediatricPopulation

OUTCOMES = ("asthma_hospitalization", "suicide_attempt")
_HORIZONS_DAYS = (180, 365)
# Paths are advanced together in batches small enough to stay in the processor's cache.
_BATCH_PATHS = 16_384


@dataclass
class TrueRisk:
    """True risks of one block, one entry per patient, index month, outcome and horizon."""

    patient: Int  # Position of the patient in the block.
    month: Int  # Month at whose first day the index date lies.
    outcome: NDArray[np.int8]  # Index into `OUTCOMES`.
    horizon_days: NDArray[np.int16]  # Length of the period at risk, the index date included.
    risk: Float  # Chance of at least one outcome for a patient who stays insured.


def true_risks(
    patients: PediatricPopulation,
    history: History,
    calendar: Calendar,
    replicates: int,
    generator: np.random.Generator,
) -> TrueRisk:
    """Write down the risk of both outcomes for everyone insured and able to have them.

    Asthma stays: patients who have or have had asthma. Suicide attempts: patients aged ten and over. The risk of
    anyone else within the month is zero.
    """
    months = np.arange(calendar.months, dtype=np.int32)[:, None]
    age = months - patients.birth_month[None, :]
    eligible = (history.ever_asthma > 0, age >= mood.MIN_AGE_YEARS * 12)
    parts = []
    for outcome, hazard in enumerate((history.stay_hazard, history.attempt_hazard)):
        month, patient = np.nonzero(patients.enrolled & eligible[outcome])
        month, patient = month.astype(np.int32), patient.astype(np.int32)
        days = calendar.last_day(month) - calendar.first_day(month) + 1
        parts.append(_risks(patient, month, outcome, days, hazard[month, patient]))
        if replicates:
            parts += _snapshot_risks(patients, history, calendar, outcome, eligible[outcome], replicates, generator)
    return TrueRisk(*(np.concatenate([getattr(part, name) for part in parts]) for name in TrueRisk.__annotations__))


def _risks(patient: Int, month: Int, outcome: int, horizon_days: Int | int, risk: Float) -> TrueRisk:
    """Risks of one outcome."""
    days = np.broadcast_to(np.asarray(horizon_days, dtype=np.int16), patient.shape)
    return TrueRisk(patient, month, np.full(len(patient), outcome, dtype=np.int8), days, risk.astype(np.float32))


def _snapshot_risks(
    patients: PediatricPopulation,
    history: History,
    calendar: Calendar,
    outcome: int,
    eligible: Bool,
    replicates: int,
    generator: np.random.Generator,
) -> list[TrueRisk]:
    """Risks over the long horizons from every snapshot, all snapshots together."""
    # A cohort may ask for coverage up to the index date, so those whose coverage ends the day before have a risk too.
    insured = patients.enrolled | np.roll(patients.enrolled, 1, axis=0)
    insured[0] = patients.enrolled[0]
    chosen = [np.flatnonzero(insured[month] & eligible[month]) for month in history.snapshots]
    if not chosen:
        return []
    patient = np.concatenate(chosen).astype(np.int32)
    month = np.repeat(history.snapshots, [len(index) for index in chosen])
    state: atopy.AtopyState | mood.MoodState
    if outcome:
        state = join([take(part, index) for part, index in zip(history.mood_states, chosen, strict=True)])
        quiet = state.ever.max(axis=0) + state.attempted == 0
    else:
        state = join([take(part, index) for part, index in zip(history.atopy_states, chosen, strict=True)])
        quiet = state.conditions[atopy.ASTHMA] == 0
    repeats = np.where(quiet, max(1, replicates // 4), replicates)
    # Each entry is repeated once per path; `bincount` over the same positions adds its paths up again.
    path = np.repeat(np.arange(len(patient)), repeats)
    survival = np.concatenate(
        [np.empty((len(_HORIZONS_DAYS), 0), dtype=np.float32)]
        + [
            survive(take(state, batch), month[batch], calendar, generator)
            for batch in np.split(path, range(_BATCH_PATHS, len(path), _BATCH_PATHS))
        ],
        axis=1,
    )
    risks = []
    for horizon, days in enumerate(_HORIZONS_DAYS):
        total = np.bincount(path, 1.0 - survival[horizon].astype(np.float64), len(patient))
        risks.append(_risks(patient, month, outcome, days, (total / repeats).astype(np.float32)))
    return risks


def survive(
    state: atopy.AtopyState | mood.MoodState, month: Int, calendar: Calendar, generator: np.random.Generator
) -> Float:
    """Chance of no outcome within each horizon along one path per entry, shape `(horizons, paths)`."""
    survival = np.ones((len(_HORIZONS_DAYS), len(month)), dtype=np.float32)
    start = calendar.first_day(month)
    for step in range(12):
        now = (month + step).astype(np.int32)
        if isinstance(state, atopy.AtopyState):
            hazard = atopy.advance(state, now, calendar, generator, stays=False).hazard
        else:
            hazard = mood.advance(state, now, calendar, generator, attempts=False).hazard
        first, last = calendar.first_day(now), calendar.last_day(now)
        for horizon, days in enumerate(_HORIZONS_DAYS):
            # An outcome falls on each day of its month alike, so a month cut by the horizon counts by its days.
            share = np.clip((start + days - first) / (last - first + 1), 0, 1).astype(np.float32)
            survival[horizon] *= 1.0 - share * hazard
    return survival
