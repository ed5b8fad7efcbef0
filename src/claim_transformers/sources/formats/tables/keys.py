"""Keys of a mapping: which there are, what each takes, and how a file of them is read strictly.

The tables of keys in a page of the documentation are written from here, and a test compares them:

    python -m claim_transformers.sources.formats.tables.keys docs/sources/tables.md

Every value is read as it is written, so that `010` keeps its zero and `no` is a word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from claim_transformers.claims.inputs import cut_message, read_yaml
from claim_transformers.codes.errors import ClaimDataError, did_you_mean

DECIDE = "DECIDE"
_MOST_DECISIONS = 20
# By section and key: what it takes, and what it means.
_KEYS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "mapping": {
        "name": ("text", "`data_source` of rows that do not name their own"),
        "database": ("URL", "of the database that has the tables, or `$NAME` of the environment variable that has it"),
        "tables": ("sections", "one section `table` for each raw table, under a name of your own"),
    },
    "table": {
        "rows": ("word", "what its rows become: `claim_line`, `rx_claim` or `eligibility`"),
        "files": ("names", "of files, from the folder of the mapping: csv, tsv, txt, zip, gz, parquet; `*` and `?`"),
        "table": ("text", "name in the database instead of `files`, with its schema before a dot"),
        "delimiter": ("sign", "between columns; without it a comma, and a tab in files called `.tsv` or `.tab`"),
        "encoding": ("word", "of text: `utf-8` (if not given) or `latin-1`"),
        "quote": ("sign", "around fields, a double quote if not given; empty where a quote is a letter"),
        "dates": ("format", "of its dates, where a field does not give another"),
        "header": ("section `header`", "a second table with what is true of whole claims, joined to each line"),
        "fields": ("section", "canonical columns, each with a section `field`, or `codes` where it holds diagnoses or "
                   "procedures"),
        "rules": ("sections `rule`", "values of a column that make rows leave or count"),
        "versions": ("section `versions`", "how a later version of a claim or line is known"),
        "reversals": ("section `reversals`", "how a row that takes another back is known: by negative amounts and "
                      "counts if not given, not at all if `none`"),
        "enrollment": ("section `enrollment`", "of eligibility whose months are columns or rows; `none` if it says "
                       "nothing of enrolment"),
        "optional": ("columns", "that a file may lack; every other column that is named must be in every file"),
    },
    "header": {
        "files": ("names", "as of a table"),
        "table": ("text", "as of a table"),
        "delimiter": ("sign", "as of a table"),
        "encoding": ("word", "as of a table"),
        "quote": ("sign", "as of a table"),
        "on": ("columns", "that the two share: names, or `LINE: HEADER` where they differ"),
    },
    "field": {
        "column": ("column", "the raw column; `field: COLUMN` says the same"),
        "columns": ("columns", "several, one text of all; of `hcpcs_modifiers` one modifier each"),
        "between": ("text", "what stands between the parts of `columns`, `-` if not given"),
        "constant": ("text", "the same value for every row"),
        "values": ("`raw: canonical`", "meaning of raw values, in any case; another value becomes null and "
                   "is counted"),
        "dates": ("format", "of this date"),
        "day": ("MM-DD", "the day that stands for all, where the column holds a year"),
        "prefix": ("text", "before the value, such as of claims whose numbers other tables use too"),
        "is_number": ("true, false", "an id that was given as a number and never had zeros in front"),
        "where": ("section `where`", "rows for which the field counts; null in others"),
    },
    "codes": {
        "columns": ("columns", "in billed order, the principal one first"),
        "system": ("word, or section `system`", "`icd9`, `icd10`, or `by_date`: discharge or service from 2015-10-01 "
                   "on is ICD-10"),
        "present_on_admission": ("columns", "flags of diagnoses, as many as `columns`"),
        "dates": ("columns", "of procedures, as many as `columns`, in the format of the table"),
        "where": ("section `where`", "rows for which the codes count"),
    },
    "system": {
        "column": ("column", "that says which; or as many as codes, one for each"),
        "values": ("`raw: icd9` or `icd10`", "what it says; without it the usual words (9, ICD-9, 0, 10, ICD-10 ...). "
                   "Where it says nothing the date decides"),
    },
    "where": {
        "column": ("column", "that is looked at"),
        "in": ("values", "of it, in any case"),
    },
    "rule": {
        "column": ("column", "that is looked at"),
        "in": ("values", "that fail"),
        "not_in": ("values", "instead of `in`: every other value fails; an empty field never does"),
        "verdict": ("code", "`D_...` leaves and is counted, `R_...` goes to quarantine, `W_...` stays and is counted; "
                    "denied claims are `D_DENIED`"),
        "because": ("text", "what the values mean"),
    },
    "versions": {
        "latest": ("column", "of the versions of one key the largest value counts, others are `D_SUPERSEDED`"),
        "of": ("word", "what has versions: a `claim` with all its lines, or a `line`"),
        "dates": ("format", "of `latest` if it is a date, time and all; without it, it is a number"),
    },
    "reversals": {
        "column": ("column", "that says it"),
        "in": ("values", "of reversals"),
    },
    "enrollment": {
        "month": ("column", "of tables with one row for each month: the month"),
        "format": ("format", "of `month`, such as YYYYMM; any format of dates will do"),
        "year": ("column", "of tables with one row for each year: the year"),
        "months": ("columns", "twelve flags, January first"),
        "in": ("values", "of the flags that mean enrolled"),
    },
}  # fmt: skip


def wrong(file: str, expected: str, found: str) -> ClaimDataError:
    """The error of a mapping that is not understood."""
    return ClaimDataError("E_MAPPING", cut_message(f"{file}: expected {expected}, found {found}"))


class Section:
    """One section of a mapping, with the keys that it may have and no others.

    `file` and `where` in it, such as `tables.inpatient`, are for messages; `kind` is its name in `_KEYS`.
    """

    def __init__(self, file: str, where: str, kind: str, content: Any) -> None:
        self.file, self.where, self.kind = file, where, kind
        if not isinstance(content, dict):
            raise wrong(file, f"a section with keys out of {', '.join(_KEYS[kind])} at {where}", _name(content))
        self.content: Mapping[str, Any] = content
        check_names(file, where, content, list(_KEYS[kind]))

    def place(self, key: str) -> str:
        """Where a key of the section stands."""
        return f"{self.where}.{key}" if self.where else key

    def wrong(self, key: str, expected: str, found: str) -> ClaimDataError:
        """The error of one key."""
        return wrong(self.file, f"{expected} at {self.place(key)}", found)

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it has to be there."""
        value = self.content.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, _KEYS[self.kind][key][0], "nothing" if value is None else _name(value))
        return value

    def word(self, key: str, known: Sequence[str], default: str | None = None) -> str:
        """One of some words."""
        value = self.text(key, default)
        if value not in known:
            raise self.wrong(key, f"one of {', '.join(known)}", "another word")
        return value

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """One text or a list of them."""
        value = self.content.get(key, default)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not all(isinstance(one, str) for one in values):
            raise self.wrong(key, _KEYS[self.kind][key][0], "nothing" if value is None else _name(value))
        return tuple(values)

    def pairs(self, key: str) -> dict[str, str]:
        """Texts by text, none if the key is not there."""
        value = self.content.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self.wrong(key, _KEYS[self.kind][key][0], _name(value))
        return dict(value)

    def section(self, key: str, kind: str) -> Section:
        """A section within this one."""
        return Section(self.file, self.place(key), kind, self.content.get(key))


def check_names(file: str, where: str, names: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse a name that is not known, with the nearest one that is."""
    for name in names:
        if name not in known:
            hint = did_you_mean([str(name)], known, 0.5)
            place = f" at {where}" if where else ""
            raise wrong(file, f"a known key{place}", f"{str(name)[:80]!r}{hint} Known are {', '.join(known)}")


def read_section(path: Path) -> Section:
    """Read a mapping, and refuse it while something in it has to be decided."""
    try:
        content = read_yaml(path, as_text=True)
    except ValueError as error:
        if isinstance(error, ClaimDataError):
            raise
        raise ClaimDataError("E_MAPPING", str(error)) from error
    if places := list(_undecided(content, "")):
        shown = ", ".join(places[:_MOST_DECISIONS]) + (" and more" if len(places) > _MOST_DECISIONS else "")
        raise ClaimDataError(
            "E_DECIDE",
            f"expected a decision at {len(places)} places of {path.name}, found {DECIDE} at {shown}: write what is "
            "true of your tables there; the comment beside it says what was seen",
        )
    return Section(path.name, "", "mapping", content)


def _undecided(content: Any, where: str) -> Iterator[str]:
    """Places at which something is still to be decided."""
    if isinstance(content, dict):
        for key, value in content.items():
            place = f"{where}.{key}" if where else str(key)
            yield from [place] if key == DECIDE else _undecided(value, place)
    elif isinstance(content, list):
        for number, value in enumerate(content, start=1):
            yield from _undecided(value, f"{where}[{number}]")
    elif content == DECIDE:
        yield where


def _name(value: Any) -> str:
    names = ((dict, "a section"), (list, "a list"), (str, "a text"))
    return next((name for kind, name in names if isinstance(value, kind)), "nothing")


def _describe_keys() -> str:
    """Write the reference of all keys as markdown."""
    parts = []
    for section, keys in _KEYS.items():
        lines = [f"### `{section}`", "", "| key | takes | meaning |", "|---|---|---|"]
        lines += [f"| `{key}` | {takes} | {meaning} |" for key, (takes, meaning) in keys.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- keys: begin -->")
    behind = rest.partition("<!-- keys: end -->")[2]
    keys = f"<!-- keys: begin -->\n\n{_describe_keys()}\n\n<!-- keys: end -->"
    page.write_text(before + keys + behind, encoding="utf-8")
