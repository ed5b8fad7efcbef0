"""Rules of the tokenizer are the rules of the codes room, kept in two places so that a checkpoint can travel."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from claim_transformers import codes
from claim_transformers.claims import schema
from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.models.claim.canonical_claim import CLAIM_TYPES, CODE_SYSTEMS, canonical_code
from claim_transformers.models.claim.categories_claim import CodeCategories
from claim_transformers.models.claim.names_claim import resolve_checkpoint
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.models.claim.vocabulary_claim import ClaimVocabulary, parent_code

PREFIXES = {
    "ICD9CM/493": "CCS/128",
    "ICD9CM/4932": "CCS/127",
    "ICD9CM/E88": "CCS/2603",
    "ICD10CM/E11": "CCSR/END002",
    "NDC/00093": "DRUG/ALBUTEROL",
    "DRG/47": "MDC/08",
}
WIDER = {
    "CCSR/END*": "BODYSYSTEM/END",
    "CCS/12*": "BODYSYSTEM/RSP",
    "CCS/127": "BODYSYSTEM/OWN",
    "HCPCSGROUP/9*": "H/9",
}
LENGTHS = {"HCPCS": ("HCPCSGROUP", 3), "NDC": ("NDC9", 9)}
code = st.builds("{}/{}".format, st.sampled_from(CODE_SYSTEMS), st.text("0349EV18", min_size=1, max_size=11))
known = st.builds("{}{}".format, st.sampled_from(sorted(PREFIXES)), st.text("0129", max_size=3))


def test_systems_are_those_of_the_codes_room():
    assert CODE_SYSTEMS == codes.SYSTEMS


def test_claim_types_are_those_of_the_claims_room():
    assert CLAIM_TYPES == schema.CLAIM_TYPES


@given(
    system=st.sampled_from(CODE_SYSTEMS),
    raw=st.text("0349eEVvAJx. -", min_size=1, max_size=13)
    | st.from_regex(
        "[0-9]{4,5}-[0-9]{3,4}-[0-9]{1,2}|[0-9]{4}[0-9AT][ -]?[0-9A-Z]{2}|[VEe0-9][0-9]{2,3}[.][0-9]", fullmatch=True
    ),
    blank=st.sampled_from(["", " ", "\u00a0"]),
)
@settings(max_examples=500, deadline=None)
@example("ICD9CM", "000..", "")
def test_codes_are_written_as_in_the_codes_room(system, raw, blank):
    written = canonical_code(f"{blank}{system.lower()}/{blank}{raw}{blank}")
    try:
        assert written == f"{system}/{codes.normalize_code(system, raw)}"
    except codes.ClaimDataError:
        # What the room refuses is no token: the tokenizer counts it as unknown.
        assert written.startswith(f"{system}/")
    assert canonical_code(written) == written


@given(code=st.one_of(code, known))
@settings(max_examples=100, deadline=None)
def test_categories_are_those_of_the_codes_room(code):
    room = codes.CategoryRules(PREFIXES, LENGTHS, WIDER)
    ours = CodeCategories(PREFIXES, LENGTHS, wider=WIDER)
    assert ours.category(code) == room.category(code)
    if (category := room.category(code)) is not None:
        assert ours.wider_category(code) == ours.wider_category(category) == room.wider_category(category)


@given(code=st.one_of(code, known), kept=st.lists(st.one_of(code, known), max_size=3), data=st.data())
@settings(max_examples=100, deadline=None)
def test_back_off_follows_the_chain_of_the_codes_room(code, kept, data):
    written = canonical_code(code)
    assume(not (written.startswith("NDC/") and len(written) == len("NDC/") + 10))
    chain = (code, *codes.backoff_chain(written, codes.CategoryRules(PREFIXES, LENGTHS, WIDER)))
    held = sorted({*data.draw(st.lists(st.sampled_from(chain), max_size=3)), *kept, "[UNK]"})
    tokens = {token: number for number, token in enumerate(held)}
    rules = CodeCategories(PREFIXES, LENGTHS, wider=WIDER)
    vocabulary = ClaimVocabulary(tokens, ["[UNK]"], "[UNK]", rules, {}, backoff=True)
    expected = next((tokens[step] for step in chain if step in tokens), tokens["[UNK]"])
    assert vocabulary.resolve(code)[0] == expected


@pytest.mark.parametrize(
    "form",
    [
        codes.CategoryRules(PREFIXES, LENGTHS),
        codes.CategoryRules(PREFIXES, LENGTHS).to_dict(),
        json.loads(json.dumps(codes.CategoryRules(PREFIXES, LENGTHS).to_dict())),
        {"prefixes": PREFIXES, "prefix_lengths": LENGTHS},
        CodeCategories(PREFIXES, LENGTHS),
        CodeCategories(PREFIXES, LENGTHS).to_dict(),
    ],
)
def test_every_form_of_the_rules_is_read(form):
    rules = CodeCategories.parse(form)
    assert rules.prefixes == PREFIXES
    assert rules.prefix_lengths == LENGTHS


def test_a_prefix_table_alone_is_a_form_and_nothing_is_none():
    assert CodeCategories.parse(PREFIXES).prefixes == PREFIXES
    assert CodeCategories.parse(None).category("ICD9CM/493") is None
    for wrong in (3, {"prefixes": {"ICD9CM/493": 7}}, {"A": "B"}, {"prefixes": {}, "prefix_lengths": {"NDC": 9}}):
        with pytest.raises(ValueError, match="expected categories"):
            CodeCategories.parse(wrong)


def test_parents_are_shorter_codes_of_the_same_system():
    assert parent_code("ICD9CM/V270") == "ICD9CM/V27"
    assert parent_code("ICD9CM/E8859") == "ICD9CM/E885"
    assert parent_code("ICD10CM/E119") == "ICD10CM/E11"
    assert parent_code("ICD10CM/I10") == "ICD10CM/I10"
    assert parent_code("REV/0450") is None


def test_the_schema_of_the_patients_table_is_encodable():
    assert ClaimTokenizer({"SEX/F": 3}).encode_table(PATIENTS_SCHEMA.empty_table()).num_rows == 0


def test_a_drug_backs_off_to_its_ingredient_and_then_to_its_class():
    rules = {"prefixes": {"NDC/000930145": "DRUG/ALBUTEROL"}, "wider": {"DRUG/ALBUTEROL": "EPC/BETA2_AGONIST"}}
    rules["prefix_lengths"] = {"DRUG": ["DRUG", 64]}
    for tokens, found in (
        ({"DRUG/ALBUTEROL": 3, "EPC/BETA2_AGONIST": 4}, [(3, "category"), (3, "exact"), (5, "unknown")]),
        ({"EPC/BETA2_AGONIST": 4, "SEX/F": 3}, [(4, "wider"), (4, "wider"), (5, "unknown")]),
    ):
        tokenizer = ClaimTokenizer({**tokens, "[PAD]": 0, "[UNK]": 5, "[MASK]": 2, "AGE/1": 1}, rules)
        codes_found = map(tokenizer.vocabulary.resolve, ("NDC/00093014505", "DRUG/ALBUTEROL", "NDC/00093014605"))
        assert list(codes_found) == found
        assert tokenizer.category_names[-1] == "EPC/BETA2_AGONIST"


def test_a_class_gets_a_token_where_the_ingredients_are_too_rare(tmp_path):
    names = [f"DRUG/RARE{letter}" for letter in "AB"]
    rules = {"prefixes": {}, "prefix_lengths": {"DRUG": ["DRUG", 64]}, "wider": dict.fromkeys(names, "EPC/CLASS")}
    patients = [{"visits": [{"day": 1, "type": "RX", "codes": [name]}]} for name in names for _ in range(6)]
    tokenizer = ClaimTokenizer.train_from_dataset(patients, categories=rules)
    assert "EPC/CLASS" in tokenizer.get_vocab()
    assert not set(names) & set(tokenizer.get_vocab())
    tokenizer.save_pretrained(tmp_path)
    again = ClaimTokenizer.from_pretrained(tmp_path)
    assert again(patients[0])["input_ids"] == tokenizer(patients[0])["input_ids"]
    assert "EPC/CLASS" in again.decode(again(patients[0])["input_ids"])


def test_a_tokenizer_keeps_the_categories_that_it_learned(tmp_path):
    # Those of ICD-9-CM were CCS before the package had one system for both.
    old = {"prefixes": {"ICD9CM/493": "CCS/128", "ICD10CM/J45": "CCSR/RSP009"}}
    ClaimTokenizer({"CCS/128": 3, "CCSR/RSP009": 4, "ICD9CM/49390": 5}, old).save_pretrained(tmp_path)
    tokenizer = ClaimTokenizer.from_pretrained(tmp_path)
    assert tokenizer.category_names == ["CCS/128", "CCSR/RSP009"]
    found = [tokenizer.vocabulary.resolve(code) for code in ("ICD9CM/49390", "ICD9CM/49392", "ICD10CM/J45909")]
    assert found == [(5, "exact"), (3, "category"), (4, "category")]


def test_the_checkpoints_of_the_package_group_codes_by_rules_of_their_own():
    for name in ("claim-pt-base", "medicare-encoder-base"):
        content = json.loads((Path(resolve_checkpoint(name)) / "categories.json").read_text(encoding="utf-8"))
        own = CodeCategories.parse(content)
        tokenizer = ClaimTokenizer.from_pretrained(name)
        assert own.category("ICD9CM/49390") is not None
        for code in ("ICD9CM/49390", "ICD10CM/J45909", "ICD9PCS/3722"):
            assert tokenizer.form is None or tokenizer.form.group(code) == own.category(code)
            expected = tokenizer.vocabulary.resolve(own.category(code))[0]
            if (step := tokenizer.vocabulary.resolve(code))[1] == "category":
                assert step[0] == expected
