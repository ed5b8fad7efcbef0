"""No date of a row moves it far from its claim: rows just inside and just outside of each rule."""

import datetime as dt

import pyarrow as pa
import pytest

from claim_transformers.claims.dates import settle_dates
from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import conform

EXTRACT = dt.date(2016, 12, 31)
STAY = {
    "claim_type": "IP",
    "claim_start_date": dt.date(2016, 3, 1),
    "claim_end_date": dt.date(2016, 3, 9),
    "claim_line_start_date": dt.date(2016, 3, 2),
    "claim_line_end_date": dt.date(2016, 3, 3),
    "admission_date": dt.date(2016, 3, 1),
    "discharge_date": dt.date(2016, 3, 9),
    "paid_date": dt.date(2016, 4, 1),
}
KEY = {"patient_id": "A", "claim_id": "1", "claim_line_number": 1, "data_source": "by hand"}


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


def settle(connection, row, table="claim_line", extract_date=None):
    schema = SCHEMAS[table]
    columns = {
        name: pa.array([value], pa.string() if name == "claim_type" else schema.field(name).type)
        for name, value in (KEY | row).items()
        if name in schema.names
    }
    rows = load(connection, table, conform(pa.table(columns), schema))
    settled, counted = settle_dates({name: rows[name] for name in rows.columns}, table, extract_date)
    (found,) = fetch(connection, rows.select(**settled, **counted)).to_pylist()
    return {name: found[name] for name in settled}, {code for code in counted if found[code]}


def changed(connection, row, **options):
    """What became of the dates that were settled otherwise than given, and the codes."""
    settled, codes = settle(connection, row, **options)
    return {name: value for name, value in settled.items() if (value or None) != row.get(name)}, codes


def test_a_stay_whose_dates_agree_stays_as_it_is(connection):
    assert changed(connection, STAY) == ({}, set())
    assert changed(connection, STAY, extract_date=EXTRACT) == ({}, set())


@pytest.mark.parametrize(
    ("name", "inside", "outside", "becomes", "code"),
    [
        ("claim_end_date", "2017-03-02", "2017-03-03", None, "F_FAR_DATE"),
        ("discharge_date", "2017-03-02", "2017-03-03", None, "F_FAR_DATE"),
        ("discharge_date", "2016-03-01", "2016-02-29", None, "F_FAR_DATE"),
        ("admission_date", "2015-03-01", "2015-02-28", None, "F_FAR_DATE"),
        ("admission_date", "2016-03-09", "2016-03-10", None, "F_FAR_DATE"),
        ("paid_date", "2021-03-05", "2021-03-06", None, "F_FAR_DATE"),
        ("paid_date", "2016-03-01", "2016-02-29", None, "F_FAR_DATE"),
        ("claim_line_start_date", "2016-03-01", "2016-02-29", "2016-03-01", "F_LINE_DATE"),
        ("claim_line_end_date", "2016-03-09", "2016-03-10", "2016-03-09", "F_LINE_DATE"),
    ],
)
def test_a_date_counts_up_to_its_limit_and_not_a_day_beyond(connection, name, inside, outside, becomes, code):
    day = dt.date.fromisoformat
    row = STAY | ({"claim_line_end_date": None} if name == "claim_line_start_date" else {})
    assert changed(connection, row | {name: day(inside)}) == ({}, set())
    found, codes = changed(connection, row | {name: day(outside)})
    assert found == {name: becomes and day(becomes)}
    assert codes - {"W_OPEN_STAY"} == {code}


@pytest.mark.parametrize("name", ["claim_end_date", "discharge_date", "admission_date", "paid_date"])
def test_the_extract_bounds_every_date(connection, name):
    late = STAY | {"claim_end_date": EXTRACT, "discharge_date": EXTRACT, name: EXTRACT}
    assert changed(connection, late, extract_date=EXTRACT) == ({}, set())
    found, codes = changed(connection, late | {name: EXTRACT + dt.timedelta(1)}, extract_date=EXTRACT)
    assert (found, codes - {"W_OPEN_STAY"}) == ({name: None}, {"F_FAR_DATE"})


def test_lines_of_another_year_take_the_dates_of_their_claim(connection):
    names = ("claim_line_start_date", "claim_line_end_date")
    early, late = (dict.fromkeys(names, dt.date(year, 3, 1)) for year in (2013, 2061))
    of_claim = {"claim_line_start_date": STAY["claim_start_date"], "claim_line_end_date": STAY["claim_end_date"]}
    for far in (early, late):
        assert changed(connection, STAY | far) == (of_claim, {"F_LINE_DATE"})


def test_a_line_of_a_claim_without_an_end_is_held_against_its_discharge_or_a_year(connection):
    visit = STAY | {"claim_type": "OP", "claim_end_date": None, "admission_date": None, "discharge_date": None}
    assert changed(connection, visit | {"claim_line_end_date": dt.date(2017, 3, 2)}) == ({}, set())
    found = changed(connection, visit | {"claim_line_end_date": dt.date(2017, 3, 3)})
    assert found == ({"claim_line_end_date": None}, {"F_LINE_DATE"})


def test_a_far_end_costs_the_end_and_lines_are_still_judged(connection):
    far = {"claim_end_date": dt.date(2061, 2, 1), "claim_line_end_date": dt.date(2061, 2, 1), "discharge_date": None}
    found, codes = changed(connection, STAY | far)
    assert found == {"claim_end_date": None, "claim_line_end_date": None}
    assert codes == {"F_FAR_DATE", "F_LINE_DATE", "W_OPEN_STAY"}


def test_a_stay_without_a_discharge_that_holds_is_open_and_only_inpatient_ones_are(connection):
    assert settle(connection, STAY | {"discharge_date": None})[1] == {"W_OPEN_STAY"}
    assert settle(connection, STAY | {"discharge_date": dt.date(2061, 1, 1)})[1] == {"F_FAR_DATE", "W_OPEN_STAY"}
    assert settle(connection, STAY | {"discharge_date": None, "claim_type": "SNF"})[1] == set()


@pytest.mark.parametrize(("date", "stays"), [("2016-02-27", True), ("2016-02-26", False), ("2016-03-09", True),
                                              ("2016-03-10", False), ("2061-03-01", False), (None, True)])  # fmt: skip
def test_a_procedure_outside_its_claim_loses_its_date_and_not_its_code(connection, date, stays):
    day = date and dt.date.fromisoformat(date)
    entry = {"system": "ICD10PCS", "code": "0SR9019", "date": day}
    settled, codes = settle(connection, STAY | {"procedures": [entry]})
    assert settled["procedures"] == [entry | {"date": day if stays else None}]
    assert codes == (set() if stays else {"F_LINE_DATE"})


def test_a_fill_keeps_its_day_and_loses_a_far_payment(connection):
    fill = {"dispensing_date": dt.date(2016, 3, 1), "paid_date": dt.date(2061, 3, 1)}
    assert changed(connection, fill, table="rx_claim") == ({"paid_date": None}, {"F_FAR_DATE"})


def test_births_and_deaths_after_the_extract_are_unknown_and_enrolment_may_reach_beyond(connection):
    person = {"birth_date": EXTRACT, "death_date": EXTRACT, "enrollment_end_date": dt.date(2019, 12, 31)}
    assert changed(connection, person, table="eligibility", extract_date=EXTRACT) == ({}, set())
    for name in ("birth_date", "death_date"):
        late = person | {name: EXTRACT + dt.timedelta(1)}
        assert changed(connection, late, table="eligibility", extract_date=EXTRACT) == ({name: None}, {"F_FAR_DATE"})
