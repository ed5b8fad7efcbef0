from cohorts.patients_by_hand import patient, write_claims

from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.models.claim.form_claim import ClaimForm
from claim_transformers.training import coverage

RULES = {
    "prefixes": {"ICD9CM/493": "CCS/128", "ICD10CM/J45": "CCS/128"},
    "prefix_lengths": {"HCPCS": ["HCPCSGROUP", 3]},
}
VISITS = [
    ("2012-01-01", "OP", ["ICD9CM/49390", "HCPCS/99213", "SNOMED/1"]),
    ("2012-02-01", "OP", ["ICD9CM/49390", "ICD9CM/49392", "ICD9CM/4280"]),
    ("2012-03-01", "OP", ["ICD10CM/J45909"]),
]


def claims(folder):
    # Two files and a patient without codes: counts join over both.
    return write_claims(folder, [patient("A", *VISITS), patient("B", VISITS[0], ("2012-04-01", "OP", []))], files=2)


def test_each_code_of_a_visit_is_counted_at_the_level_at_which_the_tokenizer_finds_it(tmp_path):
    words = ["SEX/F", "TYPE/OP", "ICD9CM/49390", "ICD9CM/493", "CCS/128", "UNK/ICD9CM"]
    tokenizer = ClaimTokenizer({word: 3 + place for place, word in enumerate(words)}, RULES)
    found = coverage(tokenizer, claims(tmp_path / "claims"))
    assert list(found.occurrences) == ["ICD9CM", "ICD10CM", "HCPCS", "SNOMED", "all"]
    assert found.occurrences["ICD9CM"] == {"known": 3, "parent": 1, "category": 0, "wider": 0, "unknown": 1}
    assert found.codes["ICD9CM"] == {"known": 1, "parent": 1, "category": 0, "wider": 0, "unknown": 1}
    assert found.occurrences["ICD10CM"] == {"known": 0, "parent": 0, "category": 1, "wider": 0, "unknown": 0}
    assert found.occurrences["SNOMED"]["unknown"] == found.occurrences["HCPCS"]["unknown"] == 2
    assert sum(found.occurrences["all"].values()) == 10
    tokenizer.save_pretrained(tmp_path / "saved")
    assert coverage(tmp_path / "saved", tmp_path / "claims") == found


def test_a_form_makes_categories_of_codes_and_leaves_out_what_it_hides(tmp_path):
    form = ClaimForm("category", hide=["disposition"], categories=RULES)
    tokenizer = ClaimTokenizer({"SEX/F": 3, "CCS/128": 4, "DISP/01": 5}, RULES, form)
    stay = patient("C", ("2012-01-01", "IP", ["ICD9CM/49390", "ICD9CM/4280", "DISP/01", "CCS/128"]))
    found = coverage(tokenizer, write_claims(tmp_path / "claims", [stay]))
    assert found.occurrences["ICD9CM"] == {"known": 0, "parent": 0, "category": 1, "wider": 0, "unknown": 1}
    assert found.occurrences["CCS"]["known"] == 1
    assert "DISP" not in found.occurrences


def test_a_code_that_is_known_by_what_is_wider_than_its_category_is_counted_so(tmp_path):
    rules = {**RULES, "wider": {"CCS/12*": "BODYSYSTEM/RSP"}}
    tokenizer = ClaimTokenizer({"SEX/F": 3, "BODYSYSTEM/RSP": 4, "ICD9CM/49390": 5}, rules)
    found = coverage(tokenizer, claims(tmp_path / "claims"))
    assert found.occurrences["ICD9CM"] == {"known": 3, "parent": 0, "category": 0, "wider": 1, "unknown": 1}
    assert found.occurrences["ICD10CM"]["wider"] == found.codes["ICD10CM"]["wider"] == 1
    assert found.to_dict(raw=True)["systems"][1]["shares"]["wider"] == 1.0
