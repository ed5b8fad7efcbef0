"""The contract of every transformers tokenizer: text, vocabulary, files, auto classes."""

import copy
import json
import pickle
import shutil
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from transformers import AutoTokenizer, DataCollatorWithPadding

from claim_transformers.models.claim.configuration_claim import ClaimConfig
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

TOKENS = [
    "UNK/ICD9CM",
    "AGE/9",
    "SEX/F",
    "SEX/U",
    "TYPE/IP",
    "TYPE/OP",
    "GAP/START",
    "GAP/8",
    "ICD9CM/493",
    "REV/0450",
]
CATEGORIES = {"prefixes": {"ICD9CM/493": "CCS/128"}, "prefix_lengths": {"REV": ["REVGROUP", 2]}}
PATIENT = {
    "age": 9,
    "sex": "F",
    "visits": [
        {"day": 100, "type": "OP", "codes": ["ICD9CM/49392", "ICD9CM/7851", "REV/0450"]},
        {"day": 109, "type": "IP", "codes": []},
        {"day": 109, "type": "OP", "codes": ["LOINC/1"]},
    ],
}
TEXT = "AGE/9 SEX/F | TYPE/OP GAP/START UNK/ICD9CM ICD9CM/493 REV/0450 | TYPE/IP GAP/8 | TYPE/OP [UNK]"


@pytest.fixture
def tokenizer() -> ClaimTokenizer:
    return ClaimTokenizer({token: number + 3 for number, token in enumerate(TOKENS)}, CATEGORIES, max_visits=50)


def state(tokenizer: ClaimTokenizer) -> tuple:
    return (
        tokenizer.get_vocab(),
        tokenizer.options,
        tokenizer.category_names,
        tokenizer.category_of_token.tolist(),
        tokenizer.target_mask.tolist(),
        tokenizer.special_tokens_map,
        tokenizer.padding_side,
        dict(tokenizer(PATIENT, return_category_ids=True)),
    )


def test_encode_decode_encode_is_idempotent(tokenizer):
    ids = tokenizer(PATIENT)["input_ids"]
    text = tokenizer.decode(ids)
    assert text == TEXT
    assert tokenizer.encode(text) == ids
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_text_is_tokens_at_white_space(tokenizer):
    tokens = tokenizer.tokenize(TEXT)
    assert tokens == TEXT.replace("| ", "").split()
    assert tokenizer.convert_tokens_to_ids(tokens) == tokenizer.encode(TEXT)
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode(TEXT)) == tokens
    assert tokenizer.convert_tokens_to_string(tokens) == TEXT


def test_codes_in_text_back_off_like_codes_in_patients(tokenizer):
    assert tokenizer.tokenize("ICD9CM/49392 ICD9CM/1 LOINC/1") == ["ICD9CM/493", "UNK/ICD9CM", "LOINC/1"]
    assert tokenizer.convert_tokens_to_ids("LOINC/1") == tokenizer.unk_token_id


def test_special_tokens_in_text_are_special(tokenizer):
    assert tokenizer.encode("TYPE/OP [MASK] [PAD]") == [8, 2, 0]
    assert tokenizer.decode([8, 2, 0], skip_special_tokens=True) == "| TYPE/OP"


def test_a_batch_of_texts_is_padded_and_cut_on_the_left(tokenizer):
    batch = tokenizer(["TYPE/OP REV/0450", "TYPE/OP"], padding=True, return_tensors="pt")
    assert batch["input_ids"].tolist() == [[8, 12], [8, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert tokenizer.encode(TEXT, truncation=True, max_length=2) == tokenizer.encode("TYPE/OP [UNK]")
    assert tokenizer(["TYPE/OP", "REV/0450"], is_split_into_words=True)["input_ids"] == [8, 12]


def test_every_id_goes_to_its_token_and_back(tokenizer):
    for token, number in tokenizer.get_vocab().items():
        assert tokenizer.convert_ids_to_tokens(number) == token
        assert tokenizer.convert_tokens_to_ids(token) == number
    assert len(tokenizer) == tokenizer.vocab_size == len(TOKENS) + 3
    with pytest.raises(ValueError, match="expected token ids from 0 to 12, found 13"):
        tokenizer.convert_ids_to_tokens(13)


def test_id_zero_is_no_unknown_token(tokenizer):
    assert tokenizer.convert_tokens_to_ids("[PAD]") == tokenizer.pad_token_id == 0
    from_zero = ClaimTokenizer({"REV/0450": 0, "REV/0636": 1})
    assert from_zero.convert_tokens_to_ids("REV/0450") == 0
    assert from_zero({"visits": [{"day": 1, "type": None, "codes": ["REV/0450"]}]})["input_ids"] == [
        from_zero.unk_token_id,
        0,
    ]
    assert (from_zero.pad_token_id, from_zero.unk_token_id, from_zero.mask_token_id) == (2, 3, 4)


def test_vocabularies_with_gaps_or_duplicates_are_refused():
    for vocab in (
        {"A/1": 0, "B/1": 0},
        {"A/1": [0]},
        {"A/1": 0, "B/1": 9},
        {"A/1": -1},
        {"A/1": "0"},
        {"A/1": True},
        {"A 1": 0},
    ):
        with pytest.raises(ValueError, match="expected"):
            ClaimTokenizer(vocab)
    with pytest.raises(ValueError, match="found both or neither"):
        ClaimTokenizer()


def test_options_out_of_range_and_misspelt_options_are_refused():
    for option in ({"time_tokens": "week"}, {"max_visits": 0}, {"max_day": 10**9}, {"max_codes_per_visit": 0}):
        with pytest.raises(ValueError, match=next(iter(option))):
            ClaimTokenizer({"A/1": 0}, **option)
    with pytest.raises(ValueError, match="the option for time is time_tokens"):
        ClaimTokenizer({"A/1": 0}, time_token="gap")
    with pytest.raises(AttributeError):
        ClaimTokenizer({"A/1": 0}).max_visits = 3  # type: ignore[misc]  # read-only is what is tested


def test_a_saved_tokenizer_is_the_same_and_saves_the_same_bytes(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "first")
    loaded = ClaimTokenizer.from_pretrained(tmp_path / "first")
    assert state(loaded) == state(tokenizer)
    loaded.save_pretrained(tmp_path / "second")
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert first == second
    assert sorted(first) == ["categories.json", "tokenizer_config.json", "vocab.json"]
    config = json.loads(first["tokenizer_config.json"])
    assert config["time_tokens"] == "gap"
    assert config["max_visits"] == 50
    assert config["format_version"] == 2
    assert "493" not in first["tokenizer_config.json"].decode()


def test_a_vocabulary_that_starts_at_zero_survives_saving(tmp_path):
    tokenizer = ClaimTokenizer({"REV/0450": 0, "REV/0636": 1})
    tokenizer.save_pretrained(tmp_path)
    assert ClaimTokenizer.from_pretrained(tmp_path).get_vocab() == tokenizer.get_vocab()


def test_options_can_be_changed_when_loading(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    assert ClaimTokenizer.from_pretrained(tmp_path, max_visits=2).max_visits == 2
    with pytest.raises(ValueError, match="time_tokens"):
        ClaimTokenizer.from_pretrained(tmp_path, time_token="day")


def test_files_from_the_future_are_refused(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 3}))
    with pytest.raises(ValueError, match="expected tokenizer files of format version 2 or older, found 3"):
        ClaimTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"A/1": 7}', '{"A/1": null}', "\udcff"])
def test_damaged_vocabulary_files_are_refused(tokenizer, tmp_path, content):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="expected"):
        ClaimTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "content", ['{"prefixes": 3}', '{"prefixes": {"A": 1}}', '{"category_ids": {"A": 4}, "prefixes": {}}']
)
def test_damaged_category_files_are_refused(tokenizer, tmp_path, content):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "categories.json").write_text(content)
    with pytest.raises(ValueError, match="expected"):
        ClaimTokenizer.from_pretrained(tmp_path)


def test_auto_tokenizer_loads_it(tokenizer, tmp_path):
    AutoTokenizer.register(ClaimConfig, tokenizer_class=ClaimTokenizer, exist_ok=True)
    ClaimConfig(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is ClaimTokenizer
    assert state(loaded) == state(tokenizer)


def test_the_code_that_is_saved_with_it_loads_without_the_package(tokenizer, tmp_path):
    ClaimTokenizer.register_for_auto_class()
    try:
        tokenizer.save_pretrained(tmp_path / "checkpoint")
    finally:
        ClaimTokenizer._auto_class = None
    script = (
        "import sys; sys.modules['claim_transformers'] = None\n"
        "from transformers import AutoTokenizer, DataCollatorWithPadding\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(tmp_path / 'checkpoint')!r}, trust_remote_code=True)\n"
        f"print(tokenizer({PATIENT!r})['input_ids'])\n"
    )
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-I", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.stdout.strip() == str(tokenizer(PATIENT)["input_ids"]), ran.stderr[-2000:]


def test_the_store_resolves_a_bare_name(tokenizer, tmp_path, monkeypatch):
    tokenizer.save_pretrained(tmp_path / "claim-pt-unit")
    monkeypatch.setenv("CLAIM_TRANSFORMERS_HOME", str(tmp_path))
    assert ClaimTokenizer.from_pretrained("claim-pt-unit").get_vocab() == tokenizer.get_vocab()


def test_a_name_without_a_checkpoint_says_what_was_expected(tmp_path):
    for name in ("claim-pt-that-is-not-there", "organisation/not-there", str(tmp_path)):
        with pytest.raises(OSError, match=r"expected a checkpoint with vocab\.json, found none at"):
            ClaimTokenizer.from_pretrained(name)


def test_pickle_and_fingerprint_forget_what_is_derived(tokenizer):
    hasher = pytest.importorskip("datasets.fingerprint").Hasher
    before, fingerprint = pickle.dumps(tokenizer), hasher.hash(tokenizer)
    table = pa.table({"visit_day": [[1]], "visit_type": [["OP"]], "codes": [[["REV/0450"]]]})
    expected = tokenizer.encode_table(table)
    rows = [tokenizer(row) for row in table.to_pylist()]
    DataCollatorWithPadding(tokenizer)(rows)
    tokenizer(TEXT, max_length=1, truncation=True)
    tokenizer({"visit_day": [1], "visit_type": ["televisit"], "codes": [["LOINC/1"]]})
    assert pickle.dumps(tokenizer) == before
    assert hasher.hash(tokenizer) == fingerprint
    loaded = pickle.loads(before)
    assert loaded.encode_table(table).equals(expected)
    assert hasher.hash(loaded) == fingerprint
    assert hasher.hash(copy.deepcopy(tokenizer)) == fingerprint
    tokenizer.add_tokens(["ICD10CM/U071"])
    assert hasher.hash(tokenizer) != fingerprint


def test_the_fingerprint_is_the_same_in_another_process(tokenizer, tmp_path):
    hasher = pytest.importorskip("datasets.fingerprint").Hasher
    tokenizer.save_pretrained(tmp_path)
    code = (
        "import sys; from datasets.fingerprint import Hasher; from claim_transformers import ClaimTokenizer; "
        "tokenizer = ClaimTokenizer.from_pretrained(sys.argv[1]); tokenizer('SEX/F'); print(Hasher.hash(tokenizer))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    found = {subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() for _ in range(2)}
    assert found == {hasher.hash(ClaimTokenizer.from_pretrained(tmp_path))}


@pytest.mark.parametrize("layout", ["row", "visits"])
def test_map_takes_the_tokenizer_itself_and_finds_its_cache_again(tokenizer, tmp_path, layout):
    datasets = pytest.importorskip("datasets")
    rows = [
        {"label": 1, "sex": "F", "visit_day": [1, 9], "visit_type": ["OP", "OP"], "codes": [["REV/0450"], []]},
        {"label": 0, "sex": None, "visit_day": [], "visit_type": [], "codes": []},
        {"label": 0, "sex": "F", "visit_day": [4], "visit_type": ["IP"], "codes": [["ICD9CM/49390"]]},
    ]
    if layout == "visits":
        rows = [
            {"label": 1, "sex": "F", "visits": [{"day": 1, "type": "OP", "codes": ["REV/0450"]}]},
            {"label": 0, "sex": None, "visits": []},
            {"label": 0, "sex": "M", "visits": [{"day": 4, "type": None, "codes": None}]},
        ]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path)
    dataset = datasets.load_from_disk(tmp_path)
    columns = [name for name in dataset.column_names if name != "label"]
    options: dict[str, Any] = {"batched": True, "batch_size": 2, "remove_columns": columns}
    encoded = dataset.map(tokenizer, **options)
    assert set(encoded.column_names) == {"label", "input_ids", "visit_ids", "visit_days", "attention_mask"}
    for row, found in zip(rows, encoded, strict=True):
        assert found == {"label": row["label"], **tokenizer(row)}
    files = set(tmp_path.iterdir())
    again = datasets.load_from_disk(tmp_path).map(tokenizer, **options)
    assert again.cache_files == encoded.cache_files
    assert set(tmp_path.iterdir()) == files
    truncated = dataset.map(lambda batch: tokenizer(batch, truncation=True, max_length=2), **options)
    assert max(map(len, truncated["input_ids"])) == 2


def test_columns_of_a_batch_that_differ_in_length_are_refused(tokenizer):
    batch = {"sex": ["F"], "visit_day": [[1], [2]], "visit_type": [["OP"], ["OP"]], "codes": [[[]], [[]]]}
    with pytest.raises(ValueError, match="columns of a batch to have one length, found 2 lengths"):
        tokenizer(batch)


def test_map_over_a_data_set_gives_tokenised_rows(tokenizer):
    datasets = pytest.importorskip("datasets")
    rows = [
        {"patient_id": "P", "label": 1, "visit_day": [1, 9], "visit_type": ["OP", "OP"], "codes": [["REV/0450"], []]},
        {"patient_id": "Q", "label": 0, "visit_day": [], "visit_type": [], "codes": []},
    ]
    dataset = datasets.Dataset.from_list(rows).with_format("arrow")
    encoded = dataset.map(tokenizer.encode_table, batched=True, remove_columns=dataset.column_names)
    names = ["input_ids", "visit_ids", "visit_days", "category_ids", "length", "label"]
    assert encoded.column_names == names
    for row, found in zip(rows, encoded.with_format(None), strict=True):
        one = tokenizer(row, return_category_ids=True, return_length=True)
        assert found == {**{name: one[name] for name in names[:-1]}, "label": row["label"]}


def test_a_model_of_another_size_is_refused_with_both_sizes(tokenizer):
    fits = {"vocab_size": 13, "num_categories": 2}
    tokenizer.check_vocabulary(ClaimConfig(**fits))
    for change in ({"vocab_size": 14}, {"num_categories": 3}, {"pad_token_id": 1}, {"mask_token_id": 1}):
        name, value = next(iter(change.items()))
        with pytest.raises(ValueError, match=rf"E_VOCAB_SIZE: .*{name}=\d+ .*found {value}"):
            tokenizer.check_vocabulary(ClaimConfig(**{**fits, **change}))


def test_tokens_added_later_are_codes_of_both_paths(tokenizer, tmp_path):
    table = pa.table({"visit_day": [[1]], "visit_type": [["OP"]], "codes": [[["ICD10CM/U071"]]]})
    row = table.to_pylist()[0]
    assert tokenizer(row)["input_ids"][-1] == tokenizer.unk_token_id
    assert tokenizer.add_tokens(["ICD10CM/U071"]) == 1
    tokenizer.save_pretrained(tmp_path)
    for either in (tokenizer, ClaimTokenizer.from_pretrained(tmp_path)):
        assert either(row)["input_ids"][-1] == 13
        assert either.encode_table(table)["input_ids"].to_pylist() == [either(row)["input_ids"]]
        assert either.target_mask[13]
        assert either.convert_ids_to_tokens(13) == "ICD10CM/U071"


def test_decode_patient_shows_one_line_per_slot(tokenizer):
    encoded = tokenizer([PATIENT, {"visits": []}], padding=True)
    lines = tokenizer.decode_patient(encoded["input_ids"][0], encoded["visit_ids"][0], encoded["visit_days"][0])
    assert lines.splitlines() == [
        "patient: AGE/9 SEX/F",
        "visit 1 on day 0: TYPE/OP GAP/START UNK/ICD9CM ICD9CM/493 REV/0450",
        "visit 2 on day 9: TYPE/IP GAP/8",
        "visit 3 on day 9: TYPE/OP [UNK]",
    ]
    assert tokenizer.decode_patient(encoded["input_ids"][1], encoded["visit_ids"][1]) == "patient: SEX/U"


def test_messages_hold_no_value_of_a_patient(tokenizer):
    marked = {"visit_day": [20240229], "visit_type": [7], "codes": [["ZZCANARY/1"]], "patient_id": "ZZCANARY"}
    faults = [
        marked,
        {**marked, "visit_type": ["ZZCANARY"], "index_day": 20240229},
        {**marked, "visit_type": ["OP", "OP"]},
        {**marked, "visit_type": ["OP"], "visit_day": ["ZZCANARY"]},
        {**marked, "visit_type": ["OP"], "birth_day": "ZZCANARY"},
        {**marked, "visit_type": ["OP"], "age": "ZZCANARY"},
        {**marked, "visit_type": ["OP"], "age": -20240229},
        {**marked, "visit_type": ["OP"], "birth_day": 20240230},
        {**marked, "visit_type": ["OP"], "sex": "ZZCANARY"},
        {**marked, "visit_type": ["OP"], "codes": [["ZZCANARY"]]},
        {**marked, "visit_type": ["OP"], "visit_day": ["2024-02-30"], "birth_day": "ZZCANARY"},
        {"ZZCANARY": 1},
    ]
    for fault in faults:
        for encode in (tokenizer, lambda row: tokenizer.encode_table(pa.Table.from_pylist([row]))):
            with pytest.raises(ValueError, match="expected") as raised:
                encode(fault)
            assert "ZZCANARY" not in str(raised.value)
            assert "20240229" not in str(raised.value)


def test_an_old_checkpoint_without_options_takes_the_defaults(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "new")
    (tmp_path / "old").mkdir()
    shutil.copy(tmp_path / "new" / "vocab.json", tmp_path / "old")
    loaded = ClaimTokenizer.from_pretrained(tmp_path / "old")
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.num_categories == 0
