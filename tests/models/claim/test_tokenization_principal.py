"""Principal diagnoses as tokens: the same in both paths, rare ones unseen, and none that gives a hidden code away."""

import json

import datasets
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.models.claim.form_claim import ClaimForm
from claim_transformers.models.claim.form_table_claim import FormWriter, decode_codes
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.training import (
    DataCollatorForClaimPretraining,
    DataCollatorForMaskedTokens,
    tokenize_dataset,
)

CATEGORIES = {"ICD9CM/428": "CCS/108", "ICD10CM/I50": "CCS/108", "ICD9CM/493": "CCS/128"}
CODES = ["ICD9CM/4280", "ICD10CM/I509", "ICD9CM/49392", "ICD9CM/4019", "ICD10CM/E119", "icd10cm/i50.9", " ", None]
VOCABULARY = [
    *("UNK/ICD9CM", "UNK/PRINCIPAL", "SEX/F", "TYPE/IP", "TYPE/OP", "PRINCIPAL/CCS/108", "PRINCIPAL/ICD9CM/401"),
    *("CCS/108", "ICD9CM/4280", "ICD10CM/I509", "ICD9CM/49392", "PRINCIPAL/CCS/128"),
]


def tokenizer_with(*, mark_principal: bool = True, **options) -> ClaimTokenizer:
    vocabulary = {token: number + 3 for number, token in enumerate(VOCABULARY)}
    return ClaimTokenizer(vocabulary, CATEGORIES, time_tokens="none", mark_principal=mark_principal, **options)


def row_of(*visits: tuple) -> dict:
    columns = zip(*visits, strict=True) if visits else [[]] * 4
    names = ("visit_day", "visit_type", "codes", "principal_codes")
    return {"sex": "F", **dict(zip(names, map(list, columns), strict=True))}


def table_of(rows: list[dict]) -> pa.Table:
    lists = pa.list_(pa.list_(pa.string()))
    types = (pa.string(), pa.list_(pa.int32()), pa.list_(pa.string()), lists, lists)
    names = ("sex", "visit_day", "visit_type", "codes", "principal_codes")
    return pa.Table.from_pylist(rows, schema=pa.schema(zip(names, types, strict=True)))


def patients_with(principal: dict[str, int]) -> list[dict]:
    """Rows of as many patients as each principal diagnosis has; all of them have one code in common."""
    codes = [code for code, patients in principal.items() for _ in range(patients)]
    return [
        {"patient_id": str(number), **row_of((1, "IP", ["REV/0450", code], [code]), (9, "OP", ["REV/0450"], []))}
        for number, code in enumerate(codes)
    ]


some_codes = st.one_of(st.none(), st.lists(st.sampled_from(CODES), max_size=4))
visit = st.tuples(st.integers(0, 5), st.sampled_from(["IP", "OP", "RX"]), some_codes, some_codes)


@given(
    patients=st.lists(st.lists(visit, max_size=6), max_size=4),
    max_visits=st.sampled_from([1, 2, None]),
    max_codes=st.sampled_from([1, None]),
)
@settings(max_examples=60, deadline=None)
def test_a_table_its_rows_and_structured_patients_give_the_same_tokens(patients, max_visits, max_codes):
    tokenizer = tokenizer_with(max_visits=max_visits, max_codes_per_visit=max_codes)
    rows = [row_of(*visits) for visits in patients]
    keys = ("day", "type", "codes", "principal")
    structured = [{"sex": "F", "visits": [dict(zip(keys, found, strict=True)) for found in v]} for v in patients]
    expected = tokenizer.encode_table(table_of(rows))
    for given_patients in (rows, structured):
        encoded = [tokenizer(patient, return_category_ids=True) for patient in given_patients]
        for name in ("input_ids", "visit_ids", "visit_days", "category_ids"):
            assert [patient[name] for patient in encoded] == expected[name].to_pylist()


def test_each_principal_diagnosis_adds_the_token_of_its_group():
    tokenizer = tokenizer_with()
    row = row_of(
        (1, "IP", ["ICD9CM/4280"], ["ICD9CM/4280"]),
        (2, "IP", ["ICD10CM/I509"], ["ICD10CM/I509"]),
        (3, "OP", ["ICD9CM/49392"], ["ICD9CM/4019"]),
        (4, "OP", [], ["ICD10CM/E119", None]),
        (5, "OP", ["ICD9CM/4280"], None),
    )
    assert tokenizer.decode(tokenizer(row)["input_ids"]) == (
        "SEX/F | TYPE/IP PRINCIPAL/CCS/108 ICD9CM/4280 | TYPE/IP PRINCIPAL/CCS/108 ICD10CM/I509 "
        "| TYPE/OP PRINCIPAL/ICD9CM/401 ICD9CM/49392 | TYPE/OP UNK/PRINCIPAL | TYPE/OP ICD9CM/4280"
    )


@given(patients=st.lists(st.lists(visit, max_size=6), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_the_other_tokens_are_those_of_a_tokenizer_that_does_not_mark(patients):
    rows = [row_of(*visits) for visits in patients]
    with_marks, without = tokenizer_with(), tokenizer_with(mark_principal=False)
    marks = with_marks.vocabulary.principal_ids
    for row in rows:
        encoded, plain = with_marks(row), without(row)
        kept = ~np.isin(encoded["input_ids"], marks)
        for name in ("input_ids", "visit_ids"):
            assert np.array(encoded[name], int)[kept].tolist() == plain[name]
        assert encoded["visit_days"] == plain["visit_days"]


def test_marks_are_no_targets_and_have_no_category_and_no_data_becomes_one():
    tokenizer = tokenizer_with()
    marks = tokenizer.vocabulary.principal_ids
    assert sorted(tokenizer.convert_ids_to_tokens(marks.tolist())) == sorted(t for t in VOCABULARY if "PRINCIPAL" in t)
    assert not tokenizer.target_mask[marks].any()
    assert (tokenizer.category_of_token[marks] == -100).all()
    row = row_of((1, "IP", ["PRINCIPAL/CCS/108", "UNK/PRINCIPAL"], []))
    assert tokenizer.decode(tokenizer(row)["input_ids"]) == "SEX/F | TYPE/IP [UNK]"


@pytest.mark.parametrize("as_table", [True, False])
def test_training_counts_patients_of_a_group(as_table):
    rows = patients_with({"ICD9CM/4280": 6, "ICD10CM/I509": 5, "ICD9CM/49392": 10, "ICD9CM/4019": 11, "AGE/9": 12})
    dataset = table_of(rows).append_column("patient_id", [[row["patient_id"] for row in rows]]) if as_table else rows
    tokenizer = ClaimTokenizer.train_from_dataset(dataset, categories=CATEGORIES, mark_principal=True)
    marks = {token for token in tokenizer.get_vocab() if "PRINCIPAL" in token}
    assert marks == {"UNK/PRINCIPAL", "PRINCIPAL/CCS/108", "PRINCIPAL/ICD9CM/401"}
    plain = ClaimTokenizer.train_from_dataset(dataset, categories=CATEGORIES)
    assert plain.get_vocab().keys() == tokenizer.get_vocab().keys() - marks


def test_rows_of_one_patient_give_a_group_one_patient():
    rows = patients_with({"ICD9CM/4280": 30})
    for row in rows[10:]:
        row["patient_id"] = "the same"
    with pytest.raises(ValueError, match="expected at least one code"):
        ClaimTokenizer.train_from_dataset(rows, min_patients=12, mark_principal=True)
    tokenizer = ClaimTokenizer.train_from_dataset(rows, min_patients=11, mark_principal=True)
    assert "PRINCIPAL/ICD9CM/428" in tokenizer.get_vocab()


def test_a_saved_tokenizer_still_marks_and_one_of_before_does_not(tmp_path):
    tokenizer, row = tokenizer_with(), row_of((1, "IP", ["ICD9CM/4280"], ["ICD9CM/4280"]))
    tokenizer.save_pretrained(tmp_path)
    assert dict(ClaimTokenizer.from_pretrained(tmp_path)(row)) == dict(tokenizer(row))
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    assert config.pop("mark_principal") is True
    path.write_text(json.dumps(config))
    assert dict(ClaimTokenizer.from_pretrained(tmp_path)(row)) == dict(tokenizer_with(mark_principal=False)(row))


def test_data_sets_give_the_tokens_of_their_rows():
    tokenizer, rows = tokenizer_with(), [row_of((1, "IP", ["ICD9CM/4280"], ["ICD9CM/4280"])), row_of()]
    expected = [tokenizer(row)["input_ids"] for row in rows]
    dataset = datasets.Dataset(table_of(rows))
    assert dataset.map(tokenizer, batched=True)["input_ids"][:] == expected
    assert tokenize_dataset(dataset, tokenizer)["input_ids"][:] == expected


def test_a_form_leaves_principal_diagnoses_to_the_categories():
    tokenizer = tokenizer_with(form=ClaimForm("category", categories=CATEGORIES))
    row = row_of((1, "IP", ["ICD9CM/4280"], ["ICD9CM/4280"]))
    assert tokenizer.decode(tokenizer(row)["input_ids"]) == "SEX/F | TYPE/IP PRINCIPAL/CCS/108 CCS/108"
    written = FormWriter(tokenizer.form).write(table_of([row]))
    for table in (table_of([row]), decode_codes(written)):
        assert tokenizer.encode_table(table)["input_ids"].to_pylist() == [tokenizer(row)["input_ids"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"principal_codes": [["E119"]]}, "found 1 without a system"),
        ({"principal_codes": [[], []]}, "of one length"),
        ({"principal_codes": None}, "of one length"),
        ({"principal_codes": [[7]]}, "strings"),
    ],
)
def test_both_paths_refuse_the_same_faults(change, message):
    row = row_of((1, "IP", ["ICD9CM/4280"], [])) | change
    for encode in (tokenizer_with(), lambda row: tokenizer_with().encode_table(pa.Table.from_pylist([row]))):
        with pytest.raises(ValueError, match=message):
            encode(row)


def test_patients_that_do_not_tell_their_principal_diagnoses_are_refused():
    tokenizer, row = tokenizer_with(), row_of((1, "IP", ["ICD9CM/4280"], []))
    del row["principal_codes"]
    table = pa.Table.from_pylist([row])
    train = {"mark_principal": True, "min_patients": 1}
    for refused in (
        lambda: tokenizer(row),
        lambda: tokenizer.encode_table(table),
        lambda: tokenizer.encode_table(table.slice(0, 0)),
        lambda: ClaimTokenizer.train_from_dataset(table, **train),
        lambda: ClaimTokenizer.train_from_dataset([row], **train),
    ):
        with pytest.raises(ValueError, match=r"expected principal_codes.*mark_principal=False"):
            refused()
    with pytest.raises(ValueError, match=r"expected visits with the key 'principal'.*found 1 without"):
        tokenizer({"visits": [{"day": 1, "type": "IP", "codes": []}]})


def test_a_vocabulary_without_marks_cannot_mark():
    with pytest.raises(ValueError, match=r"expected a vocabulary with UNK/PRINCIPAL.*train one with"):
        ClaimTokenizer.from_pretrained("claim-pt-base", mark_principal=True)


def test_a_hidden_code_is_not_given_away_by_the_mark_of_its_visit():
    tokenizer = tokenizer_with()
    visits = [(day, "IP", ["ICD9CM/4280", "ICD9CM/49392"], ["ICD9CM/4280"]) for day in range(60)]
    rows = [dict(tokenizer(row_of(*visits), return_category_ids=True)) for _ in range(20)]
    for make, hidden_label in (
        (lambda: DataCollatorForMaskedTokens(tokenizer), "labels"),
        (lambda: DataCollatorForClaimPretraining(tokenizer, cp_mask_probability=0.3), "category_labels"),
    ):
        batch = {name: values.numpy() for name, values in make()(rows).items()}
        marked = np.isin(np.array([row["input_ids"] for row in rows]), tokenizer.vocabulary.principal_ids)
        assert (batch[hidden_label][marked] == -100).all()
        slot = np.arange(len(rows))[:, None] * 100 + batch["visit_ids"]
        in_visit_with_hidden = np.isin(slot, slot[batch[hidden_label] != -100])
        is_mask = batch["input_ids"] == tokenizer.mask_token_id
        assert 0.1 < in_visit_with_hidden[marked].mean() < 0.9
        assert (is_mask == in_visit_with_hidden)[marked].all()
