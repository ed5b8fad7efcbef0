"""Definition of a cohort: what both kinds state, whatever is asked; each kind adds its own rules."""

from typing import Any, Protocol


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
