"""From visits to the codes on their claims: diagnoses, services, procedures and the dates of stays."""

from dataclasses import dataclass, replace

import numpy as np

from claim_transformers.simulation.engine.calendar import Bool, Int
from claim_transformers.simulation.engine.fills import Fills
from claim_transformers.simulation.pediatric import atopy, mood
from claim_transformers.simulation.pediatric.block import Block, Visits
from claim_transformers.simulation.pediatric.causes import BEHAVIOURAL, COURSES, EMERGENCY, PREVENTIVE, STAY
from claim_transformers.simulation.pediatric.codebook import EXTRA_SERVICE, FIRST_SERVICE, PediatricCodebook
from claim_transformers.simulation.pediatric.population import MAX_AGE_MONTHS, band_of_age

_DIAGNOSES = 5
_PROCEDURES = 2
# Weight with which a visit for another reason names a state of the two disease processes.
_STATE_MENTION = {
    "eczema": 0.25, "food_allergy": 0.3, "rhinitis": 0.35, "obesity": 0.2, "asthma": 0.7,
    "adhd": 0.5, "anxiety": 0.5, "conduct": 0.4, "depression": 0.7, "bipolar": 0.7, "substance": 0.5,
}  # fmt: skip
_STATE_POOL = {"asthma": "asthma_other", "depression": "depression_mild"}
_SERVICE_SLOTS = 8


@dataclass
class Claims:
    """Claims of one block, one entry per claim unless said otherwise."""

    visits: Visits  # Where each claim comes from.
    end: Int  # Last day: the discharge of a stay, else the day of the visit.
    diagnoses: Int  # Codes of `PediatricCodebook.diagnoses`, `-1` for none, shape `(claims, _DIAGNOSES)`.
    procedures: Int  # Codes of `PediatricCodebook.procedures`, `-1` for none, shape `(claims, _PROCEDURES)`.
    services: Int  # Codes of `PediatricCodebook.services`, `-1` for none, shape `(claims, _SERVICE_SLOTS)`.
    # Whether the claim is coded in ICD-10: positions are then those of `icd10_diagnoses.vocabulary` and
    # `icd10_procedures.vocabulary`.
    is_icd10: Bool


def write_codes(block: Block, visits: Visits, presence: Bool) -> Claims:
    """Draw everything that stands on the claims of a block."""
    end = _ends(block, visits)
    services = _services(block, visits)
    stays = np.flatnonzero(visits.kind == STAY)
    procedures = np.full((len(visits), _PROCEDURES), -1, dtype=np.int32)
    for slot, share in enumerate((1.0, 0.25)):
        # Dividing by the share leaves that share of the numbers below one, where menus choose; the rest choose
        # nothing.
        uniform = block.generator.random(len(stays), dtype=np.float32) / np.float32(share)
        pool = block.codes.procedure.choose(visits.cause[stays], np.minimum(uniform, 1.5))
        done = np.flatnonzero(pool >= 0)
        uniform = block.generator.random(len(done), dtype=np.float32)
        procedures[stays[done], slot] = block.codes.procedures.draw(pool[done], uniform)
    repeated = (procedures[:, 1] == procedures[:, 0]) | (procedures[:, 0] < 0)
    procedures[repeated, 1] = -1
    in_icd9 = np.zeros(len(visits), dtype=np.bool_)
    return Claims(visits, end, _diagnoses(block, visits, presence), procedures, services, in_icd9)


def rewrite_in_icd10(block: Block, claims: Claims, first_day: int, generator: np.random.Generator) -> Claims:
    """Rewrite the claims that end on a day or later, from a stream that nothing else draws from."""
    is_icd10 = claims.end >= first_day
    if not is_icd10.any():
        return claims
    key = block.patients.key[claims.visits.patient]
    diagnoses = block.codes.icd10_diagnoses.rewrite(claims.diagnoses, key, is_icd10, generator)
    procedures = block.codes.icd10_procedures.rewrite(claims.procedures, key, is_icd10, generator)
    return replace(claims, diagnoses=diagnoses, procedures=procedures, is_icd10=is_icd10)


def _ends(block: Block, visits: Visits) -> Int:
    """Last day of every claim; a stay ends with coverage, life or the next admission at the latest."""
    end = visits.day.copy()
    stays = np.flatnonzero(visits.kind == STAY)
    patient, day, cause = visits.patient[stays], visits.day[stays], visits.cause[stays]
    mean = block.codes.stay_days[cause]
    preterm = visits.pool[stays] == block.codes.diagnoses.pool("prematurity")
    mean = np.where(preterm & (visits.cause[stays] == block.codes.cause_of["newborn"]), np.float32(14), mean)
    shape = block.generator.standard_gamma(2.0, len(stays), dtype=np.float32) / 2
    last = day + np.maximum(np.rint(mean * shape), 1).astype(np.int32)
    month = block.calendar.month_of_day(day)
    last = np.minimum(last, block.calendar.last_day(block.last_month[month, patient]))
    last = np.minimum(last, block.patients.death_day[patient])
    followed = np.flatnonzero(patient[1:] == patient[:-1])
    last[followed] = np.minimum(last[followed], day[followed + 1])
    end[stays] = np.maximum(last, day)
    return end


class _Appender:
    """Rows that are filled from the left, without gaps and without a code twice."""

    def __init__(self, rows: int) -> None:
        self.codes: Int = np.full((rows, _DIAGNOSES), -1, dtype=np.int32)
        self._filled = np.zeros(rows, dtype=np.int32)

    def append(self, rows: Int, codes: Int) -> None:
        """Add one code to each of some rows that still have room."""
        new = (self.codes[rows] != codes[:, None]).all(axis=1) & (self._filled[rows] < _DIAGNOSES)
        rows, codes = rows[new], codes[new]
        self.codes[rows, self._filled[rows]] = codes
        self._filled[rows] += 1


def _diagnoses(block: Block, visits: Visits, presence: Bool) -> Int:
    """Reason, companion, circumstances and other conditions, in this order."""
    table, generator, repeat = block.codes.diagnoses, block.generator, block.institution.repeat
    key = block.patients.key[visits.patient]
    rows = _Appender(len(visits))
    everyone = np.arange(len(visits))
    rows.codes[:, 0] = table.draw_habit(visits.pool, key, repeat, generator)
    rows._filled[:] = 1
    offered = np.flatnonzero(block.codes.companion.offered[visits.cause])
    pool = block.codes.companion.choose(visits.cause[offered], generator.random(len(offered), dtype=np.float32))
    chosen, pool = offered[pool >= 0], pool[pool >= 0]
    rows.append(chosen, table.draw_habit(pool, key[chosen], repeat * 0.5, generator))
    # The external cause of self-harm is the outcome itself and is never left out.
    harmed = everyone[visits.cause == block.codes.cause_of["self_harm"]]
    cause_pool = np.full(len(harmed), table.pool("self_harm_cause"), dtype=np.int32)
    rows.append(harmed, table.draw_habit(cause_pool, key[harmed], repeat, generator))
    for name, at in _markers(block, visits):
        marker = np.full(len(at), table.pool(name), dtype=np.int32)
        rows.append(at, table.draw_habit(marker, key[at], repeat, generator))
    _add_comorbidities(block, visits, presence, rows, key)
    return rows.codes


def _markers(block: Block, visits: Visits) -> list[tuple[str, Int]]:
    """Circumstances that show through on claims, each with the visits that name it."""
    patients, history, scale = block.patients, block.history, block.institution.marker_mention
    month = block.calendar.month_of_day(visits.day)
    patient, kind = visits.patient, visits.kind
    names = block.codes.causes
    of_asthma = np.array([cause.name.startswith("asthma") for cause in names])[visits.cause]
    of_mind = (kind == BEHAVIOURAL) | np.array([cause.name in (*mood.DISORDERS, "mind_emergency") for cause in names])[
        visits.cause
    ]
    control = history.control[month, patient]
    unprotected = history.prescribed[month, patient] * (1 - history.controller[month, patient])
    crisis = history.crisis[month, patient]
    abused = month >= patients.abuse_month[patient]
    seen = (kind == EMERGENCY) | (kind == STAY)
    chances = {
        "breathing_distress": of_asthma * np.clip(0.06 + 0.2 * control, 0, 0.5),
        "steroid_exposure": of_asthma * 0.16 * history.recent_steroid[month, patient],
        "nonadherence": of_asthma * 0.14 * unprotected,
        "smoke_exposure": patients.smoke[patient] * (0.015 + 0.09 * of_asthma),
        "hardship": patients.hardship[patient] * (0.025 + 0.08 * of_mind),
        "suicidal_ideation": of_mind * np.clip(0.16 * crisis - 0.04, 0, 0.4) * (1 + seen),
        "emotional_symptom": of_mind * np.clip(0.05 + 0.07 * crisis, 0, 0.3),
        "family_conflict": of_mind * (0.04 + 0.06 * patients.hardship[patient]),
        "abuse": abused * (0.012 + 0.09 * of_mind),
        "tobacco": (visits.cause == block.codes.cause_of["substance"]) * 0.12,
    }
    drawn = []
    for name, chance in chances.items():
        possible = np.flatnonzero(chance)
        drawn.append((name, possible[block.happen((chance[possible] * scale).astype(np.float32))]))
    return drawn


def _add_comorbidities(
    block: Block, visits: Visits, presence: Bool, rows: _Appender, key: np.ndarray[tuple[int], np.dtype[np.uint64]]
) -> None:
    """Other conditions of the patient, named now and then."""
    table, history = block.codes.diagnoses, block.history
    states = [_STATE_POOL.get(name, name) for name in _STATE_MENTION]
    pools = table.pool_ids(states + [course.pool for course in COURSES])
    weights = np.array([*_STATE_MENTION.values(), *[course.mention for course in COURSES]], dtype=np.float32)
    # Allergic states, mental disorders and courses side by side on the last axis, in the order of `weights`.
    active = np.empty((*presence.shape[:2], len(weights)), dtype=np.bool_)
    active[..., : len(atopy.CONDITIONS)] = history.conditions.swapaxes(1, 2)
    active[..., len(atopy.CONDITIONS) : len(states)] = history.disorders.swapaxes(1, 2)
    active[..., len(states) :] = presence
    month = block.calendar.month_of_day(visits.day)
    for _ in range(2):
        mention = block.happen(np.full(len(visits), block.institution.comorbidity_mention, dtype=np.float32))
        at = np.flatnonzero(mention)
        here = active[month[at], visits.patient[at]]
        # A stay that names asthma is a stay for asthma: a visit is a bag of codes, and no position tells them apart.
        here[visits.kind[at] == STAY, atopy.ASTHMA] = False
        ill = here.any(axis=1)
        at, here = at[ill], here[ill]
        score = block.generator.random(here.shape, dtype=np.float32) * weights * here
        best = np.argmax(score, axis=1)
        sure = score[np.arange(len(at)), best] > 0.12
        at, pool = at[sure], pools[best[sure]]
        rows.append(at, table.draw_habit(pool, key[at], block.institution.repeat, block.generator))


def _services(block: Block, visits: Visits) -> Int:
    """Services billed: the visit itself and what the menus of its cause add."""
    table, generator, codes = block.codes.services, block.generator, block.codes
    random = generator.random
    services = np.full((len(visits), _SERVICE_SLOTS), -1, dtype=np.int32)
    first = table.pool_ids([FIRST_SERVICE[kind] for kind in range(len(FIRST_SERVICE))])[visits.kind]
    age = block.calendar.month_of_day(visits.day) - block.patients.birth_month[visits.patient]
    band = band_of_age()[np.clip(age, 0, MAX_AGE_MONTHS)]
    check_up = visits.kind == PREVENTIVE
    # The pools of check-ups stand in order of age band in the table, so the band is the distance from the first.
    first = np.where(check_up, table.pool("visit_preventive_0") + band, first)
    # The psychotherapy codes were replaced on January 1, 2013 (CMS, Physician Fee Schedule final rule for 2013).
    replaced = (visits.kind == BEHAVIOURAL) & (visits.day >= np.datetime64("2013-01-01").astype(np.int32))
    first = np.where(replaced, table.pool("visit_behaviour_from_2013"), first)
    grave = np.isin(
        visits.cause, [codes.cause_of[name] for name in ("asthma_emergency", "self_harm", "mind_emergency")]
    )
    first = np.where(grave & (visits.kind == EMERGENCY), table.pool("visit_emergency_severe"), first).astype(np.int32)
    services[:, 0] = table.draw_habit(first, block.patients.key[visits.patient], 0.4, generator)
    for slot, menu in enumerate(codes.service_menus, start=1):
        at = np.flatnonzero(menu.offered[visits.cause])
        pool = menu.choose(visits.cause[at], random(len(at), dtype=np.float32))
        at, pool = at[pool >= 0], pool[pool >= 0]
        services[at, slot] = table.draw(pool, random(len(at), dtype=np.float32))
    stays = np.flatnonzero(visits.kind == STAY)
    for slot, name in ((4, "visit_stay_daily"), (5, "visit_stay_last")):
        pool = np.full(len(stays), table.pool(name), dtype=np.int32)
        services[stays, slot] = table.draw(pool, random(len(stays), dtype=np.float32))
    _add_vaccines(block, services, np.flatnonzero(check_up), band)
    extra = table.pool_ids([EXTRA_SERVICE[kind][0] for kind in range(len(EXTRA_SERVICE))])[visits.kind]
    often = np.array([EXTRA_SERVICE[kind][1] for kind in range(len(EXTRA_SERVICE))], dtype=np.float32)[visits.kind]
    at = np.flatnonzero(block.happen(often))
    services[at, -1] = table.draw(extra[at], random(len(at), dtype=np.float32))
    # A code is billed once per claim.
    for slot in range(1, _SERVICE_SLOTS):
        again = (services[:, :slot] == services[:, slot, None]).any(axis=1)
        services[again, slot] = -1
    return services


def _add_vaccines(block: Block, services: Int, check_ups: Int, band: Int) -> None:
    """Vaccines of check-ups: several in infancy, few later."""
    table, random = block.codes.services, block.generator.random
    chance = np.array([0.8, 0.6, 0.35, 0.3, 0.4, 0.3, 0.12], dtype=np.float32)[band[check_ups]]
    given = check_ups[random(len(check_ups), dtype=np.float32) < chance]
    # Pools of vaccines stand in order of age band too.
    pool = (table.pool("vaccine_0") + band[given]).astype(np.int32)
    admin = np.full(len(given), table.pool("vaccine_admin"), dtype=np.int32)
    services[given, 3] = table.draw(admin, random(len(given), dtype=np.float32))
    for slot, more in ((4, np.float32(1.0)), (5, np.float32(0.5)), (6, np.float32(0.3))):
        again = random(len(given), dtype=np.float32) < more * (1.2 - 0.13 * band[given])
        services[given[again], slot] = table.draw(pool[again], random(int(again.sum()), dtype=np.float32))


def add_visit_fills(block: Block, visits: Visits, end: Int) -> None:
    """Prescriptions written at visits and filled within days."""
    generator = block.generator
    for menu in block.codes.drug_menus:
        at = np.flatnonzero(menu.offered[visits.cause])
        pool = menu.choose(visits.cause[at], generator.random(len(at), dtype=np.float32))
        at, pool = at[pool >= 0], pool[pool >= 0]
        wait = np.minimum(generator.geometric(0.75, len(at)) - 1, 9).astype(np.int32)
        supply = np.array([5, 7, 10, 10, 14, 30], dtype=np.int32)[generator.integers(0, 6, len(at))]
        block.add_fills(visits.patient[at], (end[at] + wait).astype(np.int32), pool, supply)


def write_products(block: Block, fills: Fills) -> tuple[Int, Int]:
    """Ingredient and product of every fill; patients stay with both, most of the time."""
    codes: PediatricCodebook = block.codes
    key = block.patients.key[fills.patient]
    ingredient = codes.drugs.draw_habit(fills.drug_class, key, 0.88, block.generator)
    product = codes.products.draw_habit(ingredient, key, 0.82, block.generator)
    return ingredient, product
