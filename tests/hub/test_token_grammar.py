import pytest

from claim_transformers.codes import SYSTEMS, category_rules
from claim_transformers.codes.chapters import chapter_rules
from claim_transformers.hub.token_grammar import is_token
from claim_transformers.models.claim.canonical_claim import CLAIM_TYPES
from claim_transformers.models.claim.categories_claim import CodeCategories
from claim_transformers.models.claim.form_claim import _GROUPS
from claim_transformers.models.claim.vocabulary_claim import time_vocabulary


def test_every_rule_of_the_package_follows_the_grammar():
    given = category_rules(SYSTEMS, {"000930145": "ALBUTEROL"}, {"HCPCS/00100": "CCSPR/232"})
    for rules in map(CodeCategories.parse, (category_rules(), given, chapter_rules())):
        words = {*rules.prefixes, *rules.prefixes.values(), *rules.wider.values()}
        words |= {category.removesuffix("*") for category in rules.wider}
        words |= {category for rule in rules.last_characters.values() for category in rule.values()}
        assert [word for word in words if not is_token(word)] == []
        assert {name for name, _ in rules.prefix_lengths.values()} <= {
            name for name in (*_GROUPS, "DISP", "DRG", "DRUG", "POS") if is_token(f"UNK/{name}")
        }


def test_every_token_of_structure_follows_the_grammar():
    words = [*time_vocabulary("gap", 0), *time_vocabulary("day", 400), *(f"TYPE/{kind}" for kind in CLAIM_TYPES)]
    words += ["AGE/0", "AGE/110", "SEX/U", "UNK/TYPE", "UNK/PRINCIPAL", "UNK/ICD10CM", "[MASK]", "<pad>", "<|eos|>"]
    words += ["RACE/BLACK_OR_AFRICAN_AMERICAN", "RACE/NORTH_AMERICAN_NATIVE", "ENTITLEMENT/1", "DUAL/NA", "PAID/9"]
    words += ["COUNTY/DEPRIVATION_INDEX-9", "PRINCIPAL/CCS/108", "PRINCIPAL/ICD10CM/I50", "HCPCSSECTION/NEW"]
    words += [
        "BODYSYSTEM/RSP",
        "CCSPRSECTION/16",
        "HCPCSSECTION/EVALUATION",
        "MDC/PRE",
        "EPC/BIGUANIDE",
        "HCPCSGROUP/J",
    ]
    assert [word for word in words if not is_token(word)] == []


@pytest.mark.parametrize(
    "word",
    ["", "/", "ICD9CM/", "JANE", "jane/1", "ICD9CM/JANE", "ICD10CM/E119\n", "NDC/0009301450", "DRUG/JANE_100001",
     "DRUG/2012-03-04X99999", "EPC/JANE_100001",
     "EPC/jane", "TYPE/JANE", "RACE/JANE", "RACE/WHITE_JANE", "COUNTY/01001", "UNK/JANE", "UNK/CCS/1",
     "BODYSYSTEM/JANE", "BODYSYSTEM/RSP1", "CCSPRSECTION/1234", "CCSR/RSP*",
     "PRINCIPAL/SEX/F", "PRINCIPAL/PRINCIPAL/CCS/1", "EVENT/JANE", "[JANE]", "<pad"],
)  # fmt: skip
def test_what_could_name_a_person_is_no_token(word):
    assert not is_token(word)
