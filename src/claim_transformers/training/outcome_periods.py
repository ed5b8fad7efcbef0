"""Pretraining beside a cohort: records that end before its outcomes, and how much of the outcomes was seen."""

import datetime as dt
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from claim_transformers.claims.small_cells import show_count, show_part_of
from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_EPOCH = dt.date(1970, 1, 1)
_logger = logging.getLogger(__name__)


def cut_records(patients: "datasets.DatasetDict", until: str | dt.date) -> "datasets.DatasetDict":
    """Cut every record at a date, by the rule of cohorts: what was not known by then is not there at all.

    When a cohort is most of the membership, leaving its patients out leaves nobody to pretrain on. Cut at the first
    index date of the cohort, their records hold nothing of its outcomes.

    Args:
        patients (`datasets.DatasetDict`): Rows of the patients table, as `load_claims` gives them.
        until (`str` or `datetime.date`): First day that nothing is seen of, `YYYY-MM-DD`.

    Returns:
        `datasets.DatasetDict`: Patients with a visit before the date, without later visits, payments, enrolment and
        deaths.

    Raises:
        ValueError: If the date is none.
        ClaimDataError: `E_NO_PATIENTS` if nobody is left in a split that had patients.

    Examples:
        >>> import datasets
        >>> row = {"patient_id": "A", "sex": "F", "birth_day": 0, "visit_day": [3, 9], "visit_type": ["OP", "OP"]}
        >>> row |= {"codes": [["NDC/1"], []], "enrollment_start_day": [0], "enrollment_end_day": [99]}
        >>> cut = cut_records(datasets.DatasetDict(train=datasets.Dataset.from_list([row])), "1970-01-10")["train"][0]
        >>> cut["visit_day"], cut["enrollment_end_day"]
        ([3], [8])
    """
    try:
        day = (dt.date.fromisoformat(str(until)) - _EPOCH).days
    except ValueError:
        raise ValueError("expected until to be a date YYYY-MM-DD, found none") from None
    cut = {}
    for name, split in patients.items():
        options: dict[str, Any] = {"batched": True, "fn_kwargs": {"day": day}, "remove_columns": split.column_names}
        # An empty split has nothing to cut, and its mapped form would have no columns.
        cut[name] = split.with_format("arrow").map(_cut_batch, **options).with_format(None) if len(split) else split
        if len(split) and not len(cut[name]):
            raise ClaimDataError(
                "E_NO_PATIENTS",
                f"expected visits before the date in the split '{name}', found none of {show_count(len(split))} rows "
                "with one; take a later date",
            )
    return type(patients)(cut)


def describe_exposure(patients: "datasets.DatasetDict", cohort: str | Path) -> str:
    """Say how much of a cohort's test split the rows of pretraining show, and warn where it is of the outcome.

    Args:
        patients (`datasets.DatasetDict`): Rows of pretraining, all splits.
        cohort (`str` or `Path`): Folder of the cohort: its test split, and `cohort.json` with the horizon.

    Returns:
        `str`: One line: test patients among the rows, and days of their outcome periods within the records.

    Raises:
        FileNotFoundError: If the folder has no `cohort.json`.
    """
    import datasets
    import pyarrow as pa
    import pyarrow.compute as pc

    definition = json.loads((Path(cohort) / "cohort.json").read_text(encoding="utf-8"))
    horizon_days = int((definition.get("label") or definition)["horizon_days"])
    test = datasets.load_from_disk(str(cohort))["test"].select_columns(["patient_id", "index_day"])
    table = test.with_format("arrow")[:]
    records = [_last_days(split.with_format("arrow")[:]) for split in patients.values() if len(split)]
    known = pa.concat_arrays([ids for ids, _ in records])
    last_day = np.append(np.concatenate([days for _, days in records]), np.iinfo(np.int64).min)
    place = pc.index_in(table.column("patient_id").cast(pa.string()), value_set=known)
    row = pc.fill_null(place, len(known)).to_numpy()
    index_day = table.column("index_day").to_numpy().astype(np.int64)
    # The outcome may lie on the index date, and on the last day of the horizon.
    end_day = np.minimum(last_day[row], index_day + horizon_days - 1)
    seen_days = np.where(row < len(known), np.maximum(end_day - index_day + 1, 0), 0)
    everybody, seen = (
        pc.count_distinct(rows["patient_id"]).as_py() for rows in (table, table.filter(place.is_valid()))
    )
    if seen_days.any():
        _logger.warning(
            "W_OUTCOME_SEEN: expected no outcome period of the test split in pretraining, found %s days of %s "
            "examples; leave its patients out (--exclude_cohort) or cut records at the first index date (--until)",
            show_count(int(seen_days.sum())),
            show_count(int(np.count_nonzero(seen_days))),
        )
    return (
        f"Pretraining saw {show_part_of(seen, everybody)} test patients of the cohort, and "
        f"{show_count(int(seen_days.sum()))} days of their outcome periods"
    )


def _cut_batch(table: "pa.Table", day: int) -> "pa.Table":
    """Rows with a visit that is known on a day, and what is known of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from claim_transformers.cohorts.timelines import Timelines

    everybody = np.ones(table.num_rows, bool)
    cut = Timelines(table, hide_unpaid=True).before(everybody, np.full(table.num_rows, day, np.int64))
    cut = cut.filter(pc.greater(pc.list_value_length(cut["visit_day"]), 0))
    # A cohort stands on its index date; here the record ends the day before, and nobody was followed on the date.
    starts, ends = (cut[name].combine_chunks() for name in ("enrollment_start_day", "enrollment_end_day"))
    begun = pc.less(starts.flatten(), day)
    owner = pc.list_parent_indices(starts).filter(begun).to_numpy()
    offsets = pa.array(np.append(0, np.cumsum(np.bincount(owner, minlength=cut.num_rows))), pa.int32())
    values = {
        "enrollment_start_day": starts.flatten().filter(begun),
        "enrollment_end_day": pc.min_element_wise(ends.flatten().filter(begun), pa.scalar(day - 1, pa.int32())),
    }
    for name, column in values.items():
        cut = cut.set_column(cut.column_names.index(name), name, pa.ListArray.from_arrays(offsets, column))
    return cut.drop_columns(["index_day"])


def _last_days(table: "pa.Table") -> tuple["pa.Array", "np.ndarray[Any, np.dtype[np.int64]]"]:
    """Patient of each row, and the last day that is known of it: of a visit or of enrolment."""
    import pyarrow as pa
    import pyarrow.compute as pc

    last = np.full(table.num_rows, np.iinfo(np.int64).min)
    for name in {"visit_day", "enrollment_end_day"} & set(table.column_names):
        days = table.column(name).combine_chunks()
        np.maximum.at(last, pc.list_parent_indices(days).to_numpy(), days.flatten().to_numpy().astype(np.int64))
    return table.column("patient_id").cast(pa.string()).combine_chunks(), last
