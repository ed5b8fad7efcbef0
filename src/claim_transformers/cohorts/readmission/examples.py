"""Examples of a readmission cohort: they see the claims of the last months, and the index stay as its last visit.

* A claim of the months before is seen whole or not at all: it has ended by the discharge, and it began before it. What
  others bill on the day of discharge is left out, because it may follow the discharge or name the hospital that the
  patient goes to. Of inpatient claims only those admitted before the index stay count, so that under the plain rule a
  nested or overlapping readmission never stands in the example that it labels.
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
from claim_transformers.claims.visits import INPATIENT
from claim_transformers.cohorts.readmission.claims import CLAIM_KEY, CLAIMS, EVENTS, STAY_CLAIMS
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_FACTS = ("race", "original_reason_entitlement_code", "dual_status_code", "county_fips")
_INDEX_DAY_OFFSET = 1  # From the day of discharge, which is seen, to the index date, which is not.


def read_examples(connection: "Backend", index_stays: pa.Table, definition: ReadmissionDefinition) -> pa.Table:
    """Read the visits of examples, in the order of `index_stays`.

    Beside the columns of the patients table these are `visit_amount` (US dollars, null where unknown),
    `visit_paid_day` (null where unknown and on the index visit) and `claims_hidden`, how many were not paid in time.
    """
    with engine_errors("reading examples"):
        stays = load(connection, "index_stays", index_stays)
        seen, hidden = _seen_claims(connection, stays, definition)
        visits = ibis.union(
            _history_visits(connection, seen, stays, definition), _index_visits(connection, stays, definition)
        )
        rows = fetch(connection, _lists_of(visits).order_by("stay"))
        counts = fetch(connection, hidden.group_by("stay").aggregate(claims_hidden=hidden.count()))
    order = pc.index_in(index_stays["stay"], value_set=rows["stay"].combine_chunks())
    num_hidden = np.zeros(index_stays.num_rows, np.int64)
    places = pc.index_in(counts["stay"], value_set=index_stays["stay"].combine_chunks()).to_numpy()
    num_hidden[places] = counts["claims_hidden"].to_numpy()
    return rows.take(order).append_column("claims_hidden", pa.array(num_hidden))


def read_facts(connection: "Backend", index_stays: pa.Table, eligibility: "ir.Table") -> pa.Table:
    """Read what was on file about the patient at discharge: the row of eligibility that began last, if any."""
    with engine_errors("reading eligibility"):
        stays = load(connection, "index_stays", index_stays).select("stay", "patient_id", "discharge_date")
        rows = stays.join(eligibility, "patient_id")
        rows = rows.filter(rows.enrollment_start_date <= rows.discharge_date)
        fact = ibis.struct({"start": rows.enrollment_start_date, "end": rows.enrollment_end_date}
                           | {name: rows[name].cast("string") for name in _FACTS})  # fmt: skip
        latest = rows.group_by("stay").aggregate(facts=fact.collect(), num_rows=rows.count())
        last = latest.facts.sort()[latest.num_rows - 1]
        found = fetch(connection, latest.select("stay", **{name: last[name] for name in _FACTS}))
    place = pc.index_in(index_stays["stay"], value_set=found["stay"].combine_chunks())
    return found.select(_FACTS).take(place)


def index_days(discharge_day: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index date of a stay: the day after the discharge, both in days since 1970-01-01."""
    return discharge_day + _INDEX_DAY_OFFSET


def _seen_claims(
    connection: "Backend", stays: "ir.Table", definition: ReadmissionDefinition
) -> tuple["ir.Table", "ir.Table"]:
    """Claims of the months before that an example sees, and those that were not paid in time."""
    claims = connection.table(CLAIMS)
    days = ibis.interval(days=definition.look_back_days)
    pairs = stays.select("stay", "patient_id", "admission_date", "discharge_date").join(claims, "patient_id")
    # A claim that ended before the window has no code in it.
    pairs = pairs.filter(
        pairs.end_date.cast("timestamp") >= pairs.admission_date.cast("timestamp") - days,
        pairs.end_date <= pairs.discharge_date,
        ibis.ifelse(
            pairs.claim_type == INPATIENT,
            pairs.start_date < pairs.admission_date,
            pairs.start_date < pairs.discharge_date,
        ),
    )
    if not definition.hide_unpaid:
        return pairs, pairs.filter(ibis.literal(False))
    index_date = pairs.discharge_date.cast("timestamp") + ibis.interval(days=_INDEX_DAY_OFFSET)
    is_late = (pairs.paid_date.cast("timestamp") > index_date).fill_null(False)
    return pairs.filter(~is_late), pairs.filter(is_late)


def _history_visits(
    connection: "Backend", seen: "ir.Table", stays: "ir.Table", definition: ReadmissionDefinition
) -> "ir.Table":
    events = connection.table(EVENTS)
    first_dates = events.group_by(*CLAIM_KEY).aggregate(first_date=events.visit_date.min())
    days = ibis.interval(days=definition.look_back_days)
    # The amount of a claim stands on the first of its visits.
    amounts = seen.join(first_dates, CLAIM_KEY).select(
        "stay", "paid_amount", visit_date="first_date", visit_type="claim_type"
    )
    amounts = amounts.group_by("stay", "visit_date", "visit_type").aggregate(amount=amounts.paid_amount.sum())
    rows = seen.join(events, CLAIM_KEY).rename(visit_type="claim_type")
    rows = rows.filter(
        rows.visit_date.cast("timestamp") >= rows.admission_date.cast("timestamp") - days,
        rows.visit_date < rows.discharge_date,
    )
    visits = rows.group_by("stay", "visit_date", "visit_type").aggregate(
        codes=rows.code.collect(), paid_date=rows.paid_date.max()
    )
    visits = visits.left_join(amounts, ["stay", "visit_date", "visit_type"])
    return visits.select(
        "stay",
        "visit_date",
        "visit_type",
        "amount",
        "paid_date",
        is_index=ibis.literal(False),
        codes=visits.codes.unique().sort(),
    )


def _index_visits(connection: "Backend", stays: "ir.Table", definition: ReadmissionDefinition) -> "ir.Table":
    """One visit for each index stay, also for one without codes."""
    own = connection.table(STAY_CLAIMS).semi_join(stays, "stay")
    rows = own.join(connection.table(EVENTS), CLAIM_KEY).select("stay", "code")
    if definition.disposition:
        disposed = stays.filter(stays.disposition.notnull())
        rows = ibis.union(rows, disposed.select("stay", code=ibis.literal("DISP/") + disposed.disposition))
    codes = rows.group_by("stay").aggregate(codes=rows.code.collect())
    claims = connection.table(CLAIMS)
    paid = own.join(claims, CLAIM_KEY)
    amounts = paid.group_by("stay").aggregate(amount=paid.paid_amount.sum())
    visits = stays.left_join(codes, "stay").left_join(amounts, "stay")
    nothing = ibis.null("float64")
    return visits.select(
        "stay",
        visit_date=visits.discharge_date,
        visit_type=ibis.literal(INPATIENT),
        amount=nothing if definition.hide_unpaid else visits.amount,
        paid_date=ibis.null("date"),
        is_index=ibis.literal(True),
        codes=ibis.coalesce(visits.codes.unique().sort(), ibis.literal([], type="array<string>")),
    )


def _lists_of(visits: "ir.Table") -> "ir.Table":
    """Visits of each stay in order, as parallel lists; the index visit stands last on its day."""
    epoch = ibis.date("1970-01-01")
    visit = ibis.struct(
        {
            "day": visits.visit_date.delta(epoch, unit="day").cast("int32"),
            "is_index": visits.is_index,
            "type": visits.visit_type,
            "codes": visits.codes,
            "amount": visits.amount.cast("float32"),
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
        visit_amount=lists.visits.map(lambda visit: visit["amount"]),
        visit_paid_day=lists.visits.map(lambda visit: visit["paid_day"]),
    )
