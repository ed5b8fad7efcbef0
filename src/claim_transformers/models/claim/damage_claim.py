"""Damaged and hostile checkpoints: what a stranger's files get wrong, said with the file, before anything is built."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CONFIG_NAME = "config.json"
_INDEX_NAME = "model.safetensors.index.json"
MODEL_FILES = (_CONFIG_NAME, "model.safetensors", _INDEX_NAME, "adapter_config.json")
_DTYPES = ("float16", "bfloat16", "float32", "float64")
# What a configuration may set although it is no field of its class.
_SETTABLE = frozenset({"model_type", "num_labels", "name_or_path", "output_attentions", "torch_dtype"})
# Where a file is looked for; what else a caller gives is no business of the checkpoint.
_PLACE = ("cache_dir", "revision", "subfolder", "token")
# How many times as large as its encoder a new head may be, beside some millions of numbers that any may have.
_LARGEST_HEAD, _ALWAYS_NEW = 8, 2**24
_MOST_JSON_BYTES = 64 * 2**20
# The largest model that a configuration may describe has a header of half a megabyte.
_MOST_HEADER_BYTES = 8 * 2**20
_LONGEST_DETAIL = 300


def refuse_irregular(folder: str | Path, *names: str) -> None:
    """Refuse links that lead nowhere, folders, pipes and devices where files are expected, and files of text too long.

    The libraries take each of them for a file that is not there, and go on without it.
    """
    for path in (Path(folder, name) for name in names):
        if path.is_file():
            if path.suffix == ".json" and path.stat().st_size > _MOST_JSON_BYTES:
                raise ValueError(
                    f"expected {path.name} of at most {_MOST_JSON_BYTES >> 20} MB, found {path.stat().st_size >> 20}; "
                    "load the checkpoint again"
                )
        elif path.is_symlink() or path.exists():
            what = "a folder" if path.is_dir() else "a link to nothing" if path.is_symlink() else "a pipe or device"
            raise ValueError(f"expected {path.name} to be a file, found {what}; load the checkpoint again")


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds one object, in which no key stands twice."""
    name = Path(path).name
    refuse_irregular(Path(path).parent, name)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=without_repeats)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"expected {name} to hold JSON, found text that is not; load the file again") from error
    except ValueError as error:
        # A key that stands twice, or an integer of thousands of digits.
        raise ValueError(
            f"expected {name} to hold JSON, found {str(error)[:_LONGEST_DETAIL]}; load it again"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"expected {name} to hold a JSON object, found {type(content).__name__}")
    return content


@contextmanager
def naming_file(path: str | Path | None) -> Iterator[None]:
    """Begin the message of a file that is refused with its name; where nothing came from a file, none is named."""
    try:
        yield
    except ValueError as error:
        if path is None:
            raise
        raise ValueError(f"{Path(path).name}: {error}") from error


@contextmanager
def naming_damage(folder: Any, names: Iterable[str], places: Mapping[str, Any]) -> Iterator[None]:
    """Refuse irregular files; where a load fails, say which JSON file is damaged in place of what that led to.

    Reading the files before each load would cost a request of the Hub, and transformers reads them itself.
    """
    if str(folder).count("/") > 1 and not Path(folder).exists():
        # A name of the Hub has one slash at most, and transformers says no more than that.
        raise OSError(f"expected a checkpoint, found no folder {str(folder)!r}")
    if folder is not None:
        refuse_irregular(Path(folder, places.get("subfolder") or ""), *names)
    try:
        yield
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError):
        # Here, because a form is read without torch.
        from transformers.utils.hub import cached_file

        if folder is None:
            raise
        kept = {name: places[name] for name in _PLACE if name in places}
        for name in (name for name in names if name.endswith(".json")):
            path = cached_file(
                folder, name, local_files_only=True, _raise_exceptions_for_missing_entries=False, **kept
            )
            if path is not None and name == _INDEX_NAME:
                _check_index(read_json_object(path))
            elif path is not None:
                read_json_object(path)
        raise


@contextmanager
def naming_config(config_class: Any, content: Any) -> Iterator[None]:
    """Refuse the content of a `config.json` that is no configuration: its constructor reads nothing else."""
    try:
        if not isinstance(content, Mapping):
            raise TypeError(f"expected a JSON object, found {type(content).__name__}")
        fields = {field.name for field in dataclasses.fields(config_class)} | _SETTABLE
        # The base class sets whatever it finds, so that a key could take the place of a method.
        if taken := [str(key) for key in content if key not in fields and hasattr(config_class, key)]:
            raise ValueError(f"expected names of fields, found {taken[0][:_LONGEST_DETAIL]!r}")
        dtype = content.get("dtype", content.get("torch_dtype"))
        if dtype is not None and str(dtype).removeprefix("torch.") not in _DTYPES:
            raise ValueError(f"expected dtype as one of {', '.join(_DTYPES)}, found another {type(dtype).__name__}")
        if not isinstance(content.get("model_type", ""), str):
            raise TypeError(f"expected model_type to be text, found {type(content['model_type']).__name__}")
        yield
    except (AttributeError, IndexError, StrictDataclassError, TypeError, ValueError) as error:
        detail = " ".join(str(error).split())[:_LONGEST_DETAIL]
        raise ValueError(
            f"expected {_CONFIG_NAME} to describe a model of {config_class.__name__}, found what it refuses: {detail}"
            ". Correct it or load the checkpoint again"
        ) from error


def load_checked(
    model: "PreTrainedModel",
    state_dict: dict[Any, Any] | None,
    checkpoint_files: list[str] | None,
    load_config: Any,
    expected_keys: list[str] | None = None,
) -> tuple[Any, Any]:
    """Load weights as the base class does, but refuse those that are damaged, of another model or not finite.

    The base class calls it while the model has no memory yet: sizes that a `config.json` made up cost nothing.
    """
    from transformers import PreTrainedModel

    files = checkpoint_files or []
    name = Path(files[0]).name if files else "the weights"
    for file in files:
        refuse_irregular(Path(file).parent, Path(file).name)
        if file.endswith(".safetensors") and not load_config.is_quantized:
            _check_tensors(file)
    info, offloaded = PreTrainedModel._load_pretrained_model(
        model, state_dict, checkpoint_files, load_config, expected_keys
    )
    if info.mismatched_keys and not load_config.ignore_mismatched_sizes:
        key, found, expected = min(info.mismatched_keys)
        raise ValueError(
            f"expected {name} to hold tensors of the sizes in {_CONFIG_NAME}, found {len(info.mismatched_keys)} "
            f"others, such as {key} of {tuple(found)} for {tuple(expected)}; load both again, or pass "
            "ignore_mismatched_sizes=True for a head of another size"
        )
    if files:
        _refuse_other_model(model, info.missing_keys, name)
    for key, tensor in model.state_dict().items():
        if not tensor.is_meta and tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(
                f"E_NONFINITE: expected finite numbers in {name}, found others in {key}: the training that wrote it "
                "diverged; take an earlier checkpoint"
            )
    return info, offloaded


def _refuse_other_model(model: "PreTrainedModel", missing: Iterable[str], name: str) -> None:
    """Refuse weights that are hardly there: of another model, or a few for a configuration that asks for gigabytes."""
    sizes = {key: tensor.numel() for key, tensor in model.named_parameters()}
    is_missing = set(missing)
    encoder = f"{model.base_model_prefix}." if model.base_model is not model else ""
    absent = sum(size for key, size in sizes.items() if key in is_missing and key.startswith(encoder))
    present = sum(size for key, size in sizes.items() if key not in is_missing and key.startswith(encoder))
    heads = sum(size for key, size in sizes.items() if key in is_missing and not key.startswith(encoder))
    # A head of its own, or a part that begins new, is what every fine-tuning starts with.
    if absent > present or heads > _LARGEST_HEAD * present + _ALWAYS_NEW:
        raise ValueError(
            f"expected {name} to hold the tensors of {type(model).__name__} in the sizes of {_CONFIG_NAME}, found "
            f"{present} numbers of its encoder and {absent + heads} missing; load both files again"
        )


def _check_tensors(file: str) -> None:
    """Refuse a file that safetensors cannot read, or whose tensors are no real numbers."""
    name = Path(file).name
    with Path(file).open("rb") as head:
        header_bytes = int.from_bytes(head.read(8), "little")
    if header_bytes > _MOST_HEADER_BYTES:
        raise ValueError(
            f"expected {name} to hold tensors in the format of safetensors with a header of at most "
            f"{_MOST_HEADER_BYTES >> 20} MB, found a longer one; load the checkpoint again"
        )
    try:
        with safe_open(file, framework="pt") as weights:
            kinds = {weights.get_slice(key).get_dtype() for key in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"expected {name} to hold tensors in the format of safetensors, found a damaged file "
            f"({str(error)[:_LONGEST_DETAIL]}); load the checkpoint again"
        ) from error
    if other := sorted(kind for kind in kinds if "F" not in kind):
        raise ValueError(f"expected {name} to hold real numbers, found tensors of {', '.join(other)}")


def _check_index(content: Mapping[str, Any]) -> None:
    """Refuse an index of shards that does not say in which file beside it each tensor is."""
    files = content.get("weight_map")
    files = list(files.values()) if isinstance(files, dict) else []
    if not files or not all(isinstance(file, str) for file in files) or not isinstance(content.get("metadata"), dict):
        raise ValueError(
            f"expected {_INDEX_NAME} to hold metadata and a weight_map from tensors to files, found other "
            "content; load the checkpoint again"
        )


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no key stands twice, of which a reader would see the last alone."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError(f"{len(pairs) - len(content)} keys that stand twice")
    return content
