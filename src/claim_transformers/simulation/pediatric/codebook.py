"""The tables of causes and codes, compiled for an institution into arrays that draws index into."""

from functools import cache, cached_property

import numpy as np

from claim_transformers.simulation.engine.calendar import Float, Int, season_table
from claim_transformers.simulation.engine.data_files import SHARED_DATA, read_pools
from claim_transformers.simulation.engine.icd10 import Icd10Codes
from claim_transformers.simulation.engine.menus import Menu
from claim_transformers.simulation.engine.products import product_pools
from claim_transformers.simulation.engine.sampling import CodeTable
from claim_transformers.simulation.pediatric.causes import (
    BEHAVIOURAL,
    COURSES,
    DATA,
    DENTAL,
    EMERGENCY,
    EPISODES,
    EVENTS,
    OFFICE,
    PREVENTIVE,
    STAY,
    Cause,
)
from claim_transformers.simulation.pediatric.institutions import INSTITUTIONS, Institution
from claim_transformers.simulation.pediatric.population import BAND_STARTS


def _diagnosis_pools() -> dict[str, str]:
    """Pools of ICD-9-CM codes, acute ones first; the order decides the numbers of pools and codes."""
    return read_pools(DATA / "acute_diagnoses.csv")["ICD9CM"] | read_pools(DATA / "chronic_diagnoses.csv")["ICD9CM"]


class PediatricCodebook:
    """Everything that turns a cause of care into codes at one institution, in a version of the simulation."""

    def __init__(self, institution: Institution, version: int) -> None:
        self._institution = institution
        jitter, number = institution.code_jitter, institution.number
        self.causes: tuple[Cause, ...] = (*EPISODES, *COURSES, *EVENTS)
        self.cause_of = {cause.name: position for position, cause in enumerate(self.causes)}
        if len(self.cause_of) != len(self.causes):
            raise ValueError("expected every cause to have a name of its own, found a name twice")
        self.diagnoses = CodeTable(_diagnosis_pools(), jitter=jitter, seed=number)
        self.services = CodeTable(read_pools(SHARED_DATA / "services.csv")["HCPCS"], jitter=jitter * 0.5, seed=number)
        self.procedures = CodeTable(read_pools(DATA / "procedures.csv")["ICD9PCS"], jitter=jitter, seed=number)
        first = read_pools(SHARED_DATA / "drugs.csv")["DRUG"]
        pools = first if version == 1 else first | read_pools(SHARED_DATA / "more_drugs.csv")["DRUG"]
        self.drugs = CodeTable(pools, jitter=jitter * 0.5, seed=number)
        self.product_pools = product_pools(self.drugs.vocabulary, first)
        self.products = CodeTable(self.product_pools, jitter=jitter * 1.5, seed=number)

        self.primary_pool = self.diagnoses.pool_ids([cause.pool for cause in self.causes])
        flares = [getattr(cause, "flare_pool", "") or cause.pool for cause in self.causes]
        self.flare_pool = self.diagnoses.pool_ids(flares)
        self.kind: Int = np.array([cause.kind for cause in self.causes], dtype=np.int32)
        self.stay_days: Float = np.array([cause.stay_days for cause in self.causes], dtype=np.float32)
        self.companion = Menu([cause.companion for cause in self.causes], self.diagnoses)
        self.service_menus = self._menus("services", self.services)
        self.drug_menus = self._menus("drugs", self.drugs)
        self.procedure = Menu([cause.procedures for cause in self.causes], self.procedures)
        self.groups = sorted({cause.drg for cause in self.causes})
        self.group: Int = np.array([self.groups.index(cause.drg) for cause in self.causes], dtype=np.int32)
        self.episode_rate, self.episode_cells, self.episode_cause = self._episodes()

    @cached_property
    def icd10_diagnoses(self) -> Icd10Codes:
        """ICD-10-CM, compiled where a simulation reaches it."""
        jitter, number = self._institution.code_jitter, self._institution.number
        return Icd10Codes("ICD9CM", self.diagnoses.vocabulary, jitter=jitter, seed=number)

    @cached_property
    def icd10_procedures(self) -> Icd10Codes:
        """ICD-10-PCS, compiled where a simulation reaches it."""
        jitter, number = self._institution.code_jitter, self._institution.number
        return Icd10Codes("ICD9PCS", self.procedures.vocabulary, jitter=jitter, seed=number)

    def _menus(self, name: str, table: CodeTable) -> list[Menu]:
        """One menu per position for causes that differ in how many they have."""
        texts = [getattr(cause, name) for cause in self.causes]
        width = max(len(menus) for menus in texts)
        return [
            Menu([menus[position] if position < len(menus) else "" for menus in texts], table)
            for position in range(width)
        ]

    def _episodes(self) -> tuple[Float, CodeTable, Int]:
        """Rate of all episodes together and the mix of their causes, by age band, sex and month of the year."""
        rates = np.array([episode.rates for episode in EPISODES]) / 12.0
        ratio = np.array([episode.male_ratio for episode in EPISODES])
        sexes = np.stack([2.0 / (1.0 + ratio), 2.0 * ratio / (1.0 + ratio)], axis=1)
        seasons = season_table([episode.season for episode in EPISODES])
        # Episode, age band, sex, month of the year; the last three become one cell, which `add_episodes` counts alike.
        cells = rates[:, :, None, None] * sexes[:, None, :, None] * seasons[:, None, None, :]
        cells = cells.reshape(len(EPISODES), len(BAND_STARTS) * 2 * 12)
        names = [episode.name for episode in EPISODES]
        pools = {
            # Nine digits are part of version 1: the mix is drawn from the rounded rates.
            str(cell): " ".join(f"{name}:{rate:.9f}" for name, rate in zip(names, column, strict=True))
            for cell, column in enumerate(cells.T.tolist())
        }
        table = CodeTable(pools)
        causes = np.array([self.cause_of[name] for name in table.vocabulary], dtype=np.int32)
        return cells.sum(axis=0).astype(np.float32), table, causes


@cache
def codebook_of(institution: str, version: int) -> PediatricCodebook:
    """The codes of an institution, compiled once per process."""
    if institution not in INSTITUTIONS:
        names = " or ".join(repr(name) for name in INSTITUTIONS)
        raise ValueError(f"expected an institution {names}, found {institution!r}")
    return PediatricCodebook(INSTITUTIONS[institution], version)


# First service of a visit, by kind; behavioural and preventive visits depend on the year and on age as well.
FIRST_SERVICE = {
    OFFICE: "visit_office",
    EMERGENCY: "visit_emergency",
    STAY: "visit_stay",
    PREVENTIVE: "visit_preventive_0",
    BEHAVIOURAL: "visit_behaviour_before_2013",
    DENTAL: "visit_dental",
}

# A second service that any visit of a kind may bill, and how often it does.
EXTRA_SERVICE = {
    OFFICE: ("extra_office", 0.3),
    EMERGENCY: ("extra_emergency", 0.75),
    STAY: ("extra_stay", 0.8),
    PREVENTIVE: ("extra_office", 0.35),
    BEHAVIOURAL: ("extra_behaviour", 0.3),
    DENTAL: ("dental_more", 0.4),
}
