"""The bulk path and the single-patient path write the same tokens, whatever the layout of the table."""

import datetime as dt
import logging

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

CODES = [
    "ICD9CM/49392",
    "ICD9CM/49390",
    "ICD9CM/493",
    "ICD9CM/E8859",
    "ICD9CM/2500",
    "ICD10CM/E119",
    "HCPCS/99213",
    "HCPCS/J7613",
    "NDC/00093014501",
    "NDC/00093014599",
    "REV/0450",
    "LOINC/4548-4",
    "AGE/9",
    "TYPE/OP",
    "UNK/NDC",
    "",
    "é/ü",
    " icd9cm/493.92 ",
    "HCPCS/99213-25",
]
CATEGORIES = {
    "prefixes": {"ICD9CM/493": "CCS/128", "ICD9CM/25": "CCS/49", "ICD10CM/E11": "CCS/49"},
    "prefix_lengths": {"HCPCS": ["HCPCSGROUP", 3]},
}
STRUCTURE = [
    "UNK/ICD9CM",
    "UNK/NDC",
    "UNK/TYPE",
    *(f"AGE/{age}" for age in range(91)),
    "SEX/F",
    "SEX/M",
    "SEX/U",
    "TYPE/IP",
    "TYPE/OP",
    "GAP/START",
    *(f"GAP/{bound}" for bound in (0, *(2**power for power in range(13)))),
    *(f"DAY/{day}" for day in range(31)),
]
TOKENS = [
    *STRUCTURE,
    *sorted(["ICD9CM/49392", "ICD9CM/493", "ICD9CM/E885", "CCS/49", "HCPCSGROUP/992", "HCPCS/J7613", "NDC/000930145"]),
]

visit = st.tuples(
    st.integers(-40, 9000),
    st.sampled_from(["IP", "OP", "RX", "outpatient", " ip", "", None]),
    st.one_of(st.none(), st.lists(st.one_of(st.none(), st.sampled_from(CODES)), max_size=6)),
)
patient = st.fixed_dictionaries(
    {
        "sex": st.sampled_from(["F", "M", "X", "female", " Male ", None]),
        "birth_day": st.one_of(st.none(), st.integers(-40000, -40)),
        "index_day": st.one_of(st.none(), st.integers(9001, 20000)),
        "age": st.one_of(st.none(), st.integers(0, 120)),
        "visits": st.one_of(st.none(), st.lists(visit, max_size=7)),
        "patient_codes": st.one_of(st.none(), st.lists(st.one_of(st.none(), st.sampled_from(CODES)), max_size=4)),
    }
)
options = st.fixed_dictionaries(
    {
        "time_tokens": st.sampled_from(["day", "gap", "none"]),
        "max_day": st.sampled_from([0, 7, 30]),
        "max_visits": st.sampled_from([1, 3, None]),
        "max_codes_per_visit": st.sampled_from([1, 2, None]),
        "max_age_years": st.sampled_from([5, 90]),
        "backoff": st.booleans(),
    }
)


def to_row(patient: dict) -> dict:
    row = {name: patient[name] for name in ("sex", "birth_day", "index_day", "age", "patient_codes")}
    visits = patient["visits"]
    for position, name in enumerate(("visit_day", "visit_type", "codes")):
        row[name] = None if visits is None else [visit[position] for visit in visits]
    return row


def schema(text=None, list_=pa.list_, code=None) -> pa.Schema:
    text = text or pa.string()
    return pa.schema(
        {
            "sex": text,
            "birth_day": pa.int32(),
            "index_day": pa.int32(),
            "age": pa.int16(),
            "patient_codes": list_(code or text),
            "visit_day": list_(pa.int32()),
            "visit_type": list_(text),
            "codes": list_(list_(code or text)),
        }
    )


def make_tokenizer(tokens=TOKENS, **kwargs) -> ClaimTokenizer:
    return ClaimTokenizer({token: number + 3 for number, token in enumerate(tokens)}, CATEGORIES, **kwargs)


def one_by_one(tokenizer, rows) -> list[dict]:
    encoded = [dict(tokenizer(row, return_category_ids=True, return_length=True)) for row in rows]
    for example in encoded:
        del example["attention_mask"]
    return encoded


@given(patients=st.lists(patient, max_size=5), options=options)
@settings(max_examples=80, deadline=None)
def test_a_table_gives_the_ids_of_its_rows(patients, options):
    tokenizer = make_tokenizer(**options)
    rows = [to_row(patient) for patient in patients]
    table = pa.Table.from_pylist(rows, schema=schema())
    assert tokenizer.encode_table(table).to_pylist() == one_by_one(tokenizer, rows)


@given(patients=st.lists(patient, min_size=1, max_size=6), data=st.data())
@settings(max_examples=40, deadline=None)
def test_layout_of_the_table_does_not_matter(patients, data):
    tokenizer = make_tokenizer(max_visits=3)
    rows = [to_row(patient) for patient in patients]
    plain = pa.Table.from_pylist(rows, schema=schema())
    expected = tokenizer.encode_table(plain)

    cut = data.draw(st.integers(0, len(rows)))
    chunked = pa.concat_tables([plain.slice(0, cut), plain.slice(cut)])
    assert tokenizer.encode_table(chunked).to_pylist() == expected.to_pylist()
    assert tokenizer.encode_table(plain.slice(cut)).to_pylist() == expected.slice(cut).to_pylist()
    large = pa.Table.from_pylist(rows, schema=schema(pa.large_string(), pa.large_list))
    assert tokenizer.encode_table(large).to_pylist() == expected.to_pylist()
    dictionary = pa.dictionary(pa.int32(), pa.string())
    encoded = pa.Table.from_pylist(rows, schema=schema(dictionary))
    assert tokenizer.encode_table(encoded).to_pylist() == expected.to_pylist()


@given(patient=patient, order=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_of_visits_and_codes_does_not_matter(patient, order):
    tokenizer = make_tokenizer(max_visits=3, max_codes_per_visit=2)
    visits = [(day, kind, list(codes or [])) for day, kind, codes in patient["visits"] or []]
    shuffled = [(day, kind, order.sample(codes + codes, 2 * len(codes))) for day, kind, codes in visits]
    order.shuffle(shuffled)
    before, after = (to_row({**patient, "visits": found}) for found in (visits, shuffled))
    assert dict(tokenizer(before)) == dict(tokenizer(after))
    tables = [pa.Table.from_pylist([row], schema=schema()) for row in (before, after)]
    assert tokenizer.encode_table(tables[0]).equals(tokenizer.encode_table(tables[1]))


@given(patient=patient, shift_days=st.integers(-20000, 20000))
@settings(max_examples=40, deadline=None)
def test_shifting_all_dates_of_a_patient_changes_no_token(patient, shift_days):
    tokenizer = make_tokenizer()
    row = to_row(patient)
    shifted = dict(row)
    for name in ("birth_day", "index_day"):
        shifted[name] = None if row[name] is None else row[name] + shift_days
    shifted["visit_day"] = None if row["visit_day"] is None else [day + shift_days for day in row["visit_day"]]
    assert dict(tokenizer(row)) == dict(tokenizer(shifted))


def test_other_patients_change_no_token_of_a_patient():
    tokenizer = make_tokenizer()
    row = {"visit_day": [3, 9], "visit_type": ["OP", "IP"], "codes": [["ICD9CM/49392"], ["NDC/00093014599"]]}
    other = {"visit_day": [1], "visit_type": ["RX"], "codes": [["ICD9CM/49390", "REV/0450"]]}
    alone = tokenizer.encode_table(pa.Table.from_pylist([row]))
    among = tokenizer.encode_table(pa.Table.from_pylist([other, row, other]))
    assert among.slice(1, 1).to_pylist() == alone.to_pylist()


def test_a_row_of_many_with_a_large_vocabulary_is_written_as_it_is_alone():
    tokenizer = make_tokenizer([*TOKENS, *(f"HCPCS/{code:05d}" for code in range(30_000))])
    codes = [["HCPCS/29999", "HCPCS/00000"], ["NDC/00093014599"], ["HCPCS/29999"], [], None]
    table = pa.Table.from_pylist([{"visit_day": [1, 2, 3, 5, 5], "visit_type": ["OP"] * 5, "codes": codes}])
    # Slot and place of a token need more than 32 bits here.
    many = tokenizer.encode_table(table.take(pa.array(np.zeros(8000, np.int64))))
    assert many.slice(7999).to_pylist() == many.slice(0, 1).to_pylist() == tokenizer.encode_table(table).to_pylist()


def test_structured_patient_equals_its_row():
    tokenizer = make_tokenizer(time_tokens="day")
    visits = [{"day": 100, "type": "OP", "codes": ["ICD9CM/49392"]}, {"day": 112, "type": None, "codes": None}]
    row = {
        "visit_day": [100, 112],
        "visit_type": ["OP", None],
        "codes": [["ICD9CM/49392"], None],
        "sex": "F",
        "age": 9,
    }
    encoded = tokenizer({"age": 9.9, "sex": "F", "visits": visits})
    assert dict(encoded) == dict(tokenizer(row))
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"]) == [
        *("AGE/9", "SEX/F"),
        *("TYPE/OP", "DAY/0", "ICD9CM/49392"),
        *("UNK/TYPE", "DAY/12"),
    ]
    assert encoded["visit_ids"] == [0, 0, 1, 1, 1, 2, 2]
    assert encoded["visit_days"] == [0, 0, 12]


def test_a_vocabulary_without_structure_still_gives_each_patient_a_token():
    tokenizer = make_tokenizer(["ICD9CM/493"])
    row = {"visit_day": [5], "visit_type": ["OP"], "codes": [["ICD9CM/4939"]], "sex": "F", "age": 9}
    encoded = tokenizer(row)
    assert encoded["input_ids"] == [tokenizer.unk_token_id, 3]
    assert tokenizer.encode_table(pa.Table.from_pylist([row]))["input_ids"].to_pylist() == [[1, 3]]


@pytest.mark.parametrize("empty", [{}, {"visits": []}, {"visits": None}])
def test_a_patient_without_visits_has_slot_zero_only(empty):
    encoded = make_tokenizer()({"visits": [], "sex": "M", **empty})
    assert encoded["visit_days"] == [0]
    assert encoded["visit_ids"] == [0]


def test_a_table_without_rows_gives_a_table_without_rows():
    tokenizer = make_tokenizer()
    full = tokenizer.encode_table(pa.Table.from_pylist([to_row({**dict.fromkeys(schema().names), "visits": []})]))
    for empty in (schema().empty_table(), pa.table({name: [] for name in schema().names})):
        encoded = tokenizer.encode_table(empty)
        assert encoded.num_rows == 0
        assert encoded.schema == full.schema


def test_columns_of_the_output_are_int32_lists_without_nulls():
    encoded = make_tokenizer().encode_table(schema().empty_table())
    assert encoded.schema.types == [pa.list_(pa.int32())] * 4 + [pa.int32()]


def test_label_is_carried_and_identifiers_and_dates_are_not():
    tokenizer = make_tokenizer()
    row = {"patient_id": "P1", "index_day": 99, "label": 1, "visit_day": [3], "visit_type": ["OP"], "codes": [[]]}
    table = pa.Table.from_pylist([row])
    names = ["input_ids", "visit_ids", "visit_days", "category_ids", "length"]
    assert tokenizer.encode_table(table).column_names == [*names, "label"]
    assert tokenizer.encode_table(table, keep_columns=["patient_id"]).column_names == [*names, "patient_id"]
    with pytest.raises(ValueError, match="found no weight"):
        tokenizer.encode_table(table, keep_columns=["weight"])


@pytest.mark.parametrize(
    ("days", "types", "label", "is_refused"),
    [
        ([3, 9, 9], ["OP", "IP", "OP"], [0, 1, 2], False),
        ([9, 3, 9], ["OP", "OP", "IP"], [0, 1, 2], True),
        ([3, 9, 9], ["OP", "OP", "IP"], [0, 1, 2], True),
        ([3, 3, 9], ["OP", "outpatient", "IP"], [0, 1, 2], True),
        ([9, 3, 9], ["OP", "OP", "IP"], [0.0, 1.0, 0.0], False),
        ([9, 3, 9], ["OP", "OP", "IP"], [0, 1], False),
    ],
)
def test_a_label_for_each_visit_wants_the_visits_in_order(days, types, label, is_refused):
    others = {"visit_day": [1, 2], "visit_type": ["OP", "OP"], "codes": [[], []], "label": label[:2]}
    row = {"visit_day": days, "visit_type": types, "codes": [["HCPCS/99213"]] * 3, "label": label}
    table, tokenizer = pa.Table.from_pylist([others, row]), ClaimTokenizer({"SEX/U": 3, "TYPE/OP": 4})
    if is_refused:
        with pytest.raises(ValueError, match="where label has a number for each of them, found 1 rows with others"):
            tokenizer.encode_table(table)
    else:
        assert tokenizer.encode_table(table)["label"].to_pylist() == [label[:2], label]


def test_truncation_keeps_the_most_recent_visits():
    tokenizer = make_tokenizer(max_visits=2, time_tokens="day")
    row = {"visit_day": [10, 20, 23], "visit_type": ["OP"] * 3, "codes": [["REV/0450"], ["NDC/1"], ["ICD9CM/493"]]}
    encoded = tokenizer(row)
    assert encoded["visit_days"] == [0, 0, 3]
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"]) == [
        "SEX/U",
        *("TYPE/OP", "DAY/0", "UNK/NDC"),
        *("TYPE/OP", "DAY/3", "ICD9CM/493"),
    ]


def test_age_is_taken_at_the_index_day_else_at_the_first_visit_in_view():
    tokenizer = make_tokenizer(max_visits=1)
    row = {"birth_day": 0, "visit_day": [0, 3653], "visit_type": ["OP"] * 2, "codes": [[], []]}
    assert "AGE/10" in tokenizer.decode(tokenizer(row)["input_ids"])
    assert "AGE/20" in tokenizer.decode(tokenizer({**row, "index_day": 7306})["input_ids"])


def test_gap_tokens_are_log2_buckets_of_the_days_since_the_previous_visit():
    tokenizer = make_tokenizer()
    gaps = {0: 0, 1: 1, 2: 2, 3: 2, 4: 4, 7: 4, 8: 8, 4095: 2048, 4096: 4096, 90_000: 4096}
    for gap_days, bound in gaps.items():
        types = ["IP", "OP"]
        row = {"visit_day": [5, 5 + gap_days], "visit_type": types, "codes": [[], []], "sex": "F"}
        expected = ["SEX/F", "TYPE/IP", "GAP/START", "TYPE/OP", f"GAP/{bound}"]
        assert tokenizer.convert_ids_to_tokens(tokenizer(row)["input_ids"]) == expected


def test_codes_of_two_entries_of_one_visit_are_joined():
    tokenizer = make_tokenizer()
    row = {"visit_day": [5, 5], "visit_type": ["OP", "OP"], "codes": [["REV/0450"], ["NDC/1"]]}
    assert tokenizer(row)["visit_days"] == [0, 0]
    joined = {"visit_day": [5], "visit_type": ["OP"], "codes": [["NDC/1", "REV/0450"]]}
    assert dict(tokenizer(row)) == dict(tokenizer(joined))


def test_an_over_long_visit_keeps_known_codes_before_unknown_ones():
    tokenizer = make_tokenizer(max_codes_per_visit=1)
    for unknown in ("NDC/1", "ICD9CM/99", "REV/0450"):
        row = {"visit_day": [1], "visit_type": ["OP"], "codes": [[unknown, "HCPCS/J7613"]]}
        tokens = tokenizer.convert_ids_to_tokens(tokenizer(row)["input_ids"])
        assert tokens == ["SEX/U", "TYPE/OP", "GAP/START", "HCPCS/J7613"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index_day": 5}, "E_LEAK"),
        ({"visit_type": ["OP", "OP"]}, "one length"),
        ({"visit_day": [None]}, "integer"),
        ({"visit_day": ["5"]}, "integer"),
        ({"visit_day": [5.0]}, "integer"),
        ({"visit_type": [7]}, "string"),
        ({"codes": [[7]]}, "string"),
        ({"codes": [["E119"]]}, "expected codes as SYSTEM/CODE, found 1 without a system"),
        ({"codes": [["[MASK]"]]}, "without a system"),
        ({"codes": [["NDC/"]]}, "without a system"),
        ({"patient_codes": ["COUNTY"]}, "without a system"),
        ({"sex": "1"}, "expected sex to be F, M or U"),
        ({"sex": 1}, "sex"),
        ({"gender": "F"}, "write gender as sex"),
        ({"birth_date": 1}, "write birth_date as birth_day"),
        ({"age": -1}, "age of 0 to 120"),
        ({"age": 121}, "age of 0 to 120"),
        ({"age": 1962.0}, "age of 0 to 120"),
        ({"birth_day": 6}, "age of 0 to 120"),
        ({"birth_day": 10, "index_day": 9}, "age of 0 to 120"),
        ({"visit_day": ["2020-02-30"]}, "day"),
        ({"visit_day": ["20200229"]}, "YYYY-MM-DD"),
        ({"visit_day": [dt.datetime(2020, 2, 29, 13)]}, "YYYY-MM-DD"),
        ({"visit_day": [dt.datetime(2020, 2, 29, tzinfo=dt.UTC)]}, "YYYY-MM-DD"),
        ({"visit_day": [dt.date(2020, 2, 29)], "birth_day": 100}, "all days of a patient as integers or all as dates"),
        ({"birth_day": dt.date(1960, 2, 29)}, "all days of a patient as integers or all as dates"),
    ],
)
def test_both_paths_refuse_the_same_faults(change, message):
    tokenizer = make_tokenizer()
    row = {"visit_day": [5], "visit_type": ["OP"], "codes": [["NDC/1"]], **change}
    with pytest.raises(ValueError, match=message):
        tokenizer(row)
    with pytest.raises(ValueError, match=message):
        tokenizer.encode_table(pa.Table.from_pylist([row]))


def test_columns_that_are_missing_are_named():
    with pytest.raises(ValueError, match="found no visit_type, codes"):
        make_tokenizer().encode_table(pa.table({"visit_day": [[1]]}))
    with pytest.raises(ValueError, match="expected a patient with the key 'visits'"):
        make_tokenizer()({"sex": "F"})


def test_every_level_of_the_back_off_is_counted():
    tokenizer = make_tokenizer()
    codes = ["ICD9CM/49392", "ICD9CM/49390", "ICD9CM/2500", "ICD9CM/1", "REV/1", "LOINC/1", "LOINC/1"]
    table = pa.Table.from_pylist([{"visit_day": [1], "visit_type": ["OP"], "codes": [codes]}])
    expected = {
        "ICD9CM": {"exact": 1, "prefix": 1, "category": 1, "wider": 0, "system": 1, "unknown": 0},
        "REV": {"exact": 0, "prefix": 0, "category": 0, "wider": 0, "system": 0, "unknown": 1},
        "OTHER": {"exact": 0, "prefix": 0, "category": 0, "wider": 0, "system": 0, "unknown": 2},
    }
    assert tokenizer.count_backoffs(table) == expected
    assert tokenizer.encode_table(table, return_statistics=True)[1] == expected


def test_statistics_start_at_zero_each_time():
    tokenizer = make_tokenizer()
    table = pa.Table.from_pylist([{"visit_day": [1], "visit_type": ["OP"], "codes": [["REV/1"]]}])
    assert tokenizer.count_backoffs(table) == tokenizer.count_backoffs(table)


def test_without_back_off_an_unseen_code_is_unknown_of_its_system():
    row = {"visit_day": [1], "visit_type": ["OP"], "codes": [["ICD9CM/49390", "HCPCS/99213"]]}
    tokens = [
        make_tokenizer(backoff=backoff).decode(make_tokenizer(backoff=backoff)(row)["input_ids"])
        for backoff in (True, False)
    ]
    assert tokens[0].endswith("HCPCSGROUP/992 ICD9CM/493")
    assert tokens[1].endswith("GAP/START [UNK] UNK/ICD9CM")


def test_text_of_a_special_token_in_the_data_is_data():
    tokenizer = make_tokenizer()
    special = ["TYPE/IP", "AGE/9", "SEX/F", "GAP/1", "UNK/NDC", "DAY/1"]
    row = {"visit_day": [1], "visit_type": ["OP"], "codes": [special]}
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(row)["input_ids"])
    assert tokens == ["SEX/U", "TYPE/OP", "GAP/START", "[UNK]"]


def test_a_type_that_looks_like_a_token_is_an_unknown_type():
    tokenizer = make_tokenizer()
    for kind in ("[MASK]", "OP/../../SEX", "TYPE/OP"):
        row = {"visit_day": [1], "visit_type": [kind], "codes": [[]]}
        assert tokenizer.convert_ids_to_tokens(tokenizer(row)["input_ids"]) == ["SEX/U", "UNK/TYPE", "GAP/START"]


def test_category_ids_follow_the_token_and_masks_name_codes_only():
    tokenizer = make_tokenizer()
    names = tokenizer.category_names
    assert names == ["CCS/128", "CCS/49", "HCPCSGROUP/992", "HCPCSGROUP/J76"]
    assert tokenizer.num_categories == 4
    found = {
        token: names[tokenizer.category_of_token[number]]
        for token, number in tokenizer.get_vocab().items()
        if tokenizer.category_of_token[number] >= 0
    }
    assert found == {
        "ICD9CM/49392": "CCS/128",
        "ICD9CM/493": "CCS/128",
        "CCS/49": "CCS/49",
        "HCPCSGROUP/992": "HCPCSGROUP/992",
        "HCPCS/J7613": "HCPCSGROUP/J76",
    }
    targets = {token for token, number in tokenizer.get_vocab().items() if tokenizer.target_mask[number]}
    assert targets == set(TOKENS) - set(STRUCTURE)


CANONICAL = {
    "sex": "F",
    "birth_day": 10_957,
    "index_day": 18_400,
    "visit_day": [18_262, 18_300],
    "visit_type": ["OP", "IP"],
    "codes": [["ICD9CM/49392", "NDC/00093014501"], ["ICD9CM/E8859", "HCPCS/J7613"]],
}
VISITS = [
    {"day": "2020-02-08", "type": "inpatient", "codes": ["ICD9CM/e885.9", "HCPCS/J7613 25"]},
    {"day": "2020-01-01", "type": "OP ", "codes": ["icd-9-cm/493.92", "NDC/0093-0145-01"]},
]


@pytest.mark.parametrize(
    "change",
    [
        {"sex": "female"},
        {"sex": " Female "},
        {"sex": "f"},
        {"visit_type": ["outpatient", "Inpatient"]},
        {"visit_type": ["OP ", "\u00a0ip"]},
        {"codes": [["icd9cm/493.92", "NDC/0093-0145-01"], ["ICD9CM/E885.9", " hcpcs/j7613"]]},
        {"codes": [["ICD9CM/49392\u2003", "NDC/00093-0145-01", ""], ["icd9cm / e8859", "HCPCS/J7613-25-59", None]]},
        {"visit_day": [18_300, 18_262], "visit_type": ["IP", "OP"], "codes": CANONICAL["codes"][::-1]},
        {
            "visit_day": [dt.date(2020, 1, 1), dt.date(2020, 2, 8)],
            "birth_day": dt.date(2000, 1, 1),
            "index_day": dt.date(2020, 5, 18),
        },
        {"visit_day": ["2020-01-01", "2020-02-08"], "birth_day": "2000-01-01", "index_day": "2020-05-18"},
        {
            "visit_day": [dt.datetime(2020, 1, 1), dt.datetime(2020, 2, 8)],
            "birth_day": dt.datetime(2000, 1, 1),
            "index_day": dt.datetime(2020, 5, 18),
        },
    ],
)
def test_what_means_the_same_is_written_the_same(change):
    tokenizer = make_tokenizer()
    expected = tokenizer.encode_table(pa.Table.from_pylist([CANONICAL]))
    changed = {**CANONICAL, **change}
    assert tokenizer.encode_table(pa.Table.from_pylist([changed])).equals(expected)
    assert tokenizer(changed)["input_ids"] == expected["input_ids"][0].as_py()
    assert tokenizer(changed)["visit_days"] == expected["visit_days"][0].as_py()


def test_visits_of_a_dictionary_may_stand_in_any_order_with_dates_and_words():
    tokenizer = make_tokenizer()
    patient = {"sex": "FEMALE", "birth_day": "2000-01-01", "index_day": np.datetime64("2020-05-18"), "visits": VISITS}
    assert dict(tokenizer(patient)) == dict(tokenizer(CANONICAL))


@pytest.mark.parametrize("key", ["day", "type", "codes"])
def test_a_visit_without_one_of_its_keys_is_refused(key):
    visit = {name: value for name, value in VISITS[0].items() if name != key}
    with pytest.raises(ValueError, match=rf"found no {key}; write None for what is not known"):
        make_tokenizer()({"visits": [visit | {"code": ["REV/0450"]}]})


def test_a_drug_of_ten_digits_backs_off_to_no_other_drug():
    tokenizer = make_tokenizer([*STRUCTURE, "NDC/930145012"])
    row = {"visit_day": [1], "visit_type": ["OP"], "codes": [["NDC/9301450123"]]}
    assert tokenizer.decode(tokenizer(row)["input_ids"]).endswith("UNK/NDC")


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("W_UNKNOWN")]


@pytest.mark.parametrize("encode", ["one", "table"])
def test_a_call_of_mostly_unknown_codes_warns_once_with_the_share_by_system_and_the_cure(encode, caplog):
    tokenizer = make_tokenizer()
    call = tokenizer if encode == "one" else lambda row: tokenizer.encode_table(pa.Table.from_pylist([row]))
    row = {"visit_day": [1], "visit_type": ["OP"]}
    half = {**row, "codes": [["ICD9CM/49392", "ICD10CM/J45"]]}
    more = {**row, "codes": [["ICD9CM/49392", "icd10cm/J45", "ICD10CM/E119", "ICD10CM/I10", "LOINC/1"]]}
    with caplog.at_level(logging.WARNING):
        call(half)
        assert not warnings_of(caplog)
        call(more)
        call(more)
    (said,) = warnings_of(caplog)
    assert "found a part unknown: a part ICD10CM, all OTHER. Extend it (tokenizer.extend" in said
    assert "J45" not in said


@pytest.mark.parametrize("encode", ["one", "table"])
def test_a_visit_type_that_is_no_claim_type_warns_once(encode, caplog):
    tokenizer = make_tokenizer()
    call = tokenizer if encode == "one" else lambda row: tokenizer.encode_table(pa.Table.from_pylist([row]))
    row = {"visit_day": [1], "codes": [["ICD9CM/49392"]]}
    with caplog.at_level(logging.WARNING):
        for kind in ("RX", "", "OP"):
            call({**row, "visit_type": [kind]})
        assert not warnings_of(caplog)
        for _ in range(2):
            call({**row, "visit_type": ["televisit"]})
    (said,) = warnings_of(caplog)
    assert "found 1 other types, written as UNK/TYPE" in said
    assert "televisit" not in said


def test_a_gap_of_8192_days_is_that_of_4096_and_more_on_both_paths():
    tokenizer = make_tokenizer(time_tokens="gap")
    for gap_days, token in ((4095, "GAP/2048"), (4096, "GAP/4096"), (8191, "GAP/4096"), (8192, "GAP/4096")):
        row = {"visit_day": [1, 1 + gap_days], "visit_type": ["OP", "OP"], "codes": [[], []]}
        table = tokenizer.encode_table(pa.Table.from_pylist([row]))
        assert table["input_ids"][0].as_py() == tokenizer(row)["input_ids"]
        assert tokenizer.convert_ids_to_tokens(tokenizer(row)["input_ids"])[-1] == token
