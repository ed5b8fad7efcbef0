"""Where worlds are one the tables are, who taught is not watched, and the planted change shows in its fields."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.analysis.audit.drift import DriftSample
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition
from reproduction.engine.steps import Workspace
from reproduction.medicare import count_models
from reproduction.medicare.drift_fields import drift_fields, keep_frequent
from reproduction.medicare.drift_study import (
    DriftOptions,
    DriftStudy,
    observed_over_expected,
    period_names,
)
from reproduction.medicare.populations import MedicarePlan, MedicarePopulations

CHANGE = (dt.date(2012, 1, 1) - dt.date(1970, 1, 1)).days


def make_world(*, moved, patients=1500, seed=0):
    """Two stays of each patient from 2009 to 2012; a moved world has more visits, a new drug and another risk."""
    random = np.random.default_rng(seed)
    rows = 2 * patients
    discharge = random.integers(CHANGE - 3 * 365, CHANGE + 365, rows)
    hint = random.uniform(0.02, 0.5, rows)
    luck, extra = random.random(rows), random.random(rows)
    is_new = (discharge >= CHANGE) & moved
    visits = 1 + (extra < np.where(is_new, 0.9, 0.3)) * 2
    drug = np.where(is_new & (luck < 0.6), "NDC/999", "NDC/111")
    return pa.table(
        {
            "patient_id": [f"p{row // 2}" for row in range(rows)],
            "sex": np.repeat(random.choice(["F", "M"], patients), 2),
            # An age that is the same in all years: one that follows the calendar would tell the period.
            "birth_day": pa.array((discharge - random.integers(65 * 365, 90 * 365, rows)).astype(np.int32)),
            "index_day": pa.array((discharge + 1).astype(np.int32)),
            "admission_day": pa.array((discharge - 3).astype(np.int32)),
            "discharge_day": pa.array(discharge.astype(np.int32)),
            "length_of_stay_days": pa.array(np.full(rows, 3, np.int32)),
            "visit_day": [[int(day) - 9] * count + [int(day)] for day, count in zip(discharge, visits, strict=True)],
            "visit_type": [["RX"] + ["CAR"] * (count - 1) + ["IP"] for count in visits],
            "codes": [
                [[name]] + [["ICD9CM/1"]] * (count - 1) + [["DISP/01", "DRG/7"]]
                for name, count in zip(drug, visits, strict=True)
            ],
            "patient_codes": [["RACE/WHITE", "ENTITLEMENT/0", "DUAL/NA"]] * rows,
            "county_fips": ["36061"] * rows,
            "label": (random.random(rows) < np.where(is_new, 0.25, hint)).astype(np.int8),
            "hint": hint,
        }
    )


class Hint:
    """A model that says the risk of the old world."""

    name, slug = "stand-in", "stand-in"

    def predict(self, examples):
        return examples["hint"].to_numpy()


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drift")
    worlds = {"still": make_world(moved=False), "moved": make_world(moved=True)}
    taught = []

    def fit(kind, train, validation, **options):
        taught.append((train, validation))
        return Hint()

    def splits(path):
        rows = worlds[path.name]
        return {"train": rows.slice(0, 1000), "validation": rows.slice(1000), "test": rows.slice(0, 0)}

    populations = MedicarePopulations(
        Workspace(folder / "steps", show_progress=False),
        {"still": MedicarePlan(1500, 5), "moved": MedicarePlan(1500, 5, drift_strength=1.0)},
    )
    options = DriftOptions(first_year=2011, period="year", replicates=60)
    study = DriftStudy(populations, "still", "moved", ReadmissionDefinition("stays"), options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MedicarePopulations, "cohort", lambda self, name, definition: folder / name)
        patch.setattr("reproduction.medicare.drift_study.read_examples", splits)
        patch.setattr(count_models, "fit_count_model", fit)
        tables = study.tables()
        ran = populations.workspace.ran
        again = DriftStudy(populations, "still", "moved", study.definition, options).tables()
        watched = study._examples("moved")["test"]
    return {
        "tables": tables,
        "again": again,
        "ran": (ran, populations.workspace.ran),
        "taught": taught,
        "watched": watched,
        "study": study,
    }


def rows_of(table, **wanted):
    return [row for row in table.rows if all(row[name] == value for name, value in wanted.items())]


def test_where_the_claims_of_both_worlds_are_one_the_figures_are(studied):
    table = studied["tables"]["drift"]
    moving = ("largest PSI", "unseen codes", "true AUROC", "domain AUROC")
    for period, is_same in (("2011", True), ("2012", False)):
        (still,), (moved,) = (rows_of(table, period=period, world=world) for world in ("no drift", "planted drift"))
        assert still["rows"] == moved["rows"]
        assert [str(still[name]) == str(moved[name]) for name in moving] == [is_same] * len(moving)


def test_the_planted_drift_is_found_and_only_where_it_was_planted(studied):
    table = studied["tables"]["drift"]
    (moved,) = rows_of(table, period="2012", world="planted drift")
    (still,) = rows_of(table, period="2012", world="no drift")
    assert (moved["inputs"], still["inputs"]) == ("marked", "stable")
    assert moved["domain AUROC"].value > 0.6
    assert moved["unseen codes"] > 0.05
    assert still["unseen codes"] == 0


def test_the_estimated_area_does_not_see_that_the_risk_itself_has_changed(studied):
    (moved,) = rows_of(studied["tables"]["drift"], period="2012", world="planted drift")
    assert moved["true AUROC"].value < 0.62 < moved["estimated AUROC"].value
    assert moved["performance"] == "as in the reference"


def test_readmissions_are_held_against_those_that_were_expected(studied):
    (still,) = rows_of(studied["tables"]["drift"], period="2012", world="no drift")
    assert still["observed/expected"].low < 1 < still["observed/expected"].high
    random = np.random.default_rng(0)
    labels = random.random(400) < 0.3
    found = observed_over_expected(DriftSample({"x": labels}, probabilities=np.full(400, 0.4), labels=labels))
    assert found.value == pytest.approx(labels.mean() / 0.4)
    assert found.high < 1


def test_fields_that_were_moved_are_named(studied):
    fields = studied["tables"]["drift-fields"]
    verdicts = {row["field"]: row["verdict, planted drift"] for row in rows_of(fields, period="2012")}
    assert {name for name, verdict in verdicts.items() if verdict != "stable"} >= {"CAR visits", "codes", "last drug"}
    assert verdicts["sex"] == verdicts["length_of_stay_days"] == "stable"
    assert {row["verdict, no drift"] for row in fields.rows} == {"stable"}


def test_the_model_learns_before_the_change_from_patients_who_are_not_watched(studied):
    ((train, validation),) = studied["taught"]
    watched = set(studied["watched"]["patient_id"].to_pylist())
    assert train.num_rows > validation.num_rows > 300
    for learned in (train, validation):
        assert max(learned["discharge_day"].to_pylist()) + 30 < CHANGE
        assert not watched & set(learned["patient_id"].to_pylist())


def test_a_study_is_run_once(studied):
    first, second = studied["ran"]
    assert (first, second) == (2, 2)
    for name, table in studied["tables"].items():
        assert studied["again"][name].to_markdown() == table.to_markdown()


def test_two_other_populations_are_no_pair(studied):
    populations = studied["study"].populations.plans
    named = MedicarePopulations(
        studied["study"].populations.workspace, {**populations, "other": MedicarePlan(9, 9, drift_strength=1.0)}
    )
    with pytest.raises(ValueError, match="same seed"):
        DriftStudy(named, "still", "other", ReadmissionDefinition("stays"))
    with pytest.raises(ValueError, match="a drift in one"):
        DriftStudy(named, "still", "still", ReadmissionDefinition("stays"))
    with pytest.raises(ValueError, match="period out of"):
        DriftOptions(period="week")
    with pytest.raises(ValueError, match="shares"):
        DriftOptions(train=0.8, validation=0.2)


# ---- Fields ----


def test_fields_are_those_of_each_example():
    examples = make_world(moved=False, patients=2).slice(0, 2)
    examples = examples.set_column(examples.column_names.index("visit_day"), "visit_day", pa.array([[5, 7, 9], []]))
    examples = examples.set_column(
        examples.column_names.index("visit_type"),
        "visit_type",
        pa.array([["RX", "CAR", "IP"], []], pa.list_(pa.string())),
    )
    codes = [[["NDC/1", "NDC/2"], ["ICD9CM/1"], ["DISP/03", "DRG/5"]], []]
    examples = examples.set_column(examples.column_names.index("codes"), "codes", pa.array(codes))
    examples = examples.set_column(
        examples.column_names.index("admission_day"), "admission_day", pa.array([9, 9], pa.int32())
    )
    fields = drift_fields(examples)
    assert fields["last drug"].tolist() == ["NDC/2", "none"]
    assert fields["DRG"].tolist() == ["DRG/5", "none"]
    assert fields["codes"].tolist() == [5, 0]
    assert (fields["RX visits"].tolist(), fields["SNF visits"].tolist()) == ([1, 0], [0, 0])
    assert fields["days since last visit"][0] == 2
    assert np.isnan(fields["days since last visit"][1])
    assert fields["dual status"].tolist() == ["NA", "NA"]
    assert not {"index_day", "discharge_day", "patient_id"} & set(fields)


def test_rare_codes_of_the_reference_share_one_name():
    reference = {"DRG": np.array(["a", "b", "b", "c"]), "sex": np.array(["F"] * 4)}
    assert keep_frequent(reference, reference, most=2)["DRG"].tolist() == ["a", "b", "b", "other"]
    assert keep_frequent({"DRG": np.array(["c", "z"])}, reference, most=9)["DRG"].tolist() == ["c", "other"]
    assert keep_frequent(reference, reference, most=1)["sex"].tolist() == ["F"] * 4


@pytest.mark.parametrize(("period", "names"), [("year", ["2011", "2012"]), ("quarter", ["2011 Q4", "2012 Q1"])])
def test_a_period_begins_on_its_first_day(period, names):
    days = pa.table({"discharge_day": pa.array([CHANGE - 1, CHANGE], pa.int32())})
    assert period_names(days, period).tolist() == names
