import pytest

from reproduction.claim_pt.cold_start import LogisticRegression
from reproduction.claim_pt.pretrained_features import LinearProbe
from reproduction.claim_pt.training_size import run_sizes, settings_of

PAIR = ("lr-sparse", "claim-pt-start")


@pytest.fixture
def contestants(checkpoint):
    return [LogisticRegression("sparse"), LinearProbe(checkpoint, "start")]


def test_a_point_per_size_that_the_cohort_has_and_one_for_all(workspace, cohort, contestants):
    settings = settings_of(workspace, cohort, contestants)
    assert set(settings) == {"lr-sparse", "claim-pt-start"}
    points = run_sizes(workspace, cohort, contestants, settings, [40, 80, 5000], repeats=2, pair=PAIR)
    assert [point.patients for point in points][:2] == [40, 80]
    assert len(points) == 3
    assert 170 < points[-1].patients < 195
    for point in points:
        area = {row.model.slug: row.metrics["AUROC"].value for row in point.comparison.rows}
        assert point.gain.value == pytest.approx(area["claim-pt-start"] - area["lr-sparse"])


def test_all_patients_are_the_fits_of_the_table(workspace, cohort, contestants):
    from reproduction.engine.contestants import run_contestants

    run_contestants(workspace, cohort, contestants, repeats=2)
    settings = settings_of(workspace, cohort, contestants)
    before = workspace.ran
    run_sizes(workspace, cohort, contestants, settings, [], repeats=2, pair=PAIR)
    assert workspace.ran == before
