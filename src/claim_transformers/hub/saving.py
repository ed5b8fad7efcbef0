"""Saving of a checkpoint together with the Python files that run it, for readers who do not have this package."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_PRETRAINING_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.dynamic_module_utils import get_relative_import_files

from claim_transformers.hub.checkpoint_files import read_strict_json
from claim_transformers.training.finite import require_finite_weights

_AUTO_MODEL_CLASSES = {
    "AutoModel": MODEL_MAPPING,
    "AutoModelForPreTraining": MODEL_FOR_PRETRAINING_MAPPING,
    "AutoModelForMaskedLM": MODEL_FOR_MASKED_LM_MAPPING,
    "AutoModelForSequenceClassification": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "AutoModelForTokenClassification": MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
}
# transformers writes the repository of foreign code before this separator: "organisation/model--module.Class".
_REPOSITORY_SEPARATOR = "--"


def save_with_code(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path, *, max_shard_size: str = "5GB"
) -> list[str]:
    """Save a model, its tokenizer and their Python files, so that `trust_remote_code=True` loads them anywhere.

    `save_pretrained` names only the saved class in `auto_map`, and its own way to copy code is a switch on the class
    that makes every later Trainer checkpoint carry code too. Here the files are copied and `auto_map` is completed in
    the saved JSON, so neither the model in memory nor its class changes.

    Args:
        model (`PreTrainedModel`): Model of a family registered with the Auto classes.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        folder (`str` or `Path`): Written to; created when missing.
        max_shard_size (`str`, *optional*, defaults to `"5GB"`): Largest size of one file of weights.

    Returns:
        `list[str]`: Names of the Python files that travel with the checkpoint, sorted.

    Raises:
        ClaimDataError: `E_NONFINITE` if a weight is not finite.
        ValueError: If a class was defined in a notebook or in `__main__`, which has no file to copy, or its file
            imports files of other folders of a package.

    Examples:
        >>> import tempfile
        >>> from claim_transformers.models.claim import ClaimConfig, ClaimModel, ClaimTokenizer
        >>> from claim_transformers.models.registration import register
        >>> register()
        >>> tokenizer = ClaimTokenizer({"ICD9CM/4659": 3})
        >>> model = ClaimModel(ClaimConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = save_with_code(model, tokenizer, folder)
        ...     json.loads(Path(folder, "config.json").read_text())["auto_map"]["AutoModel"]
        'modeling_claim.ClaimModel'
        >>> "modeling_claim.py" in files
        True
    """
    require_finite_weights(model.named_parameters())
    folder = Path(folder)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder)
    auto_map = auto_map_of(model.config, type(tokenizer))
    _merge_json(folder / "config.json", {"auto_map": auto_map})
    _merge_json(folder / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": auto_map["AutoTokenizer"]}})
    classes = [type(model.config), type(tokenizer), *_model_classes(model.config).values()]
    sources = {source for class_ in classes for source in _source_files(class_)}
    for source in sources:
        shutil.copyfile(source, folder / source.name)
    return sorted(source.name for source in sources)


def drop_code(folder: str | Path) -> None:
    """Take the entries that point to Python files out of a saved checkpoint; the installed package runs it then.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "config.json").write_text('{"auto_map": {"AutoModel": "modeling.Model"}, "depth": 2}')
        ...     drop_code(folder)
        ...     json.loads(Path(folder, "config.json").read_text())
        {'depth': 2}
    """
    for name in ("config.json", "tokenizer_config.json"):
        path = Path(folder, name)
        if path.is_file():
            content = read_strict_json(path)
            if content.pop("auto_map", None) is not None:
                _write_json(path, content)


def refuse_foreign_code(config: PreTrainedConfig | Mapping[str, Any], *, repo_id: str | None = None) -> None:
    """Stop at a configuration that would run Python files of another repository than its own.

    Args:
        config (`PreTrainedConfig` or `Mapping`): A configuration, or the content of a `config.json`.
        repo_id (`str`, *optional*): Repository the configuration was read from, whose own code is not foreign.

    Raises:
        ValueError: If an entry of `auto_map` names another repository. The message starts with `E_FOREIGN_CODE`.

    Examples:
        >>> refuse_foreign_code({"auto_map": {"AutoModel": "modeling_claim.ClaimModel"}})
        >>> refuse_foreign_code({"auto_map": {"AutoModel": "someone/else--modeling.Model"}})
        Traceback (most recent call last):
            ...
        ValueError: E_FOREIGN_CODE: expected code from the repository itself, found 'AutoModel' pointing to
        'someone/else': load the checkpoint with the installed package, or remove it from auto_map
    """
    auto_map = config.get("auto_map") if isinstance(config, Mapping) else getattr(config, "auto_map", None)
    for auto_class, entry in (auto_map or {}).items():
        for reference in entry if isinstance(entry, list | tuple) else [entry]:
            repository, separator, _ = (reference or "").partition(_REPOSITORY_SEPARATOR)
            if separator and repository != repo_id:
                raise ValueError(
                    f"E_FOREIGN_CODE: expected code from the repository itself, found {auto_class!r} pointing to "
                    f"{repository!r}: load the checkpoint with the installed package, or remove it from auto_map"
                )


def _model_classes(config: PreTrainedConfig) -> dict[str, type]:
    """The model class behind each Auto class that knows this configuration."""
    classes = {}
    for name, mapping in _AUTO_MODEL_CLASSES.items():
        class_: object = mapping.get(type(config), None)
        if isinstance(class_, type):
            classes[name] = class_
    return classes


def auto_map_of(config: PreTrainedConfig, tokenizer_class: type) -> dict[str, str | list[str | None]]:
    """One entry per Auto class, each `file.Class`."""
    entries: dict[str, str | list[str | None]] = {"AutoConfig": _reference(type(config))}
    entries.update((name, _reference(class_)) for name, class_ in _model_classes(config).items())
    # AutoTokenizer expects a pair: the class in Python and the one over the tokenizers library, which ours is not.
    entries["AutoTokenizer"] = [_reference(tokenizer_class), None]
    return entries


def _reference(class_: type) -> str:
    """The entry of a class in `auto_map`."""
    return f"{class_.__module__.rpartition('.')[2]}.{class_.__name__}"


def _source_files(class_: type) -> list[Path]:
    """The file of a class and every sibling it imports, found by the rule the loader uses to fetch them."""
    source = getattr(sys.modules[class_.__module__], "__file__", None)
    if class_.__module__ == "__main__" or source is None:
        raise ValueError(f"expected {class_.__name__} in a Python file of its own, found it in {class_.__module__!r}")
    try:
        return [Path(source), *(Path(sibling) for sibling in get_relative_import_files(source))]
    except FileNotFoundError as error:
        raise ValueError(
            f"expected {class_.__name__} to import files of its own folder only, found other relative imports: this "
            "family cannot travel with a checkpoint, so save it without code"
        ) from error


def _merge_json(path: Path, entries: dict[str, object]) -> None:
    """Replace top-level entries of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    _write_json(path, {**content, **entries})


def _write_json(path: Path, content: dict[str, object]) -> None:
    """Write JSON the way transformers writes its configurations."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
