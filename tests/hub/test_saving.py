import json

import pytest
from hf_xet import XetAuthenticationError, XetObjectNotFoundError  # type: ignore[import-untyped]
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
from transformers import BertConfig, BertModel

from claim_transformers.hub import refuse_foreign_code, save_with_code
from claim_transformers.hub.connection import explained
from claim_transformers.hub.errors import HubError
from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.models.registration import register


@pytest.fixture
def tokenizer():
    register()
    return ClaimTokenizer({"ICD9CM/4659": 3, "HCPCS/99213": 4})


@pytest.fixture
def config(tokenizer):
    return ClaimConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, intermediate_size=8)


def test_every_auto_class_is_named_whichever_class_was_saved(tmp_path, config, tokenizer):
    save_with_code(ClaimForSequenceClassification(config), tokenizer, tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["auto_map"] == {
        "AutoConfig": "configuration_claim.ClaimConfig",
        "AutoModel": "modeling_claim.ClaimModel",
        "AutoModelForPreTraining": "modeling_claim.ClaimForPreTraining",
        "AutoModelForMaskedLM": "modeling_claim.ClaimForMaskedLM",
        "AutoModelForSequenceClassification": "modeling_claim.ClaimForSequenceClassification",
        "AutoModelForTokenClassification": "modeling_claim.ClaimForVisitClassification",
        "AutoTokenizer": ["tokenization_claim.ClaimTokenizer", None],
    }
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["auto_map"] == {
        "AutoTokenizer": ["tokenization_claim.ClaimTokenizer", None]
    }


def test_references_to_the_repository_a_model_came_from_are_replaced(tmp_path, config, tokenizer):
    config.auto_map = {"AutoModel": "someone/else--modeling_claim.ClaimModel"}
    save_with_code(ClaimForSequenceClassification(config), tokenizer, tmp_path)
    refuse_foreign_code(json.loads((tmp_path / "config.json").read_text()))


def test_a_later_save_of_the_same_model_carries_no_code(tmp_path, config, tokenizer):
    model = ClaimForSequenceClassification(config)
    save_with_code(model, tokenizer, tmp_path / "with")
    model.save_pretrained(tmp_path / "without")
    tokenizer.save_pretrained(tmp_path / "without")
    assert not list((tmp_path / "without").glob("*.py"))
    assert "auto_map" not in json.loads((tmp_path / "without" / "config.json").read_text())
    assert "auto_map" not in json.loads((tmp_path / "without" / "tokenizer_config.json").read_text())


def test_a_family_that_imports_across_folders_cannot_travel(tmp_path, tokenizer):
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
    with pytest.raises(ValueError, match="save it without code"):
        save_with_code(BertModel(BertConfig(vocab_size=8, **sizes)), tokenizer, tmp_path)


def test_a_class_without_a_file_cannot_travel(tmp_path, config):
    class Notebook(ClaimTokenizer):
        pass

    Notebook.__module__ = "__main__"
    with pytest.raises(ValueError, match="expected Notebook in a Python file of its own"):
        save_with_code(ClaimForSequenceClassification(config), Notebook({"ICD9CM/4659": 3}), tmp_path)


def test_code_of_the_own_repository_is_not_foreign():
    entry = {"auto_map": {"AutoTokenizer": ["someone/else--tokenization.Tokenizer", None]}}
    refuse_foreign_code(entry, repo_id="someone/else")
    with pytest.raises(ValueError, match="E_FOREIGN_CODE"):
        refuse_foreign_code(entry, repo_id="someone/other")
    refuse_foreign_code({})
    refuse_foreign_code(ClaimConfig())


def test_an_upload_that_breaks_without_an_answer_is_explained():
    with pytest.raises(HubError, match="nothing was written"), explained("organisation/model"):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("Network error: HTTP status client error (403 Forbidden), domain: x"), "may not write there"),
        (ConnectionError("Network error: HTTP status server error (503 Unavailable), domain: x"), "status 503"),
        (ConnectionError("Network error: cut"), "ConnectionError; nothing was written"),
        (XetAuthenticationError("expired"), "status 401"),
        (XetObjectNotFoundError("xorb"), "XetObjectNotFoundError; nothing was written"),
    ],
)
def test_a_failed_upload_through_xet_is_explained(error, said):
    with pytest.raises(HubError, match=said) as raised, explained("organisation/model"):
        raise error
    assert "HF_HUB_DISABLE_XET=1" in str(raised.value)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), HubError("of the inside")])
def test_what_is_no_failure_of_the_line_is_left_as_it_is(error):
    with pytest.raises(type(error), match=r"space|inside") as raised, explained("organisation/model"):
        raise error
    assert raised.value is error


def refusal(status):
    return httpx.Response(status, text="ZZCANARY", request=httpx.Request("GET", "https://hub"))


@pytest.mark.parametrize(
    "error",
    [
        OfflineModeIsEnabled("ZZCANARY"),
        LocalTokenNotFoundError("ZZCANARY"),
        httpx.ConnectError("ZZCANARY"),
        RuntimeError("ZZCANARY"),
        ConnectionError("ZZCANARY"),
        ConnectionResetError(104, "ZZCANARY"),
        TimeoutError("ZZCANARY"),
        XetAuthenticationError("ZZCANARY"),
        XetObjectNotFoundError("ZZCANARY"),
        *(HfHubHTTPError("ZZCANARY", response=refusal(status)) for status in (401, 403, 404, 412, 418, 503)),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_no_text_of_the_client_is_in_our_message(error, is_wrapped):
    thrown = RuntimeError("ZZCANARY") if is_wrapped else error
    thrown.__cause__ = error if is_wrapped else None
    with pytest.raises(HubError) as raised, explained("organisation/model"):
        raise thrown
    assert "ZZCANARY" not in str(raised.value)
    assert "'organisation/model'" in str(raised.value)
