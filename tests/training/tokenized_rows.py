"""Random tokenised patients with the columns of `tokenize_dataset`."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

FIRST_CODE, CODES, CATEGORIES = 20, 60, 7


class VocabularyOfCodes:
    """The attributes of the tokenizer that collators read: ids 3 to 19 are age, sex, type and day tokens."""

    pad_token_id = 0
    mask_token_id = 2
    target_mask = np.arange(FIRST_CODE + CODES) >= FIRST_CODE
    vocabulary = SimpleNamespace(principal_ids=np.array([], np.int64))


def tokenized_table(rows: int, seed: int, longest: int = 30) -> pa.Table:
    """Patients of 0 to `longest` visits with 2 tokens and 1 to 5 codes each; a share of the codes has a category."""
    generator = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {
        name: [] for name in ("input_ids", "visit_ids", "visit_days", "category_ids", "length", "label")
    }
    for _ in range(rows):
        visits = min(int(generator.lognormal(2.0, 1.0)), longest)
        ids, slots, categories = [3, 4], [0, 0], [-100, -100]
        for visit in range(1, visits + 1):
            codes = np.sort(generator.choice(CODES, size=int(generator.integers(1, 6)), replace=False)) + FIRST_CODE
            ids += [5, 6, *codes.tolist()]
            slots += [visit] * (2 + len(codes))
            categories += [-100, -100, *(int(code) % CATEGORIES if code % 3 else -100 for code in codes)]
        days = np.concatenate([[0], np.sort(generator.integers(0, 300, size=visits))])
        columns["input_ids"].append(ids)
        columns["visit_ids"].append(slots)
        columns["category_ids"].append(categories)
        columns["visit_days"].append((days - (days[1] if visits else 0) * (np.arange(visits + 1) > 0)).tolist())
        columns["length"].append(visits + 1)
        columns["label"].append(int(generator.integers(0, 2)))
    types = {name: pa.list_(pa.int32()) for name in ("input_ids", "visit_ids", "visit_days", "category_ids")}
    return pa.table({name: pa.array(values, types.get(name, pa.int64())) for name, values in columns.items()})
