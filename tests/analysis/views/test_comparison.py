"""Models side by side: the same rows or a refusal, and differences that are paired."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from analysis.cohort_by_hand import make_examples
from rich.console import Console

from claim_transformers.analysis import compare_models
from claim_transformers.training import save_predictions


@pytest.fixture
def folders(tmp_path):
    examples = make_examples(200, seed=5)
    labels = examples["label"].to_numpy().astype(float)
    random = np.random.default_rng(0)
    good = np.clip(0.2 + 0.6 * labels + 0.1 * random.standard_normal(200), 0, 1)
    save_predictions(tmp_path / "good", examples, good, name="Good")
    save_predictions(tmp_path / "lr", examples, random.random(200), name="LR Sparse")
    return [tmp_path / "good", tmp_path / "lr"]


def test_the_reference_is_the_logistic_regression(folders):
    comparison = compare_models(folders)
    assert comparison.reference == "LR Sparse"
    assert set(comparison.differences) == {"Good"}
    assert comparison.differences["Good"].low > 0.3


def test_the_figures_survive_as_plain_values(folders):
    content = compare_models(folders).to_dict()
    assert content["examples"] == 200
    assert content["models"]["Good"]["metrics"]["AUROC"]["value"] > 0.95
    assert content["models"]["LR Sparse"]["auroc_difference"] is None


def test_models_scored_on_other_rows_are_refused(folders, tmp_path):
    save_predictions(tmp_path / "other", make_examples(200, seed=6), np.full(200, 0.5), name="Other")
    with pytest.raises(ValueError, match="expected all models on the same rows, found others in 'other'"):
        compare_models([*folders, tmp_path / "other"])


def test_two_models_of_one_name_are_refused_because_one_would_be_lost(folders, tmp_path):
    save_predictions(tmp_path / "again", make_examples(200, seed=5), np.full(200, 0.5), name="Good")
    with pytest.raises(ValueError, match="expected models of different names, found 'Good' in 'again'"):
        compare_models([*folders, tmp_path / "again"])


def test_an_unknown_reference_is_refused(folders):
    with pytest.raises(ValueError, match=r"expected a reference among \['Good', 'LR Sparse'\], found 'GBM'"):
        compare_models(folders, reference="GBM")


def test_no_folder_is_refused():
    with pytest.raises(ValueError, match="found none"):
        compare_models([])


def test_predictions_are_joined_by_patient_and_index_date_and_never_by_the_order_of_the_file(folders, tmp_path):
    expected = compare_models(folders).to_dict()
    examples = make_examples(200, seed=5)
    table = pq.read_table(folders[0] / "predictions.parquet")
    order = np.random.default_rng(3).permutation(200)
    # Scored in another order by the caller, `row` and all, and shuffled once more on disk.
    save_predictions(folders[0], examples.take(order), table["score"].to_numpy()[order], name="Good")
    shuffled = pq.read_table(folders[0] / "predictions.parquet").take(order[::-1])
    pq.write_table(shuffled, folders[0] / "predictions.parquet")
    assert compare_models(folders).to_dict() == expected


def test_an_example_that_was_scored_twice_and_predictions_without_patients_are_refused(folders):
    path = folders[1] / "predictions.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table.slice(0, 199), table.slice(0, 1)]), path)
    with pytest.raises(ValueError, match="one prediction for each patient_id and index_day in 'lr', found several"):
        compare_models(folders)
    pq.write_table(table.slice(0, 199), path)
    with pytest.raises(ValueError, match="expected all models on the same rows, found others in 'lr'"):
        compare_models(folders)
    pq.write_table(table.drop_columns(["patient_id"]), path)
    with pytest.raises(ValueError, match=r"expected patient_id in predictions\.parquet of 'lr', found none"):
        compare_models(folders)


def test_two_examples_of_a_patient_are_told_apart_by_their_index_dates(tmp_path):
    labels = [0, 1] * 20
    examples = pa.table(
        {"patient_id": [f"P{row // 2}" for row in range(40)], "index_day": list(range(40, 0, -1)), "label": labels}
    )
    for name in ("first", "second"):
        save_predictions(tmp_path / name, examples, np.array(labels) * 0.5 + 0.1, name=name)
    assert compare_models([tmp_path / "first", tmp_path / "second"]).metrics["second"]["AUROC"].value == 1.0
    for name in ("first", "second"):
        save_predictions(tmp_path / name, examples.drop_columns(["index_day"]), np.array(labels) * 0.5, name=name)
    with pytest.raises(ValueError, match="keep index_day in the examples that are scored"):
        compare_models([tmp_path / "first", tmp_path / "second"])


def test_one_score_per_row_is_needed(tmp_path):
    with pytest.raises(ValueError, match="expected one score for each of 10 rows"):
        save_predictions(tmp_path / "short", make_examples(10, seed=0), [0.5], name="Short")


def test_few_outcomes_show_no_count_and_no_metric_unless_asked(tmp_path):
    examples = make_examples(200, seed=5)
    few = np.zeros(200, np.int8)
    few[:7] = 1
    examples = examples.set_column(examples.column_names.index("label"), "label", pa.array(few))
    save_predictions(tmp_path / "a", examples, np.linspace(0, 1, 200), name="A")
    save_predictions(tmp_path / "b", examples, np.linspace(1, 0, 200), name="B")
    comparison = compare_models([tmp_path / "a", tmp_path / "b"])
    content = comparison.to_dict()
    assert (content["examples"], content["positives"]) == (200, "<11")
    assert {found["value"] for model in content["models"].values() for found in model["metrics"].values()} == {None}
    assert content["models"]["B"]["auroc_difference"] is None
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(comparison.to_rich())
    printed = " ".join(console.export_text().split())
    assert "200 examples, <11 with the outcome" in printed
    assert "0." not in printed
    raw = replace(comparison, raw_counts=True).to_dict()
    assert raw["positives"] == 7
    assert raw["models"]["A"]["metrics"]["AUROC"]["value"] == pytest.approx(comparison.metrics["A"]["AUROC"].value)
