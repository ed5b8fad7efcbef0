"""Codes of a CDM, triple by triple: source value, source concept, standard concept."""

import pyarrow as pa
import pytest

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.omop.concepts import CodeTriple, _judge, read_codes

Triple = tuple[str, str | None, str | None, str | None, str | None]
COLUMNS = ("key_source", "source_code", "source_vocabulary", "code", "vocabulary")
TRIPLE = CodeTriple("condition_concept_id", "condition_source_value", "condition_source_concept_id")


def judge(*triples: Triple, declared: str | None = None) -> list[tuple[str | None, str | None]]:
    """Code with its system, and what was done to it or why there is none."""
    columns = {
        name: pa.array(cells, pa.string()) for name, cells in zip(COLUMNS, zip(*triples, strict=True), strict=True)
    }
    keys = {name: pa.array([""] * len(triples)) for name in ("key_source_concept", "key_standard")}
    found = _judge(pa.table(columns | keys), declared, has_source=True).to_pylist()
    return [(row["code"] and f"{row['code_system']}/{row['code']}", row["code_note"]) for row in found]


@pytest.mark.parametrize(
    ("triple", "expected"),
    [
        (("E11.9", "E11.9", "ICD10CM", "44054006", "SNOMED"), ("ICD10CM/E119", "F_CODE_FORM")),
        (("E119", "E11.9", "ICD10CM", "44054006", "SNOMED"), ("ICD10CM/E119", None)),
        (("65363002.0", "65363002", "SNOMED", None, None), ("SNOMED/65363002", "F_CODE_FLOAT")),
        (("308182.0", "308182", "RxNorm", None, None), ("RXNORM/308182", "F_CODE_FLOAT")),
        (("93014505.0", "00093014505", "NDC", None, None), ("NDC/00093014505", "F_CODE_FLOAT")),
        # What was 038.9 and what was 389.0 is known by the concept alone.
        (("389.0", "038.9", "ICD9CM", "91302008", "SNOMED"), ("ICD9CM/0389", "F_CODE_FLOAT")),
        (("389.0", "389.0", "ICD9CM", "91302008", "SNOMED"), ("ICD9CM/3890", "F_CODE_FORM")),
        (("8.0", None, "CVX", "1", "SNOMED"), (None, "R_CODE_FLOAT")),
        (("8.0", "08", "CVX", None, None), ("CVX/08", "F_CODE_FLOAT")),
        (("213.0", None, "CPT4", "1", "SNOMED"), (None, "R_CODE_FLOAT")),
        (("diabetes, type 2", "E11.9", "ICD10CM", None, None), ("ICD10CM/E119", "F_SOURCE_VALUE")),
        (("", "E11.9", "ICD10CM", None, None), ("ICD10CM/E119", None)),
        (("", None, None, "44054006", "SNOMED"), ("SNOMED/44054006", "W_STANDARD_CODE")),
        (("LOC1", "LOC1", "of the site", "44054006", "SNOMED"), ("SNOMED/44054006", "W_STANDARD_CODE")),
        (("LOC1", "LOC1", "of the site", None, None), (None, "R_CODE_SYSTEM")),
        (("1E10", None, "ICD10CM", None, None), (None, "R_ICDFORM")),
        (("No matching concept", None, None, None, None), (None, "R_NO_CODE")),
        (("0", None, None, None, None), (None, "R_NO_CODE")),
        (("A10.B", "A10.B", "ICD10", None, None), ("ICD10/A10.B", None)),
    ],
)
def test_the_first_that_is_a_code_counts(triple: Triple, expected: tuple[str | None, str | None]) -> None:
    assert judge(triple) == [expected]


def test_a_point_is_that_of_a_code_where_one_code_of_the_column_shows_it() -> None:
    floats = [(text, None, "ICD9CM", None, None) for text in ("389.0", "4019.0")]
    assert judge(*floats) == [(None, "R_CODE_FLOAT")] * 2
    found = judge(*floats[:1], ("V58.61", None, "ICD9CM", None, None))
    assert found == [("ICD9CM/3890", "F_CODE_FORM"), ("ICD9CM/V5861", "F_CODE_FORM")]


def test_a_declared_system_is_that_of_values_without_a_concept_alone() -> None:
    found = judge(("I10", None, None, None, None), ("4280", "4280", "ICD9CM", None, None), declared="ICD10CM")
    assert found == [("ICD10CM/I10", None), ("ICD9CM/4280", None)]


def test_no_triple_is_no_code() -> None:
    empty = pa.table({name: pa.array([], pa.string()) for name in (*COLUMNS, "key_source_concept", "key_standard")})
    assert _judge(empty, None, has_source=True).num_rows == 0


def test_codes_are_joined_back_to_every_row_also_where_columns_are_empty() -> None:
    connection = connect(threads=1)
    rows = pa.table(
        {
            "condition_concept_id": ["2", "2", None, "2"],
            "condition_source_value": ["E11.9", "E11.9", None, None],
            "condition_source_concept_id": ["1", "1", "0", None],
            "row_no": [1, 2, 3, 4],
        }
    )
    concepts = pa.table(
        {"concept_id": ["1", "2", "3"], "concept_code": ["E11.9", "44054006", "1"]}
        | {"vocabulary_id": ["ICD10CM", "SNOMED", "SNOMED"]}
    )
    raw = load(connection, "raw", rows)
    read = read_codes(connection, raw, TRIPLE, load(connection, "concept", concepts), None, "condition_occurrence")
    found = fetch(connection, read.join(raw).order_by("row_no").select("code", "code_system")).to_pylist()
    expected = [("E119", "ICD10CM"), ("E119", "ICD10CM"), (None, None), ("44054006", "SNOMED")]
    assert [(row["code"], row["code_system"]) for row in found] == expected
    assert read.systems == ("ICD10CM", "SNOMED")
    of_icd = [fetch(connection, read.pick(raw, "ICD10CM", is_of=is_of)).num_rows for is_of in (True, False)]
    assert of_icd == [2, 2]
    with pytest.raises(ClaimDataError, match=r"E_CODE_SYSTEM: .* eras are, found none: add it$"):
        read_codes(connection, raw, CodeTriple("condition_concept_id"), None, "SNOMED", "eras")
