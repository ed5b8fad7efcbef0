"""Cohort as it is built, and its folder: examples by split, the definition, the attrition table and the flow chart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.files import publish_folder, to_json
from claim_transformers.claims.small_cells import show_count, show_part
from claim_transformers.claims.splits import SPLITS, split_of
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.attrition import AttritionStep, Ends, ShownAttrition, attrition_rows, show_attrition
from claim_transformers.cohorts.definition import Definition
from claim_transformers.cohorts.flow_chart import draw_flow_chart

if TYPE_CHECKING:
    from datasets import DatasetDict

DEFINITION_FILE = "cohort.json"
_ATTRITION_FILE = "attrition.json"
_FLOW_CHART_FILE = "flow_chart.svg"


@dataclass(frozen=True)
class Cohort:
    """Labelled examples: one of each patient where an event is asked for, one of each stay for readmissions.

    Args:
        definition ([`Definition`]): What was asked for.
        examples (`pa.Table`): Columns of the patients table cut at the index date, with `index_day` (int32, days
            since 1970-01-01) and `label` (int8), sorted by patient. Where diagnoses are predicted, `label` and
            `is_new` are lists of float32, one number for each of `label_names`. Of an amount, `label` is in US dollars
            (float64).
        attrition (`list[AttritionStep]`): How many patients each step left.
        sampled_share (`tuple[float, float]`): Share of the eligible pairs of patient and index date that became
            examples, for label 0 and label 1. Their ratio turns a risk of the population into one of the sample.
        visits_hidden (`int`): Visits before the index dates of the examples that were not paid yet and are hidden;
            `None` where no paid date is known or nothing was to be hidden.
        visits_open (`int`): Visits before the index dates of the examples that had not ended by then: a stay shows its
            admission, another visit nothing. Of a readmission cohort, claims.
        label_names (`tuple[str, ...]`): Categories of the label; empty for an event.
        visits_without_amount (`int`, *optional*): Where an amount is the label, visits of the horizon without one;
            nothing is put in their place.
        claims (`Mapping[str, Any]`, *optional*): Source of the claims, and the simulation that made them, if one did.
    """

    definition: Definition
    examples: pa.Table
    attrition: tuple[AttritionStep, ...]
    sampled_share: tuple[float, float]
    visits_hidden: int | None = None
    visits_open: int = 0
    label_names: tuple[str, ...] = ()
    visits_without_amount: int | None = field(default=None, kw_only=True)
    claims: Mapping[str, Any] | None = field(default=None, kw_only=True)

    def splits(self) -> dict[str, pa.Table]:
        """The examples by split; a patient is in exactly one, by hash of the id salted with cohort and seed."""
        split = split_examples(self.examples, self.definition)
        return {name: self.examples.filter(pc.equal(split, name)) for name in SPLITS}

    def to_dataset_dict(self) -> "DatasetDict":
        """The examples as a `datasets.DatasetDict` with a `label` column, ready for `Trainer`."""
        from datasets import Dataset, DatasetDict

        return DatasetDict({name: Dataset(table) for name, table in self.splits().items()})

    @property
    def ends(self) -> Ends:
        """How the examples are made up: cases and controls, or all of them, in each split."""
        splits = self.splits()
        if self.label_names or pa.types.is_floating(self.examples.schema.field("label").type):
            return {"examples": {name: table.num_rows for name, table in splits.items()}}
        counts = {name: np.bincount(table["label"].to_numpy(), minlength=2) for name, table in splits.items()}
        labels = {"cases": 1, "controls": 0}
        return {what: {name: int(counts[name][label]) for name in splits} for what, label in labels.items()}

    def shown_attrition(self, *, raw_counts: bool = False) -> ShownAttrition:
        """The selection as it may be shown: no count of 1 to 10 is in it or follows from it, unless `raw_counts`."""
        return show_attrition(self.attrition, self.ends, raw_counts=raw_counts)

    def flow_chart(self, *, raw_counts: bool = False) -> str:
        """The selection as a flow chart: an SVG document that needs nothing else."""
        return draw_flow_chart(self.definition.title, self.shown_attrition(raw_counts=raw_counts))

    def save(self, out: str | Path, *, overwrite: bool = False, raw_counts: bool = False) -> None:
        """Writes the examples by `save_to_disk`, attrition, flow chart and definition; all of it or nothing.

        Args:
            out (`str` or `Path`): Folder to make.
            overwrite (`bool`): Whether a cohort that stands there is replaced.
            raw_counts (`bool`): Whether attrition and flow chart hold counts of 1 to 10, and what gives them away.

        Raises:
            ClaimDataError: If a split has no example (`E_EMPTY_SPLIT`), the folder exists and may not be replaced
                (`E_EXISTS`; what is no cohort never is), or the disk (`E_WRITE`) or memory (`E_MEMORY`) is full.
        """
        self._refuse_empty_splits()
        with publish_folder(out, check=lambda found: check_out(found, overwrite=overwrite)) as folder:
            self.to_dataset_dict().save_to_disk(str(folder))
            self._write_papers(folder, raw_counts=raw_counts)

    def _refuse_empty_splits(self) -> None:
        """A split without rows could be written, but `load_from_disk` cannot read the folder then."""
        sizes = {name: table.num_rows for name, table in self.splits().items()}
        if empty := [name for name, rows in sizes.items() if not rows]:
            found = ", ".join(f"{name} {show_count(rows)}" for name, rows in sizes.items())
            raise ClaimDataError(
                "E_EMPTY_SPLIT",
                f"expected examples in every split, found none in {' and '.join(empty)} ({found}): "
                f"{self._why_a_split_is_empty()}",
            )

    def _why_a_split_is_empty(self) -> str:
        return "patients are split by a hash, and these are too few; take more patients or another seed"

    def _write_papers(self, folder: Path, *, raw_counts: bool) -> None:
        counts = (self.visits_hidden, self.visits_open, self.visits_without_amount)
        hidden, still_open, unpriced = (n if n is None else show_part(n, n, raw=raw_counts) for n in counts)
        content = {
            **self.definition.to_dict(),
            "sampled_share": list(self.sampled_share),
            "visits_hidden": hidden,
            "visits_open": still_open,
            **({} if unpriced is None else {"visits_without_amount": unpriced}),
            "label_names": list(self.label_names),
            "claims": self.claims,
        }
        steps = self.shown_attrition(raw_counts=raw_counts).to_list()
        for name, values in ((_ATTRITION_FILE, steps), (DEFINITION_FILE, content)):
            (folder / name).write_text(to_json(values), encoding="utf-8")
        (folder / _FLOW_CHART_FILE).write_text(self.flow_chart(raw_counts=raw_counts), encoding="utf-8")


def split_examples(examples: pa.Table, definition: Definition) -> pa.Array:
    """The split of each example, which is that of its patient: `"train"`, `"validation"` or `"test"`."""
    return split_of(
        examples["patient_id"], salt=definition.split_salt, train=definition.train, validation=definition.validation
    )


def attrition_table(cohort: Cohort, *, raw_counts: bool = False) -> list[tuple[str, str, str]]:
    """The attrition table as rows of text, with cases, controls and splits at the end.

    Args:
        cohort (`Cohort`): The cohort.
        raw_counts (`bool`): Whether counts of 1 to 10 are shown, and what gives them away.

    Returns:
        `list[tuple[str, str, str]]`: Step, patients left, patients removed.
    """
    return attrition_rows(cohort.shown_attrition(raw_counts=raw_counts))


def check_out(out: str | Path, *, overwrite: bool = False) -> None:
    """Refuses a folder that a cohort may not be saved to; asked before a build, it spares the wait.

    Args:
        out (`str` or `Path`): Folder to make.
        overwrite (`bool`, *optional*, defaults to `False`): Whether a cohort that stands there may be replaced.

    Raises:
        ClaimDataError: `E_EXISTS`.
    """
    out = Path(out)
    is_link = out.is_symlink()
    if not is_link and (not out.exists() or (out.is_dir() and not any(out.iterdir()))):
        return
    if not overwrite:
        raise ClaimDataError(
            "E_EXISTS", f"expected a new folder, found an existing {out.name!r}; choose another or use overwrite"
        )
    if is_link or not (out / DEFINITION_FILE).is_file():
        raise ClaimDataError("E_EXISTS", f"expected a cohort to replace in {out.name!r}, found something else")
