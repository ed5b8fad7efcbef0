"""What a model says of a patient: a probability, a number, or the likeliest of many labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from claim_transformers.models.claim.losses_claim import amounts_of_logits

if TYPE_CHECKING:
    import pyarrow as pa

    from claim_transformers.models.claim import ClaimTokenizer

_Kind = Literal["probability", "number", "labels", "classes"]
_PATIENT_HEADS = ("ClaimForSequenceClassification", "RecurrentForSequenceClassification")


@dataclass(frozen=True)
class ScoreHead:
    """How the outputs of a model become columns."""

    # `"probability"` of one outcome, `"number"` of a regression, probabilities of `"labels"` that may hold together,
    # or of `"classes"` that exclude each other.
    kind: _Kind
    names: Sequence[str]  # Names of the labels.
    top_k: int  # How many labels are given of each patient.
    config: Any = None  # Of a `"number"`, says how outputs become amounts.

    def read(self, logits: torch.Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Read scores of shape `(B, k)` and the labels they are of, likeliest first, from logits `(B, K)`."""
        values = logits.float()
        if self.kind == "number":
            scores = amounts_of_logits(values, self.config)[:, None]
        elif self.kind == "probability":
            scores = torch.sigmoid(values[:, 1:] - values[:, :1] if values.shape[1] == 2 else values)
        else:
            scores = torch.sigmoid(values) if self.kind == "labels" else values.softmax(dim=1)
        if self.kind in ("labels", "classes"):
            # Stable, so that ties fall alike everywhere.
            order = scores.sort(dim=1, descending=True, stable=True).indices[:, : self.top_k]
            return scores.gather(1, order).numpy(), order.numpy()
        return scores.numpy(), np.zeros(scores.shape, np.int64)

    def columns(self, scores: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> "dict[str, pa.Array]":
        """Write scores as columns: `score`, or `labels` and `scores`."""
        import pyarrow as pa

        if self.kind in ("number", "probability"):
            return {"score": pa.array(scores[:, 0].astype(np.float64))}
        offsets = pa.array(np.arange(len(scores) + 1, dtype=np.int32) * scores.shape[1])
        names = pa.array(self.names, pa.string()).take(pa.array(labels.ravel()))
        lists = {"labels": names, "scores": pa.array(scores.ravel().astype(np.float32))}
        return {name: pa.ListArray.from_arrays(offsets, values) for name, values in lists.items()}


def head_of(model: torch.nn.Module, tokenizer: "ClaimTokenizer", top_k: int) -> ScoreHead:
    """Find out what a model predicts of a patient."""
    config: Any = model.config
    name = type(model).__name__
    if top_k < 1:
        raise ValueError(f"expected at least one label of each patient, found top_k={top_k}")
    if name == "ClaimForPreTraining":
        names = tokenizer.category_names
        if config.nvp_target == "code":
            names = tokenizer.convert_ids_to_tokens(list(range(config.vocab_size)))
        return ScoreHead("labels", names, min(top_k, len(names)))
    if name not in _PATIENT_HEADS:
        raise ValueError(
            f"expected a model with a prediction per patient ({', '.join(_PATIENT_HEADS)}) or of next visits "
            f"(ClaimForPreTraining), found {name}: fine-tune the checkpoint first"
        )
    labels: Mapping[int, str] = config.id2label
    is_two_part = getattr(config, "regression_loss", "squared") == "two_part"
    kind = _kind_of(config.problem_type, 1 if is_two_part else len(labels))
    return ScoreHead(kind, [labels[number] for number in sorted(labels)], min(top_k, len(labels)), config)


def _kind_of(problem_type: str | None, num_labels: int) -> _Kind:
    if problem_type == "regression" or (problem_type is None and num_labels == 1):
        if num_labels > 1:
            raise ValueError(f"expected one number per patient of a regression, found {num_labels}")
        return "number"
    if problem_type == "multi_label_classification":
        return "probability" if num_labels == 1 else "labels"
    if num_labels <= 2:
        return "probability"
    if problem_type is None:
        raise ValueError(
            f"expected problem_type in the configuration of a model with {num_labels} labels, found none: say whether "
            "they exclude each other ('single_label_classification') or not ('multi_label_classification')"
        )
    return "classes"
