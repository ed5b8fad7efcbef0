"""Membership inference: whether the loss of a checkpoint on a patient tells that it was trained on that patient.

The attack is the simplest one there is (Yeom et al., 2018, arXiv:1709.01604): who has a lower loss is called a member.
A pass means something only where the same attack finds the members of a model that did learn them by heart, so each
checkpoint has a control: the same weights, trained on a few patients for many passes.
"""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import set_seed

from claim_transformers.training import auroc, pretraining_collator, pretraining_model, tokenize_dataset
from claim_transformers.training.tokenized_patients import DIGEST_COLUMN, TokenizedPatients

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from claim_transformers.models.claim import ClaimTokenizer

# Masks, cuts and landmarks of a patient are drawn so often; one draw of a short record says little.
_DRAWS = 4
_CONTROL_PATIENTS, _CONTROL_BATCH, _CONTROL_RATE = 200, 50, 3e-3


def membership(
    checkpoint: str, learned: "DatasetDict", tokenizer: "ClaimTokenizer", *, patients: int, passes: int
) -> tuple[float, float, int]:
    """Measure how well the loss tells members from others, for a checkpoint and for its control.

    Args:
        checkpoint (`str`): Name of a checkpoint, or its folder.
        learned (`DatasetDict`): `train`, which it saw, and `validation` and `test`, which it did not.
        tokenizer ([`ClaimTokenizer`]): Its tokenizer.
        patients (`int`): Largest number of members, and of others.
        passes (`int`): Passes of the control over its patients.

    Returns:
        `tuple[float, float, int]`: AUC of the checkpoint, AUC of the control, and members or others, who are as many.
    """
    import datasets

    others = datasets.concatenate_datasets([learned["validation"], learned["test"]])
    members_rows, others_rows = (_one_each(tokenize_dataset(part, tokenizer)) for part in (learned["train"], others))
    size = min(patients, len(members_rows), len(others_rows))
    members_rows, others_rows = members_rows.select(range(size)), others_rows.select(range(size))
    config = _config_of(checkpoint)
    model = type(pretraining_model(config)).from_pretrained(checkpoint)
    collator = pretraining_collator(config, tokenizer)
    outside = _losses(model, collator, others_rows)
    found = _auc(_losses(model, collator, members_rows), outside)
    control = _learned_by_heart(model, collator, others_rows.select(range(_CONTROL_PATIENTS)), passes)
    few, rest = np.split(_losses(control, collator, others_rows), [_CONTROL_PATIENTS])
    return found, _auc(few, rest), size


def _config_of(checkpoint: str) -> Any:
    from claim_transformers.models.claim import ClaimConfig

    return ClaimConfig.from_pretrained(checkpoint)


def _one_each(rows: "Dataset") -> "Dataset":
    """The first row of every patient: several rows of one would count a leak several times."""
    _, first = np.unique(np.array(rows[DIGEST_COLUMN][:]), return_index=True)
    kept: Dataset = rows.select(np.sort(first))
    return kept


def _losses(model: Any, collator: Any, rows: "Dataset") -> np.ndarray:
    """Mean loss of each row over some draws."""
    model.eval()
    tokens, losses = TokenizedPatients(rows), np.zeros(len(rows))
    with torch.no_grad():
        for tokens.epoch in range(_DRAWS):
            losses += [float(model(**collator(tokens[row])).loss) for row in range(len(rows))]
    return losses / _DRAWS


def _learned_by_heart(model: Any, collator: Any, rows: "Dataset", passes: int) -> Any:
    """The same weights, trained on a few rows until they know them."""
    set_seed(0)
    model = copy.deepcopy(model).train()
    tokens, optimizer = TokenizedPatients(rows), torch.optim.AdamW(model.parameters(), lr=_CONTROL_RATE)
    for tokens.epoch in range(passes):
        for batch in torch.randperm(len(rows)).split(_CONTROL_BATCH):
            optimizer.zero_grad()
            model(**collator(tokens.__getitems__(batch.tolist()))).loss.backward()
            optimizer.step()
    return model


def _auc(members: np.ndarray, others: np.ndarray) -> float:
    """Area under the ROC curve of a low loss as the sign of a member; 0.5 tells nothing."""
    labels = np.repeat([1, 0], [len(members), len(others)])
    return float(auroc(labels, -np.concatenate([members, others])))
