"""Leak check: nothing in an example that was not known at its index date, and no patient in two splits."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.timelines import Timelines

if TYPE_CHECKING:
    from datasets import Dataset

    from claim_transformers.cohorts.cohort import Cohort

_Splits = Mapping[str, Union[pa.Table, "Dataset"]]


def check_leaks(
    cohort: Union["Cohort", _Splits], claims: str | Path | None = None, *, hide_unpaid: bool = True
) -> None:
    """Refuse a cohort in which an example tells of its future, or a patient of a split stands in another.

    With the claims, the dates of the claims themselves are asked which codes could be known at each index date, by
    code that shares nothing with the code that cuts. `build_cohort` runs it so; run it again on a cohort that was
    loaded from disk or changed since.

    Args:
        cohort ([`Cohort`], `DatasetDict` or `dict[str, pa.Table]`): The cohort, or its splits. Where the examples have
            `visit_end_day` or `visit_paid_day`, these are checked too. Where they have `discharge_day`, they are
            stays, of which a patient may have several.
        claims (`str` or `Path`, *optional*): Ingested folder that the cohort was built from. One without
            `claim_line` and `rx_claim`, such as that of MEDS, has no dates of claims to ask.
        hide_unpaid (`bool`, *optional*, defaults to `True`): Whether splits given alone were built so; a [`Cohort`]
            knows it.

    Raises:
        ClaimDataError: `E_LEAK`. The message holds counts, never an identifier or a date.

    Examples:
        >>> lists = lambda values: pa.array([values], pa.list_(pa.int32()))
        >>> columns = {"patient_id": ["a"], "index_day": pa.array([10], pa.int32()), "visit_day": lists([3, 10])}
        >>> spans = {"enrollment_start_day": lists([0]), "enrollment_end_day": lists([10])}
        >>> check_leaks({"train": pa.table(columns | spans)})
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_LEAK: expected nothing that was not known at the index date,
        found <11 visits at or after it
    """
    splits = cohort if isinstance(cohort, Mapping) else cohort.splits()
    tables = {name: _table(split) for name, split in splits.items()}
    unknown = 0
    if claims is not None:
        from claim_transformers.cohorts.claim_dates import count_unknown_codes

        hides = hide_unpaid if isinstance(cohort, Mapping) else cohort.definition.hide_unpaid
        unknown = count_unknown_codes(list(tables.values()), claims, hides_unpaid=hides)
    refuse_leaks(tables, unknown)


def refuse_leaks(splits: Mapping[str, pa.Table], unknown_codes: int) -> None:
    """Refuse splits that tell of their future, where it is known how many codes no claim known by then has."""
    found: dict[str, int] = {}
    for table in splits.values():
        for what, count in _leaks_of_split(table).items():
            found[what] = found.get(what, 0) + count
    found["codes that no claim known by then has"] = unknown_codes
    patients = [pc.unique(table["patient_id"]).cast(pa.string()) for table in splits.values()]
    everybody = pa.chunked_array(patients, pa.string())
    found["patients in two splits"] = len(everybody) - len(pc.unique(everybody))
    leaks = ", ".join(f"{show_count(count)} {what}" for what, count in found.items() if count)
    if leaks:
        raise ClaimDataError("E_LEAK", f"expected nothing that was not known at the index date, found {leaks}")


def _table(split: Any) -> pa.Table:
    return split if isinstance(split, pa.Table) else split.with_format("arrow")[:]


def _leaks_of_split(table: pa.Table) -> dict[str, int]:
    timelines = Timelines(table)
    index_day = table["index_day"].to_numpy().astype(np.int64)
    limit = index_day[timelines.patient_of_visit]
    starts, ends = (pc.list_flatten(table[f"enrollment_{end}_day"]).to_numpy() for end in ("start", "end"))
    spans = np.repeat(index_day, pc.list_value_length(table["enrollment_start_day"]).fill_null(0).to_numpy())
    are_stays = "discharge_day" in table.column_names
    deaths = table.num_rows - table["death_day"].null_count if "death_day" in table.column_names else 0
    is_late = timelines.visit_day >= limit
    return {
        "visits at or after it": int(np.count_nonzero(is_late)),
        "visits that end at or after it": int(np.count_nonzero(~is_late & (timelines.end_day >= limit))),
        "visits paid after it": int(np.count_nonzero(timelines.paid_day > limit)),
        "enrolment spans that reach beyond it": int(np.count_nonzero((starts > spans) | (ends > spans))),
        "days of death": deaths,
        "patients with two examples": 0 if are_stays else table.num_rows - len(pc.unique(table["patient_id"])),
    }
