"""Next-visit prediction by a claim model on sets of a few hundred to a few thousand patients.

The model is [`ClaimForPreTraining`] as it is, causal and dense: every visit predicts the next one. What such small
sets need beside it is given as codes of the visit, where the tokenizer and the history skip find it without a change:
the age at the visit, and which codes the patient has for the first time. The running sum of the latter over the
visits, which the history skip reads, says what a patient ever had; the sum of the codes themselves says how often,
and how often matters less. Neither is ever a target.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
from claim_transformers.training.collators import IGNORE_INDEX, DataCollatorForClaimPretraining
from claim_transformers.training.keyed_random import Stream, uniform_at
from claim_transformers.training.token_columns import Features, RaggedColumn, ragged_column
from claim_transformers.training.tokenized_patients import TokenizedPatients
from reproduction.claim_pt.next_visit_task import ages_at_visits, replace_codes

if TYPE_CHECKING:
    import datasets

    from claim_transformers.training.arguments import ClaimTrainingArguments

AGE_SYSTEM, FIRST_SYSTEM = "VISITAGE", "FIRST"
AGE_BOUNDS_YEARS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23, 26, 30, *range(35, 100, 5))


def describe_visits(patients: pa.Table, *, ages: bool = True, firsts: bool = True) -> pa.Table:
    """Add to the codes of each visit the age at the visit and what occurs for the first time.

    Args:
        patients (`pa.Table`): Rows of the patients table, visits in order.
        ages (`bool`, *optional*, defaults to `True`): Whether to add `VISITAGE/n`, `n` the lower bound of the age in
            years, where the birth is known.
        firsts (`bool`, *optional*, defaults to `True`): Whether to add `FIRST/SYSTEM-CODE` for a code that no earlier
            visit of the patient carries.

    Returns:
        `pa.Table`: The table with longer `codes`.

    Examples:
        >>> visits = [["A/1"], ["A/1", "A/2"]]
        >>> patients = pa.table({"birth_day": [0], "visit_day": [[400, 5000]], "codes": [visits]})
        >>> describe_visits(patients)["codes"].to_pylist()
        [[['A/1', 'FIRST/A-1', 'VISITAGE/001'], ['A/1', 'A/2', 'FIRST/A-2', 'VISITAGE/012']]]
    """
    visits = patients["codes"].combine_chunks()
    num_visits = pc.fill_null(pc.list_value_length(visits), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    lists = pc.list_flatten(visits)
    num_codes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    patient = np.repeat(np.arange(len(num_visits)), num_visits)
    encoded = pc.dictionary_encode(pc.list_flatten(lists))
    visit_of_code = np.repeat(np.arange(len(num_codes)), num_codes)
    texts, owners = [encoded.cast(pa.string())], [visit_of_code]
    if firsts and len(encoded):
        index = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        _, first = np.unique(patient[visit_of_code] * len(encoded.dictionary) + index, return_index=True)
        names = pc.binary_join_element_wise(
            FIRST_SYSTEM, pc.replace_substring(encoded.dictionary.cast(pa.string()), "/", "-"), "/"
        )
        texts.append(names.take(pa.array(index[first])))
        owners.append(visit_of_code[first])
    if ages:
        years = ages_at_visits(patients, patient)
        known = np.flatnonzero(np.isfinite(years))
        bins = np.searchsorted(AGE_BOUNDS_YEARS, years[known].clip(0), side="right") - 1
        texts.append(pa.array([f"{AGE_SYSTEM}/{bound:03d}" for bound in AGE_BOUNDS_YEARS]).take(pa.array(bins)))
        owners.append(known)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(num_codes)))])
    return replace_codes(
        patients,
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.concat_arrays(texts).take(pa.array(order))),
    )


@dataclass
class NextVisitCollator(DataCollatorForClaimPretraining):
    """Make batches in which every visit predicts the codes of the next, but not what [`describe_visits`] added.

    Args:
        tokenizer ([`ClaimTokenizer`]): Gives the special tokens and says which tokens are clinical codes.
        pad_to_multiple_of (`int`, *optional*): Round the number of tokens and of slots up to a multiple.
        seed (`int`, *optional*, defaults to `0`): Seed of everything random.
        epoch (`int`, *optional*, defaults to `0`): Epoch of rows that carry none.
        nvp_context (`str`, *optional*, defaults to `"none"`): As in [`DataCollatorForClaimPretraining`].
        cp_mask_probability (`float`, *optional*, defaults to `0.0`): As in [`DataCollatorForClaimPretraining`].
        horizon_days (`int`, *optional*, defaults to `0`): As in [`DataCollatorForClaimPretraining`].
        code_dropout (`float`, *optional*, defaults to `0.0`): Share of the codes that are hidden from the input, while
            they stay targets: a patient of a small set is seen with another history in every epoch.

    Raises:
        ValueError: If `code_dropout` is no probability.

    Examples:
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "A/1": 5, "FIRST/A-1": 6}, time_tokens="none")
        >>> rows = [{"input_ids": [3, 4, 5, 6], "visit_ids": [0, 1, 1, 1], "visit_days": [0, 0]}]
        >>> NextVisitCollator(tokenizer)(rows)["labels"].tolist()
        [[-100, -100, 5, -100]]
    """

    nvp_context: Any = "none"
    code_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.code_dropout < 1.0:
            raise ValueError(f"expected code_dropout in [0, 1), found {self.code_dropout}")
        tokens = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        self._is_described = np.array([token.startswith((f"{AGE_SYSTEM}/", f"{FIRST_SYSTEM}/")) for token in tokens])

    def collate(self, features: Features) -> dict[str, npt.NDArray[Any]]:
        """Pad the inputs, and add `labels` of shape `(B, T)` and `cut` of shape `(B,)`.

        Args:
            features (`pa.Table` or `list[dict]`): Tokenised rows.

        Returns:
            `dict[str, np.ndarray]`: The batch of [`ClaimForPreTraining`].
        """
        batch = super().collate(features)
        labels = batch["labels"]
        labels[(labels >= 0) & self._is_described[labels.clip(0)]] = IGNORE_INDEX
        if self.code_dropout > 0.0:
            tokens = ragged_column(features, "input_ids")
            draws = uniform_at(self.keys(features, tokens, Stream.TOKEN_MASK)[tokens.row], tokens.position)
            hidden = self.pad(RaggedColumn((draws < self.code_dropout).astype(np.int64), tokens.lengths), 0) > 0
            batch["attention_mask"][hidden & (labels >= 0)] = 0
        return batch


def train_next_visit_model(
    model: ClaimForPreTraining,
    tokens: Mapping[str, "datasets.Dataset"],
    tokenizer: ClaimTokenizer,
    arguments: "ClaimTrainingArguments",
    *,
    seed: int,
    code_dropout: float = 0.0,
) -> ClaimForPreTraining:
    """Train a model to predict the next visit, ending where the loss of the validation split no longer falls.

    Args:
        model (`ClaimForPreTraining`): A fresh model, or one to continue from.
        tokens (`dict[str, datasets.Dataset]`): Tokenised splits, `train` and `validation` among them.
        tokenizer ([`ClaimTokenizer`]): Their tokenizer.
        arguments ([`ClaimTrainingArguments`]): How to train. `seed` takes the place of theirs, and checkpoints go to a
            folder of that seed.
        seed (`int`): Seed of order and dropout; the weights of `model` are drawn before.
        code_dropout (`float`, *optional*, defaults to `0.0`): As in [`NextVisitCollator`]; the validation loss that
            chooses the checkpoint is of such histories too.

    Returns:
        `ClaimForPreTraining`: The model with the best weights where `arguments` load them at the end.
    """
    from transformers import set_seed

    from claim_transformers.training import fine_tune

    arguments = copy.copy(arguments)
    arguments.seed, arguments.output_dir = seed, str(Path(str(arguments.output_dir)) / f"seed-{seed}")
    set_seed(seed)
    collator = NextVisitCollator(tokenizer, nvp_context=model.config.nvp_context, code_dropout=code_dropout, seed=seed)
    fine_tune(model, tokenizer, tokens, arguments, data_collator=collator)
    model.eval()
    return model


@torch.no_grad()
def score_next_visits(
    model: ClaimForPreTraining,
    tokens: "datasets.Dataset",
    tokenizer: ClaimTokenizer,
    codes: Sequence[str],
    *,
    batch_size: int = 64,
) -> npt.NDArray[np.float32]:
    """Score the codes of every visit but the first of each patient, from the visits before it.

    One causal pass over a patient answers for all of its visits.

    Args:
        model (`ClaimForPreTraining`): A model with `nvp_context` of `"none"` or `"mixed"`, which trained its visits.
        tokens (`datasets.Dataset`): A tokenised split.
        tokenizer ([`ClaimTokenizer`]): Its tokenizer.
        codes (`list[str]`): Candidates.
        batch_size (`int`, *optional*, defaults to `64`): Patients per pass.

    Returns:
        `NDArray[float32]` of shape `(N, K)`: Log odds, in the order of `next_visit_rows`.

    Raises:
        ValueError: If the visits of the model are not trained, or a candidate is no token.
    """
    if model.config.nvp_context == "full" or model.config.nvp_target != "code":
        raise ValueError(
            "expected a model whose visits predict codes (nvp_context 'none' or 'mixed', nvp_target 'code'), found "
            f"{model.config.nvp_context!r} and {model.config.nvp_target!r}"
        )
    vocabulary = tokenizer.get_vocab()
    missing = sum(code not in vocabulary for code in codes)
    if missing:
        raise ValueError(f"expected a token for each of {len(codes)} candidates, found none for {missing}")
    columns = torch.tensor([vocabulary[code] for code in codes], device=model.device)
    patients, collate = TokenizedPatients(tokens), NextVisitCollator(tokenizer)
    lengths = patients.lengths()
    order = np.argsort(lengths, kind="stable")
    parts: list[npt.NDArray[np.float32]] = [np.zeros((0, len(codes)), np.float32)] * len(patients)
    model.eval()
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size].tolist()
        batch = {name: tensor.to(model.device) for name, tensor in collate(patients.__getitems__(rows)).items()}
        inputs = {name: batch[name] for name in ("input_ids", "visit_ids", "visit_days", "attention_mask")}
        logits_BVK = model(**inputs, cut=torch.zeros_like(batch["cut"]), return_logits=True).nvp_logits[..., columns]
        for logits_VK, row in zip(logits_BVK.float().cpu().numpy(), rows, strict=True):
            parts[row] = logits_VK[1 : max(lengths[row] - 1, 1)]
    return np.concatenate(parts)
