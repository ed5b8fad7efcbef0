"""Linear probes: patient vectors of a frozen model, and a regression on them (Claim-PT Start and Claim-PT Pool).

The paper calls both "zero-shot" (Tables 1 and 2): no weight of the transformer is trained on the cohort, only a
logistic regression on its vectors. Start reads the position that looks ahead; Pool reads the visits.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claim_transformers.analysis.rivals.baselines import PENALTIES, BaselineResult
from claim_transformers.analysis.rivals.linear_models import fit_linear
from claim_transformers.models.claim import ClaimConfig, ClaimModel, ClaimModelOutput, ClaimPreTrainedModel
from claim_transformers.training.token_columns import ragged_column

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_Pooling = Literal["start", "pool", "mean", "max"]
_POOLINGS = ("start", "pool", "mean", "max")
# Penalties of a probe reach further down than those of counts: standardised vectors of a few hundred examples overfit.
_PROBE_PENALTIES = (0.00001, 0.0001, *PENALTIES)


def patient_vectors(
    model: ClaimPreTrainedModel,
    tokenized: "pa.Table | datasets.Dataset",
    pooling: _Pooling = "start",
    *,
    batch_size: int = 256,
) -> NDArray[np.float32]:
    """Represent every patient by one vector of a frozen model.

    What the history skip adds to a position is part of its vector, as it is in every prediction of the model. A model
    that was pretrained with `nvp_context="none"` is read as its pretraining read it: causally, and its last visit is
    the position that looks ahead.

    Args:
        model (`ClaimPreTrainedModel`): The encoder, or a head on it; left in the mode it came in.
        tokenized (`pa.Table` or `datasets.Dataset`): Rows of `tokenize_dataset` or `tokenizer.encode_table`.
        pooling (`str`, *optional*, defaults to `"start"`):
            `"start"`, the patient position (Claim-PT Start); `"mean"` or `"max"` over the visits; `"pool"`, both of
            them side by side (Claim-PT Pool). A patient without visits has the patient position in their place.
        batch_size (`int`, *optional*, defaults to `256`): Patients per forward pass.

    Returns:
        `NDArray[float32]` of shape `(patients, hidden)`, twice as wide for `"pool"`.

    Raises:
        ValueError: If `pooling` is none of these.
    """
    if pooling not in _POOLINGS:
        raise ValueError(f"expected pooling to be one of {', '.join(_POOLINGS)}, found {pooling!r}")
    encoder = encoder_of(model)
    config = encoder.config
    width = config.hidden_size * (2 if pooling == "pool" else 1)
    vectors = np.zeros((len(tokenized), width), np.float32)
    with evaluating(encoder):
        for rows, batch in token_batches(tokenized, config, batch_size, encoder.device):
            causal = _is_causal(config)
            cut = torch.zeros(len(rows), dtype=torch.long, device=encoder.device) if causal else None
            states_BLE, slots_BL = _states(encoder(**batch, cut=cut), batch, config)
            vectors[rows] = _pool(states_BLE, slots_BL, pooling, causal=causal).float().cpu().numpy()
    return vectors


def fit_linear_probe(
    vectors: Mapping[str, NDArray[np.floating[Any]]],
    labels: Mapping[str, NDArray[Any]],
    C: float | Sequence[float] = _PROBE_PENALTIES,
    *,
    name: str = "Claim-PT Start",
    seed: int = 0,
) -> BaselineResult:
    """Fit logistic regression on standardised vectors of a frozen model.

    Args:
        vectors (`dict[str, NDArray[float]]`): Vectors of shape `(examples, width)` per split, one of them `train`.
        labels (`dict[str, NDArray]`): Labels per split, of shape `(examples,)` or, for several at once, `(examples,
            labels)`.
        C (`float` or `list[float]`, *optional*): Inverse penalty of scikit-learn, or several to choose from on the
            validation split.
        name (`str`, *optional*, defaults to `"Claim-PT Start"`): Name for tables.
        seed (`int`, *optional*, defaults to `0`): Seed of the solver.

    Raises:
        ValueError: If the training split has one class only.

    Examples:
        >>> vectors = {"train": np.eye(4), "validation": np.eye(4)}
        >>> labels = {"train": np.array([0, 0, 1, 1]), "validation": np.array([0, 0, 1, 1])}
        >>> probe = fit_linear_probe(vectors, labels, C=1.0)
        >>> probe.num_features, (probe.scores["validation"] > 0.5).tolist()
        (4, [False, False, True, True])
    """
    train = np.asarray(vectors["train"], np.float64)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    # A column without spread says nothing and stays zero.
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    inputs = {split: (np.asarray(values, np.float64) - mean) * scale for split, values in vectors.items()}
    fit = fit_linear(inputs, labels, [C] if isinstance(C, int | float) else C, seed=seed)
    return BaselineResult(
        name=name,
        scores=fit.scores,
        num_features=train.shape[1],
        parameters={"C": fit.inverse_penalty},
        validation_loss=fit.validation_loss,
    )


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode without gradients, and put its mode back."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def encoder_of(model: ClaimPreTrainedModel) -> ClaimModel:
    """Give the encoder of a model: itself, or what its head stands on."""
    return cast(ClaimModel, model.base_model)


def _is_causal(config: ClaimConfig) -> bool:
    """Tell whether pretraining never let a position see a later visit."""
    return config.visit_pooling != "none" and config.nvp_context == "none"


def token_batches(
    tokenized: "pa.Table | datasets.Dataset", config: ClaimConfig, batch_size: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[NDArray[np.int64], dict[str, Tensor]]]:
    """Give the inputs of a model in batches of patients of similar length, whose padding is nearly nothing."""
    import pyarrow as pa

    columns = ["input_ids", "visit_ids", "visit_days"]
    if not isinstance(tokenized, pa.Table):
        tokenized = tokenized.select_columns(columns).with_format("arrow")[:]
    if tokenized.num_rows == 0:
        return
    fills = {"input_ids": config.pad_token_id or 0, "visit_ids": -1, "visit_days": -1}
    # Patients of similar length share a batch, whose padding is then nearly nothing.
    order = np.argsort(-ragged_column(tokenized, "input_ids").lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        drawn = tokenized.select(columns).take(pa.array(rows))
        padded = {name: ragged_column(drawn, name).pad(fill) for name, fill in fills.items()}
        yield rows, {name: torch.from_numpy(values).to(device) for name, values in padded.items()}


def _states(outputs: ClaimModelOutput, batch: Mapping[str, Tensor], config: ClaimConfig) -> tuple[Tensor, Tensor]:
    """The state of every position, history included, and its slot, -1 for padding."""
    states_BLE = outputs.last_hidden_state
    assert states_BLE is not None  # the encoder always returns it
    if outputs.history_states is not None:
        states_BLE = states_BLE + outputs.history_states
    if config.visit_pooling == "none":
        return states_BLE, batch["visit_ids"]
    days_BV = batch["visit_days"]
    slots_BV = torch.arange(days_BV.shape[1], device=days_BV.device).expand_as(days_BV)
    return states_BLE, torch.where(days_BV >= 0, slots_BV, -1)


def _pool(states_BLE: Tensor, slots_BL: Tensor, pooling: _Pooling, *, causal: bool) -> Tensor:
    """One vector per patient."""
    last_B1 = slots_BL.max(dim=1, keepdim=True).values
    # A causal model has read everything only at the last slot; a bidirectional one has a patient position, slot 0.
    ahead_BL = slots_BL == (last_B1 if causal else torch.zeros_like(last_B1))
    if pooling == "start":
        return _mean(states_BLE, ahead_BL)
    # The patient position is no visit, except where it is all that there is.
    visits_BL = torch.where(last_B1 >= 1, slots_BL >= 1, slots_BL == 0)
    if pooling == "mean":
        return _mean(states_BLE, visits_BL)
    lowest = torch.finfo(states_BLE.dtype).min
    largest_BE = states_BLE.masked_fill(~visits_BL[:, :, None], lowest).amax(dim=1)
    return largest_BE if pooling == "max" else torch.cat([_mean(states_BLE, visits_BL), largest_BE], dim=1)


def _mean(states_BLE: Tensor, chosen_BL: Tensor) -> Tensor:
    """Mean of the chosen positions of each patient; there is at least one."""
    weights_BL1 = chosen_BL[:, :, None].to(states_BLE.dtype)
    return (states_BLE * weights_BL1).sum(dim=1) / weights_BL1.sum(dim=1)
