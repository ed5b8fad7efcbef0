"""Readmission definition: which rule labels an index stay, what an example sees, and how patients are split."""

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import Any

from claim_transformers.claims.number_bins import DEFAULT_BINS
from claim_transformers.claims.visits import DEFAULT_CODE_COLUMNS, resolve_code_columns
from claim_transformers.cohorts.definition import Enrolment

PLAIN, STAYS, UNPLANNED = "plain", "stays", "unplanned"
_RULES = (PLAIN, STAYS, UNPLANNED)
HORIZON_DAYS = 30  # Lahlou et al., 2021, section 3.1.2, and CMS.
_LOOK_BACK_DAYS = 90  # "The last 3 months of claims", section 3.1.3.
_BY_PATIENT, BY_TIME = "patient", "time"

_TITLES = {
    PLAIN: "Readmission within {days} days, every inpatient claim",
    STAYS: "Readmission within {days} days, stays joined",
    UNPLANNED: "Unplanned readmission within {days} days, stays joined",
}


@dataclass(frozen=True)
class ReadmissionDefinition:
    """A readmission cohort.

    Args:
        rule (`str`, *optional*, defaults to `"plain"`):
            `"plain"` labels every inpatient claim as the paper does and removes only claims without a discharge;
            `"stays"` joins claims to stays first, drops index stays that cannot be readmitted and those whose window
            was not observed; `"unplanned"` does the same and does not count planned readmissions.
        horizon_days (`int`, *optional*, defaults to 30): Most days from discharge to the admission that counts.
        look_back_days (`int`, *optional*, defaults to 90): Days before the admission whose claims an example sees.
        max_gap_days (`int`, *optional*, defaults to 0): Days from a discharge to an admission that is a transfer, for
            the rules that join stays: 0 joins the same day, 1 the day after too.
        code_columns (`tuple[str, ...]`, *optional*): Which columns give codes, see `claims.visits`.
        disposition (`bool`, *optional*, defaults to `True`): Whether the index visit carries `DISP/..`, the discharge
            disposition, which states a transfer and so gives away what the plain rule labels 1.
        hide_unpaid (`bool`, *optional*, defaults to `True`): Whether claims not paid by the index date are hidden, and
            the amount of the index stay, which is never paid by then.
        enrolment ([`Enrolment`], *optional*): What the rules that join stays do with patients without a span of
            enrolment.
        split (`str`, *optional*, defaults to `"patient"`): `"patient"` splits by hash of the patient, `"time"` tests
            on the discharges from `test_from` on.
        test_from (`datetime.date`, *optional*): First discharge of the test split of a split by time.
        train (`float`, *optional*, defaults to 0.8): Share of patients in the training split.
        validation (`float`, *optional*, defaults to 0.1): Share of patients in the validation split.
        seed (`int`, *optional*, defaults to 0): Salts the split.
        county_bins (`int`, *optional*, defaults to 10): Bins of each county measure.
        name (`str`, *optional*, defaults to `"readmission"`): Salts the split too, so that cohorts of one name and
            seed share their test patients, whatever the rule.

    Raises:
        ValueError: If a value is out of range, or `test_from` and `split` do not fit each other.

    Examples:
        >>> ReadmissionDefinition("stays").title
        'Readmission within 30 days, stays joined'
        >>> ReadmissionDefinition(split="time")
        Traceback (most recent call last):
        ValueError: expected test_from with split 'time' and only then, found split 'time' without it
    """

    rule: str = PLAIN
    horizon_days: int = HORIZON_DAYS
    look_back_days: int = _LOOK_BACK_DAYS
    max_gap_days: int = 0
    code_columns: tuple[str, ...] = DEFAULT_CODE_COLUMNS
    disposition: bool = True
    hide_unpaid: bool = True
    enrolment: Enrolment = dataclasses.field(default_factory=Enrolment)
    split: str = _BY_PATIENT
    test_from: dt.date | None = None
    train: float = 0.8
    validation: float = 0.1
    seed: int = 0
    county_bins: int = DEFAULT_BINS
    name: str = "readmission"

    def __post_init__(self) -> None:
        for name, options in (("rule", _RULES), ("split", (_BY_PATIENT, BY_TIME))):
            if getattr(self, name) not in options:
                raise ValueError(f"expected {name} out of {', '.join(options)}, found {getattr(self, name)!r}")
        smallest = {"horizon_days": 1, "look_back_days": 0, "max_gap_days": 0, "county_bins": 1}
        for name, minimum in smallest.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"expected {name} >= {minimum}, found {getattr(self, name)}")
        if self.max_gap_days >= self.horizon_days:
            raise ValueError(f"expected max_gap_days below horizon_days, found {self.max_gap_days}")
        if (self.split == BY_TIME) != (self.test_from is not None):
            found = "without it" if self.test_from is None else "with it"
            raise ValueError(
                f"expected test_from with split {BY_TIME!r} and only then, found split {self.split!r} {found}"
            )
        resolve_code_columns(self.code_columns)

    @property
    def joins_stays(self) -> bool:
        """Whether claims are joined to stays, and stays that cannot be judged are removed."""
        return self.rule != PLAIN

    @property
    def title(self) -> str:
        """Heading of tables and charts."""
        return _TITLES[self.rule].format(days=self.horizon_days)

    @property
    def split_salt(self) -> str:
        """Salt of the hash that splits the patients; another seed draws other splits."""
        return f"{self.name}/{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values."""
        values = dataclasses.asdict(self) | {"title": self.title}
        values["code_columns"] = list(self.code_columns)
        values["test_from"] = None if self.test_from is None else self.test_from.isoformat()
        return values
