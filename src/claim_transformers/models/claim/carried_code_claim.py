"""Code that travels: the Python files that run a checkpoint, and the entries that lead the Auto classes to them."""

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import transformers
from transformers import PreTrainedConfig
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils.hub import PushToHubMixin

# By name: a tokenizer needs none of them until it is shared, and they load every model.
_AUTO_MODEL_CLASSES = {
    "AutoModel": "MODEL_MAPPING",
    "AutoModelForPreTraining": "MODEL_FOR_PRETRAINING_MAPPING",
    "AutoModelForMaskedLM": "MODEL_FOR_MASKED_LM_MAPPING",
    "AutoModelForSequenceClassification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "AutoModelForTokenClassification": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING",
}
_AutoMap = dict[str, str | list[str | None]]


class CarriesCode(PushToHubMixin):
    """A model or a tokenizer whose `push_to_hub` sends its Python files along; `save_pretrained` alone does not."""

    def _upload_modified_files(self, working_dir: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the files to the folder that is about to be sent."""
        config = getattr(self, "config", None)
        if isinstance(config, PreTrainedConfig):
            _merge_json(Path(working_dir, "config.json"), {"auto_map": _config_entries(config)})
            _copy_sources(working_dir, [type(self), type(config), *_model_classes(config).values()])
        else:
            entry = {"AutoTokenizer": _tokenizer_entry(type(self))}
            _merge_json(Path(working_dir, "tokenizer_config.json"), {"auto_map": entry})
            _copy_sources(working_dir, [type(self)])
        return super()._upload_modified_files(working_dir, *args, **kwargs)


def add_code(folder: str | Path, config: PreTrainedConfig, tokenizer_class: type) -> list[str]:
    """Put the Python files of a family into the folder of a saved checkpoint, name them in its JSON, and list them."""
    auto_map = auto_map_of(config, tokenizer_class)
    _merge_json(Path(folder, "config.json"), {"auto_map": auto_map})
    entry = {"AutoTokenizer": auto_map["AutoTokenizer"]}
    _merge_json(Path(folder, "tokenizer_config.json"), {"auto_map": entry})
    return _copy_sources(folder, [type(config), tokenizer_class, *_model_classes(config).values()])


def auto_map_of(config: PreTrainedConfig, tokenizer_class: type) -> _AutoMap:
    """One entry per Auto class, each `file.Class`."""
    return {**_config_entries(config), "AutoTokenizer": _tokenizer_entry(tokenizer_class)}


def _copy_sources(folder: str | Path, classes: Iterable[type]) -> list[str]:
    """Copy the files of classes and all that these import; their names, sorted."""
    sources = {source for class_ in classes for source in _source_files(class_)}
    for source in sources:
        shutil.copyfile(source, Path(folder, source.name))
    return sorted(source.name for source in sources)


def _merge_json(path: Path, entries: dict[str, object]) -> None:
    """Replace top-level entries of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {**content, **entries})


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write JSON the way transformers writes its configurations."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _config_entries(config: PreTrainedConfig) -> _AutoMap:
    models = {name: _reference(class_) for name, class_ in _model_classes(config).items()}
    return {"AutoConfig": _reference(type(config)), **models}


def _tokenizer_entry(tokenizer_class: type) -> list[str | None]:
    # AutoTokenizer expects a pair: the class in Python and the one over the tokenizers library, which ours is not.
    return [_reference(tokenizer_class), None]


def _model_classes(config: PreTrainedConfig) -> dict[str, type]:
    """The model class behind each Auto class that knows this configuration."""
    classes = {}
    for name, mapping in _AUTO_MODEL_CLASSES.items():
        class_: object = getattr(transformers, mapping).get(type(config), None)
        if isinstance(class_, type):
            classes[name] = class_
    return classes


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
