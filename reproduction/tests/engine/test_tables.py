import csv
import io
import json

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.training import auroc, recall_at_k
from claim_transformers.training.bootstrap import clustered_interval
from reproduction.engine.tables import ModelPredictions, compare_over_repeats, recall_of_ranks
from reproduction.engine.tasks import ranks_of_labels


def rows(score, *, seed, patients=400, noise=None):
    """One repeat: a label that a score of this quality tells apart."""
    random = np.random.default_rng(seed)
    patient = np.sort(random.choice(patients, patients // 3, replace=False))
    label = (np.random.default_rng(1).random(patients) < 0.3)[patient].astype(np.int8)
    noise = np.random.default_rng(noise if noise is not None else seed + 50)
    scores = 1 / (1 + np.exp(-(score * (2 * label - 1) + noise.normal(size=len(patient)))))
    return pa.table({"patient": patient.astype(np.int32), "label": label, "score": scores})


def model(slug, group, score, repeats=3, **kwargs):
    return ModelPredictions(slug, slug.upper(), group, [rows(score, seed=i) for i in range(repeats)], **kwargs)


MODELS = [model("lr", "cold start", 0.3), model("gru", "cold start", 0.1), model("ours", "fine-tuned", 0.6)]
CEILING = model("risk", "ceiling", 1.2)


def found(table):
    return {row.model.slug: row for row in table.rows}


def test_a_value_is_the_mean_over_repeats():
    table = found(compare_over_repeats("t", MODELS, replicates=20))
    areas = [auroc(repeat["label"].to_numpy(), repeat["score"].to_numpy()) for repeat in MODELS[0].repeats]
    assert table["lr"].metrics["AUROC"].value == pytest.approx(np.mean(areas))
    assert table["lr"].metrics["AUROC"].low < np.mean(areas) < table["lr"].metrics["AUROC"].high


def test_one_repeat_has_the_interval_of_the_clustered_bootstrap():
    one = model("lr", "cold start", 0.3, repeats=1)
    ours = found(compare_over_repeats("t", [one], replicates=4000))["lr"].metrics["AUROC"]
    (repeat,) = one.repeats
    other = clustered_interval(auroc, repeat["label"], repeat["score"], repeat["patient"], replicates=4000)
    assert (ours.low, ours.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_repeats_that_share_patients_narrow_the_interval_less_than_new_patients_would():
    width = {}
    for repeats in (1, 5):
        interval = found(compare_over_repeats("t", [model("lr", "cold start", 0.3, repeats=repeats)]))["lr"].metrics[
            "AUROC"
        ]
        width[repeats] = interval.high - interval.low
    assert width[1] / np.sqrt(5) < width[5] < width[1]


def test_the_best_cold_start_is_the_reference_and_differences_are_paired():
    table = compare_over_repeats("t", [*MODELS, CEILING])
    assert table.reference == "lr"
    by_slug = found(table)
    assert by_slug["lr"].difference is None
    assert by_slug["ours"].difference.value == pytest.approx(
        by_slug["ours"].metrics["AUROC"].value - by_slug["lr"].metrics["AUROC"].value
    )
    twin = ModelPredictions("twin", "Twin", "fine-tuned", MODELS[0].repeats)
    same = found(compare_over_repeats("t", [MODELS[0], twin]))["twin"].difference
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_the_share_of_the_gap_is_that_between_cold_start_and_ceiling():
    by_slug = found(compare_over_repeats("t", [*MODELS, CEILING]))
    low, ours, high = (by_slug[slug].metrics["AUROC"].value for slug in ("lr", "ours", "risk"))
    assert by_slug["ours"].gap_closed.value == pytest.approx((ours - low) / (high - low))
    assert by_slug["risk"].gap_closed is None
    # Where the ceiling is no higher there is no gap to close.
    flat = ModelPredictions("risk", "Risk", "ceiling", MODELS[0].repeats)
    assert found(compare_over_repeats("t", [*MODELS, flat]))["ours"].gap_closed.value is None


def test_a_score_that_is_no_probability_has_no_brier_score():
    table = compare_over_repeats("t", [MODELS[0], model("nvp", "no labels", 0.2, is_probability=False)])
    assert found(table)["nvp"].metrics["Brier"].value is None
    assert found(table)["nvp"].metrics["AUROC"].value is not None
    assert "not a probability" in table.to_table().to_markdown()


def test_models_on_other_rows_are_refused():
    other = ModelPredictions("x", "X", "cold start", [rows(0.3, seed=9 + i) for i in range(3)])
    with pytest.raises(ValueError, match="expected 'x' on the rows of 'lr' in repeat 0"):
        compare_over_repeats("t", [MODELS[0], other])
    with pytest.raises(ValueError, match="expected 3 repeats of 'x'"):
        compare_over_repeats("t", [MODELS[0], model("x", "cold start", 0.1, repeats=2)])
    with pytest.raises(ValueError, match="expected a metric among"):
        compare_over_repeats("t", MODELS, primary="recall@10")


def test_what_is_written_holds_the_same_numbers(tmp_path):
    table = compare_over_repeats("Table 2", [*MODELS, CEILING], notes=["A note."], published={"lr": 0.77})
    table.to_table().save(tmp_path, "table2")
    content = json.loads((tmp_path / "table2.json").read_text())
    value = content["models"][2]["metrics"]["AUROC"]["value"]
    text = (tmp_path / "table2.md").read_text()
    assert f"{value:.3f}" in text
    assert "**LR**" in text
    assert "0.77" in text
    lines = list(csv.DictReader(io.StringIO((tmp_path / "table2.csv").read_text())))
    assert float(next(x for x in lines if x["slug"] == "ours" and x["metric"] == "AUROC")["value"]) == value


def test_recall_of_ranks_is_recall_at_k():
    random = np.random.default_rng(0)
    labels, scores = (random.random((50, 12)) < 0.2).astype(np.int64), random.random((50, 12))
    ranks = pa.chunked_array([ranks_of_labels(labels, scores)])
    for k in (1, 5, 12):
        assert np.nanmean(recall_of_ranks(ranks, k)) == pytest.approx(recall_at_k(labels, scores, k=k))


def test_many_labels_are_compared_by_recall_also_of_what_is_new():
    def ranked(best):
        ranks = pa.array([[best, 40], [2]] * 20)
        is_new = pa.array([[True, False], [False]] * 20)
        return pa.table({"patient": np.arange(40, dtype=np.int32), "ranks": ranks, "is_new": is_new})

    models = [
        ModelPredictions(slug, slug, group, [ranked(best)])
        for slug, group, best in (("lr", "cold start", 20), ("ours", "fine-tuned", 1))
    ]
    table = compare_over_repeats("t", models, primary="recall@10", replicates=50)
    assert found(table)["ours"].metrics["recall@10"].value == pytest.approx(0.75)
    assert found(table)["ours"].metrics["recall@10 of new"].value == pytest.approx(1.0)
    assert found(table)["ours"].difference.value == pytest.approx(0.25)
