import pytest

from claim_transformers.analysis.explanation.token_names import token_name
from claim_transformers.codes.tables import _category_titles
from claim_transformers.models.claim import ClaimTokenizer

CATEGORY = next(code for code in sorted(_category_titles()) if code.startswith("CCSR/"))
NAMES = {
    "AGE/9": "9 years",
    "SEX/F": "female",
    "TYPE/IP": "inpatient",
    "GAP/START": "the first visit",
    "GAP/8": "8 days or more after the visit before",
    "DRUG/INSULIN_LISPRO": "insulin lispro",
    "HCPCS/99213": "99213",
    "NDC/00002751001": "00002751001",
    CATEGORY: _category_titles()[CATEGORY],
    f"PRINCIPAL/{CATEGORY}": f"principal diagnosis: {_category_titles()[CATEGORY]}",
    "RACE/WHITE": "WHITE",
    "BODYSYSTEM/RSP": "Diseases of the respiratory system",
    "CCSPRSECTION/7": "Operations on the cardiovascular system",
    "HCPCSSECTION/J": "Drugs given other than by mouth",
    "MDC/22": "Burns",
    "EPC/BETA2-ADRENERGIC_AGONIST": "beta2-adrenergic agonist",
}


@pytest.mark.parametrize("token", NAMES)
def test_a_token_has_its_public_name_else_itself(token):
    tokenizer = ClaimTokenizer({name: number for number, name in enumerate(NAMES, 3)})
    assert token_name(tokenizer, tokenizer.convert_tokens_to_ids(token)) == NAMES[token]
