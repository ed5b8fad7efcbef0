import dataclasses
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest
import torch

from claim_transformers.analysis.readout.probes import token_batches
from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining
from claim_transformers.training import auroc
from reproduction.claim_pt.cold_start import TrueRiskCeiling
from reproduction.claim_pt.contestants import standard_contestants
from reproduction.claim_pt.plain_trainer import PlainTrainer
from reproduction.claim_pt.pretrained_features import next_visit_categories
from reproduction.engine.checkpoints import load_tokenizer
from reproduction.engine.contestants import MAX_SETTINGS
from reproduction.engine.splits import Repeat
from reproduction.engine.tasks import Task, predictions_table

SLUGS = [*(contestant.slug for contestant in standard_contestants("claim-pt-base")), PlainTrainer.slug]


@pytest.fixture
def contestants(checkpoint):
    standard = standard_contestants(checkpoint, paper_checkpoint=checkpoint, epochs=1)
    return {c.slug: c for c in [*standard, PlainTrainer(checkpoint)]}


def with_other_test_labels(task):
    """The same task, but the labels of the test patients are turned round."""
    test = task.splits["test"]
    column = test.column_names.index("label")
    turned = pa.array(1 - test["label"].to_numpy(), pa.int8())
    splits = {**task.splits, "test": test.set_column(column, "label", turned)}
    cohort = dataclasses.replace(task.cohort, _tokens={})
    return Task(cohort, Repeat(task.repeat.number, splits))


@pytest.mark.parametrize("slug", SLUGS)
def test_scores_fit_the_splits_and_do_not_depend_on_test_labels(slug, contestants, cohort):
    model, task = contestants[slug], cohort.task(0)
    if not model.takes(task):
        pytest.skip("this checkpoint or environment lacks what the model needs")
    setting = model.grid[0]
    scores = model.fit(task, setting, 0)
    table = predictions_table(task, "test", np.asarray(scores.test))
    assert table.num_rows == task.splits["test"].num_rows
    assert scores.validation.shape == task.labels("validation").shape
    if model.is_probability:
        assert 0.0 <= scores.test.min() <= scores.test.max() <= 1.0
    turned = model.fit(with_other_test_labels(task), setting, 0)
    np.testing.assert_allclose(turned.test, scores.test, atol=1e-6)


@pytest.mark.parametrize("slug", ["lr-sparse", "transe", "doctor-ai", "claim-pt-nvp", "claim-pt-start"])
def test_models_take_several_labels(slug, contestants, diagnoses):
    model, task = contestants[slug], diagnoses.task(0)
    assert model.takes(task)
    scores = model.fit(task, model.grid[0], 0)
    assert scores.test.shape == task.labels("test").shape == (task.splits["test"].num_rows, 3)
    table = predictions_table(task, "test", np.asarray(scores.test))
    assert sum(map(len, table["ranks"].to_pylist())) == task.labels("test").sum()
    assert [len(row) for row in table["is_new"].to_pylist()] == [len(row) for row in table["ranks"].to_pylist()]


@pytest.mark.parametrize("target", ["code", "category"])
def test_a_category_is_as_likely_as_the_head_says(target, checkpoint, diagnoses):
    torch.manual_seed(1)
    tokenizer = load_tokenizer(checkpoint)
    config = ClaimConfig.from_pretrained(checkpoint, nvp_target=target)
    model = ClaimForPreTraining(config).eval()
    tokens = diagnoses.tokens(tokenizer)
    found = next_visit_categories(model, tokenizer, tokens, diagnoses)
    assert found.shape == (260, 3)
    (_, batch), *_ = token_batches(tokens.slice(0, 1), config, 1)
    risk = torch.sigmoid(model.predict_next_visit(**batch)).detach().double().numpy()[0]
    if target == "category":
        expected = risk[list(tokenizer.category_names).index("CCSR/RSP009")]
    else:
        of_asthma = [tokenizer.convert_tokens_to_ids(name) for name in ("ICD9CM/49390", "CCSR/RSP009")]
        unknown = tokenizer.unk_token_id
        expected = 1 - np.prod([1 - risk[i] for i in of_asthma if i != unknown])
    assert found[0, 0] == pytest.approx(expected, rel=1e-4)
    # The head knows no code of the other categories.
    assert found[:, 1:].max() == 0.0


def test_every_model_has_as_small_a_search(contestants):
    assert len(contestants) == len({c.name for c in contestants.values()})
    trained = {slug: len(c.grid) for slug, c in contestants.items() if c.group not in ("no labels", "ceiling")}
    # Trainer as it comes searches nothing.
    assert trained.pop("plain-trainer") == 1
    # A model that is searched less than its rivals has no advantage.
    assert 1 < trained.pop("claim-pt-fine-tune") <= MAX_SETTINGS
    assert set(trained.values()) == {MAX_SETTINGS}
    assert "claim-pt-paper" in trained


COLD_ON_RAW_CODES = {"lr-sparse", "lr-dense", "gradient-boosting", "true-risk"}
COLD_ON_TOKENS = {"lr-recent", "doctor-ai", "dipole", "retain"}


@pytest.mark.parametrize(
    ("file", "unmoved"),
    [("config.json", COLD_ON_RAW_CODES | COLD_ON_TOKENS), ("tokenizer_config.json", COLD_ON_RAW_CODES)],
)
def test_the_key_of_a_model_follows_what_it_reads_of_its_checkpoint(file, unmoved, checkpoint, contestants, tmp_path):
    import shutil

    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    (copy / file).write_text((copy / file).read_text() + "\n")
    others = {c.slug: c for c in standard_contestants(str(copy))}
    keys = {slug: (contestants[slug].key(), others[slug].key()) for slug in others}
    # 20 epochs there, 1 here: taken out, so that only the checkpoint differs.
    different = {slug for slug, (one, two) in keys.items() if one | {"epochs": 0} != two | {"epochs": 0}}
    assert different == set(others) - unmoved


def test_the_true_risk_ranks_as_the_simulator_says(cohort):
    task = cohort.task(0)
    assert auroc(task.labels("test"), TrueRiskCeiling().fit(task, {}, 0).test) == 1.0
    assert not TrueRiskCeiling().takes(
        dataclasses.replace(task, cohort=dataclasses.replace(cohort, true_risk_file=None))
    )


def test_lora_is_left_out_without_peft(contestants, cohort):
    assert contestants["claim-pt-lora"].takes(cohort.task(0)) == (find_spec("peft") is not None)
