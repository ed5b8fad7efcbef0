"""Names of codes are public ones, and text that is not public does not appear."""

import pytest

from claim_transformers.analysis.views import code_names
from claim_transformers.analysis.views.code_names import chapter_title, code_name, system_title
from claim_transformers.codes import SYSTEMS


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ICD9CM/25001", "Diabetes mellitus without mention of complication, type I [juvenile type], not stated as"),
        ("ICD10CM/G40", "Epilepsy and recurrent seizures"),
        ("ICD9PCS/640", "Circumcision"),
        ("CCS/662", "Suicide and intentional self-inflicted injury"),
        ("UNK/NDC", "a code outside the vocabulary: drug product (National Drug Code)"),
    ],
)
def test_public_codes_have_their_official_name(code, name):
    assert code_name(code).startswith(name)


@pytest.mark.parametrize("code", ["HCPCS/99213", "NDC/00093014501", "REV/0450", "[UNK]", "ICD9CM/</script>", "CCS/0"])
def test_codes_without_a_public_name_have_none(code):
    assert code_name(code) is None
    assert isinstance(system_title(code), str)
    chapter_title(code)


def test_every_chapter_of_both_revisions_has_a_title():
    assert chapter_title("ICD9CM/V202") == "Factors influencing health status and contact with health services"
    assert chapter_title("ICD9CM/E9500") == "External causes of injury and poisoning"
    assert chapter_title("ICD10CM/F329") == "Mental, Behavioral and Neurodevelopmental disorders"


def test_without_the_packages_there_are_no_names_and_no_error(monkeypatch):
    monkeypatch.setattr(code_names, "_is_installed", lambda: False)
    code_names._texts.cache_clear()
    try:
        assert [code_name(f"{system}/1") for system in SYSTEMS if system != "DRUG"] == [None] * (len(SYSTEMS) - 1)
        assert chapter_title("ICD9CM/49392") is None
    finally:
        code_names._texts.cache_clear()
