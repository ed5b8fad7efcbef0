"""An assessment: the risk of one patient with all that must be said beside it, or why the model must not speak."""

import datetime as dt
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from claim_transformers.analysis.explanation.explain import explain_patients
from claim_transformers.analysis.explanation.reason_files import load_classifier
from claim_transformers.analysis.views.code_names import code_name
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.serving.config import SpeakRules
from claim_transformers.serving.index_stays import IndexStay
from claim_transformers.serving.reasons import Reason, ReasonFinder
from claim_transformers.serving.records import PatientRecord, read_record
from claim_transformers.serving.risk_intervals import RiskInterval, read_risk_intervals
from claim_transformers.sources.formats.fhir_eob.bundle import EobBundle, read_eob_bundle
from claim_transformers.training.scoring.calibration import read_calibration
from claim_transformers.training.scoring.scorer import Scorer

if TYPE_CHECKING:
    from claim_transformers.analysis.explanation.explanation import Explanation

_logger = logging.getLogger(__name__)
_MOST_REASONS = 3
_EPOCH = dt.date(1970, 1, 1)
_KNOWN_LEVELS = ("exact", "prefix", "category", "wider")
_ROUTINE = "D_"  # Copies and cancelled claims leave by rule and are no sign of damage.
_WARM_UP_DATE = dt.date(2024, 6, 1)
_CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
_BASIS = (
    "http://hl7.org/fhir/us/carin-bb/StructureDefinition/C4BB-ExplanationOfBenefit-Professional-NonClinician-Basis"
)
_HCPCS, _NDC = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "http://hl7.org/fhir/sid/ndc"
_DIAGNOSIS = "ICD10CM/I10"
_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"


@dataclass(frozen=True)
class Silence:
    """Why the model must not speak of a patient.

    Args:
        code (`str`): Stable code, `S_...`, as docs/serving.md lists them.
        sentence (`str`): The same for a reader, without a number of the patient.

    Examples:
        >>> Silence("S_NO_CLAIMS", "No claims of this patient are known.").code
        'S_NO_CLAIMS'
    """

    code: str
    sentence: str


@dataclass(frozen=True, repr=False)
class Assessment:
    """What is said of one patient on one day. It has no `repr` that could get into a log.

    Args:
        outcome (`str`): What the risk is of.
        index_date (`datetime.date`): The day; of what happens on it nothing is seen.
        risk (`float`, *optional*): Calibrated probability; none where the model must not speak.
        interval (`RiskInterval`, *optional*): `low` and `high` of the 95 % interval of the share of validation
            patients of a like risk who had the outcome; none where nobody measured it.
        calibration (`str`): Its method, `"none"` where the probability is the model's own.
        reasons (`tuple[Reason, ...]`): What weighs most, three at most.
        newest_claim_days (`int`, *optional*): Days from the newest visit of the claims to `index_date`.
        enrolled_days (`int`, *optional*): Days of enrolment known within the look-back; none where it is unknown.
        look_back_days (`int`): Length of the look-back.
        num_visits (`int`): Visits that the model saw, the stay that ends among them.
        index_stay (`IndexStay`, *optional*): The stay that ends, which has no claim yet.
        unknown_code_share (`float`, *optional*): Share of the codes that the checkpoint does not know.
        left_out (`Mapping[str, int]`): Claim lines and people that left, by reason code of docs/quality.md.
        checkpoint (`str`): SHA-256 of weights, configuration and tokenizer.
        cannot_speak (`Silence`, *optional*): Why there is no risk; exactly one of this and `risk` is there.
        record (`pa.Table`): The record that the model saw, without the patient's id: what `Assessor.explain` takes.

    Examples:
        >>> silence = Silence("S_NO_CLAIMS", "No claims of this patient are known.")
        >>> found = Assessment("Readmission", dt.date(2024, 1, 1), checkpoint="", cannot_speak=silence)
        >>> found.risk, found.cannot_speak.code, "2024" in repr(found)
        (None, 'S_NO_CLAIMS', False)
    """

    outcome: str
    index_date: dt.date
    risk: float | None = None
    interval: RiskInterval | None = None
    calibration: str = "none"
    reasons: tuple[Reason, ...] = ()
    newest_claim_days: int | None = None
    enrolled_days: int | None = None
    look_back_days: int = 365
    num_visits: int = 0
    index_stay: IndexStay | None = None
    unknown_code_share: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    checkpoint: str = ""
    cannot_speak: Silence | None = None
    record: pa.Table = field(default_factory=lambda: pa.table({}), compare=False)


class Assessor:
    """A checkpoint, loaded once, that assesses one patient at a time; threads may call it at once.

    Args:
        checkpoint (`str` or `Path`): Folder or name of a fine-tuned [`ClaimForSequenceClassification`] of one outcome,
            with its calibration and its intervals where it has them.
        outcome (`str`): What the risk is of.
        rules (`SpeakRules`, *optional*): When the model may speak.

    Raises:
        OSError: If there is no checkpoint of that name.
        ValueError: If it is damaged, is no classifier, or has not one outcome.

    Examples:
        >>> Assessor("/nowhere", "Readmission")
        Traceback (most recent call last):
        OSError: ...
    """

    def __init__(self, checkpoint: str | Path, outcome: str, rules: SpeakRules | None = None) -> None:
        self.outcome, self.rules = outcome, rules or SpeakRules()
        self._tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
        self._model = load_classifier(checkpoint).eval()
        # It refuses what has no single probability, and knows the digest.
        scorer = Scorer(self._model, self._tokenizer, precision="float32", calibration=read_calibration(checkpoint))
        if scorer.head.kind != "probability":
            raise ValueError(f"expected a checkpoint with a probability of one outcome, found {scorer.head.kind}")
        self._calibration, self.checkpoint = scorer.calibration, scorer.checkpoint
        self._intervals = read_risk_intervals(checkpoint)
        self._finder = ReasonFinder(self._model, self._tokenizer)
        # Tokenizers count what they see, and are not made for two threads; an explanation would hold one for long.
        self._lock, self._explaining = threading.Lock(), threading.Lock()
        self._second_tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
        form = self._tokenizer.form
        if form is not None and form.county_bins and "county" not in form.hide:
            _logger.warning("the checkpoint learned from measures of counties too, which a request does not hold")

    def warm_up(self) -> None:
        """Go the whole way with a claim of nobody, so that the first patient does not wait for what is loaded once."""
        bundle = read_eob_bundle(_nobody(), extract_date=_WARM_UP_DATE)
        record = self._record(bundle, _WARM_UP_DATE, IndexStay(_WARM_UP_DATE - dt.timedelta(days=1)), None)
        tokens, _ = self._encode(record.table)
        self._finder.find(tokens)
        self._finder.name_all()
        code_name(_DIAGNOSIS)

    def assess(
        self,
        resources: Sequence[Mapping[str, Any]],
        at: dt.date,
        *,
        index_stay: IndexStay | None = None,
        patient_id: str | None = None,
    ) -> Assessment:
        """Assess the patient of some resources of FHIR.

        Args:
            resources (`Sequence[Mapping]`): ExplanationOfBenefit, Patient and Coverage, alone or in bundles.
            at (`datetime.date`): The day. With an index stay the model stands on the day after its discharge, as
                readmission cohorts do, and sees of the claims what was known at the discharge.
            index_stay ([`IndexStay`], *optional*): The stay that ends.
            patient_id (`str`, *optional*): Whose claims are expected; without it, those of one patient.

        Returns:
            [`Assessment`]: The risk, or why there is none.

        Raises:
            ClaimDataError: `E_FOREIGN` if claims are of another patient or of several, `E_OPERATION_OUTCOME`,
                `E_RESOURCE` or `E_JSON` if the resources are no claims.
        """
        bundle = read_eob_bundle(list(resources), extract_date=at)
        record = self._record(bundle, at, index_stay, patient_id)
        date = at if index_stay is None else index_stay.discharge_date + dt.timedelta(days=1)
        newest = None if record.last_visit_day is None else (date - _EPOCH).days - record.last_visit_day
        known = {
            "newest_claim_days": newest,
            "enrolled_days": record.enrolled_days,
            "look_back_days": self.rules.look_back_days,
            "index_stay": index_stay,
            "left_out": dict(bundle.left_out),
            "checkpoint": self.checkpoint,
            "record": record.table,
        }
        silence = self._silence(bundle, record, newest, index_stay)
        if silence is not None:
            return Assessment(self.outcome, date, **known, cannot_speak=silence)
        tokens, share = self._encode(record.table)
        known |= {"unknown_code_share": share, "num_visits": len(record.table["visit_day"][0])}
        if share is None or share > self.rules.unknown_code_share:
            return Assessment(self.outcome, date, **known, cannot_speak=_FOREIGN_CODES)
        probability, reasons = self._finder.find(tokens)
        risk = probability if self._calibration is None else float(self._calibration([probability])[0])
        return Assessment(
            self.outcome,
            date,
            risk=risk,
            interval=None if self._intervals is None else self._intervals.of_risk(risk),
            calibration="none" if self._calibration is None else self._calibration.method,
            reasons=tuple(reasons[:_MOST_REASONS]),
            **known,
        )

    def explain(self, assessment: Assessment) -> "Explanation":
        """Explain an assessment by integrated gradients, whose contributions add up; takes longer than assessing.

        Args:
            assessment ([`Assessment`]): One of this assessor, with a risk.

        Returns:
            [`Explanation`]: Contributions that add up to the calibrated risk.

        Raises:
            ValueError: If it has no risk, or contributions do not add up.
        """
        if assessment.risk is None:
            raise ValueError("expected an assessment with a risk to explain, found one without")
        with self._explaining:
            (explanation,) = explain_patients(
                self._model, self._second_tokenizer, assessment.record, calibration=self._calibration
            )
        return explanation

    def contributions(self, explanation: "Explanation") -> list[Reason]:
        """The contributions of an explanation by group.

        Args:
            explanation ([`Explanation`]): What `explain` gives.

        Returns:
            `list[Reason]`: The heaviest first; with what has no group, such as time, they add up to the risk.
        """
        return self._finder.group(explanation.reasons)

    def _record(
        self, bundle: EobBundle, at: dt.date, index_stay: IndexStay | None, patient_id: str | None
    ) -> PatientRecord:
        return read_record(bundle, at, index_stay, patient_id=patient_id, look_back_days=self.rules.look_back_days)

    def _silence(
        self, bundle: EobBundle, record: PatientRecord, newest: int | None, index_stay: IndexStay | None
    ) -> Silence | None:
        """What the record itself says against speaking."""
        lines = sum(bundle.tables[name].num_rows for name in ("claim_line", "rx_claim"))
        unreadable = sum(number for code, number in bundle.left_out.items() if not code.startswith(_ROUTINE))
        if unreadable > self.rules.unreadable_share * (lines + unreadable):
            return _UNREADABLE
        if not record.is_living:
            return _NOT_LIVING
        if self.rules.needs_stay and index_stay is None:
            return _NO_STAY
        if newest is None:
            return _NO_CLAIMS
        return _OLD_CLAIMS if newest > self.rules.newest_claim_days else None

    def _encode(self, record: pa.Table) -> tuple[pa.Table, float | None]:
        """The record as tokens, and the share of its codes that the vocabulary does not know; none without codes."""
        with self._lock:
            tokens, counts = self._tokenizer.encode_table(record, keep_columns=[], return_statistics=True)
        total = sum(sum(levels.values()) for levels in counts.values())
        known = sum(levels[name] for levels in counts.values() for name in _KNOWN_LEVELS)
        return tokens, None if not total else 1.0 - known / total


_NO_CLAIMS = Silence("S_NO_CLAIMS", "No claims of this patient are known before this day.")
_OLD_CLAIMS = Silence("S_OLD_CLAIMS", "The newest claim of this patient is too old.")
_FOREIGN_CODES = Silence("S_FOREIGN_CODES", "The claims hold too many codes that the model does not know.")
_UNREADABLE = Silence("S_UNREADABLE", "Too many claims of this patient could not be read.")
_NOT_LIVING = Silence("S_NOT_LIVING", "The patient is not alive on this day by the claims.")
_NO_STAY = Silence("S_NO_STAY", "The model speaks at a discharge alone.")


def _nobody() -> list[dict[str, Any]]:
    """Claims of nobody, a visit and a fill, so that the first patient does not wait for what is loaded once."""

    def coded(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code}]}

    def eob(kind: str, number: str, service: dict[str, Any]) -> dict[str, Any]:
        return {
            "resourceType": "ExplanationOfBenefit",
            "meta": {"profile": [_BASIS]},
            "identifier": [{"type": coded("", "uc"), "value": number}],
            "status": "active",
            "type": coded(_CLAIM_TYPE, kind),
            "patient": {"reference": "Patient/nobody"},
            "billablePeriod": {"start": "2024-05-01", "end": "2024-05-01"},
            "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": coded(_ICD10, "I10")}],
            "item": [{"sequence": 1, "productOrService": service, "servicedDate": "2024-05-01"}],
        }

    person = {"resourceType": "Patient", "id": "nobody", "gender": "female", "birthDate": "1950-01-01"}
    enrolment = {"resourceType": "Coverage", "beneficiary": {"reference": "Patient/nobody"}}
    return [
        person,
        {**enrolment, "status": "active", "period": {"start": "2023-01-01"}},
        eob("professional", "1", coded(_HCPCS, "99213")),
        eob("pharmacy", "2", coded(_NDC, "00093014505")),
    ]
