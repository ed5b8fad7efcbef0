"""Attention of one patient before and after fine-tuning, as one HTML file that opens offline.

It shows where a model looks and is no explanation of a prediction; `analysis.explanation` gives reasons that add up.
The page holds codes and days relative to the first visit in view; no date and no identifier is read. It allows itself
nothing from outside: a content security policy with the digests of its one script and one style sheet is part of it,
so text of a code could not run even if it were not escaped.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claim_transformers.analysis.readout.probes import encoder_of, evaluating
from claim_transformers.analysis.views.code_names import chapter_title, code_name, system_title
from claim_transformers.claims.files import write_file
from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimPreTrainedModel, ClaimTokenizer
from claim_transformers.models.claim.patients_claim import encode_history, read_history

_TEMPLATE = Path(__file__).parent / "attention_view.html"
# Weights are written as whole numbers of this sum per row: four digits, and every row still sums to one.
_SCALE = 10_000
# Above this a page is slower to open than to read: the weights of 8 heads and 2 models take about 5 MB.
_MAX_POSITIONS = 400
KIND_TITLES = {"IP": "inpatient", "OP": "outpatient", "RX": "pharmacy", "CAR": "carrier", "SNF": "nursing facility"}
SEX_TITLES = {"F": "female", "M": "male", "U": "sex unknown"}
_POLICY = "content-security-policy-goes-here"


def write_attention_view(
    path: str | Path,
    model_before: ClaimPreTrainedModel,
    model_after: ClaimPreTrainedModel,
    tokenizer: ClaimTokenizer,
    patient: Mapping[str, Any],
    *,
    most_visits: int | None = None,
    title: str = "What the model attends to",
) -> Path:
    """Write a page with the attention of two models on one patient, per layer and head.

    The page shows one record: keep it inside the boundary that the claims are in.

    Args:
        path (`str` or `Path`): File to write.
        model_before (`ClaimPreTrainedModel`): The pretrained model.
        model_after (`ClaimPreTrainedModel`): The same network after fine-tuning. Where it is a
            `ClaimForSequenceClassification` with two labels, its prediction is shown too.
        tokenizer (`ClaimTokenizer`): The tokenizer of both.
        patient (`Mapping`): What the tokenizer takes: `age`, `sex` and `visits`, or a row of the patients table.
        most_visits (`int`, *optional*): Most recent visits that the models are given; those of the tokenizer when
            `None`.
        title (`str`, *optional*): Heading of the page.

    Raises:
        ValueError: If the models differ in layers, heads or pooling, one of them has another vocabulary than the
            tokenizer, the patient has no visit, or the record has more positions than a page can show.
    """
    from jinja2 import Environment

    layers, heads, pooling = _shape_of_both(model_before, model_after, tokenizer)
    limit = tokenizer.max_visits if most_visits is None else most_visits
    history = read_history(patient, tokenizer.form, mark_principal=tokenizer.mark_principal)
    encoded = encode_history(history, tokenizer.vocabulary, tokenizer.options, limit)
    content = _describe(tokenizer, encoded, pooled=pooling != "none")
    inputs = {name: torch.tensor([encoded[name]]) for name in ("input_ids", "visit_ids", "visit_days")}
    before, after = _attention_weights(model_before, inputs), _attention_weights(model_after, inputs)
    content |= {"scale": _SCALE, "before": _whole_rows(before).tolist(), "after": _whole_rows(after).tolist()}

    environment = Environment(autoescape=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        policy=_POLICY,
        view=content,
        rows=_table_rows(content, before, after),
        layers=layers,
        heads=heads,
        risks=[_predicted_risk(model, inputs) for model in (model_before, model_after)],
    )
    path = Path(path)
    write_file(path, page.replace(_POLICY, _content_security_policy(page), 1))
    return path


def _attention_weights(model: ClaimPreTrainedModel, inputs: Mapping[str, Tensor]) -> NDArray[np.float64]:
    """Compute the attention weights of every layer and head on one patient."""
    encoder = encoder_of(model)
    positions = inputs["visit_days" if encoder.config.visit_pooling != "none" else "input_ids"].shape[1]
    if len(inputs["input_ids"]) != 1:
        raise ValueError(f"expected one patient, found {len(inputs['input_ids'])}")
    if positions > _MAX_POSITIONS:
        raise ValueError(
            f"expected at most {_MAX_POSITIONS} positions, found {positions}; show fewer visits with most_visits"
        )
    # Only eager attention returns its weights.
    implementation = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")
    try:
        with evaluating(encoder):
            outputs = encoder(**_on_device(inputs, encoder), output_attentions=True)
    finally:
        encoder.set_attn_implementation(implementation)
    weights = torch.stack([layer[0] for layer in outputs.attentions]).double().cpu().numpy()
    normalised: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return normalised


def _whole_rows(weights: NDArray[np.float64], scale: int = _SCALE) -> NDArray[np.int64]:
    """Round rows that sum to one to whole numbers that sum to `scale`, by largest remainder."""
    exact = weights * scale
    whole = np.floor(exact).astype(np.int64)
    # The rank of each remainder in its row, largest first; as many of them round up as the row lacks.
    rank = np.argsort(np.argsort(whole - exact, axis=-1, kind="stable"), axis=-1, kind="stable")
    rounded: NDArray[np.int64] = whole + (rank < (scale - whole.sum(axis=-1, keepdims=True)))
    return rounded


def _shape_of_both(
    model_before: ClaimPreTrainedModel, model_after: ClaimPreTrainedModel, tokenizer: ClaimTokenizer
) -> tuple[int, int, str]:
    """Layers, heads and pooling of two models, which must be the same."""
    shapes = []
    for model in (model_before, model_after):
        tokenizer.check_vocabulary(model.config)
        config = model.config
        shapes.append((config.num_hidden_layers, config.num_attention_heads, config.visit_pooling))
    if shapes[0] != shapes[1]:
        raise ValueError(f"expected models of one shape (layers, heads, pooling), found {shapes[0]} and {shapes[1]}")
    return shapes[0]


def _describe(tokenizer: ClaimTokenizer, encoded: Mapping[str, list[int]], *, pooled: bool) -> dict[str, Any]:
    """What the page says of each slot, and which slot and code each position is."""
    days = encoded["visit_days"]
    if len(days) < 2:
        raise ValueError("expected a patient with at least one visit, found none")
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    # The day of the patient is the index date, 0 where there is none.
    end = max(days[0], days[-1])
    slots: list[dict[str, Any]] = [{"day": day, "before": end - day, "kind": "", "codes": []} for day in days]
    slots[0] |= {"about": [], "day": end, "before": 0}
    for token_id, token, slot in zip(encoded["input_ids"], tokens, encoded["visit_ids"], strict=True):
        system, _, bare = token.partition("/")
        if slot == 0:
            slots[0]["about"].append({"AGE": f"{bare} years", "SEX": SEX_TITLES.get(bare, bare)}.get(system, token))
        elif system == "TYPE":
            slots[slot]["kind"] = bare
        elif system not in ("DAY", "GAP"):
            slots[slot]["codes"].append(_describe_code(tokenizer, token_id, token))
    return {
        "slots": slots,
        "positions": list(range(len(days))) if pooled else encoded["visit_ids"],
        "tokens": [] if pooled else tokens,
        "kinds": KIND_TITLES,
        "end": "the index date" if end > days[-1] else "the last visit",
    }


def _describe_code(tokenizer: ClaimTokenizer, token_id: int, token: str) -> dict[str, str]:
    """A code with its public name: its own, else that of its category."""
    category_id = int(tokenizer.category_of_token[token_id])
    category = tokenizer.category_names[category_id] if category_id >= 0 else None
    name = code_name(token) or (code_name(category) if category else None)
    return {"code": token, "name": name or "", "group": chapter_title(token) or system_title(token)}


def _table_rows(
    content: Mapping[str, Any], before: NDArray[np.float64], after: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """The visits with the attention that the patient position pays them, over all layers and heads."""
    positions = np.array(content["positions"])
    shares = []
    for weights in (before, after):
        profile = weights.mean(axis=(0, 1))[positions == 0].mean(axis=0)
        shares.append(np.bincount(positions, weights=profile, minlength=len(content["slots"])))
    return [
        {
            "number": number,
            "day": slot["day"],
            "before": slot["before"],
            "kind": KIND_TITLES.get(slot["kind"], slot["kind"]) if number else "patient",
            "text": ", ".join(slot["about"]) if number == 0 else "; ".join(_short(code) for code in slot["codes"]),
            "shares": [f"{100 * share[number]:.1f}" for share in shares],
        }
        for number, slot in enumerate(content["slots"])
    ]


def _short(code: Mapping[str, str]) -> str:
    return f"{code['code']} {code['name']}".strip()


def _predicted_risk(model: ClaimPreTrainedModel, inputs: Mapping[str, Tensor]) -> float | None:
    """The probability of label 1, for a head with two labels."""
    if not isinstance(model, ClaimForSequenceClassification) or model.num_labels != 2:
        return None
    with evaluating(model):
        logits = model(**_on_device(inputs, model)).logits
    return float(logits[0].double().softmax(dim=-1)[1])


def _on_device(inputs: Mapping[str, Tensor], model: ClaimPreTrainedModel) -> dict[str, Tensor]:
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}


def _content_security_policy(page: str) -> str:
    """Allow the page's own script and style, by their digests, and nothing else."""

    def digest(element: str) -> str:
        text = re.search(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        if text is None:
            raise ValueError(f"expected a <{element}> element in the page, found none")
        return base64.b64encode(hashlib.sha256(text.group(1).encode()).digest()).decode()

    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest('script')}'; style-src 'sha256-{digest('style')}'"
    )
