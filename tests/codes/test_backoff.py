import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.codes import SYSTEMS, backoff_chain, category_rules


@pytest.fixture(scope="module")
def rules():
    return category_rules(drug_ingredients={"000930145": "albuterol"})


@pytest.mark.parametrize(
    ("code", "chain"),
    [
        ("ICD9CM/49392", ("ICD9CM/49392", "ICD9CM/493", "CCSR/RSP009", "BODYSYSTEM/RSP", "UNK/ICD9CM")),
        ("ICD9CM/V1046", ("ICD9CM/V1046", "ICD9CM/V10", "CCSR/FAC021", "BODYSYSTEM/FAC", "UNK/ICD9CM")),
        (
            "ICD9CM/E8120",
            ("ICD9CM/E8120", "ICD9CM/E812", "CCSR/EXT007", "BODYSYSTEM/EXT", "BODYSYSTEM/INJ", "UNK/ICD9CM"),
        ),
        ("ICD10CM/J45909", ("ICD10CM/J45909", "ICD10CM/J45", "CCSR/RSP009", "BODYSYSTEM/RSP", "UNK/ICD10CM")),
        ("ICD9CM/000", ("ICD9CM/000", "UNK/ICD9CM")),
        (
            "NDC/00093014505",
            ("NDC/00093014505", "NDC/000930145", "DRUG/ALBUTEROL", "EPC/BETA2-ADRENERGIC_AGONIST", "UNK/NDC"),
        ),
        ("NDC/00093014605", ("NDC/00093014605", "NDC/000930146", "UNK/NDC")),
        ("HCPCS/99213", ("HCPCS/99213", "HCPCSGROUP/992", "HCPCSSECTION/EVALUATION", "UNK/HCPCS")),
        ("ICD9PCS/8154", ("ICD9PCS/8154", "CCSPR/152", "CCSPRSECTION/14", "UNK/ICD9PCS")),
        ("ICD10PCS/0SR90JZ", ("ICD10PCS/0SR90JZ", "CCSPR/153", "CCSPRSECTION/14", "UNK/ICD10PCS")),
        ("REV/0450", ("REV/0450", "REVGROUP/045", "UNK/REV")),
        ("DRUG/ALBUTEROL", ("DRUG/ALBUTEROL", "EPC/BETA2-ADRENERGIC_AGONIST", "UNK/DRUG")),
        ("DRG/470", ("DRG/470", "MDC/08", "UNK/DRG")),
        ("POS/11", ("POS/11", "UNK/POS")),
        ("DISP/01", ("DISP/01", "UNK/DISP")),
    ],
)
def test_a_code_backs_off_step_by_step_to_the_unknown_of_its_system(rules, code, chain):
    assert backoff_chain(code, rules) == chain


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SYSTEMS), st.text(alphabet="0123456789ABEV", min_size=1, max_size=11))
def test_a_chain_begins_with_the_code_and_has_no_step_twice(rules, system, bare):
    chain = backoff_chain(f"{system}/{bare}", rules)
    assert chain[0] == f"{system}/{bare}"
    assert chain[-1] == f"UNK/{system}"
    assert len(set(chain)) == len(chain)


def test_a_table_category_stays_even_where_its_number_equals_the_code():
    rules = category_rules(["ICD9PCS"], procedure_ccs={"ICD9PCS/152": "CCSPR/152"})
    assert backoff_chain("ICD9PCS/152", rules) == ("ICD9PCS/152", "CCSPR/152", "CCSPRSECTION/14", "UNK/ICD9PCS")


def test_a_string_that_is_no_code_is_refused(rules):
    with pytest.raises(ValueError, match="expected"):
        backoff_chain("CCS/128", rules)
