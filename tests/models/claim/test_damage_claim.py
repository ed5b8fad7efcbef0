"""Damaged and hostile checkpoints: every damage of every file ends in one sentence that names the file."""

import json
import os
import resource
import shutil
import signal
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from claim_transformers.models.claim import ClaimConfig, ClaimForm, ClaimForPreTraining, ClaimModel, ClaimTokenizer
from claim_transformers.models.recurrent import RecurrentConfig, RecurrentModel

WEIGHTS, INDEX, SHARD = "model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors"
SMALL = {"hidden_size": 8, "num_hidden_layers": 1}
ENDLESS = float("inf")
MODEL_LOADERS = (ClaimForPreTraining.from_pretrained, AutoModel.from_pretrained)
CONFIG_LOADERS = (*MODEL_LOADERS, ClaimConfig.from_pretrained, AutoConfig.from_pretrained)
TOKENIZER_LOADERS = (ClaimTokenizer.from_pretrained, AutoTokenizer.from_pretrained)
LOADERS = {
    "config.json": CONFIG_LOADERS,
    WEIGHTS: MODEL_LOADERS,
    INDEX: MODEL_LOADERS,
    "form.json": (*TOKENIZER_LOADERS, ClaimForm.load),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A whole checkpoint of a claim model and its tokenizer, with a form."""
    folder = tmp_path_factory.mktemp("whole")
    rules = {"ICD9CM/493": "CCS/128"}
    form = ClaimForm("category", bins={"PAID": (1.0, 5.0)}, county_bins={"INCOME": (1.0,)}, categories=rules)
    tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "CCS/128": 5, "ICD9CM/493": 6}, rules, form)
    config = ClaimConfig(vocab_size=len(tokenizer), num_categories=1, num_attention_heads=2, **SMALL)
    for saved in (ClaimForPreTraining(config), tokenizer):
        saved.save_pretrained(folder)
    for load in (*CONFIG_LOADERS, *TOKENIZER_LOADERS, ClaimForm.load):
        load(folder)
    return folder


@pytest.fixture
def folder(checkpoint, tmp_path):
    """A copy of it to damage; a load that hangs is ended."""

    def stop(*_):
        raise TimeoutError("a load hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusals(folder, name, loaders=None):
    """What each way to load a folder says, which must be a `ValueError`, or an `OSError` that names the file."""
    said = []
    for load in loaders or LOADERS.get(name, TOKENIZER_LOADERS):
        with pytest.raises((ValueError, OSError)) as raised:
            load(folder)
        message = str(raised.value)
        assert name in message, (load, message)
        assert len(message) < 1200
        said.append(message)
    return said


def edit(folder, name, **values):
    path = folder / name
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | values))


# ---- Damage that any JSON file can have ----

JSON_FILES = ("config.json", "tokenizer_config.json", "vocab.json", "categories.json", "form.json", INDEX)
TEXTS = {
    "empty": b"",
    "cut": b'{"a": [1, 2',
    "a list": b"[1]",
    "text": b'"x"',
    "a number": b"3",
    "null": b"null",
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "a mark of byte order": b"\xef\xbb\xbf{}",
    "another encoding": "{}".encode("utf-16"),
    "bytes": b"\xff\xfe\x00\x80",
    "an endless integer": b'{"vocab_size": ' + b"9" * 5000 + b"}",
}
# The Auto classes read these themselves to learn whose class to ask: what they make of them is theirs.
READ_BY_AUTO = {"config.json": CONFIG_LOADERS[0::2], "tokenizer_config.json": TOKENIZER_LOADERS[:1]}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", JSON_FILES)
def test_text_that_is_no_object_of_json_is_refused(folder, name, text):
    if name == INDEX:
        (folder / WEIGHTS).rename(folder / SHARD)
    (folder / name).write_bytes(text)
    refusals(folder, name, READ_BY_AUTO.get(name))


@pytest.mark.parametrize("name", [*JSON_FILES[:-1], WEIGHTS])
@pytest.mark.parametrize("what", ["a link to nothing", "a folder", "a pipe or device"])
def test_what_is_no_file_is_refused_and_not_taken_for_a_file_that_is_absent(folder, name, what):
    path = folder / name
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a link to nothing":
        path.symlink_to(folder / "nowhere")
    else:
        os.mkfifo(path)
    for message in refusals(folder, name, READ_BY_AUTO.get(name)):
        assert what in message


@pytest.mark.parametrize("name", ["vocab.json", "tokenizer_config.json", "form.json"])
def test_a_key_that_stands_twice_is_refused(folder, name):
    text = (folder / name).read_text()
    (folder / name).write_text('{"SEX/F": 3, "SEX/F": 4, ' + text.lstrip()[1:])
    assert all("stand twice" in message for message in refusals(folder, name))


@pytest.mark.parametrize("name", ["config.json", "vocab.json"])
def test_a_file_of_text_larger_than_any_is_not_read(folder, name):
    os.truncate(folder / name, 65 * 2**20)
    assert all("at most 64 MB" in message for message in refusals(folder, name, READ_BY_AUTO.get(name)))


def test_a_checkpoint_without_weights_says_which_file(folder):
    (folder / WEIGHTS).unlink()
    refusals(folder, WEIGHTS)


# ---- Keys of the configuration ----


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", "wide"),
        ("hidden_size", -8),
        ("hidden_size", 10**9),
        ("hidden_size", ENDLESS),
        ("hidden_size", True),
        ("vocab_size", [7]),
        ("vocab_size", None),
        ("vocab_size", 10**30),
        ("num_hidden_layers", 10**9),
        ("num_attention_heads", 0),
        ("layer_norm_eps", float("nan")),
        ("hidden_dropout_prob", ENDLESS),
        ("history_half_lives_days", ["a"]),
        ("dtype", "foo"),
        ("dtype", "int64"),
        ("dtype", "nn"),
        ("dtype", 3),
        ("dtype", []),
        ("num_labels", "x"),
        ("num_labels", 10**9),
        ("id2label", "x"),
        ("id2label", [1]),
        ("id2label", {"x": "y"}),
        ("quantization_config", 3),
        ("base_model_tp_plan", 3),
        ("per_layer_config", 3),
        ("attribute_map", {"hidden_size": "x"}),
        ("save_pretrained", 3),
        ("validate_sizes", 3),
        ("use_return_dict", 1),
        ("__class__", 3),
        ("__dict__", 3),
    ],
)
def test_a_value_that_no_configuration_has_is_refused(folder, key, value):
    edit(folder, "config.json", **{key: value})
    refusals(folder, "config.json")


def test_a_type_of_model_that_is_no_text_is_refused(folder):
    edit(folder, "config.json", model_type=["claim"])
    refusals(folder, "config.json", READ_BY_AUTO["config.json"])


# ---- Keys and tokens of the tokenizer ----

TOKEN = {"__type": "AddedToken", "content": "ZZ"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("added_tokens_decoder", "x"),
        ("added_tokens_decoder", [TOKEN]),
        ("added_tokens_decoder", {"0": 3}),
        ("added_tokens_decoder", {"x": {"content": "ZZ"}}),
        ("added_tokens_decoder", {"0": {"content": 3}}),
        ("added_tokens_decoder", {"0": {"content": "ZZ", "lstrip": 3}}),
        ("added_tokens_decoder", {"0": {"content": "ZZ", "colour": True}}),
        ("added_tokens_decoder", {"5": {"content": "ZZ"}}),
        ("added_tokens_decoder", {"1000000000": {"content": "ZZ"}}),
        ("extra_special_tokens", 3),
        ("extra_special_tokens", [3]),
        ("extra_special_tokens", {"x": {"content": "ZZ"}}),
        ("extra_special_tokens", TOKEN),
        ("model_specific_special_tokens", [TOKEN]),
        ("pad_token", None),
        ("unk_token", ["[UNK]"]),
        ("mask_token", 3),
        ("mask_token", {"content": "[MASK]"}),
        ("cls_token", {"a": 1}),
        ("backoff", "x"),
        ("backoff", {"__type": "AddedToken", "content": 3}),
        ("mark_principal", None),
        ("max_day", -1),
        ("max_day", 10**30),
        ("max_visits", "x"),
        ("max_codes_per_visit", ENDLESS),
        ("time_tokens", ["gap"]),
        ("format_version", True),
        ("format_version", -1),
        ("format_version", "2"),
        ("model_max_length", "x"),
        ("model_input_names", 3),
        ("chat_template", ["a"]),
        ("chat_template", {"a": [TOKEN]}),
        ("init_inputs", 3),
        ("init_inputs", None),
        ("vocab", {"SEX/F": 3}),
        ("vocab_file", "/etc/hostname"),
        ("form", "x"),
        ("categories", {"a": 1}),
        ("self", 3),
        ("cls", 3),
    ],
)
def test_an_option_that_no_tokenizer_writes_is_refused(folder, key, value):
    edit(folder, "tokenizer_config.json", **{key: value})
    refusals(folder, "tokenizer_config.json")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("special_tokens_map.json", "[1]"),
        ("special_tokens_map.json", "{"),
        ("special_tokens_map.json", '{"pad_token": 3}'),
        ("special_tokens_map.json", '{"mask_token": {"content": 3}}'),
        ("special_tokens_map.json", '{"extra_special_tokens": [3]}'),
        ("added_tokens.json", "[1]"),
        ("added_tokens.json", "{"),
        ("added_tokens.json", '{"ZZ": "a"}'),
    ],
)
def test_damaged_files_of_tokens_of_older_checkpoints_are_refused(folder, name, content):
    (folder / name).write_text(content)
    refusals(folder, name)


@pytest.mark.parametrize("number", [-5, 5, 10**9])
def test_an_added_token_of_an_older_checkpoint_takes_no_id_of_another_token(folder, number):
    content = json.loads((folder / "tokenizer_config.json").read_text())
    del content["added_tokens_decoder"]
    (folder / "tokenizer_config.json").write_text(json.dumps(content))
    (folder / "added_tokens.json").write_text(json.dumps({"ZZ": number}))
    refusals(folder, "added_tokens.json")
    (folder / "added_tokens.json").write_text('{"ZZ": 7}')
    assert ClaimTokenizer.from_pretrained(folder).convert_tokens_to_ids("ZZ") == 7


@pytest.mark.parametrize("token", ["NDC/1 2", "NDC/\0", "NDC/\ud800", "NDC/\u00a0", "", "|"])
def test_a_token_that_is_no_printable_text_is_refused(folder, token):
    edit(folder, "vocab.json", **{token: 7})
    refusals(folder, "vocab.json")


@pytest.mark.parametrize("number", [5, -5, 100, 10**30, "7", 7.0, [7], None, True, ENDLESS])
def test_an_id_that_is_taken_or_leaves_a_gap_or_is_none_is_refused(folder, number):
    edit(folder, "vocab.json", **{"NDC/1": number})
    refusals(folder, "vocab.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", [2]),
        ("version", 10**400),
        ("depth", 3),
        ("depth_of_system", "x"),
        ("depth_of_system", [[]]),
        ("bins", {"PAID": [1, "x"]}),
        ("bins", {"PAID": [float("nan"), 1]}),
        ("bins", {"PAID": [ENDLESS]}),
        ("bins", {"PAID": "12"}),
        ("bins", {"PAID": [10**400]}),
        ("county_bins", 3),
        ("hide", [["sex"]]),
        ("chapters", "x"),
    ],
)
def test_a_form_that_no_tokenizer_writes_is_refused(folder, key, value):
    edit(folder, "form.json", **{key: value})
    refusals(folder, "form.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prefixes", 3),
        ("prefixes", {"ICD9CM": {"CCS/1": 3}}),
        ("prefixes", {"ICD9CM": {"CCS/1": ["a"]}}),
        ("prefix_lengths", {"ICD9CM": [1]}),
        ("last_characters", {"HCPCS": 3}),
        ("category_ids", {"CCS/128": 1}),
        ("category_ids", [1]),
    ],
)
def test_categories_that_no_tokenizer_writes_are_refused(folder, key, value):
    edit(folder, "categories.json", **{key: value})
    refusals(folder, "categories.json")


# ---- Weights ----


def rewrite(change):
    """Damage that leaves a file of tensors."""

    def damage(path):
        safetensors.torch.save_file(change(safetensors.torch.load_file(path)), path, {"format": "pt"})

    return damage


def replace_bytes(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


WEIGHT_DAMAGES = {
    "empty": replace_bytes(lambda content: b""),
    "text": replace_bytes(lambda content: b"version https://git-lfs.github.com/spec/v1"),
    "a cut": replace_bytes(lambda content: content[:-40]),
    "a cut header": replace_bytes(lambda content: content[:40]),
    "bytes more": replace_bytes(lambda content: content + b"123"),
    "a header of a list": replace_bytes(lambda content: struct.pack("<Q", 2) + b"[]"),
    "a header of 90 MB": replace_bytes(lambda content: struct.pack("<Q", 90_000_000) + b"{}"),
    "a header of 2**63 bytes": replace_bytes(lambda content: struct.pack("<Q", 2**63) + b"{}"),
    "no tensors": replace_bytes(lambda content: struct.pack("<Q", 2) + b"{}"),
    "other names": rewrite(lambda tensors: {f"x{name}": tensor for name, tensor in tensors.items()}),
    "few tensors": rewrite(lambda tensors: dict(sorted(tensors.items())[:3])),
    "other shapes": rewrite(lambda tensors: {name: torch.ones(3, 3) for name in tensors}),
    "scalars": rewrite(lambda tensors: {name: torch.ones(()) for name in tensors}),
    "integers": rewrite(lambda tensors: {name: tensor.long() for name, tensor in tensors.items()}),
    "truths": rewrite(lambda tensors: {name: tensor.bool() for name, tensor in tensors.items()}),
    "not finite": rewrite(lambda tensors: {name: tensor * ENDLESS for name, tensor in tensors.items()}),
}


@pytest.mark.parametrize("damage", WEIGHT_DAMAGES.values(), ids=WEIGHT_DAMAGES)
def test_damaged_weights_are_refused(folder, damage):
    damage(folder / WEIGHTS)
    refusals(folder, WEIGHTS)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"metadata": {}},
        {"metadata": {}, "weight_map": {}},
        {"metadata": {}, "weight_map": [1]},
        {"metadata": {}, "weight_map": {"classifier.weight": 3}},
        {"weight_map": {"classifier.weight": SHARD}},
    ],
)
def test_a_damaged_index_of_shards_is_refused(folder, content):
    (folder / WEIGHTS).rename(folder / SHARD)
    edit(folder, INDEX, **content)
    refusals(folder, INDEX)


@pytest.mark.parametrize("kind", [ClaimConfig, ClaimTokenizer, ClaimForPreTraining])
def test_a_path_that_leads_nowhere_is_no_name_of_the_hub(tmp_path, kind):
    with pytest.raises(OSError, match=r"expected a checkpoint, found no folder '.*models/none'"):
        kind.from_pretrained(tmp_path / "models" / "none")


def test_weights_that_are_pickled_are_not_read(folder):
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    refusals(folder, WEIGHTS)


@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden_size": 16_384, "num_hidden_layers": 2},
        {"num_hidden_layers": 256, "intermediate_size": 100_000},
        {"id2label": {number: f"L{number}" for number in range(1000)}, "hidden_size": 16_384, "intermediate_size": 8},
    ],
)
def test_sizes_that_the_weights_do_not_have_take_no_memory(folder, sizes):
    edit(folder, "config.json", **sizes)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    try:
        refusals(folder, WEIGHTS)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_head_of_another_size_can_be_begun_anew(folder):
    edit(folder, "config.json", num_categories=3)
    model = ClaimForPreTraining.from_pretrained(folder, ignore_mismatched_sizes=True)
    assert model.config.num_categories == 3
    assert ClaimModel.from_pretrained(folder).config.hidden_size == 8


# ---- The other family ----


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("config.json", lambda path: path.write_text("[1]")),
        ("config.json", lambda path: edit(path.parent, path.name, hidden_size="wide")),
        ("config.json", lambda path: edit(path.parent, path.name, dtype="int8")),
        (WEIGHTS, WEIGHT_DAMAGES["a cut"]),
        (WEIGHTS, WEIGHT_DAMAGES["other names"]),
        (WEIGHTS, WEIGHT_DAMAGES["not finite"]),
        (WEIGHTS, lambda path: (path.unlink(), path.symlink_to("nowhere"))),
    ],
)
def test_damaged_checkpoints_of_recurrent_models_are_refused(tmp_path, name, damage):
    RecurrentModel(RecurrentConfig(vocab_size=7, hidden_size=8, embedding_size=8)).save_pretrained(tmp_path)
    RecurrentModel.from_pretrained(tmp_path)
    damage(tmp_path / name)
    refusals(tmp_path, name, [RecurrentModel.from_pretrained])
