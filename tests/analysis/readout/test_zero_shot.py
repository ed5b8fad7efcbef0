"""The outcome read off the next-visit head: which outputs denote it, and how their probabilities combine."""

import numpy as np
import pytest
import torch

from claim_transformers.analysis import next_visit_probability
from claim_transformers.analysis.readout.zero_shot import outcome_tokens
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training import DataCollatorForClaimClassification

RULES = {
    "prefixes": {"ICD9CM/493": "CCS/128", "ICD9CM/E95": "CCS/662", "ICD9CM/V6284": "CCS/662"},
    "prefix_lengths": {"HCPCS": ["HCPCSGROUP", 3]},
}
TOKENS = [
    "TYPE/IP",
    "ICD9CM/E950",
    "ICD9CM/493",
    "ICD9CM/49392",
    "CCS/128",
    "CCS/662",
    "HCPCS/99213",
    "HCPCSGROUP/992",
]
HAND_MADE = ClaimTokenizer({token: 3 + number for number, token in enumerate(TOKENS)}, RULES)


def by_definition(model, tokenizer, tokens, names):
    """`1 - prod(1 - p)` over the named outputs, with every patient on its own."""
    batch = DataCollatorForClaimClassification(tokenizer)(tokens.drop_columns(["label"]))
    probability = torch.sigmoid(model.predict_next_visit(**batch)).double()
    ids = [tokenizer.convert_tokens_to_ids(name) for name in names]
    if model.config.nvp_target == "category":
        ids = [tokenizer.category_names.index(name) for name in names]
    return (1 - torch.prod(1 - probability[:, ids], dim=1)).numpy()


@pytest.mark.parametrize("context", ["mixed", "none", "full"])
def test_the_probability_is_that_of_any_of_the_codes(make_model, tokenizer, tokens, context):
    model = make_model(nvp_context=context, history_skip=True)
    found = next_visit_probability(model, tokens, tokenizer, ["ICD9CM/40"], batch_size=13)
    names = [name for name in tokenizer.get_vocab() if name.startswith("ICD9CM/40")]
    assert len(names) == 3
    # A category of the rules is a token only when rare codes fall back to it.
    names += [name for name in ("CCS/0",) if name in tokenizer.get_vocab()]
    assert np.allclose(found, by_definition(model, tokenizer, tokens, names), atol=1e-6)


def test_a_head_over_categories_gives_the_probability_of_the_category(make_model, tokenizer, tokens):
    model = make_model(nvp_target="category")
    found = next_visit_probability(model, tokens, tokenizer, ["ICD9CM/40"])
    assert np.allclose(found, by_definition(model, tokenizer, tokens, ["CCS/0"]), atol=1e-6)


def test_only_the_outputs_of_the_outcome_move_the_probability(make_model, tokenizer, tokens):
    model = make_model()
    before = next_visit_probability(model, tokens, tokenizer, ["ICD9CM/40"])
    code, other = (tokenizer.convert_tokens_to_ids(name) for name in ("ICD9CM/400", "ICD9CM/410"))
    with torch.no_grad():
        model.nvp_decoder.bias[other] += 5.0
    assert np.array_equal(next_visit_probability(model, tokens, tokenizer, ["ICD9CM/40"]), before)
    with torch.no_grad():
        model.nvp_decoder.bias[code] += 0.5
    after = next_visit_probability(model, tokens, tokenizer, ["ICD9CM/40"])
    assert (after >= before).all()
    assert (after > before).mean() > 0.9


def test_codes_that_must_come_together_multiply(make_model, tokenizer, tokens):
    model = make_model()
    first, second = (next_visit_probability(model, tokens, tokenizer, [code]) for code in ("ICD9CM/40", "ICD9CM/41"))
    joint = next_visit_probability(model, tokens, tokenizer, ["ICD9CM/40"], together_with=[["ICD9CM/41"]])
    assert np.allclose(joint, first * second)


def test_small_probabilities_keep_their_digits(make_model, tokenizer, tokens):
    model = make_model()
    with torch.no_grad():
        model.nvp_decoder.weight.zero_()
        model.nvp_decoder.bias.fill_(-40.0)
    found = next_visit_probability(model, tokens, tokenizer, ["ICD9CM/400"])
    assert np.allclose(found, np.exp(-40.0), rtol=1e-6)


def test_prefixes_and_categories_count_only_when_they_denote_the_outcome():
    assert outcome_tokens(HAND_MADE, ["ICD9CM/493"]) == ["CCS/128", "ICD9CM/493", "ICD9CM/49392"]
    assert outcome_tokens(HAND_MADE, ["ICD9CM/49392"]) == ["ICD9CM/49392"], "493 means more than 49392"
    assert outcome_tokens(HAND_MADE, ["ICD9CM/E95"]) == ["ICD9CM/E950"], "CCS/662 holds suicidal ideation too"
    assert outcome_tokens(HAND_MADE, ["ICD9CM/E95", "ICD9CM/V6284"]) == ["CCS/662", "ICD9CM/E950"]
    assert outcome_tokens(HAND_MADE, ["HCPCS/992"]) == ["HCPCS/99213", "HCPCSGROUP/992"]


def test_what_no_output_denotes_is_refused_unless_wider_tokens_are_allowed():
    with pytest.raises(ValueError, match=r"that denote \['ICD9CM/E958'\], found none"):
        outcome_tokens(HAND_MADE, ["ICD9CM/E958"])
    assert outcome_tokens(HAND_MADE, ["ICD9CM/E958"], allow_wider=True) == ["CCS/662"]
    with pytest.raises(ValueError, match="found none"):
        outcome_tokens(HAND_MADE, ["ICD9CM/E95"], target="category")
    assert outcome_tokens(HAND_MADE, ["ICD9CM/E95"], target="category", allow_wider=True) == ["CCS/662"]


def test_claim_types_are_no_targets():
    with pytest.raises(ValueError, match="claim types are no targets"):
        outcome_tokens(HAND_MADE, ["TYPE/IP"])
    with pytest.raises(ValueError, match="claim types are no targets"):
        outcome_tokens(HAND_MADE, ["TYPE/IP"], allow_wider=True)


def test_a_model_of_another_vocabulary_is_refused(make_model, tokens):
    with pytest.raises(ValueError, match="E_VOCAB_SIZE"):
        next_visit_probability(make_model(), tokens, HAND_MADE, ["ICD9CM/493"])
