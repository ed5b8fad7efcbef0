import datetime as dt

import numpy as np
import pytest

from claim_transformers.claims.ages import birthday, whole_years
from claim_transformers.models.claim.patients_claim import age_in_years

EPOCH = dt.date(1970, 1, 1)
AGES = (whole_years, age_in_years)


def day(text):
    return (dt.date.fromisoformat(text) - EPOCH).days


@pytest.mark.parametrize("age_of", AGES)
def test_an_age_is_that_of_the_calendar(age_of):
    random = np.random.default_rng(7)
    births, days = random.integers(day("1850-01-01"), day("2150-01-01"), (2, 5000))
    for birth, now, age in zip(births.tolist(), days.tolist(), age_of(births, days).tolist(), strict=True):
        born, date = (EPOCH + dt.timedelta(each) for each in (birth, now))
        assert age == date.year - born.year - ((date.month, date.day) < (born.month, born.day))


@pytest.mark.parametrize("age_of", AGES)
@pytest.mark.parametrize("birth", ["1998-01-01", "1996-12-31", "2000-03-01", "1900-03-01"])
def test_a_year_is_full_on_the_birthday_and_not_the_day_before(age_of, birth):
    for years in range(110):
        full = birthday(day(birth), years).item()
        assert (EPOCH + dt.timedelta(full)).isoformat() == f"{int(birth[:4]) + years}{birth[4:]}"
        assert [age_of(day(birth), each).item() for each in (full - 1, full)] == [years - 1, years]


@pytest.mark.parametrize("age_of", AGES)
def test_whoever_is_born_on_a_leap_day_has_a_birthday_on_the_first_of_march_of_other_years(age_of):
    born = day("2004-02-29")
    found = [age_of(born, day(date)).item() for date in ("2022-02-28", "2022-03-01", "2024-02-28", "2024-02-29")]
    assert found == [17, 18, 19, 20]
    assert birthday(born, 18).item() == day("2022-03-01")
    assert birthday(born, 20).item() == day("2024-02-29")
