"""What stands in for a token, and vocabularies that roll codes up or keep their groups."""

from typing import Any

import pytest

from claim_transformers.models.claim import ClaimForm, ClaimTokenizer
from claim_transformers.models.claim.vocabulary_claim import LEVELS, complete_vocabulary

RULES = {
    "prefixes": {"ICD9CM/493": "CCSR/RSP009", "ICD10CM/J45": "CCSR/RSP009", "NDC/000930145": "DRUG/ALBUTEROL"},
    "prefix_lengths": {"HCPCS": ["HCPCSGROUP", 3], "DRUG": ["DRUG", 64], "DRG": ["DRG", 3]},
    "wider": {"CCSR/RSP*": "BODYSYSTEM/RSP", "DRUG/ALBUTEROL": "EPC/AGONIST", "DRG/202": "MDC/04"},
}
DAY: dict[str, Any] = {
    "day": 1,
    "type": "OP",
    "codes": ["ICD9CM/49390", "ICD10CM/J45909", "HCPCS/99213", "DRUG/ALBUTEROL", "DRG/202"],
}
PATIENTS = [{"sex": "F", "visits": [DAY]}] * 11


def codes_of(tokenizer):
    return set(tokenizer.vocabulary.code_ids)


def stand_ins(tokenizer):
    """Names of the stand-ins of each code, the nearest first."""
    table, names = tokenizer.vocabulary.stand_ins, tokenizer.convert_ids_to_tokens
    return {
        token: names([i for i in table[number] if i >= 0]) for token, number in tokenizer.vocabulary.code_ids.items()
    }


@pytest.fixture(scope="module")
def keeping():
    return ClaimTokenizer.train_from_dataset(PATIENTS, categories=RULES, keep_groups=True)


def test_the_groups_of_the_codes_have_a_token_where_they_are_kept(keeping):
    plain = ClaimTokenizer.train_from_dataset(PATIENTS, categories=RULES)
    assert codes_of(plain) == set(DAY["codes"])
    groups = {"ICD9CM/493", "ICD10CM/J45", "CCSR/RSP009", "BODYSYSTEM/RSP", "HCPCSGROUP/992", "EPC/AGONIST", "MDC/04"}
    assert codes_of(keeping) == set(DAY["codes"]) | groups
    # What a code of a patient becomes is the same; a code of later claims finds a group.
    tokens = [tokenizer.decode(tokenizer(PATIENTS[0])["input_ids"]) for tokenizer in (plain, keeping)]
    assert tokens[0] == tokens[1]
    levels = {
        "ICD9CM/49392": "prefix",
        "ICD10CM/J4520": "prefix",
        "HCPCS/99214": "category",
        "NDC/00093014599": "category",
    }
    assert {code: keeping.vocabulary.resolve(code)[1] for code in levels} == levels
    assert {plain.vocabulary.resolve(code)[1] for code in levels if code != "NDC/00093014599"} == {"system"}


def test_a_code_whose_category_is_no_token_becomes_what_is_wider():
    rules = {**RULES, "prefixes": {**RULES["prefixes"], "ICD10CM/J44": "CCSR/RSP008"}}
    tokenizer = ClaimTokenizer({"BODYSYSTEM/RSP": 3, "CCSR/RSP009": 4}, rules)
    assert tokenizer.vocabulary.resolve("ICD10CM/J449") == (3, "wider")
    assert tokenizer.vocabulary.resolve("CCSR/RSP008") == (3, "wider")
    assert tokenizer.vocabulary.resolve("ICD10CM/J459") == (4, "category")
    assert set(LEVELS) >= {"category", "wider"}


def test_codes_that_are_rolled_up_are_counted_as_their_category():
    tokenizer = ClaimTokenizer.train_from_dataset(
        PATIENTS, categories=RULES, roll_up=["ICD9CM", "ICD10CM"], keep_groups=True
    )
    assert not {code for code in codes_of(tokenizer) if code.startswith("ICD")}
    found = {tokenizer.vocabulary.resolve(code) for code in ("ICD9CM/49390", "ICD10CM/J45909", "ICD10CM/J4599")}
    assert found == {(tokenizer.get_vocab()["CCSR/RSP009"], "category")}
    assert tokenizer.form is None
    # Six patients of each of two codes are twelve of the category.
    few = [{"visits": [{**DAY, "codes": [code]}]} for code in ("ICD9CM/49390", "ICD10CM/J45909") for _ in range(6)]
    assert codes_of(ClaimTokenizer.train_from_dataset(few, categories=RULES, roll_up=["ICD9CM", "ICD10CM"])) == {
        "CCSR/RSP009"
    }


def test_a_vocabulary_that_rolls_up_learns_single_codes_later():
    tokenizer = ClaimTokenizer.train_from_dataset(PATIENTS, categories=RULES, roll_up=["ICD9CM", "ICD10CM"])
    assert tokenizer.extend(PATIENTS) > 0
    assert tokenizer.vocabulary.resolve("ICD10CM/J45909")[1] == "exact"


def test_a_form_and_rolling_up_exclude_each_other():
    with pytest.raises(ValueError, match=r"expected roll_up or a form, .*, found both"):
        ClaimTokenizer.train_from_dataset(PATIENTS, form=ClaimForm("category", categories=RULES), roll_up=["ICD9CM"])


def test_stand_ins_are_the_groups_that_have_a_token_and_then_the_unknown_of_the_systems(keeping):
    assert stand_ins(keeping) == {
        "ICD9CM/49390": ["ICD9CM/493", "CCSR/RSP009", "BODYSYSTEM/RSP", "UNK/ICD9CM"],
        "ICD9CM/493": ["CCSR/RSP009", "BODYSYSTEM/RSP", "UNK/ICD9CM"],
        "ICD10CM/J45909": ["ICD10CM/J45", "CCSR/RSP009", "BODYSYSTEM/RSP", "UNK/ICD10CM"],
        "ICD10CM/J45": ["CCSR/RSP009", "BODYSYSTEM/RSP", "UNK/ICD10CM"],
        "CCSR/RSP009": ["BODYSYSTEM/RSP", "UNK/ICD10CM", "UNK/ICD9CM"],
        "BODYSYSTEM/RSP": [],
        "HCPCS/99213": ["HCPCSGROUP/992", "UNK/HCPCS"],
        "HCPCSGROUP/992": ["UNK/HCPCS"],
        "DRUG/ALBUTEROL": ["EPC/AGONIST", "UNK/DRUG", "UNK/NDC"],
        "EPC/AGONIST": [],
        "DRG/202": ["MDC/04", "UNK/DRG"],
        "MDC/04": [],
    }


def test_no_token_stands_in_for_itself_and_none_of_structure_has_a_stand_in(keeping):
    table = keeping.vocabulary.stand_ins
    assert len(table) == len(keeping)
    assert not (table == [[number] for number in range(len(keeping))]).any()
    structure = [number for number, is_code in enumerate(keeping.target_mask) if not is_code]
    assert (table[structure] == -1).all()
    # The nearest come first, and nothing comes behind the end.
    assert ((table[:, 1:] >= 0) <= (table[:, :-1] >= 0)).all()


@pytest.mark.parametrize(("first", "ids"), [(0, [1, 2, 3]), (3, [0, 1, 2])])
def test_special_tokens_take_the_ids_that_are_free(first, ids):
    special = ["[PAD]", "[UNK]", "[MASK]"]
    vocab = complete_vocabulary({"ICD9CM/4280": first}, special)
    assert [vocab[token] for token in ("ICD9CM/4280", *special)] == [first, *ids]
    assert list(vocab.values()) == [0, 1, 2, 3]
