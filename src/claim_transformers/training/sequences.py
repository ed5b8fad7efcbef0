"""Sequences of a readmission cohort: the cohort in the form of the Medicare claim encoder, written to disk.

Lahlou et al. (2021, section 3.1.3) write an index stay as one sequence: the patient, the county, the claims of the
last three months from the oldest to the newest, the index claim; codes stand for their chapters, and numbers for
quantiles of the training data. The order is that of a readmission cohort already, and a tokenizer keeps it. What is
left is the form of the codes ([`ClaimForm`]). A tokenizer with a form applies it to a cohort by itself; sequences are
for those who look at the codes, or pretrain from nothing and have the bins to learn.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.files import publish_folder, replacing_file, scratch_folder, to_json, write_file
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.number_bins import DEFAULT_BINS, NumberBins
from claim_transformers.codes.chapters import chapter_rules
from claim_transformers.codes.groupers import category_rules
from claim_transformers.cohorts.cohort import check_out
from claim_transformers.cohorts.readmission.patient_codes import COUNTY_BINS_FILE, load_county_bins
from claim_transformers.models.claim.categories_claim import CodeCategories
from claim_transformers.models.claim.damage_claim import read_json_object, refuse_irregular
from claim_transformers.models.claim.form_claim import (
    CHAPTER,
    FORM_COLUMNS,
    FORM_FILE,
    NUMBER_COLUMNS,
    OLD_FORM_FILE,
    PAID,
    STAY_LENGTH,
    ClaimForm,
)
from claim_transformers.models.claim.form_table_claim import FormWriter, decode_codes

if TYPE_CHECKING:
    from datasets import DatasetDict

    from claim_transformers.claims.spark import SparkTasks

_ROWS_AT_A_TIME = 50_000
_CATEGORIES_FILE = "categories.json"
# The systems whose categories an earlier version of this package wrote otherwise.
_ICD = ("ICD9CM", "ICD10CM", "ICD9PCS", "ICD10PCS")


def make_form(
    depth: str = CHAPTER,
    depth_of_system: Mapping[str, str] | None = None,
    *,
    bins: Mapping[str, Any] | None = None,
    hide: Collection[str] = (),
) -> ClaimForm:
    """Make a form with the categories and chapters of the public tables.

    Args:
        depth (`str`, *optional*, defaults to `"chapter"`): `"code"`, `"category"` or `"chapter"`.
        depth_of_system (`Mapping[str, str]`, *optional*): Another depth for single systems.
        bins (`Mapping[str, tuple[float, ...]]`, *optional*): Edges of `PAID` and `LOS`; [`fit_bins`] learns them.
        hide (`Collection[str]`, *optional*): `"sex"`, `"race"`, `"county"`, `"disposition"`.

    Raises:
        ValueError: If a depth, a system or something to hide is unknown.
        ImportError: If the packages of the code lists are not installed.

    Examples:
        >>> form = make_form("chapter", {"HCPCS": "category"})
        >>> codes = ["ICD9CM/49392", "HCPCS/99213", "DRG/470", "NDC/00093014505", "ICD9CM/00000", "LAB/5"]
        >>> [form.group(code) for code in codes]
        ['ICD9CHAPTER/8', 'HCPCSGROUP/992', 'MDC/08', 'NDC9/000930145', 'UNK/ICD9CM', 'LAB/5']
    """
    form = ClaimForm(depth, depth_of_system or {}, bins or {}, hide=hide)
    return _with_chapters(replace(form, categories=CodeCategories.parse(category_rules())))


def find_form(folder: str | Path, categories: Any = None) -> ClaimForm | None:
    """Read the form of a folder of sequences or of a checkpoint, if it has one.

    Args:
        folder (`str` or `Path`): The folder.
        categories (`CodeCategories` or what its `parse` reads, *optional*):
            From code to category; those of the checkpoint, else of the public tables, without them.

    Returns:
        [`ClaimForm`] or `None`: The form; `None` for claims and cohorts, whose codes are as they were billed.

    Raises:
        ValueError: If its form is not understood, its sequences were written in other categories than those given, or
            they do not tell in which.
    """
    refuse_irregular(folder, FORM_FILE, OLD_FORM_FILE, _CATEGORIES_FILE)
    if not any(Path(folder, name).is_file() for name in (FORM_FILE, OLD_FORM_FILE)):
        return None
    own = Path(folder, _CATEGORIES_FILE)
    has_own = own.is_file()
    found = CodeCategories.parse(read_json_object(own) if has_own else None)
    found = CodeCategories.parse(category_rules()) if found.is_empty else found
    given = found if categories is None else CodeCategories.parse(categories)
    form = ClaimForm.load(folder, given)
    rolled_up = form.systems_in_categories()
    if not has_own and not rolled_up.isdisjoint(_ICD):
        raise ValueError(
            f"expected {_CATEGORIES_FILE} beside the form of {Path(folder).name!r}, which writes categories, found "
            "none: sequences of an earlier version had others; write them from the cohort again"
        )
    if _of_systems(given, rolled_up) != _of_systems(found, rolled_up):
        raise ValueError(
            f"expected the categories in which {Path(folder).name!r} is written, found others; leave them out, or "
            "write the sequences from the cohort again"
        )
    return _with_chapters(form)


def find_rules(claims: str | Path) -> dict[str, Any]:
    """Find how a tokenizer is to group and write the codes of claims: as sequences do, else by the public tables.

    Args:
        claims (`str` or `Path`): Ingested folder, or sequences, which have a form and categories of their own.

    Returns:
        `dict[str, Any]`: `categories` and `form` of [`ClaimTokenizer.train_from_dataset`].

    Raises:
        ValueError: If the sequences do not tell in which categories they were written.

    Examples:
        >>> find_rules("claims")["form"] is None
        True
    """
    form = find_form(claims)
    rules = category_rules() if form is None else form.categories
    return {"categories": rules.to_dict(), "form": form}


def fit_bins(form: ClaimForm, train: pa.Table, *, num_bins: int = DEFAULT_BINS) -> ClaimForm:
    """Learn the bins of amounts and lengths of stay from training examples.

    Args:
        form ([`ClaimForm`]): Its depths and what it hides stay.
        train (`pa.Table`): Training examples of a readmission cohort.
        num_bins (`int`, *optional*, defaults to 10): Bins of each number.

    Raises:
        KeyError: If the examples have no `visit_amount` or `length_of_stay_days`.

    Examples:
        >>> examples = pa.table({"visit_amount": [[5.0, None]] * 40, "length_of_stay_days": [*range(40)]})
        >>> fit_bins(make_form("code"), examples, num_bins=2).bins
        {'PAID': (), 'LOS': (19.5,)}
    """
    values = {
        PAID: _floats(pc.list_flatten(train[NUMBER_COLUMNS[PAID]])),
        STAY_LENGTH: _floats(train[NUMBER_COLUMNS[STAY_LENGTH]]),
    }
    return replace(form, bins=NumberBins.fit(values, num_bins=num_bins).edges)


def write_sequences(
    cohort: str | Path,
    out: str | Path,
    form: ClaimForm | None = None,
    *,
    num_bins: int = DEFAULT_BINS,
    overwrite: bool = False,
    tasks: "SparkTasks | None" = None,
) -> ClaimForm:
    """Write a readmission cohort as sequences, beside the cohort's own papers.

    Args:
        cohort (`str` or `Path`): Folder of `claim-transformers cohort readmission`.
        out (`str` or `Path`): Folder to make.
        form ([`ClaimForm`], *optional*): How; without bins they are learned from the training split. Without bins of
            county measures those of the cohort are part of it.
        num_bins (`int`, *optional*, defaults to 10): Bins of each number that is learned.
        overwrite (`bool`, *optional*, defaults to `False`): Whether sequences that stand there are replaced.
        tasks ([`SparkTasks`], *optional*): Write the examples in tasks of Spark, for which both folders lie on a file
            system that every executor shares.

    Returns:
        [`ClaimForm`]: The form that was used, bins included.

    Raises:
        ValueError: If the folder holds no readmission cohort, or sequences already, or `out` is that folder or one of
            the two is inside the other.
        ClaimDataError: `E_EXISTS` if `out` may not be replaced, `E_WRITE` if the disk does not take it.
    """
    _refuse_one_folder(Path(cohort), Path(out))
    check_out(Path(out), overwrite=overwrite)
    if any(Path(cohort, name).is_file() for name in (FORM_FILE, OLD_FORM_FILE)):
        raise ValueError(
            f"expected a cohort in the folder {Path(cohort).name!r}, found sequences, whose codes are rolled up "
            "already; write other sequences from the cohort"
        )
    splits = read_splits(cohort)
    needed = {"codes", "patient_codes", *NUMBER_COLUMNS.values()}
    missing = needed - set(splits["train"].column_names)
    if missing:
        raise ValueError(f"expected a readmission cohort, found a folder without the columns {sorted(missing)}")
    form = form or make_form()
    if not form.bins and num_bins:
        form = fit_bins(form, splits["train"], num_bins=num_bins)
    if not form.county_bins and Path(cohort, COUNTY_BINS_FILE).is_file():
        form = replace(form, county_bins=load_county_bins(cohort).edges)
    starts = [(name, start) for name, table in splits.items() for start in range(0, table.num_rows, _ROWS_AT_A_TIME)]
    with (
        publish_folder(out, check=lambda found: check_out(found, overwrite=overwrite)) as folder,
        scratch_folder(Path(out)) as scratch,
    ):
        write = _WriteRows(str(Path(cohort).absolute()), form, scratch)
        _join_files([*(map if tasks is None else tasks.run)(write, starts)], folder)
        for paper in sorted(Path(cohort).glob("*")):
            # The form holds the bins of counties, which need not be those of the cohort.
            if paper.is_file() and paper.name not in ("dataset_dict.json", COUNTY_BINS_FILE):
                (folder / paper.name).write_bytes(paper.read_bytes())
        form.save(folder)
        # A category means nothing without its rules, and those of the package may change.
        write_file(folder / _CATEGORIES_FILE, to_json(form.categories.to_dict()))
    return form


@dataclass(frozen=True)
class _WriteRows:
    """Task that writes some rows of a split in a form."""

    cohort: str
    form: ClaimForm
    folder: Path

    def __call__(self, start: tuple[str, int]) -> tuple[str, Path]:
        split, first = start
        rows = read_splits(self.cohort)[split].slice(first, _ROWS_AT_A_TIME)
        written = decode_codes(FormWriter(self.form).write(rows))
        # Measures are codes of the patient from here on, in bins that no tokenizer is to change.
        written = written.drop_columns([name for name in FORM_COLUMNS[-1:] if name in written.column_names])
        path = self.folder / f"{split}-{first:012d}.arrow"
        with replacing_file(path) as temporary, pa.ipc.new_stream(temporary, written.schema) as writer:
            writer.write_table(written)
        return split, path


def _join_files(files: Sequence[tuple[str, Path]], folder: Path) -> None:
    """Write files of rows as the splits of a `DatasetDict`, without holding them in memory."""
    from datasets import Dataset, DatasetDict, concatenate_datasets

    splits: dict[str, list[Dataset]] = {}
    for split, path in files:
        splits.setdefault(split, []).append(Dataset.from_file(str(path)))
    DatasetDict({name: concatenate_datasets(parts) for name, parts in splits.items()}).save_to_disk(str(folder))


def read_splits(cohort: "str | Path | DatasetDict") -> dict[str, pa.Table]:
    """Read the splits of a cohort as tables."""
    from datasets import load_from_disk

    if isinstance(cohort, str | Path) and not (check_inputs(cohort) / "dataset_dict.json").is_file():
        found = "a folder without dataset_dict.json" if Path(cohort).is_dir() else "no such folder"
        raise ValueError(
            f"expected a cohort in {str(cohort)!r}, found {found}; give one that 'cohort' or 'sequences' wrote"
        )
    splits = load_from_disk(str(cohort)) if isinstance(cohort, str | Path) else cohort
    return {name: split.with_format("arrow")[:] for name, split in splits.items()}


def _with_chapters(form: ClaimForm) -> ClaimForm:
    """A form that has the chapters it asks for; a form of the old format came without."""
    asks = CHAPTER in (form.depth, *form.depth_of_system.values())
    return replace(form, chapters=CodeCategories.parse(chapter_rules())) if asks and form.chapters is None else form


def _of_systems(rules: CodeCategories, systems: Collection[str]) -> tuple[dict[str, str], dict[str, tuple[str, int]]]:
    """What the rules say of some systems."""
    prefixes = {prefix: group for prefix, group in rules.prefixes.items() if prefix.partition("/")[0] in systems}
    return prefixes, {system: cut for system, cut in rules.prefix_lengths.items() if system in systems}


def _floats(values: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers as float64, NaN where null."""
    return np.asarray(pc.fill_null(pc.cast(values, pa.float64()), np.nan).to_numpy())


def _refuse_one_folder(cohort: Path, out: Path) -> None:
    """Stop where writing would replace what is read."""
    cohort, out = cohort.resolve(), out.resolve()
    if cohort == out or cohort in out.parents or out in cohort.parents:
        raise ValueError(f"expected a folder apart from the cohort {cohort.name!r} to write to, found {out.name!r}")
