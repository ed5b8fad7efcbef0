"""Readmission cohorts from an ingested folder: every discharge is an example, and the next admission is its label.

What is asked about one patient at a time is asked of parts of the patients, each of which fits memory.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.claims.engine import fetch
from claim_transformers.claims.files import to_json
from claim_transformers.claims.last_day import last_day_of
from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.claims.patient_files import OPTIONAL_FIELDS
from claim_transformers.claims.patient_parts import count_parts, run_on_parts
from claim_transformers.claims.small_cells import HIDDEN, Shown, is_small, show_count, show_part
from claim_transformers.claims.spark import SparkTasks
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.attrition import AttritionStep, describe_steps
from claim_transformers.cohorts.claim_dates import count_unknown_codes
from claim_transformers.cohorts.cohort import Cohort, split_examples
from claim_transformers.cohorts.leaks import refuse_leaks
from claim_transformers.cohorts.readmission.claims import CLAIMS, open_tables, prepare
from claim_transformers.cohorts.readmission.definition import BY_TIME, ReadmissionDefinition
from claim_transformers.cohorts.readmission.examples import ON_FILE, index_days, read_examples, read_facts
from claim_transformers.cohorts.readmission.patient_codes import COUNTY_BINS_FILE, CountyBins, patient_codes
from claim_transformers.cohorts.readmission.selection import StayCounts, select_index_stays
from claim_transformers.cohorts.timelines import Flags, Timelines, patient_files

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_FACTS_FILE = "readmission.json"
_STAYS_PER_PART = 200_000  # Examples whose visits are in memory at once.
_PEOPLE = ("patient_id", "sex", "birth_day", "death_day", "enrollment_start_day", "enrollment_end_day")
_EPOCH = dt.date(1970, 1, 1)
# Tables of an ingested folder that stays are read from, and their columns: all where none are named.
_TABLES = {"claim_line": None, "rx_claim": None, "eligibility": None, "patients": _PEOPLE}


@dataclass(frozen=True)
class ReadmissionCohort(Cohort):
    """Labelled index stays, several of a patient where there are several, sorted by patient and discharge.

    Beside the columns of any cohort an example has `patient_codes` (`list<string>`), `visit_amount` (`list<float>`, US
    dollars), `admission_day`, `discharge_day`, `length_of_stay_days`, `county_fips`, `is_transfer_label` (whether the
    label is 1 because the patient was moved to another hospital on that day or, by disposition, the next) and
    `is_observed` (whether the window was observed: always, but under the plain rule); with county measures
    `county_measures`, a struct of numbers, of which a tokenizer makes the `COUNTY/` codes of its own bins. The last
    visit is the index stay. `visits_hidden` counts claims.
    """

    definition: ReadmissionDefinition  # What was asked for.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Counts that the attrition table does not have.
    county_bins: CountyBins | None = None  # Measures of counties behind the `COUNTY/` tokens.

    def _why_a_split_is_empty(self) -> str:
        if self.definition.split != BY_TIME:
            return super()._why_a_split_is_empty()
        return (
            "test_from cuts the discharges, of which training and validation take those whose windows end before it, "
            "and the test split those from it on; choose a day in their midst, or take more patients"
        )

    def shown_facts(self, *, raw_counts: bool = False) -> dict[str, Any]:
        """The facts as they may be shown, beside the attrition table: no count of 1 to 10, none that gives it away."""
        if raw_counts:
            return dict(self.facts)
        last = self.shown_attrition().steps[-1]
        known = {"index_stays": last["patients"], "readmissions": last["cases"]}

        def part(count: int, whole: str) -> Shown:
            """A number beside the whole that it is a part of, of which it is a bound where that is hidden."""
            shown = show_part(count, self.facts[whole])
            return HIDDEN if shown and isinstance(known[whole], str) and not is_small(count) else shown

        is_known = not any(isinstance(number, str) for number in (*known.values(), last["controls"]))
        rate = self.facts["readmission_rate"] if is_known else None
        shown: dict[str, Any] = {**self.facts, **known, "readmission_rate": rate}
        for name in ("patients", "overlapping_next_stays", "planned_next_stays", "windows_not_observed"):
            shown[name] = part(self.facts[name], "index_stays")
        shown["transfer_labels"] = part(self.facts["transfer_labels"], "readmissions")
        for name in ("claims_hidden", "claims_open"):
            shown[name] = None if self.facts[name] is None else show_part(self.facts[name], self.facts[name])
        if "counties" in self.facts:
            shown["counties"] = {what: part(count, "index_stays") for what, count in self.facts["counties"].items()}
        return shown

    def _write_papers(self, folder: Path, *, raw_counts: bool) -> None:
        super()._write_papers(folder, raw_counts=raw_counts)
        facts = self.shown_facts(raw_counts=raw_counts)
        (folder / _FACTS_FILE).write_text(to_json(facts), encoding="utf-8")
        if self.county_bins is not None:
            self.county_bins.bins.save(folder / COUNTY_BINS_FILE)


def build_readmission_cohort(
    definition: ReadmissionDefinition,
    claims: str | Path,
    *,
    counties: CountyFeatures | CountyBins | None = None,
    tasks: SparkTasks | None = None,
) -> ReadmissionCohort:
    """Build a readmission cohort, see [`build_cohort`]."""
    folder = open_folder(claims)
    patient_files(claims)
    read = _ReadStays(definition, last_day_of(folder))
    parts = run_on_parts(tasks, folder, _TABLES, read, count_parts(folder, *_TABLES))
    examples, counts = _join_parts(parts)
    steps = counts.steps(definition)
    if not examples.num_rows:
        raise ClaimDataError(
            "E_EMPTY_COHORT", f"expected at least one index stay, found none ({describe_steps(steps)})"
        )
    examples = _without_unknown(examples, knows_paid=counts.found["paid_dates"] > 0)
    on_file = examples.select(ON_FILE)
    examples = examples.drop_columns([name for name in ON_FILE if name != "county_fips"])
    is_train = pc.equal(split_examples(examples, definition), "train")
    county_bins = counties if isinstance(counties, CountyBins) else None
    if isinstance(counties, CountyFeatures):
        training = examples["county_fips"].filter(is_train)
        county_bins = CountyBins.fit(counties, training, num_bins=definition.county_bins)
    tokens = [] if county_bins is None else county_bins.tokens(examples["county_fips"].combine_chunks())
    examples = examples.append_column("patient_codes", patient_codes(on_file, tokens))
    facts = _facts(examples, counts.found, definition)
    if county_bins is not None:
        examples = examples.append_column("county_measures", county_bins.measures(examples["county_fips"]))
        facts["counties"] = county_bins.count_missing(examples["county_fips"])
    cohort = ReadmissionCohort(
        definition=definition,
        examples=examples,
        attrition=(*steps[:-1], _last_step(steps[-1], examples)),
        sampled_share=(1.0, 1.0),
        visits_hidden=facts["claims_hidden"],
        visits_open=facts["claims_open"],
        facts=facts,
        county_bins=county_bins,
    )
    refuse_leaks(cohort.splits(), counts.found["unknown_codes"])
    return cohort


def _without_unknown(examples: pa.Table, *, knows_paid: bool) -> pa.Table:
    """The examples without the optional columns of which no claim tells."""
    for name in (each.name for each in OPTIONAL_FIELDS):
        is_known = knows_paid if name == VISIT_PAID_DAY.name else len(_flattened(examples[name])) > 0
        if not is_known:
            examples = examples.drop_columns([name])
    return examples


def _flattened(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.list_flatten(pc.list_flatten(lists))


def _last_step(step: AttritionStep, examples: pa.Table) -> AttritionStep:
    """The last step with its cases and controls; a cohort of one class is no cohort."""
    cases = int(pc.sum(examples["label"]).as_py())
    if cases in (0, examples.num_rows):
        raise ClaimDataError(
            "E_ONE_CLASS",
            f"expected both labels, found {show_count(cases)} readmissions after "
            f"{show_count(examples.num_rows)} index stays; take more patients or years of claims, or another rule",
        )
    return AttritionStep(step.step, step.patients, step.removed, step.reasons, cases, examples.num_rows - cases)


def _facts(examples: pa.Table, counts: Mapping[str, int], definition: ReadmissionDefinition) -> dict[str, Any]:
    cases = int(pc.sum(examples["label"]).as_py())
    hides = definition.hide_unpaid and counts["paid_dates"] > 0
    return {
        "index_stays": examples.num_rows,
        "patients": len(pc.unique(examples["patient_id"])),
        "readmissions": cases,
        "readmission_rate": cases / examples.num_rows,
        "transfer_labels": int(pc.sum(examples["is_transfer_label"]).as_py()),
        "overlapping_next_stays": counts["overlapping"],
        "planned_next_stays": counts["planned"],
        "windows_not_observed": int(pc.sum(pc.invert(examples["is_observed"])).as_py()),
        "claims_hidden": counts["claims_hidden"] if hides else None,
        "claims_open": counts["claims_open"],
    }


# ---- Stays of some patients ----


@dataclass(frozen=True)
class _ReadStays:
    """Task that reads labelled examples, with what is on file, and counts of the stays of some patients."""

    definition: ReadmissionDefinition
    # Of the data, which the patients of a part do not tell.
    last_day: int

    def __call__(self, _: int, connection: "Backend", claims: Path) -> tuple[pa.Table, StayCounts]:
        definition = self.definition
        tables = open_tables(connection, claims)
        stays = fetch(connection, prepare(connection, tables, definition).order_by("stay"))
        people = _people_of(claims, stays["patient_id"])
        without_visits = people.append_column("visit_day", pa.array([[]] * people.num_rows, pa.list_(pa.int32())))
        people_of_stays = Timelines(without_visits, enrolment=definition.enrolment)
        keep, marks, counts = select_index_stays(connection, tables, stays, people_of_stays, definition, self.last_day)
        keep = _keep_of_split(keep, stays, definition, counts)
        paid = connection.table(CLAIMS).paid_date
        counts.found["paid_dates"] = fetch(connection, paid.count().as_table())[0][0].as_py()
        if not keep.any():
            return pa.table({}), counts
        examples = _read_examples(connection, stays, people, keep, definition, counts.found)
        eligible, marks = (table.filter(pa.array(keep)) for table in (stays, marks))
        on_file = read_facts(
            connection, eligible.select(["stay", "patient_id", "discharge_date"]), tables["eligibility"]
        )
        for name, column in zip((*marks.column_names[:3], *ON_FILE), (*marks.columns[:3], *on_file), strict=True):
            examples = examples.append_column(name, column)
        counts.found["overlapping"] = int(pc.sum(pc.less(marks["gap_days"], 0)).as_py())
        counts.found["planned"] = int(pc.sum(marks["is_planned_next"]).as_py())
        counts.found["unknown_codes"] = count_unknown_codes(
            [examples], claims, hides_unpaid=definition.hide_unpaid, connection=connection
        )
        return examples, counts


def _join_parts(parts: Iterable[tuple[pa.Table, StayCounts]]) -> tuple[pa.Table, StayCounts]:
    """Put the stays of all patients together, in the order in which one part has them: by patient and admission."""
    examples, counts = [], StayCounts()
    for table, counts_of_part in parts:
        counts.add(counts_of_part)
        examples += [table] if table.num_rows else []
    return _by_patient(pa.concat_tables(examples)) if examples else pa.table({}), counts


def _by_patient(examples: pa.Table) -> pa.Table:
    """Sort examples by patient, some at a time: text of more than two gigabytes fits no array."""
    order, parts = pc.sort_indices(examples["patient_id"]).to_numpy(), []
    for start in range(0, len(order), _STAYS_PER_PART):
        rows = order[start : start + _STAYS_PER_PART]
        is_here = np.zeros(len(order), bool)
        is_here[rows] = True
        parts.append(examples.filter(pa.array(is_here)).take(pa.array(np.searchsorted(np.sort(rows), rows))))
    return pa.concat_tables(parts)


def _people_of(claims: Path, patient_ids: pa.ChunkedArray) -> pa.Table:
    """Demographics and enrolment of the patient of each stay."""
    tables = [pq.read_table(path, columns=list(_PEOPLE)) for path in patient_files(claims)]
    everybody = pa.concat_tables(tables).combine_chunks()
    place = pc.index_in(patient_ids, value_set=everybody["patient_id"].combine_chunks())
    people = everybody.take(place)
    # A stay without any code belongs to nobody in the patients table, but is a stay.
    return people.set_column(0, "patient_id", patient_ids)


def _keep_of_split(keep: Flags, stays: pa.Table, definition: ReadmissionDefinition, selection: StayCounts) -> Flags:
    """All index stays or, with a split by time, those that lie on the side of their patients."""
    if definition.split != BY_TIME or definition.test_from is None:
        return keep
    discharge_day = stays["discharge_date"].cast(pa.int32()).to_numpy().astype(np.int64)
    test_from = (definition.test_from - _EPOCH).days
    is_test = pc.equal(split_examples(stays, definition), "test").to_numpy(zero_copy_only=False)
    is_late = discharge_day >= test_from
    is_early = discharge_day + definition.horizon_days < test_from
    step = f"before {definition.test_from} for training and validation patients, from then on for test patients"
    return selection.remove(keep, step, {"": ~np.where(is_test, is_late, is_early)})


def _read_examples(
    connection: "Backend",
    stays: pa.Table,
    people: pa.Table,
    keep: Flags,
    definition: ReadmissionDefinition,
    counts: Counter[str],
) -> pa.Table:
    """Examples with their visits; how many claims were open or not paid in time is added to the counts."""
    rows, parts = np.flatnonzero(keep), []
    columns = ["stay", "patient_id", "admission_date", "discharge_date", "disposition"]
    for start in range(0, len(rows), _STAYS_PER_PART):
        place = pa.array(rows[start : start + _STAYS_PER_PART])
        index_stays = stays.select(columns).take(place)
        visits = read_examples(connection, index_stays, definition)
        for name in ("claims_hidden", "claims_open"):
            counts[name] += int(pc.sum(visits[name]).as_py())
        parts.append(_cut(people.take(place), index_stays, visits, definition))
    return pa.concat_tables(parts)


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
