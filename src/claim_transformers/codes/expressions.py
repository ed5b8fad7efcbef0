"""Canonical form of codes as an Ibis expression, for columns that live in a database."""

from typing import TYPE_CHECKING

from claim_transformers.codes.forms import CODE_TEXT, NO_BREAK_SPACE, R_CODE_TEXT, Shape, form_of, whole

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, StringValue


def _read(shape: Shape, text: "StringValue") -> "StringValue":
    for character in shape.drop:
        text = text.replace(character, "")
    if shape.squeeze:
        text = text.re_replace(shape.squeeze, "_")
    text = text.upper()
    return text.lpad(shape.fill, "0") if shape.fill else text


def _cut(shape: Shape, text: "StringValue") -> "StringValue":
    import ibis

    if not shape.pieces:
        return text
    first, *others = [
        ibis.literal(piece) if isinstance(piece, str) else text.substr(piece[0], piece[1] - piece[0])
        for piece in shape.pieces
    ]
    return first.concat(*others) if others else first


def _trim(column: "StringValue") -> "StringValue":
    return column.replace(NO_BREAK_SPACE, " ").strip()


def _matches(text: "StringValue", pattern: str) -> "BooleanValue":
    return text.re_search(whole(pattern))


def normalize_expr(system: str, column: "StringValue") -> tuple["StringValue", "StringValue"]:
    """Return expressions of the canonical code and of the reason why there is none.

    The expression holds few regular expressions, one or two per accepted shape. On a long table it still pays to apply
    it to the distinct values and to join.

    Args:
        system (`str`): A name out of `SYSTEMS`.
        column (`ibis.expr.types.StringValue`): Text of the claims.

    Returns:
        `tuple[StringValue, StringValue]`: The code, null where the cell is null, blank or refused, and the reason code
        of a refused cell, null elsewhere: the values of [`normalize_codes`].

    Raises:
        ValueError: If the system is unknown.

    Examples:
        >>> import ibis
        >>> import pyarrow as pa
        >>> table = ibis.memtable(pa.table({"raw": ["e11.9", "1E10"]}))
        >>> code, reason = normalize_expr("ICD10CM", table.raw)
        >>> sorted(table.select(code=code, reason=reason).to_pyarrow().to_pydict().items())
        [('code', ['E119', None]), ('reason', [None, 'R_ICDFORM'])]
    """
    import ibis

    form = form_of(system)
    nothing = ibis.null("string")
    text = _trim(column)
    codes: list[tuple[BooleanValue, StringValue]] = []
    reasons: list[tuple[BooleanValue, StringValue]] = []
    # Trimming costs DuckDB three times a match, so it is left to the text that fails without.
    for written in (column, text):
        for pattern, reason in form.refused:
            is_refused = _matches(written, pattern)
            codes.append((is_refused, nothing))
            reasons.append((is_refused, ibis.literal(reason)))
        for shape in form.shapes:
            is_match = _matches(written, shape.pattern)
            codes.append((is_match, _cut(shape, _read(shape, written))))
            reasons.append((is_match, nothing))
    reasons.append((text.isnull() | (text == ""), nothing))
    reasons.append((_matches(text, CODE_TEXT), ibis.literal(form.reason)))
    return ibis.cases(*codes, else_=nothing), ibis.cases(*reasons, else_=ibis.literal(R_CODE_TEXT))


def modifiers_expr(column: "StringValue") -> "StringValue":
    """Return an expression of the modifiers written behind a HCPCS code, glued (`2559`), as [`normalize_codes`] does.

    Examples:
        >>> import ibis
        >>> import pyarrow as pa
        >>> table = ibis.memtable(pa.table({"raw": ["99213-25", "99213"]}))
        >>> table.select(modifiers=modifiers_expr(table.raw)).to_pyarrow()["modifiers"].to_pylist()
        ['25', None]
    """
    import ibis

    nothing = ibis.null("string")
    branches = [
        (
            _matches(written, shape.pattern),
            _read(shape, written).substr(shape.modifiers_from) if shape.modifiers_from else nothing,
        )
        for written in (column, _trim(column))
        for shape in form_of("HCPCS").shapes
    ]
    return ibis.cases(*branches, else_=nothing)
