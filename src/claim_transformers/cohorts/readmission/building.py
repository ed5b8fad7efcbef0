"""Readmission cohorts from an ingested folder: every discharge is an example, and the next admission is its label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.claims.engine import connect
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
from claim_transformers.cohorts.cohort import Cohort, split_examples
from claim_transformers.cohorts.leaks import refuse_leaks
from claim_transformers.cohorts.readmission.definition import BY_TIME, ReadmissionDefinition
from claim_transformers.cohorts.readmission.examples import ON_FILE
from claim_transformers.cohorts.readmission.parts import TABLES, PartOfStays, ReadStays
from claim_transformers.cohorts.readmission.patient_codes import COUNTY_BINS_FILE, CountyBins, patient_codes
from claim_transformers.cohorts.timelines import patient_files

_FACTS_FILE = "readmission.json"


@dataclass(frozen=True)
class ReadmissionCohort(Cohort):
    """Labelled index stays, several of a patient where there are several, sorted by patient and discharge.

    Beside the columns of any cohort an example has `patient_codes` (`list<string>`), `visit_amount` (`list<float>`, US
    dollars), `admission_day`, `discharge_day`, `length_of_stay_days`, `county_fips`, `is_transfer_label` (whether the
    label is 1 because the patient was moved to another hospital on that day or, by disposition, the next) and
    `is_observed` (whether the window was observed: always, but under the plain rule); with county measures
    `county_measures`, a struct of numbers, of which a tokenizer makes the `COUNTY/` codes of its own bins. The last
    visit is the index stay. `visits_hidden` counts claims.

    Args:
        definition ([`ReadmissionDefinition`]): What was asked for.
        facts (`Mapping[str, Any]`): Counts that the attrition table does not have.
        county_bins ([`CountyBins`], *optional*): Measures of counties behind the `COUNTY/` tokens.
    """

    definition: ReadmissionDefinition
    facts: Mapping[str, Any] = field(default_factory=dict)
    county_bins: CountyBins | None = None

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
    read = ReadStays(definition, last_day_of(folder))
    if tasks is None:
        stays = read(0, connect(), folder.path)
    else:
        stays = PartOfStays.of_all([*run_on_parts(tasks, folder, TABLES, read, count_parts(folder, *TABLES))])
    steps = stays.selection.steps(definition)
    if not stays.examples.num_rows:
        raise ClaimDataError(
            "E_EMPTY_COHORT", f"expected at least one index stay, found none ({describe_steps(steps)})"
        )
    examples = _without_unknown(stays.examples, knows_paid=stays.counts["paid_dates"] > 0)
    on_file = examples.select(ON_FILE)
    examples = examples.drop_columns([name for name in ON_FILE if name != "county_fips"])
    is_train = pc.equal(split_examples(examples, definition), "train")
    county_bins = counties if isinstance(counties, CountyBins) else None
    if isinstance(counties, CountyFeatures):
        training = examples["county_fips"].filter(is_train)
        county_bins = CountyBins.fit(counties, training, num_bins=definition.county_bins)
    tokens = [] if county_bins is None else county_bins.tokens(examples["county_fips"].combine_chunks())
    examples = examples.append_column("patient_codes", patient_codes(on_file, tokens))
    facts = _facts(examples, stays.counts, definition)
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
    refuse_leaks(cohort.splits(), stays.counts["unknown_codes"])
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
        "overlapping_next_stays": counts["overlapping_next_stays"],
        "planned_next_stays": counts["planned_next_stays"],
        "windows_not_observed": int(pc.sum(pc.invert(examples["is_observed"])).as_py()),
        "claims_hidden": counts["claims_hidden"] if hides else None,
        "claims_open": counts["claims_open"],
    }
