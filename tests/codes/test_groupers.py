import csv

import pyarrow as pa
import pytest

from claim_transformers.codes import (
    SYSTEMS,
    ClaimDataError,
    category_of,
    category_rules,
    chapter_of,
    icd10cm_parents,
    read_procedure_ccs,
)
from claim_transformers.codes.tables import listed_codes, read_ccs

# The cleaned copy of AHRQ's table departs from the published one in these rows.
DIFFERENT_IN_THE_CLEAN_COPY = {"V1204", "V1255", "5353"}


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("ICD9CM/49392", "CCSR/RSP009"),
        ("ICD10CM/J45909", "CCSR/RSP009"),
        ("ICD10CM/S72001A", "CCSR/INJ006"),
        ("ICD10CM/S72001D", "CCSR/INJ043"),
        ("ICD9PCS/8154", "CCSPR/152"),
        ("ICD9PCS/99", "ICD9PCSGROUP/99"),
        ("ICD10PCS/0SR90JZ", "CCSPR/153"),
        ("ICD10PCS/XY0", "ICD10PCSGROUP/XY0"),
        ("HCPCS/99213", "HCPCSGROUP/992"),
        ("NDC/00093014505", "NDC9/000930145"),
        ("DRUG/ALBUTEROL", "DRUG/ALBUTEROL"),
        ("REV/0450", "REVGROUP/045"),
        ("DRG/470", "DRG/470"),
        ("POS/11", "POS/11"),
        ("DISP/01", "DISP/01"),
        ("ICD9CM/000", None),
        ("ICD10CM/A11", None),
    ],
)
def test_a_code_has_the_category_of_its_system(code, category):
    assert category_of([code]).to_pylist() == [category]


def test_categories_follow_the_rows_of_the_column():
    column = pa.chunked_array([["DRG/470", None], ["ICD9CM/49392", "DRG/470"]])
    assert category_of(column).to_pylist() == ["DRG/470", None, "CCSR/RSP009", "DRG/470"]


def test_a_string_that_is_no_code_is_refused():
    with pytest.raises(ValueError, match="expected SYSTEM/CODE"):
        category_of(["49392"])


def test_rules_hold_only_the_systems_that_were_asked_for():
    rules = category_rules(["NDC"], drug_ingredients={"000930145": "a"}, procedure_ccs={"ICD9PCS/0101": "CCSPR/1"})
    assert dict(rules.prefixes) == {"NDC/000930145": "DRUG/A"}
    assert set(rules.prefix_lengths) == {"NDC"}


def test_packages_of_one_drug_share_a_prefix_and_others_keep_theirs():
    ingredients = {"00093014505": "a", "00093014510": "a", "00093014601": "b", "00093014602": "c"}
    rules = category_rules(["NDC"], drug_ingredients=ingredients)
    assert set(rules.prefixes) == {"NDC/000930145", "NDC/00093014601", "NDC/00093014602"}
    assert rules.category("NDC/00093014599") == "DRUG/A"
    assert rules.category("NDC/00093014699") == "NDC9/000930146"


@pytest.mark.parametrize("ingredients", [{"0093-0145-05": "a"}, {"0093014505": "a"}, {"000930145": "[MASK]"}])
def test_a_drug_table_of_another_form_is_refused_without_being_repeated(ingredients):
    with pytest.raises(ClaimDataError) as caught:
        category_rules(["NDC"], drug_ingredients=ingredients)
    assert not any(text in str(caught.value) for text in [*ingredients, "MASK"])


def test_a_procedure_table_wins_over_the_first_characters():
    rules = category_rules(procedure_ccs={"ICD9PCS/8154": "CCSPR/152", "HCPCS/27447": "CCSPR/152"})
    codes = ["ICD9PCS/8154", "HCPCS/27447", "ICD9PCS/3893"]
    assert category_of(codes, rules).to_pylist() == ["CCSPR/152", "CCSPR/152", "ICD9PCSGROUP/38"]


def test_a_procedure_table_leaves_the_systems_that_it_does_not_list_as_they_ship():
    rules = category_rules(procedure_ccs={"HCPCS/27447": "CCSPR/152"})
    assert category_of(["HCPCS/27447", "ICD9PCS/3722"], rules).to_pylist() == ["CCSPR/152", "CCSPR/47"]


def test_classes_of_drugs_ship_and_others_take_their_place():
    assert category_rules().wider_category("DRUG/METFORMIN") == "EPC/BIGUANIDE"
    rules = category_rules(drug_classes={"METFORMIN": "SUGAR"})
    assert rules.wider_category("DRUG/METFORMIN") == "EPC/SUGAR"
    assert rules.wider_category("DRUG/LISINOPRIL") is None
    assert category_rules(drug_classes={}).wider_category("DRUG/METFORMIN") is None


@pytest.mark.parametrize(
    ("code", "chapter"),
    [
        ("ICD9CM/0010", "ICD9CHAPTER/1"),
        ("ICD9CM/49392", "ICD9CHAPTER/8"),
        ("ICD9CM/999", "ICD9CHAPTER/17"),
        ("ICD9CM/V1046", "ICD9CHAPTER/18"),
        ("ICD9CM/E8120", "ICD9CHAPTER/19"),
        ("ICD9CM/000", None),
        ("ICD10CM/E1165", "ICD10CHAPTER/4"),
        ("ICD10CM/U071", "ICD10CHAPTER/22"),
        ("ICD10CM/J45999", "ICD10CHAPTER/10"),
        ("ICD10CM/A11", None),
    ],
)
def test_a_diagnosis_has_the_chapter_of_its_classification(code, chapter):
    assert chapter_of(code) == chapter


def test_only_diagnoses_have_chapters_and_parents():
    with pytest.raises(ValueError, match="expected an ICD9CM or ICD10CM code"):
        chapter_of("DRG/470")
    with pytest.raises(ValueError, match="expected an ICD10CM code"):
        icd10cm_parents("ICD9CM/49392")


def test_parents_of_an_icd10_code_lead_to_its_category():
    assert icd10cm_parents("ICD10CM/S72001A") == ("ICD10CM/S72001", "ICD10CM/S7200", "ICD10CM/S720", "ICD10CM/S72")
    assert icd10cm_parents("ICD10CM/E11") == ()
    assert icd10cm_parents("ICD10CM/E1199") == ()


def test_public_lists_know_billable_codes_and_leave_other_systems_open():
    codes = [
        "ICD9CM/49392",
        "ICD9CM/493",
        "ICD10CM/E1165",
        "ICD9PCS/8154",
        "ICD10PCS/0SR90JZ",
        "ICD10PCS/0000000",
        "REV/0450",
    ]
    lists = [listed_codes(code.partition("/")[0]) for code in codes]
    listed = [None if known is None else code in known for code, known in zip(codes, lists, strict=True)]
    assert listed == [True, False, True, True, True, False, None]
    assert [system for system in SYSTEMS if listed_codes(system)] == ["ICD9CM", "ICD10CM", "ICD9PCS", "ICD10PCS"]


def test_ccs_equals_the_table_that_ahrq_published(claims_data_dir):
    folder = claims_data_dir / "terminology" / "ccs_icd9"
    with (folder / "dxref_2015.csv").open(newline="") as file:
        published = {row[0].strip("' "): row[1].strip("' ") for row in list(csv.reader(file))[3:]}
    ours = {code.removeprefix("ICD9CM/"): category.removeprefix("CCS/") for code, category in read_ccs().items()}
    assert ours == published
    assert len(ours) == 15_072
    with (folder / "dxref_2015_clean.csv").open(newline="") as file:
        clean = {row[0]: row[1] for row in list(csv.reader(file))[2:]}
    assert {code for code in ours if clean[code] != ours[code]} == DIFFERENT_IN_THE_CLEAN_COPY


def test_procedures_of_ahrq_group_every_code_of_the_public_list(claims_data_dir):
    table = read_procedure_ccs(claims_data_dir / "terminology" / "ccs_icd9" / "prref_2015.csv")
    rules = category_rules(["ICD9PCS"], procedure_ccs=table)
    assert len(table) == 3_948
    assert {code: rules.category(code) for code in table} == table
    assert {rules.category(code).partition("/")[0] for code in listed_codes("ICD9PCS")} == {"CCSPR"}
