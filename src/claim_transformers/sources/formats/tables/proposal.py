"""A proposal for a mapping: what tables look like, as YAML with a comment beside each guess and no value at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from claim_transformers.claims.files import scratch_folder
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tables.forms import Profile
from claim_transformers.sources.formats.tables.guesses import (
    DATE,
    STATUS_COLUMN,
    TYPE_COLUMN,
    VERSION_COLUMN,
    Guess,
    as_range,
    find_dates,
    find_qualifier,
    guess_fields,
    kind_of_rows,
    type_by_name,
)
from claim_transformers.sources.formats.tables.inputs import connect_database, find_files
from claim_transformers.sources.formats.tables.keys import DECIDE
from claim_transformers.sources.formats.tables.samples import SAMPLED_ROWS, Sample, sample_files, sample_table

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_NEEDED = {
    "claim_line": ("patient_id", "claim_id", "claim_start_date"),
    "rx_claim": ("patient_id", "claim_id", "dispensing_date", "ndc_code"),
    "eligibility": ("patient_id",),
}
_FORM_NAMES = {
    "icd10": "ICD-10-CM", "icd9": "ICD-9-CM", "icd10pcs": "ICD-10-PCS", "icd9pcs": "ICD-9-CM procedures", "ndc": "NDC",
    "hcpcs": "HCPCS", "bill_type": "types of bill", "drg": "DRG", "revenue": "revenue centres", "npi": "NPI",
    "place": "places of service", "disposition": "discharge dispositions", "amount": "amounts",
    "number": "numbers", "sex_word": "words of a sex", "sex_digit": "a sex as a digit", "year": "years",
    "modifier": "modifiers", DATE: "dates",
}  # fmt: skip


def propose_mapping(
    inputs: Sequence[str], *, database: str | None = None, folder: str | Path = ".", rows: int = SAMPLED_ROWS
) -> str:
    """Look at the first rows of tables and propose a mapping.

    Inputs are files, or patterns of the files of one table each; tables of the database if one is given. Files are
    named from the folder where the mapping will lie, and the number of rows bounds the memory. Comments of the YAML
    say how sure a guess is and how many rows look like it, never what stands in them; what a person has to decide is
    marked `DECIDE`, and `ingest` refuses it until it is.
    """
    folder = Path(folder).absolute()
    if database is None:
        samples = [_sample_of(folder, pattern, rows) for pattern in inputs]
    else:
        with scratch_folder(folder / "mapping.yaml") as scratch:
            opened = connect_database(database, folder, scratch)
            samples = [sample_table(opened, table, rows=rows) for table in inputs]
            opened.disconnect()
    return "\n".join(_lines(samples, database)) + "\n"


def _sample_of(folder: Path, pattern: str, rows: int) -> Sample:
    path = Path(pattern)
    if path.is_dir():
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected the files of one table, found the folder {pattern!r}: give each table of it, such as "
            f"'{pattern}/claims_*.csv'",
        )
    paths = [path.absolute()] if path.is_file() else find_files(folder, [pattern], "the command line")
    stem = re.sub(r"[.](csv|tsv|tab|txt|parquet)([.]gz)?$", "", paths[0].name, flags=re.IGNORECASE)
    name = re.sub(r"\W+", "_", re.sub(r"[-_.]*[0-9]+$", "", stem) if len(paths) > 1 else stem).strip("_").lower()
    sample = sample_files(name if name[:1].isalpha() else f"table_{name}", paths, rows=rows)
    one = paths[0].relative_to(folder) if paths[0].is_relative_to(folder) else paths[0]
    return Sample(
        sample.name, (pattern if len(paths) > 1 else str(one),), "", sample.columns, sample.delimiter, sample.encoding
    )


# ---- Lines of YAML ----


def _lines(samples: Sequence[Sample], database: str | None) -> Iterator[str]:
    yield "# A proposal. Read every line: the number behind a guess says how sure it is, the words what was counted in"
    yield f"# the first rows. Where {DECIDE} stands, write what is true; docs/sources/tables.md has every key."
    yield f"name: {DECIDE}  # of the data, as it shall stand in data_source"
    if database is not None:
        # A URL can hold a password, which has no place in a file.
        yield f"database: {DECIDE}  # its URL, or $NAME of the environment variable that has it"
    yield "tables:"
    for sample in samples:
        kind = kind_of_rows(sample)
        if not kind:
            yield f"  # {sample.name}: neither claims, drugs nor people were seen in {_rows(sample.num_rows)}"
            continue
        yield from ("  " + line for line in _table(sample, kind, samples))


def _table(sample: Sample, kind: str, samples: Sequence[Sample]) -> Iterator[str]:
    guesses = guess_fields(sample, kind, samples)
    yield f"{_name(sample.name)}:  # {_rows(sample.num_rows)} were looked at"
    yield f"  rows: {kind}"
    yield f"  files: {_list(sample.files)}" if sample.files else f"  table: {_name(sample.table)}"
    if sample.delimiter and sample.delimiter != (
        "\t" if sample.files[0].lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ","
    ):
        yield f"  delimiter: {json.dumps(sample.delimiter)}"
    if sample.encoding != "utf-8":
        yield f"  encoding: {sample.encoding}  # bytes that are not UTF-8"
    dates = _common_format(guesses)
    if dates is not None:
        yield f"  dates: {dates}"
    yield "  fields:"
    taken = {column for guess in guesses for column in guess.columns}
    for lines in _fields(sample, kind, guesses, taken, dates):
        yield from ("    " + line for line in lines)
    yield from _decisions(sample, kind, taken)
    if unused := [column.name for column in sample.columns if column.name not in taken]:
        yield f"  # not used: {', '.join(map(_name, unused))}"


def _fields(
    sample: Sample, kind: str, guesses: Sequence[Guess], taken: set[str], dates: str | None
) -> Iterator[list[str]]:
    found = {guess.field for guess in guesses}
    yield from ([f"{field}: {DECIDE}  # no column looks like it"] for field in _NEEDED[kind] if field not in found)
    if kind == "claim_line":
        yield [_claim_type(sample, {guess.field for guess in guesses if guess.seen.filled}, taken)]
    for guess in guesses:
        if guess.field in ("diagnoses", "procedures"):
            yield _codes(sample, guess, taken)
        elif guess.form == "year":
            column = _name(guess.columns[0])
            yield [
                f"{guess.field}: {{column: {column}, day: {DECIDE}}}  # {_why(guess)}: which day stands for the year"
            ]
        elif guess.form == "sex_digit":
            column = _name(guess.columns[0])
            value = f"{{column: {column}, values: {DECIDE}}}"
            yield [f"{guess.field}: {value}  # {_why(guess)}: such as {{1: male, 2: female}}"]
        elif guess.form == DATE:
            yield [_date(guess, dates)]
        elif guess.field in ("patient_id", "claim_id") and guess.seen.is_typed_number:
            column = _name(guess.columns[0])
            yield [
                f"{guess.field}: {{column: {column}, is_number: {DECIDE}}}  # {_why(guess)}: true if no zeros are lost"
            ]
        else:
            yield [f"{guess.field}: {_list(as_range(guess.columns))}  # {_why(guess)}"]


def _date(guess: Guess, dates: str | None) -> str:
    found = _format_of(guess.seen)
    column = _name(guess.columns[0])
    if found == DECIDE:
        formats = " or ".join(guess.seen.formats()[:2])
        return f"{guess.field}: {{column: {column}, dates: {DECIDE}}}  # {_why(guess)}: {formats}, no row tells"
    value = column if found == dates else f"{{column: {column}, dates: {found}}}"
    return f"{guess.field}: {value}  # {_why(guess)}"


def _format_of(column: Profile) -> str:
    """Format of the dates of a column, `DECIDE` where day and month could be either."""
    if column.is_typed_date or not column.filled:
        return "YYYY-MM-DD"
    found = column.formats()
    full = [one for one in found if column.counts[one] == column.counts[found[0]]]
    orders = {re.sub(r"[^DMY]+", "", one.replace("MON", "N")).replace("MM", "M").replace("DD", "D") for one in full}
    return DECIDE if len(orders) > 1 else full[0]


def _common_format(guesses: Sequence[Guess]) -> str | None:
    """The format of most dates of a table, which stands once."""
    formats = [_format_of(guess.seen) for guess in guesses if guess.form == DATE]
    known = [one for one in formats if one != DECIDE]
    return max(sorted(set(known)), key=known.count) if known else None


def _codes(sample: Sample, guess: Guess, taken: set[str]) -> list[str]:
    lines = [f"{guess.field}:  # {_why(guess)}", f"  columns: {_list(as_range(guess.columns))}"]
    if guess.field == "procedures" and (dated := find_dates(sample, guess, taken)):
        taken |= {*dated}
        lines.append(f"  dates: {_list(as_range(dated))}  # by their names")
    qualifier = find_qualifier(sample, guess, taken)
    if qualifier is None:
        return [
            *lines,
            "  system: by_date  # no column says which ICD: discharge or service from 2015-10-01 on is ICD-10",
        ]
    taken.add(qualifier.name)
    said = f"{_count(qualifier, 'version')} say a version of ICD"
    return [*lines, f"  system: {{column: {_name(qualifier.name)}}}  # {said}"]


def _claim_type(sample: Sample, found: set[str], taken: set[str]) -> str:
    for column in sample.columns:
        if TYPE_COLUMN.search(column.name) and column.name not in taken:
            taken.add(column.name)
            value = f"{{column: {_name(column.name)}, values: {DECIDE}}}"
            seen = f"{show_count(column.distinct)} different values"
            return f"claim_type: {value}  # {seen}: such as {{I: by_bill_type, P: CAR}}"
    if "bill_type_code" in found:
        return "claim_type: {constant: by_bill_type}  # 0.60, because there is a type of bill"
    if claim_type := type_by_name(sample.name):
        return f"claim_type: {{constant: {claim_type}}}  # 0.70, by the name of the table alone"
    return f"claim_type: {{constant: {DECIDE}}}  # IP, OP, CAR, DME, HHA, HOSP, SNF, RX or by_bill_type"


def _decisions(sample: Sample, kind: str, taken: set[str]) -> Iterator[str]:
    """What no form tells: which claims were denied, taken back or replaced."""
    if kind == "eligibility":
        yield from _enrollment(sample, taken)
        return
    left = [column for column in sample.columns if column.name not in taken and column.filled]
    for column in left:
        if STATUS_COLUMN.search(column.name) and column.distinct <= 50:
            taken.add(column.name)
            name, values = _name(column.name), show_count(column.distinct)
            yield f"  rules:  # {name} has {values} different values; take the key out if none is of a denied claim"
            yield f"    - {{column: {name}, in: {DECIDE}, verdict: D_DENIED, because: the claim is denied}}"
            break
    for column in left:
        if VERSION_COLUMN.search(column.name) and column.name not in taken:
            taken.add(column.name)
            name = _name(column.name)
            yield f"  versions: {DECIDE}  # {name} may tell: {{latest: ..., of: claim}}; take the key out if not"
            yield f"  reversals: {DECIDE}  # negative, none, or {{column: {name}, in: [...]}}"
            break


def _enrollment(sample: Sample, taken: set[str]) -> Iterator[str]:
    starts = any(column in taken for column in _named(sample, r"(dtstart|start|eff|beg|from)"))
    if not starts:
        yield f"  enrollment: {DECIDE}  # months as rows or columns, or none if the table says nothing of enrolment"


def _named(sample: Sample, pattern: str) -> list[str]:
    return [column.name for column in sample.columns if re.search(pattern, column.name.lower())]


# ---- Words ----


def _why(guess: Guess) -> str:
    """How sure a guess is, and what was counted."""
    text = f"{guess.confidence:.2f}"
    if guess.form:
        counted = _count(guess.seen, _format_of(guess.seen) if guess.form == DATE else guess.form)
        text += f", {counted} look like {_FORM_NAMES[guess.form]}"
    elif not guess.seen.filled:
        text += ", by its name, no row is filled"
    else:
        text += f", {show_count(guess.seen.distinct)} different values in {_rows(guess.seen.filled)}"
    return text + (f", as in {', '.join(guess.shared)}" if guess.shared else "")


def _count(column: Profile, form: str) -> str:
    number = column.counts.get(form, column.filled)
    if column.is_typed_date or form == DECIDE:
        number = column.filled
    return f"{show_count(number)} of {show_count(column.filled)} filled rows"


def _rows(number: int) -> str:
    return f"{show_count(number)} rows"


def _name(text: str) -> str:
    """A name as YAML has it, in quotes where it is no plain word."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)


def _list(names: Sequence[str]) -> str:
    quoted = [name if re.fullmatch(r"[\w./][\w./*?-]*", name) else json.dumps(name) for name in names]
    return quoted[0] if len(quoted) == 1 else "[" + ", ".join(quoted) + "]"
