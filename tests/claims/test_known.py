"""What is known on a day: each boundary of the rule, and the same answers from arrays and from an engine."""

import datetime as dt

import ibis
import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.known import _NEVER, STAY_TYPES, known_on, line_end_date, line_end_days
from claim_transformers.claims.packing import NULL_DAY

INDEX = 10
EPOCH = dt.date(1970, 1, 1)


def ask(begin, end, paid, *, is_stay, hides):
    array = lambda day: np.array([NULL_DAY if day is None else day])  # noqa: E731
    flag = lambda value: np.array([value])  # noqa: E731
    whole, admitted = known_on(
        array(INDEX), array(begin), array(end), array(paid),
        has_end=flag(end is not None), has_paid=flag(paid is not None), is_stay=flag(is_stay), hides_unpaid=hides,
    )  # fmt: skip
    return "whole" if whole[0] else "admission" if admitted[0] else "hidden"


@pytest.mark.parametrize(
    ("begin", "end", "paid", "stay", "other", "hidden_stay", "hidden_other"),
    [
        # What ended before the index date is known, what ends on it is not.
        (5, 9, None, "whole", "whole", "whole", "whole"),
        (5, 10, None, "admission", "hidden", "admission", "hidden"),
        # Nothing of the index date itself is seen, not even an admission.
        (10, 10, None, "hidden", "hidden", "hidden", "hidden"),
        (9, 9, None, "whole", "whole", "whole", "whole"),
        # A payment on the index date is known, one on the day after is not.
        (5, 9, 10, "whole", "whole", "whole", "whole"),
        (5, 9, 11, "whole", "whole", "hidden", "hidden"),
        # Paid before it ended: what the end tells is still to come.
        (5, 12, 8, "admission", "hidden", "admission", "hidden"),
        (5, 12, 11, "admission", "hidden", "hidden", "hidden"),
        # Without an end the payment decides.
        (5, None, 10, "whole", "whole", "whole", "whole"),
        (5, None, 11, "admission", "hidden", "hidden", "hidden"),
        (5, None, None, "admission", "hidden", "admission", "hidden"),
        (10, None, 10, "hidden", "hidden", "hidden", "hidden"),
    ],
)
def test_a_claim_is_known_from_its_end_and_its_payment_on(begin, end, paid, stay, other, hidden_stay, hidden_other):
    found = [
        ask(begin, end, paid, is_stay=is_stay, hides=hides) for hides in (False, True) for is_stay in (True, False)
    ]
    assert found == [stay, other, hidden_stay, hidden_other]


def dates(generator, rows):
    days = generator.integers(0, 20, rows)
    return [None if missing else EPOCH + dt.timedelta(int(day)) for day, missing in zip(days, days < 6, strict=True)]


def numbers(table, name):
    days = [NULL_DAY if day is None else (day - EPOCH).days for day in table[name].to_pylist()]
    return np.array(days)


def test_an_engine_gives_what_arrays_give():
    generator, rows = np.random.default_rng(7), 3000
    names = ("claim_end_date", "discharge_date", "claim_line_start_date", "claim_line_end_date", "paid_date")
    columns = {name: pa.array(dates(generator, rows), pa.date32()) for name in names}
    columns["claim_type"] = pa.array(generator.choice([*STAY_TYPES, "OP", "CAR"], rows))
    columns["claim_start_date"] = pa.array([EPOCH + dt.timedelta(int(n)) for n in generator.integers(0, 20, rows)])
    table = pa.table(columns | {"row": np.arange(rows)})

    kinds = np.array(table["claim_type"].to_pylist())
    is_stay, is_inpatient = np.isin(kinds, STAY_TYPES), kinds == "IP"
    claim_end, discharge, line_start, line_end, paid = (numbers(table, name) for name in names)
    ends = line_end_days(
        is_stay, is_inpatient, discharge=discharge, claim_end=claim_end, line_start=line_start, line_end=line_end
    )
    begin = numbers(table, "claim_start_date")
    last = np.where(ends == _NEVER, NULL_DAY, np.where(ends == NULL_DAY, begin, ends))

    connection = connect(threads=1)
    lines = load(connection, "lines", table)
    lines = lines.mutate(last_date=line_end_date(lines))
    for hides in (False, True):
        flags = {"has_end": last != NULL_DAY, "has_paid": paid != NULL_DAY, "is_stay": is_stay}
        expected = known_on(np.full(rows, INDEX), begin, last, paid, **flags, hides_unpaid=hides)
        whole, admitted = known_on(
            ibis.date(EPOCH + dt.timedelta(INDEX)), lines.claim_start_date, lines.last_date, lines.paid_date,
            has_end=lines.last_date.notnull(), has_paid=lines.paid_date.notnull(),
            is_stay=lines.claim_type.isin(STAY_TYPES), hides_unpaid=hides,
        )  # fmt: skip
        found = fetch(connection, lines.select("row", whole=whole, admitted=admitted).order_by("row"))
        for name, flag in zip(("whole", "admitted"), expected, strict=True):
            assert found[name].to_pylist() == flag.tolist()
            assert 0 < flag.sum() < rows
