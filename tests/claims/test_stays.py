"""Stays against an oracle that walks through the claims of one patient after another."""

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA
from claim_transformers.claims.stays import join_stays
from claim_transformers.claims.store import conform

_CONNECTION = connect(threads=1)


def _day(number: int | None) -> dt.date | None:
    return None if number is None else dt.date(2012, 1, 1) + dt.timedelta(days=number)


def _claim(start: int, end: int | None, patient: str = "P", claim: str = "", disposition: str | None = "01", **more):
    return {
        "patient_id": patient,
        "claim_id": claim or f"{start}-{end}",
        "claim_line_number": 1,
        "claim_type": "IP",
        "claim_start_date": _day(start),
        "admission_date": _day(start),
        "discharge_date": _day(end),
        "discharge_disposition_code": disposition,
        "data_source": "test",
    } | more


def _join(claims: list[dict], **options) -> list[dict]:
    names = [name for name in _CLAIM_LINE_SCHEMA.names if any(name in claim for claim in claims)]
    types = pa.schema([_CLAIM_LINE_SCHEMA.field(name).with_nullable(True) for name in names])
    table = pa.Table.from_pylist(claims, schema=types)
    lines = load(_CONNECTION, "claim_line", conform(table, _CLAIM_LINE_SCHEMA))
    stays = join_stays(lines, **options).order_by(["patient_id", "stay_id"])
    return fetch(_CONNECTION, stays).to_pylist()


def _numbers(stay: dict) -> list[str]:
    return [claim["claim_id"] for claim in stay["claims"]]


def _oracle(claims: list[dict], max_gap_days: int, interim_gap_days: int) -> list[tuple]:
    stays: list[list[dict]] = []
    allowed = None
    order = sorted(claims, key=lambda claim: (claim["patient_id"], claim["admission_date"], claim["claim_id"]))
    for claim in order:
        gap = interim_gap_days if claim["discharge_disposition_code"] == "30" else max_gap_days
        until = claim["discharge_date"] + dt.timedelta(days=gap)
        is_same = stays and stays[-1][0]["patient_id"] == claim["patient_id"] and claim["admission_date"] <= allowed
        if is_same:
            stays[-1].append(claim)
            allowed = max(allowed, until)
        else:
            stays.append([claim])
            allowed = until
    joined = []
    for stay in stays:
        last = max(stay, key=lambda claim: (claim["discharge_date"], claim["admission_date"], claim["claim_id"]))
        joined.append(
            (
                stay[0]["patient_id"],
                min(claim["admission_date"] for claim in stay),
                max(claim["discharge_date"] for claim in stay),
                last["discharge_disposition_code"],
                sorted(claim["claim_id"] for claim in stay),
            )
        )
    return joined


def test_a_transfer_on_the_same_day_is_one_stay() -> None:
    (stay,) = _join([_claim(0, 3, disposition="02"), _claim(3, 8)])
    assert (stay["admission_date"], stay["discharge_date"], stay["num_claims"]) == (_day(0), _day(8), 2)
    assert stay["discharge_disposition_code"] == "01"


def test_an_admission_on_the_next_day_is_another_stay() -> None:
    assert [stay["stay_id"] for stay in _join([_claim(0, 3), _claim(4, 8)])] == [1, 2]


def test_an_interim_bill_goes_on_on_the_next_day() -> None:
    (stay,) = _join([_claim(0, 30, disposition="30"), _claim(31, 40)])
    assert stay["num_claims"] == 2
    assert not stay["is_open"]


def test_the_patient_who_is_still_there_has_an_open_stay() -> None:
    (stay,) = _join([_claim(0, 30, disposition="30")])
    assert stay["is_open"]


def test_a_stay_inside_another_does_not_end_it() -> None:
    stays = _join([_claim(0, 20, claim="long"), _claim(2, 4, claim="short"), _claim(15, 18, claim="late")])
    assert [_numbers(stay) for stay in stays] == [["late", "long", "short"]]
    assert stays[0]["discharge_date"] == _day(20)


def test_one_number_of_two_data_sources_is_two_claims() -> None:
    claims = [_claim(0, 3, claim="77", data_source="x"), _claim(20, 23, claim="77", data_source="y")]
    stays = _join(claims)
    assert [stay["claims"] for stay in stays] == [[{"data_source": source, "claim_id": "77"}] for source in ("x", "y")]
    assert [stay["discharge_date"] for stay in stays] == [_day(3), _day(23)]


def test_lines_of_a_claim_are_counted_once() -> None:
    (stay,) = _join([_claim(0, 3), _claim(0, 3) | {"claim_line_number": 2}])
    assert stay["num_claims"] == 1


def test_a_claim_without_discharge_ends_with_its_last_service_and_is_open() -> None:
    (stay,) = _join([_claim(0, None, claim_end_date=_day(5))])
    assert (stay["discharge_date"], stay["is_open"]) == (_day(5), True)


def test_only_the_asked_claim_types_are_stays() -> None:
    claims = [_claim(0, 3), _claim(10, 12, claim_type="SNF"), _claim(20, 20, claim_type="OP")]
    assert len(_join(claims)) == 1
    assert len(_join(claims, claim_types=("IP", "SNF"))) == 2


@pytest.mark.parametrize("options", [{"max_gap_days": -1}, {"max_gap_days": 3}, {"claim_types": ()}])
def test_options_without_meaning_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        _join([_claim(0, 1)], **options)


_CLAIMS = st.lists(
    st.tuples(
        st.sampled_from("AB"), st.integers(0, 40), st.integers(0, 12), st.sampled_from(["01", "02", "30", "20"])
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(_CLAIMS, st.integers(0, 2), st.randoms(use_true_random=False))
def test_stays_equal_those_of_the_oracle_in_any_order_of_rows(drawn, max_gap_days, random) -> None:
    claims = [
        _claim(start, start + length, patient, f"c{number:02d}", disposition)
        for number, (patient, start, length, disposition) in enumerate(drawn)
    ]
    interim = max(1, max_gap_days)
    expected = _oracle(claims, max_gap_days, interim)
    random.shuffle(claims)
    found = [
        (
            *(stay[name] for name in ("patient_id", "admission_date", "discharge_date")),
            stay["discharge_disposition_code"],
            _numbers(stay),
        )
        for stay in _join(claims, max_gap_days=max_gap_days, interim_gap_days=interim)
    ]
    assert found == expected
