import zipfile

import pytest

from claim_transformers.codes import ClaimDataError, backoff_chain, category_rules, read_ndc_directory

HEAD = ("PRODUCTID", "PRODUCTNDC", "PROPRIETARYNAME", "NONPROPRIETARYNAME", "SUBSTANCENAME", "PHARM_CLASSES")
STATIN = "HMG-CoA Reductase Inhibitor [EPC],Hydroxymethylglutaryl-CoA Reductase Inhibitors [MoA]"
BETA2 = "Adrenergic beta2-Agonists [MoA], beta2-Adrenergic Agonist [EPC]"


def product(ndc, substances, name="", classes=""):
    return ("id", ndc, "Brand\xae", name, substances, classes)


def write(path, *rows, head=HEAD):
    # One byte of a brand name is Latin-1 in an otherwise UTF-8 file.
    text = "".join("\t".join(row) + "\r\n" for row in (head, *rows))
    path.write_bytes(text.encode("latin-1"))
    return path


@pytest.mark.parametrize(
    ("ndc", "product_code"), [("0093-0145", "000930145"), ("50090-123", "500900123"), ("50090-1234", "500901234")]
)
def test_labeler_and_product_get_their_zeros(tmp_path, ndc, product_code):
    directory = read_ndc_directory(write(tmp_path / "product.txt", product(ndc, "ALBUTEROL SULFATE")))
    assert dict(directory.ingredients) == {product_code: "ALBUTEROL"}


@pytest.mark.parametrize(
    ("substances", "name"),
    [
        ("METOPROLOL TARTRATE", "METOPROLOL"),
        ("LEVOTHYROXINE SODIUM ANHYDROUS", "LEVOTHYROXINE"),
        ("SALMETEROL XINAFOATE", "SALMETEROL"),
        ("AMPHETAMINE ASPARTATE MONOHYDRATE", "AMPHETAMINE"),
        ("DEXTROAMPHETAMINE SACCHARATE", "DEXTROAMPHETAMINE"),
        ("SODIUM CHLORIDE", "SODIUM_CHLORIDE"),
        ("POTASSIUM CITRATE; CITRIC ACID MONOHYDRATE", "CITRIC_ACID-POTASSIUM_CITRATE"),
        ("CLAVULANATE POTASSIUM; AMOXICILLIN", "AMOXICILLIN-CLAVULANATE"),
        ("INSULIN GLARGINE", "INSULIN_GLARGINE"),
        ("", "FERROUS_FUMARATE-FOLIC_ACID"),
    ],
)
def test_ingredients_stand_without_salts_in_one_order(tmp_path, substances, name):
    rows = write(tmp_path / "product.txt", product("0093-0145", substances, "folic acid and ferrous fumarate"))
    assert set(read_ndc_directory(rows).ingredients.values()) == {name}


def test_a_name_that_is_too_long_keeps_the_first_ingredients(tmp_path):
    many = "; ".join(f"VITAMIN NUMBER {letter}" for letter in "HGFEDCBA")
    directory = read_ndc_directory(write(tmp_path / "product.txt", product("0093-0145", many)))
    assert directory.ingredients["000930145"] == "VITAMIN_NUMBER_A-VITAMIN_NUMBER_B-VITAMIN_NUMBER_C-OTHERS"


def test_a_drug_has_the_class_of_most_of_its_products(tmp_path):
    rows = [product(f"0093-{number:04d}", "ALBUTEROL", classes=BETA2) for number in (1, 2)]
    rows += [product("0093-0003", "ALBUTEROL", classes="Other Thing [EPC]")]
    rows += [product("0093-0004", "SIMVASTATIN", classes=STATIN), product("0093-0005", "WATER")]
    directory = read_ndc_directory(write(tmp_path / "product.txt", *rows))
    assert directory.classes == {
        "ALBUTEROL": "BETA2-ADRENERGIC_AGONIST",
        "SIMVASTATIN": "HMG-COA_REDUCTASE_INHIBITOR",
    }


def test_an_ndc_backs_off_to_its_ingredient_and_then_to_its_class(tmp_path):
    row = product("0093-0145", "SIMVASTATIN", classes=STATIN)
    directory = read_ndc_directory(write(tmp_path / "product.txt", row))
    rules = category_rules(drug_ingredients=directory.ingredients, drug_classes=directory.classes)
    above = ("DRUG/SIMVASTATIN", "EPC/HMG-COA_REDUCTASE_INHIBITOR")
    assert backoff_chain("NDC/00093014505", rules) == ("NDC/00093014505", "NDC/000930145", *above, "UNK/NDC")
    assert backoff_chain("DRUG/SIMVASTATIN", rules) == (*above, "UNK/DRUG")
    assert type(rules).from_dict(rules.to_dict()) == rules


def test_the_zip_file_of_the_fda_is_read_as_it_is(tmp_path):
    write(tmp_path / "product.txt", product("0093-0145", "ALBUTEROL"))
    with zipfile.ZipFile(tmp_path / "ndctext.zip", "w") as archive:
        archive.write(tmp_path / "product.txt", "product.txt")
        archive.writestr("package.txt", "")
    assert read_ndc_directory(tmp_path / "ndctext.zip") == read_ndc_directory(tmp_path / "product.txt")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ClaimDataError, match=r"E_COLUMN.*missing \['SUBSTANCENAME'\]"):
        read_ndc_directory(write(tmp_path / "product.txt", head=[name for name in HEAD if name != "SUBSTANCENAME"]))
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT.*found none"):
        read_ndc_directory(write(tmp_path / "product.txt", product("wrong", "ALBUTEROL")))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT.*expected product.txt in the zip file"):
        read_ndc_directory(tmp_path / "a.zip")
