"""Which codes get a token, and that nothing about fewer than eleven patients leaves."""

import json
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.models.claim.vocabulary_training_claim import _PatientCounter

CATEGORIES = {"ICD9CM/493": "CCS/128", "ICD9CM/250": "CCS/49", "ICD9CM/249": "CCS/49"}


def patients_with(codes: dict[str, int], visits: int = 1) -> list[dict]:
    """One patient for each holder of each code, each code in every visit."""
    patients = []
    for code, num_patients in codes.items():
        for _ in range(num_patients):
            days = range(1, visits + 1)
            found = [{"day": day, "type": "OP", "codes": [code]} for day in days]
            patients.append({"patient_id": f"patient {len(patients)}", "visits": found})
    return patients


def to_table(patients: list[dict]) -> pa.Table:
    names = {"visit_day": "day", "visit_type": "type", "codes": "codes"}
    rows = [
        {
            "patient_id": patient["patient_id"],
            **{name: [visit[key] for visit in patient["visits"]] for name, key in names.items()},
        }
        for patient in patients
    ]
    return pa.Table.from_pylist(rows)


def codes_of(tokenizer: ClaimTokenizer) -> set[str]:
    mask = tokenizer.target_mask
    return {token for token, number in tokenizer.get_vocab().items() if mask[number]}


def test_a_code_needs_eleven_patients():
    tokenizer = ClaimTokenizer.train_from_dataset(patients_with({"REV/0450": 11, "REV/0636": 10}))
    assert codes_of(tokenizer) == {"REV/0450"}


def test_patients_are_counted_and_not_occurrences():
    patients = patients_with({"REV/0450": 11}) + patients_with({"REV/0636": 10}, visits=40)
    for number, patient in enumerate(patients):
        patient["patient_id"] = str(number)
    assert codes_of(ClaimTokenizer.train_from_dataset(to_table(patients))) == {"REV/0450"}


def test_rows_of_one_patient_are_one_patient():
    patients = patients_with({"REV/0450": 11, "REV/0636": 30})
    for patient in patients[11:]:
        patient["patient_id"] = "the same"
    for dataset in (patients, to_table(patients), to_table(patients).to_batches(max_chunksize=7)):
        assert codes_of(ClaimTokenizer.train_from_dataset(dataset)) == {"REV/0450"}


def test_rare_codes_share_a_prefix_then_a_category():
    patients = patients_with(
        {
            "ICD9CM/49392": 6,
            "ICD9CM/49390": 5,
            "ICD9CM/2500": 6,
            "ICD9CM/2490": 5,
            "NDC/00093014501": 6,
            "NDC/00093014556": 6,
            "ICD9CM/E8859": 6,
            "ICD9CM/E8851": 6,
            "ICD9CM/7851": 3,
            "REV/0450": 11,
        }
    )
    tokenizer = ClaimTokenizer.train_from_dataset(patients, categories=CATEGORIES)
    assert codes_of(tokenizer) == {"ICD9CM/493", "CCS/49", "NDC/000930145", "ICD9CM/E885", "REV/0450"}
    row = {"day": 1, "type": "OP", "codes": ["ICD9CM/49381", "ICD9CM/25001", "ICD9CM/7851"]}
    tokens = tokenizer.convert_ids_to_tokens(tokenizer({"visits": [row]})["input_ids"])
    assert tokens == ["SEX/U", "TYPE/OP", "GAP/START", "UNK/ICD9CM", "CCS/49", "ICD9CM/493"]


def test_prefixes_alone_make_a_vocabulary():
    patients = patients_with({"ICD9CM/49392": 6, "ICD9CM/49390": 6})
    assert codes_of(ClaimTokenizer.train_from_dataset(patients)) == {"ICD9CM/493"}


def test_a_prefix_needs_eleven_patients_whose_code_backs_off():
    patients = patients_with({"ICD9CM/49392": 40, "ICD9CM/49390": 10})
    assert codes_of(ClaimTokenizer.train_from_dataset(patients)) == {"ICD9CM/49392"}


def test_a_patient_with_two_codes_of_a_prefix_counts_once():
    patients = patients_with({"REV/0450": 11, "ICD9CM/49392": 10})
    for patient in patients[11:]:
        patient["visits"][0]["codes"].append("ICD9CM/49390")
    assert codes_of(ClaimTokenizer.train_from_dataset(patients)) == {"REV/0450"}


def test_codes_out_of_view_are_not_counted():
    patients = patients_with({"REV/0450": 11})
    for patient in patients:
        patient["visits"].insert(0, {"day": 0, "type": "OP", "codes": ["REV/0636"]})
    assert codes_of(ClaimTokenizer.train_from_dataset(patients, max_visits=1)) == {"REV/0450"}
    assert codes_of(ClaimTokenizer.train_from_dataset(patients)) == {"REV/0450", "REV/0636"}


def test_a_visit_type_of_ten_patients_is_an_unknown_type():
    patients = patients_with({"REV/0450": 21})
    for patient in patients[:10]:
        patient["visits"][0]["type"] = "DME"
    vocab = ClaimTokenizer.train_from_dataset(patients).get_vocab()
    assert "TYPE/OP" in vocab
    assert "TYPE/DME" not in vocab


@given(seed=st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_order_of_rows_and_pieces_does_not_matter(seed):
    generator = random.Random(seed)
    codes = [f"ICD9CM/49{generator.randrange(10)}{generator.randrange(3)}" for _ in range(200)]
    patients = [
        {"patient_id": str(number % 150), "visits": [{"day": 1, "type": "OP", "codes": [code]}]}
        for number, code in enumerate(codes)
    ]
    first = ClaimTokenizer.train_from_dataset(to_table(patients), max_size=150)
    generator.shuffle(patients)
    pieces = to_table(patients).to_batches(max_chunksize=generator.randint(1, 60))
    assert ClaimTokenizer.train_from_dataset(pieces, max_size=150).get_vocab() == first.get_vocab()


def test_ids_follow_the_text_and_not_the_frequency():
    few, many = {"REV/0450": 11, "REV/0636": 40, "NDC/1": 20}, {"REV/0450": 40, "REV/0636": 11, "NDC/1": 11}
    vocabs = [ClaimTokenizer.train_from_dataset(patients_with(codes)).get_vocab() for codes in (few, many)]
    assert vocabs[0] == vocabs[1]
    assert list(vocabs[0])[-3:] == ["NDC/1", "REV/0450", "REV/0636"]


def test_special_tokens_come_first():
    tokenizer = ClaimTokenizer.train_from_dataset(patients_with({"REV/0450": 11}))
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == ["[PAD]", "[UNK]", "[MASK]"]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id) == (0, 1, 2)


def test_no_file_holds_a_code_of_ten_patients_or_an_identifier(tmp_path):
    patients = patients_with({"ICD9CM/49392": 11, "ICD9CM/27801": 10, "LOINC/4548": 10})
    for patient in patients:
        patient["patient_id"] = "ZZCANARY" + patient["patient_id"]
    ClaimTokenizer.train_from_dataset(patients, categories=CATEGORIES).save_pretrained(tmp_path)
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "49392" in text
    for secret in ("27801", "ICD9CM/278", "LOINC", "ZZCANARY"):
        assert secret not in text


def test_max_size_keeps_the_codes_of_most_patients():
    codes = {f"REV/{number:04}": 20 + number for number in range(8)} | {"ICD9CM/49392": 12, "ICD9CM/49390": 12}
    whole = ClaimTokenizer.train_from_dataset(patients_with(codes))
    size = len(whole) - 5
    tokenizer = ClaimTokenizer.train_from_dataset(patients_with(codes), max_size=size)
    assert len(tokenizer) <= size
    kept = codes_of(tokenizer)
    assert {"REV/0007", "REV/0006"} <= kept
    assert "ICD9CM/493" in kept
    assert not {"ICD9CM/49392", "ICD9CM/49390"} & kept
    with pytest.raises(ValueError, match="expected max_size to exceed"):
        ClaimTokenizer.train_from_dataset(patients_with(codes), max_size=20)


def test_damaged_text_never_becomes_a_token():
    damaged = ["REV/04 50", "[MASK]", "AGE/5", "UNK/NDC", "REV/é", "rev/0450", "REV/", "REV/" + "0" * 65]
    patients = patients_with({"REV/0450": 11, **dict.fromkeys(damaged, 12)})
    assert codes_of(ClaimTokenizer.train_from_dataset(to_table(patients))) == {"REV/0450"}


def test_a_code_in_another_writing_is_counted_as_the_code():
    written = {"ICD9CM/49392": 4, "icd9cm/493.92": 4, " ICD9CM/493.92 ": 3}
    for patients in (patients_with(written), to_table(patients_with(written))):
        assert codes_of(ClaimTokenizer.train_from_dataset(patients)) == {"ICD9CM/49392"}


def test_a_data_set_and_its_stream_give_the_vocabulary_of_its_table():
    datasets = pytest.importorskip("datasets")
    table = to_table(patients_with({"REV/0450": 11, "REV/0636": 10, "NDC/00093014501": 13}))
    expected = ClaimTokenizer.train_from_dataset(table).get_vocab()
    dataset = datasets.Dataset(table)
    for form in (dataset, dataset.to_iterable_dataset(num_shards=3), dataset.to_list(), iter(table.to_batches())):
        assert ClaimTokenizer.train_from_dataset(form).get_vocab() == expected
    with pytest.raises(ValueError, match="pass the training split alone"):
        ClaimTokenizer.train_from_dataset(datasets.DatasetDict(train=dataset))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "at least one patient"),
        (pa.table({"visit_day": [], "visit_type": [], "codes": []}), "at least one patient"),
        (patients_with({"REV/0450": 10, "NDC/1": 10}), "of 11 or more patients, found none"),
        ([3], "expected patients or pyarrow tables, found int"),
        ("train", "found str"),
    ],
)
def test_data_that_cannot_train_are_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        ClaimTokenizer.train_from_dataset(dataset)


@pytest.mark.parametrize("min_patients", [0, -1, 1.5, True])
def test_min_patients_is_a_positive_integer(min_patients):
    with pytest.raises(ValueError, match="expected min_patients"):
        ClaimTokenizer.train_from_dataset(patients_with({"REV/0450": 11}), min_patients=min_patients)


@given(
    rows=st.lists(st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 6)), max_size=8), max_size=8),
    keep_all=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_counting_in_pieces_equals_counting_sets(rows, keep_all):
    counter = _PatientCounter(threshold=3, keep_all=keep_all)
    for row in rows:
        counter.add(
            pa.array([text for text, _ in row], pa.string()), pa.array([n for _, n in row], pa.int64()).to_numpy()
        )
        counter.finish()
    counter.finish()
    holders: dict[str, set[int]] = {}
    for row in rows:
        for text, number in row:
            holders.setdefault(text, set()).add(number)
    expected = {text for text, numbers in holders.items() if len(numbers) >= 3}
    assert counter.strings_of_at_least_threshold() == expected


def test_all_tokens_of_the_options_are_there():
    options = {"time_tokens": "day", "max_day": 3, "max_age_years": 2}
    vocab = ClaimTokenizer.train_from_dataset(patients_with({"REV/0450": 11}), **options).get_vocab()
    names = [token for token in vocab if token.startswith(("AGE", "SEX", "DAY", "GAP", "TYPE"))]
    assert names == [
        *(f"AGE/{n}" for n in range(3)),
        "SEX/F",
        "SEX/M",
        "SEX/U",
        "TYPE/OP",
        *(f"DAY/{n}" for n in range(4)),
    ]


def test_category_file_numbers_the_categories_of_the_vocabulary(tmp_path):
    patients = patients_with({"ICD9CM/49392": 11, "REV/0450": 11})
    ClaimTokenizer.train_from_dataset(patients, categories=CATEGORIES).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "categories.json").read_text())["category_ids"] == {"CCS/128": 0}


def test_groups_of_every_code_have_no_largest_vocabulary():
    with pytest.raises(ValueError, match="expected keep_groups or max_size"):
        ClaimTokenizer.train_from_dataset(patients_with({"REV/0450": 11}), keep_groups=True, max_size=500)
