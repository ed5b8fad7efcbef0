"""The encoder with time-aware attention against a transcription in numpy, one pair of positions at a time."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from claim_batches import collate, random_patients, randomise

from claim_transformers.models.claim import ClaimConfig, ClaimModel
from claim_transformers.models.claim.context_claim import count_visits, position_days, time_buckets, visible_positions
from claim_transformers.models.claim.encoder_claim import Positions

Floats = npt.NDArray[np.float64]
HEADS, HEAD_SIZE = 2, 8
SAME_VISIT = 14
FARTHEST = 13  # 4,096 days and more


def model_of(**changes: Any) -> ClaimModel:
    sizes = {"vocab_size": 60, "hidden_size": HEADS * HEAD_SIZE, "intermediate_size": 32, "num_hidden_layers": 2}
    options = {"num_attention_heads": HEADS, "time_attention": "bucketed", "attn_implementation": "eager", **changes}
    model = randomise(ClaimModel(ClaimConfig(**sizes, **options)), seed=3)
    assert isinstance(model, ClaimModel)
    assert model.time_bias is not None
    assert model.time_bias.weight.all()
    return model.eval()


def three_patients() -> dict[str, torch.Tensor]:
    """Padded rows with visits on one day, years apart, and 30 days before an index date."""
    patients = random_patients(seed=1, visits_per_patient=(5, 2, 3))
    patients[0]["days"] = [0, 0, 0, 9, 700, 6000]
    patients[1]["days"] = [73, 0, 43]
    patients[2]["days"] = [0, 0, 1, 3]
    return collate(patients, extra_tokens=2, extra_slots=1)


def bucket_of(slot: int, day: int, other_slot: int, other_day: int) -> int:
    """0 to 13 for a visit at or before, by the power of two of the days between; 14 and up for one after."""
    if slot == other_slot:
        return SAME_VISIT
    days = abs(other_day - day)
    magnitude = 0 if days == 0 else min(int(math.log2(days)) + 1, FARTHEST)
    return magnitude + 14 * (other_day > day)


def weights_of(model: ClaimModel) -> dict[str, Floats]:
    return {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}


def linear(given: Floats, weights: dict[str, Floats], name: str) -> Floats:
    return given @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(given: Floats, weights: dict[str, Floats], name: str, epsilon: float) -> Floats:
    centred = given - given.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(given: Floats) -> Floats:
    return given * 0.5 * (1 + np.vectorize(math.erf)(given / math.sqrt(2)))


def attend(
    states: Floats, slots: list[int], days: list[int], cut: int, weights: dict[str, Floats], layer: int
) -> tuple[Floats, Floats]:
    """softmax(q k / sqrt(D) + b[bucket of the days between, head]) over what a position sees, and its output."""
    name = f"layers.{layer}.attention"
    query, key, value = (linear(states, weights, f"{name}.{kind}_proj") for kind in "qkv")
    length = len(slots)
    probabilities = np.zeros((HEADS, length, length))
    attended = np.zeros_like(states)
    for head in range(HEADS):
        own = slice(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)
        for q in range(length):
            for k in range(length):
                if slots[k] <= cut or slots[k] <= slots[q]:
                    bias = weights["time_bias.weight"][bucket_of(slots[q], days[q], slots[k], days[k]), head]
                    probabilities[head, q, k] = np.exp(query[q, own] @ key[k, own] / math.sqrt(HEAD_SIZE) + bias)
            probabilities[head, q] /= probabilities[head, q].sum()
        attended[:, own] = probabilities[head] @ value[:, own]
    return linear(attended, weights, f"{name}.o_proj"), probabilities


def encode(
    model: ClaimModel, states: Floats, slots: list[int], visit_days: list[int], cut: int
) -> tuple[list[Floats], list[Floats], Floats]:
    """Hidden states after each layer, attention of each layer, and the last states of one patient."""
    config, weights = model.config, weights_of(model)
    # The patient stands on the index date, or on the last visit that it sees.
    today = max(visit_days[0], visit_days[cut])
    days = [today if slot == 0 else visit_days[slot] for slot in slots]
    hidden, attentions = [], []
    for layer in range(config.num_hidden_layers):
        name, epsilon = f"layers.{layer}", config.layer_norm_eps
        first = norm(states, weights, f"{name}.attention_norm", epsilon) if config.norm_first else states
        attended, probabilities = attend(first, slots, days, cut, weights, layer)
        states = states + attended
        if not config.norm_first:
            states = norm(states, weights, f"{name}.attention_norm", epsilon)
        second = norm(states, weights, f"{name}.feed_forward_norm", epsilon) if config.norm_first else states
        states = states + linear(gelu(linear(second, weights, f"{name}.up_proj")), weights, f"{name}.down_proj")
        if not config.norm_first:
            states = norm(states, weights, f"{name}.feed_forward_norm", epsilon)
        hidden.append(states)
        attentions.append(probabilities)
    last = norm(states, weights, "final_norm", config.layer_norm_eps) if config.norm_first else states
    return hidden, attentions, last


def embed(model: ClaimModel, codes: list[int], visit_ids: list[int]) -> tuple[Floats, list[int]]:
    """A vector per code, or per slot the sum or the maximum of its codes."""
    vectors = weights_of(model)["embeddings.code_embeddings.weight"][codes]
    if model.config.visit_pooling == "none":
        return vectors, visit_ids
    slots = sorted(set(visit_ids))
    pool = np.sum if model.config.visit_pooling == "sum" else np.max
    return np.stack([pool(vectors[np.array(visit_ids) == slot], axis=0) for slot in slots]), slots


@pytest.mark.parametrize("cut", [[2, 0, 3], None])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("visit_pooling", ["none", "sum", "max"])
def test_attention_and_hidden_states_equal_a_numpy_transcription(visit_pooling, norm_first, cut):
    model = model_of(visit_pooling=visit_pooling, norm_first=norm_first)
    batch = three_patients()
    given = {} if cut is None else {"cut": torch.tensor(cut)}
    with torch.no_grad():
        outputs = model(**batch, **given, output_attentions=True, output_hidden_states=True)
    assert len(outputs.attentions) == 2
    for row, num_visits in enumerate((5, 2, 3)):
        real = batch["attention_mask"][row].bool()
        codes, visit_ids = batch["input_ids"][row][real].tolist(), batch["visit_ids"][row][real].tolist()
        states, slots = embed(model, codes, visit_ids)
        here = slice(0, len(slots))
        seen = num_visits if cut is None else cut[row]
        hidden, attentions, last = encode(model, states, slots, batch["visit_days"][row].tolist(), seen)
        np.testing.assert_allclose(outputs.last_hidden_state[row, here].numpy(), last, atol=1e-5)
        np.testing.assert_allclose(outputs.hidden_states[0][row, here].numpy(), states, atol=1e-5)
        np.testing.assert_allclose(outputs.hidden_states[1][row, here].numpy(), hidden[0], atol=1e-5)
        for found, expected in zip(outputs.attentions, attentions, strict=True):
            assert not found[row, :, here, len(slots) :].any(), "nobody attends to padding"
            np.testing.assert_allclose(found[row, :, here, here].numpy(), expected, atol=1e-5)


def test_the_patients_above_meet_every_kind_of_bucket():
    """The comparison is worth something: same visit, same day, before, after, and the farthest ones both ways."""
    batch = three_patients()
    buckets = set()
    for visit_days, cut in zip(batch["visit_days"].tolist(), (2, 0, 3), strict=True):
        days = [max(visit_days[0], visit_days[cut]), *[day for day in visit_days[1:] if day >= 0]]
        buckets |= {bucket_of(q, one, k, other) for q, one in enumerate(days) for k, other in enumerate(days)}
    assert {0, 1, 2, 4, FARTHEST, SAME_VISIT, SAME_VISIT + 1, SAME_VISIT + FARTHEST} <= buckets


@pytest.mark.parametrize("cut", [None, 1])
def test_mask_of_tokens_is_bit_for_bit_that_of_each_pair_of_them(cut: int | None) -> None:
    model, batch = model_of(visit_pooling="none"), three_patients()
    assert model.time_bias is not None
    order = torch.randperm(batch["visit_ids"].shape[1], generator=torch.Generator().manual_seed(0))
    slots, days = batch["visit_ids"][:, order], batch["visit_days"]
    cuts = count_visits(days) if cut is None else torch.full((len(days),), cut)
    positions = Positions(slots.clamp(min=0), slots >= 0, cuts)
    bias = model.time_bias(time_buckets(positions.slots, position_days(positions.slots, days, cuts)))
    expected = torch.where(visible_positions(*positions)[:, None], bias, torch.finfo(torch.float32).min)
    found = model.time_bias.mask_of_tokens(positions, days, torch.float32)
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(mask.tanh().sum(), model.time_bias.weight)[0] for mask in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=0)
