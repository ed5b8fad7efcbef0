"""Drug fills: lasting treatment month by month while it is taken, the drug of a discharge, and short courses."""

import numpy as np

from claim_transformers.simulation.engine.calendar import Int
from claim_transformers.simulation.engine.fills import Fills, join_fills
from claim_transformers.simulation.engine.sampling import unit
from claim_transformers.simulation.medicare.causes import STAY_CAUSES
from claim_transformers.simulation.medicare.codebook import MedicareCodebook
from claim_transformers.simulation.medicare.community import Events
from claim_transformers.simulation.medicare.conditions import BURN_IN_MONTHS, CONDITIONS
from claim_transformers.simulation.medicare.sheets import some
from claim_transformers.simulation.medicare.stays import Stays, World

_MAIL_ORDER_SHARE = 0.4
_COURSES = (("antibiotic", 0.035), ("steroid", 0.012), ("pain_drug", 0.018))


def draw_fills(
    world: World, codes: MedicareCodebook, stays: Stays, visits: Events, generator: np.random.Generator
) -> Fills:
    """Fills of patients with drug coverage, in order of patient and day."""
    parts = _lasting(world, codes, generator)
    first_class = [_drug_of(cause.drug_condition) for cause in STAY_CAUSES]
    pools = codes.drugs.pool_ids(first_class)
    due = np.flatnonzero(stays.is_drug_due & stays.is_filled)
    wait = np.minimum(generator.geometric(0.5, len(due)) - 1, 6).astype(np.int32)
    parts.append(Fills(stays.patient[due], stays.discharge[due] + wait, pools[stays.cause[due]], _days(len(due), 30)))
    for name, share in _COURSES:
        given = some(len(visits), share, generator)
        given = given[world.patients.has_part_d[visits.patient[given]]]
        pool = np.full(len(given), codes.drugs.pool(name), dtype=np.int32)
        parts.append(Fills(visits.patient[given], visits.day[given], pool, _days(len(given), 10)))
    return join_fills(parts)


def _days(count: int, supply: int) -> Int:
    return np.full(count, supply, dtype=np.int32)


def _drug_of(condition: str) -> str:
    """First drug class of a condition; any class where there is none, because none is due then."""
    drugs = {item.name: item.drugs for item in CONDITIONS}
    return drugs[condition][0] if condition and drugs[condition] else "antibiotic"


def _lasting(world: World, codes: MedicareCodebook, generator: np.random.Generator) -> list[Fills]:
    """Monthly or quarterly fills of every drug class a patient is on."""
    patients = world.patients
    months = world.calendar.months
    on_drugs = world.community.on_drugs[:, BURN_IN_MONTHS:] > 0
    month_number = np.arange(months, dtype=np.int32)
    parts = []
    for position, condition in enumerate(CONDITIONS):
        onset = world.illness.onset_month[:, position]
        for number, drug in enumerate(condition.drugs):
            salt = 200 + position * 8 + number
            treated = unit(patients.key, salt) < condition.treated / (1.0 if number == 0 else 1.6)
            user = np.flatnonzero(treated & patients.has_part_d & (onset < months))
            every = np.where(unit(patients.key[user], salt + 4000) < _MAIL_ORDER_SHARE, 3, 1).astype(np.int32)
            phase = (unit(patients.key[user], salt + 5000) * 3).astype(np.int32)
            is_due = on_drugs[user] & (month_number >= onset[user, None])
            is_due &= (month_number + phase[:, None]) % every[:, None] == 0
            row, month = np.nonzero(is_due)
            month = month.astype(np.int32)
            # Each drug has its day of the month, from which fills stray by a few days.
            usual = (unit(patients.key[user], salt + 6000) * 24).astype(np.int32)[row]
            day = world.calendar.first_day(month) + usual + generator.integers(0, 5, len(row), dtype=np.int32)
            pool = np.full(len(row), codes.drugs.pool(drug), dtype=np.int32)
            parts.append(Fills(user[row].astype(np.int32), day, pool, every[row] * 30))
    return parts


def write_products(
    world: World, codes: MedicareCodebook, fills: Fills, generator: np.random.Generator
) -> tuple[Int, Int]:
    """Ingredient and product of every fill; patients stay with both, most of the time."""
    key = world.patients.key[fills.patient]
    ingredient = codes.drugs.draw_habit(fills.drug_class, key, fills.day, generator, 0.9)
    product = codes.products.draw_habit(ingredient, key, 0.85, generator)
    is_new = (fills.day >= world.drift.first_day) & (
        unit(key, ingredient.astype(np.uint64) + np.uint64(7000)) < codes.new_share
    )
    return ingredient, (product + is_new * np.int32(len(codes.products.vocabulary))).astype(np.int32)
