import numpy as np
import pytest

from claim_transformers.simulation.medicare.admission import _UNRESOLVED
from claim_transformers.simulation.medicare.community import last_before
from claim_transformers.simulation.medicare.hazards import Discharge, follow_up_chance, true_risk
from claim_transformers.simulation.medicare.population import _BLACK
from claim_transformers.simulation.medicare.stays import _elevated, _take, _Waiting


def _excess(risk, happened):
    """Standardised difference between what happened and what was expected."""
    return (happened.sum() - risk.sum()) / np.sqrt((risk * (1 - risk)).sum())


@pytest.mark.parametrize("outcome", ["any", "unplanned"])
def test_true_risk_equals_the_observed_rate_in_every_decile(indexed, outcome):
    risk, happened = indexed.risk_any, indexed.is_readmitted
    if outcome == "unplanned":
        risk, happened = indexed.risk_unplanned, indexed.is_readmitted_unplanned
    decile = np.searchsorted(np.quantile(risk, np.linspace(0, 1, 11)[1:-1]), risk)
    differences = [_excess(risk[decile == number], happened[decile == number]) for number in range(10)]
    assert np.abs(differences).max() < 3.5
    assert abs(_excess(risk, happened)) < 3


def test_true_risk_is_calibrated_in_every_subgroup(lived, indexed):
    def of(name):
        return np.concatenate([getattr(block.world.patients, name)[indexed.patient[indexed.block == number]]
                               for number, block in enumerate(lived)])  # fmt: skip

    groups = [
        of("male"),
        of("race") == _BLACK,
        of("dual") > 0,
        of("entitlement") > 0,
        of("rural"),
        of("deprivation") > 1,
    ]
    for group in groups:
        assert abs(_excess(indexed.risk_any[group], indexed.is_readmitted[group])) < 3.5


def test_the_rate_of_readmission_is_near_the_one_reported_for_medicare(indexed):
    assert 0.15 < indexed.is_readmitted.mean() < 0.19
    assert 0.13 < indexed.is_readmitted_unplanned.mean() < indexed.is_readmitted.mean()


def test_true_risk_equals_the_share_of_paths_that_end_in_a_readmission():
    count = 60_000
    generator = np.random.Generator(np.random.Philox(5))

    def same(value):
        return np.full(count, value, dtype=np.float32)

    discharge = Discharge(same(0.0012), same(4.0), same(0.001), same(0.002), same(1.1), same(0.7))
    visit = generator.random((count, 30)) < follow_up_chance(discharge)
    waiting = _Waiting(
        patient=np.arange(count), since=np.zeros(count, dtype=np.int32), is_after_stay=np.ones(count, dtype=bool),
        unplanned_factor=same(1), discharge=discharge,
        follow_up=np.where(visit.any(axis=1), visit.argmax(axis=1) + 1, -1),
        is_filled=generator.random(count) < 0.7, last_cause=np.zeros(count), memory=same(0),
    )  # fmt: skip
    hazards = _first_days(_take(waiting, np.arange(count)))
    reach = generator.standard_exponential(count)
    day = (np.cumsum(hazards.sum(axis=0), axis=1) <= reach[:, None]).sum(axis=1)
    inside = np.flatnonzero(day < 30)
    shares = hazards[:, inside, day[inside]] / hazards[:, inside, day[inside]].sum(axis=0)
    unplanned, either = true_risk(discharge)
    assert shares[0].sum() / count == pytest.approx(unplanned[0], abs=0.005)
    assert shares[:2].sum() / count == pytest.approx(either[0], abs=0.005)


def _first_days(waiting):
    """Hazards of the first 30 days, for which the world is not asked."""

    class Nowhere:
        class community:  # noqa: N801
            unplanned = planned = death = np.zeros((60_000, 1), dtype=np.float32)

        @staticmethod
        def month(day):
            return np.zeros(len(day), dtype=np.int32)

    return _elevated(Nowhere, waiting)[:, :, :30]


def test_the_order_of_an_emergency_and_an_office_visit_moves_the_risk(lived):
    ratios = []
    for block in lived:
        stays, contacts = block.stays, block.world.contacts
        first = np.flatnonzero(np.append(True, stays.patient[1:] != stays.patient[:-1]) & (stays.disposition > 0))
        day, patient = stays.admission[first], stays.patient[first]
        office = last_before(contacts.office_keys, patient, day)
        emergency = last_before(contacts.emergency_keys, patient, day)
        both = (office >= day - 60) & (emergency >= day - 60)
        boost = stays.hazards.boost[first]
        unresolved = emergency >= office
        ratios.append((np.log(boost[both & unresolved]), np.log(boost[both & ~unresolved])))
    after, before = (np.concatenate(part) for part in zip(*ratios, strict=True))
    assert len(after) > 60
    assert len(before) > 60
    assert after.mean() - before.mean() > _UNRESOLVED / 2


def test_part_of_the_risk_stays_hidden(indexed, lived):
    boost = np.concatenate([block.stays.hazards.boost[indexed.row[indexed.block == number]]
                            for number, block in enumerate(lived)])  # fmt: skip
    risk = indexed.risk_any
    order = np.argsort(risk)
    ranks = np.empty(len(risk))
    ranks[order] = np.arange(1, len(risk) + 1)
    cases = indexed.is_readmitted.sum()
    auc = (ranks[indexed.is_readmitted].sum() - cases * (cases + 1) / 2) / (cases * (len(risk) - cases))
    assert 0.7 < auc < 0.85
    assert np.std(np.log(boost[boost > 0])) > 0.4
