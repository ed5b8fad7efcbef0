"""Reasons of a fine-tuned classifier beside the simulator's causes, and beside what leaving visits out changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from claim_transformers.analysis import Explanation, explain_patients
from claim_transformers.analysis.readout.probes import evaluating, token_batches
from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training import Calibration
from reproduction.claim_pt.left_out import Bools, Floats, risks, tokens_of, without
from reproduction.claim_pt.removed_causes import CAUSES
from reproduction.claim_pt.visible_causes import visible_causes

# How visits are ordered, the most important first.
RANKINGS = ("integrated", "gradient", "left_out", "attention", "random")
SHARES = (0.1, 0.2, 0.5)
_RANDOM_ORDERS = 3
_ATTENTION_BATCH = 16


@dataclass(frozen=True)
class Classifier:
    """A fine-tuned classifier with its tokenizer and its calibration."""

    model: ClaimForSequenceClassification
    tokenizer: ClaimTokenizer
    calibration: Calibration


def measure_reasons(classifier: Classifier, examples: pa.Table, changes: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Explain patients, and put beside each reason what is known of it.

    Args:
        classifier ([`Classifier`]): The classifier.
        examples (`pa.Table`): Examples of the cohort with the number of the `patient`.
        changes (`pa.Table`): Of the same rows, from `true_changes`.

    Returns:
        `tuple[pa.Table, pa.Table]`: The reasons, one row per visit and per code of a patient, with `contribution` by
        integrated gradients, by `gradient`, the change when it is `left_out`, its `cause` and what that brought in
        truth (`change`), all in percentage points, and for visits their `attention`. Then one row per patient, ranking
        and share of visits: `comprehensiveness`, by how much the prediction moves back when these visits are left out,
        and `sufficiency`, by how much when only they stay.
    """
    model, tokenizer = classifier.model, classifier.tokenizer
    encoded = tokenizer.encode_table(examples, keep_columns=[])
    patients, attention = tokens_of(encoded), _attention(model, encoded)
    calibration = classifier.calibration
    found = explain_patients(model, tokenizer, examples, calibration=calibration)
    fast = explain_patients(model, tokenizer, examples, method="gradient", calibration=calibration)
    predict = _Predictor(classifier, patients)
    reasons, erased = [], []
    columns = ["visit_day", "visit_type", "codes", "index_day", "patient"]
    for row, example in enumerate(examples.select(columns).to_pylist()):
        truth = changes.slice(row, 1).to_pylist()[0]
        visits = _visit_reasons(found[row], fast[row], example, predict.without_visits(row), attention[row])
        codes = _code_reasons(found[row], fast[row], visits, predict.without_codes(row, found[row], tokenizer))
        same = {
            "patient": example["patient"],
            "base": found[row].base,
            "prediction": found[row].prediction,
            "risk": 100 * truth["risk"],
        }
        known = {cause: 100 * truth[cause] for cause in CAUSES}
        reasons += [one | same | {"change": known.get(one["cause"], 0.0)} for one in (*visits, *codes)]
        if visits:
            direction = 1.0 if found[row].prediction >= found[row].base else -1.0
            erased += [one | same for one in _erase(predict, row, visits, direction)]
    return pa.Table.from_pylist(reasons), pa.Table.from_pylist(erased)


@dataclass(frozen=True)
class _Predictor:
    """What is predicted when visits or codes of a patient are left out."""

    classifier: Classifier
    patients: list[dict[str, NDArray[np.int64]]]

    def kept(self, row: int, slots: list[Bools], tokens: list[Bools | None] | None = None) -> Floats:
        """Predictions with some slots, in the order of the slots that stay."""
        left = zip([row] * len(slots), slots, tokens or [None] * len(slots), strict=True)
        return risks(self.classifier.model, without(self.patients, left), self.classifier.calibration)

    def without_visits(self, row: int) -> Floats:
        """Without each of the visits."""
        count = len(self.patients[row]["visit_days"])
        return self.kept(row, list(~np.eye(count, dtype=bool)[1:]))

    def without_codes(self, row: int, found: Explanation, tokenizer: ClaimTokenizer) -> Floats:
        """Without each of the codes, in the order of the explanation."""
        ids, slots = self.patients[row]["input_ids"], self.patients[row]["visit_ids"]
        codes: Any = tokenizer.convert_tokens_to_ids(found.codes["code"].to_pylist())
        everything = np.ones(len(self.patients[row]["visit_days"]), bool)
        return self.kept(row, [everything] * len(codes), [(ids != code) | (slots == 0) for code in codes])


def _visit_reasons(
    found: Explanation, fast: Explanation, example: Mapping[str, Any], left_out: Floats, attention: Floats
) -> list[dict[str, Any]]:
    days = [example["index_day"] - day for day in example["visit_day"]]
    kinds = [f"TYPE/{kind}" for kind in example["visit_type"]]
    causes = dict(zip(zip(days, kinds, strict=True), visible_causes(example), strict=True))
    rows = zip(found.visits.to_pylist(), fast.visits["contribution"].to_pylist(), left_out, strict=True)
    return [
        {
            "unit": "visit",
            "number": visit["visit"],
            "cause": causes[visit["days_before_index"], visit["code"]],
            "contribution": visit["contribution"],
            "gradient": gradient,
            "left_out": found.prediction - without_it,
            "attention": float(attention[visit["visit"]]),
        }
        for visit, gradient, without_it in rows
    ]


def _code_reasons(
    found: Explanation, fast: Explanation, visits: list[dict[str, Any]], left_out: Floats
) -> list[dict[str, Any]]:
    """Codes over all visits; the cause of a code is that of the visits from which most of its contribution comes."""
    cause_of = {visit["number"]: visit["cause"] for visit in visits}
    gradients = dict(zip(fast.codes["code"].to_pylist(), fast.codes["contribution"].to_pylist(), strict=True))
    shares: dict[str, dict[str, float]] = {}
    for one in found.reasons.to_pylist():
        if one["kind"] == "code":
            of_code = shares.setdefault(one["code"], {})
            cause = cause_of[one["visit"]]
            of_code[cause] = of_code.get(cause, 0.0) + abs(one["contribution"])
    return [
        {
            "unit": "code",
            "number": number,
            "cause": max(shares[code["code"]].items(), key=lambda item: item[1])[0],
            "contribution": code["contribution"],
            "gradient": gradients[code["code"]],
            "left_out": found.prediction - without_it,
            "attention": None,
        }
        for number, (code, without_it) in enumerate(zip(found.codes.to_pylist(), left_out, strict=True))
    ]


def _erase(predict: _Predictor, row: int, visits: list[dict[str, Any]], direction: float) -> list[dict[str, Any]]:
    """Leave out, and leave alone, the first visits of each ranking; `direction` is where the prediction lies."""
    generator = np.random.Generator(np.random.Philox(row))
    columns = {"integrated": "contribution", "gradient": "gradient", "left_out": "left_out"}
    orders = [
        (name, np.argsort([-direction * visit[column] for visit in visits], kind="stable"))
        for name, column in columns.items()
    ]
    orders.append(("attention", np.argsort([-visit["attention"] for visit in visits], kind="stable")))
    orders += [("random", generator.permutation(len(visits))) for _ in range(_RANDOM_ORDERS)]
    asked, slots = [], []
    for name, order in orders:
        for share in SHARES:
            first = np.zeros(len(visits) + 1, bool)
            first[1 + order[: max(1, round(share * len(visits)))]] = True
            asked.append((name, share))
            slots += [np.concatenate([[True], one[1:]]) for one in (~first, first)]
    moved = direction * (predict.kept(row, [np.ones(len(visits) + 1, bool)])[0] - predict.kept(row, slots))
    return [
        {"ranking": name, "share": share, "comprehensiveness": left, "sufficiency": alone}
        for (name, share), left, alone in zip(asked, moved[::2].tolist(), moved[1::2].tolist(), strict=True)
    ]


def _attention(model: ClaimForSequenceClassification, encoded: pa.Table) -> list[Floats]:
    """Attention that the patient position pays each slot, over all layers and heads, as in the attention view."""
    found: list[Floats] = [np.empty(0)] * encoded.num_rows
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with evaluating(model):
            for rows, inputs in token_batches(encoded, model.config, _ATTENTION_BATCH):
                layers = model.claim(**inputs, output_attentions=True).attentions
                weights = torch.stack([layer[:, :, 0] for layer in layers]).double().mean(dim=(0, 2)).numpy()
                for row, of_row in zip(rows, weights, strict=True):
                    found[row] = of_row
    finally:
        model.set_attn_implementation(implementation)
    return found
