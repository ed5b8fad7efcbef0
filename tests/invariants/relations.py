"""Relations between loads: a change of the raw files, and what it does to the tables, which is mostly nothing.

Each relation is data: what it changes, the sources that it does not apply to and why, and what is expected. Relations
of one group share a load; a group of its own is for what concerns the whole load.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from invariants.changes import (
    CLAIM_COLUMNS,
    NBSP,
    NO_QUANTITY,
    PATIENT_COLUMN,
    SHIFT_DAYS,
    Change,
    Tables,
    absurd,
    again_in_other_writing,
    behind,
    cells,
    dot_codes,
    empty_file,
    files_twice,
    fill_nulls,
    form,
    hyphenate_drugs,
    leave_out,
    mirror,
    mirror_patient,
    nobody,
    of_kind,
    other_case,
    other_payer,
    other_writing,
    permute,
    rename,
    shared_number,
    shift,
    shift_tables,
    split,
    stray_quote,
    swap_case,
    swap_words,
    tables,
    twice,
    twice_in_two_files,
    unmirror,
    with_column,
    without,
    without_months,
    without_quoted,
)
from invariants.ingest_worlds import Outcome
from invariants.raw_files import World

TOGETHER, ABSURD = "together", "absurd"


@dataclass(frozen=True, eq=False)
class Relation:
    """A change and what it does.

    `left_out` says of each source to which it does not apply why. `undo` is done to what was found, `expected` to what
    the unchanged files gave, `view` to both; `counts` looks at the report.
    """

    name: str
    change: Change
    left_out: Mapping[str, str] = field(default_factory=dict)
    group: str = TOGETHER
    options: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] = field(default_factory=dict)
    counts: Callable[[str, World, Outcome], bool] = lambda source, world, outcome: True
    expected: Callable[[Tables], Tables] = lambda tables: tables
    undo: Callable[[Tables], Tables] = lambda tables: tables
    view: Callable[[str, World, Tables], Tables] = lambda source, world, tables: tables


# ---- The relations ----

_TEXT = {"meds": "it is parquet alone"}
_PARQUET = {"mimic3": "it is delimited text alone"}
_ISO = {
    "synpuf": "its dates are no ISO dates",
    "cms-rif": "its dates are no ISO dates",
    "meds": "it has times",
    **_PARQUET,
}
_TYPELESS = ("tuva", "simulated", "synpuf", "cms-rif", "cclf", "mimic3", "omop")
_NO_CLAIMS = {"meds": "it has no claims"}
_ONE_PAYER = dict.fromkeys(("synpuf", "cms-rif", "cclf", "mimic3", "meds", "omop"), "a load has one payer")
_NO_QUOTES = {"cms-rif": "a quote is a letter", **_TEXT}
_NO_OPTION = dict.fromkeys(("simulated", "synpuf", "cms-rif", "cclf", "mimic3", "meds"), "it has no such option")
_NO_AMOUNTS = {"mimic3": "it has neither amounts nor quantities", "meds": "numbers are not read"}
_NO_SPANS = {"mimic3": "it has no enrolment", "synpuf": "enrolment is months", "cms-rif": "enrolment is months"}
_NO_POSITIONS = dict.fromkeys(
    ("tuva", "simulated", "synpuf", "cms-rif", "mimic3", "meds", "omop"), "its layouts have no positions"
)
_ENGINE = {"meds": "no engine reads it"}
_NOT_STAGED = dict.fromkeys(("tuva", "simulated", "mimic3", "meds"), "the store of deliveries does not take it")
_NUMBERS = {"meds": "its subjects are whole numbers"}
_NO_DATE = {"omop": "a birth is three numbers"}
_FILLS = ("dispensing_date", "SRVC_DT", "startdate", "drug_exposure_start_date", "CLM_LINE_FROM_DT")

RELATIONS = (
    Relation("rows_are_permuted", permute),
    Relation("files_are_renamed", lambda source, world, rng: tuple(replace(table, part="x") for table in world)),
    Relation("files_are_split_in_two", split),
    Relation(
        "files_are_delivered_twice",
        files_twice,
        group="files twice",
        error=dict.fromkeys(_TYPELESS, "E_FILE_TWICE"),
    ),
    Relation(
        "rows_are_delivered_twice",
        tables(lambda source, table: replace(twice(source, table), part="twice")),
        counts=lambda source, world, outcome: (
            outcome.counts["W_DUPLICATE" if source == "meds" else "D_DUPLICATE"]
            == sum(len(table.rows) for table in world) // 2
        ),
    ),
    Relation("rows_are_delivered_twice_beside_the_name_of_their_file", twice_in_two_files),
    Relation("rows_are_delivered_again_in_another_writing", again_in_other_writing, _NUMBERS),
    Relation(
        "a_column_outside_the_layout_is_added",
        lambda source, world, rng: tuple(with_column(table, "loaded_by", "somebody") for table in world),
    ),
    Relation("the_header_is_in_another_case", tables(other_case), {"meds": "names are those of the standard"}),
    Relation(
        "columns_are_in_another_order",
        lambda source, world, rng: tuple(replace(table, columns=table.columns[::-1]) for table in world),
    ),
    *(
        Relation(f"{what}_are_padded_with_{blank}", cells(of_kind(*kinds), change), left_out)
        for what, kinds, left_out in (
            ("ids", ("id",), _NUMBERS),
            ("codes", ("code",), {}),
            ("words", ("text",), {}),
            ("amounts_and_numbers", ("amount", "number"), _NO_AMOUNTS),
            ("dates", ("date",), {"meds": "it has times"}),
        )
        for blank, change in (
            ("blanks", lambda cell: f" {cell}  "),
            ("no_break_spaces", lambda cell: f"{NBSP}{cell}{NBSP}"),
        )
    ),
    Relation("codes_are_in_another_case", swap_case),
    Relation("words_are_in_another_case", swap_words, {"meds": "its words are codes"}),
    Relation("diagnoses_are_dotted", dot_codes),
    Relation("drugs_are_hyphenated", hyphenate_drugs),
    Relation("amounts_are_in_another_writing", cells(lambda name, kind: kind == "amount", other_writing), _NO_AMOUNTS),
    Relation(
        "numbers_are_in_another_writing",
        cells(lambda name, kind: kind == "number" and name not in NO_QUANTITY, other_writing),
        _NUMBERS,
    ),
    Relation("lines_end_as_in_windows", form(line_end="\r\n"), _TEXT),
    Relation("lines_end_as_in_old_macs", form(line_end="\r"), _TEXT),
    Relation("lines_end_in_both_ways", form(has_mixed_ends=True), _TEXT),
    Relation("the_last_line_does_not_end", form(has_last_end=False), _TEXT),
    Relation("lines_end_with_a_separator_too_many", lambda source, world, rng: behind(source, world), _TEXT),
    Relation("files_begin_with_a_byte_order_mark", form(mark=b"\xef\xbb\xbf"), _TEXT),
    Relation("fields_are_in_quotes", form(is_quoted=True), _NO_QUOTES),
    Relation("files_are_of_fixed_width", form(is_fixed=True), _NO_POSITIONS),
    Relation("files_are_gzipped", form(ending=".csv.gz"), _TEXT),
    Relation("files_are_zipped", form(ending=".zip"), _TEXT | _PARQUET),
    Relation("files_are_parquet", form(ending=".parquet"), _PARQUET | {"meds": "it is parquet always"}),
    Relation("strings_are_large", form(ending=".parquet", string=pa.large_string()), _PARQUET),
    Relation(
        "strings_are_dictionaries", form(ending=".parquet", string=pa.dictionary(pa.int32(), pa.string())), _PARQUET
    ),
    Relation("row_groups_are_small", form(ending=".parquet", rows_per_group=2), _PARQUET),
    Relation("dates_are_of_their_own_type", form(ending=".parquet", date=pa.date32()), _ISO),
    Relation(
        "dates_are_times",
        form(ending=".parquet", date=pa.timestamp("us")),
        _ISO,
        group="times",
        error=dict.fromkeys(("tuva", "simulated", "cclf"), "E_TIMESTAMP"),
    ),
    *(
        Relation(
            f"times_are_in_{name}",
            form(time=kind),
            dict.fromkeys(_TYPELESS, "it has no type for times"),
        )
        for name, kind in (
            ("seconds", pa.timestamp("s")),
            ("milliseconds", pa.timestamp("ms")),
            ("universal_time", pa.timestamp("us", "UTC")),
            ("days", pa.date32()),
        )
    ),
    Relation("an_empty_file_is_added", empty_file),
    Relation("empty_codes_are_null_words", fill_nulls("code"), {"meds": "its columns are filled"}),
    Relation("empty_amounts_and_numbers_are_null_words", fill_nulls("amount", "number"), _NO_AMOUNTS),
    Relation("empty_dates_are_null_words", fill_nulls("date"), {"meds": "it has times"}),
    Relation("empty_words_are_null_words", fill_nulls("text"), {"meds": "its columns are filled"}),
    Relation("rows_of_nobody_are_added", nobody),
    Relation(
        "claims_are_renamed",
        rename(lambda source, name: name in CLAIM_COLUMNS, mirror),
        _NO_CLAIMS,
        undo=unmirror("claim_id", mirror),
    ),
    Relation(
        "patients_are_renamed",
        rename(lambda source, name: name in (PATIENT_COLUMN[source], "member_id"), mirror_patient),
        undo=unmirror("patient_id", mirror_patient),
    ),
    *(
        Relation(f"a_stray_quote_{place}", stray_quote(place), view=without_quoted)
        for place in ("opens", "closes", "inside", "alone")
    ),
    Relation("two_stray_quotes_open", stray_quote("opens", 2), view=without_quoted),
    Relation("another_payer_uses_the_same_claim_numbers", other_payer, _ONE_PAYER, view=without(7)),
    Relation(
        "a_patient_has_one_claim_number_at_two_payers",
        shared_number,
        _ONE_PAYER,
        view=leave_out("claim_id", "data_source"),
    ),
    Relation("others_are_not_there", lambda source, world, rng: world, group="alone"),
    Relation(
        "threads_and_shards_are_more",
        lambda source, world, rng: world,
        _ENGINE,
        group="threads",
        options={"threads": 2, "shards": 3},
    ),
    Relation(
        "everybody_is_shifted_by_weeks",
        shift,
        _NO_DATE,
        group="shift",
        options={"shift_days": SHIFT_DAYS},
        expected=shift_tables,
        view=without_months,
    ),
    *(
        Relation(
            f"separator_is_{name}_in_{encoding}",
            form(delimiter=sign, encoding=encoding),
            _NO_OPTION,
            group=name,
            options={"delimiter": sign, "encoding": encoding},
        )
        for name, sign, encoding in (("semicolon", ";", "latin-1"), ("tab", "\t", "utf-8"))
    ),
    *(
        Relation(f"somebody_has_{what}", absurd(day, *names), left_out, group=ABSURD, view=without(6))
        for what, day, names, left_out in (
            (
                "a_stay_that_ends_in_2199",
                "2199-12-31",
                ("discharge_date", "NCH_BENE_DSCHRG_DT", "dischtime", "visit_end_date"),
                _NO_CLAIMS | {"cclf": "a stay ends with its claim"},
            ),
            (
                "a_claim_that_ends_in_2061",
                "2061-05-05",
                ("claim_end_date", "CLM_THRU_DT", "dischtime", "visit_end_date"),
                _NO_CLAIMS,
            ),
            (
                "a_claim_of_1800",
                "1800-01-01",
                ("claim_start_date", "CLM_FROM_DT", "admittime", "visit_start_date"),
                _NO_CLAIMS,
            ),
            ("a_drug_of_9999", "9999-12-31", _FILLS, _NO_CLAIMS),
            ("a_drug_of_2061", "2061-05-05", _FILLS, _NO_CLAIMS),
            (
                "a_birth_in_1800",
                "1800-01-01",
                ("birth_date", "BENE_BIRTH_DT", "BENE_DOB", "dob", "time", "MEDS_BIRTH"),
                _NO_DATE,
            ),
            (
                "an_enrolment_until_2199",
                "2199-12-31",
                (
                    "enrollment_end_date",
                    "ENROLLMENT_END_DATE",
                    "observation_period_end_date",
                    "time",
                    "ENROLLMENT//END",
                ),
                _NO_SPANS,
            ),
            (
                "a_payment_of_2199",
                "2199-12-31",
                ("paid_date", "NCH_WKLY_PROC_DT", "CLM_EFCTV_DT"),
                _NO_CLAIMS | dict.fromkeys(("synpuf", "mimic3", "omop"), "it has none"),
            ),
        )
    ),
)
