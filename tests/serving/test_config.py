"""The configuration: lists of whom to trust, and refusals that say what was expected."""

import msgspec
import pytest
from documents import ROOT, blocks_of

from claim_transformers.serving import load_config
from claim_transformers.serving.config import _Secret

LEAST = {"base_url": "https://cds.example.org", "outcome": "Death", "feedback_file": "f.jsonl"}
CLIENT = {"issuer": "https://ehr.example.org", "jku": "https://ehr.example.org/keys"}


def load(tmp_path, **changes):
    path = tmp_path / "serve.yaml"
    path.write_bytes(msgspec.yaml.encode({**LEAST, "clients": [CLIENT], **changes}))
    return load_config(path)


def test_the_file_of_the_page_is_a_configuration_whose_files_lie_beside_it(tmp_path):
    (text,) = [block.text for block in blocks_of(ROOT / "docs" / "serving.md") if block.language == "yaml"]
    (tmp_path / "serve.yaml").write_text(text)
    config = load_config(tmp_path / "serve.yaml")
    assert config.service_url == "https://cds.example.org/cds-services/claims-risk"
    assert config.feedback_file == str(tmp_path / "feedback.jsonl")
    assert config.tls.key == str(tmp_path / "key.pem")
    assert (config.limits.concurrency, config.limits.fetch_seconds) == (2, 0.3)


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "http://cds.example.org"},
        {"base_url": "https://user:word@cds.example.org"},
        {"fhir_servers": ["http://ehr.example.org/fhir"]},
        {"fhir_servers": ["https://ehr.example.org/fhir?x=1"]},
        {"clients": []},
        {"clients": [CLIENT, CLIENT]},
        {"clients": [{"issuer": "a"}]},
        {"clients": [{**CLIENT, "jku": "http://ehr.example.org/keys"}]},
        {"clients": [{**CLIENT, "jwks_file": "keys.json"}]},
        {"allow_unsigned": True, "host": "0.0.0.0"},
        {"smart": {"client_id": "a", "secret": "word"}},
        {"smart": {"client_id": "a", "secret": {"env": "A", "file": "b"}}},
        {"outcome": "x" * 61},
        {"warn_from": 1.5},
        {"limits": {"concurrency": 0}},
        {"limits": {"fetch_second": 1}},
        {"speak": {"unknown_code_share": 2}},
        {"service": {"id": "a/b"}},
        {"hooks_version": "1.0"},
        {"pasword": "word"},
    ],
)
def test_what_is_not_safe_is_refused(tmp_path, changes):
    with pytest.raises(ValueError, match=r"serve\.yaml"):
        load(tmp_path, **changes)


def test_loopback_may_do_without_tls_and_tokens(tmp_path):
    config = load(tmp_path, base_url="http://127.0.0.1:8080", clients=[], allow_unsigned=True)
    assert config.allow_unsigned
    assert load(tmp_path, fhir_servers=["http://localhost:1/fhir/"]).fhir_servers == ("http://localhost:1/fhir",)


def test_what_is_no_yaml_is_told_so(tmp_path):
    (tmp_path / "serve.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="expected YAML"):
        load_config(tmp_path / "serve.yaml")


def test_a_secret_comes_from_the_environment_or_a_file_and_its_absence_is_told(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text(" word\n")
    monkeypatch.setenv("CDS_WORD", "word")
    assert _Secret(env="CDS_WORD").read() == _Secret(file=str(tmp_path / "secret")).read() == "word"
    monkeypatch.delenv("CDS_WORD")
    with pytest.raises(ValueError, match="CDS_WORD"):
        _Secret(env="CDS_WORD").read()
