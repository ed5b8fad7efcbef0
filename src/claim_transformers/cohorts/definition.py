"""Definition of a cohort: what both kinds state, whatever is asked; each kind adds its own rules."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from claim_transformers.claims.small_cells import show, show_part

_Verdict = Literal["insured", "excluded"]


@dataclass(frozen=True)
class Enrolment:
    """What a cohort does with patients of whom no span of enrolment is known."""

    # Patients whose source tells nothing of enrolment: `"insured"` all the time, as far as anybody knows, or
    # `"excluded"`.
    unknown: _Verdict = "insured"
    # Patients of a source that tells of enrolment, though not of theirs: `"excluded"`, or `"insured"` all the time,
    # where the tables of enrolment are known to be partial.
    none: _Verdict = "excluded"

    def step(self, *, unknown: int, none: int, of: int) -> str:
        """Name of the step of the attrition table, which says how many of those before count as insured."""
        kept = [(unknown, self.unknown, "of unknown enrolment"), (none, self.none, "without any enrolment")]
        left = of - sum(number for number, verdict, _ in kept if verdict == "excluded")
        words = [
            f"{show(show_part(number, left))} {whose}"
            for number, verdict, whose in kept
            if number and verdict == "insured"
        ]
        return f"with enrolment ({' and '.join(words)} count as insured)" if words else "with enrolment"


class Definition(Protocol):
    """What a cohort asks of its definition: a name, a heading, how patients are split, and its content for the folder.

    [`EventDefinition`] and [`ReadmissionDefinition`] are the two kinds; [`load_definition`] reads both from YAML.
    """

    @property
    def name(self) -> str:
        """Name of the cohort."""

    @property
    def title(self) -> str:
        """Heading of tables and charts."""

    @property
    def hide_unpaid(self) -> bool:
        """Whether what was not paid by the index date is hidden."""

    @property
    def train(self) -> float:
        """Share of patients in the training split."""

    @property
    def validation(self) -> float:
        """Share of patients in the validation split; the rest is the test split."""

    @property
    def split_salt(self) -> str:
        """Salt of the hash that splits the patients."""

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values, which the folder of the cohort keeps."""
