"""Reasons for predictions of a classifier: contributions of codes, visits and of the patient that add up."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch

from claim_transformers.analysis.explanation.average_codes import reason_kinds, token_kinds
from claim_transformers.analysis.explanation.explanation import PATIENT, PERCENTAGE_POINTS, REASONS_SCHEMA, Explanation
from claim_transformers.analysis.explanation.gated_model import GatedModel, is_amount, outcome_kind
from claim_transformers.analysis.explanation.integration import Contributions, integrate, take_gradients
from claim_transformers.analysis.explanation.left_out import leave_codes_out
from claim_transformers.analysis.explanation.token_names import token_name
from claim_transformers.analysis.readout.probes import token_batches
from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimPreTrainedModel, ClaimTokenizer
from claim_transformers.training import Calibration

_Method = Literal["integrated", "gradient"]
_METHODS = ("integrated", "gradient")
_PATIENTS_PER_BATCH = 32
# Problem, number of labels and label whose probability a calibration is of.
_CALIBRATED = (("single_label_classification", 2, 1), ("multi_label_classification", 1, 0))


def explain(
    model: ClaimPreTrainedModel,
    tokenizer: ClaimTokenizer,
    patient: Mapping[str, Any],
    *,
    target: int | str | None = None,
    method: _Method = "integrated",
    steps: int = 16,
    most_steps: int = 256,
    tolerance: float = 0.001,
    calibration: Calibration | None = None,
) -> Explanation:
    """Explain the prediction of one patient, see [`explain_patients`].

    Arguments and errors are those of [`explain_patients`]; one patient is what the tokenizer takes, or a row of the
    patients table.

    Examples:
        >>> from claim_transformers.models.claim import ClaimConfig
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "SEX/M": 4, "TYPE/OP": 5, "HCPCS/99213": 6, "HCPCS/99214": 7})
        >>> config = ClaimConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, visit_pooling="sum")
        >>> model = ClaimForSequenceClassification(config)
        >>> visits = [{"day": 3, "type": "OP", "codes": ["HCPCS/99213"]}]
        >>> found = explain(model, tokenizer, {"sex": "F", "visits": visits})
        >>> found.reasons["code"].to_pylist(), abs(found.unexplained) < 0.5
        (['SEX/F', 'TYPE/OP', 'HCPCS/99213'], True)
    """
    if not isinstance(patient, Mapping):
        raise ValueError(
            f"expected one patient as a mapping, found {type(patient).__name__}; explain_patients takes many"
        )
    (found,) = explain_patients(
        model,
        tokenizer,
        [patient],
        target=target,
        method=method,
        steps=steps,
        most_steps=most_steps,
        tolerance=tolerance,
        calibration=calibration,
    )
    return found


def explain_patients(
    model: ClaimPreTrainedModel,
    tokenizer: ClaimTokenizer,
    patients: "Sequence[Mapping[str, Any]] | pa.Table",
    *,
    target: int | str | None = None,
    method: _Method = "integrated",
    steps: int = 16,
    most_steps: int = 256,
    tolerance: float = 0.001,
    calibration: Calibration | None = None,
) -> list[Explanation]:
    """Explain the predictions of a few patients by integrated gradients (Sundararajan et al., 2017, arXiv:1703.01365).

    Every token is led in a straight line from the mean of its kind to itself (codes are one kind; age, sex and claim
    type have their own), in the embeddings, in what the history skip sums and in the weights of the code skip, and
    the slopes of the prediction in each token are summed along the way. What is explained is the model: a code with a
    large contribution is no cause of the outcome.

    Args:
        model ([`ClaimForSequenceClassification`]): The classifier; left in the mode it came in. One in bf16 is
            explained by a copy in float32.
        tokenizer ([`ClaimTokenizer`]): Its tokenizer.
        patients (`Sequence[Mapping]` or `pa.Table`): What the tokenizer takes, or rows of the patients table.
        target (`int` or `str`, *optional*): Label that is explained, by number or name; label 1 of two, the only one
            of one. Needed for more.
        method (`"integrated"` or `"gradient"`, *optional*, defaults to `"integrated"`): `"gradient"` takes the slopes
            at the patient alone (gradient x (input - average)): a sixteenth of the time, but the contributions do not
            add up.
        steps (`int`, *optional*, defaults to `16`): Midpoints of the line where slopes are taken.
        most_steps (`int`, *optional*, defaults to `256`): Steps to which they are doubled for a patient whose
            contributions do not add up yet.
        tolerance (`float`, *optional*, defaults to `0.001`): How far base and contributions may miss the prediction:
            of the model's own probability, or, of another number, as a share of the larger of base and prediction.
        calibration ([`Calibration`], *optional*): That of the checkpoint, as [`Scorer`] reads it.
            Base and prediction are then calibrated, and all contributions of a patient are stretched alike.

    Returns:
        `list[Explanation]`: One per patient, in their order; a probability is in percentage points.

    Raises:
        ValueError: If the model is no claim classifier or has another vocabulary, the target is none of its labels, a
            number is out of range, a calibration is given for other than the second of two labels, or contributions
            miss the prediction by more than the tolerance after `most_steps`. The message says how many patients, by
            how much, and what to do.
    """
    label = _check(model, tokenizer, target, method, steps, most_steps, tolerance)
    assert isinstance(model, ClaimForSequenceClassification)  # as was checked
    if calibration is not None and (outcome_kind(model), model.num_labels, label) not in _CALIBRATED:
        raise ValueError("expected a calibration with the probability of one outcome alone, found another target")
    tokens = _tokenize(tokenizer, patients)
    kinds = token_kinds(tokenizer)
    found: list[Explanation | None] = [None] * tokens.num_rows
    with _frozen(model) as frozen:
        gated = GatedModel(frozen, kinds, label)
        reasons = _ReasonWriter(tokenizer, reason_kinds(kinds), frozen, label, calibration)
        for rows, inputs in token_batches(tokens, frozen.config, _PATIENTS_PER_BATCH, frozen.device):
            batch = gated.batch(inputs)
            if method == "gradient":
                contributions = take_gradients(gated, batch)
            else:
                contributions = integrate(
                    gated, batch, steps=steps, most_steps=most_steps, tolerance=tolerance, is_share=reasons.is_number
                )
            if calibration is not None:
                contributions = contributions.calibrated(calibration)
            written = [reasons.write(inputs, contributions, place) for place in range(len(rows))]
            for row, one in zip(rows, leave_codes_out(written, gated, batch, tokenizer, calibration), strict=True):
                found[row] = one
    return [one for one in found if one is not None]


class _ReasonWriter:
    """Writes contributions of tokens with their names and days."""

    def __init__(
        self,
        tokenizer: ClaimTokenizer,
        kinds: np.ndarray,
        model: ClaimForSequenceClassification,
        label: int,
        calibration: Calibration | None,
    ) -> None:
        self._tokenizer, self._kinds = tokenizer, kinds
        self._names: dict[int, str] = {}
        self._calibration = "none" if calibration is None else calibration.method
        names: Mapping[Any, str] = model.config.id2label or {}
        self._target = str(names.get(label, label))
        self.is_number = outcome_kind(model) == "regression"
        self._unit = "US dollars" if is_amount(model.config) else "units of the outcome"

    def write(self, inputs: Mapping[str, torch.Tensor], contributions: Contributions, row: int) -> Explanation:
        """The explanation of one patient of a batch."""
        scale, unit = (1.0, self._unit) if self.is_number else (100.0, PERCENTAGE_POINTS)
        ids, slots, days = (inputs[name][row].cpu().numpy() for name in ("input_ids", "visit_ids", "visit_days"))
        is_token = slots >= 0
        ids, slots = ids[is_token], slots[is_token]
        # Slot 0 has the index date, 0 without one; the last visit stands for it then.
        before = max(int(days[0]), int(days.max())) - days[slots]
        values = {
            "kind": np.where(slots == 0, PATIENT, self._kinds[ids]),
            "code": self._tokenizer.convert_ids_to_tokens(ids.tolist()),
            "name": [self._name(token_id) for token_id in ids.tolist()],
            "visit": slots,
            "days_before_index": before,
            "contribution": scale * contributions.tokens[row].cpu().numpy()[is_token],
        }
        masks = {"days_before_index": slots == 0}
        columns = [pa.array(values[field.name], field.type, mask=masks.get(field.name)) for field in REASONS_SCHEMA]
        return Explanation(
            self._target,
            unit,
            scale * float(contributions.base[row]),
            scale * float(contributions.prediction[row]),
            int(contributions.steps[row]),
            self._calibration,
            pa.table(columns, REASONS_SCHEMA),
        )

    def _name(self, token_id: int) -> str:
        if token_id not in self._names:
            self._names[token_id] = token_name(self._tokenizer, token_id)
        return self._names[token_id]


@contextmanager
def _frozen(model: ClaimForSequenceClassification) -> Iterator[ClaimForSequenceClassification]:
    """Give the model in evaluation mode and at least float32, and put back what was changed."""
    if model.dtype not in (torch.float32, torch.float64):
        model = copy.deepcopy(model).float()
    was_training = model.training
    model.eval()
    try:
        yield model
    finally:
        model.train(was_training)


def _tokenize(tokenizer: ClaimTokenizer, patients: "Sequence[Mapping[str, Any]] | pa.Table") -> pa.Table:
    """Patients as tokens, in their order."""
    if isinstance(patients, pa.Table):
        return tokenizer.encode_table(patients, keep_columns=[])
    names = ("input_ids", "visit_ids", "visit_days")
    encoded = [tokenizer(patient) for patient in patients]
    return pa.table({name: pa.array([one[name] for one in encoded], pa.list_(pa.int64())) for name in names})


def _check(
    model: Any,
    tokenizer: ClaimTokenizer,
    target: int | str | None,
    method: str,
    steps: int,
    most_steps: int,
    tolerance: float,
) -> int:
    """Refuse what cannot be explained, and give the number of the target."""
    if not isinstance(model, ClaimForSequenceClassification):
        raise ValueError(
            f"expected a ClaimForSequenceClassification to explain, found {type(model).__name__}; of a model with "
            "adapters give what merge_and_unload() returns"
        )
    tokenizer.check_vocabulary(model.config)
    if method not in _METHODS:
        raise ValueError(f"expected method to be one of {', '.join(_METHODS)}, found {method!r}")
    if not 1 <= steps <= most_steps:
        raise ValueError(f"expected steps in 1..most_steps, found {steps} and {most_steps}")
    if not tolerance > 0:
        raise ValueError(f"expected a tolerance above 0, found {tolerance}")
    labels = {str(name): int(number) for number, name in (model.config.id2label or {}).items()}
    if target is None and model.num_labels <= 2:
        return model.num_labels - 1
    number = labels.get(target) if isinstance(target, str) else target
    if number is None or not 0 <= number < model.num_labels:
        known = ", ".join(list(labels)[:10]) + (", ..." if len(labels) > 10 else "")
        raise ValueError(f"expected target to be one of {model.num_labels} labels ({known}), found {target!r}")
    return number
