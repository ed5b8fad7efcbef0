"""Event definition: who is in, from when, and which event or diagnoses are predicted."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from claim_transformers.cohorts.code_sets import NOT, is_entry
from claim_transformers.cohorts.definition import Enrolment


@dataclass(frozen=True)
class IndexRule:
    """From when a patient is observed."""

    # `"fixed_date"`: calendar dates set before anything is known about a patient. With several dates a case has the
    # first one whose horizon holds its outcome, and a control one drawn at random among those at which it is eligible,
    # so that a patient is still one example. `"next_encounter"`: the first visit with the outcome for cases, and for
    # controls a visit drawn at random in the same window, so that the length of the record tells nothing about the
    # label (the paper takes the last visit of a control, which it does). Where diagnoses are predicted, a visit with a
    # diagnosis drawn at random in the window.
    rule: Literal["fixed_date", "next_encounter"]
    dates: tuple[str, ...] = ()  # ISO dates of `"fixed_date"`.
    first_date: str | None = None  # ISO date, first day on which an index visit of `"next_encounter"` may lie.
    last_date: str | None = None  # ISO date, last day on which it may lie.

    def __post_init__(self) -> None:
        if self.rule not in ("fixed_date", "next_encounter"):
            raise ValueError(f"index.rule: expected 'fixed_date' or 'next_encounter', found {self.rule!r}")
        if self.rule == "fixed_date" and not self.dates:
            raise ValueError("index.dates: expected at least one ISO date, found none")
        for text in self.dates:
            _epoch_day(text, "index.dates")
        if self.rule == "next_encounter":
            first_day = _epoch_day(self.first_date, "index.first_date")
            if first_day > _epoch_day(self.last_date, "index.last_date"):
                raise ValueError("index: expected first_date not after last_date, found it after")


@dataclass(frozen=True)
class Criterion:
    """One step of the selection, and one row of the attrition table."""

    step: str  # What the step asks, in words, as printed in the attrition table.
    # `"enrolled"`, `"age"`, `"codes"`, `"alive"` or `"visits"`; see [`satisfies`].
    rule: Literal["enrolled", "age", "codes", "alive", "visits"]
    exclude: bool = False  # Whether patients that satisfy the rule leave instead of stay.
    codes: str | None = None  # Name of a code set of the definition, for `"codes"`.
    principal: bool = False  # Whether the code must be the principal diagnosis of the visit, for `"codes"`.
    visit_types: tuple[str, ...] = ()  # Claim types that count; all when empty.
    # Days before the index date in which the rule looks; the whole history when `None`.
    look_back_days: int | None = None
    minimum: float | None = None  # Least age in years, or least number of visits.
    maximum: float | None = None  # Greatest age in years.


@dataclass(frozen=True)
class LabelRule:
    """What is predicted."""

    # Days from the index date in which the outcome counts, the index date included. With `"next_encounter"` it must be
    # 1: the visit itself.
    horizon_days: int
    # `"event"`: whether the outcome happens, 0 or 1. `"next_diagnoses"`: which categories the diagnoses of the index
    # date have, one 0 or 1 for each category.
    rule: Literal["event", "next_diagnoses"] = "event"
    codes: str | None = None  # Name of the code set of the outcome; any code when `None`.
    principal: bool = False  # Whether the code must be the principal diagnosis of the visit.
    visit_types: tuple[str, ...] = ()  # Claim types on which the outcome counts; all when empty.
    # Whether death inside the horizon without the outcome is a `"negative"` or `"censored"`. Of an amount,
    # `"negative"` is that nothing is spent after death, `"censored"` that enrolment ends with it.
    death: Literal["negative", "censored"] = "censored"
    # The cell size below which CMS publishes no count, and the least number of patients of a code in a vocabulary.
    # Fewest training patients that have a category of `"next_diagnoses"`; others are left out.
    minimum_patients: int = 11

    def __post_init__(self) -> None:
        if self.horizon_days < 1:
            raise ValueError(f"label.horizon_days: expected at least 1, found {self.horizon_days}")
        if self.minimum_patients < 1:
            raise ValueError(f"label.minimum_patients: expected at least 1, found {self.minimum_patients}")
        if self.rule == "next_diagnoses" and self.codes is not None:
            raise ValueError("label.codes: expected none with 'next_diagnoses', which predicts every diagnosis")
        if self.principal and self.codes is None:
            raise ValueError("label.principal: expected codes that the principal diagnosis is one of, found none")


@dataclass(frozen=True)
class AmountRule:
    """An outcome that is an amount of money: what the claims of the horizon cost."""

    amount: Literal["allowed", "paid"]  # `"allowed"` or `"paid"`, in US dollars.
    types: tuple[str, ...] = ()  # Claim types that count; all when empty.
    cap: float | None = None  # Most dollars of a patient over the horizon; no limit when `None`.
    # `"period"`, the whole horizon, or `"member_month"`, an average month of it.
    per: Literal["period", "member_month"] = "period"
    # What becomes of patients who leave within the horizon: `"exclude"`, or `"annualize"`, which scales what they cost
    # while enrolled to the whole horizon.
    partial_enrollment: Literal["annualize", "exclude"] = "exclude"
    minimum_months: float = 1.0  # Fewest months of enrolment that are scaled; who has fewer is excluded.

    def __post_init__(self) -> None:
        choices = {
            "amount": ("allowed", "paid"),
            "per": ("period", "member_month"),
            "partial_enrollment": ("annualize", "exclude"),
        }
        for name, known in choices.items():
            if (found := getattr(self, name)) not in known:
                raise ValueError(f"outcome.{name}: expected {' or '.join(map(repr, known))}, found {found!r}")
        for name, number in (("cap", self.cap), ("minimum_months", self.minimum_months)):
            if number is not None and not number > 0:
                raise ValueError(f"outcome.{name}: expected more than 0, found {number}")


@dataclass(frozen=True)
class Sampling:
    """How many of the eligible patients are kept."""

    cases: int | None = None  # Most cases kept; all when `None`.
    controls_per_case: float | None = None  # Controls drawn per case; all controls when `None`.
    patients: int | None = None  # Most patients kept where there are neither cases nor controls; all when `None`.
    # Seed of index dates, of this draw and of the splits, which depend on nothing but it and the patient.
    seed: int = 0

    def __post_init__(self) -> None:
        for name, number in (("cases", self.cases), ("patients", self.patients)):
            if number is not None and number < 1:
                raise ValueError(f"sampling.{name}: expected at least 1, found {number}")
        if self.controls_per_case is not None and self.controls_per_case <= 0:
            raise ValueError(f"sampling.controls_per_case: expected more than 0, found {self.controls_per_case}")


@dataclass(frozen=True)
class EventDefinition:
    """Who is in, from when, with which label, and how the examples are split.

    Args:
        name (`str`): Name of the cohort.
        title (`str`): One sentence for tables and reports.
        source (`str`): Where the definition comes from.
        codes (`dict[str, list[str]]`): Code sets; each entry is `SYSTEM/PREFIX` and stands for all codes beneath it,
            see `claim_transformers.cohorts.code_sets`.
        index (`IndexRule`): From when.
        criteria (`list[Criterion]`): Steps of the selection, in order.
        label (`LabelRule`): What is predicted.
        outcome (`AmountRule`): An amount that is predicted instead of an event, over the horizon of the label.
        sampling (`Sampling`): How many are kept.
        hide_unpaid (`bool`): Whether visits that were not paid by the index date are hidden from the criteria and
            from the examples, as they would be on that day. Where no paid date is known, a visit is seen.
        enrolment ([`Enrolment`]): What becomes of patients without a span of enrolment.
        train (`float`): Share of patients for training.
        validation (`float`): Share of patients for validation; the rest is the test split.

    Raises:
        ValueError: If a criterion names an unknown code set, an entry is no `SYSTEM/PREFIX`, the shares do not fit,
            or index, label and sampling do not go together.

    Examples:
        >>> from claim_transformers.cohorts import load_definition
        >>> load_definition("asthma_exacerbation", "event").with_sampling(cases=100, seed=3).sampling
        Sampling(cases=100, controls_per_case=1.918, patients=None, seed=3)
    """

    name: str
    title: str
    source: str
    codes: Mapping[str, tuple[str, ...]]
    index: IndexRule
    criteria: tuple[Criterion, ...]
    label: LabelRule
    outcome: AmountRule | None = None
    sampling: Sampling = field(default_factory=Sampling)
    hide_unpaid: bool = True
    enrolment: Enrolment = field(default_factory=Enrolment)
    train: float = 0.6
    validation: float = 0.1

    def __post_init__(self) -> None:
        self._check_codes()
        if not (self.train > 0 and self.validation >= 0 and self.train + self.validation < 1):
            raise ValueError(
                f"expected train > 0, validation >= 0 and a rest for the test split, "
                f"found train {self.train} and validation {self.validation}"
            )
        if self.index.rule == "next_encounter" and self.label.horizon_days != 1:
            raise ValueError(f"'next_encounter' needs label.horizon_days 1, found {self.label.horizon_days}")
        if self.outcome is not None:
            self._check_amount()
        elif self.predicts_diagnoses:
            if self.index.rule != "next_encounter":
                raise ValueError(f"'next_diagnoses' needs index.rule 'next_encounter', found {self.index.rule!r}")
            if self.sampling.cases is not None or self.sampling.controls_per_case is not None:
                raise ValueError("'next_diagnoses' has no cases: expected sampling.patients, found cases or controls")
        elif self.sampling.patients is not None:
            raise ValueError(
                "an event has cases and controls: expected sampling.cases and sampling.controls_per_case, "
                "found sampling.patients"
            )

    def _check_amount(self) -> None:
        label, sampling = self.label, self.sampling
        if self.index.rule != "fixed_date":
            raise ValueError(f"an amount needs index.rule 'fixed_date', found {self.index.rule!r}")
        if label.rule != "event" or label.codes is not None or label.visit_types:
            raise ValueError(
                "outcome: expected a label of horizon_days and death alone, found an event beside an amount"
            )
        if sampling.cases is not None or sampling.controls_per_case is not None:
            raise ValueError("an amount has no cases: expected sampling.patients, found cases or controls")

    def _check_codes(self) -> None:
        for name, entries in self.codes.items():
            if not entries or not all(map(is_entry, entries)) or all(entry.startswith(NOT) for entry in entries):
                raise ValueError(f"codes: {name}: expected a list of SYSTEM/PREFIX such as [ICD9CM/493], no dots")
        named = [criterion.codes for criterion in self.criteria if criterion.rule == "codes"] + [self.label.codes]
        for wanted in named:
            if wanted is not None and wanted not in self.codes:
                raise ValueError(f"expected one of the code sets {sorted(self.codes)}, found {wanted!r}")
        for criterion in self.criteria:
            if criterion.rule == "codes" and criterion.codes is None:
                raise ValueError(f"the step {criterion.step!r} asks for codes: expected 'codes', found none")
            if criterion.principal and criterion.rule != "codes":
                raise ValueError(f"the step {criterion.step!r}: expected principal with the rule 'codes' alone")

    @property
    def predicts_diagnoses(self) -> bool:
        """Whether the label is a list of categories and not a single event."""
        return self.label.rule == "next_diagnoses"

    @property
    def has_cases(self) -> bool:
        """Whether the label is 0 or 1: neither several categories nor an amount."""
        return self.outcome is None and not self.predicts_diagnoses

    @property
    def split_salt(self) -> str:
        """Salt of the hash that splits the patients; another seed draws other splits."""
        seed = self.sampling.seed
        return f"cohort/{self.name}/{seed}" if seed else f"cohort/{self.name}"

    @property
    def index_days(self) -> list[int]:
        """Days from 1970-01-01 to the fixed index dates, in order."""
        return sorted(_epoch_day(text, "index.dates") for text in self.index.dates)

    @property
    def window_days(self) -> tuple[int, int]:
        """First and last day, since 1970-01-01, on which an index visit may lie."""
        return _epoch_day(self.index.first_date, "index.first_date"), _epoch_day(
            self.index.last_date, "index.last_date"
        )

    def with_sampling(self, **changes: Any) -> "EventDefinition":
        """The same cohort with other fields of [`Sampling`]; `ValueError` if a size does not fit the cohort."""
        return replace(self, sampling=replace(self.sampling, **changes))

    def with_index_dates(self, dates: Sequence[str]) -> "EventDefinition":
        """The same cohort at other fixed dates; `ValueError` if it has none, or one of them is not ISO."""
        if self.index.rule != "fixed_date":
            raise ValueError(
                f"expected index dates with the rule 'fixed_date' alone, found {self.index.rule!r}, "
                "whose first_date and last_date stand in a definition file"
            )
        return replace(self, index=replace(self.index, dates=tuple(dates)))

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values, for the folder of the cohort."""
        return asdict(self)


def _epoch_day(text: str | None, where: str) -> int:
    try:
        return (dt.date.fromisoformat(text or "") - dt.date(1970, 1, 1)).days
    except ValueError as error:
        raise ValueError(f"{where}: expected an ISO date such as 2013-01-01") from error
