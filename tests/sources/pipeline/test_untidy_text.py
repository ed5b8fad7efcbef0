"""Text in other writings is found in any form of a file, mended by its type, and counted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.sources.pipeline import untidy_text
from claim_transformers.sources.pipeline.reading import Layout, stage_files
from claim_transformers.sources.pipeline.untidy_text import add_occurrences, find_untidy

KINDS = ("id", "date", "amount", "number", "code", "icd", "flag", "modifier", "text")
LAYOUT = Layout(KINDS, KINDS, kinds={kind: kind for kind in KINDS})
CLEAN = {"id": "P1", "date": "2018-03-01", "amount": "12.50", "number": "3", "code": "0450", "icd": "E11.9"}
CLEAN |= {"flag": "Y", "modifier": "TC", "text": "A plan"}


def _stage(tmp_path: Path, rows: Sequence[Mapping[str, str | None]], form: str) -> tuple[list[dict[str, str]], dict]:
    path = tmp_path / ("rows.csv" if form == "csv" else "rows.parquet")
    if form == "csv":
        lines = [
            ",".join(row.get(kind) or "" for kind in KINDS) for row in [dict(zip(KINDS, KINDS, strict=True)), *rows]
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        of_kind = {kind: pa.array([row.get(kind) for row in rows]) for kind in KINDS}
        encoded = {kind: column.dictionary_encode() for kind, column in of_kind.items()}
        pq.write_table(pa.table(of_kind if form == "parquet" else encoded), path, row_group_size=2)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    connection = connect(threads=1)
    staged, (file,) = stage_files(connection, [(path, LAYOUT)], scratch, name="rows")
    return fetch(connection, staged.select(*KINDS, "row_no").order_by("row_no")).to_pylist(), dict(file.fixes)


@pytest.mark.parametrize("form", ["csv", "parquet", "dictionaries"])
def test_blanks_and_words_for_nothing_are_mended_in_every_type_but_ids(tmp_path: Path, form: str) -> None:
    padded = {kind: f" \u00a0{cell}\u2003" for kind, cell in CLEAN.items()}
    formula = {kind: f'="{cell}"' for kind, cell in CLEAN.items()}
    words = ("NULL", " null ", "NaN", "None", "\\N", "n/a", "\u200b")
    rows, fixes = _stage(tmp_path, [CLEAN, padded, formula, *(dict.fromkeys(KINDS, word) for word in words)], form)
    assert [row.pop("row_no") for row in rows] == list(range(1, len(rows) + 1))
    assert [row.pop("id") for row in rows][1:4] == [padded["id"], formula["id"], "NULL"]
    assert rows[2] == rows[1] == rows[0] == {kind: CLEAN[kind] for kind in KINDS[1:]}
    assert [set(row.values()) for row in rows[3:]] == [{None}] * len(words)
    assert fixes == {"F_TEXT_FORM": (2 + len(words)) * len(KINDS[1:])}


@pytest.mark.parametrize("form", ["csv", "parquet", "dictionaries"])
def test_flags_and_modifiers_are_capitals_and_what_is_no_modifier_is_lost(tmp_path: Path, form: str) -> None:
    flags = ("y", "Y", "a1", "icd-10-cm", None)
    modifiers = ("tc", "25", "[MASK]", "a|b", "5", "2559", "\u0131b", "Z" * 5000, "NULL")
    changes = [{"flag": flag} for flag in flags] + [{"modifier": modifier} for modifier in modifiers]
    rows, fixes = _stage(tmp_path, [CLEAN | change for change in changes], form)
    assert [row["flag"] for row in rows[: len(flags)]] == ["Y", "Y", "A1", "icd-10-cm", None]
    assert [row["modifier"] for row in rows[len(flags) :]] == ["TC", "25", *([None] * 7)]
    assert fixes == {"F_TEXT_FORM": 4, "F_MODIFIER": 6}


def test_clean_text_is_read_as_it_is_and_small_words_stay(tmp_path: Path) -> None:
    row = CLEAN | {"text": "unknown", "code": "e11", "flag": "institutional"}
    (read,), fixes = _stage(tmp_path, [row], "csv")
    assert ({kind: read[kind] for kind in KINDS}, fixes) == (row, {})


def test_codes_are_counted_on_the_way_unless_too_many_differ(tmp_path: Path, monkeypatch) -> None:
    columns = {"icd": ["E119", "I10", "E119", None, "E119"], "code": [None, "0450", None, None, " 0450"]}
    path, kinds = tmp_path / "rows.parquet", {"icd": "icd", "code": "code", "flag": "flag"}
    pq.write_table(pa.table(columns | {"flag": ["Y"] * 5}), path, row_group_size=2)

    for held in (None, pq.read_table(path)):
        found = find_untidy(path, kinds, held).codes
        # A column with text that is to be mended says nothing.
        assert {name: add_occurrences([codes]).sort_by("raw").to_pydict() for name, codes in found.items()} == {
            "icd": {"raw": ["E119", "I10"], "occurrences": [3, 1]}
        }
    monkeypatch.setattr(untidy_text, "_MAX_CODES", 1)
    assert not find_untidy(path, kinds).codes
