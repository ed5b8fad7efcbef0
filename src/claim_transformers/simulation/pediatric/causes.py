"""Causes of care: why it is sought, what is then written on claims, and the tables of causes in `data`."""

from dataclasses import dataclass
from pathlib import Path

from claim_transformers.simulation.engine.calendar import SEASONS
from claim_transformers.simulation.engine.data_files import read_rows
from claim_transformers.simulation.engine.menus import parse_menu

DATA = Path(__file__).parent / "data"

# Kinds of visit, which decide the first service billed, the place and the price.
_KINDS = ("office", "emergency", "stay", "preventive", "behavioural", "dental")
OFFICE, EMERGENCY, STAY, PREVENTIVE, BEHAVIOURAL, DENTAL = range(len(_KINDS))

_Rates = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True)
class Cause:
    """Why care is sought, and what is then written on claims."""

    name: str  # Name, unique over all tables.
    pool: str  # Pool of diagnosis codes for the first position.
    companion: str = ""  # Menu of pools for the second position, such as `"viral:.3"`.
    # Menus of service pools; at most one code per menu is billed beside the visit itself.
    services: tuple[str, ...] = ()
    drugs: tuple[str, ...] = ()  # Menus of drug classes; at most one fill per menu.
    drg: str = ""  # MS-DRG of a stay.
    stay_days: float = 2.5  # Mean days between admission and discharge.
    procedures: str = ""  # Menu of ICD-9-CM procedure pools of a stay.
    kind: int = OFFICE  # Kind of an elective visit.

    def __post_init__(self) -> None:
        for menu in (self.companion, self.procedures, *self.services, *self.drugs):
            parse_menu(menu)
        if self.stay_days <= 0:
            raise ValueError(f"expected a mean stay of more than 0 days, found {self.stay_days}")
        if self.drg and not (len(self.drg) == 3 and self.drg.isdigit()):
            raise ValueError(f"expected an MS-DRG of three digits, found {self.drg!r}")


@dataclass(frozen=True)
class _Episode(Cause):
    """Acute illness, injury or a single need, which comes and goes."""

    rates: _Rates = (0, 0, 0, 0, 0, 0, 0)  # Episodes that are seen by anyone, per patient and year, by age band.
    male_ratio: float = 1.0  # Rate of boys over rate of girls.
    season: str = "flat"  # Profile of `SEASONS`.
    emergency: float = 0.1  # Share seen in an emergency department.
    stay: float = 0.0  # Share admitted.
    follow_up: float = 0.0  # Chance of a second visit within a month.

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rates(self.rates, self.male_ratio)
        if self.season not in SEASONS:
            raise ValueError(f"expected a season of {sorted(SEASONS)}, found {self.season!r}")
        if not 0 <= self.emergency + self.stay <= 1:
            raise ValueError(f"expected shares of settings that sum to at most 1, found {self.emergency + self.stay}")


@dataclass(frozen=True)
class Course(Cause):
    """Chronic condition with an onset, a course and perhaps an end."""

    at_birth: float = 0.0  # Share of patients born with it.
    onset: _Rates = (0, 0, 0, 0, 0, 0, 0)  # New cases per patient and year by age band.
    male_ratio: float = 1.0  # Rate of boys over rate of girls.
    remission: float = 0.0  # Chance per year to end.
    # Courses listed earlier, or traits, that multiply the rate of new cases.
    after: tuple[tuple[str, float], ...] = ()
    visits: float = 1.5  # Visits per active year.
    emergency: float = 0.05  # Emergency visits per active year.
    stays: float = 0.0  # Stays per active year.
    regimen: tuple[str, ...] = ()  # Drug classes filled month by month.
    treated: float = 0.0  # Share of patients on the regimen.
    flare_pool: str = ""  # Pool of the first position while the condition flares.
    flare: float = 0.15  # Share of quarters in which it does.
    mention: float = 0.3  # Weight with which visits for other reasons name it.

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rates(self.onset, self.male_ratio)
        for name in ("at_birth", "treated", "flare"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} from 0 to 1, found {getattr(self, name)}")


def _check_rates(rates: _Rates, male_ratio: float) -> None:
    """Refuse a rate that is negative, or a ratio that is not positive."""
    if min(rates) < 0 or male_ratio <= 0:
        raise ValueError(f"expected rates of at least 0 and a male ratio above 0, found {min(rates)} and {male_ratio}")


EPISODES: tuple[_Episode, ...] = read_rows(DATA / "episodes.yaml", _Episode, {"kind": _KINDS})
COURSES: tuple[Course, ...] = read_rows(DATA / "courses.yaml", Course, {"kind": _KINDS})
EVENTS: tuple[Cause, ...] = read_rows(DATA / "events.yaml", Cause, {"kind": _KINDS})
