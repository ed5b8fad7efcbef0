"""Patterns of codes, and the built-in definitions against the public lists."""

import pyarrow as pa
import pytest

from claim_transformers.cohorts import load_definition
from claim_transformers.cohorts.code_sets import find_codes, is_entry

SUICIDE = load_definition("suicide_attempt", "event").codes["suicide_attempt"]
ASTHMA = load_definition("asthma_exacerbation", "event").codes["asthma"]


def found(codes, entries):
    marks = find_codes(pa.array(codes), entries)
    return {code for code, mark in zip(codes, marks, strict=True) if mark}


def test_an_entry_stands_for_the_codes_beneath_it_and_for_no_other_system():
    codes = ["ICD9CM/493", "ICD9CM/49392", "ICD9CM/4940", "ICD10CM/49392", "HCPCS/ICD9CM/493"]
    assert found(codes, ["ICD9CM/493"]) == {"ICD9CM/493", "ICD9CM/49392"}


def test_a_question_mark_is_exactly_one_character_and_brackets_are_one_out_of_several():
    codes = ["ICD10CM/T360X2A", "ICD10CM/T36X2A", "ICD10CM/T350X2A", "ICD10CM/T3692XA", "ICD10CM/T390102A"]
    assert found(codes, ["ICD10CM/T3[69]??2"]) == {"ICD10CM/T360X2A"}
    assert found(codes, ["ICD10CM/T3[69]???2"]) == {"ICD10CM/T390102A"}


def test_what_is_taken_out_stays_out_whatever_the_order():
    codes = ["ICD10CM/X780XXA", "ICD10CM/X780XXD", "ICD10CM/X780"]
    for entries in (["ICD10CM/X78", "not ICD10CM/??????[DS]"], ["not ICD10CM/??????[DS]", "ICD10CM/X78"]):
        assert found(codes, entries) == {"ICD10CM/X780XXA", "ICD10CM/X780"}


def test_points_and_hyphens_of_other_systems_are_plain_characters():
    codes = ["MEDS/A.B", "MEDS/AXB", "LOINC/1-2", "LOINC/1X2"]
    assert found(codes, ["MEDS/A.B", "LOINC/1-2"]) == {"MEDS/A.B", "LOINC/1-2"}


def test_no_codes_at_all_are_no_codes_found():
    assert find_codes(pa.array([], pa.string()), ["ICD9CM/493"]).tolist() == []


@pytest.mark.parametrize(
    "text", ["493", "ICD9CM/", "ICD9CM/493.9", "icd9cm/493", "ICD9CM/4[", "ICD9CM/4[]", "notICD9CM/4 9"]
)
def test_what_is_no_entry_is_told(text):
    assert not is_entry(text)


def _icd10cm_leaves():
    library = pytest.importorskip("simple_icd_10_cm")
    codes = library.get_all_codes(with_dots=False)
    return library, [code for code in codes if len(code) > 3 and library.is_leaf(code)]


def test_suicide_attempt_in_icd10cm_is_every_first_encounter_described_as_self_harm_and_nothing_else():
    library, leaves = _icd10cm_leaves()
    # X71 to X83 is headed "Intentional self-harm"; its collisions of motor vehicles do not repeat the words.
    expected = {
        f"ICD10CM/{code}"
        for code in leaves
        if (
            any(
                words in library.get_description(code).lower()
                for words in ("intentional self-harm", "suicide attempt")
            )
            or "X71" <= code[:3] <= "X83"
        )
        and library.get_description(code).endswith("initial encounter")
    }
    assert len(expected) > 300
    assert found([f"ICD10CM/{code}" for code in leaves], SUICIDE) == expected


def test_suicide_attempt_in_icd9cm_is_self_inflicted_injury_without_late_effects_or_undetermined_intent():
    codes = [f"ICD9CM/{code}" for code in ("E9500", "E956", "E9589", "E959", "E9600", "E9809", "9500", "E9499")]
    assert found(codes, SUICIDE) == {"ICD9CM/E9500", "ICD9CM/E956", "ICD9CM/E9589"}


def test_asthma_in_icd10cm_is_every_code_described_as_asthma_of_its_category():
    _, leaves = _icd10cm_leaves()
    assert found([f"ICD10CM/{code}" for code in leaves], ASTHMA) == {
        f"ICD10CM/{code}" for code in leaves if code[:3] == "J45"
    }


def test_every_simulated_attempt_is_found():
    from claim_transformers.simulation.pediatric.codebook import _diagnosis_pools

    simulated = [f"ICD9CM/{code}" for code in _diagnosis_pools()["self_harm_cause"].split()]
    assert found(simulated, SUICIDE) == set(simulated)
