"""CMS's lists of planned stays: what is shipped equals the public files, and means what they say."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.planned_readmission import (
    ACUTE_DIAGNOSIS,
    ALWAYS_DIAGNOSIS,
    ALWAYS_PROCEDURE,
    KINDS,
    MAJOR_SURGERY,
    POTENTIAL_PROCEDURE,
    PSYCHIATRIC,
    _build_planned_rules,
    _planned_rules,
    has_kind,
)

DATA = os.environ.get("CLAIMS_DATA_DIR")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ICD9PCS/5569", ALWAYS_PROCEDURE),  # kidney transplant
        ("ICD10PCS/0TY00Z0", ALWAYS_PROCEDURE),
        ("ICD9CM/V5789", ALWAYS_DIAGNOSIS),  # rehabilitation
        ("ICD10CM/Z5111", ALWAYS_DIAGNOSIS),  # chemotherapy
        ("ICD9PCS/8154", POTENTIAL_PROCEDURE),  # knee replacement
        ("ICD10PCS/0SRD0J9", POTENTIAL_PROCEDURE),
        ("ICD9CM/41071", ACUTE_DIAGNOSIS),
        ("ICD10CM/I214", ACUTE_DIAGNOSIS),
        ("ICD9CM/29570", PSYCHIATRIC),
        ("ICD10PCS/0SRD0J9", MAJOR_SURGERY),
    ],
)
def test_well_known_codes_have_their_kind(code, kind):
    assert has_kind(pa.array([code]), [kind]).tolist() == [True]


def test_a_code_without_a_kind_and_a_null_have_none():
    # A diagnosis in a column of procedures is none of those that it begins like.
    codes = pa.array(
        [
            "ICD9CM/4019",
            "ICD10CM/I10",
            "HCPCS/99213",
            "ICD9PCS/41001",
            "ICD9PCS/81541",
            "ICD9PCS/4280",
            "ICD9PCS/514",
            None,
        ]
    )
    assert not has_kind(codes, KINDS).any()


def test_of_several_codes_that_it_leads_back_to_one_alone_does_not_decide_what_a_diagnosis_is():
    # 414.01 before the acute 429.2; the acute 401.0 before 401.1 and 401.9.
    assert has_kind(pa.array(["ICD9CM/4292", "ICD9CM/4010"]), [ACUTE_DIAGNOSIS]).all()
    assert not has_kind(pa.array(["ICD10CM/I2510", "ICD10CM/I10"]), [ACUTE_DIAGNOSIS]).any()


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(ValueError, match="found ELECTIVE"):
        has_kind(pa.array(["ICD9CM/4019"]), ["ELECTIVE"])


def test_the_shipped_kinds_are_the_named_ones():
    kinds = {kind for joint in _planned_rules().prefixes.values() for kind in joint.split("+")}
    assert kinds - {""} == set(KINDS)


def test_a_list_without_rows_is_refused(tmp_path):
    for name in ("always_planned_ccs_diagnosis_category", "acute_diagnosis_ccs"):
        (tmp_path / f"{name}.csv").write_text("ccs,description\n")
    with pytest.raises(ClaimDataError, match="E_COLUMN: expected rows below the header"):
        _build_planned_rules(tmp_path, tmp_path, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_the_shipped_lists_are_the_public_ones():
    folder = Path(str(DATA)) / "terminology"
    built = _build_planned_rules(
        folder / "readmissions_cms",
        folder / "ccs_icd9" / "prref_2015.csv",
        folder / "gem" / "icd9toicd10pcsgem.csv.gz",
    )
    assert built == _planned_rules()
