import json
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.codes import CategoryRules, category_rules
from claim_transformers.codes.rules import compact_prefixes, nearest_prefixes
from claim_transformers.codes.tables import era_prefixes, listed_codes

BARE = st.text(alphabet="01A", min_size=1, max_size=6)
FOUR = st.text(alphabet="01A", min_size=4, max_size=4).map("ICD9CM/".__add__)
TABLES = st.dictionaries(BARE.map("ICD9CM/".__add__), st.sampled_from(["CCS/1", "CCS/2", "CCS/3"]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(TABLES, st.integers(1, 4))
def test_every_code_of_a_table_keeps_its_category(table, min_length):
    rules = CategoryRules(compact_prefixes(table, min_length=min_length))
    assert {code: rules.category(code) for code in table} == table


@settings(max_examples=200, deadline=None)
@given(TABLES, BARE.map("ICD9CM/".__add__))
def test_an_unlisted_code_gets_a_category_only_where_a_listed_relative_has_it(table, code):
    category = CategoryRules(compact_prefixes(table, min_length=3)).category(code)
    if code not in table and category is not None:
        ancestors = [table.get(code[:length]) for length in range(len("ICD9CM/") + 1, len(code))]
        relatives = [
            other for known, other in table.items() if known[: len("ICD9CM/") + 3] == code[: len("ICD9CM/") + 3]
        ]
        assert category in [*ancestors, *relatives]


def test_an_unlisted_code_has_no_category_where_its_relatives_differ():
    table = {"ICD9CM/4930": "CCS/128", "ICD9CM/4931": "CCS/127", "ICD9CM/49311": "CCS/127"}
    rules = CategoryRules(compact_prefixes(table, min_length=3))
    assert rules.category("ICD9CM/493") is None
    assert rules.category("ICD9CM/4932") is None
    assert rules.category("ICD9CM/49312") == "CCS/127"


@pytest.mark.parametrize("system", ["ICD9CM", "ICD10CM", "ICD9PCS"])
def test_a_public_code_has_what_ships_whichever_systems_are_asked_for(system):
    codes = sorted(listed_codes(system))[::5]
    alone, of_all = category_rules([system]), category_rules()
    found = [of_all.category(code) for code in codes]
    assert (
        found
        == [alone.category(code) for code in codes]
        == [CategoryRules(era_prefixes(system), alone.prefix_lengths).category(code) for code in codes]
    )
    # Some codes of the list of procedures are in no table of CCS.
    assert sum(category is None for category in found) < 0.01 * len(codes)


@settings(max_examples=200, deadline=None)
@given(TABLES, st.integers(1, 4))
def test_nearest_prefixes_keep_every_code_of_a_table(table, min_length):
    rules = CategoryRules(nearest_prefixes(table, min_length=min_length))
    assert {code: rules.category(code) for code in table} == table


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(FOUR, st.sampled_from(["CCS/1", "CCS/2", "CCS/3"]), max_size=40), FOUR)
def test_a_code_of_no_table_has_the_category_of_most_that_share_its_longest_beginning(table, code):
    category = CategoryRules(nearest_prefixes(table, min_length=2)).category(code)
    beginnings = [code[:end] for end in (len(code), len(code) - 1, len(code) - 2)]
    near = [[table[other] for other in sorted(table) if other.startswith(text)] for text in beginnings]
    nearest = next(filter(None, near), [None])
    assert category == max(nearest, key=nearest.count)


def test_no_diagnosis_prefix_is_shorter_than_a_category_of_three_characters():
    lengths = defaultdict(set)
    for prefix in category_rules(["ICD9CM", "ICD10CM"]).prefixes:
        system, bare = prefix.split("/")
        lengths[system].add(len(bare))
    assert min(lengths["ICD9CM"]) == min(lengths["ICD10CM"]) == 3


def test_the_rules_of_both_diagnosis_systems_stay_under_half_a_megabyte_of_json():
    assert len(json.dumps(category_rules(["ICD9CM", "ICD10CM"]).to_dict())) < 500_000


def test_rules_survive_json():
    rules = category_rules(drug_ingredients={"000930145": "albuterol"})
    assert CategoryRules.from_dict(json.loads(json.dumps(rules.to_dict()))) == rules


def test_rules_of_another_version_are_refused():
    with pytest.raises(ValueError, match="write them again"):
        CategoryRules.from_dict(CategoryRules().to_dict() | {"version": 99})


def test_json_of_the_rules_does_not_depend_on_the_order_of_the_tables():
    forward = CategoryRules({"ICD9CM/1": "CCS/1", "NDC/2": "DRUG/A"}, {"NDC": ("NDC9", 9), "DRG": ("DRG", 3)})
    backward = CategoryRules({"NDC/2": "DRUG/A", "ICD9CM/1": "CCS/1"}, {"DRG": ("DRG", 3), "NDC": ("NDC9", 9)})
    assert json.dumps(forward.to_dict()) == json.dumps(backward.to_dict())


def test_a_matching_prefix_wins_over_the_rule_of_the_length():
    rules = CategoryRules({"HCPCS/9921": "CCSPR/227"}, {"HCPCS": ("HCPCSGROUP", 3)})
    assert rules.category("HCPCS/99213") == "CCSPR/227"
    assert rules.category("HCPCS/99221") == "HCPCSGROUP/992"


def test_a_token_that_is_no_code_is_its_own_category_and_a_broken_code_is_refused():
    rules = CategoryRules({"ICD9CM/493": "CCS/128"}, {"HCPCS": ("HCPCSGROUP", 3)})
    tokens = ["ICD9CM/49392", "HCPCS/99213", "CCS/128", "LOS/3", "UNK/ICD9CM", "ICD9CHAPTER/7", "ICD9CM/250"]
    found = [rules.category_of_token(token) for token in tokens]
    assert found == ["CCS/128", "HCPCSGROUP/992", "CCS/128", "LOS/3", "UNK/ICD9CM", "ICD9CHAPTER/7", None]
    for broken in ("49392", "ICD9CM/", "LOS/", "/3"):
        with pytest.raises(ValueError, match="expected"):
            rules.category_of_token(broken)
    with pytest.raises(ValueError, match="expected one of the code systems"):
        rules.category("CCS/128")
