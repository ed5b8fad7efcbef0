"""The claims ceiling: it learns the risk and never a label, from nobody of the cohort, and is taught once."""

import dataclasses
import json
import shutil
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from analysis.cohort_by_hand import make_examples

from claim_transformers import cohorts
from claim_transformers.codes import ClaimDataError
from claim_transformers.training import auroc
from reproduction.claim_pt.claims_ceiling import (
    GROUP,
    INDEX_DATES,
    POPULATION,
    Teaching,
    as_in_sample,
    describe_saturation,
)
from reproduction.claim_pt.populations import PediatricPlan, PediatricPopulations
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.claims_ceiling import TeachingOptions
from reproduction.engine.splits import Repeat
from reproduction.engine.tables import ModelPredictions
from reproduction.engine.tasks import Task
from reproduction.tests.asthma_by_hand import DEFINITION
from reproduction.tests.scripts_by_path import CLAIM_PT, is_short, load_script

SCRIPT = CLAIM_PT / "scripts" / "claims_ceiling.py"
STEROID = "NDC/00173060202"
LOW, HIGH = 0.02, 0.3
OPTIONS = TeachingOptions(max_iter=20, learning_rate=0.3, min_samples_leaf=10, max_features=1.0)


def has_steroid(examples):
    return np.array([any(STEROID in codes for codes in visits) for visits in examples["codes"].to_pylist()])


def write_children(folder, raw, seed=8, rows=400):
    """Children whose risk follows their drug, and whose labels follow nothing."""
    from datasets import Dataset, DatasetDict

    examples = make_examples(rows, seed=seed)
    label = np.random.default_rng(seed).integers(0, 2, rows).astype(np.int8)
    examples = examples.set_column(examples.column_names.index("label"), "label", pa.array(label))
    DatasetDict({"train": Dataset(examples)}).save_to_disk(str(folder))
    definition = {**DEFINITION, "sampled_share": [1.0, 1.0]}
    (folder / "cohort.json").write_text(json.dumps(definition))
    risks = {
        "patient_id": examples["patient_id"],
        "index_date": examples["index_day"].cast(pa.date32()),
        "outcome": pa.array(["asthma_hospitalization"] * rows),
        "horizon_days": pa.array([365] * rows, pa.int16()),
        "risk": pa.array(np.where(has_steroid(examples), HIGH, LOW), pa.float32()),
    }
    raw.mkdir(exist_ok=True)
    pq.write_table(pa.table(risks), raw / "true_risk.parquet")


@pytest.fixture
def populations(workspace):
    return PediatricPopulations(workspace, {"a": PediatricPlan(10, 1)}, {"asthma_exacerbation": {}})


@pytest.fixture
def teach(populations, cohort, monkeypatch, tmp_path):
    """A teaching whose children are made by hand; each call begins with nothing in memory."""
    folder, raw = tmp_path / "children-0", tmp_path / "raw-children"
    write_children(folder, raw)
    monkeypatch.setattr(PediatricPopulations, "cohort", lambda self, name, population="a": cohort)
    monkeypatch.setattr(PediatricPopulations, "raw", lambda self, population="a": raw)
    monkeypatch.setattr(Teaching, "children", lambda self, index_date: folder)
    return lambda **changes: Teaching(populations, index_dates=("2012-06-09",), options=OPTIONS, **changes)


def test_it_learns_the_risk_and_not_the_label(teach, cohort):
    (ceiling,) = teach().contestants([Fraction(1)])
    steroid = has_steroid(cohort.examples)
    assert auroc(steroid.astype(int), ceiling.scores) == 1.0
    expected = as_in_sample(np.array([LOW, HIGH]), DEFINITION["sampled_share"])
    found = [ceiling.scores[steroid == side].mean() for side in (False, True)]
    assert found == pytest.approx(expected, rel=0.2)


def test_labels_of_the_cohort_change_no_score(teach, cohort):
    (ceiling,) = teach().contestants([Fraction(1)])
    task = cohort.task(0)
    scores = ceiling.fit(task, {}, 0)
    assert ceiling.takes(task)
    for split in ("validation", "test"):
        found = getattr(scores, split)
        assert found.shape == task.labels(split).shape
        np.testing.assert_array_equal(found > 0.3, has_steroid(task.splits[split]))
    turned = {
        name: rows.set_column(rows.column_names.index("label"), "label", pa.array(1 - rows["label"].to_numpy()))
        for name, rows in task.splits.items()
    }
    np.testing.assert_array_equal(ceiling.fit(Task(cohort, Repeat(0, turned)), {}, 3).test, scores.test)
    assert not ceiling.takes(dataclasses.replace(task, cohort=dataclasses.replace(cohort, key="other")))


def test_a_share_is_part_of_the_next_and_is_taught_once(teach, populations, monkeypatch):
    entries = teach().contestants([Fraction(1, 2), Fraction(1)])
    assert [entry.slug for entry in entries] == ["claims-ceiling-1-2", "claims-ceiling"]
    half, whole = (entry.details["children"] for entry in entries)
    assert 0.35 * whole < half < 0.65 * whole
    assert whole == 400
    ran = populations.workspace.ran
    monkeypatch.setattr(Teaching, "_teach", lambda self, share: pytest.fail("taught again"))
    again = teach().contestants([Fraction(1, 2), Fraction(1)])
    assert populations.workspace.ran == ran
    for one, other in zip(entries, again, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.key() == other.key()


def test_somebody_of_the_cohort_must_not_teach(teach, tmp_path):
    for path in (tmp_path / "children-0", tmp_path / "raw-children"):
        shutil.rmtree(path)
    write_children(tmp_path / "children-0", tmp_path / "raw-children", seed=5, rows=260)  # those of `cohort`
    with pytest.raises(ClaimDataError, match="E_SPLIT_OVERLAP"):
        teach().contestants([Fraction(1)])


def test_the_children_are_of_another_population_of_the_same_institution(workspace):
    plans = {"a": PediatricPlan(10, 1), "b": PediatricPlan(5, 1001)}
    others = Teaching(PediatricPopulations(workspace, plans, {})).others.plans
    assert POPULATION not in plans
    assert others[POPULATION].patients == 10
    assert others[POPULATION].institution == "a"
    assert others[POPULATION].seed not in (1, 1001)


def test_everybody_eligible_at_one_date_teaches(populations, monkeypatch, tmp_path):
    asked = []

    class Built:
        def save(self, folder, *, raw_counts):
            folder.mkdir()

    def build(definition, claims):
        asked.append(definition)
        return Built()

    monkeypatch.setattr(cohorts, "build_cohort", build)
    monkeypatch.setattr(PediatricPopulations, "claims", lambda self, population="a": tmp_path / population)
    teaching = Teaching(populations)
    folders = {teaching.children(date) for date in INDEX_DATES}
    wanted = cohorts.load_definition("asthma_exacerbation", "event")
    assert len(folders) == len(asked) == len(INDEX_DATES)
    for date, found in zip(INDEX_DATES, asked, strict=True):
        assert found.index.dates == (date,)
        assert found.sampling.cases is None
        assert found.sampling.controls_per_case is None
        assert (found.criteria, found.label, found.codes) == (wanted.criteria, wanted.label, wanted.codes)


def test_a_cohort_at_visits_has_nothing_to_teach(populations):
    with pytest.raises(ValueError, match="fixed index dates, found 'next_encounter'"):
        Teaching(populations, "suicide_attempt")


def test_a_risk_in_the_sample_has_the_odds_of_the_sample():
    risk = np.array([0.01, 0.1, 0.5])
    found = as_in_sample(risk, (0.05, 0.8))
    np.testing.assert_allclose(found / (1 - found), risk / (1 - risk) * 16)
    np.testing.assert_allclose(as_in_sample(risk, (0.3, 0.3)), risk)


def predictions(name, noise):
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 300)
    score = 1 / (1 + np.exp(-(label + noise * generator.normal(size=300))))
    table = pa.table({"patient": np.arange(300), "label": label.astype(np.int8), "score": score})
    return ModelPredictions(name, name, GROUP, [table])


def test_the_sentence_says_whether_the_curve_rises():
    some, same, more = predictions("some", 3.0), predictions("same", 3.0), predictions("more", 0.5)
    assert "may still rise" in describe_saturation([some, more])
    assert describe_saturation([some, same]).startswith("same minus some, paired: +0.000 AUROC")
    assert "brought nothing" in describe_saturation([more, some, same])
    with pytest.raises(ValueError, match="expected two entries"):
        describe_saturation([some])


def test_the_script_is_short_and_writes_a_table(teach, write_profile, checkpoint, monkeypatch, tmp_path):
    assert is_short(SCRIPT)
    script = load_script(SCRIPT)
    monkeypatch.setattr(script, "Teaching", lambda populations: teach())
    arguments = BenchmarkArguments(str(write_profile()), str(tmp_path / "workspace"), str(tmp_path / "docs"))
    script.main(arguments)
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {
        f"claims_ceiling.{ending}" for ending in ("md", "json", "csv")
    }
    content = json.loads((tmp_path / "docs" / "claims_ceiling.json").read_text())
    taught = [model for model in content["models"] if model["group"] == GROUP]
    assert [model["slug"] for model in taught] == ["claims-ceiling-1-8", "claims-ceiling-1-2", "claims-ceiling"]
    assert content["models"][-1]["slug"] == "true-risk"
    assert all(model["difference_to_best_cold_start"]["low"] is not None for model in taught)
