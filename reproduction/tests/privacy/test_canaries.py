import pytest

from reproduction.privacy.canaries import is_inside, run_with_canaries


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run_with_canaries(folder, patients=900, steps=1)


def test_no_canary_leaves_the_boundary(run):
    assert {path: kinds for path, kinds in run[1].items() if not is_inside(path)} == {}


def test_every_kind_of_canary_is_found_where_claims_may_be(run):
    assert {kind for kinds in run[1].values() for kind in kinds} == {"person", "claim", "name", "cell", "rare code"}
    # Packed with other bytes than they have: the search reads what is inside.
    assert "person" in run[1]["claims/quarantine/medical_claim.parquet"]
    assert "person" in run[1]["models/fine-tuned/predictions.parquet"]


def test_the_run_left_what_a_user_leaves(run):
    left = {path.relative_to(run[0]).as_posix() for path in run[0].rglob("*") if path.is_file()}
    assert left >= {
        "claims/quality_report.json",
        "cohort/attrition.json",
        "models/pretrained/model.safetensors",
        "models/fine-tuned/metrics.json",
        "report.html",
        "staged/pretrained/manifest.json",
        "staged/fine-tuned/manifest.json",
    }
    log = (run[0] / "log.txt").read_text()
    assert "error: E_EXISTS" in log
    assert "no_such_cohort" in log


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("claims/claim_line/part-00000.parquet", True),
        ("cohort/train/data.arrow", True),
        ("models/fine-tuned/predictions_validation.parquet", True),
        ("claims/quality_report.json", False),
        ("cohort/flow_chart.svg", False),
        ("models/fine-tuned/metrics.json", False),
        ("models/fine-tuned/vocab.json", False),
        ("staged/fine-tuned/README.md", False),
        ("log.txt", False),
    ],
)
def test_only_claims_cohorts_caches_and_predictions_lie_inside(path, inside):
    assert is_inside(path) == inside
