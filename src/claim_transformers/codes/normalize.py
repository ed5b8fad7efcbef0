"""Canonical form of codes: trimmed, upper case, without a dot, zeros kept, never padded for ICD.

The same rules run in three places: [`normalize_code`] for one code, [`normalize_codes`] for an Arrow column, and
[`normalize_expr`] for a column of a database. All three read the table of `forms.py`.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.forms import (
    BLANKS,
    CODE_TEXT,
    NO_BREAK_SPACE,
    R_CODE_TEXT,
    Shape,
    describe_expected,
    form_of,
    whole,
)

_compile = functools.cache(re.compile)


def _trim(raw: str) -> str:
    return raw.replace(NO_BREAK_SPACE, " ").strip(BLANKS)


def _read(shape: Shape, text: str) -> str:
    """Return the text of a shape without separators and in upper case."""
    text = text.translate({ord(character): None for character in shape.drop})
    if shape.squeeze:
        text = _compile(shape.squeeze).sub("_", text)
    return text.upper().zfill(shape.fill)


def _cut(shape: Shape, text: str) -> str:
    if not shape.pieces:
        return text
    return "".join(piece if isinstance(piece, str) else text[slice(*piece)] for piece in shape.pieces)


def _match(system: str, raw: str) -> tuple[Shape, str]:
    """Return the shape of a code and its text, or raise the reason why it has none."""
    text = _trim(raw)
    form = form_of(system)
    for pattern, reason in form.refused:
        if _compile(pattern).fullmatch(text):
            raise ClaimDataError(reason, f"expected {describe_expected(system)}, found a form that names no drug")
    for shape in form.shapes:
        if _compile(shape.pattern).fullmatch(text):
            return shape, _read(shape, text)
    if _compile(CODE_TEXT).fullmatch(text):
        raise ClaimDataError(form.reason, f"expected {describe_expected(system)}, found another form")
    found = "characters or a length that no code has" if text else "blank text"
    raise ClaimDataError(R_CODE_TEXT, f"expected {describe_expected(system)}, found {found}")


def normalize_code(system: str, raw: str) -> str:
    """Return the canonical form of one code.

    Only the form is judged, never whether the code exists: `845` may be `00845` that a spreadsheet has damaged, but it
    is also the ICD-9-CM category of ankle sprains, so it stands. `1E10` is no ICD code whatever happened to it.

    Args:
        system (`str`): A name out of `SYSTEMS`; the column decides it, not the look of the code.
        raw (`str`): The text of the claim.

    Returns:
        `str`: The code, which is its own canonical form. Modifiers glued to a HCPCS code are left out; see
        [`split_modifiers`].

    Raises:
        ClaimDataError: With the reason `R_CODE_TEXT` (blank, too long, or characters that no code has), `R_ICDFORM`,
            `R_HCPCS`, `R_NDC`, `R_NDC10` or `R_DOMAIN`. The message never holds the text.
        ValueError: If the system is unknown.

    Examples:
        >>> normalize_code("ICD9CM", " 493.92 "), normalize_code("NDC", "0093-0145-05"), normalize_code("REV", "450")
        ('49392', '00093014505', '0450')
        >>> normalize_code("NDC", "0093014505")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: R_NDC10: expected an NDC code: 11 digits, or ...
    """
    shape, text = _match(system, raw)
    return _cut(shape, text)


def split_modifiers(raw: str) -> tuple[str, tuple[str, ...]]:
    """Split a HCPCS code and the modifiers written behind it (`F_MODIFIER`).

    Args:
        raw (`str`): The text of the claim: `99213`, `9921325`, `99213-25`, `99213 25 59`.

    Returns:
        `tuple[str, tuple[str, ...]]`: The code, and its modifiers of two characters in their order.

    Raises:
        ClaimDataError: With the reason `R_HCPCS` or `R_CODE_TEXT`. The message never holds the text.

    Examples:
        >>> split_modifiers("9921325")
        ('99213', ('25',))
    """
    shape, text = _match("HCPCS", raw)
    if not shape.modifiers_from:
        return text, ()
    glued = text[shape.modifiers_from :]
    return _cut(shape, text), tuple(glued[start : start + 2] for start in range(0, len(glued), 2))


@dataclass(frozen=True)
class NormalizedCodes:
    """A column of codes in canonical form.

    Args:
        codes (`pa.Array` of string): The codes; null where the cell was null, blank or refused.
        reasons (`pa.Array` of string): Reason code of a refused cell, null elsewhere.
        modifiers (`pa.Array` of string): Modifiers that were written behind a HCPCS code, glued (`2559`); null
            elsewhere.
        fixes (`Mapping[str, int]`): Number of cells that a rule has changed, by `F_CODE_FORM`, `F_NDC`, `F_MODIFIER`.

    Examples:
        >>> normalize_codes("HCPCS", pa.array(["9921325", "a0425", "?"])).fixes["F_MODIFIER"]
        1
    """

    codes: pa.Array
    reasons: pa.Array
    modifiers: pa.Array
    fixes: Mapping[str, int]


def _read_array(shape: Shape, text: pa.Array) -> pa.Array:
    for character in shape.drop:
        text = pc.replace_substring(text, character, "")
    if shape.squeeze:
        text = pc.replace_substring_regex(text, shape.squeeze, "_")
    text = pc.utf8_upper(text)
    return pc.utf8_lpad(text, shape.fill, "0") if shape.fill else text


def _cut_array(shape: Shape, text: pa.Array) -> pa.Array:
    if not shape.pieces:
        return text
    pieces = [
        pa.scalar(piece) if isinstance(piece, str) else pc.utf8_slice_codeunits(text, *piece) for piece in shape.pieces
    ]
    return pc.binary_join_element_wise(*pieces, "")


def _matches(text: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(text, whole(pattern))


def _normalize_distinct(system: str, raw: pa.Array) -> dict[str, pa.Array]:
    """Return code, reason, modifiers and fix of every string of an array without nulls."""
    form = form_of(system)
    text = pc.utf8_trim(pc.replace_substring(raw, NO_BREAK_SPACE, " "), BLANKS)
    nothing = pa.nulls(len(raw), pa.string())
    reason = pc.if_else(_matches(text, CODE_TEXT), pa.scalar(form.reason), pa.scalar(R_CODE_TEXT))
    reason = pc.if_else(pc.equal(text, ""), nothing, reason)
    code = modifiers = fix = nothing
    is_refused = pa.array([False] * len(raw), pa.bool_())
    for pattern, refusal in form.refused:
        is_match = pc.and_not(_matches(text, pattern), is_refused)
        reason = pc.if_else(is_match, pa.scalar(refusal), reason)
        is_refused = pc.or_(is_refused, is_match)
    for shape in form.shapes:
        is_match = pc.and_not(_matches(text, shape.pattern), is_refused)
        whole_text = _read_array(shape, text)
        code = pc.if_else(is_match, _cut_array(shape, whole_text), code)
        reason = pc.if_else(is_match, nothing, reason)
        is_changed = pc.and_(is_match, pc.not_equal(code, raw))
        fix = pc.if_else(pc.fill_null(is_changed, False), pa.scalar(shape.fix), fix)
        if shape.modifiers_from:
            glued = pc.utf8_slice_codeunits(whole_text, shape.modifiers_from)
            modifiers = pc.if_else(is_match, glued, modifiers)
    return {"code": code, "reason": reason, "modifiers": modifiers, "fix": fix}


def normalize_codes(system: str, values: pa.Array | pa.ChunkedArray) -> NormalizedCodes:
    """Return the canonical form of a column of codes, working on its distinct values.

    A null or blank cell is an absent code, not a fault: it comes back as null without a reason.

    Args:
        system (`str`): A name out of `SYSTEMS`.
        values (`pa.Array` or `pa.ChunkedArray`): Strings, dictionary-encoded or not.

    Returns:
        `NormalizedCodes`: Arrays as long as the column, in its order.

    Raises:
        ValueError: If the system is unknown, or the column does not hold strings: a code read as a number has lost its
            leading zeros.

    Examples:
        >>> column = normalize_codes("ICD10CM", pa.array(["e11.9", "E119", None, "1E10"]))
        >>> column.codes.to_pylist(), column.reasons.to_pylist(), dict(column.fixes)
        (['E119', 'E119', None, None], [None, None, None, 'R_ICDFORM'], {'F_CODE_FORM': 1})
    """
    encoded = as_dictionary(values)
    distinct = {
        name: column.take(encoded.indices) for name, column in _normalize_distinct(system, encoded.dictionary).items()
    }
    counts = pc.value_counts(distinct["fix"].drop_null())
    fixes = {row["values"].as_py(): row["counts"].as_py() for row in counts}
    return NormalizedCodes(distinct["code"], distinct["reason"], distinct["modifiers"], MappingProxyType(fixes))


def as_dictionary(values: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a column of strings as indices into its distinct strings."""
    value_type = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (pa.types.is_string(value_type) or pa.types.is_large_string(value_type) or pa.types.is_null(value_type)):
        raise ValueError(f"expected a column of strings, found {values.type}; read code columns as strings")
    # A dictionary may hold the same string twice or a null, so it is decoded and encoded again.
    strings = values.cast(pa.string())
    chunks = strings.combine_chunks() if isinstance(strings, pa.ChunkedArray) else strings
    return chunks.dictionary_encode()
