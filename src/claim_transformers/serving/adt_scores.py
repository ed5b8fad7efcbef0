"""Stays of a feed scored at their discharge: the stay from the messages, the history from claims known by then."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.claims.engine import connect, view_table
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import open_folder
from claim_transformers.cohorts.readmission.examples import read_facts
from claim_transformers.cohorts.readmission.patient_codes import patient_codes
from claim_transformers.cohorts.timelines import patient_files
from claim_transformers.serving.config import SpeakRules
from claim_transformers.serving.index_visits import with_index_stays
from claim_transformers.serving.risk_intervals import read_risk_intervals
from claim_transformers.training.known_codes import level_finder
from claim_transformers.training.scoring.patients import KnownPatients, known_patients
from claim_transformers.training.scoring.scorer import ROWS_AT_A_TIME, Scorer

ASSESSED = "assessed"
# As those of cards (docs/serving.md).
SILENCES = {
    "S_UNKNOWN_PATIENT": "nobody of that identifier is in the claims",
    "S_NO_CLAIMS": "no claim is known before the discharge",
    "S_OLD_CLAIMS": "the newest claim is too old",
    "S_FOREIGN_CODES": "too many codes that the model does not know",
    "S_NOT_LIVING": "not alive on that day by the claims",
}
_MEMORY = "512MB"

_Floats = NDArray[np.float64]


class StayScorer:
    """A fine-tuned classifier of one outcome that scores stays at their discharge, by the rules of cards."""

    def __init__(self, checkpoint: str | Path, rules: SpeakRules) -> None:
        self.rules = rules
        self.scorer = Scorer.from_pretrained(
            checkpoint, precision="float32", look_back_days=rules.look_back_days, everyone=True
        )
        if self.scorer.head.kind != "probability":
            raise ValueError(f"expected a checkpoint with a probability of one outcome, found {self.scorer.head.kind}")
        self._intervals = read_risk_intervals(checkpoint)
        self._level_of = level_finder(self.scorer.tokenizer)

    @property
    def has_intervals(self) -> bool:
        """Whether somebody measured how sure the risks are."""
        return self._intervals is not None

    def score(self, stays: pa.Table, claims: str | Path) -> pa.Table:
        """Score stays that have ended: what the feed says of each, `assessment`, `risk`, its interval and cover."""
        stays = stays.append_column("stay", pa.array(np.arange(stays.num_rows)))
        facts = _facts(stays, claims)
        found = [self._score(part, patients, facts) for part, patients in _parts(stays, claims)]
        columns = pa.concat_tables([_SCORES.empty_table(), *found])
        scores = columns.take(pc.index_in(stays["stay"], value_set=columns["stay"].combine_chunks()))
        for name in scores.column_names[1:]:
            values = scores[name]
            stays = stays.append_column(
                name, pc.fill_null(values, "S_UNKNOWN_PATIENT") if name == "assessment" else values
            )
        return stays.drop_columns("stay").sort_by([("risk", "descending"), ("visit", "ascending")])

    def _score(self, stays: pa.Table, patients: pa.Table, facts: pa.Table) -> pa.Table:
        """Scores of stays with the patient of each."""
        # The stay stands for the patient: no identifier is needed from here on.
        place = patients.column_names.index("patient_id")
        rows = patients.set_column(place, "patient_id", stays["stay"].cast(pa.string()))
        # The day of a discharge is not seen, as in requests.
        discharge = stays["discharge_date"].cast(pa.int32()).to_numpy().astype(np.int64)
        known = known_patients(rows, discharge, look_back_days=self.rules.look_back_days, everyone=True)
        living = known.examples["patient_id"].combine_chunks().cast(pa.int64())
        own = stays.take(pc.index_in(living, value_set=stays["stay"].combine_chunks()))
        examples = self._examples(known.examples, own, facts.take(living))
        newest = pc.subtract(examples["index_day"].combine_chunks().cast(pa.int32()), known.last_visit_day)
        silence = self._silence(examples, newest)
        speaks = pc.is_null(silence)
        enrolled, last_visit = known.enrolled_days.filter(speaks), known.last_visit_day.filter(speaks)
        scored = self.scorer.score_known(KnownPatients(examples.filter(speaks), enrolled, last_visit, {}))
        at = pc.index_in(living, value_set=scored["patient_id"].combine_chunks().cast(pa.int64()))
        risk = scored["score"].combine_chunks().take(at)
        columns = {
            "stay": living,
            "assessment": pc.fill_null(silence, ASSESSED),
            "risk": risk,
            **self._bounds(risk),
            "newest_claim_days": newest,
            "enrolled_days": known.enrolled_days,
        }
        dead = pc.filter(stays["stay"], pc.invert(pc.is_in(stays["stay"], value_set=living)))
        silent = pa.table({"stay": dead, "assessment": pa.repeat("S_NOT_LIVING", len(dead))})
        return pa.concat_tables([pa.table(columns).cast(_SCORES), silent], promote_options="default")

    @staticmethod
    def _examples(known: pa.Table, stays: pa.Table, facts: pa.Table) -> pa.Table:
        """Records with their index stay, which has no amount yet, and what was on file."""
        days = {name: stays[name].cast(pa.int32()) for name in ("admission_date", "discharge_date")}
        index = {"admission_day": days["admission_date"], "discharge_day": days["discharge_date"]}
        examples = with_index_stays(known, pa.table({**index, "codes": stays["codes"]}))
        return examples.append_column("patient_codes", patient_codes(facts))

    def _silence(self, examples: pa.Table, newest: pa.Array) -> pa.Array:
        """Why the model must not speak of each, null where it may."""
        share = self._unknown_share(examples["codes"].combine_chunks())
        rules = {
            "S_NO_CLAIMS": pc.is_null(newest),
            "S_OLD_CLAIMS": pc.fill_null(pc.greater(newest, self.rules.newest_claim_days), False),
            # Without codes there is no share, and nothing to speak of.
            "S_FOREIGN_CODES": pa.array(~(share <= self.rules.unknown_code_share)),
        }
        return pc.case_when(pc.make_struct(*rules.values()), *(pa.repeat(code, len(newest)) for code in rules))

    def _unknown_share(self, visits: pa.ListArray) -> _Floats:
        """Share of the codes of each record that the checkpoint does not know; NaN without codes."""
        of_visit = visits.flatten()
        encoded = pc.dictionary_encode(of_visit.flatten())
        levels = [self._level_of(code) for code in encoded.dictionary.to_pylist()]
        counted = np.array([level is not None for level in levels], bool)
        unknown = np.array([level == "unknown" for level in levels], bool)
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        visit = pc.list_parent_indices(of_visit).to_numpy(zero_copy_only=False)
        record = pc.list_parent_indices(visits).to_numpy(zero_copy_only=False)[visit]
        total, foreign = (np.bincount(record, flags[codes], len(visits)) for flags in (counted, unknown))
        shares: _Floats = np.divide(foreign, total, out=np.full(len(visits), np.nan), where=total > 0)
        return shares

    def _bounds(self, risk: pa.Array) -> dict[str, pa.Array]:
        """Interval of each risk, null where nobody measured it."""
        if self._intervals is None:
            return {name: pa.nulls(len(risk), pa.float64()) for name in ("risk_low", "risk_high")}
        values = risk.fill_null(0.0).to_numpy(zero_copy_only=False)
        group = np.searchsorted(self._intervals.edges, values, side="right")
        group = pa.array(group, mask=~risk.is_valid().to_numpy(zero_copy_only=False))
        ends = {"risk_low": "low", "risk_high": "high"}
        return {
            name: pa.array([getattr(one, end) for one in self._intervals.intervals], pa.float64()).take(group)
            for name, end in ends.items()
        }


def _parts(stays: pa.Table, claims: str | Path) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Stays with the patients of them, row by row, so many at a time."""
    for path in patient_files(claims):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=ROWS_AT_A_TIME):
            patients = pa.Table.from_batches([batch])
            place = pc.index_in(
                stays["patient_id"], value_set=patients["patient_id"].combine_chunks().cast(pa.string())
            )
            found = stays.filter(pc.is_valid(place))
            place = place.combine_chunks().drop_null()
            for begin in range(0, found.num_rows, ROWS_AT_A_TIME):
                part = found.slice(begin, ROWS_AT_A_TIME).combine_chunks()
                yield part, patients.take(place.slice(begin, ROWS_AT_A_TIME))


def _facts(stays: pa.Table, claims: str | Path) -> pa.Table:
    """What was on file about the patient of each stay at its discharge."""
    connection = connect(memory_limit=_MEMORY)
    files = open_folder(claims).table_files("eligibility")
    eligibility = view_table(connection, "eligibility", files, SCHEMAS["eligibility"])
    return read_facts(connection, stays.select(["stay", "patient_id", "discharge_date"]), eligibility)


_SCORES = pa.schema(
    [
        *(("stay", pa.int64()), ("assessment", pa.string())),
        *((name, pa.float64()) for name in ("risk", "risk_low", "risk_high")),
        *((name, pa.int32()) for name in ("newest_claim_days", "enrolled_days")),
    ]
)
