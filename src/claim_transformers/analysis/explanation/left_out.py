"""What is predicted without a code: a check on its contribution, asked of those codes alone that may be shown."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from claim_transformers.analysis.explanation.explanation import (
    PERCENTAGE_POINTS,
    SHOWN_CODE_SHARE,
    Explanation,
    is_large,
)
from claim_transformers.analysis.explanation.gated_model import GatedModel, PatientBatch
from claim_transformers.analysis.explanation.integration import leave_out
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training import Calibration


def leave_codes_out(
    explanations: Sequence[Explanation],
    model: GatedModel,
    patients: PatientBatch,
    tokenizer: ClaimTokenizer,
    calibration: Calibration | None,
) -> list[Explanation]:
    """Add to explanations of a batch what each larger code changes when it is left out of all visits."""
    tables = [one.codes for one in explanations]
    codes = [table.filter(pa.array(is_large(table, SHOWN_CODE_SHARE)))["code"].to_pylist() for table in tables]
    device = patients.input_ids.device
    rows = np.repeat(np.arange(len(codes)), [len(of_row) for of_row in codes])
    tokens = tokenizer.convert_tokens_to_ids([code for of_row in codes for code in of_row])
    rows_N, tokens_N = (torch.as_tensor(one, dtype=torch.long, device=device) for one in (rows, tokens))
    without = leave_out(model, patients, rows_N, tokens_N).cpu().numpy()
    without = without if calibration is None else calibration(without)
    found = []
    for place, (one, of_row) in enumerate(zip(explanations, codes, strict=True)):
        scale = 100.0 if one.unit == PERCENTAGE_POINTS else 1.0
        changes = one.prediction - scale * without[rows == place]
        found.append(replace(one, left_out=dict(zip(of_row, changes.tolist(), strict=True))))
    return found
