import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training import auroc, save_predictions, score_binary


@pytest.fixture
def examples():
    labels = np.tile([0, 1, 1, 0], 10).astype(np.int8)
    return pa.table({"patient_id": [f"ZZCANARY{row // 2}" for row in range(40)], "label": labels})


def test_predictions_hold_the_identifiers_of_the_caller_and_metrics_do_not(examples, tmp_path):
    scores, days = np.linspace(0, 1, 40), np.arange(100, 140)
    dated = examples.append_column("index_day", pa.array(days, pa.int32()))
    save_predictions(tmp_path / "model", dated, scores, name="A model", seed=3)
    written = pq.read_table(tmp_path / "model" / "predictions.parquet")
    assert written.column_names == ["patient_id", "index_day", "row", "patient", "label", "score"]
    for name in ("patient_id", "index_day", "label"):
        assert written[name].to_pylist() == dated[name].to_pylist()
    assert written["score"].to_pylist() == scores.tolist()
    patients, identifiers = written["patient"].to_numpy(), np.array(examples["patient_id"].to_pylist())
    assert ((patients[:, None] == patients) == (identifiers[:, None] == identifiers)).all()
    assert b"ZZCANARY" not in (tmp_path / "model" / "metrics.json").read_bytes()
    save_predictions(tmp_path / "undated", examples, scores, name="A model")
    assert "index_day" not in pq.read_table(tmp_path / "undated" / "predictions.parquet").column_names


def test_labels_may_be_truth_values_and_must_be_there(examples, tmp_path):
    scores = np.random.default_rng(0).random(40)
    truth = examples.drop_columns(["label"]).append_column("labels", pa.array(examples["label"].to_numpy() == 1))
    assert save_predictions(tmp_path / "truth", truth, scores, name="A") == save_predictions(
        tmp_path / "numbers", examples, scores, name="A"
    )
    assert pq.read_table(tmp_path / "truth" / "predictions.parquet")["label"].to_pylist() == [0, 1, 1, 0] * 10
    with pytest.raises(ValueError, match="expected a column 'label' beside the scores, found none"):
        save_predictions(tmp_path, examples.drop_columns(["label"]), scores, name="A")


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


def test_predictions_are_for_their_owner_alone_and_stand_whole_or_as_they_were(examples, tmp_path):
    scores = np.linspace(0, 1, 40)
    save_predictions(tmp_path / "model", examples, scores, name="A")
    files = {path.name: path for path in (tmp_path / "model").iterdir()}
    assert sorted(files) == ["metrics.json", "predictions.parquet"]
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    before = files["metrics.json"].read_bytes()
    files["predictions.parquet"].unlink()
    files["predictions.parquet"].mkdir()
    with pytest.raises(ClaimDataError, match="E_WRITE"):
        save_predictions(tmp_path / "model", examples, scores, name="B")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted(files)
    assert files["metrics.json"].read_bytes() == before
