"""Random patients and small untrained models on their vocabulary."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from typing import Any

import pyarrow as pa
import pytest
import torch
from claim_batches import randomise
from training.patients_at_random import random_patients

from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimPreTrainedModel, ClaimTokenizer

CATEGORIES = {"prefixes": {f"ICD9CM/4{ten}": f"CCS/{ten}" for ten in range(8)}}


@pytest.fixture(scope="session")
def patients() -> pa.Table:
    return random_patients(120, seed=0, labels=True)


@pytest.fixture(scope="session")
def tokenizer(patients: pa.Table) -> ClaimTokenizer:
    return ClaimTokenizer.train_from_dataset(patients, categories=CATEGORIES)


@pytest.fixture(scope="session")
def tokens(patients: pa.Table, tokenizer: ClaimTokenizer) -> pa.Table:
    return tokenizer.encode_table(patients)


@pytest.fixture(scope="session")
def make_model(tokenizer: ClaimTokenizer) -> Any:
    """Models with large random weights, so that nothing is hidden by small initial ones."""

    def make(
        model_class: type[ClaimPreTrainedModel] = ClaimForPreTraining, *, seed: int = 0, **options: Any
    ) -> ClaimPreTrainedModel:
        sizes: dict[str, Any] = {
            "vocab_size": len(tokenizer),
            "num_categories": tokenizer.num_categories,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
        config = ClaimConfig(**{**sizes, **options})
        torch.manual_seed(seed)
        model = randomise(model_class(config), seed=seed)
        assert isinstance(model, ClaimPreTrainedModel)
        return model.eval()

    return make
