import ibis
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from claim_transformers.codes import (
    SYSTEMS,
    ClaimDataError,
    modifiers_expr,
    normalize_code,
    normalize_codes,
    normalize_expr,
    split_modifiers,
)
from claim_transformers.codes.forms import _FORMS, whole

RIGHT_TO_LEFT_MARK = "\u200f"

# Row of the catalogue of faults, system, text of the claim, canonical code.
ACCEPTED = [
    (40, "ICD9CM", " 493.92\u00a0", "49392"),
    (40, "ICD9CM", "v10.46", "V1046"),
    (40, "ICD9CM", "e812.0", "E8120"),
    (40, "ICD9CM", "008.45", "00845"),
    (40, "ICD9CM", "250.", "250"),
    (40, "ICD10CM", "\te11.65\n", "E1165"),
    (40, "ICD10CM", "s72.001a", "S72001A"),
    (40, "ICD10CM", "C7A.8", "C7A8"),
    (40, "ICD10CM", "QA0.0101", "QA00101"),
    (40, "ICD9PCS", "81.54", "8154"),
    (40, "ICD9PCS", "00.1", "001"),
    (40, "ICD10PCS", "0sr90jz", "0SR90JZ"),
    (43, "ICD9CM", "845", "845"),
    (44, "NDC", "0093-0145-05", "00093014505"),
    (44, "NDC", "00093-145-05", "00093014505"),
    (44, "NDC", "00093-0145-5", "00093014505"),
    (44, "NDC", "00093-0145-05", "00093014505"),
    (44, "NDC", "00093014505", "00093014505"),
    (46, "HCPCS", "99213", "99213"),
    (46, "HCPCS", "9921325", "99213"),
    (46, "HCPCS", "99213-25-59", "99213"),
    (46, "HCPCS", "a0425", "A0425"),
    (46, "HCPCS", "0001F", "0001F"),
    (46, "HCPCS", "1AFKS", "1AFKS"),
    (47, "REV", "450", "0450"),
    (47, "REV", "1", "0001"),
    (47, "DRG", "1", "001"),
    (47, "POS", "2", "02"),
    (47, "DISP", "1", "01"),
    (50, "DRUG", "albuterol sulfate", "ALBUTEROL_SULFATE"),
    (50, "DRUG", "amoxicillin / clavulanate", "AMOXICILLIN_CLAVULANATE"),
]

REFUSED = [
    (43, "ICD9CM", "1E10", "R_ICDFORM"),
    (43, "ICD9CM", "1.00E+10", "R_ICDFORM"),
    (43, "ICD9CM", "8.45", "R_ICDFORM"),
    (43, "ICD9CM", "45", "R_ICDFORM"),
    (43, "ICD9CM", "493920", "R_ICDFORM"),
    (43, "ICD9CM", "49.392", "R_ICDFORM"),
    (43, "ICD9CM", "E81", "R_ICDFORM"),
    (43, "ICD10CM", "1E10", "R_ICDFORM"),
    (43, "ICD10CM", "E1", "R_ICDFORM"),
    (43, "ICD10CM", "S72001AA", "R_ICDFORM"),
    (43, "ICD9PCS", "1.54", "R_ICDFORM"),
    (43, "ICD10PCS", "16070", "R_ICDFORM"),
    (43, "ICD10PCS", "0SRO0JZ", "R_ICDFORM"),
    (44, "NDC", "0093014505", "R_NDC10"),
    (45, "NDC", "93014505", "R_NDC"),
    (45, "NDC", "00000000000", "R_NDC"),
    (45, "NDC", "0000-0000-00", "R_NDC"),
    (45, "NDC", "0000000000", "R_NDC"),
    (45, "NDC", "99999999999", "R_NDC"),
    (45, "NDC", "9.30145E+10", "R_NDC"),
    (45, "NDC", "009301450512", "R_NDC"),
    (46, "HCPCS", "9921", "R_HCPCS"),
    (46, "HCPCS", "992132", "R_HCPCS"),
    (46, "HCPCS", "OTHER", "R_HCPCS"),
    (46, "HCPCS", "00093014505", "R_HCPCS"),
    (47, "ICD10CM", "99213", "R_ICDFORM"),
    (47, "ICD9PCS", "49392", "R_ICDFORM"),
    (47, "REV", "99213", "R_DOMAIN"),
    (47, "DRG", "I509", "R_DOMAIN"),
    (47, "DRG", "OTH", "R_DOMAIN"),
    (47, "POS", "111", "R_DOMAIN"),
    (47, "DISP", "A1", "R_DOMAIN"),
    *(
        (50, system, text, "R_CODE_TEXT")
        for system in SYSTEMS
        for text in (
            "[MASK]",
            "<s>",
            "49|392",
            f"493{RIGHT_TO_LEFT_MARK}92",
            "9" * 1_000_000,
            "493\x0092",
            "\u0661\u0662\u0663",
        )
    ),
]


def run_expression(system, raw):
    column = ibis.memtable(pa.table({"position": range(len(raw)), "raw": pa.array(raw, pa.string())}))
    code, reason = normalize_expr(system, column.raw)
    rows = column.select(column.position, code=code, reason=reason, modifiers=modifiers_expr(column.raw))
    found = rows.to_pyarrow().sort_by("position")
    return found["code"].to_pylist(), found["reason"].to_pylist(), found["modifiers"].to_pylist()


def run_scalar(system, raw):
    codes, reasons = [], []
    for text in raw:
        code = reason = None
        try:
            code = normalize_code(system, text)
        except ClaimDataError as error:
            is_blank = not text.replace("\u00a0", " ").strip(" \t\n\v\f\r")
            reason = None if is_blank else error.reason_code
        codes.append(code)
        reasons.append(reason)
    return codes, reasons


@pytest.mark.parametrize(("row", "system", "raw", "code"), ACCEPTED)
def test_text_of_a_code_becomes_its_canonical_form(row, system, raw, code):
    assert normalize_code(system, raw) == code


@pytest.mark.parametrize(("row", "system", "raw", "reason"), REFUSED)
def test_text_that_is_no_code_is_refused_with_its_reason(row, system, raw, reason):
    with pytest.raises(ClaimDataError) as caught:
        normalize_code(system, raw)
    assert caught.value.reason_code == reason


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_catalogue_reads_the_same_in_arrow_and_in_the_database(system):
    cases: list[tuple[str, str | None, str | None]]
    cases = [(raw, code, None) for _, name, raw, code in ACCEPTED if name == system]
    cases += [(raw, None, reason) for _, name, raw, reason in REFUSED if name == system]
    raw, codes, reasons = (list(column) for column in zip(*cases, strict=True))
    found = normalize_codes(system, pa.array(raw))
    assert (found.codes.to_pylist(), found.reasons.to_pylist()) == (codes, reasons)
    assert run_expression(system, raw)[:2] == (codes, reasons)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_message_never_holds_the_text(system):
    with pytest.raises(ClaimDataError) as caught:
        normalize_code(system, "QZQ~QZQ")
    assert "QZQ" not in str(caught.value)


# Text near the accepted shapes, and any text at all.
NEAR_CODES = st.text(
    alphabet=[*"0159aAeEvVxX.-,/_ +|[]", "\u00a0", "\t", "\n", "\u0131", "\u017f", "\u00df"], max_size=14
)
REPEATED = st.builds(str.__mul__, NEAR_CODES, st.integers(2, 40))
TEXTS = st.one_of(NEAR_CODES, REPEATED, st.text(max_size=20))


def texts_of(system):
    accepted = st.one_of([st.from_regex(whole(shape.pattern)) for shape in _FORMS[system].shapes])
    padded = st.tuples(st.sampled_from(["", " ", "\u00a0", "\t"]), accepted, st.sampled_from(["", "\n", " ", "x"]))
    return st.one_of(padded.map("".join), TEXTS)


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_three_forms_of_the_rules_agree(system, data):
    raw = data.draw(st.lists(texts_of(system), min_size=30, max_size=60))
    column = normalize_codes(system, pa.array(raw, pa.string()))
    codes, reasons, modifiers = run_expression(system, raw)
    assert column.codes.to_pylist() == codes
    assert column.reasons.to_pylist() == reasons
    assert run_scalar(system, raw) == (codes, reasons)
    if system == "HCPCS":
        assert column.modifiers.to_pylist() == modifiers
        glued = [
            "".join(split_modifiers(text)[1]) or None if code else None for text, code in zip(raw, codes, strict=True)
        ]
        assert glued == modifiers


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_canonical_code_is_its_own_canonical_form(system, data):
    raw = data.draw(texts_of(system))
    try:
        code = normalize_code(system, raw)
    except ClaimDataError:
        return
    assert normalize_code(system, code) == code
    assert not normalize_codes(system, pa.array([code])).fixes


@settings(max_examples=200, deadline=None)
@given(st.from_regex(whole("[0-9]{1,12}|[0-9]{1,5}[.][0-9]{1,3}")))
@example("0")
def test_an_icd_code_is_never_padded(text):
    digits = text.strip().replace(".", "")
    for system in ("ICD9CM", "ICD10CM", "ICD9PCS", "ICD10PCS"):
        code = normalize_codes(system, pa.array([text])).codes[0].as_py()
        assert code in (None, digits)


def test_null_and_blank_cells_are_absent_codes_without_a_reason():
    column = normalize_codes("ICD9CM", pa.array([None, "", " \u00a0\t", "250"]))
    assert column.codes.to_pylist() == [None, None, None, "250"]
    assert column.reasons.null_count == 4
    assert not column.fixes
    assert run_expression("ICD9CM", [None, "", " \u00a0\t", "250"])[:2] == ([None, None, None, "250"], [None] * 4)


def test_a_single_blank_text_is_refused():
    with pytest.raises(ClaimDataError, match=r"R_CODE_TEXT.*blank"):
        normalize_code("ICD9CM", " ")


def test_fixes_are_counted_per_cell_and_not_per_distinct_text():
    ndc = normalize_codes("NDC", pa.array(["0093-0145-05", "0093-0145-05", "00093014505", "0093014505"]))
    assert dict(ndc.fixes) == {"F_NDC": 2}
    hcpcs = normalize_codes("HCPCS", pa.array(["9921325", "a0425", "99213", "9921325"]))
    assert dict(hcpcs.fixes) == {"F_MODIFIER": 2, "F_CODE_FORM": 1}
    assert hcpcs.modifiers.to_pylist() == ["25", None, None, "25"]


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["493.92"], ["493.92", None]]),
        pa.array(["493.92", "493.92", None]).dictionary_encode(),
        pa.array(["493.92", "493.92", None], pa.large_string()),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["493.92", "493.92", None])),
    ],
    ids=["chunked", "dictionary", "large", "dictionary with a repeat and a null"],
)
def test_every_layout_of_a_column_gives_the_same_codes(column):
    assert normalize_codes("ICD9CM", column).codes.to_pylist() == ["49392", "49392", None]


def test_a_column_without_a_row_and_one_of_nulls_pass():
    assert len(normalize_codes("NDC", pa.array([], pa.string())).codes) == 0
    assert normalize_codes("NDC", pa.nulls(2)).codes.null_count == 2
    assert len(normalize_codes("NDC", pa.chunked_array([], pa.string())).codes) == 0


def test_codes_read_as_numbers_are_refused():
    with pytest.raises(ValueError, match="read code columns as strings"):
        normalize_codes("NDC", pa.array([93014505]))


@pytest.mark.parametrize("normalize", [normalize_code, normalize_codes, normalize_expr])
def test_an_unknown_system_is_refused(normalize):
    columns = {normalize_code: "1", normalize_codes: pa.array(["1"]), normalize_expr: ibis.literal("1")}
    with pytest.raises(ValueError, match="expected one of the code systems"):
        normalize("ICD11", columns[normalize])


@pytest.mark.parametrize(
    ("raw", "modifiers"),
    [
        ("99213", ()),
        ("9921325", ("25",)),
        ("99213 25 59", ("25", "59")),
        ("a0425-gm", ("GM",)),
        ("992132559", ("25", "59")),
    ],
)
def test_modifiers_behind_a_code_are_split_in_their_order(raw, modifiers):
    code, found = split_modifiers(raw)
    assert found == modifiers
    assert code == normalize_code("HCPCS", raw)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("dialect", ["duckdb", "pyspark", "snowflake", "bigquery"])
def test_the_expression_compiles_for_every_engine(dialect, system):
    lines = ibis.table({"raw": "string"}, name="lines")
    code, reason = normalize_expr(system, lines.raw)
    sql = str(ibis.to_sql(lines.select(code=code, reason=reason), dialect=dialect))
    assert _FORMS[system].reason in sql
