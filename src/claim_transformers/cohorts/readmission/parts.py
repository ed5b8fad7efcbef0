"""Index stays of some patients as examples to be: what a readmission cohort asks about one patient at a time."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.engine import fetch
from claim_transformers.claims.patient_files import OPTIONAL_FIELDS
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.claim_dates import count_unknown_codes
from claim_transformers.cohorts.cohort import split_examples
from claim_transformers.cohorts.readmission.claims import CLAIMS, open_tables, prepare
from claim_transformers.cohorts.readmission.definition import BY_TIME, ReadmissionDefinition
from claim_transformers.cohorts.readmission.examples import index_days, read_examples, read_facts
from claim_transformers.cohorts.readmission.selection import IndexStays, StayCounts, select_index_stays
from claim_transformers.cohorts.timelines import Flags, Timelines, patient_files

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_STAYS_PER_PART = 200_000  # Examples whose visits are in memory at once.
_PEOPLE = ("patient_id", "sex", "birth_day", "death_day", "enrollment_start_day", "enrollment_end_day")
_EPOCH = dt.date(1970, 1, 1)
# Tables of an ingested folder that stays are read from, and their columns: all where none are named.
TABLES = {"claim_line": None, "rx_claim": None, "eligibility": None, "patients": _PEOPLE}


@dataclass(frozen=True)
class PartOfStays:
    """Index stays of some patients as labelled examples, and counts that add up to those of all patients."""

    # In the order of patient and admission, with what is on file; without columns where there is none.
    examples: pa.Table
    selection: StayCounts
    counts: Counter[str]

    @classmethod
    def of_all(cls, parts: Sequence["PartOfStays"]) -> "PartOfStays":
        """Put the stays of all patients together, in the order in which one part would have them."""
        selection, counts = StayCounts(), Counter[str]()
        for part in parts:
            selection.add(part.selection)
            counts.update(part.counts)
        found = [part.examples for part in parts if part.examples.num_rows] or [parts[0].examples]
        examples = found[0] if len(found) == 1 else pa.concat_tables(found).sort_by("patient_id")
        return cls(examples, selection, counts)


@dataclass(frozen=True)
class ReadStays:
    """Task that reads the index stays of the patients of an ingested folder, which may be some of those of another."""

    definition: ReadmissionDefinition
    # Of the data, which the patients of a part do not tell.
    last_day: int

    def __call__(self, _: int, connection: "Backend", claims: Path) -> PartOfStays:
        """Read the stays of a folder with an engine that nobody used before."""
        definition = self.definition
        tables = open_tables(connection, claims)
        stays_table = prepare(connection, tables, definition)
        stays = fetch(connection, stays_table.order_by("stay"))
        people = _people_of(claims, stays["patient_id"])
        people_of_stays = Timelines(_without_visits(people), enrolment=definition.enrolment)
        chosen = select_index_stays(connection, tables, stays, people_of_stays, definition, self.last_day)
        keep = _keep_of_split(chosen, stays, definition)
        if not keep.any():
            return PartOfStays(pa.table({}), chosen.counts, Counter())
        examples, counts = _read_examples(connection, stays, people, keep, definition)
        examples = (
            examples.append_column("label", pa.array(chosen.label[keep], pa.int8()))
            .append_column("is_transfer_label", pa.array(chosen.is_transfer_label[keep]))
            .append_column("is_observed", pa.array(chosen.is_observed[keep]))
        )
        eligible = stays.filter(pa.array(keep)).select(["stay", "patient_id", "discharge_date"])
        on_file = read_facts(connection, eligible, tables["eligibility"])
        for name in on_file.column_names:
            examples = examples.append_column(name, on_file[name])
        hides = definition.hide_unpaid
        counts += Counter(
            overlapping_next_stays=int(np.count_nonzero(chosen.gap_days[keep] < 0)),
            planned_next_stays=int(np.count_nonzero(chosen.is_planned_next[keep])),
            unknown_codes=count_unknown_codes([examples], claims, hides_unpaid=hides, connection=connection),
        )
        return PartOfStays(examples, chosen.counts, counts)


def _people_of(claims: Path, patient_ids: pa.ChunkedArray) -> pa.Table:
    """Demographics and enrolment of the patient of each stay."""
    tables = [pq.read_table(path, columns=list(_PEOPLE)) for path in patient_files(claims)]
    everybody = pa.concat_tables(tables).combine_chunks()
    place = pc.index_in(patient_ids, value_set=everybody["patient_id"].combine_chunks())
    people = everybody.take(place)
    # A stay without any code belongs to nobody in the patients table, but is a stay.
    return people.set_column(0, "patient_id", patient_ids)


def _without_visits(people: pa.Table) -> pa.Table:
    empty = pa.array([[]] * people.num_rows, pa.list_(pa.int32()))
    return people.append_column("visit_day", empty)


def _keep_of_split(chosen: IndexStays, stays: pa.Table, definition: ReadmissionDefinition) -> Flags:
    """All index stays or, with a split by time, those that lie on the side of their patients."""
    if definition.split != BY_TIME or definition.test_from is None:
        return chosen.keep
    test_from = (definition.test_from - _EPOCH).days
    is_test = pc.equal(split_examples(stays, definition), "test").to_numpy(zero_copy_only=False)
    is_late = chosen.discharge_day >= test_from
    is_early = chosen.discharge_day + definition.horizon_days < test_from
    step = f"before {definition.test_from} for training and validation patients, from then on for test patients"
    return chosen.counts.remove(chosen.keep, step, {"": ~np.where(is_test, is_late, is_early)})


def _read_examples(
    connection: "Backend", stays: pa.Table, people: pa.Table, keep: Flags, definition: ReadmissionDefinition
) -> tuple[pa.Table, Counter[str]]:
    """Examples with their visits, and how many claims were open, were not paid in time, or have a paid date at all."""
    rows = np.flatnonzero(keep)
    parts, counts = [], Counter[str]()
    columns = ["stay", "patient_id", "admission_date", "discharge_date", "disposition"]
    for start in range(0, len(rows), _STAYS_PER_PART):
        place = pa.array(rows[start : start + _STAYS_PER_PART])
        index_stays = stays.select(columns).take(place)
        visits = read_examples(connection, index_stays, definition)
        for name in ("claims_hidden", "claims_open"):
            counts[name] += int(pc.sum(visits[name]).as_py())
        parts.append(_cut(people.take(place), index_stays, visits, definition))
    claims = connection.table(CLAIMS)
    counts["paid_dates"] = fetch(connection, claims.aggregate(known=claims.paid_date.count()))["known"][0].as_py()
    return pa.concat_tables(parts), counts


def _cut(people: pa.Table, index_stays: pa.Table, visits: pa.Table, definition: ReadmissionDefinition) -> pa.Table:
    """The examples as every cohort has them, and what is particular to stays."""
    names = ["visit_day", "visit_type", "codes", "visit_end_day", *(each.name for each in OPTIONAL_FIELDS)]
    table = pa.table({name: people[name] for name in _PEOPLE} | {name: visits[name] for name in names})
    admission, discharge = (
        index_stays[name].cast(pa.int32()).to_numpy().astype(np.int64) for name in ("admission_date", "discharge_date")
    )
    index_day = index_days(discharge)
    timelines = Timelines(table, hide_unpaid=definition.hide_unpaid)
    if not np.logical_or(*timelines.known_before(index_day)).all():
        raise ClaimDataError("E_LEAK", "expected only visits known before the index date, found others; report this")
    examples = timelines.before(np.ones(table.num_rows, bool), index_day)
    return (
        examples.append_column("visit_amount", visits["visit_amount"])
        .append_column("admission_day", pa.array(admission, pa.int32()))
        .append_column("discharge_day", pa.array(discharge, pa.int32()))
        .append_column("length_of_stay_days", pa.array(discharge - admission, pa.int32()))
    )
