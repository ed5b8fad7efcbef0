import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.hub.checkpoint_files import MANIFEST_NAME, file_sha256
from claim_transformers.hub.errors import PushRefusedError
from claim_transformers.hub.upload_folder import stage

FORBIDDEN_FILES = [
    "training_args.bin",
    "training_args.json",
    "optimizer.pt",
    "optimizer.bin",
    "scheduler.pt",
    "scaler.pt",
    "rng_state.pth",
    "rng_state_0.pth",
    "trainer_state.json",
    "events.out.tfevents.1.host",
    "pytorch_model.bin",
    "model.safetensors.tmp",
    ".tmp12345",
    ".env",
    ".DS_Store",
    "patients.csv",
    "part-00000.parquet",
    "data-00000-of-00001.arrow",
    "cache.pkl",
    "embeddings.npy",
    "claims.db",
    "notebook.ipynb",
    "predictions.json",
    "quality_report.json",
    "results.txt",
    "log.jsonl",
    "model.safetensors.gz",
    "Config.json",
    "config.json~",
    "stray.py",
]


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with the files of a checkpoint and nothing else."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "claim"}')
    (folder / "vocab.json").write_text('{"[PAD]": 0, "ICD10CM/E119": 1}')
    return folder


@pytest.fixture
def staging(tmp_path):
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def test_a_clean_checkpoint_is_staged_whole_with_a_manifest_that_can_be_checked(checkpoint, staging):
    names = stage(checkpoint, staging, with_code=False)
    assert names == ["config.json", "manifest.json", "model.safetensors", "vocab.json"]
    files = json.loads((staging / MANIFEST_NAME).read_text())["files"]
    assert sorted(files) == [name for name in names if name != MANIFEST_NAME]
    for name, entry in files.items():
        assert entry == {"size": (staging / name).stat().st_size, "sha256": file_sha256(staging / name)}


@pytest.mark.parametrize("name", FORBIDDEN_FILES)
@pytest.mark.parametrize("with_code", [False, True])
def test_a_file_that_is_no_part_of_a_checkpoint_stops_the_push(checkpoint, staging, name, with_code):
    (checkpoint / name).write_text("{}")
    with pytest.raises(PushRefusedError, match="expected only the files of a checkpoint") as refusal:
        stage(checkpoint, staging, with_code=with_code)
    assert repr(name) in str(refusal.value)
    assert not any(staging.iterdir())


@pytest.mark.parametrize("name", ["runs", "checkpoint-10", "__pycache__", "model.safetensors.d"])
def test_a_folder_inside_stops_the_push(checkpoint, staging, name):
    (checkpoint / name).mkdir()
    with pytest.raises(PushRefusedError, match=name):
        stage(checkpoint, staging, with_code=True)


def test_a_link_under_an_allowed_name_stops_the_push(checkpoint, staging, tmp_path):
    (tmp_path / "patients.json").write_text("{}")
    (checkpoint / "categories.json").symlink_to(tmp_path / "patients.json")
    with pytest.raises(PushRefusedError, match=r"categories\.json"):
        stage(checkpoint, staging, with_code=False)


def test_a_training_manifest_does_not_travel(checkpoint, staging):
    (checkpoint / MANIFEST_NAME).write_text('{"step": 12}')
    stage(checkpoint, staging, with_code=False)
    assert "step" not in json.loads((staging / MANIFEST_NAME).read_text())


@pytest.mark.parametrize("path", ["/home/me/claims", "/Users/me/x", "/mnt/lds/2015", "/tmp/x", "~/runs", "file:///x"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "README.md"])
def test_a_path_of_this_machine_stops_the_push(checkpoint, staging, name, path):
    (checkpoint / name).write_text(json.dumps({"key": f"see {path}"}))
    with pytest.raises(PushRefusedError, match="a path of this machine") as refusal:
        stage(checkpoint, staging, with_code=False)
    assert path not in str(refusal.value)


def test_a_path_of_a_windows_machine_stops_the_push(checkpoint, staging):
    (checkpoint / "config.json").write_text(json.dumps({"key": "C:\\Users\\me"}))
    with pytest.raises(PushRefusedError, match="a path of this machine"):
        stage(checkpoint, staging, with_code=False)


def test_a_path_in_the_header_of_the_weights_stops_the_push(checkpoint, staging):
    save_file({"weight": torch.zeros(2)}, checkpoint / "model.safetensors", metadata={"source": "/home/me/claims"})
    with pytest.raises(PushRefusedError, match=r"model\.safetensors.*a path of this machine"):
        stage(checkpoint, staging, with_code=False)


def test_damaged_weights_stop_the_push(checkpoint, staging):
    content = (checkpoint / "model.safetensors").read_bytes()
    (checkpoint / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(PushRefusedError, match="damaged"):
        stage(checkpoint, staging, with_code=False)


@pytest.mark.parametrize(
    "text", ["https://example.org/home/data/x", "a/b and 1/2", "python examples/run.py --x runs/a"]
)
def test_addresses_and_relative_paths_may_leave(checkpoint, staging, text):
    (checkpoint / "README.md").write_text(text)
    assert "README.md" in stage(checkpoint, staging, with_code=False)


def test_an_access_token_stops_the_push_and_is_not_repeated(checkpoint, staging):
    token = "hf_" + "a1B2" * 8
    (checkpoint / "tokenizer_config.json").write_text(json.dumps({"hub_token": token}))
    with pytest.raises(PushRefusedError, match="access token") as refusal:
        stage(checkpoint, staging, with_code=False)
    assert token not in str(refusal.value)


@pytest.mark.parametrize(
    "vocabulary",
    [
        {"[PAD]": 0, "ICD10CM/E119": 5210},
        {"[PAD]": 0, "ICD10CM/E119": 0},
        {"[PAD]": 0, "ICD10CM/E119": {"id": 1, "count": 5210}},
        {"[PAD]": 0, "2012-03-04": 1},
    ],
)
def test_a_vocabulary_with_counts_or_dates_stops_the_push(checkpoint, staging, vocabulary):
    (checkpoint / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(PushRefusedError, match=r"vocab\.json") as refusal:
        stage(checkpoint, staging, with_code=False)
    assert "2012" not in str(refusal.value)
    assert "5210" not in str(refusal.value)


def test_without_code_the_references_to_code_are_dropped(checkpoint, staging):
    auto_map = {"AutoModel": "modeling_claim.ClaimModel"}
    (checkpoint / "config.json").write_text(json.dumps({"model_type": "claim", "auto_map": auto_map}))
    stage(checkpoint, staging, with_code=False)
    assert json.loads((staging / "config.json").read_text()) == {"model_type": "claim"}


def test_with_code_only_the_files_that_the_checkpoint_runs_are_allowed(checkpoint, staging):
    auto_map = {"AutoModel": "modeling_claim.ClaimModel", "AutoTokenizer": ["tokenization_claim.ClaimTokenizer", None]}
    (checkpoint / "config.json").write_text(json.dumps({"auto_map": auto_map}))
    (checkpoint / "modeling_claim.py").write_text("from .names_claim import resolve_checkpoint\n")
    (checkpoint / "names_claim.py").write_text("")
    (checkpoint / "tokenization_claim.py").write_text("")
    assert {"modeling_claim.py", "names_claim.py"} < set(stage(checkpoint, staging, with_code=True))
    (checkpoint / "train.py").write_text("")
    with pytest.raises(PushRefusedError, match=r"train\.py"):
        stage(checkpoint, Path(staging), with_code=True)


def test_code_of_another_repository_stops_the_push(checkpoint, staging):
    (checkpoint / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "someone/else--modeling.Model"}}))
    with pytest.raises(ValueError, match="E_FOREIGN_CODE"):
        stage(checkpoint, staging, with_code=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_not_finite_stop_the_push(checkpoint, staging, dtype):
    weights = torch.tensor([1.0, float("nan")], dtype=dtype)
    save_file({"weight": weights}, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ClaimDataError, match=r"E_NONFINITE.*'weight' first"):
        stage(checkpoint, staging, with_code=False)
