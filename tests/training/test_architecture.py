import json

import pytest

from claim_transformers.training import Architecture


def test_the_tokenizer_decides_what_the_vocabulary_decides(patients):
    architecture = Architecture({"hidden_size": 24, "num_attention_heads": 3}, {"time_tokens": "day", "max_visits": 9})
    tokenizer = architecture.train_tokenizer(patients["train"], categories={"prefixes": {"ICD9CM/40": "CCS/1"}})
    config = architecture.build_config(tokenizer, num_labels=5)
    tokenizer.check_vocabulary(config)
    assert (config.max_visits, config.num_categories, config.num_labels, config.hidden_size) == (9, 1, 5, 24)
    assert any(token.startswith("DAY/") for token in tokenizer.get_vocab())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"vocab_size": 9}, "tokenizer": {}}, "'vocab_size'"),
        ({"model": {"visit_poling": "max"}, "tokenizer": {}}, "fields of ClaimConfig, found 'visit_poling'"),
        ({"model": {}, "tokenizer": {"time_token": "day"}}, "tokenizer options, found 'time_token'"),
        ({"hidden_size": 9}, "expected the objects 'model' and 'tokenizer', found \\['hidden_size'\\]"),
        ([1], "found list"),
    ],
)
def test_names_that_nothing_reads_are_refused(content, message, tmp_path):
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        Architecture.from_json(path)
