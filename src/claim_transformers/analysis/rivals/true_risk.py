"""True risk of the simulator as a score: what a model could know at most. For evaluation only."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.claims.small_cells import show_count, show_part_of

# Outcome of a cohort: its name in the simulator's table of true risks.
_OUTCOMES = {"asthma_exacerbation": "asthma_hospitalization", "suicide_attempt": "suicide_attempt"}
# Horizons of the exact monthly risks: the days of the month that begins at their index date.
_MONTH_DAYS = (28, 29, 30, 31)


def true_risk_scores(examples: pa.Table, true_risk: pa.Table, definition: Mapping[str, Any]) -> NDArray[np.float64]:
    """The true risk of each example at its index date.

    With fixed index dates it is the risk over the horizon of the label: no model can be better but by chance.

    With `next_encounter` the index date is a visit, and no risk of a single day is written. A case stands at `t` with
    the hazard of its month, `h(t)`; a control stands at one of its visits, which fall on each of its `m` months in the
    window alike unless its encounters crowd. Then the odds of a case among those who have an encounter at `t` are
    `h(t) * m`, and that is the score. It knows the patient's true state and when the patient is insured, but not how
    crowded encounters are at `t`: see docs/cohorts.md for what it bounds.

    A cohort that keeps all cases and few controls has a higher rate than the population. The odds are multiplied by
    the ratio of the two shares that were kept, so that the score is the risk in the sample, as the models estimate it;
    the order of patients does not change.

    Args:
        examples (`pa.Table`): A split of a cohort, with `patient_id` and `index_day` (days since 1970-01-01).
        true_risk (`pa.Table`): `patient_id`, `index_date`, `outcome`, `horizon_days` and `risk`, as the simulator
            writes them.
        definition (`dict`): The definition of the cohort, as saved in its folder, with `sampled_share`.

    Returns:
        `NDArray[float]` of shape `(examples,)`: Probabilities.

    Raises:
        ValueError: If the cohort has no simulated outcome, or an example has no true risk at its index date.
    """
    if definition["name"] not in _OUTCOMES:
        raise ValueError(f"expected a cohort among {sorted(_OUTCOMES)}, found {definition['name']!r}")
    import pyarrow.compute as pc

    is_wanted = pc.equal(true_risk["outcome"], _OUTCOMES[definition["name"]])
    # Millions of rows, of which the patients of a cohort are few.
    ids = examples["patient_id"].cast(pa.string()).combine_chunks()
    of_outcome = true_risk.filter(pc.and_(is_wanted, pc.is_in(true_risk["patient_id"], value_set=ids)))
    if definition["index"]["rule"] == "next_encounter":
        odds = _odds_at_encounter(examples, of_outcome, definition["index"])
    else:
        horizon_days = int(definition["label"]["horizon_days"])
        chosen = of_outcome.filter(pc.equal(of_outcome["horizon_days"], horizon_days))
        index_day = examples["index_day"].cast(pa.int32())
        risk = _look_up(
            examples["patient_id"], index_day, _by_day(chosen), f"over {horizon_days} days at every index date"
        )
        odds = risk / (1 - risk)
    controls_share, cases_share = definition["sampled_share"]
    odds *= cases_share / controls_share
    return odds / (1 + odds)


def stay_risk_scores(
    examples: pa.Table,
    true_risk: pa.Table,
    outcome: str = "readmission_any",
    *,
    missing: Literal["refuse", "nan"] = "refuse",
) -> NDArray[np.float64]:
    """The true risk of readmission after each index stay, of a patient who stays insured."""
    import pyarrow.compute as pc

    if missing not in ("refuse", "nan"):
        raise ValueError(f"expected missing to be 'refuse' or 'nan', found {missing!r}")
    ids = examples["patient_id"].cast(pa.string()).combine_chunks()
    is_wanted = pc.equal(true_risk["outcome"], outcome)
    if not pc.any(is_wanted).as_py():
        found = sorted(pc.unique(true_risk["outcome"].cast(pa.string())).to_pylist())
        raise ValueError(f"expected a true risk out of {', '.join(found)}, found {outcome!r}")
    of_outcome = true_risk.filter(pc.and_(is_wanted, pc.is_in(true_risk["patient_id"], value_set=ids)))
    by_day = _by_day(of_outcome, "discharge_date")
    stays = by_day.group_by(["patient_id", "day"]).aggregate([]).num_rows
    if stays < by_day.num_rows:
        raise ValueError(
            f"expected one true risk of each stay, found {show_count(by_day.num_rows)} of {show_count(stays)} stays"
        )
    days = examples["discharge_day"].cast(pa.int32())
    if missing == "nan":
        return _joined_risks(examples["patient_id"], days, by_day)
    return _look_up(examples["patient_id"], days, by_day, "after every index stay")


def _odds_at_encounter(examples: pa.Table, risks: pa.Table, index: Mapping[str, Any]) -> NDArray[np.float64]:
    """Hazard of the month of the index date times the months in the window in which the patient is at risk."""
    import pyarrow.compute as pc

    monthly = risks.filter(pc.is_in(risks["horizon_days"].cast(pa.int64()), value_set=pa.array(_MONTH_DAYS)))
    months = np.asarray(monthly["index_date"].to_numpy(), "datetime64[M]")
    window = [np.datetime64(index[end], "M") for end in ("first_date", "last_date")]
    by_day = _by_day(monthly.filter(pa.array((months >= window[0]) & (months <= window[1]))))
    patient_ids = examples["patient_id"].cast(pa.string())
    days = np.asarray(examples["index_day"].to_numpy(), "datetime64[D]")
    month_start = pa.array(days.astype("datetime64[M]").astype("datetime64[D]")).cast(pa.int32())
    hazard = _look_up(patient_ids, month_start, by_day, "in the month at every index date")
    at_risk = by_day["patient_id"].value_counts()
    row = pc.index_in(patient_ids, value_set=at_risk.field("values"))
    num_months: NDArray[np.int64] = at_risk.field("counts").take(row).to_numpy()
    return hazard * num_months


def _by_day(risks: pa.Table, date: str = "index_date") -> pa.Table:
    return pa.table(
        {
            "patient_id": risks["patient_id"].cast(pa.string()),
            "day": risks[date].cast(pa.int32()),
            "risk": risks["risk"].cast(pa.float64()),
        }
    )


def _look_up(patient_ids: pa.ChunkedArray, days: pa.ChunkedArray, risks: pa.Table, when: str) -> NDArray[np.float64]:
    risk = _joined_risks(patient_ids, days, risks)
    missing = int(np.isnan(risk).sum())
    if missing:
        raise ValueError(
            f"expected a true risk {when}, missing for {show_part_of(missing, len(patient_ids))} examples"
        )
    return risk


def _joined_risks(patient_ids: pa.ChunkedArray, days: pa.ChunkedArray, risks: pa.Table) -> NDArray[np.float64]:
    """The risk of each patient at each day, not a number where there is none."""
    # Arrow's join does not keep the order of the left table, so the row travels with it.
    rows = pa.array(np.arange(len(patient_ids)))
    left = pa.table({"patient_id": patient_ids.cast(pa.string()), "day": days, "row": rows})
    joined = left.join(risks, keys=["patient_id", "day"], join_type="left outer").sort_by("row")
    risk: NDArray[np.float64] = joined["risk"].to_numpy()
    return risk
