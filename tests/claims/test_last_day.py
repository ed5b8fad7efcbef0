"""The last day of the data: no single patient moves it, enough of them do."""

import datetime as dt

import numpy as np
import pytest

from claim_transformers.claims.last_day import (
    find_last_day,
    last_day_of,
    last_enrollment_day_of,
    raise_last_days,
    write_day,
)
from claim_transformers.claims.packing import NULL_DAY
from claim_transformers.claims.store import IngestedFolder
from claim_transformers.codes.errors import ClaimDataError

END = 16_000


@pytest.mark.parametrize("patients", [2, 3, 40, 10_000])
def test_no_day_of_a_single_patient_moves_it(patients):
    last_days = np.full(patients, END, np.int32)
    for far in (END + 1, END + 40_000):
        last_days[7 % patients] = far
        assert find_last_day(last_days) == END


@pytest.mark.parametrize(("patients", "needed"), [(3, 2), (20_000, 2), (20_001, 3), (30_000, 3), (30_001, 4)])
def test_two_patients_move_it_and_one_more_for_each_further_ten_thousand(patients, needed):
    last_days = np.full(patients, END, np.int32)
    last_days[: needed - 1] = END + 9
    assert find_last_day(last_days) == END
    last_days[needed - 1] = END + 5
    assert find_last_day(last_days) == END + 5


def test_patients_without_a_service_do_not_count():
    days = np.array([NULL_DAY, END, NULL_DAY, END - 3, END + 900], np.int32)
    assert find_last_day(days) == END
    assert find_last_day(days[:2]) == END
    assert find_last_day(days[:1]) == find_last_day(days[:0]) == NULL_DAY


def test_the_day_of_the_extract_bounds_it_and_does_not_raise_it():
    day = dt.date(1970, 1, 1) + dt.timedelta(days=END)
    last_days = np.full(40, END, np.int32)
    assert find_last_day(last_days, day - dt.timedelta(days=1)) == END - 1
    assert find_last_day(last_days, day) == find_last_day(last_days, day + dt.timedelta(days=30)) == END


def test_the_order_of_the_patients_does_not_matter():
    last_days = np.random.default_rng(3).integers(END - 400, END, 500)
    assert find_last_day(last_days) == find_last_day(last_days[::-1]) == np.sort(last_days)[-2]


def test_a_folder_that_does_not_say_it_is_refused(tmp_path):
    assert last_day_of(IngestedFolder(tmp_path, {"patients": {"last_day": "1970-02-01"}})) == 31
    for enrolled, expected in (("1970-02-02", 32), ("1970-01-09", 31), (None, 31)):
        facts = {"last_day": "1970-02-01", "last_enrollment_day": enrolled}
        assert last_enrollment_day_of(IngestedFolder(tmp_path, {"patients": facts})) == expected
    for manifest in ({}, {"patients": None}, {"patients": {}}, {"patients": {"last_day": None}}):
        with pytest.raises(ClaimDataError, match=r"E_LAST_DAY: expected the last day of the data .*ingest again"):
            last_day_of(IngestedFolder(tmp_path, manifest))


def test_a_day_is_written_as_it_is_read_and_none_as_null(tmp_path):
    assert write_day(NULL_DAY) is None
    for number in (-1, 0, 31, END):
        assert last_day_of(IngestedFolder(tmp_path, {"patients": {"last_day": write_day(number)}})) == number
    assert write_day(0) == "1970-01-01"


def test_days_raise_the_last_day_of_their_patient_and_never_lower_it():
    last_days = np.array([5, 7, NULL_DAY], np.int32)
    raise_last_days(last_days, np.array([0, 0, 1, 2, 1]), np.array([9, 8, 6, NULL_DAY, NULL_DAY], np.int64))
    assert last_days.tolist() == [9, 7, NULL_DAY]
