"""Current numbers of people: former numbers are followed, change by change, to the one that somebody has now.

CCLF9 has one row per change. A number that changed into several counts by the latest delivery and the latest day on
which it began; the numbers of a person are a chain, and one that leads back to itself tells nobody who is who.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.engine import create_view, fetch, load
from claim_transformers.claims.fields import clean_id, parse_date
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.cclf.fields import DATES, PATIENT, delivery_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.sources.pipeline.contract import RawFile
    from claim_transformers.sources.pipeline.layout_files import FileLayout

_CODES = ("code", "icd", "ndc", "flag")


def read_current_numbers(
    connection: Backend, rows: ir.Table, files: Sequence[RawFile]
) -> tuple[ir.Table, dict[str, int]]:
    """Follow the changes of numbers to their end: `former_num` and `current_num`, and counts for the manifest.

    These are of rows, of those without two numbers, and of numbers that changed.
    """
    if num_rejected := sum(file.num_rejected for file in files):
        raise ClaimDataError(
            "E_XREF",
            f"expected every line of {', '.join(file.name for file in files)}, found {show_count(num_rejected)} that "
            "cannot be read: without them one person may be two. Fetch the file again",
        )
    found = fetch(
        connection,
        rows.select(
            former=clean_id(rows.PRVS_NUM),
            current=clean_id(rows.CRNT_NUM),
            order=ibis.literal("").concat(
                delivery_order(rows).fill_null(""),
                "|",
                parse_date(rows.PRVS_ID_OBSLT_DT, DATES).cast("string").fill_null(""),
                "|",
                parse_date(rows.PRVS_ID_EFCTV_DT, DATES).cast("string").fill_null(""),
            ),
        ).distinct(),
    )
    is_change = pc.fill_null(pc.not_equal(found["former"], found["current"]), False)
    former, current = _last_changes(found.filter(is_change))
    numbers = pc.unique(pa.concat_arrays([former, current]))
    ends = _follow(
        np.asarray(pc.index_in(former, value_set=numbers)),
        np.asarray(pc.index_in(current, value_set=numbers)),
        len(numbers),
    )
    last = numbers.take(pa.array(ends[np.asarray(pc.index_in(former, value_set=numbers))]))
    table = load(connection, "cclf_current_numbers", pa.table({"former_num": former, "current_num": last}))
    return table, {"rows": sum(file.num_rows for file in files), "changed_numbers": len(former)}


def _last_changes(changes: pa.Table) -> tuple[pa.Array, pa.Array]:
    """What each former number changed into last."""
    latest = changes.group_by("former").aggregate([("order", "max")])
    joined = changes.join(latest, ["former"], join_type="inner")
    last = joined.filter(pc.equal(joined["order"], joined["order_max"])).select(["former", "current"])
    last = last.group_by(["former", "current"]).aggregate([])
    counts = pc.value_counts(last["former"].combine_chunks()).field("counts")
    if torn := pc.sum(pc.greater(counts, 1)).as_py():
        raise ClaimDataError(
            "E_XREF",
            f"expected one current number of each former one, found {show_count(torn)} former ones with several of "
            "the same day: ask the sender which counts",
        )
    return last["former"].combine_chunks().cast(pa.string()), last["current"].combine_chunks().cast(pa.string())


def _follow(former: np.ndarray, current: np.ndarray, number: int) -> np.ndarray:
    """Where each place ends: every step jumps as far as all steps before, so chains of any length take few."""
    ends = np.arange(number)
    ends[former] = current
    for _ in range(max(number, 2).bit_length() + 1):
        ends = ends[ends]
    changes = np.zeros(number, bool)
    changes[former] = True
    # A chain ends at a number that never changes; a ring has none.
    if num_turning := int(changes[ends[former]].sum()):
        raise ClaimDataError(
            "E_XREF",
            f"expected chains of numbers that end, found {show_count(num_turning)} numbers that lead back to "
            "themselves: ask the sender which number is current",
        )
    return ends


def with_current_numbers(
    connection: Backend, rows: ir.Table, layout: FileLayout, numbers: ir.Table | None
) -> ir.Table:
    """Add the current number of the person, for one that never changed itself; a tilde in a code stands for none."""
    # CMS fills codes that are not known with a tilde, also where an empty field would say the same.
    texts = {name: rows[name].nullif("~") if kind in _CODES else rows[name] for name, kind in layout.kinds.items()}
    rows = rows.mutate(**texts)
    if numbers is None:
        return create_view(connection, f"people_of_{layout.name}", rows.mutate(**{PATIENT: rows.BENE_MBI_ID}))
    joined = rows.left_join(numbers, clean_id(rows.BENE_MBI_ID) == numbers.former_num)
    current = ibis.coalesce(joined.current_num, joined.BENE_MBI_ID)
    return create_view(
        connection,
        f"people_of_{layout.name}",
        joined.select(*(joined[name] for name in rows.columns), **{PATIENT: current}),
    )
