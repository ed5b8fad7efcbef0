"""Parts that both disease processes share: states that switch on and off, and memories of events that fade."""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from claim_transformers.simulation.engine.calendar import Float, Int
from claim_transformers.simulation.pediatric.population import MAX_AGE_MONTHS, by_age

_State = TypeVar("_State", bound=Any)

# Of 256 equally likely bytes, those that make a candidate for a flip; no monthly rate exceeds the share.
_CANDIDATE_BYTES = 20


def take(state: _State, index: Int) -> _State:
    """Copy the patients at `index` out of a state, repeating and reordering as asked."""
    return replace(state, **{item.name: getattr(state, item.name)[..., index] for item in fields(state)})


def join(states: list[_State]) -> _State:
    """Put the patients of several states behind one another."""
    names = [item.name for item in fields(states[0])]
    return replace(
        states[0], **{name: np.concatenate([getattr(state, name) for state in states], axis=-1) for name in names}
    )


def monthly(annual: tuple[tuple[float, ...], ...]) -> Float:
    """Monthly rates by condition and month of age from annual rates per age band."""
    return np.stack([by_age(row) for row in annual]) / np.float32(12)


def age_months(month: int | Int, birth_month: Int) -> Int:
    """Age in whole months at the start of a month, from 0 to the oldest age."""
    ages: Int = np.clip(month - birth_month, 0, MAX_AGE_MONTHS)
    return ages


@dataclass(frozen=True)
class Switches:
    """Rates at which the conditions of one process begin and end."""

    names: tuple[str, ...]  # Conditions.
    onset: Float  # Monthly rate by sex (girls first), condition and month of age.
    end: Float  # Monthly rate to end by grade, condition and month of age.
    # For each condition, what raises its onset: the number of a condition or, counted on from the last condition, of a
    # circumstance, and by how much its presence raises the rate.
    influences: tuple[tuple[tuple[int, float], ...], ...]
    recurrence: float  # By how much a condition present before raises its own onset.

    def move(
        self,
        active: Float,
        ever: Float,
        proneness: Float,
        circumstances: tuple[Float, ...],
        sex: Int,
        grade: Int,
        age: Int,
        months: float,
        generator: np.random.Generator,
    ) -> None:
        """Let conditions begin and end over a period, in place and in the order of `names`.

        A flip within a month is rare. So a candidate is drawn first, with a chance that no monthly rate exceeds, and
        the rate is worked out for candidates alone. A longer period makes everyone a candidate.

        `active`, `ever` and `proneness`, the patient's multiplier of each onset, have the shape `(conditions,
        patients)`; `circumstances` are what else `influences` points to. `sex` is the first index of `onset`, `grade`
        that of `end`; `age` is in months at the start of the period of some `months`, negative before birth.
        """
        count = len(age)
        monthly_step = months <= 1
        ceiling = _CANDIDATE_BYTES / 256 if monthly_step else 1.0
        influencing = (*active, *circumstances)
        # One flat position per table and patient: a plain take is several times as fast as indexing with three arrays.
        onset, end = self.onset.ravel(), self.end.ravel()
        born = age >= 0
        # Flat positions of condition 0: table of the sex or grade, then age. A condition further is one row of ages
        # further, which the loop adds. Both tables have the same rows, so only the first index differs.
        onset_at = sex * (self.onset.shape[1] * self.onset.shape[2]) + np.maximum(age, 0)
        end_at = (grade - sex) * (self.end.shape[1] * self.end.shape[2]) + onset_at
        if monthly_step:
            flat = np.flatnonzero(generator.integers(0, 256, active.size, dtype=np.uint8) < _CANDIDATE_BYTES)
        else:
            flat = np.arange(active.size)
        # Candidates are positions in `(conditions, patients)`, in order: each condition has a run of its own.
        bounds = np.searchsorted(flat, np.arange(len(self.names) + 1) * count)
        uniform = generator.random(len(flat), dtype=np.float32)
        for condition, influences in enumerate(self.influences):
            drawn = slice(bounds[condition], bounds[condition + 1])
            at = flat[drawn] - condition * count
            row, present = onset_at[at] + condition * self.onset.shape[2], active[condition][at]
            chance = onset[row] * proneness[condition][at]
            chance *= 1 + np.float32(self.recurrence) * ever[condition][at]
            for other, weight in influences:
                chance *= 1 + np.float32(weight) * influencing[other][at]
            # Where the condition is present the chance to begin is replaced by the chance to end, without branching.
            chance += present * (end[end_at[at] + condition * self.end.shape[2]] - chance)
            chance *= born[at] * np.float32(months / ceiling)
            flips = at[uniform[drawn] < chance]
            active[condition, flips] = 1 - active[condition, flips]
            ever[condition, flips] = 1


def switch(active: Float, onset: Float, end: Float, generator: np.random.Generator) -> None:
    """Let a state begin with chance `onset` where it is off and end with chance `end` where it is on, in place."""
    flips = np.flatnonzero(generator.random(active.shape, dtype=np.float32) < onset + active * (end - onset))
    active[flips] = 1 - active[flips]


def occurs(chance: Float, generator: np.random.Generator) -> Float:
    """Draw one event per entry, 1 where it happens."""
    return (generator.random(chance.shape, dtype=np.float32) < chance).astype(np.float32)


def noise(shape: tuple[int, ...], generator: np.random.Generator) -> Float:
    """Uniform noise of mean zero and variance one, which a slow process turns into nearly normal noise."""
    drawn = generator.random(shape, dtype=np.float32)
    drawn -= np.float32(0.5)
    drawn *= np.float32(12**0.5)
    return drawn
