from dataclasses import dataclass, field

import numpy as np
import pytest

from reproduction.engine.contestants import choose_setting, run_contestants
from reproduction.engine.steps import Workspace
from reproduction.engine.tasks import Scores


@dataclass
class Pretender:
    """A model whose quality on each split stands in its settings: the noise that is added to the label."""

    grid: list
    slug: str = "pretender"
    name: str = "Pretender"
    group: str = "cold start"
    is_probability: bool = True
    fits: list = field(default_factory=list)

    def key(self):
        return {"kind": "pretender"}

    def takes(self, task):
        return not task.cohort.is_multi_label

    def fit(self, task, hyper, seed):
        self.fits.append((task.repeat.number, hyper["name"]))
        random = np.random.default_rng(seed)

        def score(split):
            labels = task.labels(split)
            noisy = labels + hyper[split] * random.normal(size=len(labels))
            return 1 / (1 + np.exp(-noisy))

        return Scores(score("validation"), score("test"), {"noise": float("nan")})


GRID = [
    {"name": "good on test alone", "validation": 9.0, "test": 0.0},
    {"name": "good", "validation": 0.5, "test": 0.5},
    {"name": "bad", "validation": 3.0, "test": 3.0},
]


def test_the_setting_is_chosen_on_validation_and_used_for_all_repeats(workspace, cohort):
    model = Pretender(GRID)
    (found,) = run_contestants(workspace, cohort, [model], repeats=3)
    assert found.hyper["name"] == "good"
    assert [name for _, name in model.fits] == [*(setting["name"] for setting in GRID), "good", "good"]
    assert [repeat for repeat, _ in model.fits] == [0, 0, 0, 1, 2]
    assert [table.num_rows for table in found.repeats] == [
        cohort.task(repeat).splits["test"].num_rows for repeat in range(3)
    ]


def test_a_second_run_fits_nothing(workspace, cohort):
    first = run_contestants(workspace, cohort, [Pretender(GRID)], repeats=2)
    again = Pretender(GRID)
    second = run_contestants(Workspace(workspace.folder), cohort, [again], repeats=2)
    assert again.fits == []
    assert second[0].repeats[1].equals(first[0].repeats[1])


def test_another_cohort_setting_or_model_is_another_fit(workspace, cohort):
    run_contestants(workspace, cohort, [Pretender(GRID[:1])], repeats=1)
    cohort.key = "asthma-1"
    other = Pretender(GRID[:1])
    run_contestants(workspace, cohort, [other], repeats=1)
    assert len(other.fits) == 1


def test_of_equal_settings_the_first_is_taken(workspace, cohort):
    twins = [{**GRID[1], "name": "first"}, {**GRID[1], "name": "second"}]
    assert choose_setting(workspace, cohort.task(0), Pretender(twins))[0]["name"] == "first"


def test_predictions_hold_no_identifier(workspace, cohort):
    run_contestants(workspace, cohort, [Pretender(GRID[:1])], repeats=1)
    contents = [path.read_bytes() for path in workspace.folder.rglob("*") if path.is_file()]
    assert contents
    marked = cohort.examples["patient_id"][0].as_py().encode()
    assert not any(marked in content for content in contents)


def test_more_settings_than_others_have_are_refused(workspace, cohort):
    with pytest.raises(ValueError, match="expected 1 to 4 settings of Pretender, found 5"):
        run_contestants(workspace, cohort, [Pretender([GRID[0]] * 5)], repeats=1)


def test_a_model_that_does_not_take_a_cohort_is_left_out(workspace, diagnoses):
    assert run_contestants(workspace, diagnoses, [Pretender(GRID)], repeats=1) == []
