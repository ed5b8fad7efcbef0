import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.training import auroc, save_predictions, score_binary


@pytest.fixture
def examples():
    labels = np.tile([0, 1, 1, 0], 10).astype(np.int8)
    return pa.table({"patient_id": [f"ZZCANARY{row // 2}" for row in range(40)], "label": labels})


def test_predictions_tell_patients_apart_without_naming_them(examples, tmp_path):
    scores = np.linspace(0, 1, 40)
    save_predictions(tmp_path / "model", examples, scores, name="A model", seed=3)
    written = pq.read_table(tmp_path / "model" / "predictions.parquet")
    assert written["score"].to_pylist() == scores.tolist()
    assert written["label"].to_pylist() == examples["label"].to_pylist()
    patients, identifiers = written["patient"].to_numpy(), np.array(examples["patient_id"].to_pylist())
    assert ((patients[:, None] == patients) == (identifiers[:, None] == identifiers)).all()
    assert all(b"ZZCANARY" not in path.read_bytes() for path in (tmp_path / "model").iterdir())


def test_metrics_are_those_of_the_predictions_with_intervals_over_patients(examples, tmp_path):
    scores = np.random.default_rng(0).random(40)
    shown = save_predictions(tmp_path, examples, scores, name="A model")
    content = json.loads((tmp_path / "metrics.json").read_text())
    labels = examples["label"].to_numpy()
    assert content["metrics"]["AUROC"]["value"] == pytest.approx(auroc(labels, scores))
    assert content["metrics"]["AUROC"]["clusters"] == 20
    assert (content["examples"], content["positives"]) == (40, 20)
    assert set(shown) == set(content["metrics"]) == set(score_binary(labels, scores, replicates=5))


def test_scores_that_do_not_fit_are_refused(examples, tmp_path):
    with pytest.raises(ValueError, match="one score for each of 40 rows"):
        save_predictions(tmp_path, examples, [0.5], name="A model")


def test_each_split_has_its_own_files(examples, tmp_path):
    scores = np.random.default_rng(0).random(40)
    save_predictions(tmp_path, examples, scores, name="A model")
    save_predictions(tmp_path, examples.slice(0, 20), scores[:20], name="A model", split="validation")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "metrics.json",
        "metrics_validation.json",
        "predictions.parquet",
        "predictions_validation.parquet",
    ]
    found = [pq.read_table(tmp_path / f"predictions{end}.parquet").num_rows for end in ("", "_validation")]
    assert found == [40, 20]
    assert json.loads((tmp_path / "metrics_validation.json").read_text())["examples"] == 20
