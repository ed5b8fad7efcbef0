"""A checkpoint that is extended by codes of other claims: ids, files, rows and heads, and whether it learns faster."""

import copy

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch

from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)
from claim_transformers.training import pretraining_collator, tokenize_dataset

RULES = {
    "prefixes": {f"{system}{group}": f"CCS/{group}" for system in ("ICD9CM/40", "ICD10CM/A0") for group in range(6)},
    "prefix_lengths": {"HCPCS": ["HCPCSGROUP", 3]},
}


def patients(era: str, count: int, seed: int) -> pa.Table:
    """Each patient keeps one of six diseases, coded in one of two systems, four codes a disease."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        group = rng.integers(6)
        codes = [[f"{era}{group}{code}" for code in rng.choice(4, 2, replace=False)] for _ in range(6)]
        days = (30 * np.arange(6)).tolist()
        rows.append({"sex": "F", "visit_day": days, "visit_type": ["OP"] * 6, "codes": codes})
    return pa.Table.from_pylist(rows)


BEFORE, AFTER = "ICD9CM/40", "ICD10CM/A0"


@pytest.fixture(scope="module")
def old() -> ClaimTokenizer:
    return ClaimTokenizer.train_from_dataset(patients(BEFORE, 200, 0), categories=RULES)


@pytest.fixture(scope="module")
def new(old: ClaimTokenizer) -> ClaimTokenizer:
    extended = copy.deepcopy(old)
    # A procedure brings a category that the vocabulary did not have.
    more = (
        patients(AFTER, 200, 1).to_pylist() + [{"visits": [{"day": 1, "type": "RX", "codes": ["HCPCS/99213"]}]}] * 11
    )
    assert extended.extend(more) == 26
    return extended


def config(tokenizer: ClaimTokenizer, **changes: object) -> ClaimConfig:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    of_tokenizer = {"vocab_size": len(tokenizer), "num_categories": tokenizer.num_categories}
    return ClaimConfig(**{**sizes, **of_tokenizer, "nvp_context": "none", **changes})


def test_old_ids_stay_and_new_ones_follow_them(old, new, tmp_path):
    assert list(new.get_vocab().items())[: len(old)] == list(old.get_vocab().items())
    added = new.convert_ids_to_tokens(range(len(old), len(new)))
    assert added == ["TYPE/RX", *sorted([*(f"{AFTER}{g}{c}" for g in range(6) for c in range(4)), "HCPCS/99213"])]
    assert new.category_names == [*old.category_names, "HCPCSGROUP/992"]
    before = {"sex": "F", "visits": [{"day": 1, "type": "OP", "codes": [f"{BEFORE}00"]}]}
    assert new(before)["input_ids"] == old(before)["input_ids"]
    new.save_pretrained(tmp_path)
    again = ClaimTokenizer.from_pretrained(tmp_path)
    table = patients(AFTER, 5, 2)
    assert again.get_vocab() == new.get_vocab()
    assert again.category_names == new.category_names
    assert again.encode_table(table).equals(new.encode_table(table))
    assert again.count_backoffs(table)["ICD10CM"]["exact"] == 60


def test_rare_codes_get_a_prefix_and_nothing_new_adds_nothing(old, new):
    extended = copy.deepcopy(old)
    rare = [{"visits": [{"day": 1, "type": "OP", "codes": [f"ICD10CM/Z{n}00"]}]} for n in range(3)] * 4
    assert extended.extend(rare) == 0, "four patients for each code, one for each prefix"
    assert (
        extended.extend([{"visits": [{"day": 1, "type": "OP", "codes": [f"ICD10CM/Z99{n}"]}]} for n in range(11)]) == 1
    )
    assert extended.convert_ids_to_tokens(len(old)) == "ICD10CM/Z99"
    assert copy.deepcopy(new).extend(patients(AFTER, 200, 1)) == 0
    with_tokens = copy.deepcopy(old)
    with_tokens.add_tokens(["ICD10CM/U071"])
    with pytest.raises(ValueError, match="without tokens from add_tokens, found 1"):
        with_tokens.extend(rare)


@pytest.mark.parametrize("tied", [False, True])
def test_a_new_code_begins_at_the_mean_of_its_category_and_heads_follow(old, new, tied, tmp_path):
    torch.manual_seed(0)
    model = ClaimForPreTraining(config(old, tie_word_embeddings=tied, horizon_days=90))
    torch.nn.init.normal_(model.nvp_decoder.bias)
    table, bias = model.get_input_embeddings().weight.detach().clone(), model.nvp_decoder.bias.detach().clone()
    horizon = model.horizon_decoder.weight.detach().clone().view(2, old.num_categories, -1)
    model.resize_token_embeddings(tokenizer=new)
    code, members = new.convert_tokens_to_ids(f"{AFTER}30"), [f"{BEFORE}3{n}" for n in range(4)]
    rows = old.convert_tokens_to_ids(members)
    assert torch.allclose(model.get_input_embeddings().weight[code], table[rows].mean(0), atol=1e-6)
    assert torch.allclose(model.nvp_decoder.bias[code], bias[rows].mean(), atol=1e-6)
    assert torch.equal(model.get_input_embeddings().weight[: len(old)], table)
    assert (model.nvp_decoder.weight is model.get_input_embeddings().weight) == tied
    assert model.cp_decoder.out_features == model.config.num_categories == new.num_categories
    assert torch.equal(model.horizon_decoder.weight.view(2, new.num_categories, -1)[:, : old.num_categories], horizon)
    assert model.cp_decoder.bias[-1] == model.config.nvp_bias_init
    new.check_vocabulary(model.config)
    model.save_pretrained(tmp_path)
    loaded = ClaimForPreTraining.from_pretrained(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )


def test_siblings_count_beside_the_category(old):
    tokenizer = ClaimTokenizer(
        {"A": 3, "ICD9CM/4010": 4, "ICD9CM/4021": 5}, {"ICD9CM/4010": "X", "ICD9CM/402": "X", "ICD9CM/4011": "X"}
    )
    model = ClaimForMaskedLM(config(tokenizer, visit_pooling="none", num_categories=0))
    table = model.get_input_embeddings().weight.detach().clone()
    tokenizer.extend([{"visits": [{"day": 1, "type": "", "codes": ["ICD9CM/4011"]}]}] * 11)
    model.resize_token_embeddings(tokenizer=tokenizer)
    expected = (table[4] + (table[4] + table[5]) / 2) / 2
    row = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("ICD9CM/4011")]
    assert torch.allclose(row, expected, atol=1e-6)


def test_a_classifier_follows_with_its_counts_of_codes(old, new):
    model = ClaimForSequenceClassification(config(old, num_labels=2, code_skip=True))
    torch.nn.init.normal_(model.code_skip.weight)
    model.resize_token_embeddings(tokenizer=new)
    rows = old.convert_tokens_to_ids([f"{BEFORE}3{n}" for n in range(4)])
    assert torch.allclose(
        model.code_skip.weight[new.convert_tokens_to_ids(f"{AFTER}30")],
        model.code_skip.weight[rows].mean(0),
        atol=1e-6,
    )
    with pytest.raises(ValueError, match="expected the tokenizer of the new vocabulary"):
        model.resize_token_embeddings(len(new) + 1, tokenizer=new)


def _loss(model, batch):
    with torch.no_grad():
        return float(model.eval()(**batch).loss)


def _train(model, batch, steps):
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model


def test_a_warm_start_learns_new_codes_in_fewer_steps_than_a_random_one(old, new):
    torch.manual_seed(0)

    def batch_of(tokenizer, table):
        rows = list(tokenize_dataset(datasets.Dataset(table), tokenizer))
        return pretraining_collator(config(tokenizer), tokenizer)(rows)

    pretrained = _train(ClaimForPreTraining(config(old)), batch_of(old, patients(BEFORE, 120, 3)), 60)
    losses = {}
    for start in ("warm", "random"):
        model = copy.deepcopy(pretrained)
        # Without the tokenizer the table alone grows; its new rows are drawn at random, the category head as it was.
        model.resize_token_embeddings(len(new), mean_resizing=False, tokenizer=new if start == "warm" else None)
        if start == "random":
            model.config.num_categories = new.num_categories
            model.cp_decoder = copy.deepcopy(ClaimForPreTraining(config(new)).cp_decoder)
        batch, held_out = (batch_of(new, patients(AFTER, 80, seed)) for seed in (4, 5))
        losses[start] = [_loss(model, held_out)]
        losses[start] += [_loss(_train(model, batch, 5), held_out) for _ in range(2)]
    assert all(warm < random for warm, random in zip(losses["warm"], losses["random"], strict=True)), losses
