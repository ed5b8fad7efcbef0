import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimTokenizer
from reproduction.privacy.membership import membership
from reproduction.privacy.rare_tokens import rare_tokens

CODES = [f"ICD9CM/{number}" for number in range(100, 160)]


def patients(rows, first, seed):
    rng = np.random.default_rng(seed)
    return Dataset.from_list(
        [
            {
                "patient_id": str(first + row),
                "sex": "F",
                "visit_day": [0, 9, 30],
                "visit_type": ["OP"] * 3,
                "codes": [[str(code)] for code in rng.choice(CODES, 3)],
            }
            for row in range(rows)
        ]
    )


@pytest.fixture(scope="module")
def learned():
    sizes = {"train": (250, 0), "validation": (160, 1000), "test": (90, 2000)}
    return DatasetDict({name: patients(rows, first, first) for name, (rows, first) in sizes.items()})


def test_a_network_that_learned_nothing_tells_nobody_and_its_control_does(learned, tmp_path, monkeypatch):
    monkeypatch.setattr("reproduction.privacy.membership._DRAWS", 1)
    tokenizer = ClaimTokenizer.train_from_dataset(learned["train"], time_tokens="none", min_patients=1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ClaimForPreTraining(ClaimConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path)
    found, control, size = membership(str(tmp_path), learned, tokenizer, patients=300, passes=40)
    assert size == 250
    assert found == pytest.approx(0.5, abs=0.1)
    assert control > 0.8


def test_tokens_of_fewer_patients_than_promised_are_named(learned, tmp_path):
    tokenizer = ClaimTokenizer.train_from_dataset(learned["train"], time_tokens="none", min_patients=11)
    tokenizer.save_pretrained(tmp_path)
    assert rare_tokens(str(tmp_path), learned["train"]) == []
    rare = rare_tokens(str(tmp_path), learned["train"], min_patients=13)
    assert rare
    assert all(token.startswith("ICD9CM/") for token in rare)


def test_the_group_of_a_code_that_enough_patients_have_is_not_named(learned, tmp_path):
    tokens = ClaimTokenizer.train_from_dataset(learned["train"], time_tokens="none").get_vocab()
    # Nobody backs off to it.
    groups = {"prefixes": {min(token for token in tokens if token in CODES): "CCS/1"}}
    tokenizer = ClaimTokenizer.train_from_dataset(learned["train"], categories=groups, keep_groups=True)
    assert "CCS/1" in tokenizer.get_vocab()
    tokenizer.save_pretrained(tmp_path)
    assert rare_tokens(str(tmp_path), learned["train"]) == []
