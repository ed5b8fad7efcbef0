"""A readmission cohort in the words of the Medicare claim encoder: codes rolled up, numbers in bins, facts left out.

Lahlou et al. (2021, section 3.1.3) write an index stay as one sequence: the patient, the county, the claims of the
last three months from the oldest to the newest, the index claim; codes stand for their chapters, and numbers for
quantiles of the training data. The order is that of a [`ReadmissionCohort`] already, and a tokenizer keeps it. What is
left is the form of the codes, which is learned from training examples and belongs to a checkpoint as its vocabulary.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.number_bins import DEFAULT_BINS, NumberBins
from claim_transformers.claims.visit_codes import (
    PAID,
    STAY_LENGTH,
    add_number_codes,
    drop_codes,
    roll_up_visits,
    visit_amounts,
)
from claim_transformers.codes.roll_up import CHAPTER, RollUp
from claim_transformers.cohorts.cohort import check_out, publish_folder

if TYPE_CHECKING:
    from datasets import DatasetDict

FORM_FILE = "sequence_form.json"
FORMAT_VERSION = 1
SEX, RACE, COUNTY, DISPOSITION = "sex", "race", "county", "disposition"
# What can be left out, and the tokens that say it; sex has a column of its own.
_PATIENT_PREFIX = {RACE: "RACE/", COUNTY: "COUNTY/"}
HIDEABLE = (SEX, RACE, COUNTY, DISPOSITION)


@dataclass(frozen=True)
class SequenceForm:
    """How the codes and numbers of an example are written.

    Args:
        depth (`str`, *optional*, defaults to `"chapter"`): `"code"`, `"category"` or `"chapter"`, see [`RollUp`].
        depth_of_system (`Mapping[str, str]`, *optional*): Another depth for single systems.
        bins ([`NumberBins`], *optional*): Edges of `PAID` and `LOS`; without them no number is written.
        hide (`Collection[str]`, *optional*): What is left out: `"sex"`, `"race"`, `"county"`, `"disposition"`.

    Raises:
        ValueError: If a depth, a system or something to hide is unknown.

    Examples:
        >>> table = pa.table({
        ...     "sex": ["F"], "codes": [[["ICD9CM/4280", "DISP/02"]]], "patient_codes": [["RACE/WHITE", "DUAL/02"]],
        ...     "visit_amount": pa.array([[None]], pa.list_(pa.float32())), "length_of_stay_days": [4],
        ... })
        >>> form = SequenceForm(bins=NumberBins({"LOS": (3.0,)}), hide=["race", "disposition"])
        >>> written = form.write(table).to_pylist()[0]
        >>> written["codes"], written["patient_codes"]
        ([['ICD9CHAPTER/7', 'LOS/1']], ['DUAL/02'])
        >>> SequenceForm.from_dict(form.to_dict()) == form
        True
    """

    depth: str = CHAPTER
    depth_of_system: Mapping[str, str] = field(default_factory=dict)
    bins: NumberBins = field(default_factory=lambda: NumberBins({}))
    hide: Collection[str] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.hide) - set(HIDEABLE))
        if unknown:
            raise ValueError(f"expected to hide some of {', '.join(HIDEABLE)}, found {', '.join(unknown)}")
        object.__setattr__(self, "hide", tuple(sorted(set(self.hide))))
        # Refuses unknown depths and systems now and not at the first table.
        RollUp(self.depth, self.depth_of_system)

    def fit(self, train: pa.Table, *, num_bins: int = DEFAULT_BINS) -> "SequenceForm":
        """Learn the bins of amounts and lengths of stay from training examples.

        Args:
            train (`pa.Table`): Training examples of a readmission cohort.
            num_bins (`int`, *optional*, defaults to 10): Bins of each number.

        Returns:
            [`SequenceForm`]: The same form with bins.

        Raises:
            KeyError: If the examples have no `visit_amount` or `length_of_stay_days`.
        """
        days = pc.cast(train["length_of_stay_days"], pa.float64())
        values = {
            PAID: visit_amounts(train),
            STAY_LENGTH: pc.fill_null(days, np.nan).to_numpy(zero_copy_only=False),
        }
        bins = NumberBins.fit(values, num_bins=num_bins)
        return SequenceForm(self.depth, self.depth_of_system, bins, self.hide)

    def write(self, examples: pa.Table) -> pa.Table:
        """Write examples in this form, whatever the split.

        Args:
            examples (`pa.Table`): Examples of a readmission cohort.

        Returns:
            `pa.Table`: The same rows and columns with other `codes`, `patient_codes` and, if hidden, `sex`.
        """
        table = examples
        if DISPOSITION in self.hide:
            table = drop_codes(table, "DISP/")
        table = roll_up_visits(table, RollUp(self.depth, self.depth_of_system))
        if self.bins.edges:
            table = add_number_codes(table, self.bins)
        for name, prefix in _PATIENT_PREFIX.items():
            if name in self.hide:
                table = drop_codes(table, prefix, column="patient_codes")
        if SEX in self.hide:
            place = table.column_names.index("sex")
            table = table.set_column(place, "sex", pa.nulls(table.num_rows, table.schema.field("sex").type))
        return table

    def to_dict(self) -> dict[str, Any]:
        """The form as plain values."""
        return {
            "version": FORMAT_VERSION,
            "depth": self.depth,
            "depth_of_system": dict(self.depth_of_system),
            "bins": self.bins.to_dict(),
            "hide": list(self.hide),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SequenceForm":
        """Read what [`~SequenceForm.to_dict`] wrote.

        Args:
            content (`Mapping[str, Any]`): The parsed JSON.

        Returns:
            [`SequenceForm`]: Equal to the form that was written.

        Raises:
            ValueError: If the version is not the one this package writes.
        """
        if content.get("version") != FORMAT_VERSION:
            raise ValueError(f"expected a sequence form of version {FORMAT_VERSION}, found another; write it again")
        bins = NumberBins.from_dict(content["bins"])
        return cls(content["depth"], dict(content["depth_of_system"]), bins, tuple(content["hide"]))

    def save(self, folder: str | Path) -> None:
        """Write `sequence_form.json`.

        Args:
            folder (`str` or `Path`): Where to: a folder of sequences, or of a checkpoint.
        """
        text = json.dumps(self.to_dict(), indent=1, sort_keys=True)
        Path(folder, FORM_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "SequenceForm":
        """Read `sequence_form.json`.

        Args:
            folder (`str` or `Path`): Folder of sequences or of a checkpoint.

        Returns:
            [`SequenceForm`]: The form.

        Raises:
            ValueError: If the folder has none.
        """
        path = Path(folder, FORM_FILE)
        if not path.is_file():
            raise ValueError(
                f"expected {FORM_FILE} in the folder {Path(folder).name!r}, found none: it holds no sequences"
            )
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))


def write_sequences(
    cohort: str | Path,
    out: str | Path,
    form: SequenceForm | None = None,
    *,
    num_bins: int = DEFAULT_BINS,
    overwrite: bool = False,
) -> SequenceForm:
    """Write a readmission cohort as sequences, beside the cohort's own papers.

    Args:
        cohort (`str` or `Path`): Folder of `claim-transformers cohort readmission`.
        out (`str` or `Path`): Folder to make.
        form ([`SequenceForm`], *optional*): How; without bins they are learned from the training split. Give that of a
            checkpoint to use the checkpoint.
        num_bins (`int`, *optional*, defaults to 10): Bins of each number that is learned.
        overwrite (`bool`, *optional*, defaults to `False`): Whether sequences that stand there are replaced.

    Returns:
        [`SequenceForm`]: The form that was used, bins included.

    Raises:
        ValueError: If the folder holds no readmission cohort, or sequences already, or `out` is that folder or one of
            the two is inside the other.
        ClaimDataError: `E_EXISTS` if `out` may not be replaced, `E_WRITE` if the disk does not take it.
    """
    from datasets import Dataset, DatasetDict

    _refuse_one_folder(Path(cohort), Path(out))
    check_out(Path(out), overwrite=overwrite)
    if Path(cohort, FORM_FILE).is_file():
        raise ValueError(
            f"expected a cohort in the folder {Path(cohort).name!r}, found sequences ({FORM_FILE}), whose codes are "
            "rolled up already; write other sequences from the cohort"
        )
    splits = read_splits(cohort)
    needed = {"codes", "patient_codes", "visit_amount", "length_of_stay_days"}
    missing = needed - set(splits["train"].column_names)
    if missing:
        raise ValueError(f"expected a readmission cohort, found a folder without the columns {sorted(missing)}")
    form = form or SequenceForm()
    if not form.bins.edges and num_bins:
        form = form.fit(splits["train"], num_bins=num_bins)

    def write(folder: Path) -> None:
        written = {name: Dataset(form.write(table)) for name, table in splits.items()}
        DatasetDict(written).save_to_disk(str(folder))
        for paper in sorted(Path(cohort).glob("*")):
            if paper.is_file() and paper.name != "dataset_dict.json":
                (folder / paper.name).write_bytes(paper.read_bytes())
        form.save(folder)

    publish_folder(Path(out), write, overwrite=overwrite)
    return form


def read_splits(cohort: "str | Path | DatasetDict") -> dict[str, pa.Table]:
    """Read the splits of a cohort as tables.

    Args:
        cohort (`str`, `Path` or `DatasetDict`): A cohort, or its folder.

    Returns:
        `dict[str, pa.Table]`: `train`, `validation` and `test`, as far as there are such.

    Raises:
        ValueError: If the folder holds no cohort.
    """
    from datasets import load_from_disk

    if isinstance(cohort, str | Path) and not Path(cohort, "dataset_dict.json").is_file():
        found = "a folder without dataset_dict.json" if Path(cohort).is_dir() else "no such folder"
        raise ValueError(
            f"expected a cohort in {str(cohort)!r}, found {found}; see claim-transformers cohort readmission"
        )
    splits = load_from_disk(str(cohort)) if isinstance(cohort, str | Path) else cohort
    return {name: split.with_format("arrow")[:] for name, split in splits.items()}


def _refuse_one_folder(cohort: Path, out: Path) -> None:
    cohort, out = cohort.resolve(), out.resolve()
    if cohort == out or cohort in out.parents or out in cohort.parents:
        raise ValueError(f"expected a folder apart from the cohort {cohort.name!r} to write to, found {out.name!r}")
