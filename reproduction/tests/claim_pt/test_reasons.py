"""Reasons beside the truth: another life has other risks, leaving out leaves out, and tables count what they say."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from analysis.cohort_by_hand import make_examples

from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.simulation.engine.calendar import calendar_of
from claim_transformers.simulation.engine.generation import BLOCK_PATIENTS
from claim_transformers.simulation.engine.identifiers import patient_names
from claim_transformers.simulation.engine.random_streams import block_key_of, generator_of
from claim_transformers.simulation.pediatric.population import draw_population
from claim_transformers.training import Calibration
from reproduction.claim_pt import removed_causes
from reproduction.claim_pt.populations import PediatricPlan
from reproduction.claim_pt.reasons_study import RANKINGS, SHARES, Classifier, measure_reasons
from reproduction.claim_pt.reasons_tables import erasure_table, rank_table, sign_table
from reproduction.engine.splits import number_patients

PLAN = PediatricPlan(BLOCK_PATIENTS, seed=5, start="2010-01-01", end="2010-12-31")


def test_without_asthma_there_is_no_risk_and_without_its_stays_no_more_than_before(monkeypatch):
    monkeypatch.setattr(removed_causes, "_PATHS", 16)
    calendar = calendar_of(PLAN.start, PLAN.end, example="2010-01-01")
    key = block_key_of("5|a|0")
    ids = patient_names(draw_population(BLOCK_PATIENTS, calendar, key, generator_of(5, 0, 0, "people")).key)
    july = int(calendar.first_day(np.int32(6)))
    examples = pa.table({"patient_id": ids.slice(0, 600), "index_day": pa.array([july] * 600)})
    found = removed_causes.true_changes(PLAN, examples, ("asthma", "stay"))
    risk, asthma, stay = (found[name].to_numpy() for name in ("risk", "asthma", "stay"))
    # Who has no asthma on the index date may have it within the year, in both lives.
    assert (asthma >= -1e-6).mean() > 0.95
    assert asthma[risk > 0.01].sum() > 0.8 * risk[risk > 0.01].sum()
    assert 0 < (np.abs(stay) > 1e-6).sum() < 60
    with pytest.raises(ValueError, match="first of January or July"):
        removed_causes.true_changes(PLAN, examples.set_column(1, "index_day", pa.array([july + 40] * 600)))


@pytest.fixture
def measured(checkpoint):
    torch.manual_seed(0)
    # Weights at random, since a classifier that begins at zero has no reasons.
    model = ClaimForSequenceClassification.from_pretrained(checkpoint, classifier_rate=0).eval()
    classifier = Classifier(
        model,
        ClaimTokenizer.from_pretrained(checkpoint),
        Calibration({"method": "prior", "training_share": 0.4, "true_share": 0.2}),
    )
    examples = number_patients(make_examples(6, seed=3))
    generator = np.random.default_rng(0)
    changes = pa.table({name: generator.normal(size=6) / 10 for name in ("risk", *removed_causes.CAUSES)})
    return measure_reasons(classifier, examples, changes)


def test_reasons_are_measured_and_their_tables_are_written(measured):
    reasons, erased = (table.to_pylist() for table in measured)
    visits = [row for row in reasons if row["unit"] == "visit"]
    assert {row["patient"] for row in visits} == set(range(6))
    assert all(np.sign(row["change"]) in (-1, 0, 1) and row["attention"] > 0 for row in visits)
    assert len(erased) == 6 * len(SHARES) * (len(RANKINGS) + 2)
    # The visit that changes most when it is left out is the first of its ranking.
    for patient in range(6):
        own = [row for row in visits if row["patient"] == patient]
        direction = 1 if own[0]["prediction"] >= own[0]["base"] else -1
        (first,) = (
            row["comprehensiveness"]
            for row in erased
            if (row["patient"], row["ranking"], row["share"]) == (patient, "left_out", SHARES[0])
        )
        if round(SHARES[0] * len(own)) <= 1:
            assert first == pytest.approx(max(direction * row["left_out"] for row in own), abs=1e-4)
    assert [row["visits ranked by"] for row in erasure_table(measured[1]).rows][-1] == "random"
    signs = sign_table(measured[0]).rows
    assert signs[0]["per patient"] >= signs[1]["per patient"]
    # The record by hand shows no cause; with causes the ranks of a truth that is the contribution itself are perfect.
    of_visits = measured[0].filter(pc.equal(measured[0]["unit"], "visit"))
    named = pa.array([removed_causes.CAUSES[number % 9] for number in of_visits["number"].to_pylist()])
    told = of_visits.set_column(of_visits.column_names.index("cause"), "cause", named)
    sums = told.group_by(["patient", "cause"]).aggregate([("contribution", "sum")]).to_pylist()
    truth = {(one["patient"], one["cause"]): one["contribution_sum"] for one in sums}
    change = pa.array([1e3 * truth[one["patient"], one["cause"]] for one in told.to_pylist()])
    told = told.set_column(told.column_names.index("change"), "change", change)
    ranks = rank_table(told).rows
    assert [len(ranks), ranks[0]["concordance within a patient"].value] == [3, 1.0]
    assert ranks[0]["rank correlation over all"].value == pytest.approx(1.0)
