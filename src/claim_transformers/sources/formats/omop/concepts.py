"""Codes of OMOP rows: what the source wrote, in the system that its concept names.

A row of a CDM names its code three times: as the source wrote it (`*_source_value`), as the concept of that
(`*_source_concept_id`), and as the standard concept that it was mapped to (`*_concept_id`). The first that is a code
counts, in this order. Rows repeat few codes, so the different triples are judged once, in Arrow, and joined back.

A source value can have passed through a float (`65363002.0`). Where a system has neither dots nor zeros in front, or
codes of one length, the number is the code; elsewhere the concept of the source tells it, or nobody can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.engine import fetch, load, materialize
from claim_transformers.claims.quality import RowCheck
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.forms import FOREIGN_SYSTEMS
from claim_transformers.codes.normalize import normalize_codes
from claim_transformers.codes.systems import SYSTEMS
from claim_transformers.sources.formats.omop import SOURCE
from claim_transformers.sources.pipeline.numeric_codes import are_floats

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

CODE, SYSTEM, _NOTE = "code", "code_system", "code_note"
_KNOWN_SYSTEMS = (*SYSTEMS, "SNOMED", "RXNORM", *FOREIGN_SYSTEMS)
_VOCABULARIES = SOURCE.read_layouts()["concept"].values["vocabulary_id"]
_DOTTED = ("ICD9CM", "ICD9PCS")
# Codes of these are whole numbers without zeros in front, or have one length.
_WHOLE = ("SNOMED", "RXNORM", "HCPCS", "NDC", "ICD10PCS")
_WHOLE_FLOAT = "^[0-9]+[.]0+$"
_NO_VALUES = ("", "0", "no matching concept")
_F_FLOAT, _F_SOURCE, _W_STANDARD = "F_CODE_FLOAT", "F_SOURCE_VALUE", "W_STANDARD_CODE"
_R_NONE, _R_FLOAT, _R_SYSTEM = "R_NO_CODE", "R_CODE_FLOAT", "R_CODE_SYSTEM"
_NOTES = {
    "F_CODE_FORM": "dots, case and blanks of a code",
    "F_NDC": "hyphens of a drug code",
    "F_MODIFIER": "a modifier glued to a procedure",
    _F_FLOAT: "a source value that passed through a float, of which the code is known",
    _F_SOURCE: "a source value that is no code: the concept of the source names it",
    _W_STANDARD: "no code of the source: the standard concept names it",
}
_REASONS = {
    _R_NONE: "neither a source value nor a concept",
    _R_FLOAT: "a source value that passed through a float, and nobody can know which zeros or dots it lost",
    _R_SYSTEM: "a source value of which nothing says the code system",
    **dict.fromkeys(
        ("R_ICDFORM", "R_HCPCS", "R_NDC", "R_NDC10", "R_DOMAIN", "R_CODE_TEXT"), "no code of the system of its concept"
    ),
}


@dataclass(frozen=True)
class CodeTriple:
    """The raw columns of a table that name its codes; eras have standard concepts alone."""

    standard: str  # Column of the standard concept.
    source: str | None = None  # Column of what the source wrote.
    source_concept: str | None = None  # Column of its concept.

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that there are."""
        return tuple(name for name in (self.standard, self.source, self.source_concept) if name is not None)


@dataclass(frozen=True)
class ReadCodes:
    """The codes of a raw table, by its triples."""

    triple: CodeTriple  # Its columns of codes.
    table: ir.Table  # Each triple of the rows with its code.
    systems: tuple[str, ...]  # Systems that occur.

    def join(self, rows: ir.Table) -> ir.Table:
        """Add `code`, `code_system` and `code_note` to rows."""
        joined = rows.left_join(self.table, self._matches(rows, self.table))
        columns = {one: self.table[column] for one, column in _columns_of(self.triple).items()}
        return joined.select(*(rows[column] for column in rows.columns), **columns)

    def pick(self, rows: ir.Table, system: str, *, is_of: bool) -> ir.Table:
        """The rows whose code is of a system, or all others."""
        of_system = self.table.filter(self.table[_columns_of(self.triple)[SYSTEM]] == system)
        join = rows.semi_join if is_of else rows.anti_join
        return join(of_system, self._matches(rows, of_system))

    def _matches(self, rows: ir.Table, table: ir.Table) -> list[ir.BooleanValue]:
        return [value == table[key] for key, value in _keys_of(rows, self.triple).items()]


def read_codes(
    connection: Backend, rows: ir.Table, triple: CodeTriple, concepts: ir.Table | None, system: str | None, name: str
) -> ReadCodes:
    """Read the codes of a raw table."""
    if system is not None and system not in _KNOWN_SYSTEMS:
        raise ValueError(f"expected a code system out of {', '.join(_KNOWN_SYSTEMS)}, found another name")
    if concepts is None and (system is None or triple.source is None):
        raise ClaimDataError(
            "E_CODE_SYSTEM",
            f"expected the table concept, which says what the codes of {name} are, found none: add it"
            + ("" if triple.source is None else f", or declare their system (--{name.partition('_')[0]}-system)"),
        )
    keys = _keys_of(rows, triple)
    found = fetch(connection, _with_concepts(connection, rows.select(**keys).distinct(), concepts, name))
    judged = _judge(found, system, has_source=triple.source is not None)
    named = judged.rename_columns([*keys, *(_columns_of(triple)[one] for one in _JUDGED)])
    systems = tuple(sorted(set(judged[SYSTEM].drop_null().to_pylist())))
    return ReadCodes(triple, load(connection, f"codes_of_{name}", named), systems)


def _columns_of(triple: CodeTriple) -> dict[str, str]:
    """Columns of the table of codes: they have the names of the raw columns that they are read from, for `lineage`."""
    source, source_concept = triple.source or triple.standard, triple.source_concept or "vocabulary_id"
    return {CODE: source, SYSTEM: source_concept, _NOTE: f"{triple.standard}_note"}


def check_codes() -> tuple[RowCheck, ...]:
    """Checks of rows that have no code."""
    return tuple(_check(reason, because) for reason, because in _REASONS.items())


def count_codes() -> tuple[RowCheck, ...]:
    """What was repaired of codes, and what stands in for them."""
    return tuple(_check(reason, because) for reason, because in _NOTES.items())


def _check(reason: str, because: str) -> RowCheck:
    return RowCheck(reason, because, lambda rows: rows[_NOTE] == reason)


_JUDGED = (CODE, SYSTEM, _NOTE)
_KEYS = ("key_source", "key_source_concept", "key_standard")


def _keys_of(rows: ir.Table, triple: CodeTriple) -> dict[str, ir.StringValue]:
    """The triple of each row without nulls, so that it can be joined."""
    columns = (triple.source, triple.source_concept, triple.standard)
    return {
        key: ibis.literal("") if column is None else rows[column].fill_null("")
        for key, column in zip(_KEYS, columns, strict=True)
    }


def _with_concepts(connection: Backend, keys: ir.Table, concepts: ir.Table | None, name: str) -> ir.Table:
    """The triples with code and vocabulary of both concepts."""
    nothing = ibis.null("string")
    if concepts is None:
        return keys.mutate(source_code=nothing, source_vocabulary=nothing, code=nothing, vocabulary=nothing)
    keys, _rows = materialize(connection, f"triples_of_{name}", keys)
    used = ibis.union(keys.select(id=keys.key_source_concept), keys.select(id=keys.key_standard), distinct=True)
    # The vocabularies have millions of concepts, of which a table uses few.
    few = concepts.semi_join(used, concepts.concept_id == used.id).group_by("concept_id")
    known, _rows = materialize(
        connection,
        f"concepts_of_{name}",
        few.aggregate(concept_code=concepts.concept_code.min(), vocabulary_id=concepts.vocabulary_id.min()),
    )
    standard = known.view()
    joined = keys.left_join(known, keys.key_source_concept == known.concept_id).left_join(
        standard, keys.key_standard == standard.concept_id
    )
    return joined.select(
        *(keys[key] for key in _KEYS),
        source_code=known.concept_code,
        source_vocabulary=known.vocabulary_id,
        code=standard.concept_code,
        vocabulary=standard.vocabulary_id,
    )


# ---- Judging triples ----


@dataclass(frozen=True)
class _Candidate:
    """Codes that stand for the triples, null where there is none, with what was done to them or why there is none."""

    systems: pa.Array
    codes: pa.Array
    notes: pa.Array


def _judge(triples: pa.Table, declared: str | None, *, has_source: bool) -> pa.Table:
    """Give each triple its code."""
    triples = triples.combine_chunks()
    text = triples["key_source"].combine_chunks() if triples.num_rows else pa.array([], pa.string())
    text = pc.if_else(pc.is_in(pc.utf8_lower(text), pa.array(_NO_VALUES)), pa.scalar(None, pa.string()), text)
    by_concept = _systems_of(triples["source_vocabulary"])
    systems = by_concept if declared is None else pc.fill_null(by_concept, declared)
    written = _normalize(systems, text, may_be_float=True)
    source = _normalize(by_concept, _flat(triples["source_code"]))
    standard = _normalize(_systems_of(triples["vocabulary"]), _flat(triples["code"]))

    # What ends in `.0` and is another code than that of its concept (`389.0` beside `038.9`) was a float.
    is_other = pc.and_(pc.match_substring_regex(text, _WHOLE_FLOAT), pc.not_equal(written.codes, source.codes))
    is_lost = pc.or_(pc.equal(written.notes, _R_FLOAT).fill_null(False), is_other.fill_null(False))
    of_source = pc.if_else(is_lost, _F_FLOAT, pc.if_else(text.is_valid(), _F_SOURCE, pa.scalar(None, pa.string())))
    of_standard = pa.scalar(_W_STANDARD if has_source else None, pa.string())
    why_not = pc.coalesce(written.notes, pc.if_else(text.is_valid(), _R_SYSTEM, _R_NONE))
    is_written, is_source = pc.and_not(written.codes.is_valid(), is_lost), source.codes.is_valid()
    # What a float damaged is not what was mapped, for the mapping met the same text.
    is_standard = pc.and_not(standard.codes.is_valid(), is_lost)
    cases = pc.make_struct(is_written, is_source, is_standard)
    nothing = pa.scalar(None, pa.string())
    columns = {
        CODE: pc.case_when(cases, written.codes, source.codes, standard.codes, nothing),
        SYSTEM: pc.case_when(cases, systems, by_concept, standard.systems, nothing),
        _NOTE: pc.case_when(cases, written.notes, of_source, of_standard, why_not),
    }
    return pa.table({**{key: triples[key] for key in _KEYS}, **columns})


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks else pa.array([], column.type)


def _systems_of(vocabularies: pa.ChunkedArray) -> pa.Array:
    """Our name of the code system of each vocabulary, null for those without."""
    names, targets = _as_arrays(_VOCABULARIES)
    return targets.take(pc.index_in(_flat(vocabularies), value_set=names))


def _as_arrays(pairs: Mapping[str, str]) -> tuple[pa.Array, pa.Array]:
    return pa.array(pairs.keys(), pa.string()), pa.array(pairs.values(), pa.string())


def _normalize(systems: pa.Array, texts: pa.Array, *, may_be_float: bool = False) -> _Candidate:
    """Codes in canonical form, system by system."""
    length = len(texts)
    codes, notes = pa.nulls(length, pa.string()), pa.nulls(length, pa.string())
    for system in systems.unique().drop_null().to_pylist():
        is_of = pc.fill_null(pc.and_(pc.equal(systems, system), texts.is_valid()), False)
        some, mended, lost = texts.filter(is_of), None, None
        if may_be_float:
            some, mended, lost = _mend_floats(system, some)
        found = normalize_codes(system, some)
        is_code = found.codes.is_valid()
        fixes = _fixes_of(system, some, found.codes, found.modifiers)
        note = pc.if_else(is_code, fixes, found.reasons)
        if mended is not None:
            note = pc.if_else(mended, pc.if_else(is_code, _F_FLOAT, _R_FLOAT), note)
            note = pc.if_else(lost, _R_FLOAT, note)
            is_code = pc.and_not(is_code, lost)
        code = pc.if_else(is_code, found.codes, pa.scalar(None, pa.string()))
        codes = pc.replace_with_mask(codes, is_of, code)
        notes = pc.replace_with_mask(notes, is_of, note)
    return _Candidate(systems, codes, notes)


def _fixes_of(system: str, raw: pa.Array, codes: pa.Array, modifiers: pa.Array) -> pa.Array:
    is_changed = pc.fill_null(pc.not_equal(raw, codes), False)
    name = pc.if_else(modifiers.is_valid(), "F_MODIFIER", "F_NDC" if system == "NDC" else "F_CODE_FORM")
    return pc.if_else(is_changed, name, pa.scalar(None, pa.string()))


def _mend_floats(system: str, texts: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The texts without the point that a float wrote, which were mended, and which of them cannot be."""
    is_float = pc.match_substring_regex(texts, _WHOLE_FLOAT)
    nobody = pa.array([False] * len(texts), pa.bool_())
    if system in _DOTTED:
        # A point is that of a code unless all codes of the column show that it is none.
        are_lost = are_floats(pc.unique(texts), may_have_dot=True)
        return texts, nobody, pa.array([are_lost] * len(texts), pa.bool_())
    if system not in _WHOLE:
        return texts, nobody, is_float
    return pc.replace_substring_regex(texts, "[.]0+$", ""), is_float, nobody


def name_systems(rows: ir.Table, systems: Sequence[str]) -> ir.BooleanValue:
    """Whether the code of a row is of one of some systems."""
    return rows[SYSTEM].isin(systems).fill_null(False)
