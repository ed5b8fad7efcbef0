import pytest

from claim_transformers.codes import category_rules
from claim_transformers.codes.era_categories import _diagnosis_categories, _procedure_categories, _read_titles
from claim_transformers.codes.rules import CategoryRules, nearest_prefixes
from claim_transformers.codes.tables import _category_titles, listed_codes, read_ccs


@pytest.fixture(scope="module")
def rules():
    return category_rules()


@pytest.mark.parametrize(
    ("before", "after", "category"),
    [
        ("ICD9CM/49390", "ICD10CM/J45909", "CCSR/RSP009"),
        ("ICD9CM/4280", "ICD10CM/I509", "CCSR/CIR019"),
        ("ICD9CM/25000", "ICD10CM/E119", "CCSR/END002"),
        ("ICD9CM/E9500", "ICD10CM/T391X2A", "CCSR/MBD012"),
        ("ICD9CM/V6284", "ICD10CM/R45851", "CCSR/MBD012"),
        ("ICD9CM/481", "ICD10CM/J13", "CCSR/RSP002"),
        ("ICD9CM/V5889", "ICD10CM/S51812D", "CCSR/FAC010"),  # a later encounter for an injury
        ("ICD9PCS/3722", "ICD10PCS/4A023N7", "CCSPR/47"),
        ("ICD9PCS/9671", "ICD10PCS/5A1945Z", "CCSPR/216"),
    ],
)
def test_one_thing_has_one_category_before_and_after_the_switch(rules, before, after, category):
    assert rules.category(before) == rules.category(after) == category


def test_of_several_categories_the_siblings_of_a_code_choose(rules):
    assert rules.category("ICD9CM/78060") == "CCSR/SYM002"  # fever: R50.9, but R56.00 and T81.89 as well
    assert rules.category("ICD9CM/78791") == "CCSR/SYM006"  # diarrhoea: R19.7, beside two of the gut


def test_every_category_of_icd9_is_one_of_icd10_and_every_listed_code_has_one(rules):
    of = {name: {rules.category(code) for code in listed_codes(name)} for name in ("ICD9CM", "ICD10CM")}
    assert None not in {rules.category(code) for code in read_ccs()}
    assert of["ICD9CM"] - {None} <= of["ICD10CM"]
    assert len(of["ICD9CM"]) > 450


def test_a_heading_and_a_code_of_no_list_have_the_category_of_most_below_them(rules):
    assert rules.category("ICD10CM/J45") == rules.category("ICD10CM/J45998X") == "CCSR/RSP009"
    assert rules.category("ICD10CM/E11") == "CCSR/END003"


def test_every_category_of_the_rules_has_a_title():
    assert set(category_rules().prefixes.values()) == set(_category_titles())


def test_what_ships_is_what_the_public_files_give(claims_data_dir):
    folder = claims_data_dir / "terminology"
    ccsr, ccs = folder / "ccsr" / "DXCCSR-Reference-File-v2023-1.xlsx", folder / "ccs_icd9" / "prref_2015.csv"
    found = _diagnosis_categories(ccsr) | _procedure_categories(ccs, folder / "gem" / "icd9toicd10pcsgem.csv.gz")
    rules = CategoryRules(nearest_prefixes(found, min_length=3))
    assert rules.prefixes == category_rules().prefixes
    named = _read_titles(ccsr, ccs)
    assert {name: named[name] for name in _category_titles()} == dict(_category_titles())
