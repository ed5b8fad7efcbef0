"""What an example of a readmission cohort says, as single fields: inputs whose distribution can be watched over time.

No date and no identifier is among them, because they would tell the period and not what changed in it.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.audit.subgroup_attributes import audit_attributes, patient_token
from claim_transformers.analysis.rivals.features import ages_in_years
from claim_transformers.cohorts.readmission.patient_codes import DUAL

# Claim types whose visits are counted; the index stay itself is one of type IP.
VISIT_TYPES = ("IP", "OP", "CAR", "SNF", "HHA", "DME", "RX")
# Systems whose last code is a field: how the index stay was paid and ended, and the last drug dispensed.
LAST_CODES = {"DRG": "DRG", "discharge disposition": "DISP", "last drug": "NDC"}
# Only the most frequent codes of the reference are kept apart; an index of hundreds of rare ones is mostly noise.
MOST_CODES = 40
OTHER, NONE = "other", "none"


def drift_fields(examples: pa.Table) -> dict[str, npt.NDArray[np.generic]]:
    """Take the fields of each example."""
    groups = audit_attributes(examples)
    fields: dict[str, npt.NDArray[np.generic]] = {"age_years": ages_in_years(examples)}
    fields |= {name: groups[name] for name in ("sex", "race", "entitlement", "region")}
    fields["dual status"] = _or_none(patient_token(examples, DUAL))
    fields["length_of_stay_days"] = examples["length_of_stay_days"].to_numpy().astype(np.float64)
    fields |= {f"{kind} visits": count for kind, count in _visits_by_type(examples).items()}
    fields["days since last visit"] = _days_since_last_visit(examples)
    owner, codes = _codes(examples)
    fields["codes"] = np.bincount(owner, minlength=examples.num_rows).astype(np.float64)
    fields |= {name: _last_code(owner, codes, system, examples.num_rows) for name, system in LAST_CODES.items()}
    return fields


def keep_frequent(
    fields: dict[str, npt.NDArray[np.generic]], reference: dict[str, npt.NDArray[np.generic]], most: int = MOST_CODES
) -> dict[str, npt.NDArray[np.generic]]:
    """Put one name in the place of codes that are not among the most frequent of the reference.

    Args:
        fields (`dict[str, NDArray]`): Fields of a period, or of the reference itself.
        reference (`dict[str, NDArray]`): Fields of the reference as [`drift_fields`] gives them.
        most (`int`, *optional*, defaults to 40): Codes that keep their names in each field of `LAST_CODES`.

    Returns:
        `dict[str, NDArray]`: Other fields as they are.

    Examples:
        >>> reference = {"DRG": np.array(["DRG/1", "DRG/1", "DRG/2"])}
        >>> keep_frequent({"DRG": np.array(["DRG/1", "DRG/2", "DRG/3"])}, reference, most=1)["DRG"].tolist()
        ['DRG/1', 'other', 'other']
    """
    kept = dict(fields)
    for name in LAST_CODES:
        if name in fields:
            names, counts = np.unique(reference[name], return_counts=True)
            # By name among equals, which `np.unique` has sorted.
            frequent = names[np.argsort(-counts, kind="stable")[:most]]
            kept[name] = np.where(np.isin(fields[name], frequent), fields[name], OTHER)
    return kept


def _visits_by_type(examples: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
    lists = examples["visit_type"].combine_chunks()
    owner = pc.list_parent_indices(lists).to_numpy()
    kinds = pc.list_flatten(lists)
    counts = {}
    for kind in VISIT_TYPES:
        inside = pc.equal(kinds, kind).to_numpy(zero_copy_only=False).astype(bool)
        counts[kind] = np.bincount(owner[inside], minlength=len(lists)).astype(np.float64)
    return counts


def _days_since_last_visit(examples: pa.Table) -> npt.NDArray[np.float64]:
    """Days from the last visit that began before the admission, NaN where there is none."""
    lists = examples["visit_day"].combine_chunks()
    owner = pc.list_parent_indices(lists).to_numpy()
    days_back = examples["admission_day"].to_numpy()[owner] - pc.list_flatten(lists).to_numpy()
    found = np.full(len(lists), np.inf)
    before = days_back > 0
    np.minimum.at(found, owner[before], days_back[before])
    return np.where(np.isinf(found), np.nan, found)


def _codes(examples: pa.Table) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Example and text of every code, in the order of the visits."""
    visits = examples["codes"].combine_chunks()
    codes = pc.list_flatten(visits)
    owner_of_visit = pc.list_parent_indices(visits).to_numpy()
    owner: npt.NDArray[np.int64] = owner_of_visit[pc.list_parent_indices(codes).to_numpy()].astype(np.int64)
    return owner, pc.list_flatten(codes).cast(pa.string())


def _last_code(owner: npt.NDArray[np.int64], codes: pa.Array, system: str, rows: int) -> npt.NDArray[np.str_]:
    """The last code of a system in each example, `"none"` where there is none."""
    inside = np.flatnonzero(pc.starts_with(codes, f"{system}/").to_numpy(zero_copy_only=False))
    last = np.full(rows, -1)
    # Positions grow with the visits, so the last one that is written stays.
    np.maximum.at(last, owner[inside], inside)
    return _or_none(codes.take(pa.array(last, mask=last < 0)))


def _or_none(texts: pa.Array) -> npt.NDArray[np.str_]:
    found: npt.NDArray[np.str_] = pc.fill_null(texts, NONE).to_numpy(zero_copy_only=False).astype(str)
    return found
