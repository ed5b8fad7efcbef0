"""Pretraining of the benchmark on an ingested folder made by hand."""

import datasets
import numpy as np
import pyarrow as pa
import pytest
from training.ingested_folder import ingested

from claim_transformers.codes.errors import ClaimDataError
from reproduction.claim_pt.populations import PediatricPlan, PediatricPopulations
from reproduction.claim_pt.pretraining import Variant, pretrain
from reproduction.claim_pt.profiles import Pretraining
from reproduction.claim_pt.sweeps import Ablations, ablation_table, next_visit_quality, sweep, sweep_table
from reproduction.tests.asthma_by_hand import ARCHITECTURE


class MadeByHand(PediatricPopulations):
    """Populations whose claims and cohort were made by the test."""

    def raw(self, population="a"):
        return self.workspace.folder / "raw-made"

    def claims(self, population="a"):
        return self.workspace.folder / "claims-made"

    def cohort_folder(self, name, population="a"):
        return self.workspace.folder / "cohort-made"


@pytest.fixture
def populations(workspace, raw, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    shutil.copytree(raw, workspace.folder / "raw-made")
    claims = ingested(workspace.folder / "claims-made", {"train": 96, "validation": 24, "test": 8})
    train = datasets.Dataset.from_parquet(str(next((claims / "patients").glob("train-*"))), cache_dir=str(tmp_path))
    cohort = datasets.DatasetDict(train=train.select(range(20)))
    cohort.save_to_disk(str(workspace.folder / "cohort-made"))
    return MadeByHand(workspace, {"a": PediatricPlan(9, 1)}, {"asthma_exacerbation": {}})


@pytest.fixture
def plan(tmp_path):
    import json

    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({"model": dict(ARCHITECTURE.model), "tokenizer": dict(ARCHITECTURE.tokenizer)}))
    return Pretraining(str(path), max_steps=2, batch_size=16, min_patients=3)


def test_nobody_of_a_cohort_is_pretrained_on(populations):
    cohort = set(datasets.load_from_disk(str(populations.in_cohorts()))["asthma_exacerbation"]["patient_id"][:])
    outside = populations.outside()
    assert len(cohort) == 20
    assert len(outside["train"]) == 76
    assert not cohort & set(outside["train"]["patient_id"][:])
    assert len(populations.outside(most=16)["train"]) == 16


def test_a_patient_of_a_cohort_among_them_stops_the_run(populations, monkeypatch):
    monkeypatch.setattr(
        "claim_transformers.training.leave_out_patients", lambda patients, cohort: patients, raising=False
    )
    with pytest.raises(ClaimDataError, match="E_SPLIT_OVERLAP"):
        populations.outside()


def test_a_model_is_pretrained_once_and_judged_per_patient(populations, plan):
    model = pretrain(populations, plan, Variant("tiny", "Tiny"))
    judged = model.next_visit()
    ranks = np.concatenate(judged["ranks"].to_pylist())
    assert ranks.min() >= 1
    assert judged["loss"].to_numpy().min() > 0
    found = next_visit_quality({"tiny": model})["tiny"]
    assert found["recall"].value == pytest.approx(model.metrics["eval_recall_at_10"])
    assert found["loss"].value == pytest.approx(judged["loss"].to_numpy().sum() / len(ranks))
    ran = populations.workspace.ran
    assert pretrain(populations, plan, Variant("tiny", "Tiny")).folder == model.folder
    assert populations.workspace.ran == ran


def test_heads_and_layers_share_their_tokens_and_their_patients(populations, plan):
    swept = {"heads": sweep(populations, plan, "num_attention_heads", [1, 2], what="heads")}
    table = sweep_table("Loss", swept, ["A note."])
    assert [row["number"] for row in table.rows] == [1, 2]
    assert table.picture.startswith("<svg")
    assert len(list((populations.workspace.folder / "folders" / "pretrained").glob("tokens-*"))) == 1


def test_ablations_are_compared_with_their_reference(populations, plan, cohort):
    ablations = Ablations(
        Variant("reference", "Reference"), [Variant("day", "Day tokens", tokenizer={"time_tokens": "day"})]
    )
    table = ablation_table(populations, plan, ablations, [cohort], repeats=2, fine_tune_epochs=1)
    reference, day = table.rows
    assert reference["variant"] == "Reference"
    assert reference["asthma, frozen: difference"] is None
    difference = day["asthma, frozen: AUROC"].value - reference["asthma, frozen: AUROC"].value
    assert day["asthma, frozen: difference"].value == pytest.approx(difference)
    assert day["asthma, fine-tuned: AUROC"].value is not None


def test_models_judged_on_other_patients_are_refused(populations, plan):
    model = pretrain(populations, plan, Variant("tiny", "Tiny"))

    class Other:
        def next_visit(self):
            return pa.concat_tables([model.next_visit(), model.next_visit()])

    with pytest.raises(ValueError, match="judged on the same patients"):
        next_visit_quality({"tiny": model, "other": Other()})
