"""ADT messages folded into stays: what the last messages of a visit say, cancelled ones taken back."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.engine import connect, engine_errors, fetch, load
from claim_transformers.serving.adt_messages import DROPPED_EVENT, MESSAGE_SCHEMA, read_messages

if TYPE_CHECKING:
    import ibis.expr.types as ir

DISCHARGED = "discharged"
_MEMORY = "512MB"
_INPATIENT_CLASS = "I"  # HL7 table 0004


@dataclass(frozen=True, repr=False)
class AdtFeed:
    """What a feed says. It has no `repr` that could get into a log.

    Args:
        stays (`pa.Table`): `patient_id`, `visit`, `facility`, `admission_date`, `discharge_date`, `codes` and `state`
            of each visit: `discharged`, why it is no stay that has ended, or the reason code of its quarantine.
        messages (`dict[str, int]`): Messages by `read`, `folded`, and reason code.
        quarantine (`pa.Table`): Place of each message that could not be used, and its reason; nothing of its content.

    Examples:
        >>> AdtFeed(pa.table({}), {"read": 3, "folded": 2, "D_EVENT": 1}, pa.table({})).messages["read"]
        3
    """

    stays: pa.Table
    messages: dict[str, int]
    quarantine: pa.Table


def read_adt(feed: str | Path, *, id_type: str | None = None) -> AdtFeed:
    """Read ADT messages (HL7 v2; A01, A03, A08, A11, A13) and fold them into stays by number of visit (PV1-19).

    Messages count in the order of their own times, whatever the order in the feed, and one that comes twice counts
    once. An A11 takes the admission back, an A13 the discharge. Of diagnoses those of the last message up to the
    discharge count, because what is coded later nobody knew then.

    Args:
        feed (`str` or `Path`): A file of messages, or a folder of such files.
        id_type (`str`, *optional*): Type (PID-3.5) of the identifier that the claims have; the first one if not given.

    Returns:
        [`AdtFeed`]: Stays, and what became of each message.

    Raises:
        ClaimDataError: `E_NO_FILE` if there is no feed, `E_LAYOUT` if it is none.

    Source:
        HL7 v2.5.1, chapter 3.

    Examples:
        >>> read_adt("/nowhere")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NO_FILE: expected a file or a folder of ADT messages ...
    """
    # Engine: what its memory does not hold is spilled.
    with engine_errors("folding messages into stays"):
        connection = connect(memory_limit=_MEMORY)
        messages = load(connection, "messages", MESSAGE_SCHEMA.empty_table())
        for batch in read_messages(feed, id_type=id_type):
            connection.con.register("arrow_rows", batch)
            connection.raw_sql("INSERT INTO messages SELECT * FROM arrow_rows")
            connection.con.unregister("arrow_rows")
        reasons = fetch(connection, messages.group_by("reason").aggregate(rows=messages.count()))
        stays = fetch(connection, _stays(messages.filter(messages.reason.isnull())).order_by("visit"))
        left = messages.filter(messages.reason.notnull(), messages.reason != DROPPED_EVENT)
        quarantine = fetch(connection, left.select("file", "message", "reason").order_by("file", "message"))
    counts = {row["reason"] or "folded": row["rows"] for row in reasons.to_pylist()}
    counts = {"read": sum(counts.values()), "folded": counts.pop("folded", 0), **dict(sorted(counts.items()))}
    codes = pc.fill_null(stays["codes"].cast(pa.string()), "")
    # An empty text has no code; it would be split into one that is empty.
    lists = pc.if_else(pc.equal(codes, ""), pa.scalar([], pa.list_(pa.string())), pc.split_pattern(codes, " "))
    return AdtFeed(stays.set_column(stays.column_names.index("codes"), "codes", lists), counts, quarantine)


def _stays(messages: "ir.Table") -> "ir.Table":
    """One row per visit: the last value of each field, and what the last events leave."""
    discharged, cancelled = (
        messages.order_key.max(where=messages.event == event).over(group_by=messages.visit) for event in ("A03", "A11")
    )
    rows = messages.mutate(discharged=discharged, cancelled=cancelled.fill_null(""))
    order = rows.order_key

    def last(name: str, where: "bool | ir.BooleanValue" = True) -> "ir.Value":
        """The last value that a message gives."""
        return rows[name].argmax(order, where=rows[name].notnull() & where)

    visits = rows.group_by("visit").aggregate(
        patient_id=rows.patient_id.max(),
        num_patients=rows.patient_id.nunique(),
        patient_class=last("patient_class"),
        facility=last("facility"),
        is_dead=last("is_dead"),
        admission_date=ibis.coalesce(
            last("admission_date", order > rows.cancelled),
            rows.day.min(where=(rows.event == "A01") & (order > rows.cancelled)),
        ),
        discharge_date=ibis.coalesce(
            last("discharge_date", order >= rows.discharged), last("day", rows.event == "A03")
        ),
        codes=last("codes", order <= rows.discharged),
        **{event: order.max(where=rows.event == event) for event in ("A01", "A03", "A11", "A13")},
    )
    state = ibis.cases(
        (visits.num_patients > 1, "R_VISIT_SHARED"),
        (ibis.coalesce(visits.A01, "") < visits.A11, "admission cancelled"),
        (ibis.coalesce(visits.patient_class, "") != _INPATIENT_CLASS, "not an inpatient"),
        (visits.A03.isnull() | (visits.A13 > visits.A03), "not discharged"),
        (visits.admission_date > visits.discharge_date, "R_DATE_ORDER"),
        (visits.is_dead, "died in hospital"),
        else_=DISCHARGED,
    )
    names = ("patient_id", "visit", "facility", "admission_date", "discharge_date", "codes")
    return visits.mutate(state=state).select(*names, "state")
