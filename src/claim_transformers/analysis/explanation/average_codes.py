"""Average codes: what a record is compared with, and which kind of thing each token is.

Each token has the mean vector of its kind for an opposite. Codes are one kind; what describes a patient or a visit is
compared with its like, so that an age stands against the average age and not against the average diagnosis.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claim_transformers.analysis.explanation.explanation import CODE, TIME, VISIT_TYPE
from claim_transformers.models.claim import ClaimTokenizer

_SYSTEMS_OF_TIME = ("DAY", "GAP")
_UNKNOWN = "UNK"
_CODES = "codes"
# Everything else, whether billed code or category, is one kind.
_SYSTEMS_APART = (
    *("AGE", "SEX", "TYPE", "PRINCIPAL"),
    *("RACE", "ENTITLEMENT", "DUAL", "COUNTY", "PAID", "LOS", "DISP", "POS"),
)


def token_kinds(tokenizer: ClaimTokenizer) -> list[str | None]:
    """Kind of each token of the vocabulary: `codes`, `time` or a system of its own; special tokens have none."""
    special = set(tokenizer.all_special_tokens)
    return [
        None if token in special else _kind(token)
        for token in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    ]


def _kind(token: str) -> str:
    system, _, bare = token.partition("/")
    # What stands for the unknown codes of a system is of the kind of that system.
    system = bare if system == _UNKNOWN else system
    if system in _SYSTEMS_OF_TIME:
        return TIME
    return system if system in _SYSTEMS_APART else _CODES


def average_rows(table_KE: Tensor, kinds: list[str | None]) -> Tensor:
    """Replace each row of a table of tokens by the mean of its kind.

    A token that is alone of its kind, or has none, has the mean of all tokens instead, since against itself it could
    never say anything.
    """
    names, kind_K = np.unique([kind or "" for kind in kinds], return_inverse=True)
    is_token_K = torch.from_numpy(np.array([kind is not None for kind in kinds])).to(table_KE.device)
    kinds_K = torch.from_numpy(kind_K.astype(np.int64)).to(table_KE.device)
    exact_KE = table_KE.detach().double()
    sums = exact_KE.new_zeros(len(names), table_KE.shape[1]).index_add_(0, kinds_K, exact_KE)
    sizes = torch.bincount(kinds_K, minlength=len(names))
    overall_E = exact_KE[is_token_K].mean(dim=0)
    means = sums / sizes[:, None]
    means_KE = torch.where((is_token_K & (sizes[kinds_K] > 1))[:, None], means[kinds_K], overall_E)
    return means_KE.to(table_KE.dtype)


def reason_kinds(kinds: list[str | None]) -> NDArray[np.object_]:
    """What a reader is told that a token of a visit is: `code`, `visit type` or `time`."""
    told = {"TYPE": VISIT_TYPE, TIME: TIME}
    return np.array([told.get(kind or "", CODE) for kind in kinds], dtype=object)
