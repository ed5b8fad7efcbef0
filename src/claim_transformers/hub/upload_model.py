"""Configuration and weights that may leave: keys of the class, tensors of the class, and nothing beside them."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedConfig, PreTrainedModel

from claim_transformers.hub.checkpoint_files import read_strict_json, refusal
from claim_transformers.hub.errors import PushRefusedError
from claim_transformers.hub.token_grammar import is_label
from claim_transformers.models import claim, recurrent
from claim_transformers.models.claim.carried_code_claim import auto_map_of
from claim_transformers.training.scoring.calibration import NUMBERS, read_calibration

_SAVE_AGAIN = "save it again with save_pretrained"
_CONFIGS: dict[str, type[PreTrainedConfig]] = {
    "claim": claim.ClaimConfig,
    "claim_recurrent": recurrent.RecurrentConfig,
}
# Beside the fields of the class: what `save_pretrained` and `save_with_code` add.
_CONFIG_KEYS = frozenset({"model_type", "auto_map", "use_cache"})
_DTYPES = ("float64", "float32", "float16", "bfloat16", None)
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}[a-z0-9.]{0,12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_INTERVAL_KEYS = ("edges", "intervals", "calibration")
_MOST_GROUPS = 10
_MOST_LABELS, _LONGEST_LIST, _LARGEST_NUMBER = 1000, 16, 10_000_000
_TENSOR_KEYS = {"dtype", "shape", "data_offsets"}
_Tensors: TypeAlias = dict[str, tuple[list[int], bool]]


def check_config(path: Path) -> PreTrainedModel | None:
    """Give the model that a `config.json` describes, without storage, or stop at what its class does not have."""
    content = read_strict_json(path)
    config_class = _CONFIGS.get(str(content.get("model_type")))
    if config_class is None:
        raise refusal(path, "a model of this package", "another", "push it with its own push_to_hub")
    unknown = set(content) - {field.name for field in fields(config_class)} - _CONFIG_KEYS
    if unknown:
        cure = "remove them, or " + _SAVE_AGAIN
        raise refusal(path, f"only keys of {config_class.__name__}", f"{len(unknown)} others", cure)
    try:
        _refuse_no_settings(content)
        config = config_class(**{name: content[name] for name in set(content) - {"model_type", "auto_map"}})
    except (StrictDataclassError, ValueError, TypeError):
        # Without the cause: it holds the value.
        config = None
    if config is None:
        raise refusal(path, f"only settings of {config_class.__name__}", "values that it does not take", _SAVE_AGAIN)
    if not _are_labels(content):
        cure = "name classes by a word or two in lower case, without numbers of persons, or leave the names out"
        raise refusal(path, "labels that name classes", "others", cure)
    if not _is_own_code(content.get("auto_map"), config):
        raise refusal(path, "auto_map to the files of the package", "other entries", "save it with save_with_code")
    return _model_of(path, content.get("architectures"), config)


def check_calibration(path: Path) -> None:
    """Stop at a calibration that is more than two numbers: the steps of a curve are the risks of single patients."""
    keys = {method: {*names, "method", "weights"} for method, names in NUMBERS.items() if method != "isotonic"}
    content = read_strict_json(path)
    method = content.get("method")
    numbers = [value for name, value in content.items() if name not in ("method", "weights")]
    is_plain = isinstance(method, str) and content.keys() == keys.get(method) and all(map(_is_number, numbers))
    try:
        calibration = read_calibration(path.parent) if is_plain else None
    except ValueError:
        # Without the cause: it may hold a value.
        calibration = None
    if calibration is None:
        cure = "fit it with fine_tune or fit_platt, or remove it"
        raise refusal(path, "two numbers that calibrate these weights", "something else", cure)


def check_risk_intervals(path: Path) -> None:
    """Stop at intervals of risks that are more than a few groups, or whose edges may be risks of patients."""
    content = read_strict_json(path)
    edges, intervals, digest = map(content.get, _INTERVAL_KEYS)
    is_fine = False
    if content.keys() == set(_INTERVAL_KEYS) and isinstance(edges, list) and isinstance(intervals, list):
        pairs = [one if isinstance(one, list) and len(one) == 2 else [None] for one in intervals]
        is_fine = len(edges) == len(pairs) - 1 < _MOST_GROUPS and (digest is None or _is_digest(digest))
        is_fine = is_fine and all(_is_share(one) for part in (edges, *pairs) for one in part)
        is_fine = is_fine and all(edge == round(edge, 3) for edge in edges)
    if not is_fine:
        cure = "write it with save_risk_intervals, or remove it"
        raise refusal(path, "groups of like risk with edges of three digits", "something else", cure)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))


def _is_share(value: Any) -> bool:
    return _is_number(value) and bool(0 <= value <= 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_weights(folder: Path, model: PreTrainedModel | None) -> None:
    """Stop at weights with a tensor, a shape or a remark that the class of the model does not have, and at fewer."""
    paths = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if not paths and not index.is_file():
        return
    if model is None or not paths:
        lacking = "weights" if model is not None else "config.json with 'architectures'"
        raise PushRefusedError(f"expected {lacking} in the folder, found none: {_SAVE_AGAIN}")
    wanted: _Tensors = {
        name: (list(tensor.shape), tensor.is_floating_point()) for name, tensor in model.state_dict().items()
    }
    place: dict[str, str] = {}
    for path in paths:
        found = _read_header(path)
        kind = type(model).__name__
        if not found.keys() <= wanted.keys() - place.keys():
            raise refusal(path, f"only the tensors of {kind}", "others", _SAVE_AGAIN)
        for name, (shape, dtype) in found.items():
            if shape != wanted[name][0] or (dtype in _FLOATS) != wanted[name][1]:
                raise refusal(path, f"the tensors of {kind}", "one of another shape or type", _SAVE_AGAIN)
        _refuse_infinite(path)
        place.update(dict.fromkeys(found, path.name))
    if wanted.keys() - place.keys() - set(model.all_tied_weights_keys):
        raise refusal(paths[0], f"every tensor of {type(model).__name__}", "fewer", _SAVE_AGAIN)
    if index.is_file():
        content = read_strict_json(index)
        sizes = content.get("metadata")
        is_known = isinstance(sizes, dict) and all(
            name in ("total_size", "total_parameters") and type(size) is int for name, size in sizes.items()
        )
        if not is_known or content != {"metadata": sizes, "weight_map": place}:
            raise refusal(index, "where each tensor is and the sum of their sizes", "more", _SAVE_AGAIN)


def _refuse_no_settings(content: Mapping[str, Any]) -> None:
    """Stop at values that the class does not look at and that are no settings: long lists, numbers of persons."""
    for name, value in content.items():
        entries = value if isinstance(value, list) else [value]
        numbers = [abs(entry) for entry in entries if isinstance(entry, int)]
        is_nested = isinstance(value, dict) and name not in ("id2label", "label2id", "auto_map")
        if is_nested or len(entries) > _LONGEST_LIST or max(numbers, default=0) > _LARGEST_NUMBER:
            raise ValueError("expected settings")
    version, dtype = content.get("transformers_version"), content.get("dtype")
    is_named = dtype in _DTYPES and _VERSION.fullmatch("1.0" if version is None else version) is not None
    if not is_named or not isinstance(content.get("use_cache", False), bool):
        raise ValueError("expected settings")


def _are_labels(content: Mapping[str, Any]) -> bool:
    """Whether the names of classes are numbered from 0, few, and no names of persons."""
    names, numbers = content.get("id2label") or {}, content.get("label2id") or {}
    if list(names) != list(map(str, range(len(names)))) or len(names) > _MOST_LABELS:
        return False
    if not all(isinstance(label, str) and is_label(label) for label in names.values()):
        return False
    return numbers in ({}, {label: number for number, label in enumerate(names.values())})


def _is_own_code(auto_map: Any, config: PreTrainedConfig) -> bool:
    """Whether the entries that lead to Python files lead to those of the package."""
    if auto_map is None:
        return True
    own = auto_map_of(config, claim.ClaimTokenizer)
    return isinstance(auto_map, dict) and all(own.get(name) == entry for name, entry in auto_map.items())


def _model_of(path: Path, architectures: Any, config: PreTrainedConfig) -> PreTrainedModel | None:
    """The model of the named class, without storage."""
    if architectures is None:
        return None
    names = {name: family for family in (claim, recurrent) for name in family.__all__}
    name = str(architectures[0]) if len(architectures) == 1 else ""
    class_ = getattr(names[name], name) if name in names else None
    if not (isinstance(class_, type) and issubclass(class_, PreTrainedModel) and class_.config_class is type(config)):
        raise refusal(path, "the name of a model class of this package in 'architectures'", "another", _SAVE_AGAIN)
    with torch.device("meta"):
        return class_(config)


def _read_header(path: Path) -> dict[str, tuple[list[int], str]]:
    """Shape and type of every tensor of a weight file whose header says nothing else."""
    try:
        with safe_open(path, framework="pt"):
            pass
        with path.open("rb") as file:
            text = file.read(int.from_bytes(file.read(8), "little")).decode().rstrip(" ")
            header = json.loads(text)
    except (SafetensorError, ValueError):
        header = None
    if header is None:
        raise refusal(path, "weights", "a damaged file", "save it again")
    remarks = header.pop("__metadata__", {})
    # Written as it is read: no key twice, of which a reader sees one, and no blanks between them.
    length = len(json.dumps({"__metadata__": remarks, **header} if remarks else header, separators=(",", ":")))
    if remarks not in ({}, {"format": "pt"}) or length != len(text):
        raise refusal(path, "no metadata but the format", "other metadata", "save it again with save_pretrained")
    if any(tensor.keys() != _TENSOR_KEYS for tensor in header.values()):
        raise refusal(path, "tensors with dtype, shape and offsets", "more", "save it again with save_pretrained")
    return {name: (tensor["shape"], tensor["dtype"]) for name, tensor in header.items()}


def _refuse_infinite(path: Path) -> None:
    """Stop at weights that no training that went well leaves."""
    with safe_open(path, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - it is no mapping.
            if not torch.isfinite(weights.get_tensor(name)).all():
                raise refusal(path, "finite weights", "others", "take a checkpoint of before the run diverged")
