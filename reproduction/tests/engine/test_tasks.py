import json

import datasets
import numpy as np
import pytest
from analysis.cohort_by_hand import make_examples

from reproduction.engine.checkpoints import load_tokenizer
from reproduction.engine.tasks import BenchmarkCohort, predictions_table


@pytest.fixture
def folder(tmp_path, raw):
    """A cohort as it is saved: examples in three splits, and its definition."""
    splits = {
        name: datasets.Dataset(make_examples(40, seed)) for seed, name in enumerate(("train", "validation", "test"))
    }
    path = tmp_path / "cohort-a1b2"
    datasets.DatasetDict(splits).save_to_disk(str(path))
    content = {"name": "asthma_exacerbation", "title": "Asthma", "sampled_share": [0.25, 1.0]}
    (path / "cohort.json").write_text(json.dumps(content))
    return path


def test_a_cohort_is_read_whole_whatever_split_it_was_saved_in(folder, raw):
    cohort = BenchmarkCohort.load(folder, raw=raw)
    assert cohort.examples.num_rows == 120
    assert cohort.key == "cohort-a1b2"
    assert cohort.name == "asthma-exacerbation"
    assert not cohort.is_multi_label
    assert "25.0% of the controls" in cohort.describe()


def test_a_folder_that_is_no_cohort_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a cohort with cohort\.json"):
        BenchmarkCohort.load(tmp_path)


def test_tokens_of_a_split_are_those_of_its_own_rows(cohort, checkpoint):
    tokenizer, task = load_tokenizer(checkpoint), cohort.task(1)
    alone = tokenizer.encode_table(task.splits["test"])
    assert task.tokens(tokenizer)["test"]["input_ids"][:] == alone["input_ids"].to_pylist()
    assert task.tokens(tokenizer)["test"]["label"][:] == task.labels("test").tolist()


def test_a_cohort_is_tokenised_once_for_all_repeats(cohort, checkpoint):
    tokenizer = load_tokenizer(checkpoint)
    assert cohort.tokens(tokenizer) is cohort.tokens(tokenizer)


def test_scores_that_do_not_fit_are_refused(cohort):
    task = cohort.task(0)
    rows = task.splits["test"].num_rows
    with pytest.raises(ValueError, match="expected scores of shape"):
        predictions_table(task, "test", np.zeros(rows + 1))
    with pytest.raises(ValueError, match="expected finite scores"):
        predictions_table(task, "test", np.full(rows, np.nan))
