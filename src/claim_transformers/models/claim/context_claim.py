"""Context: what a position sees and what it predicts, by one integer `cut` per patient, and time as buckets of days.

Slot 0 is the patient, slot i the i-th visit. A position in slot `q` sees a position in slot `k` if `k <= cut` or `k <=
q`; the patient predicts visit `cut + 1`, and a visit slot `q >= max(cut, 1)` predicts visit `q + 1`. A predicting slot
therefore never sees what it predicts. `cut = 0` is causal, `cut = n - 1` is the setting of Claim-PT (everything but
the last visit predicts the last visit), and `cut = n` sees everything and is used without pretraining targets.

Letters: `B` patients, `V` slots, `T` code tokens, `L` positions (slots when visits are pooled, tokens otherwise).
"""

from typing import Any

import torch
from torch import Tensor

NUM_TIME_MAGNITUDES = 14  # 0 days, 1, 2-3, 4-7, ... and everything from 4,096 days (11 years) on
NUM_TIME_BUCKETS = 2 * NUM_TIME_MAGNITUDES
IGNORE_INDEX = -100


def count_visits(visit_days_BV: Tensor) -> Tensor:
    """Count the visits of each patient."""
    return ((visit_days_BV >= 0).sum(dim=1) - 1).clamp(min=0)


def checked_inputs(
    input_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    visit_ids: Tensor | None,
    visit_days: Tensor | None,
    attention_mask: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Slots (padding -1), days and validity of tokens from inputs, refused where they do not fit together."""
    if input_ids is not None and inputs_embeds is None:
        shape = tuple(input_ids.shape)
    elif inputs_embeds is not None and input_ids is None:
        shape = tuple(inputs_embeds.shape[:2])
    else:
        raise ValueError("expected either input_ids or inputs_embeds, found both or neither")
    if visit_ids is None or visit_days is None:
        raise ValueError("expected visit_ids and visit_days beside the codes; ClaimTokenizer returns all of them")
    for name, given in (("visit_ids", visit_ids), ("attention_mask", attention_mask)):
        if given is not None and given.shape != shape:
            raise ValueError(f"expected {name} of shape {shape}, found {tuple(given.shape)}")
    if visit_days.dim() != 2 or visit_days.shape[0] != shape[0] or visit_days.shape[1] == 0:
        raise ValueError(f"expected visit_days of shape ({shape[0]}, slots), found {tuple(visit_days.shape)}")
    valid_BT = visit_ids >= 0
    if attention_mask is not None:
        valid_BT = valid_BT & (attention_mask != 0)
    return torch.where(valid_BT, visit_ids.long(), -1), visit_days.long(), valid_BT


def dummy_patient(config: Any) -> dict[str, Tensor]:
    """Inputs of one patient with two visits, which every model of the family takes."""
    visit_ids = torch.tensor([[0, 1, 1, 2, 2]])
    return {
        "input_ids": torch.tensor([[3, 4, 5, 4, 6]]).remainder(config.vocab_size),
        "visit_ids": visit_ids,
        "visit_days": torch.tensor([[0, 0, 30]]),
        "attention_mask": torch.ones_like(visit_ids),
    }


def places_of(is_chosen: Tensor) -> Tensor:
    """Find what is chosen in a flattened mask; the one step that waits for an accelerator to count it."""
    return is_chosen.flatten().nonzero().squeeze(1)


def check_below(index: Tensor, size: int, what: str, where: str) -> None:
    """Refuse an index outside of `0..size - 1`, on CUDA by stopping the device, which nobody has to wait for."""
    if index.numel() == 0:
        return
    if index.device.type == "cuda":
        torch._assert_async(((index >= 0) & (index < size)).all(), f"expected {what} in 0..{size - 1}; {where}")
        return
    low, high = (int(bound) for bound in torch.aminmax(index))
    if low < 0 or high >= size:
        raise ValueError(f"expected {what} in 0..{size - 1}, found {low if low < 0 else high}; {where}")


def visible_positions(slots_BL: Tensor, valid_BL: Tensor, cut_B: Tensor) -> Tensor:
    """Tell which position sees which."""
    query_BL1, key_B1L = slots_BL[:, :, None], slots_BL[:, None, :]
    visible_BLL = valid_BL[:, None, :] & ((key_B1L <= cut_B[:, None, None]) | (key_B1L <= query_BL1))
    self_LL = torch.eye(slots_BL.shape[1], dtype=torch.bool, device=slots_BL.device)
    return visible_BLL | self_LL


def time_magnitudes(gap_days: Tensor) -> Tensor:
    """Put numbers of days into logarithmic buckets."""
    powers = 2 ** torch.arange(NUM_TIME_MAGNITUDES - 1, device=gap_days.device)
    return torch.bucketize(gap_days.abs(), powers, right=True)


def time_buckets(slots_BL: Tensor, days_BL: Tensor) -> Tensor:
    """Put the signed days between two positions into logarithmic buckets."""
    delta_BLL = days_BL[:, None, :] - days_BL[:, :, None]
    bucket_BLL = time_magnitudes(delta_BLL) + NUM_TIME_MAGNITUDES * (delta_BLL > 0)
    return torch.where(slots_BL[:, :, None] == slots_BL[:, None, :], NUM_TIME_MAGNITUDES, bucket_BLL)


def position_days(slots_BL: Tensor, visit_days_BV: Tensor, cut_B: Tensor) -> Tensor:
    """Give each position its day, and the patient the index date or, without one, the last visit that it sees."""
    days_BV = visit_days_BV.long().clamp(min=0)
    patient_day_B1 = torch.maximum(days_BV[:, :1], days_BV.gather(1, cut_B[:, None]))
    return torch.where(slots_BL == 0, patient_day_B1, days_BV.gather(1, slots_BL))


def predicting_slots(visit_days_BV: Tensor, cut_B: Tensor, patient_only: bool) -> Tensor:
    """Tell which slots predict a visit that exists; only the patient's where it alone predicts, as in Claim-PT."""
    slot_V = torch.arange(visit_days_BV.shape[1], device=visit_days_BV.device)
    num_visits_B1 = count_visits(visit_days_BV)[:, None]
    cut_B1 = cut_B[:, None]
    patient_BV = (slot_V == 0) & (cut_B1 < num_visits_B1)
    if patient_only:
        return patient_BV
    return patient_BV | ((slot_V >= cut_B1.clamp(min=1)) & (slot_V < num_visits_B1))


def next_visit_pairs(predicts_BV: Tensor, cut_B: Tensor, slots_BT: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Pair every prediction with the labels of the visit it predicts.

    Prediction `i` is the i-th `True` of `predicts_BV` in row order; what comes back has one entry per pair.
    """
    row_BV = predicts_BV.flatten().cumsum(0).view_as(predicts_BV) - 1
    patient_B = torch.where(predicts_BV[:, 0], cut_B + 1, -1)
    is_label_BT = (labels_BT != IGNORE_INDEX) & (slots_BT >= 1)
    before_BT = (slots_BT - 1).clamp(min=0)
    by_patient_BT = is_label_BT & (slots_BT == patient_B[:, None])
    by_visit_BT = is_label_BT & (before_BT >= 1) & predicts_BV.gather(1, before_BT)
    place_P = places_of(torch.stack([by_patient_BT, by_visit_BT]))
    rows = torch.stack([row_BV[:, :1].expand_as(slots_BT), row_BV.gather(1, before_BT)])
    return rows.flatten().index_select(0, place_P), labels_BT.flatten().index_select(0, place_P % labels_BT.numel())


def horizon_slots(known_BV: Tensor, cut_B: Tensor, patient_only: bool) -> Tensor:
    """Tell which slots predict what follows within the horizon.

    `known_BV` says whether the record covers the whole horizon from the day of a slot on. With a cut of 0 the patient
    sees nothing and predicts nothing.
    """
    slot_V = torch.arange(known_BV.shape[1], device=known_BV.device)
    cut_B1 = cut_B[:, None]
    predicts_BV = (slot_V == 0) & (cut_B1 > 0)
    if not patient_only:
        predicts_BV = predicts_BV | (slot_V >= cut_B1.clamp(min=1))
    return predicts_BV & known_BV


def horizon_pairs(
    predicts_BV: Tensor, cut_B: Tensor, visit_days_BV: Tensor, slots_BT: Tensor, labels_BT: Tensor, horizon_days: int
) -> tuple[Tensor, Tensor]:
    """Pair every prediction with the labels of all visits within the horizon that it does not see.

    Predictions are numbered as in [`next_visit_pairs`]; slot 0 of the days is as in [`position_days`].
    """
    patient_N, slot_N = predicts_BV.nonzero(as_tuple=True)
    slots_BV = torch.arange(visit_days_BV.shape[1], device=visit_days_BV.device).expand_as(visit_days_BV)
    days_BV = position_days(slots_BV, visit_days_BV, cut_B)
    seen_N, last_day_N = torch.maximum(slot_N, cut_B[patient_N]), days_BV[patient_N, slot_N] + horizon_days
    label_slots_BT = torch.where(labels_BT != IGNORE_INDEX, slots_BT, -1)
    label_days_BT = visit_days_BV.gather(1, slots_BT.clamp(min=0))
    follows_NT = (label_slots_BT[patient_N] > seen_N[:, None]) & (label_days_BT[patient_N] <= last_day_N[:, None])
    rows_P, tokens_P = follows_NT.nonzero(as_tuple=True)
    return rows_P, labels_BT[patient_N[rows_P], tokens_P]


def own_category_pairs(slots_BT: Tensor, labels_BT: Tensor, num_slots: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pair every visit that has category labels with them.

    A visit without any label is left out: when codes are masked, only masked codes keep a label, and a visit with no
    masked code would otherwise teach that its categories are absent.

    The slots that predict come first, then predictions and labels as in [`next_visit_pairs`].
    """
    is_label_BT = (labels_BT != IGNORE_INDEX) & (slots_BT >= 1)
    place_P = places_of(is_label_BT)
    flat_slot_P = place_P // slots_BT.shape[1] * num_slots + slots_BT.flatten().index_select(0, place_P)
    predicts = torch.zeros(slots_BT.shape[0] * num_slots, dtype=torch.bool, device=slots_BT.device)
    predicts[flat_slot_P] = True
    rows_P = (predicts.cumsum(0) - 1).index_select(0, flat_slot_P)
    return predicts.view(slots_BT.shape[0], num_slots), rows_P, labels_BT.flatten().index_select(0, place_P)


def fading_shares(slots_BT: Tensor, days_BV: Tensor, cut_B: Tensor, half_life_days: int | None) -> Tensor:
    """How much each token counts, in float32: 1, less the longer ago it was, 0 for padding and what is not in view."""
    shares_BT = ((slots_BT >= 0) & (slots_BT <= cut_B[:, None])).float()
    if half_life_days is None:
        return shares_BT
    slot_BT = slots_BT.clamp(min=0)
    patient_day_B1 = position_days(torch.zeros_like(slot_BT[:, :1]), days_BV, cut_B)
    # The patient's own codes, such as its age, hold on the day it stands on.
    ago_BT = (patient_day_B1 - days_BV.gather(1, slot_BT)).clamp(min=0) * (slot_BT > 0)
    return shares_BT * torch.exp2(-ago_BT / half_life_days)


def count_codes(input_ids: Tensor, shares_BT: Tensor, vocab_size: int) -> Tensor:
    """How often each code of the vocabulary stands in the record, `(batch, tokens)` to `(batch, vocabulary)`."""
    # `len` would fix the number of patients of an exported model.
    return shares_BT.new_zeros(shares_BT.shape[0], vocab_size).scatter_add(1, input_ids.long(), shares_BT)
