"""Parts that both disease processes share: states that switch on and off, and memories of events that fade."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from .calendar import Float, Int
from .population import MAX_AGE_MONTHS, by_age

State = TypeVar("State", bound=Any)


def take(state: State, index: Int) -> State:
    """Copy the patients at `index` out of a state, repeating and reordering as asked.

    Args:
        state: Dataclass whose arrays have patients on their last axis.
        index (`np.ndarray`): Positions of patients.

    Returns:
        The same dataclass with new arrays.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Weights:
        ...     kilograms: np.ndarray
        >>> take(Weights(np.array([3.0, 4.0])), np.array([1, 1])).kilograms.tolist()
        [4.0, 4.0]
    """
    return replace(state, **{item.name: getattr(state, item.name)[..., index] for item in fields(state)})


def join(states: list[State]) -> State:
    """Put the patients of several states behind one another.

    Args:
        states: Dataclasses of one type whose arrays have patients on their last axis.

    Returns:
        One dataclass of that type.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Weights:
        ...     kilograms: np.ndarray
        >>> join([Weights(np.array([3.0])), Weights(np.array([4.0]))]).kilograms.tolist()
        [3.0, 4.0]
    """
    names = [item.name for item in fields(states[0])]
    return replace(
        states[0], **{name: np.concatenate([getattr(state, name) for state in states], axis=-1) for name in names}
    )


def monthly(annual: tuple[tuple[float, ...], ...]) -> Float:
    """Monthly rates by condition and month of age from annual rates per age band.

    Args:
        annual (`tuple[tuple[float, ...], ...]`): One row of seven rates per condition.

    Returns:
        `np.ndarray` of shape `(conditions, months of age)`.

    Examples:
        >>> monthly(((0.12,) * 7,)).shape
        (1, 253)
    """
    return np.stack([by_age(row) for row in annual]) / np.float32(12)


def age_months(month: int | Int, birth_month: Int) -> Int:
    """Age in whole months at the start of a month, from 0 to the oldest age."""
    ages: Int = np.clip(month - birth_month, 0, MAX_AGE_MONTHS)
    return ages


def switch(active: Float, onset: Float, end: Float, generator: np.random.Generator) -> None:
    """Let each state begin with chance `onset` where it is off and end with chance `end` where it is on, in place.

    Args:
        active (`np.ndarray` of `float32`): 0 or 1 per state.
        onset (`np.ndarray`): Chance to begin.
        end (`np.ndarray`): Chance to end.
        generator (`np.random.Generator`): Stream.

    Examples:
        >>> active = np.array([0.0, 1.0], dtype=np.float32)
        >>> switch(active, np.ones(2), np.ones(2), np.random.Generator(np.random.Philox(0)))
        >>> active.tolist()
        [1.0, 0.0]
    """
    flips = generator.random(active.shape, dtype=np.float32) < onset + active * (end - onset)
    active += flips * (1.0 - 2.0 * active)


def occurs(chance: Float, generator: np.random.Generator) -> Float:
    """Draw one event per entry, 1 where it happens."""
    return (generator.random(chance.shape, dtype=np.float32) < chance).astype(np.float32)


def noise(shape: tuple[int, ...], generator: np.random.Generator) -> Float:
    """Uniform noise of mean zero and variance one, which a slow process turns into nearly normal noise."""
    drawn = generator.random(shape, dtype=np.float32)
    drawn -= np.float32(0.5)
    drawn *= np.float32(12**0.5)
    return drawn
