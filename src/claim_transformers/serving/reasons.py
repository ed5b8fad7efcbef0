"""Reasons of a single prediction, fast enough for a card: the slopes of the prediction at the patient, by group.

This is the fast form of `analysis.explanation`: it says what weighs most and in which direction, and its parts do not
add up to the risk. The page takes the form that adds up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from claim_transformers.analysis.explanation.average_codes import reason_kinds, token_kinds
from claim_transformers.analysis.explanation.explanation import TIME
from claim_transformers.analysis.explanation.gated_model import GatedModel
from claim_transformers.analysis.explanation.token_names import token_name
from claim_transformers.analysis.readout.probes import token_batches
from claim_transformers.analysis.views.attention_view import KIND_TITLES
from claim_transformers.analysis.views.code_names import system_title
from claim_transformers.codes.sections import hcpcs_section
from claim_transformers.codes.tables import category_name
from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimTokenizer

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

_PRINCIPAL = "PRINCIPAL"
_OF_REASONS = ("code", "visit", "days_before_index", "contribution")
_ALONE = {"AGE": "age", "SEX": "sex"}
_UNKNOWN = "UNK"
# In words of a clinic, which knows no carriers.
VISIT_KINDS = {**KIND_TITLES, "CAR": "physician", "DME": "equipment", "HHA": "home health", "HOSP": "hospice"}
_SERVICES = "HCPCSGROUP/"
_SECTIONS = {
    "EVALUATION": "visits and consultations",
    "ANESTHESIA": "anesthesia",
    "SURGERY": "surgery",
    "RADIOLOGY": "imaging",
    "LABORATORY": "laboratory tests",
    "MEDICINE": "medical services",
}


@dataclass(frozen=True)
class Reason:
    """One of the things that weigh most in a prediction.

    Args:
        group (`str`): What it is filed under: a category such as `CCSR/CIR019`, a code without one, `AGE`, `SEX`, or a
            type of visit such as `TYPE/IP`.
        name (`str`): What it is called, in public words.
        points (`float`): Percentage points of the model's own probability, by its slope at the patient: a sign and a
            rank, no share of the risk.
        num_visits (`int`): Visits that hold it; 0 for what is of the patient.
        days_before (`int`, *optional*): Days from the last of them to the index date.

    Examples:
        >>> Reason("CCSR/CIR019", "Heart failure", 2.5, 3, 12).raises
        True
    """

    group: str
    name: str
    points: float
    num_visits: int
    days_before: int | None

    @property
    def raises(self) -> bool:
        """`bool`: Whether the risk is higher for it."""
        return self.points > 0


class ReasonFinder:
    """A classifier, prepared once, that gives its probability and what weighs most in it."""

    def __init__(self, model: ClaimForSequenceClassification, tokenizer: ClaimTokenizer) -> None:
        kinds = token_kinds(tokenizer)
        self._model, self._tokenizer = model, tokenizer
        self._gated = GatedModel(model, kinds, model.num_labels - 1)
        self._kinds = reason_kinds(kinds)
        self._groups: dict[int, tuple[str, str] | None] = {}

    def name_all(self) -> None:
        """Name every token, so that no patient waits for lists that are loaded once."""
        for token_id in range(len(self._tokenizer)):
            self._group(token_id)

    def find(self, tokens: "pa.Table") -> tuple[float, list[Reason]]:
        """The probability of the model, and its reasons, the heaviest first."""
        ((_, inputs),) = token_batches(tokens, self._model.config, 1, self._model.device)
        patient = self._gated.batch(inputs)
        with torch.no_grad():
            prediction = self._gated.predict(patient)
        slopes = self._gated.slopes(patient, torch.ones(1, device=prediction.device))
        return float(prediction[0]), self._grouped(inputs, 100.0 * slopes[0].double().cpu().numpy())

    def group(self, reasons: "pa.Table") -> list[Reason]:
        """The contributions of an explanation by group, which add up to all that has a group."""
        found: dict[str, Reason] = {}
        visits: dict[str, set[int]] = {}
        ids = self._tokenizer.get_vocab()
        rows = zip(*(reasons[name].to_pylist() for name in _OF_REASONS), strict=True)
        for code, visit, days, points in rows:
            named = self._group(ids[code])
            if named is not None:
                group, name = named
                before = found.get(group, Reason(group, name, 0.0, 0, None))
                visits.setdefault(group, set()).update({visit} - {0})
                nearest = min((day for day in (before.days_before, days) if day is not None), default=None)
                found[group] = Reason(group, name, before.points + points, len(visits[group]), nearest)
        return sorted(found.values(), key=lambda reason: (-abs(reason.points), reason.group))

    def _grouped(self, inputs: "Mapping[str, Tensor]", points: np.ndarray) -> list[Reason]:
        ids, slots, days = (inputs[name][0].cpu().numpy() for name in ("input_ids", "visit_ids", "visit_days"))
        index_day = max(int(days[0]), int(days.max()))
        sums: dict[str, float] = {}
        visits: dict[str, set[int]] = {}
        names: dict[str, str] = {}
        for token_id, slot, value in zip(ids.tolist(), slots.tolist(), points.tolist(), strict=True):
            named = self._group(token_id) if slot >= 0 else None
            if named is not None:
                group, name = named
                names.setdefault(group, name)
                sums[group] = sums.get(group, 0.0) + value
                visits.setdefault(group, set()).update({slot} - {0})
        reasons = [
            Reason(
                group,
                names[group],
                sums[group],
                len(visits[group]),
                index_day - int(days[max(visits[group])]) if visits[group] else None,
            )
            for group in sums
        ]
        return sorted(reasons, key=lambda reason: (-abs(reason.points), reason.group))

    def _group(self, token_id: int) -> tuple[str, str] | None:
        """What a token is filed under and called; none for time and for what stands for unknown codes."""
        if token_id not in self._groups:
            self._groups[token_id] = self._name(token_id)
        return self._groups[token_id]

    def _name(self, token_id: int) -> tuple[str, str] | None:
        token = self._tokenizer.convert_ids_to_tokens([token_id])[0]
        system, slash, bare = token.partition("/")
        if not slash or system == _UNKNOWN or self._kinds[token_id] == TIME:
            return None
        if system == "TYPE":
            return token, f"visits: {VISIT_KINDS.get(bare, bare)}"
        if system in _ALONE:
            return system, f"{_ALONE[system]}: {token_name(self._tokenizer, token_id)}"
        category_id = int(self._tokenizer.category_of_token[token_id])
        category = self._tokenizer.category_names[category_id] if category_id >= 0 else None
        group = category or (bare if system == _PRINCIPAL and "/" in bare else token)
        if group.startswith(_SERVICES):
            return group, _name_services(group.removeprefix(_SERVICES))
        # The lists of single codes take seconds to load, so they are asked last.
        title = category_name(group) or token_name(self._tokenizer, token_id)
        # A bare number says nothing without its system.
        return group, f"{system_title(token)} {bare}" if title == bare else title


def _name_services(begin: str) -> str:
    """Name the services whose codes begin alike, by their section."""
    section = (hcpcs_section(begin.ljust(5, "9")) or "").partition("/")[2]
    return f"{_SECTIONS.get(section, 'services')} (HCPCS codes that begin with {begin})"
