"""Plans of other processes: read whole, of one version, of the owner alone, or made again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from claim_transformers.claims import plan_files
from claim_transformers.claims.plan_files import keep_plan, read_plan

SQL = "SELECT '\r\n\u00a0' AS blank"


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CLAIM_TRANSFORMERS_PLANS", str(tmp_path / "plans"))
    plan_files._folder.cache_clear()
    yield tmp_path / "plans"
    plan_files._folder.cache_clear()


def test_a_plan_is_read_as_it_was_kept_by_its_owner_alone(plans: Path) -> None:
    assert read_plan("step") is None
    keep_plan("step", SQL)
    assert read_plan("step") == SQL
    (folder,) = plans.iterdir()
    assert [path.name for path in folder.iterdir()] == ["step"]
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: b"", lambda content: b"\xff" + content]
)
def test_a_plan_that_is_not_whole_is_none(plans: Path, damage) -> None:
    keep_plan("step", SQL)
    (file,) = plans.glob("*/step")
    file.write_bytes(damage(file.read_bytes()))
    assert read_plan("step") is None
    keep_plan("step", SQL)
    assert read_plan("step") == SQL


def test_plans_of_another_version_are_not_read_and_the_oldest_go(plans: Path, monkeypatch) -> None:
    for number in range(5):
        monkeypatch.setattr(plan_files, "_name_version", lambda number=number: f"plans-{number}")
        plan_files._folder.cache_clear()
        assert read_plan("step") is None
        keep_plan("step", SQL)
    assert len(list(plans.iterdir())) == 3


def test_what_others_can_write_is_not_read(plans: Path) -> None:
    keep_plan("step", SQL)
    (folder,) = plans.iterdir()
    folder.chmod(0o777)
    plan_files._folder.cache_clear()
    assert read_plan("step") is None


def test_without_a_place_every_process_plans_for_itself(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    for place in ("", str(tmp_path / "file" / "plans")):
        monkeypatch.setenv("CLAIM_TRANSFORMERS_PLANS", place)
        plan_files._folder.cache_clear()
        keep_plan("step", SQL)
        assert read_plan("step") is None
    plan_files._folder.cache_clear()


def test_no_more_is_kept_than_fits(plans: Path, monkeypatch) -> None:
    monkeypatch.setattr(plan_files, "_MOST_FILES", 1)
    keep_plan("step", SQL)
    plan_files._folder.cache_clear()
    keep_plan("other", SQL)
    assert len(list(plans.glob("*/*"))) == 1


def test_a_user_without_a_home_plans_anew(monkeypatch):
    for name in ("CLAIM_TRANSFORMERS_PLANS", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    # As of a number that a container gives, which has no entry in the table of users.
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    plan_files._folder.cache_clear()
    assert read_plan("a-step") is None
    plan_files._folder.cache_clear()
