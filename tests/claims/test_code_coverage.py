"""Coverage of codes: what a user reads about the categories and lists of each raw table."""

import pyarrow as pa

from claim_transformers.claims.code_coverage import cover_codes, coverage_rows


def _codes(**counts: int) -> pa.Table:
    return pa.table({"code": [name.replace("_", "/") for name in counts], "count": list(counts.values())})


def test_each_raw_table_and_system_is_counted_apart() -> None:
    kept = {
        "outpatient": [_codes(HCPCS_99213=5)],
        "inpatient": [_codes(ICD9CM_49392=7), _codes(ICD9CM_49392=2, ICD9CM_00000=1)],
    }
    entries = cover_codes(kept)
    assert [(entry["table"], entry["system"]) for entry in entries] == [
        ("inpatient", "ICD9CM"),
        ("outpatient", "HCPCS"),
    ]
    assert (entries[0]["num_codes"], entries[0]["num_occurrences"]) == (2, 10)
    assert (entries[0]["occurrences_mapped_share"], entries[0]["num_occurrences_unlisted"]) == (0.9, 1)
    assert entries[1]["num_codes_unlisted"] is None


def test_systems_of_other_vocabularies_are_counted_without_a_category() -> None:
    (entry,) = cover_codes({"data": [_codes(SNOMED_1=3, SNOMED_2=1)]})
    assert (entry["num_codes"], entry["num_occurrences"], entry["num_occurrences_mapped"]) == (2, 4, 0)


def test_nothing_is_reported_about_a_table_without_codes() -> None:
    assert cover_codes({"eligibility": [_codes()]}) == []


def test_only_the_whole_is_shown_as_one_hundred_percent() -> None:
    whole, almost, nearly = (
        coverage_rows(cover_codes({"inpatient": [codes]}))[1]
        for codes in (
            _codes(ICD9CM_49392=99_999),
            _codes(ICD9CM_49392=99_999, ICD9CM_00000=11),
            _codes(ICD9CM_49392=99_999, ICD9CM_00000=1),
        )
    )
    assert whole[3:] == ("99,999", "100 %", "100 %")
    assert almost[3:] == ("100,010", "99.98 %", "99.98 %")
    # One occurrence is of one patient, and the share would tell.
    assert nearly[3:] == ("100,000", "hidden", "hidden")
