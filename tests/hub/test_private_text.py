import pytest

from claim_transformers.hub.private_text import find_person, find_private


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("| Jane Doe | F | 1948-03-04 |", "a row that looks like a patient"),
        ("ZZ100001,M,428.0", "a row that looks like a patient"),
        ("ZZ100001;1948;E11.9", "a row that looks like a patient"),
        ("03/04/1948\tfemale\tx", "a row that looks like a patient"),
        ("| member_id | x | y |", "a table with a column about persons"),
        ("| Date | Visit day | x |", "a table with a column about persons"),
        ("Patient ZZ1234 was seen", "the number of a person"),
        ("member_id: 12345", "the number of a person"),
        ("`ZZ100001` was seen on 03/04/1948", "a date beside an identifier"),
        ("ID_123456789x", "a number as long as an identifier"),
        ("1eg4te5mk73", "Medicare beneficiary"),
        ("123-45-6789", "social security"),
        ("+1 555-123-4567", "telephone"),
        ("jane.doe@example.org", "e-mail"),
        ("---\nlicense: [\n---\n", "no YAML"),
        ("---\n- license\n---\n", "no mapping"),
        ("---\nlicense: mit\nnote: x\n---\n", "a key in the front matter"),
        ("---\nmodel-index:\n- name: .inf\n---\n", "a value in the"),
    ],
)
def test_what_tells_of_a_person_is_found(text, found):
    assert found in find_person(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "| readmission | test | claim-pt-base | AUROC | 0.713 | [0.690, 0.735] | 95 % | 1,377 |",
        "| Patients, train | 25,753 |",
        "| female | 0.713 | 1377 |",
        "| ICD9CM/49392 | asthma | 0.71345678901 |",
        "claim-transformers simulate pediatric raw --patients 300000 --seed 11",
        "Measured on 2026-02-01 with seed 12.",
        "commit 947d80f0123456789012345678901234567890ab",
        "NDC/00093014501 is a drug, ICD9CM/49392 asthma",
        "---\nlicense: mit\nmodel-index:\n- name: x\n  results:\n  - metrics:\n    - value: 0.7134567890123\n---\n",
    ],
)
def test_prose_and_measured_numbers_may_stand_in_a_card(text):
    assert find_person(text) is None
    assert find_private(text) is None
