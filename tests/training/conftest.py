"""Tokenised patients made by hand and at random, and small models for them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
import pyarrow as pa
import pytest
from training.patients_at_random import random_patients
from training.tokenized_rows import VocabularyOfCodes, tokenized_table

from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.training import tokenize_dataset


@pytest.fixture
def vocabulary() -> VocabularyOfCodes:
    return VocabularyOfCodes()


@pytest.fixture(scope="session")
def table() -> pa.Table:
    return tokenized_table(rows=300, seed=0)


@pytest.fixture(scope="session")
def patients() -> datasets.DatasetDict:
    """Labelled patients in memory: 160 for training, 48 for validation."""
    train, validation = random_patients(160, 0, labels=True), random_patients(48, 1, first=500, labels=True)
    return datasets.DatasetDict(train=datasets.Dataset(train), validation=datasets.Dataset(validation))


@pytest.fixture(scope="session")
def tokenizer(patients: datasets.DatasetDict) -> ClaimTokenizer:
    categories = {"prefixes": {f"ICD9CM/4{ten}": f"CCS/{ten}" for ten in range(8)}}
    return ClaimTokenizer.train_from_dataset(patients["train"], categories=categories)


@pytest.fixture(scope="session")
def tokens(patients: datasets.DatasetDict, tokenizer: ClaimTokenizer) -> datasets.DatasetDict:
    return tokenize_dataset(patients, tokenizer)
