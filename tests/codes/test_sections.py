"""What is wider than a category covers the categories of every system, and nothing else."""

import pytest

from claim_transformers.codes import CategoryRules, category_rules
from claim_transformers.codes.sections import drg_category, hcpcs_section, wider_groups
from claim_transformers.codes.tables import _category_titles, listed_codes


@pytest.fixture(scope="module")
def rules():
    return category_rules()


@pytest.mark.parametrize(
    ("category", "wider"),
    [
        ("CCSR/RSP009", "BODYSYSTEM/RSP"),
        ("CCSPR/1", "CCSPRSECTION/1"),
        ("CCSPR/9", "CCSPRSECTION/1"),
        ("CCSPR/10", "CCSPRSECTION/2"),
        ("CCSPR/231", "CCSPRSECTION/16"),
        ("CCSPR/232", None),
        ("HCPCSGROUP/992", "HCPCSSECTION/EVALUATION"),
        ("HCPCSGROUP/996", "HCPCSSECTION/MEDICINE"),
        ("HCPCSGROUP/J18", "HCPCSSECTION/J"),
        ("HCPCSGROUP/003", "HCPCSSECTION/ANESTHESIA"),
        ("DRG/470", "MDC/08"),
        ("DRG/291", "MDC/05"),
        ("DRG/999", None),
        ("DRUG/METFORMIN", "EPC/BIGUANIDE"),
        ("REVGROUP/045", None),
        ("POS/11", None),
    ],
)
def test_a_category_has_the_section_of_its_system(rules, category, wider):
    assert rules.wider_category(category) == wider


def test_every_category_of_icd_codes_that_has_a_title_has_a_section(rules):
    without = [category for category in _category_titles() if rules.wider_category(category) is None]
    assert without == []


def test_every_listed_diagnosis_ends_in_a_body_system_before_it_is_unknown(rules):
    for system in ("ICD9CM", "ICD10CM"):
        codes = sorted(listed_codes(system))[::11]
        found = {rules.wider_category(rules.category(code) or "") for code in codes} - {None}
        assert {name.partition("/")[0] for name in found} == {"BODYSYSTEM"}
        assert len(found) >= 20


def test_sections_of_hcpcs_are_told_by_the_letter_the_range_or_the_last_character():
    told = {"99213": "EVALUATION", "99500": "MEDICINE", "0042T": "NEW", "0001F": "MEASURE", "0001U": "LABORATORY"}
    told |= {"00100": "ANESTHESIA", "27447": "SURGERY", "71045": "RADIOLOGY", "80053": "LABORATORY", "J1885": "J"}
    assert {bare: hcpcs_section(bare) for bare in told} == {
        bare: f"HCPCSSECTION/{section}" for bare, section in told.items()
    }
    assert hcpcs_section("1AA1X") is None


def test_groups_of_diagnoses_have_a_category_up_to_the_last_one_that_is_no_error():
    found = [drg_category(f"{number:03}") for number in range(1000)]
    assert [number for number, category in enumerate(found) if category is None] == [0, 998, 999]
    assert {category for category in found[1:998] if category.removeprefix("MDC/").isdigit()} == {
        f"MDC/{number:02}" for number in range(1, 26)
    }


def test_the_sections_of_a_system_come_with_that_system_alone():
    kinds = {"DRG": {"DRG"}, "NDC": {"DRUG"}, "ICD10PCS": {"CCSPR", "ICD10PCSGROUP"}}
    kinds["ICD9CM"] = {"CCSR", "BODYSYSTEM"}
    for system, kind in kinds.items():
        assert {name.partition("/")[0] for name in wider_groups([system], {"METFORMIN": "BIGUANIDE"})} == kind
    assert wider_groups(["REV", "POS"], {"METFORMIN": "BIGUANIDE"}) == {}


def test_the_key_itself_wins_over_beginnings_and_the_longest_beginning_over_shorter_ones():
    rules = CategoryRules(wider={"A/1*": "W/1", "A/12*": "W/2", "A/123": "W/3", "A/*": "W/0", "A*": "W/NONE"})
    found = {name: rules.wider_category(name) for name in ("A/123", "A/124", "A/12", "A/13", "A/2", "AB/1", "B/1")}
    assert found == {
        "A/123": "W/3",
        "A/124": "W/2",
        "A/12": "W/2",
        "A/13": "W/1",
        "A/2": "W/0",
        "AB/1": None,
        "B/1": None,
    }
