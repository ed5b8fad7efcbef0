"""Scores of a folder: everybody counted, a killed run goes on to the same bytes, nothing in the way is lost."""

import datetime as dt
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from task_runs import TasksHere
from training.scoring.scored_people import AT, folder_of, members, model, tokenizer

from claim_transformers.claims.files import lock_folder
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.models.claim.form_claim import ClaimForm
from claim_transformers.training import Calibration, Scorer, save_calibration, score_claims, score_table
from claim_transformers.training.scoring import folders, unclaimed

TABLES = [members(30), members(20, seed=1)]
EPOCH = dt.date(1970, 1, 1)
SILENT = ["silent-1", "silent-2"]


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("scores") / "claims", TABLES)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(model(), tokenizer())


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(folders, "_ROWS_PER_PART", 20)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_everybody_is_scored_or_counted_with_claims_or_without(claims, scorer, tmp_path):
    summary = score_claims(scorer, claims, tmp_path / "out", at=AT)
    assert (summary.members, summary.scored, summary.left_out["not enrolled at the date"]) == (53, 42, 11)
    assert summary.members == summary.scored + sum(summary.left_out.values())
    found = pq.read_table(tmp_path / "out", schema=pq.read_schema(tmp_path / "out" / "part-00000.parquet"))
    expected = score_table(model(), tokenizer(), pa.concat_tables(TABLES), AT)
    assert found["patient_id"].to_pylist() == [*expected["patient_id"].to_pylist(), *SILENT]
    assert found["enrolled_days"].to_pylist()[-2:] == [184, 1]
    assert found["last_visit_date"].to_pylist()[-2:] == [None, None]
    facts = json.loads((tmp_path / "out" / "_scores.json").read_text())
    assert facts["checkpoint"] == scorer.checkpoint == found["checkpoint"][0].as_py()
    assert facts["counts"] == {"members": 53, "scored": 42, "not enrolled at the date": 11}
    metadata = pq.read_schema(tmp_path / "out" / "part-00000.parquet").metadata
    assert metadata[b"claim_transformers.checkpoint"].decode() == scorer.checkpoint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_a_killed_run_goes_on_to_the_same_bytes(claims, scorer, tmp_path, monkeypatch):
    score_claims(scorer, claims, tmp_path / "whole", at=AT)
    real, calls = folders._score_part, []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(folders, "_score_part", dies)
    with pytest.raises(KeyboardInterrupt):
        score_claims(scorer, claims, tmp_path / "out", at=AT)
    assert not (tmp_path / "out").exists()
    work = next(tmp_path.glob(".out.parts-*"))
    # One of the two finished parts is damaged on the disk: it is scored again.
    (work / "part-00001.parquet").write_bytes(b"PAR1")
    summary = score_claims(scorer, claims, tmp_path / "out", at=AT)
    assert (summary.parts, summary.parts_kept, len(calls)) == (4, 1, 6)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


def test_parts_of_another_question_are_not_taken(claims, scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "publish_folder", stops)
    for look_back_days in (30, 90):
        with pytest.raises(KeyboardInterrupt):
            score_claims(Scorer(model(), tokenizer(), look_back_days=look_back_days), claims, tmp_path / "out", at=AT)
    assert len(list(tmp_path.glob(".out.parts-*"))) == 1
    monkeypatch.undo()
    monkeypatch.setattr(folders, "_ROWS_PER_PART", 20)
    assert score_claims(scorer, claims, tmp_path / "out", at=AT).parts_kept == 0


def stops(*_, **__):
    raise KeyboardInterrupt


def test_two_runs_do_not_write_one_folder(claims, scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "publish_folder", stops)
    with pytest.raises(KeyboardInterrupt):
        score_claims(scorer, claims, tmp_path / "out", at=AT)
    with lock_folder(next(tmp_path.glob(".out.parts-*"))) as is_mine:
        assert is_mine
        with pytest.raises(ClaimDataError, match="E_BUSY"):
            score_claims(scorer, claims, tmp_path / "out", at=AT)


def test_what_stands_at_the_target_is_replaced_only_if_it_holds_scores(claims, scorer, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ClaimDataError, match="E_EXISTS"):
            score_claims(scorer, claims, tmp_path / "out", at=AT, overwrite=overwrite)
    score_claims(scorer, claims, tmp_path / "other", at="2013-01-01")
    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        score_claims(scorer, claims, tmp_path / "other", at="2013-01-01")
    score_claims(scorer, claims, tmp_path / "other", at="2012-01-01", overwrite=True)
    assert json.loads((tmp_path / "other" / "_scores.json").read_text())["index_date"] == "2012-01-01"


def test_a_damaged_file_is_named_and_nothing_of_it_is_quoted(claims, scorer, tmp_path):
    broken = folder_of(tmp_path / "broken", TABLES[:1], eligibility=False)
    path = broken / "patients" / "train-00000.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-200] + bytes(192) + content[-8:])
    with pytest.raises(ClaimDataError, match=r"E_PARQUET: expected patients in train-00000\.parquet") as refused:
        score_claims(scorer, broken, tmp_path / "out", at=AT)
    assert "member" not in str(refused.value)


def test_a_date_behind_the_data_is_warned_of(claims, scorer, tmp_path, caplog):
    summary = score_claims(scorer, claims, tmp_path / "out", at="2016-01-01")
    assert summary.scored == 0
    assert "WHO IS ENROLLED THEN IS NOT KNOWN" in caplog.text


def test_a_date_before_every_claim_is_refused_and_leaves_nothing(claims, scorer, tmp_path):
    first = min(min(days) for table in TABLES for days in table["visit_day"].to_pylist() if days)
    with pytest.raises(ClaimDataError, match=r"E_NO_HISTORY: .*before any") as refused:
        score_claims(scorer, claims, tmp_path / "out", at=EPOCH + dt.timedelta(days=first))
    assert not any(str(year) in str(refused.value) for year in range(1990, 2030))
    assert not list(tmp_path.iterdir())
    score_claims(scorer, claims, tmp_path / "out", at=EPOCH + dt.timedelta(days=first + 1))


def test_a_run_that_is_refused_leaves_no_folder_of_parts(claims, tmp_path):
    words = tokenizer()
    words.take_form(ClaimForm("code", bins={"LOS": (3.0,)}))
    scorer = Scorer(model(), words)
    with pytest.raises(ValueError, match="expected patients with"):
        score_claims(scorer, claims, tmp_path / "out", at=AT)
    assert not list(tmp_path.iterdir())


def test_members_without_claims_are_cut_between_patients(claims, monkeypatch):
    monkeypatch.setattr(unclaimed, "_ROWS_AT_A_TIME", 1)
    tables = list(unclaimed.unclaimed_patients(open_folder(claims), 16_000))
    assert [table["patient_id"].to_pylist() for table in tables] == [["gone"], ["silent-1"], ["silent-2"]]
    assert tables[1]["enrollment_end_day"].to_pylist() == [[16_000]]


def test_a_checkpoint_brings_its_calibration(claims, tmp_path):
    model().save_pretrained(tmp_path / "checkpoint")
    tokenizer().save_pretrained(tmp_path / "checkpoint")
    assert Scorer.from_pretrained(tmp_path / "checkpoint").checkpoint == Scorer(model(), tokenizer()).checkpoint

    class Fitted:
        def to_dict(self):
            return {"method": "platt", "intercept": -2.0, "slope": 0.5}

    save_calibration(tmp_path / "checkpoint", Fitted())
    loaded = Scorer.from_pretrained(tmp_path / "checkpoint", top_k=3)
    assert loaded.calibration == Calibration(Fitted().to_dict())
    model().claim.save_pretrained(tmp_path / "encoder")
    tokenizer().save_pretrained(tmp_path / "encoder")
    with pytest.raises(ValueError, match="expected a checkpoint of ClaimForPreTraining"):
        Scorer.from_pretrained(tmp_path / "encoder")


def test_tasks_write_the_bytes_of_one_process(claims, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint, claims = Path("checkpoint"), Path(os.path.relpath(claims, tmp_path))
    model().save_pretrained(checkpoint)
    tokenizer().save_pretrained(checkpoint)
    one = score_claims(checkpoint, claims, tmp_path / "one", at=AT, precision="float32")
    many = score_claims(checkpoint, claims, tmp_path / "many", at=AT, precision="float32", tasks=TasksHere())
    assert (many.members, many.scored, many.left_out) == (one.members, one.scored, one.left_out)
    assert (many.parts, many.parts_kept) == (one.parts, 0)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    monkeypatch.setattr(folders, "count_parts", lambda *_: 3)
    with monkeypatch.context() as killed:
        killed.setattr(folders, "publish_folder", stops)
        with pytest.raises(KeyboardInterrupt):
            score_claims(checkpoint, claims, tmp_path / "cut", at=AT, precision="float32", tasks=TasksHere())
    next(tmp_path.glob(".cut.parts-*/part-00004.parquet")).unlink()
    cut = score_claims(checkpoint, claims, tmp_path / "cut", at=AT, precision="float32", tasks=TasksHere())
    assert (cut.members, cut.scored, cut.left_out, cut.parts, cut.parts_kept) == (
        one.members, one.scored, one.left_out, one.parts + 2, one.parts - 1
    )  # fmt: skip
    ids = [sorted(pq.read_table(tmp_path / name)["patient_id"].to_pylist()) for name in ("cut", "one")]
    assert ids[0] == ids[1]
    with pytest.raises(ValueError, match="expected the name or folder of a checkpoint"):
        score_claims(Scorer(model(), tokenizer()), claims, tmp_path / "other", at=AT, tasks=TasksHere())
