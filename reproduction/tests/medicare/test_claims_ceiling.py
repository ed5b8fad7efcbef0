"""The claims ceiling of stays: taught by the true risk of other patients, and by theirs alone."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cohorts.sequences_by_hand import save_stays

from claim_transformers.codes.errors import ClaimDataError
from reproduction.engine.claims_ceiling import TeachingOptions
from reproduction.engine.steps import Workspace
from reproduction.medicare.claims_ceiling import ceiling_scores
from reproduction.medicare.populations import read_examples
from reproduction.medicare.readmission_study import StudyCohort

OPTIONS = TeachingOptions(max_iter=30, learning_rate=0.3, min_samples_leaf=10, max_features=1.0)
FAILURE = "ICD9CM/4280"


def with_failure(table):
    return np.array([FAILURE in codes[-1] for codes in table["codes"].to_pylist()])


def renamed(table, prefix):
    ids = pa.array([prefix + name for name in table["patient_id"].to_pylist()])
    return table.set_column(table.column_names.index("patient_id"), "patient_id", ids)


@pytest.fixture
def teachers(tmp_path):
    """Stays whose true risk is 0.5 with heart failure on the stay and 0.1 without; one in two hundred has none."""
    folder = save_stays(tmp_path / "teachers", patients=600)
    stays = pa.concat_tables(read_examples(folder).values())
    risk = np.where(with_failure(stays), 0.5, 0.1)
    written = pa.table(
        {
            "patient_id": stays["patient_id"],
            "discharge_date": stays["discharge_day"].cast(pa.int32()).cast(pa.date32()),
            "outcome": ["readmission_any"] * len(risk),
            "risk": risk,
        }
    )
    raw = tmp_path / "raw"
    raw.mkdir()
    pq.write_table(written.filter(pa.array(np.arange(len(risk)) % 200 > 0)), raw / "true_risk.parquet")
    return folder, raw


def study_of(teachers, tmp_path):
    folder, raw = teachers
    populations = SimpleNamespace(cohort=lambda *_: folder, raw=lambda _: raw)
    return SimpleNamespace(populations=populations, workspace=Workspace(tmp_path / "workspace", show_progress=False))


def test_the_risk_of_others_is_read_off_the_claims_of_a_cohort(teachers, tmp_path):
    cohort = StudyCohort(tmp_path / "cohort", tmp_path / "sequences")
    cohort.__dict__["examples"] = {
        name: renamed(table, "other-")
        for name, table in read_examples(save_stays(tmp_path / "cohort", patients=100, seed=9)).items()
    }
    study = study_of(teachers, tmp_path)
    found = ceiling_scores(study, cohort, OPTIONS)
    for split, scores in (("validation", found.validation), ("test", found.test)):
        expected = np.where(with_failure(cohort.examples[split]), 0.5, 0.1)
        assert scores == pytest.approx(expected, abs=0.02)
    stays = pa.concat_tables(read_examples(teachers[0]).values())
    assert found.details["stays"] == stays.num_rows - -(-stays.num_rows // 200)
    assert f"{found.details['stays']:,} other stays" in found.name
    ran = study.workspace.ran
    assert ceiling_scores(study, cohort, OPTIONS).test == pytest.approx(found.test)
    assert study.workspace.ran == ran


def test_a_cohort_of_the_same_patients_is_refused(teachers, tmp_path):
    cohort = StudyCohort(teachers[0], tmp_path / "sequences")
    with pytest.raises(ClaimDataError, match="E_SPLIT_OVERLAP"):
        ceiling_scores(study_of(teachers, tmp_path), cohort, OPTIONS)
