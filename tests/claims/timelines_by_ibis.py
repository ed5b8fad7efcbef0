"""Visits and timelines as Ibis expressions: the oracle of the packed integers that `claims.sequences` sorts.

Ordered aggregation is avoided on purpose: Spark lacks it.
"""

import ibis
import ibis.expr.types as ir


def group_visits(code_events: "ir.Table") -> "ir.Table":
    """Group code events into visits."""
    visits = code_events.group_by(["patient_id", "visit_date", "visit_type"]).agg(codes=code_events.code.collect())
    return visits.mutate(codes=visits.codes.sort())


def order_timelines(visits: "ir.Table") -> "ir.Table":
    """Put the visits of each patient in order, in the list columns of the patients table."""
    day = visits.visit_date.delta(ibis.date("1970-01-01"), unit="day").cast("int32")
    visits = visits.select(
        "patient_id", visit=ibis.struct({"day": day, "type": visits.visit_type, "codes": visits.codes})
    )
    timelines = visits.group_by("patient_id").agg(visits=visits.visit.collect())
    # The struct sorts by its fields in turn; day and type are unique within a patient.
    timelines = timelines.mutate(visits=timelines.visits.sort())
    return timelines.select(
        "patient_id",
        visit_day=timelines.visits.map(lambda visit: visit["day"]),
        visit_type=timelines.visits.map(lambda visit: visit["type"]),
        codes=timelines.visits.map(lambda visit: visit["codes"]),
    )
