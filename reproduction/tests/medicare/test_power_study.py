"""Lives are scored by their own risk, slices share no patient, and what is counted is what the audits reported."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from claim_transformers.analysis.audit.audit_power import AuditPower, PlantedGap, SimulatedStays, audit_power
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition
from claim_transformers.simulation.medicare import simulate_medicare_tables
from reproduction.engine.steps import Workspace
from reproduction.medicare import count_models
from reproduction.medicare.audit_slices import add_up, planted_bias, planted_gaps, slices_of
from reproduction.medicare.populations import MedicarePlan, MedicarePopulations
from reproduction.medicare.power_study import PowerOptions, PowerStudy
from reproduction.medicare.simulated_lives import LivesSource, audited_group, simulated_subgroup

BLACK = PlantedGap("race", "black", 0.5)
PLAIN = LivesSource(2500)(planted=None, seed=11)
BIASED = LivesSource(2500)(planted=BLACK, seed=11)


# ---- Lives ----


def test_lives_are_those_that_the_claims_tell():
    """The same seed written as tables: the same stays with the same risks, and the same groups."""
    tables = simulate_medicare_tables(2500, seed=11)
    risks = tables.true_risk.filter(pc.equal(tables.true_risk["outcome"], "readmission_any"))
    last_day = (dt.date(2012, 12, 31) - dt.date(1970, 1, 1)).days - 30
    in_time = risks["discharge_date"].cast(pa.int32()).to_numpy() <= last_day
    assert in_time.sum() == len(PLAIN.labels) > 3000
    assert PLAIN.probabilities == pytest.approx(risks["risk"].to_numpy()[in_time], abs=1e-6)
    people = {row["person_id"]: row for row in tables.eligibility.select(["person_id", "gender", "race"]).to_pylist()}
    owners = [people[name] for name in risks["patient_id"].filter(pa.array(in_time)).to_pylist()]
    assert [owner["race"].replace("_", " ") for owner in owners] == PLAIN.attributes["race"].tolist()
    assert [owner["gender"] == "male" for owner in owners] == (PLAIN.attributes["sex"] == "M").tolist()
    assert len(np.unique(PLAIN.patients)) == len(set(risks["patient_id"].filter(pa.array(in_time)).to_pylist()))


def test_labels_have_the_rate_that_the_true_risk_says():
    parts = [LivesSource(2500)(planted=None, seed=seed) for seed in range(20, 24)]
    observed, expected = (sum(part.sum() for part in found) for found in
                          ([part.labels for part in parts], [part.probabilities for part in parts]))  # fmt: skip
    # About 2,500 events; stays of a patient are alike, so the spread is somewhat wider than that of counts.
    assert observed / expected == pytest.approx(1.0, abs=0.07)


def test_only_the_planted_group_is_at_more_risk_than_its_scores_say():
    black = BIASED.attributes["race"] == "black"
    ratio = BIASED.labels[black].sum() / BIASED.probabilities[black].sum()
    rest = BIASED.labels[~black].sum() / BIASED.probabilities[~black].sum()
    assert ratio > 1.2 > 1.1 > rest > 0.9
    knowing = LivesSource(2500, hidden=0.0)(planted=BLACK, seed=11)
    assert knowing.probabilities == pytest.approx(PLAIN.probabilities)


def test_fewer_patients_are_the_first_ones_of_more():
    few = LivesSource(700)(planted=None, seed=11)
    assert few.labels.tolist() == PLAIN.labels[PLAIN.patients < 700].tolist()
    more = LivesSource(3000)(planted=None, seed=11)
    assert more.labels[: len(PLAIN.labels)].tolist() == PLAIN.labels.tolist()
    assert set(more.patients[len(PLAIN.labels) :].tolist()) <= set(range(2500, 3000))


def test_lives_fit_the_measure_of_power():
    measured = audit_power([BLACK], simulate=LivesSource(2500), simulations=2, replicates=40, seed=3)
    assert measured.simulations == 2
    assert 0 <= measured.found[str(BLACK)] <= 2


def test_a_group_of_the_simulator_and_of_the_audit_are_one():
    assert audited_group("race=north_american_native") == ("race", "north american native")
    assert simulated_subgroup(PlantedGap("race", "north american native", 1.0)) == "race=north_american_native"
    for subgroup in ("dual", "disabled", "rural"):
        assert simulated_subgroup(PlantedGap(*audited_group(subgroup), 1.0)) == subgroup
    with pytest.raises(ValueError, match="expected a race, a gender or one of"):
        audited_group("tall")
    with pytest.raises(ValueError, match="found \\('region', 'West'\\)"):
        LivesSource(100)(planted=PlantedGap("region", "West", 1.0), seed=0)


@pytest.mark.parametrize("subgroup", ["dual", "disabled", "rural"])
def test_a_hidden_hazard_raises_the_group_that_the_audit_calls_so(subgroup):
    attribute, group = audited_group(subgroup)
    biased = LivesSource(2500)(planted=PlantedGap(attribute, group, 0.5), seed=11)
    inside = biased.attributes[attribute] == group
    assert inside.sum() > 300
    ratios = [biased.labels[rows].sum() / biased.probabilities[rows].sum() for rows in (inside, ~inside)]
    assert ratios[0] > 1.2 > 1.12 > ratios[1]


def test_every_attribute_of_lives_has_its_planted_biases():
    gaps = planted_gaps()
    assert {gap.attribute for gap in gaps} == set(PLAIN.attributes)
    assert len({str(gap) for gap in gaps}) == len(gaps)
    for gap in gaps:
        planted = LivesSource(2500)(planted=gap, seed=11)
        member = PLAIN.attributes[gap.attribute] == gap.group
        assert 100 < member.sum() < len(member) - 100
        changed = (planted.labels != PLAIN.labels) | (planted.probabilities != PLAIN.probabilities)
        assert changed[member].any()
        assert not changed[~member].any()


# ---- Slices and counts ----


def test_slices_hold_every_patient_once():
    parts = slices_of(PLAIN_NUMBERED, 7)
    owners = [set(part.patients.tolist()) for part in parts]
    assert sum(len(owner) for owner in owners) == len(set().union(*owners)) == PLAIN_NUMBERED.patients.max() + 1
    assert max(map(len, owners)) - min(map(len, owners)) <= 1
    assert sum(part.labels.sum() for part in parts) == PLAIN_NUMBERED.labels.sum()
    assert all(len(part.attributes["sex"]) == len(part.labels) for part in parts)
    with pytest.raises(ValueError, match="slices"):
        slices_of(PLAIN_NUMBERED, 10**6)


PLAIN_NUMBERED = SimulatedStays(
    PLAIN.labels, PLAIN.probabilities, PLAIN.attributes, np.unique(PLAIN.patients, return_inverse=True)[1]
)


def test_runs_add_up_only_at_one_level():
    both = add_up([AuditPower(5, {"a": 4}, 1, {"recall": 1}), AuditPower(5, {"a": 5}, 2, {"recall": 2})])
    assert (both.alarms_by_metric, both.found) == ({"recall": 3}, {"a": 9})
    with pytest.raises(ValueError, match="one level"):
        add_up([AuditPower(5, {"a": 4}, 1), AuditPower(5, {"a": 4}, 1, level=0.01)])


def test_a_population_without_a_hidden_hazard_has_nothing_to_find():
    with pytest.raises(ValueError, match="hidden hazard"):
        planted_bias(MedicarePlan(100, seed=1, bias_unrecorded=0.5))


# ---- The study ----


class RiskOfRace:
    """A model that knows nothing but an age-old rate, so that Platt scaling has something to do."""

    name, slug = "stand-in", "stand-in"

    def predict(self, examples):
        return examples["hint"].to_numpy()


def make_cohort(random, patients, *, is_biased):
    """Stays by hand; in the biased population black patients have more readmissions than the hint tells."""
    count = 2 * patients
    race = np.repeat(random.choice(["WHITE", "BLACK"], patients, p=[0.7, 0.3]), 2)
    hint = random.uniform(0.05, 0.4, count)
    risk = np.where((race == "BLACK") & is_biased, np.minimum(2 * hint, 0.9), hint)
    return pa.table(
        {
            "patient_id": [f"{'b' if is_biased else 'p'}{random.integers(10**9)}-{row // 2}" for row in range(count)],
            "sex": np.repeat(random.choice(["F", "M"], patients), 2),
            "birth_day": pa.array(np.zeros(count, np.int32)),
            "index_day": pa.array(np.full(count, 26000, np.int32)),
            "patient_codes": [[f"RACE/{name}", "ENTITLEMENT/0"] for name in race],
            "county_fips": ["36061"] * count,
            "label": (random.random(count) < risk).astype(np.int8),
            "hint": hint,
            "risk": risk,
        }
    )


@pytest.fixture
def study(tmp_path, monkeypatch):
    random = np.random.default_rng(4)
    sizes = {"training": (400, False), "plain": (4000, False), "biased": (4000, True)}
    cohorts = {name: make_cohort(random, patients, is_biased=biased) for name, (patients, biased) in sizes.items()}
    for name in cohorts:
        (tmp_path / name).mkdir()

    def splits(folder):
        rows = cohorts[folder.name]
        middle = rows.num_rows // 2
        return {"train": rows.slice(0, middle), "validation": rows.slice(middle), "test": rows.slice(0, 0)}

    monkeypatch.setattr(MedicarePopulations, "cohort", lambda self, name, definition: tmp_path / name)
    monkeypatch.setattr(MedicarePopulations, "raw", lambda self, name: tmp_path / name)
    monkeypatch.setattr("reproduction.medicare.power_study.read_examples", splits)
    monkeypatch.setattr(PowerStudy, "_true_risks", lambda self, name, examples: examples["risk"].to_numpy())
    monkeypatch.setattr(count_models, "fit_count_model", lambda *args, **options: RiskOfRace())
    populations = {
        "training": MedicarePlan(500, seed=1),
        "plain": MedicarePlan(4000, seed=2),
        "biased": MedicarePlan(4000, seed=3, bias_hidden=1.0),
    }
    workspace = Workspace(tmp_path / "steps", show_progress=False)
    options = PowerOptions(
        lives_patients=(300,), lives_audits=3, gap_audits=1, audits_per_step=2, slice_patients=1000, replicates=60
    )
    named = MedicarePopulations(workspace, populations)
    return PowerStudy(named, "training", "plain", "biased", ReadmissionDefinition("stays"), options)


def test_the_planted_bias_is_found_in_its_group_and_not_where_there_is_none(study):
    biased, plain = study.on_claims("biased"), study.on_claims("plain")
    assert biased.audits == plain.audits == 4
    assert biased.found == 4
    assert biased.by_group["race: black"] == 4
    assert plain.found == 0
    assert study.on_claims("biased", "true risk").found == 0


def test_the_table_has_power_and_false_alarms_with_exact_intervals(study):
    table = study.tables()["audit-power"]
    questions = [(row["population"], row["question"], row["scores"]) for row in table.rows]
    assert questions[0] == ("lives", "planted bias found", "true risk without the bias")
    assert questions[1] == ("lives", "scores of sex F lowered by 0.25 log odds", "true risk, bias planted")
    assert questions[1 + len(planted_gaps())] == ("lives", "false alarm: any reported", "true risk")
    assert ("claims", "no bias planted: any reported", "true risk") in questions
    assert [row["audits"] for row in table.rows] == [3, *[1] * len(planted_gaps()), 3, 4, 4, 4, 4]
    found = next(
        row for row in table.rows if row["question"] == "planted bias found" and row["population"] == "claims"
    )
    assert (found["share"], found["high"]) == (1.0, 1.0)
    assert found["low"] == pytest.approx(0.025 ** (1 / 4))


def test_a_study_that_was_killed_goes_on(study):
    study.on_lives(300, [study.planted], 3)
    assert study.populations.workspace.ran == 2  # three audits, two to a step
    tables = study.tables()
    before = study.populations.workspace.ran
    again = PowerStudy(
        study.populations, study.training, study.plain, study.biased, study.definition, study.options
    ).tables()
    assert study.populations.workspace.ran == before
    assert {name: table.to_markdown() for name, table in again.items()} == {
        name: table.to_markdown() for name, table in tables.items()
    }


def test_a_population_cannot_audit_the_model_that_it_taught(study):
    with pytest.raises(ValueError, match="seeds of their own"):
        PowerStudy(study.populations, "plain", "plain", "biased", study.definition)
