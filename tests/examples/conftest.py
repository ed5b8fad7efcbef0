"""A small ingested folder and a cohort that the example scripts run on."""

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
import pytest
from training.ingested_folder import ingested
from training.patients_at_random import random_patients

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ingested(tmp_path_factory.mktemp("ingested") / "claims", {"train": 128, "validation": 31, "test": 8})


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled patients; those of the test split are patients 0 to 39 of the claims."""
    sizes = {"train": (60, 1000), "validation": (30, 2000), "test": (40, 0)}
    splits = {
        name: datasets.Dataset(random_patients(rows, 7 + first, first=first, labels=True))
        for name, (rows, first) in sizes.items()
    }
    folder = tmp_path_factory.mktemp("cohorts") / "cohort"
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


@pytest.fixture(scope="session")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a few thousand parameters, without dropout so that runs can be compared."""
    path = tmp_path_factory.mktemp("configs") / "tiny.json"
    model = {"visit_pooling": "sum", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model |= {"intermediate_size": 32, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    path.write_text(json.dumps({"model": model, "tokenizer": {"time_tokens": "gap", "max_visits": 30}}))
    return path


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
        yield cache


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Import an example as a module, which takes seconds less than a process of its own."""

    def load(name: str) -> ModuleType:
        specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module

    return load
