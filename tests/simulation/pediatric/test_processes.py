import numpy as np
import pytest

from claim_transformers.simulation.engine.calendar import NEVER
from claim_transformers.simulation.engine.random_streams import generator_of
from claim_transformers.simulation.pediatric import atopy, mood
from claim_transformers.simulation.pediatric.care_chronic import draw_spans
from claim_transformers.simulation.pediatric.courses import _CANDIDATE_BYTES
from claim_transformers.simulation.pediatric.disease import live
from claim_transformers.simulation.pediatric.population import RACES, band_of_age, draw_population


def _rows(lived, take):
    """One flat array over all insured months of all blocks."""
    return np.concatenate([take(block)[block.patients.enrolled] for block in lived])


def _bands(lived, window):
    def band(block):
        age = np.arange(window.months)[:, None] - block.patients.birth_month
        return band_of_age()[np.clip(age, 0, 252)]

    return _rows(lived, band)


def _months_of(block, trait):
    return np.broadcast_to(trait, block.patients.enrolled.shape)


# Point prevalence at 5-9, 10-13 and 14-17 years; sources in docs/simulation.md.
RANGES = {
    "asthma": [(0.08, 0.15), (0.09, 0.16), (0.08, 0.16)],
    "eczema": [(0.06, 0.14), (0.05, 0.12), (0.04, 0.11)],
    "rhinitis": [(0.06, 0.14), (0.08, 0.18), (0.08, 0.18)],
    "obesity": [(0.05, 0.15), (0.1, 0.22), (0.14, 0.26)],
    "adhd": [(0.04, 0.09), (0.07, 0.13), (0.06, 0.12)],
    "anxiety": [(0.005, 0.03), (0.015, 0.05), (0.03, 0.08)],
    "conduct": [(0.015, 0.05), (0.03, 0.08), (0.03, 0.08)],
    "depression": [(0.0005, 0.006), (0.006, 0.025), (0.025, 0.08)],
    "bipolar": [(0.0001, 0.003), (0.001, 0.01), (0.005, 0.025)],
    "substance": [(0.0, 0.0001), (0.001, 0.01), (0.012, 0.05)],
}


@pytest.mark.parametrize("name", RANGES)
def test_prevalence_by_age_lies_in_the_published_range(lived, window, name):
    if name in atopy.CONDITIONS:
        present = _rows(lived, lambda block: block.history.conditions[:, atopy.CONDITIONS.index(name)])
    else:
        present = _rows(lived, lambda block: block.history.disorders[:, mood.DISORDERS.index(name)])
    bands = _bands(lived, window)
    for band, (low, high) in zip((3, 4, 5), RANGES[name], strict=True):
        assert low <= present[bands == band].mean() <= high


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("adhd", 1.6, 2.8), ("depression", 0.3, 0.75), ("conduct", 1.4, 2.6), ("anxiety", 0.5, 0.95)],
)
def test_boys_and_girls_differ_as_they_are_known_to(lived, name, low, high):
    present = _rows(lived, lambda block: block.history.disorders[:, mood.DISORDERS.index(name)])
    male = _rows(lived, lambda block: _months_of(block, block.patients.male))
    assert low <= present[male > 0].mean() / present[male == 0].mean() <= high


def test_eczema_makes_asthma_likelier(lived):
    eczema = _rows(lived, lambda block: block.history.conditions[:, atopy._ECZEMA])
    asthma = _rows(lived, lambda block: block.history.conditions[:, atopy.ASTHMA])
    assert asthma[eczema > 0].mean() > 1.8 * asthma[eczema == 0].mean()


def test_stays_for_asthma_happen_to_two_to_five_percent_of_asthmatic_children_a_year(lived):
    asthma = _rows(lived, lambda block: block.history.conditions[:, atopy.ASTHMA])
    stays = _rows(lived, lambda block: block.history.stay_hazard)
    assert 0.015 <= 12 * stays[asthma > 0].mean() <= 0.05
    assert stays[asthma == 0].max() == 0


def test_attempts_are_commoner_in_girls_and_absent_under_ten(lived, window):
    hazard = _rows(lived, lambda block: block.history.attempt_hazard)
    male = _rows(lived, lambda block: _months_of(block, block.patients.male))
    bands = _bands(lived, window)
    girls, boys = 12 * hazard[(bands == 5) & (male == 0)].mean(), 12 * hazard[(bands == 5) & (male > 0)].mean()
    assert 0.002 <= girls <= 0.009
    assert 1.8 <= girls / boys <= 6.0
    assert hazard[bands < 4].max() == 0


def test_asthma_stays_peak_in_september_and_rest_in_july(lived, window):
    stays = sum(block.history.stay_hazard.sum(axis=1) for block in lived)
    by_month = stays.reshape(-1, 12).sum(axis=0)
    assert by_month.argmax() in (8, 9)
    assert by_month.argmin() in (5, 6)


def test_events_follow_their_hazards(lived):
    for events, hazards in (("stay", "stay_hazard"), ("attempt", "attempt_hazard")):
        observed = sum(float(getattr(block.history, events).sum()) for block in lived)
        expected = sum(float(getattr(block.history, hazards).sum(dtype=np.float64)) for block in lived)
        assert abs(observed - expected) < 4 * np.sqrt(expected)


def test_a_recent_stay_raises_the_hazard_of_the_next(lived):
    after = before = months = 0.0
    for block in lived:
        month, patient = np.nonzero(block.history.stay[:-1])
        after += block.history.stay_hazard[month + 1, patient].sum()
        asthma = block.history.conditions[:, atopy.ASTHMA] > 0
        before += block.history.stay_hazard[asthma].mean()
        months += len(month)
    assert after / months > 5 * before / len(lived)


@pytest.mark.parametrize("process", [atopy, mood])
def test_no_monthly_rate_to_end_exceeds_the_share_of_candidates(process):
    assert process.SWITCHES.end.max() <= _CANDIDATE_BYTES / 256
    assert process.SWITCHES.onset.max() <= _CANDIDATE_BYTES / 256


@pytest.mark.parametrize("process", [atopy, mood])
def test_monthly_steps_flip_as_often_as_their_rates_say(process):
    size = 40_000
    generator = np.random.Generator(np.random.Philox(5))
    names = process.SWITCHES.names
    active, ones = np.ones((len(names), size), dtype=np.float32), np.ones((len(names), size), dtype=np.float32)
    zero = np.zeros(size, dtype=np.int32)
    age = np.full(size, 190, dtype=np.int32)
    expected = process.SWITCHES.end[0, :, 190]
    circumstances = (np.zeros(size, dtype=np.float32),)
    process.SWITCHES.move(active, ones.copy(), ones, circumstances, zero, zero, age, 1, generator)
    ended = (1 - active).mean(axis=1)
    assert np.all(np.abs(ended - expected) < 5 * np.sqrt(expected / size) + 1e-4)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("diabetes", 0.0008, 0.004),
        ("seizure", 0.004, 0.016),
        ("autism", 0.007, 0.03),
        ("heart_defect", 0.003, 0.014),
        ("cystic_fibrosis", 0.0, 0.0015),
    ],
)
def test_chronic_courses_have_their_prevalence_at_ten_years(lived, name, low, high):
    found = []
    for number, block in enumerate(lived):
        spans = draw_spans(block.patients, generator_of(11, 0, number, "care"))[name]
        month = block.patients.birth_month + 120
        found.append((spans.start <= month) & (month < spans.end))
    assert low <= np.concatenate(found).mean() <= high


def test_sickle_cell_disease_is_a_disease_of_black_children(lived):
    black, others = [], []
    for number, block in enumerate(lived):
        sick = draw_spans(block.patients, generator_of(11, 0, number, "care"))["sickle_cell"].start < NEVER
        is_black = block.patients.race == RACES.index("black")
        black.append(sick[is_black])
        others.append(sick[~is_black])
    assert np.concatenate(black).mean() > 10 * np.concatenate(others).mean()


@pytest.mark.parametrize("cause", ["stay", "controller", "food_allergy"])
def test_a_life_without_a_cause_differs_in_what_follows_from_it_alone(window, cause):
    patients = draw_population(400, window, 7, generator_of(3, 0, 0, "people"))
    as_it_was, without = (
        live(patients, window, generator_of(3, 0, 0, "disease"), without=given) for given in ((), (cause,))
    )
    if cause == "food_allergy":
        had = as_it_was.atopy_states[-1].ever[atopy._FOOD] > 0
        assert not without.conditions[:, atopy._FOOD].any()
    else:
        # What happened before the window is forgotten slowly, so only the memory of it tells of all of it.
        memory = {"stay": "stays", "controller": "prescribed"}[cause]
        had = getattr(as_it_was.atopy_states[-1], memory) + as_it_was.stay.sum(axis=0) * (cause == "stay") > 0
        assert not getattr(without, cause).any()
    assert 0 < had.sum() < 400
    np.testing.assert_array_equal(as_it_was.attempt, without.attempt)
    hazards = np.stack([as_it_was.stay_hazard, without.stay_hazard])[:, :54]
    np.testing.assert_array_equal(hazards[0][:, ~had], hazards[1][:, ~had])
    assert (hazards[0] != hazards[1]).any()
