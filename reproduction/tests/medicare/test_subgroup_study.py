"""Every model is audited on the same stays at its own threshold, once, and a masked bias shows beside the open one."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from reproduction.engine.steps import Workspace
from reproduction.medicare.stored_tables import stored_tables
from reproduction.medicare.subgroup_study import audit_models, choose_thresholds

ROWS = 3000


def make_stays(seed=0, rows=ROWS):
    """Black patients have twice the risk; one model sees race and one does not."""
    random = np.random.default_rng(seed)
    race = random.choice(["WHITE", "BLACK"], rows, p=[0.7, 0.3])
    seen = random.uniform(0.05, 0.3, rows)
    risk = np.where(race == "BLACK", 2.0, 1.0) * seen
    labels = (random.random(rows) < risk).astype(np.int64)
    examples = pa.table(
        {
            "patient_id": [f"p{number // 2}" for number in range(rows)],
            "sex": random.choice(["F", "M"], rows),
            "birth_day": pa.array(np.zeros(rows, np.int32)),
            "index_day": pa.array((random.uniform(55, 95, rows) * 365.25).astype(np.int32)),
            "patient_codes": [[f"RACE/{name}", "ENTITLEMENT/0"] for name in race],
            "county_fips": random.choice(["36061", "48201", None], rows).tolist(),
        }
    )
    return examples, labels, {"LR": risk, "LR, race masked": seen * labels.mean() / seen.mean()}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("steps"), show_progress=False)
    examples, labels, risks = make_stays()
    thresholds = {"LR": 0.2, "LR, race masked": 0.22}
    return workspace, thresholds, audit_models(workspace, examples, labels, risks, thresholds, replicates=200)


def rows_of(table, **wanted):
    return [row for row in table.rows if all(row[name] == value for name, value in wanted.items())]


def test_a_model_that_cannot_see_race_underestimates_and_one_that_can_does_not(audited):
    _, _, tables = audited
    (seeing,) = rows_of(tables["gaps-lr"], group="black", metric="observed/expected")
    (masked,) = rows_of(tables["gaps-lr-race-masked"], group="black", metric="observed/expected")
    assert seeing["verdict"] is None
    assert masked["verdict"] == "bias against it: risk underestimated"
    assert masked["p"] < 0.001
    assert masked["gap to the rest"].low > 0.3


def test_all_attributes_are_audited_and_unknown_is_a_group(audited):
    _, _, tables = audited
    groups = {(row["attribute"], row["group"]) for row in tables["subgroups-lr"].rows}
    assert {attribute for attribute, _ in groups} == {
        "sex", "age", "race", "entitlement", "dual status", "region",
    }  # fmt: skip
    assert {("region", "unknown"), ("age", "85 and over"), ("sex", "M")} <= groups


def test_every_model_keeps_its_threshold(audited):
    _, _, tables = audited
    assert "above 0.200" in tables["subgroups-lr"].notes[0]
    assert "above 0.220" in tables["gaps-lr-race-masked"].notes[0]


def test_models_stand_side_by_side_by_group(audited):
    _, _, tables = audited
    (row,) = rows_of(tables["subgroups-side-by-side"], group="black")
    (alone,) = rows_of(tables["subgroups-lr"], group="black")
    assert row["LR: observed/expected"] == alone["observed/expected"]
    assert row["LR, race masked: observed/expected"].value > row["LR: observed/expected"].value + 0.3


def test_an_audit_is_run_once_and_again_when_a_risk_changes(audited):
    workspace, thresholds, tables = audited
    examples, labels, risks = make_stays()
    before = workspace.ran
    again = audit_models(workspace, examples, labels, risks, thresholds, replicates=200)
    assert workspace.ran == before
    assert {name: table.to_csv() for name, table in again.items()} == {
        name: table.to_csv() for name, table in tables.items()
    }
    risks["LR"] = risks["LR"].copy()
    risks["LR"][0] += 0.01
    audit_models(workspace, examples, labels, risks, thresholds, replicates=200)
    assert workspace.ran == before + 1


def test_names_that_are_one_file_are_refused(tmp_path):
    examples, labels, risks = make_stays(rows=200)
    workspace = Workspace(tmp_path, show_progress=False)
    with pytest.raises(ValueError, match="names of their own"):
        audit_models(workspace, examples, labels, {"LR": risks["LR"], "lr": risks["LR"]}, {"LR": 0.2, "lr": 0.2})
    with pytest.raises(KeyError):
        audit_models(workspace, examples, labels, {"LR": risks["LR"]}, {})


def test_thresholds_come_from_labels_of_both_classes():
    assert choose_thresholds([0, 0, 1, 1], {"a": [0.1, 0.2, 0.3, 0.9], "b": [0.9, 0.1, 0.95, 0.99]}) == {
        "a": 0.25,
        "b": pytest.approx(0.925),
    }
    with pytest.raises(ValueError, match="both classes"):
        choose_thresholds([0, 0], {"a": [0.1, 0.2]})


def test_stored_tables_keep_hidden_columns_and_the_order_of_columns(tmp_path, audited):
    _, _, tables = audited
    workspace = Workspace(tmp_path, show_progress=False)
    made = {"gaps": replace(tables["gaps-lr"], hidden=["p"])}
    for _ in range(2):
        read = stored_tables(workspace, "gaps", {}, lambda: made)["gaps"]
        assert list(read.rows[0]) == list(made["gaps"].rows[0])
        assert read.to_markdown() == made["gaps"].to_markdown()
        assert list(read.hidden) == ["p"]
    assert workspace.ran == 1
