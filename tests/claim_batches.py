"""Small random batches of the claim models, built from patients written as lists of visits."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

IGNORE_INDEX = -100
FIRST_CODE = 10  # ids below are special tokens, demographics and claim types, which are no targets

Patient = dict[str, Any]


def random_patients(
    seed: int, visits_per_patient: tuple[int, ...], vocab_size: int = 60, max_codes: int = 5
) -> list[Patient]:
    """Patients with the given numbers of visits; a slot has a claim type and distinct codes, sorted."""
    rng = np.random.default_rng(seed)
    patients = []
    for num_visits in visits_per_patient:
        slots = [[3, 4]]
        for _ in range(num_visits):
            size = int(rng.integers(1, max_codes + 1))
            codes = FIRST_CODE + rng.choice(vocab_size - FIRST_CODE, size, replace=False)
            slots.append([5, *sorted(int(code) for code in codes)])
        gaps = rng.integers(0, 60, size=num_visits)
        gaps[:1] = 0
        patients.append({"slots": slots, "days": [0, *np.cumsum(gaps).tolist()]})
    return patients


def collate(
    patients: list[Patient],
    num_categories: int = 7,
    side: str = "right",
    extra_tokens: int = 0,
    extra_slots: int = 0,
    with_labels: bool = False,
) -> dict[str, Tensor]:
    """Pad patients into a batch; the category of a code is its id modulo the number of categories."""
    streams = [[(code, slot) for slot, codes in enumerate(one["slots"]) for code in codes] for one in patients]
    width = max(len(stream) for stream in streams) + extra_tokens
    slots = max(len(one["days"]) for one in patients) + extra_slots
    batch = {
        "input_ids": torch.zeros(len(patients), width, dtype=torch.long),
        "visit_ids": torch.full((len(patients), width), -1),
        "visit_days": torch.full((len(patients), slots), -1),
        "attention_mask": torch.zeros(len(patients), width, dtype=torch.long),
    }
    for row, (stream, one) in enumerate(zip(streams, patients, strict=True)):
        start = width - len(stream) if side == "left" else 0
        here = slice(start, start + len(stream))
        batch["input_ids"][row, here] = torch.tensor([code for code, _ in stream], dtype=torch.long)
        batch["visit_ids"][row, here] = torch.tensor([slot for _, slot in stream], dtype=torch.long)
        batch["attention_mask"][row, here] = 1
        batch["visit_days"][row, : len(one["days"])] = torch.tensor(one["days"])
    if with_labels:
        is_target = (batch["input_ids"] >= FIRST_CODE) & (batch["visit_ids"] >= 1)
        batch["labels"] = batch["input_ids"].where(is_target, IGNORE_INDEX)
        batch["category_labels"] = (batch["input_ids"] % num_categories).where(is_target, IGNORE_INDEX)
    return batch


def randomise(model: torch.nn.Module, seed: int = 0, scale: float = 0.3) -> torch.nn.Module:
    """Give every parameter large random values, so that nothing is hidden by zeros or by small initial weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model
