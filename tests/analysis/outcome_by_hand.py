"""A small vocabulary with outcomes, an untrained model with a horizon, and patients whose label follows a code."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimTokenizer

PATIENTS = 120


def outcome_tokenizer() -> ClaimTokenizer:
    codes = ["SEX/F", "TYPE/OP", "ICD9CM/49390", "ICD9CM/4660", "ICD9CM/E950", "ICD9CM/V6284"]
    rules = {"ICD9CM/493": "CCS/128", "ICD9CM/466": "CCS/125", "ICD9CM/E950": "CCS/662", "ICD9CM/V6284": "CCS/662"}
    return ClaimTokenizer({code: number for number, code in enumerate(codes, start=3)}, rules, time_tokens="none")


def outcome_config(tokenizer: ClaimTokenizer) -> ClaimConfig:
    return ClaimConfig(  # type: ignore[call-arg]  # num_labels is of PreTrainedConfig
        vocab_size=len(tokenizer),
        num_categories=tokenizer.num_categories,
        hidden_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
        visit_pooling="sum",
        nvp_target="category",
        horizon_days=90,
        num_labels=2,
    )


def outcome_model(config: ClaimConfig) -> ClaimForPreTraining:
    torch.manual_seed(0)
    return ClaimForPreTraining(config).eval()


def outcome_patients(tokenizer: ClaimTokenizer) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Patients of a few visits; those with more asthma visits have the label more often."""
    generator = np.random.default_rng(0)
    rows, labels = [], []
    for _ in range(PATIENTS):
        visits = int(generator.integers(1, 8))
        codes = [[str(generator.choice(["ICD9CM/49390", "ICD9CM/4660", "ICD9CM/V6284"]))] for _ in range(visits)]
        asthma = sum(code == ["ICD9CM/49390"] for code in codes)
        labels.append(int(generator.random() < 0.1 + 0.2 * asthma))
        seen = [{"day": d, "type": "OP", "codes": c} for d, c in enumerate(codes)]
        rows.append({"sex": "F", "index_day": visits, "visits": seen})
    encoded = [tokenizer(row) for row in rows]
    return pa.table({name: [one[name] for one in encoded] for name in encoded[0]}), np.array(labels)
