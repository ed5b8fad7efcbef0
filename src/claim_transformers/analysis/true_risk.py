"""The simulator's own risk as a score: the ceiling that a model can reach. For evaluation only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# Outcome of a cohort: its name in the simulator's table of true risks.
OUTCOMES = {"asthma_exacerbation": "asthma_hospitalization", "suicide_attempt": "suicide_attempt"}


def true_risk_scores(examples: pa.Table, true_risk: pa.Table, definition: Mapping[str, Any]) -> NDArray[np.float64]:
    """The true risk of each example at its index date over the horizon of the label.

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
    if definition["name"] not in OUTCOMES:
        raise ValueError(f"expected a cohort among {sorted(OUTCOMES)}, found {definition['name']!r}")
    horizon_days = int(definition["label"]["horizon_days"])
    import pyarrow.compute as pc

    chosen = true_risk.filter(
        pc.and_(
            pc.equal(true_risk["outcome"], OUTCOMES[definition["name"]]),
            pc.equal(true_risk["horizon_days"], horizon_days),
        )
    )
    # Arrow's join does not keep the order of the left table, so the row travels with it.
    left = pa.table(
        {
            "patient_id": examples["patient_id"].cast(pa.string()),
            "day": examples["index_day"].cast(pa.int32()),
            "row": pa.array(np.arange(examples.num_rows)),
        }
    )
    right = pa.table(
        {
            "patient_id": chosen["patient_id"].cast(pa.string()),
            "day": chosen["index_date"].cast(pa.int32()),
            "risk": chosen["risk"].cast(pa.float64()),
        }
    )
    joined = left.join(right, keys=["patient_id", "day"], join_type="left outer").sort_by("row")
    missing = joined["risk"].null_count
    if missing:
        raise ValueError(
            f"expected a true risk over {horizon_days} days at every index date, "
            f"missing for {missing} of {examples.num_rows} examples"
        )
    risk: NDArray[np.float64] = joined["risk"].to_numpy()
    controls_share, cases_share = definition["sampled_share"]
    in_sample: NDArray[np.float64] = risk * cases_share / (risk * cases_share + (1 - risk) * controls_share)
    return in_sample
