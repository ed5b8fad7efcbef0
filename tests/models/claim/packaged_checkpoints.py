"""What the tests of every checkpoint in the package ask of it."""

import re
from importlib import resources

import torch
from transformers import AutoModel, AutoTokenizer

from claim_transformers.models.claim import ClaimModel
from claim_transformers.models.claim.names_claim import resolve_checkpoint

TOKENIZER_FILES = {"tokenizer_config.json", "vocab.json", "categories.json"}
EVERY_CHECKPOINT = {"config.json", "model.safetensors", "pretraining.json", "README.md", *TOKENIZER_FILES}
MOST_BYTES = 10_000_000


def encode(tokenizer, record):
    """Model inputs of one record."""
    encoded = tokenizer([record], padding=True, return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "visit_ids", "visit_days", "attention_mask")}


def has_encoder_of(loaded, model):
    """Whether a model, or an encoder alone, has exactly the encoder of another."""
    encoder = loaded if type(loaded) is ClaimModel else loaded.claim
    pairs = zip(encoder.parameters(), model.claim.parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def read_by_auto_classes(name, auto_class):
    """Which classes the folder of a checkpoint becomes: alone, with the heads of its training; and its vocabulary."""
    folder = resolve_checkpoint(name)
    models = (AutoModel.from_pretrained(folder), auto_class.from_pretrained(folder))
    return (*map(type, models), len(AutoTokenizer.from_pretrained(folder)))


def files_of(name):
    """Files of a checkpoint by name."""
    folder = resources.files("claim_transformers").joinpath("checkpoints", name)
    return {path.name: path for path in folder.iterdir()}


def size_of(name):
    return sum(len(path.read_bytes()) for path in files_of(name).values())


def missing_in_card(name, expected):
    """What a card does not say of what it must, and what it must not say."""
    card = files_of(name)["README.md"].read_text(encoding="utf-8")
    wanted = ("not for clinical use", "simulated", "run_pretraining.py", "11 ", *expected)
    return [text for text in wanted if text not in card] + re.findall(r"TODO|TBD", card)
