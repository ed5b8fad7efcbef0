import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from claim_transformers.codes import category_rules
from claim_transformers.hub import save_with_code
from claim_transformers.hub.checkpoint_files import MANIFEST_NAME, file_sha256
from claim_transformers.hub.errors import PushRefusedError
from claim_transformers.hub.upload_folder import stage
from claim_transformers.hub.upload_tokenizer import check_categories, check_vocabulary
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForm,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
    ClaimModel,
    ClaimTokenizer,
)
from claim_transformers.models.claim.names_claim import resolve_checkpoint
from claim_transformers.models.recurrent import RecurrentForSequenceClassification, RecurrentModel
from claim_transformers.models.registration import register
from claim_transformers.training import Calibration, save_calibration

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


CODES = [
    "AGE/9",
    "SEX/F",
    "TYPE/OP",
    "GAP/START",
    "UNK/NDC",
    "ICD9CM/49392",
    "CCS/128",
    "HCPCS/99213",
    "LOS/0",
    "LOS/1",
]
SIZES = {"hidden_size": 8, "num_hidden_layers": 1}


def make_tokenizer():
    form = ClaimForm("category", bins={"LOS": (3.0,)}, county_bins={"IS_RURAL": (1.0,)})
    rules = {"prefixes": {"ICD9CM/493": "CCS/128"}, "prefix_lengths": {"HCPCS": ["HCPCSGROUP", 3]}}
    return ClaimTokenizer({code: number for number, code in enumerate(CODES, start=3)}, rules, form)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint as `save_with_code` leaves it, with a card."""
    register()
    folder = tmp_path_factory.mktemp("saved")
    tokenizer = make_tokenizer()
    config = ClaimConfig(vocab_size=len(tokenizer), num_attention_heads=2, intermediate_size=8, **SIZES)
    save_with_code(ClaimForSequenceClassification(config), tokenizer, folder)
    (folder / "pretraining.json").write_text('{"simulation": {"patients": 300, "seed": 1}}')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# A card\n\n| AUROC | 0.7134567890 | 1,377 |\n")
    return folder


@pytest.fixture
def with_code(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "with-code")


@pytest.fixture
def checkpoint(saved, tmp_path):
    """A folder with the files of a checkpoint and nothing else."""
    return shutil.copytree(saved, tmp_path / "checkpoint", ignore=shutil.ignore_patterns("*.py"))


@pytest.fixture
def staging(tmp_path):
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def test_a_clean_checkpoint_is_staged_whole_with_a_manifest_that_can_be_checked(checkpoint, staging):
    names = stage(checkpoint, staging, with_code=False)
    assert set(names) == {path.name for path in checkpoint.iterdir()} | {MANIFEST_NAME}
    files = json.loads((staging / MANIFEST_NAME).read_text())["files"]
    assert sorted(files) == [name for name in names if name != MANIFEST_NAME]
    for name, entry in files.items():
        assert entry == {"size": (staging / name).stat().st_size, "sha256": file_sha256(staging / name)}


def test_two_numbers_that_calibrate_these_weights_may_leave_and_nothing_else(checkpoint, staging):
    path = save_calibration(checkpoint, Calibration({"method": "platt", "intercept": -1.0, "slope": 0.5}))
    fine = json.loads(path.read_text())
    curve = {"method": "isotonic", "knots": [0.1, 0.2], "values": [0.0, 1.0]}
    refused = [{**fine, **other} for other in ({"patient": 1}, {"slope": "1"}, {"slope": True}, {"method": ["platt"]})]
    for content in [*refused, {**fine, "weights": "0" * 64}, {"weights": fine["weights"], **curve}]:
        path.write_text(json.dumps(content))
        with pytest.raises(PushRefusedError, match=r"expected two numbers .* in 'calibration\.json'"):
            stage(checkpoint, staging, with_code=False)
        for left in staging.iterdir():
            left.unlink()
    path.write_text(json.dumps(fine))
    assert "calibration.json" in stage(checkpoint, staging, with_code=False)


def test_intervals_of_risks_may_leave_where_no_edge_is_the_risk_of_a_patient(checkpoint, staging):
    path = checkpoint / "risk_intervals.json"
    path.write_text(json.dumps({"calibration": None, "edges": [0.2], "intervals": [[0.1, 0.2], [0.3, 0.4]]}))
    fine = json.loads(path.read_text())
    assert path.name in stage(checkpoint, staging, with_code=False)
    others = ({"edges": [0.2001]}, {"edges": [0.1, 0.2]}, {"intervals": [[0.1, 2], [0.3, 0.4]]}, {"patients": ["a"]})
    for other in (*others, {"calibration": "a"}, {"intervals": ["ab", [0.3, 0.4]]}, {"edges": [True]}):
        path.write_text(json.dumps(fine | other))
        for left in staging.iterdir():
            left.unlink()
        with pytest.raises(PushRefusedError, match=r"in 'risk_intervals\.json'"):
            stage(checkpoint, staging, with_code=False)
    path.unlink()


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
    (checkpoint / "categories.json").unlink()
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
        {"[PAD]": 0, "ICD10CM/2012-03-04": 1},
    ],
)
def test_a_vocabulary_with_counts_or_dates_stops_the_push(checkpoint, staging, vocabulary):
    (checkpoint / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(PushRefusedError, match=r"vocab\.json") as refusal:
        stage(checkpoint, staging, with_code=False)
    assert "2012" not in str(refusal.value)
    assert "5210" not in str(refusal.value)


def test_without_code_the_references_to_code_are_dropped(checkpoint, staging):
    assert "auto_map" in json.loads((checkpoint / "config.json").read_text())
    stage(checkpoint, staging, with_code=False)
    assert "auto_map" not in json.loads((staging / "config.json").read_text())
    assert "auto_map" not in json.loads((staging / "tokenizer_config.json").read_text())


def test_with_code_only_the_files_that_the_checkpoint_runs_are_allowed(with_code, staging):
    assert {"modeling_claim.py", "names_claim.py"} < set(stage(with_code, staging, with_code=True))
    (with_code / "train.py").write_text("")
    with pytest.raises(PushRefusedError, match=r"train\.py"):
        stage(with_code, staging, with_code=True)


def test_code_of_another_repository_stops_the_push(checkpoint, staging):
    (checkpoint / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "someone/else--modeling.Model"}}))
    with pytest.raises(ValueError, match="E_FOREIGN_CODE"):
        stage(checkpoint, staging, with_code=True)


# ---- What the package saves passes ----


@pytest.mark.parametrize(
    "class_",
    [
        ClaimModel,
        ClaimForPreTraining,
        ClaimForMaskedLM,
        ClaimForSequenceClassification,
        ClaimForVisitClassification,
        RecurrentModel,
        RecurrentForSequenceClassification,
    ],
)
@pytest.mark.parametrize("is_large", [False, True])
def test_what_a_class_saves_may_leave(tmp_path, staging, class_, is_large):
    options = {"vocab_size": 40, "num_labels": 3, **SIZES}
    if class_.config_class is ClaimConfig:
        options |= {"num_attention_heads": 2, "tie_word_embeddings": is_large, "num_categories": 4}
        options |= {"visit_pooling": "none" if class_ is ClaimForMaskedLM else "sum", "segments": True}
        has_history = class_ is not ClaimForMaskedLM
        options |= {"history_skip": has_history, "code_skip": class_ is ClaimForSequenceClassification}
        options |= {"horizon_days": 30 if has_history else 0, "time_attention": "bucketed", "index_gap": True}
    else:
        options |= {"architecture": "retain" if is_large else "dipole", "embedding_size": 8}
    model = class_(class_.config_class(**options))
    model = model.to(torch.bfloat16) if is_large else model
    model.save_pretrained(tmp_path / "saved", max_shard_size="2KB" if is_large else "5GB")
    make_tokenizer().save_pretrained(tmp_path / "saved")
    names = stage(tmp_path / "saved", staging, with_code=False)
    assert ("model.safetensors.index.json" in names) == is_large
    # Loaded and saved again, as after fine-tuning, it may leave too.
    class_.from_pretrained(tmp_path / "saved").save_pretrained(tmp_path / "again")
    (tmp_path / "staged again").mkdir()
    stage(tmp_path / "again", tmp_path / "staged again", with_code=False)


@pytest.mark.parametrize("name", ["claim-pt-base", "medicare-encoder-base"])
def test_the_checkpoints_of_the_package_may_leave(staging, name):
    assert "README.md" in stage(resolve_checkpoint(name), staging, with_code=False)


def test_the_files_of_an_extended_tokenizer_with_classes_of_drugs_may_leave(tmp_path):
    rules = category_rules(drug_ingredients={"000930145": "METFORMIN"})
    day = {"day": 1, "type": "OP", "codes": ["ICD9CM/49390", "ICD10CM/J45909", "ICD9PCS/3722", "NDC/00093014599"]}
    given = {"categories": rules.to_dict(), "min_patients": 1}
    tokenizer = ClaimTokenizer.train_from_dataset([{"visits": [day]}], **given)
    tokenizer.extend(
        [{"visits": [{**day, "codes": ["DRUG/METFORMIN", "EPC/BIGUANIDE", "CCSR/RSP009"]}]}], min_patients=1
    )
    tokenizer.save_pretrained(tmp_path)
    check_vocabulary(tmp_path / "vocab.json")
    check_categories(tmp_path / "categories.json")


# ---- What is planted in one does not ----

MARK = "ZZCANARY"
WEIGHTS = "model.safetensors"


def in_json(name, change):
    def plant(folder):
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return name, plant


def in_text(name, text):
    def plant(folder):
        (folder / name).write_text((folder / name).read_text() + text)

    return name, plant


def in_weights(change, metadata=None):
    def plant(folder):
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS, metadata=metadata or {"format": "pt"})

    return WEIGHTS, plant


def in_header(change):
    def plant(folder):
        content = (folder / WEIGHTS).read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        header = change(content[8:end].decode()).encode()
        (folder / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + content[end:])

    return WEIGHTS, plant


def replaced_token(token):
    return in_json("vocab.json", lambda vocab: vocab.update({token: vocab.pop("HCPCS/99213")}))


def first_tensor(tensors):
    return next(name for name in tensors if tensors[name].ndim == 2)


PLANTS = {
    "a patient in the metadata of the weights": in_weights(
        lambda _: None, {"format": "pt", "note": f"{MARK} 2012-03-04"}
    ),
    "a patient in place of the format": in_weights(lambda _: None, {"format": f"{MARK} F 1948"}),
    "a long header": in_weights(lambda _: None, {"format": "pt", "rows": f"{MARK},F;" * 5000}),
    "blanks in the header": in_header(lambda header: header.replace(":", ": ")),
    "a key behind a tensor": in_header(lambda header: header.replace('"dtype"', f'"who":"{MARK}","dtype"', 1)),
    "a tensor of patient days": in_weights(lambda tensors: tensors.update(days=torch.tensor([15403, 15404]))),
    "days in place of a tensor": in_weights(lambda tensors: tensors.update({first_tensor(tensors): torch.ones(9)})),
    "whole numbers in place of weights": in_weights(
        lambda tensors: tensors.update({first_tensor(tensors): tensors[first_tensor(tensors)].long()})
    ),
    "a tensor less": in_weights(lambda tensors: tensors.pop(first_tensor(tensors))),
    "weights that are not finite": in_weights(lambda tensors: tensors[first_tensor(tensors)].fill_(torch.nan)),
    "a token that is a member": replaced_token(f"MEMBER/{MARK}1"),
    "a token that is a name": replaced_token(f"{MARK}_JANE_DOE"),
    "a name under a known system": replaced_token(f"ICD9CM/{MARK}"),
    "a drug with the number of a person": replaced_token(f"DRUG/{MARK}100001"),
    "a special token that is a name": replaced_token(f"[{MARK}]"),
    "a race that is a name": replaced_token(f"RACE/{MARK}"),
    "an unknown of a person": replaced_token(f"UNK/{MARK}"),
    "a principal diagnosis of a person": replaced_token(f"PRINCIPAL/{MARK}/1"),
    "an age in place of a principal diagnosis": replaced_token("PRINCIPAL/AGE/9"),
    "persons in the configuration": in_json("config.json", lambda config: config.update(members=[f"{MARK}1"])),
    "where a model came from": in_json("config.json", lambda config: config.update(_name_or_path=f"runs/{MARK}")),
    "days in a list of the configuration": in_json(
        "config.json",
        lambda config: config.update(
            history_skip=True, visit_pooling="sum", history_half_lives_days=list(range(1, 40))
        ),
    ),
    "a date for a version": in_json("config.json", lambda config: config.update(transformers_version=MARK)),
    "a person for a type": in_json("config.json", lambda config: config.update(dtype=MARK)),
    "a person for a choice": in_json("config.json", lambda config: config.update(hidden_act=MARK)),
    "a person for a switch": in_json("config.json", lambda config: config.update(use_cache=MARK)),
    "another class": in_json("config.json", lambda config: config.update(architectures=[MARK])),
    "another family": in_json("config.json", lambda config: config.update(model_type="bert")),
    "labels that are persons": in_json(
        "config.json",
        lambda config: config.update(
            id2label={"0": f"Jane {MARK}", "1": "LABEL_1"}, label2id={f"Jane {MARK}": 0, "LABEL_1": 1}
        ),
    ),
    "labels the other way round": in_json(
        "config.json", lambda config: config.update(label2id={MARK: 0, "LABEL_1": 1})
    ),
    "text behind the configuration": in_text("config.json", f'\n{{"{MARK}": 1}}'),
    "a key twice": (
        "config.json",
        lambda folder: (folder / "config.json").write_text(
            (folder / "config.json").read_text().replace("{", f'{{"hidden_size": "{MARK}",', 1)
        ),
    ),
    "a number that is none": (
        "config.json",
        lambda folder: (folder / "config.json").write_text(
            (folder / "config.json").read_text().replace('"hidden_dropout_prob": 0.1', '"hidden_dropout_prob": NaN')
        ),
    ),
    "a template of a chat": in_json("tokenizer_config.json", lambda options: options.update(chat_template=MARK)),
    "an added token": in_json(
        "tokenizer_config.json", lambda options: options["added_tokens_decoder"]["0"].update(content=MARK)
    ),
    "a key of an added token": in_json(
        "tokenizer_config.json", lambda options: options["added_tokens_decoder"]["0"].update(note=MARK)
    ),
    "a person for a pad": in_json("tokenizer_config.json", lambda options: options.update(pad_token=MARK)),
    "a person for a limit": in_json("tokenizer_config.json", lambda options: options.update(max_day=200_100_001)),
    "a category of a person": in_json(
        "categories.json", lambda rules: rules["category_ids"].update({MARK: len(rules["category_ids"])})
    ),
    "a count for a category": in_json("categories.json", lambda rules: rules["category_ids"].update({"CCS/1": 5210})),
    "a prefix of a person": in_json(
        "categories.json", lambda rules: rules["prefixes"]["ICD9CM"].update({"CCS/1": MARK})
    ),
    "a system of a person": in_json(
        "categories.json", lambda rules: rules["prefix_lengths"].update({MARK: ["CCS", 3]})
    ),
    "a letter of a person": in_json(
        "categories.json", lambda rules: rules.update(last_characters={"HCPCS": {"F": MARK}})
    ),
    "a class of a person": in_json("categories.json", lambda rules: rules.update(wider={"DRUG/METFORMIN": MARK})),
    "a beginning of a person": in_json(
        "categories.json", lambda rules: rules.update(wider={f"{MARK}*": "BODYSYSTEM/RSP"})
    ),
    "a drug of a person": in_json("categories.json", lambda rules: rules.update(wider={MARK: "EPC/BIGUANIDE"})),
    "a key of the rules": in_json("categories.json", lambda rules: rules.update(patients={MARK: 1})),
    "counts of counties": in_json("form.json", lambda form: form.update(county_counts={"01001": 7})),
    "a county of a person": in_json("form.json", lambda form: form["county_bins"].update({MARK + "1": [1.0]})),
    "days for edges": in_json("form.json", lambda form: form["bins"].update(LOS=list(range(15_000, 15_200)))),
    "chapters of persons": in_json("form.json", lambda form: form.update(chapters={"prefixes": {"ICD9CM/4": MARK}})),
    "patients of a pretraining": in_json("pretraining.json", lambda note: note.update(patients=[MARK])),
    "a population of a person": in_json("pretraining.json", lambda note: note["simulation"].update(population=MARK)),
    "a row of a patient in the card": in_text("README.md", f"\n| {MARK}01 | F | 1948 | E11.9 |\n"),
    "rows of a file in the card": in_text("README.md", f"\n{MARK}0001,2012-03-04,493.92\n"),
    "columns of patients in the card": in_text("README.md", f"\n| patient_id | label | age |\n| {MARK} | 1 | 9 |\n"),
    "a patient in a remark of the card": in_text("README.md", f"\n<!-- patient {MARK}123 -->\n"),
    "a visit in the card": in_text("README.md", f"\nSeen on 2012-03-04 as {MARK}1a2b.\n"),
    "an identifier in the card": in_text("README.md", "\nFor example 1EG4-TE5-MK73.\n"),
    "a social security number in the card": in_text("README.md", "\nFor example 123-45-6789.\n"),
    "a telephone in the card": in_text("README.md", "\nCall (555) 123-4567.\n"),
    "an address in the card": in_text("README.md", f"\nWrite to {MARK}@example.org.\n"),
    "a long number in the card": in_text("README.md", "\nFor example 000123456.\n"),
    "a key in the front matter": (
        "README.md",
        lambda folder: (folder / "README.md").write_text(f"---\nlicense: mit\nmembers: [{MARK}]\n---\n"),
    ),
    "an identifier in the front matter": (
        "README.md",
        lambda folder: (folder / "README.md").write_text(f"---\ntags:\n- {MARK}-10000001\n---\n"),
    ),
    "an example in the front matter": (
        "README.md",
        lambda folder: (folder / "README.md").write_text(f"---\nwidget:\n- text: {MARK}\n---\n"),
    ),
    "bytes that are no text": ("vocab.json", lambda folder: (folder / "vocab.json").write_bytes(b"\xff\xfe")),
    "a hidden file": (".members.json", lambda folder: (folder / ".members.json").write_text(MARK)),
    "a folder": ("members", lambda folder: (folder / "members").mkdir()),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_a_plant_stops_the_push_and_is_not_repeated(checkpoint, staging, kind):
    name, plant = PLANTS[kind]
    plant(checkpoint)
    with pytest.raises(PushRefusedError) as refusal:
        stage(checkpoint, staging, with_code=False)
    message = str(refusal.value)
    assert repr(name) in message
    for secret in (MARK, "2012", "15403", "5210", "1EG4", "6789", "4567"):
        assert secret not in message
    assert refusal.value.__cause__ is None or MARK not in str(refusal.value.__cause__)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("modeling_claim.py", lambda text: text + f"# {MARK} 2012-03-04\n"),
        ("config.json", lambda text: text.replace("modeling_claim.ClaimModel", f"modeling_claim.{MARK}")),
        ("tokenizer_config.json", lambda text: text.replace('ClaimTokenizer",', f'{MARK}",')),
    ],
)
def test_code_that_is_not_that_of_the_package_stops_the_push(with_code, staging, name, change):
    (with_code / name).write_text(change((with_code / name).read_text()))
    with pytest.raises(PushRefusedError, match=name.replace(".", r"\.")) as refusal:
        stage(with_code, staging, with_code=True)
    assert MARK not in str(refusal.value)


def test_an_index_of_weights_that_says_more_stops_the_push(tmp_path, staging):
    model = ClaimModel(ClaimConfig(vocab_size=40, num_attention_heads=2, **SIZES))
    model.save_pretrained(tmp_path / "shards", max_shard_size="2KB")
    path = tmp_path / "shards" / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    for changed in (
        index | {"rows": [MARK]},
        index | {"metadata": {**index["metadata"], "who": MARK}},
        index | {"metadata": {"total_size": MARK}},
        index | {"weight_map": {**index["weight_map"], MARK: "model-00001-of-00002.safetensors"}},
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(PushRefusedError, match="index") as refusal:
            stage(tmp_path / "shards", staging, with_code=False)
        assert MARK not in str(refusal.value)
        shutil.rmtree(staging)
        staging.mkdir()
