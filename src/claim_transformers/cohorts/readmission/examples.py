"""Examples of a readmission cohort: they see the claims of the last months, and the index stay as its last visit.

* A claim of the months before is seen whole if it has ended by the discharge, and began before it; of a stay that is
  still open then, the admission is seen and no code (`claims.known`). What others bill on the day of discharge is
  left out, because it may follow the discharge or name the hospital that the patient goes to. Of inpatient claims
  only those admitted before the index stay count, so that under the plain rule a nested or overlapping readmission
  never stands in the example that it labels.
* The index stay is one visit on the day of discharge, with all codes of its claims; it stands last.
* The index date is the day after the discharge, so every visit lies strictly before it.
"""

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.claims.engine import engine_errors, fetch, load
from claim_transformers.claims.known import STAY_TYPES, known_on
from claim_transformers.claims.visits import INPATIENT
from claim_transformers.cohorts.readmission.claims import CLAIM_KEY, CLAIMS, EVENTS, STAY_CLAIMS, stay_codes
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

# What is on file of a patient.
ON_FILE = ("race", "original_reason_entitlement_code", "dual_status_code", "county_fips")
_VISIT = ("stay", "visit_date", "visit_type")
_CODE_LISTS = ("codes", "principal", "admitting")
_INDEX_DAY_OFFSET = 1  # From the day of discharge, which is seen, to the index date, which is not.


def read_examples(connection: "Backend", index_stays: pa.Table, definition: ReadmissionDefinition) -> pa.Table:
    """Read the visits of examples, in the order of `index_stays`.

    Beside the columns of the patients table these are its optional fields (`visit_paid_day` is null where unknown and
    on the index visit), `visit_amount` (US dollars, null where unknown), `claims_hidden`, how many were not paid in
    time, and `claims_open`, how many were not over.
    """
    with engine_errors("reading examples"):
        stays = load(connection, "index_stays", index_stays)
        claims = _claims_before(connection, stays, definition)
        visits = ibis.union(_history_visits(connection, claims), _index_visits(connection, stays, definition))
        rows = fetch(connection, _lists_of(visits).order_by("stay"))
        sums = {f"claims_{name}": claims[f"is_{name}"].sum() for name in ("hidden", "open")}
        counts = fetch(connection, claims.group_by("stay").aggregate(**sums))
    order = pc.index_in(index_stays["stay"], value_set=rows["stay"].combine_chunks())
    examples = rows.take(order)
    places = pc.index_in(index_stays["stay"], value_set=counts["stay"].combine_chunks())
    for name in sums:
        examples = examples.append_column(name, pc.fill_null(counts[name].take(places), 0).cast(pa.int64()))
    return examples


def read_facts(connection: "Backend", index_stays: pa.Table, eligibility: "ir.Table") -> pa.Table:
    """Read what was on file about the patient at discharge: the row of eligibility that began last, if any."""
    with engine_errors("reading eligibility"):
        stays = load(connection, "index_stays", index_stays).select("stay", "patient_id", "discharge_date")
        rows = stays.join(eligibility, "patient_id")
        rows = rows.filter(rows.enrollment_start_date <= rows.discharge_date)
        fact = ibis.struct({"start": rows.enrollment_start_date, "end": rows.enrollment_end_date}
                           | {name: rows[name].cast("string") for name in ON_FILE})  # fmt: skip
        latest = rows.group_by("stay").aggregate(facts=fact.collect(), num_rows=rows.count())
        last = latest.facts.sort()[latest.num_rows - 1]
        found = fetch(connection, latest.select("stay", **{name: last[name] for name in ON_FILE}))
    place = pc.index_in(index_stays["stay"], value_set=found["stay"].combine_chunks())
    return found.select(ON_FILE).take(place)


def index_days(discharge_day: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index date of a stay: the day after the discharge, both in days since 1970-01-01."""
    return discharge_day + _INDEX_DAY_OFFSET


def _claims_before(connection: "Backend", stays: "ir.Table", definition: ReadmissionDefinition) -> "ir.Table":
    """Claims of the months before each index stay, with what its example sees of them."""
    claims = connection.table(CLAIMS)
    pairs = stays.select("stay", "patient_id", "admission_date", "discharge_date").join(claims, "patient_id")
    window_start = pairs.admission_date.cast("timestamp") - ibis.interval(days=definition.look_back_days)
    pairs = pairs.mutate(window_start=window_start)
    # A claim that ended before the window has no code in it.
    pairs = pairs.filter(
        pairs.end_date.cast("timestamp") >= pairs.window_start,
        ibis.ifelse(
            pairs.claim_type == INPATIENT,
            pairs.start_date < pairs.admission_date,
            pairs.start_date < pairs.discharge_date,
        ),
    )
    index_date = (pairs.discharge_date.cast("timestamp") + ibis.interval(days=_INDEX_DAY_OFFSET)).date()
    days = (index_date, pairs.start_date, pairs.last_date, pairs.paid_date)
    facts = {
        "has_end": pairs.last_date.notnull(),
        "has_paid": pairs.paid_date.notnull(),
        "is_stay": pairs.claim_type.isin(STAY_TYPES),
    }
    is_over, _ = known_on(*days, **facts, hides_unpaid=False)
    is_whole, is_admission = known_on(*days, **facts, hides_unpaid=definition.hide_unpaid)
    return pairs.mutate(is_whole=is_whole, is_admission=is_admission, is_hidden=is_over & ~is_whole, is_open=~is_over)


def _history_visits(connection: "Backend", claims: "ir.Table") -> "ir.Table":
    events = connection.table(EVENTS)
    first_dates = events.group_by(*CLAIM_KEY).aggregate(first_date=events.visit_date.min())
    seen = claims.filter(claims.is_whole)
    # The amount of a claim stands on the first of its visits.
    amounts = seen.join(first_dates, CLAIM_KEY).select(
        "stay", "paid_amount", visit_date="first_date", visit_type="claim_type"
    )
    amounts = amounts.group_by("stay", "visit_date", "visit_type").aggregate(amount=amounts.paid_amount.sum())
    rows = seen.join(events, CLAIM_KEY).rename(visit_type="claim_type")
    rows = rows.filter(rows.visit_date.cast("timestamp") >= rows.window_start, rows.visit_date < rows.discharge_date)
    rows = rows.select(
        *_VISIT,
        "code",
        "last_date",
        "paid_date",
        principal=ibis.ifelse(rows.is_principal, rows.code, ibis.null("string")),
        admitting=ibis.ifelse(rows.visit_date == rows.start_date, rows.admitting, ibis.null("string")),
    )
    visits = ibis.union(rows, _admissions(claims).select(rows.columns))
    visits = visits.group_by(*_VISIT).aggregate(
        codes=visits.code.collect(),
        principal=visits.principal.collect(),
        admitting=visits.admitting.collect(),
        last_date=visits.last_date.max(),
        paid_date=visits.paid_date.max(),
    )
    visits = visits.left_join(amounts, ["stay", "visit_date", "visit_type"])
    return visits.select(
        "stay",
        "visit_date",
        "visit_type",
        "amount",
        "last_date",
        "paid_date",
        is_index=ibis.literal(False),
        **{name: _distinct(visits[name]) for name in _CODE_LISTS},
    )


def _admissions(claims: "ir.Table") -> "ir.Table":
    """The first open stay of each type, as `Timelines` reads open stays: no end, and no code but what it was for."""
    opened = claims.filter(claims.is_admission, claims.start_date.cast("timestamp") >= claims.window_start)
    first_date = opened.start_date.min().over(group_by=[opened.stay, opened.claim_type])
    first = opened.mutate(first_date=first_date)
    first = first.filter(first.start_date == first.first_date)
    return first.select(
        "stay",
        "paid_date",
        "admitting",
        visit_date=first.start_date,
        visit_type=first.claim_type,
        code=first.admitting,
        principal=ibis.null("string"),
        last_date=ibis.null("date"),
    )


def _distinct(codes: "ir.ArrayValue") -> "ir.ArrayValue":
    return ibis.coalesce(codes.unique().sort(), ibis.literal([], type="array<string>"))


def _index_visits(connection: "Backend", stays: "ir.Table", definition: ReadmissionDefinition) -> "ir.Table":
    """One visit for each index stay, also for one without codes."""
    own = connection.table(STAY_CLAIMS).semi_join(stays, "stay")
    claims = connection.table(CLAIMS)
    principal, _ = stay_codes(own, claims, connection.table("claim_line"))
    principal = principal.group_by("stay").aggregate(principal=principal.code.collect())
    rows = own.join(connection.table(EVENTS), CLAIM_KEY).select("stay", "code")
    if definition.disposition:
        disposed = stays.filter(stays.disposition.notnull())
        rows = ibis.union(rows, disposed.select("stay", code=ibis.literal("DISP/") + disposed.disposition))
    codes = rows.group_by("stay").aggregate(codes=rows.code.collect())
    paid = own.join(claims, CLAIM_KEY)
    amounts = paid.group_by("stay").aggregate(amount=paid.paid_amount.sum(), admitting=paid.admitting.collect())
    visits = stays.left_join(codes, "stay").left_join(amounts, "stay").left_join(principal, "stay")
    nothing = ibis.null("float64")
    return visits.select(
        "stay",
        visit_date=visits.discharge_date,
        visit_type=ibis.literal(INPATIENT),
        amount=nothing if definition.hide_unpaid else visits.amount,
        last_date=visits.discharge_date,
        paid_date=ibis.null("date"),
        is_index=ibis.literal(True),
        **{name: _distinct(visits[name]) for name in _CODE_LISTS},
    )


def _lists_of(visits: "ir.Table") -> "ir.Table":
    """Visits of each stay in order, as parallel lists; the index visit stands last on its day."""
    epoch = ibis.date("1970-01-01")
    visit = ibis.struct(
        {
            "day": visits.visit_date.delta(epoch, unit="day").cast("int32"),
            "is_index": visits.is_index,
            "type": visits.visit_type,
            **{name: visits[name] for name in _CODE_LISTS},
            "amount": visits.amount.cast("float32"),
            "end_day": visits.last_date.delta(epoch, unit="day").cast("int32"),
            "paid_day": visits.paid_date.delta(epoch, unit="day").cast("int32"),
        }
    )
    lists = visits.group_by("stay").aggregate(visits=visit.collect())
    lists = lists.mutate(visits=lists.visits.sort())
    return lists.select(
        "stay",
        visit_day=lists.visits.map(lambda visit: visit["day"]),
        visit_type=lists.visits.map(lambda visit: visit["type"]),
        codes=lists.visits.map(lambda visit: visit["codes"]),
        principal_codes=lists.visits.map(lambda visit: visit["principal"]),
        admitting_codes=lists.visits.map(lambda visit: visit["admitting"]),
        visit_amount=lists.visits.map(lambda visit: visit["amount"]),
        visit_end_day=lists.visits.map(lambda visit: visit["end_day"]),
        visit_paid_day=lists.visits.map(lambda visit: visit["paid_day"]),
    )
