"""Saving of a checkpoint together with the Python files that run it, for readers who do not have this package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from claim_transformers.hub.checkpoint_files import read_strict_json
from claim_transformers.models.claim.carried_code_claim import add_code, write_json
from claim_transformers.training.finite import require_finite_weights

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
        >>> import json, tempfile
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
    return add_code(folder, model.config, type(tokenizer))


def drop_code(folder: str | Path) -> None:
    """Take the entries that point to Python files out of a saved checkpoint; the installed package runs it then."""
    for name in ("config.json", "tokenizer_config.json"):
        path = Path(folder, name)
        if path.is_file():
            content = read_strict_json(path)
            if content.pop("auto_map", None) is not None:
                write_json(path, content)


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
