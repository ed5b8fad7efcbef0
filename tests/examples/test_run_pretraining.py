import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import DatasetDict, load_from_disk

from claim_transformers.codes import category_rules
from claim_transformers.models.claim import ClaimForm, ClaimForMaskedLM, ClaimForPreTraining, ClaimTokenizer
from claim_transformers.training import ClaimTrainingArguments, PretrainingArguments, parse_arguments

ROOT = Path(__file__).parents[2]


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
    return [str(part) for name, value in given.items() for part in (f"--{name}", value)]


@pytest.fixture(scope="module")
def run(load_script):
    script = load_script("run_pretraining")

    def run_here(given):
        script.main(*parse_arguments(PretrainingArguments, ClaimTrainingArguments, arguments=given))

    return run_here


def run_with_torchrun(given, cache):
    """Two processes on this machine. They end with this one: the launcher heads a process group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(cache)}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    process = subprocess.Popen(
        [*launcher, "examples/run_pretraining.py", *given],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=240)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, output[-3000:]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    return [(line["loss"], line["nvp_loss"], line["cp_loss"]) for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def single(run, claims, architecture, tmp_path_factory):
    """One process with batches of 32."""
    folder = tmp_path_factory.mktemp("runs") / "single"
    run(arguments(claims, architecture, folder, per_device_train_batch_size=32, per_device_eval_batch_size=8))
    return folder


def test_a_checkpoint_is_extended_by_the_codes_of_the_claims_and_trained_on(
    run, claims, architecture, single, tmp_path
):
    # A checkpoint that lacks the last code of the claims: it comes back behind the others.
    before = ClaimTokenizer.from_pretrained(single)
    before.save_pretrained(tmp_path / "checkpoint")
    vocab = dict(list(before.get_vocab().items())[:-1])
    (tmp_path / "checkpoint" / "vocab.json").write_text(json.dumps(vocab))
    model = ClaimForPreTraining.from_pretrained(single)
    model.resize_token_embeddings(len(vocab))
    model.save_pretrained(tmp_path / "checkpoint")
    run(arguments(claims, architecture, tmp_path / "run", model_name_or_path=tmp_path / "checkpoint"))
    after = ClaimTokenizer.from_pretrained(tmp_path / "run")
    assert list(after.get_vocab()) == list(before.get_vocab())
    assert ClaimForPreTraining.from_pretrained(tmp_path / "run").config.vocab_size == len(before)


def test_a_configuration_with_codes_as_positions_learns_masked_tokens(run, claims, architecture, tmp_path):
    described = json.loads(Path(architecture).read_text())
    described["model"] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "visit_pooling": "none",
        "time_attention": "bucketed",
    }
    path = tmp_path / "codes.json"
    path.write_text(json.dumps(described))
    run(arguments(claims, path, tmp_path / "run", per_device_train_batch_size=16, mask_probability=0.2))
    model = ClaimForMaskedLM.from_pretrained(tmp_path / "run")
    assert model.config.visit_pooling == "none"
    evaluated = json.loads((tmp_path / "run" / "eval_results.json").read_text())
    assert 0 < evaluated["eval_loss"] < math.log(model.config.vocab_size) + 1
    assert evaluated["eval_masked_tokens"] > 0
    for k in (1, 10):
        assert 0 <= evaluated[f"eval_accuracy_at_{k}"] <= 1
        assert 0 < evaluated[f"eval_most_frequent_at_{k}"] <= 1


def test_the_form_of_sequences_goes_into_the_tokenizer(run, claims, architecture, tmp_path):
    sequences = shutil.copytree(claims, tmp_path / "sequences")
    form = ClaimForm("category", county_bins={"SVI": (0.5,)})
    form.save(sequences)
    (sequences / "categories.json").write_text(json.dumps(category_rules().to_dict()))
    run(arguments(sequences, architecture, tmp_path / "run", max_steps=1))
    assert ClaimTokenizer.from_pretrained(tmp_path / "run").form == form


def test_the_folder_holds_a_model_that_loads_and_figures_that_plots_read(single):
    tokenizer = ClaimTokenizer.from_pretrained(single)
    model = ClaimForPreTraining.from_pretrained(single)
    tokenizer.check_vocabulary(model.config)
    assert tokenizer.num_categories > 0
    results = json.loads((single / "eval_results.json").read_text())
    assert {"eval_loss", "eval_nvp_loss", "eval_cp_loss", "eval_recall_at_10"} <= set(results)
    assert len(losses(single)) == 6
    assert not list(single.rglob("*.bin"))


@pytest.mark.slow
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
    run_with_torchrun(given, tmp_path / "cache")
    for one, two in zip(losses(single), losses(tmp_path / "double"), strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    one, two = (json.loads((folder / "eval_results.json").read_text()) for folder in (single, tmp_path / "double"))
    assert two["eval_patients_with_next_visit"] == one["eval_patients_with_next_visit"]
    for name in ("eval_recall_at_10", "eval_recall_at_20"):
        assert two[name] == pytest.approx(one[name], rel=1e-6)
    # The 31 patients are 32 rows on two processes: the shortest is counted twice in the loss.
    assert two["eval_loss"] == pytest.approx(one["eval_loss"], rel=1e-2)


def test_one_process_where_two_are_expected_fails(run, claims, architecture, tmp_path):
    with pytest.raises(ValueError, match="expected 2 processes, found 1"):
        run(arguments(claims, architecture, tmp_path, expected_world_size=2))


def test_patients_of_a_cohort_never_enter_pretraining(run, claims, cohort, architecture, single, tmp_path):
    in_cohort = {identifier for split in load_from_disk(str(cohort)).values() for identifier in split["patient_id"]}
    assert sum(f"P{number:05d}" in in_cohort for number in range(128)) == 40
    changes = {"max_steps": -1, "num_train_epochs": 1, "per_device_train_batch_size": 8}
    run(arguments(claims, architecture, tmp_path, exclude_cohort=cohort, tokenizer=single, **changes))
    assert len(losses(tmp_path)) == (128 - 40) / 8


def test_a_run_until_a_date_sees_no_outcome_of_a_cohort_and_says_so(
    run, claims, cohort, architecture, single, tmp_path, capsys, caplog
):
    test = load_from_disk(str(cohort))["test"]
    dated = test.select_columns(["patient_id"]).add_column("index_day", [15_200] * len(test))
    DatasetDict(test=dated).save_to_disk(str(tmp_path / "cohort"))
    (tmp_path / "cohort" / "cohort.json").write_text(json.dumps({"label": {"horizon_days": 60}}))
    given = {"tokenizer": single, "cohort": tmp_path / "cohort", "max_steps": 1}
    run(arguments(claims, architecture, tmp_path / "all", **given))
    assert "W_OUTCOME_SEEN" in caplog.text
    assert "Pretraining saw 40 of 40 test patients of the cohort, and 0 days" not in capsys.readouterr().out
    caplog.clear()
    # 15,200 days after 1970-01-01.
    run(arguments(claims, architecture, tmp_path / "cut", until="2011-08-14", **given))
    assert "W_OUTCOME_SEEN" not in caplog.text
    said = re.search(
        r"Pretraining saw (\d+|hidden) of 40 test patients of the cohort, and 0 days", capsys.readouterr().out
    )
    # From 31 to 39 of 40 would tell of the few others.
    assert said[1] in ("40", "hidden")
