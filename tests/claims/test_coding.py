"""Codes of raw columns: surveyed as distinct values, rewritten where something changes."""

import pyarrow as pa
import pytest

from claim_transformers.claims.coding import find_changed_columns, rewrite_codes, survey_codes
from claim_transformers.claims.engine import connect, fetch, load


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


def _load(connection, **columns):
    return load(
        connection, "codes", pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    )


def test_counts_are_of_occurrences_over_all_columns(connection) -> None:
    rows = _load(connection, a=["401.9", "4019", None], b=["401.9", "?", "v10"])
    (survey,) = survey_codes(connection, rows, ["a", "b"], ["ICD9CM"])
    assert (survey.distinct, survey.occurrences) == (4, 5)
    assert dict(survey.fixes) == {"F_CODE_FORM": 3}
    assert dict(survey.quarantined) == {"R_CODE_TEXT": 1}
    assert sorted(survey.changed.to_pylist()) == ["401.9", "?", "v10"]


def test_the_survey_keeps_canonical_codes_with_their_counts(connection) -> None:
    rows = _load(connection, a=["401.9", "4019", None], b=["401.9", "?", "v10"])
    (survey,) = survey_codes(connection, rows, ["a", "b"], ["ICD9CM"])
    kept = survey.kept.group_by("code").aggregate([("count", "sum")]).sort_by("code")
    assert list(zip(*kept.to_pydict().values(), strict=True)) == [("ICD9CM/4019", 3), ("ICD9CM/V10", 1)]


def test_canonical_codes_need_no_rewriting(connection) -> None:
    rows = _load(connection, a=["4019", None])
    (survey,) = survey_codes(connection, rows, ["a"], ["ICD9CM"])
    assert len(survey.changed) == 0


def test_columns_without_any_code_are_surveyed_as_empty(connection) -> None:
    (survey,) = survey_codes(connection, _load(connection, a=[None, None]), ["a"], ["DRG"])
    assert (survey.distinct, survey.occurrences, len(survey.changed)) == (0, 0, 0)


def test_rewriting_gives_what_the_survey_announced(connection) -> None:
    rows = _load(connection, a=["401.9", "4019", None, "?", " e11.9 "])
    code = fetch(connection, rewrite_codes(rows, ["a"], ["ICD9CM"]))["a"].to_pylist()
    assert code == ["4019", "4019", None, None, None]


def test_codes_of_several_systems_are_surveyed_apart(connection) -> None:
    rows = _load(connection, a=["E119", "E119", "E8889"], system=["ICD10CM", "ICD9CM", "ICD9CM"])
    icd9, icd10 = survey_codes(connection, rows, ["a"], ["ICD9CM", "ICD10CM"], rows.system)
    assert (icd9.distinct, icd10.distinct, len(icd9.changed), len(icd10.changed)) == (2, 1, 0, 0)


def test_the_system_of_the_row_decides(connection) -> None:
    rows = _load(connection, a=["E119", "E119", "E8889"], system=["ICD10CM", "ICD9CM", "ICD9CM"])
    rewritten = rewrite_codes(rows, ["a"], ["ICD9CM", "ICD10CM"], rows.system)
    assert fetch(connection, rewritten)["a"].to_pylist() == ["E119", "E119", "E8889"]


def test_a_tolerant_column_keeps_what_looks_like_a_code_and_nothing_else(connection) -> None:
    rows = _load(connection, a=["8154", "51881", "V49.76", "42.80", "486", "4019", "[MASK]", "<script>"])
    (survey,) = survey_codes(connection, rows, ["a"], ["ICD9PCS"], tolerant=True)
    assert dict(survey.warnings) == {"W_UNKNOWN_CODE": 4, "W_AMBIGUOUS_CODE": 1}
    assert dict(survey.quarantined) == {"R_CODE_TEXT": 2}
    assert sorted(survey.kept["code"].to_pylist()) == [
        f"ICD9PCS/{bare}" for bare in ("4019", "4280", "486", "51881", "8154", "V4976")
    ]
    code = fetch(connection, rewrite_codes(rows, ["a"], ["ICD9PCS"], tolerant=True))["a"].to_pylist()
    assert code == ["8154", "51881", "V4976", "4280", "486", "4019", None, None]


def test_glued_modifiers_are_kept_beside_the_code(connection) -> None:
    rows = fetch(connection, rewrite_codes(_load(connection, h=["9921325", "99213"]), ["h"], ["HCPCS"]))
    assert rows["h"].to_pylist() == ["99213", "99213"]
    assert rows["h_modifiers"].to_pylist() == ["25", None]


def test_only_columns_with_a_changed_code_are_rewritten(connection) -> None:
    rows = _load(connection, a=["4019"], b=["401.9"], c=[None])
    assert find_changed_columns(connection, rows, ["a", "b", "c"], pa.array(["401.9"])) == ["b"]
