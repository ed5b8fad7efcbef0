import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "run_pretraining.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0"]


def run(command, cache, **expected):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(cache)}
    finished = subprocess.run(
        [str(part) for part in command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=170
    )
    if expected.get("fails"):
        assert finished.returncode != 0
    else:
        assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout + finished.stderr


def arguments(claims, architecture, out, **changes):
    given = {
        "claims": claims,
        "model_config": architecture,
        "output_dir": out,
        "max_steps": 6,
        "logging_steps": 1,
        "save_strategy": "no",
        "learning_rate": 5e-3,
        "disable_tqdm": True,
        "use_cpu": True,
        **changes,
    }
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    return [(line["loss"], line["nvp_loss"], line["cp_loss"]) for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def single(claims, architecture, tmp_path_factory):
    """One process with batches of 32."""
    folder = tmp_path_factory.mktemp("runs") / "single"
    given = arguments(claims, architecture, folder, per_device_train_batch_size=32, per_device_eval_batch_size=8)
    run([sys.executable, SCRIPT, *given], folder.parent / "cache")
    return folder


def test_the_folder_holds_a_model_that_loads_and_figures_that_plots_read(single):
    tokenizer = ClaimTokenizer.from_pretrained(single)
    model = ClaimForPreTraining.from_pretrained(single)
    tokenizer.check_vocabulary(model.config)
    assert tokenizer.num_categories > 0
    results = json.loads((single / "eval_results.json").read_text())
    assert {"eval_loss", "eval_nvp_loss", "eval_cp_loss", "eval_recall_at_10"} <= set(results)
    assert len(losses(single)) == 6
    assert not list(single.rglob("*.bin"))


def test_two_processes_take_the_steps_of_one(single, claims, architecture, tmp_path):
    given = arguments(
        claims,
        architecture,
        tmp_path / "double",
        per_device_train_batch_size=16,
        per_device_eval_batch_size=4,
        ddp_backend="gloo",
        expected_world_size=2,
    )
    run([*TORCHRUN, SCRIPT, *given], tmp_path / "cache")
    for one, two in zip(losses(single), losses(tmp_path / "double"), strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    one, two = (json.loads((folder / "eval_results.json").read_text()) for folder in (single, tmp_path / "double"))
    assert two["eval_patients_with_next_visit"] == one["eval_patients_with_next_visit"]
    for name in ("eval_recall_at_10", "eval_recall_at_20"):
        assert two[name] == pytest.approx(one[name], rel=1e-6)
    # The 31 patients are 32 rows on two processes: the shortest is counted twice in the loss.
    assert two["eval_loss"] == pytest.approx(one["eval_loss"], rel=1e-2)


def test_one_process_where_two_are_expected_fails(claims, architecture, tmp_path):
    given = arguments(claims, architecture, tmp_path / "out", expected_world_size=2)
    assert "expected 2 processes, found 1" in run([sys.executable, SCRIPT, *given], tmp_path / "cache", fails=True)


def test_patients_of_a_cohort_never_enter_pretraining(claims, cohort, architecture, single, tmp_path):
    given = arguments(
        claims,
        architecture,
        tmp_path / "out",
        exclude_cohort=cohort,
        tokenizer=single,
        max_steps=-1,
        num_train_epochs=1,
        per_device_train_batch_size=8,
    )
    run([sys.executable, SCRIPT, *given], tmp_path / "cache")
    # 40 of the 128 training patients are in the cohort.
    assert len(losses(tmp_path / "out")) == (128 - 40) / 8
