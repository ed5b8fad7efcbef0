"""Conservation of rows and the share that may be in quarantine."""

import json
from collections import Counter

import pytest

from claim_transformers.claims.ledger import Ledger, report_to_json
from claim_transformers.codes.errors import ClaimDataError


def _ledger(rows_in: int = 100, rows_out: int = 100, **quarantined: int) -> Ledger:
    ledger = Ledger()
    entry = ledger.entry("a.csv", "IP")
    entry.rows_in, entry.rows_out, entry.quarantined = rows_in, rows_out, Counter(quarantined)
    return ledger


def test_rows_that_are_accounted_for_balance() -> None:
    ledger = _ledger(100, 90, R_DATE=4)
    entry = ledger.entry("a.csv", "IP")
    entry.dropped["D_DUPLICATE"], entry.netted_out = 2, 4
    ledger.check_conservation()


@pytest.mark.parametrize("rows_out", [99, 101], ids=["a row lost", "a row too many"])
def test_a_row_that_is_not_accounted_for_stops_the_run(rows_out: int) -> None:
    with pytest.raises(ClaimDataError, match=f"E_CONSERVATION.*100 rows in, but {rows_out} out"):
        _ledger(100, rows_out).check_conservation()


def test_entries_do_not_lend_each_other_rows() -> None:
    ledger = _ledger(100, 99)
    ledger.entry("a.csv", "OP").rows_out = 1
    with pytest.raises(ClaimDataError, match="E_CONSERVATION"):
        ledger.check_conservation()


@pytest.mark.parametrize(("reasons", "is_too_much"), [({"R_DATE": 1}, False), ({"R_DATE": 2}, True)])
def test_more_than_one_percent_of_one_reason_stops_the_run(reasons: dict[str, int], is_too_much: bool) -> None:
    ledger = _ledger(100, 90, **reasons)
    if is_too_much:
        with pytest.raises(ClaimDataError, match=r"E_QUARANTINE_RATE.*a.csv.*R_DATE <11 of 100 rows"):
            ledger.check_rates()
        ledger.check_rates(max_reason_share=0.02)
    else:
        ledger.check_rates()


def test_more_than_five_percent_in_all_stops_the_run() -> None:
    ledger = _ledger(100, 94, **{f"R_{letter}": 1 for letter in "ABCDEF"})
    with pytest.raises(ClaimDataError, match="E_QUARANTINE_RATE"):
        ledger.check_rates()
    ledger.check_rates(max_quarantine_share=0.06)


def test_the_share_is_of_the_file_and_not_of_a_claim_type() -> None:
    ledger = _ledger(1, 0, R_DATE=1)
    ledger.entry("a.csv", "OP").rows_in = 999
    ledger.check_rates()


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_between_zero_and_one(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        _ledger().check_rates(max_quarantine_share=share)


def test_the_report_does_not_depend_on_the_order_of_entries() -> None:
    first, second = _ledger(R_DATE=1, R_NO_ID=1), Ledger()
    second.entry("z.csv", "OP")
    second.entries |= _ledger(R_NO_ID=1, R_DATE=1).entries
    first.entry("z.csv", "OP")
    assert report_to_json(first.to_dict()) == report_to_json(second.to_dict())
    assert json.loads(report_to_json(first.to_dict()))["totals"]["rows_in"] == 100
