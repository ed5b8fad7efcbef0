"""Each question of a selection at its bounds."""

import numpy as np
import pyarrow as pa
import pytest
from cohorts.patients_by_hand import SCHEMA, day, patient

from claim_transformers.cohorts.event.definition import Criterion, EventDefinition, IndexRule, LabelRule
from claim_transformers.cohorts.event.rules import satisfies
from claim_transformers.cohorts.timelines import Timelines

INDEX = "2013-01-01"
DEFINITION = EventDefinition(
    "name", "title", "source", {"asthma": ("ICD9CM/493",)}, IndexRule("fixed_date", (INDEX,)), (), LabelRule(365)
)


def passes(found, rule, **options):
    timelines = Timelines(pa.Table.from_pylist([found], schema=SCHEMA))
    asked = [
        satisfies(timelines, DEFINITION, Criterion("step", rule, exclude=exclude, **options), np.array([day(INDEX)]))
        for exclude in (False, True)
    ]
    assert asked[0].tolist() == [not left for left in asked[1].tolist()]
    return asked[0].tolist() == [True]


@pytest.mark.parametrize(
    ("birth", "death", "is_alive"),
    [
        ("2013-01-01", None, True),
        ("2013-01-02", None, False),
        (None, None, True),
        (None, "2013-01-01", True),
        (None, "2012-12-31", False),
        ("2013-01-01", "2013-01-01", True),
        ("2013-01-02", "2013-01-02", False),
    ],
)
def test_somebody_is_alive_from_the_day_of_birth_to_the_day_of_death(birth, death, is_alive):
    days = {"birth_day": birth and day(birth), "death_day": death and day(death)}
    assert passes(patient("p", **days), "alive") == is_alive


@pytest.mark.parametrize(("birth", "age"), [("1995-01-01", 18), ("1995-01-02", 17), ("1994-01-02", 18)])
def test_least_and_greatest_ages_count(birth, age):
    born = patient("p", birth_day=day(birth))
    for minimum, maximum in ((18, None), (None, 17), (18, 18), (17, 18), (19, None), (None, 16), (None, None)):
        expected = (minimum is None or age >= minimum) and (maximum is None or age <= maximum)
        assert passes(born, "age", minimum=minimum, maximum=maximum) == expected
    assert not passes(patient("p", birth_day=None), "age")


@pytest.mark.parametrize(
    ("start", "look_back", "is_in"),
    [(INDEX, 0, True), (INDEX, None, True), (INDEX, 1, False), ("2012-12-31", 1, True), ("2013-01-02", 0, False)],
)
def test_enrolment_reaches_from_the_first_day_of_the_look_back_to_the_index_date(start, look_back, is_in):
    for end, is_over in ((INDEX, False), ("2012-12-31", True)):
        span = {"enrollment_start_day": [day(start)], "enrollment_end_day": [day(end)]}
        assert passes(patient("p", **span), "enrolled", look_back_days=look_back) == (is_in and not is_over)


@pytest.mark.parametrize(
    ("when", "look_back", "is_found"),
    [
        ("2012-12-31", 1, True),
        ("2012-12-30", 1, False),
        ("2012-12-30", 2, True),
        ("2013-01-01", 9, False),
        ("2003-01-01", None, True),
    ],
)
def test_codes_and_visits_are_looked_for_from_the_first_day_of_the_look_back_to_the_day_before(
    when, look_back, is_found
):
    seen = patient("p", (when, "OP", ["ICD9CM/49390"]))
    assert passes(seen, "codes", codes="asthma", look_back_days=look_back) == is_found
    assert passes(seen, "visits", look_back_days=look_back) == is_found


def test_a_step_asks_for_the_types_and_as_many_visits_as_it_says():
    seen = patient("p", ("2012-03-01", "OP", ["ICD9CM/49390"]), ("2012-04-01", "IP", ["ICD9CM/4280"]))
    for types, minimum, expected in (
        ((), None, True),
        ((), 2, True),
        ((), 3, False),
        (("OP",), 1, True),
        (("OP",), 2, False),
        (("SNF",), None, False),
    ):
        assert passes(seen, "visits", visit_types=types, minimum=minimum) == expected
    assert passes(seen, "codes", codes="asthma", visit_types=("OP",))
    assert not passes(seen, "codes", codes="asthma", visit_types=("IP",))


def test_an_open_stay_is_a_visit_and_shows_no_code():
    open_stay = patient("p", ("2012-12-30", "IP", ["ICD9CM/49390"]), visit_end_day=[day("2013-01-01")])
    assert passes(open_stay, "visits")
    assert not passes(open_stay, "codes", codes="asthma")


def test_a_rule_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="expected one of the rules"):
        passes(patient("p"), "height")
