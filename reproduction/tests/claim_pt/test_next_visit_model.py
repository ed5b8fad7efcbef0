"""The network of next visits: what is added to visits, what is a target, and that its rows are those of the task."""

import numpy as np
import pytest
import torch

from claim_transformers.models.claim import ClaimForPreTraining
from claim_transformers.training import Architecture, ClaimTrainingArguments, TokenizedPatients, tokenize_dataset
from reproduction.claim_pt.next_visit_baselines import NextVisitScores
from reproduction.claim_pt.next_visit_model import NextVisitCollator, describe_visits, score_next_visits
from reproduction.claim_pt.next_visit_report import blend_with_counts, compare_next_visit
from reproduction.claim_pt.next_visit_study import NextVisitStudy
from reproduction.claim_pt.next_visit_task import log_loss_of_rows, next_visit_rows, recall_of_rows
from reproduction.tests.timelines_by_hand import make_timelines

CODES = ["A/0", "A/1", "A/2", "A/3", "B/CHRONIC", "B/OTHER", "N/0", "N/1", "N/2"]
ARCHITECTURE = Architecture(
    {
        "visit_pooling": "sum",
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "nvp_context": "none",
        "cp_weight": 0.0,
        "history_skip": True,
    },
    {"time_tokens": "gap"},
)


@pytest.fixture
def tokenized():
    import datasets

    table = describe_visits(make_timelines(30, 0))
    tokenizer = ARCHITECTURE.train_tokenizer(table, min_patients=1)
    return table, tokenizer, tokenize_dataset(datasets.Dataset(table), tokenizer)


def test_a_code_is_first_once_for_each_patient():
    table = make_timelines(20, 0)
    for before, after in zip(table["codes"].to_pylist(), describe_visits(table)["codes"].to_pylist(), strict=True):
        seen = set()
        for visit, described in zip(before, after, strict=True):
            new = {f"FIRST/{code.replace('/', '-')}" for code in visit if code not in seen}
            assert set(described) == {*visit, *new, "VISITAGE/010"} or "VISITAGE/010" not in described
            assert {code for code in described if code.startswith("FIRST/")} == new
            assert sum(code.startswith("VISITAGE/") for code in described) == 1
            seen |= set(visit)


def test_what_was_added_is_read_but_never_a_target(tokenized):
    _, tokenizer, tokens = tokenized
    batch = NextVisitCollator(tokenizer)(TokenizedPatients(tokens).__getitems__([0, 1, 2]))
    targets = set(tokenizer.convert_ids_to_tokens(batch["labels"][batch["labels"] >= 0].tolist()))
    shown = set(tokenizer.convert_ids_to_tokens(batch["input_ids"][batch["attention_mask"] > 0].tolist()))
    assert targets <= set(CODES)
    assert any(token.startswith("FIRST/") for token in shown)
    assert any(token.startswith("VISITAGE/") for token in shown)


def test_hidden_codes_stay_targets_and_differ_between_epochs(tokenized):
    _, tokenizer, tokens = tokenized
    rows = list(range(30))
    plain, *hidden = (
        NextVisitCollator(tokenizer, code_dropout=share)(TokenizedPatients(tokens, epoch).__getitems__(rows))
        for share, epoch in ((0.0, 0), (0.3, 0), (0.3, 0), (0.3, 1))
    )
    assert torch.equal(hidden[0]["labels"], plain["labels"])
    assert torch.equal(hidden[0]["attention_mask"], hidden[1]["attention_mask"])
    assert not torch.equal(hidden[0]["attention_mask"], hidden[2]["attention_mask"])
    is_target = plain["labels"] >= 0
    share = 1 - hidden[0]["attention_mask"][is_target].float().mean()
    assert 0.2 < share < 0.4
    assert torch.equal(hidden[0]["attention_mask"][~is_target], plain["attention_mask"][~is_target])


def test_scores_stand_in_the_rows_of_the_task_and_see_no_future(tokenized):
    import datasets

    table, tokenizer, tokens = tokenized
    torch.manual_seed(0)
    model = ClaimForPreTraining(ARCHITECTURE.build_config(tokenizer))
    torch.nn.init.normal_(model.claim.history_skip.weight)
    scores = score_next_visits(model, tokens, tokenizer, CODES, batch_size=7)
    rows = next_visit_rows(table, CODES)
    assert scores.shape == rows.targets.shape
    for row in (0, 5, 40, len(rows) - 1):
        patient, visit = int(rows.patient[row]), int(rows.visit[row])
        history = table.slice(patient, 1)
        for name in ("visit_day", "visit_type", "codes"):
            cut = history[name].to_pylist()[0][:visit]
            history = history.set_column(history.column_names.index(name), name, [[cut]])
        encoded = tokenize_dataset(datasets.Dataset(history), tokenizer)
        batch = NextVisitCollator(tokenizer)(TokenizedPatients(encoded).__getitems__([0]))
        inputs = {name: batch[name] for name in ("input_ids", "visit_ids", "visit_days", "attention_mask")}
        alone = model.predict_next_visit(**inputs)[0, [tokenizer.get_vocab()[code] for code in CODES]]
        assert scores[row] == pytest.approx(alone.numpy(), abs=1e-4)


def test_a_model_whose_visits_predict_nothing_is_refused(tokenized):
    _, tokenizer, tokens = tokenized
    model = ClaimForPreTraining(ARCHITECTURE.build_config(tokenizer, nvp_context="full"))
    with pytest.raises(ValueError, match="expected a model whose visits predict codes"):
        score_next_visits(model, tokens, tokenizer, CODES)
    causal = ClaimForPreTraining(ARCHITECTURE.build_config(tokenizer))
    with pytest.raises(ValueError, match="found none for 1"):
        score_next_visits(causal, tokens, tokenizer, [*CODES, "A/unheard-of"])


def test_a_blend_is_chosen_on_validation_rows_and_is_no_worse_there_than_its_parts_at_equal_weight():
    rows = next_visit_rows(make_timelines(40, 0), CODES)
    random = np.random.default_rng(0)
    noisy = [(rows.targets * 4.0 - 2 + random.normal(0, 2, rows.targets.shape)).astype(np.float32) for _ in range(2)]
    network, counts = [
        NextVisitScores(name, scores, scores) for name, scores in zip(("net", "counts"), noisy, strict=True)
    ]
    blend = blend_with_counts(network, counts, rows, name="both")
    assert log_loss_of_rows(blend.test, rows) <= log_loss_of_rows((noisy[0] + noisy[1]) / 2, rows)
    assert log_loss_of_rows(blend.test, rows) < min(log_loss_of_rows(scores, rows) for scores in noisy)


def test_a_table_compares_with_the_best_simple_model(tmp_path):
    rows = next_visit_rows(make_timelines(40, 0), CODES)
    random = np.random.default_rng(0)
    poor, fair = (random.random(rows.targets.shape) + rows.targets * gain for gain in (0.0, 0.4))
    models = [
        NextVisitScores("poor", poor, poor, is_simple=True),
        NextVisitScores("fair", fair, fair, is_simple=True),
        NextVisitScores("oracle", rows.targets * 1.0, rows.targets * 1.0),
    ]
    table = compare_next_visit(models, rows, title="By hand", ks=(2,), replicates=100)
    assert table.best_simple == {"all codes": {2: "fair"}, "new onset": {2: "fair"}}
    for question in ("all codes", "new onset"):
        gain = table.differences["oracle"][question][2]
        by_hand = [recall_of_rows(model.test, rows, [2], question)[2] for model in models]
        assert gain.value == pytest.approx(np.nanmean(by_hand[2]) - np.nanmean(by_hand[1]))
        assert 0 < gain.low < gain.value < gain.high
        assert gain.clusters == 40
    path = table.save(tmp_path, "by-hand")
    assert "oracle, minus the best simple model (fair)" in path.read_text()
    assert path.with_suffix(".json").exists()
    with pytest.raises(ValueError, match="one of them simple"):
        compare_next_visit(models[2:], rows, title="None to beat")


def test_a_small_study_runs_from_patients_to_scores(tmp_path):
    import datasets

    patients = datasets.DatasetDict(
        {
            split: datasets.Dataset(make_timelines(count, seed))
            for seed, (split, count) in enumerate({"train": 60, "validation": 20, "test": 20}.items())
        }
    )
    arguments = ClaimTrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=2,
        learning_rate=1e-2,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    study = NextVisitStudy(ARCHITECTURE, arguments, code_dropout=0.1, quick=True)
    models, rows = study.run(patients, [0, 1], other=patients)
    names = [model.name for model in models]
    assert names[4:] == [
        "Claim-PT, one seed",
        "Claim-PT",
        "Claim-PT, one seed, another set first",
        "Claim-PT with a skip from counts",
    ]
    table = study.compare(models, rows, title="A cycle", replicates=50)
    # Two epochs teach nothing yet; the blend leans on counts, which know the cycle.
    assert table.recalls["Claim-PT with a skip from counts"]["all codes"][5].value > 0.8
    assert table.facts["visits_to_predict"] == {"train": 420, "validation": 140, "test": 140}
