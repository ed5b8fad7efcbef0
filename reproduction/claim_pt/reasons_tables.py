"""Tables of reasons: which rule shows those with the right sign, signs and ranks, and what leaving visits out does."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis import ResultTable
from claim_transformers.analysis.explanation.explanation import SHOWN_CODE_SHARE, SHOWN_VISIT_SHARE
from claim_transformers.training import MetricInterval, clustered_interval
from claim_transformers.training.metrics import Value, weighted_mean
from reproduction.claim_pt.reasons_study import RANKINGS, SHARES
from reproduction.claim_pt.removed_causes import CAUSES
from reproduction.claim_pt.visible_causes import MIXED
from reproduction.engine.tables import setting_table

# A cause that changes the true risk by less, in percentage points, has no sign.
NO_EFFECT = 0.05
_TRIED = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2)
_SHOWN = {"visit": (SHOWN_VISIT_SHARE, False), "code": (SHOWN_CODE_SHARE, True)}
_UNITS = ("visit", "code")
_METHOD = (
    "Truth: the simulated life of each child again without a cause (asthma stays, emergency visits, flares in the "
    "office or controllers never happen; asthma or another condition never begins), drawn with the same random "
    "numbers, and the risk of a stay within a year from the state on the index date, a mean over 256 paths that are "
    "drawn alike. The change is the risk minus that without the cause."
)
_CAUSES_OF_REASONS = (
    "A visit shows the cause that its codes name as the simulator writes them; the cause of a code is that of the "
    f"visits from which most of its contribution comes. A change below {NO_EFFECT} percentage points has no sign; "
    "fills of a controller with another drug are left out."
)


def rule_table(reasons: pa.Table) -> ResultTable:
    """Signs of the reasons that rules would show, on the splits that are for the choice of one."""
    rows = []
    for unit in _UNITS:
        found = _Reasons.of(reasons, unit)
        for left_out in (False, True):
            for share in _TRIED:
                rule = f"more than {share:.0%} of all" + (", and the same way when left out" if left_out else "")
                signs = found.signs(found.is_large(share, left_out=left_out))
                rows.append({"reasons": f"{unit}s", "shown where a contribution is": rule, **signs})
    title = "Signs of the reasons that a rule shows, on the splits that it was chosen on"
    return setting_table(title, rows, [_METHOD, _CAUSES_OF_REASONS])


def sign_table(reasons: pa.Table) -> ResultTable:
    """Signs of all reasons and of those that are shown, on other patients and models than those of the rule."""
    rows: list[dict[str, Any]] = []
    for unit in _UNITS:
        found, (share, left_out) = _Reasons.of(reasons, unit), _SHOWN[unit]
        everything, shown = np.ones(len(found), bool), found.is_large(share, left_out=left_out)
        rows.append({"reasons": f"all {unit}s", **found.signs(everything)})
        rows.append({"reasons": f"{unit}s that are shown", **found.signs(shown)})
        for cause in CAUSES:
            if (mask := shown & (found.cause == cause)).any():
                rows.append({"reasons": f"{unit}s that are shown, {cause.replace('_', ' ')}", **found.signs(mask)})
    rule = (
        f"Shown: visits of more than {SHOWN_VISIT_SHARE:.0%} of the contributions of all visits without their signs; "
        f"codes of more than {SHOWN_CODE_SHARE:.0%} of those of all codes which also change the prediction alike "
        "when they are left out of all visits. Every model and patient is another than in that choice."
    )
    title = "Signs of reasons against what their causes bring in truth"
    return setting_table(title, rows, [rule, _METHOD, _CAUSES_OF_REASONS])


def rank_table(reasons: pa.Table) -> ResultTable:
    """Whether the causes that bring more have the larger contributions, within a patient and between patients."""
    rows: list[dict[str, Any]] = []
    for name, column in (("integrated gradients", "contribution"), ("gradient", "gradient"), ("left out", "left_out")):
        sums = (
            reasons.filter(pc.equal(reasons["unit"], "visit"))
            .group_by(["patient", "prediction", "cause"])
            .aggregate([(column, "sum"), ("change", "max"), ("change", "min")])
        )
        sums = sums.filter(pc.is_in(sums["cause"], value_set=pa.array(CAUSES)))
        change = (sums["change_max"].to_numpy() + sums["change_min"].to_numpy()) / 2
        value, patient = sums[f"{column}_sum"].to_numpy(), sums["patient"].to_numpy()
        rows.append(
            {
                "contributions": name,
                "concordance within a patient": _concordance(value, change, patient, sums["prediction"].to_numpy()),
                "rank correlation over all": clustered_interval(_rank_correlation, change, value, patient),
            }
        )
    notes = [
        "Contributions of the visits of a cause, summed, against its change of the true risk. Concordance: of two "
        "causes that the record of a patient shows, how often that with the larger change has the larger sum (0.5 is "
        "chance).",
        _METHOD,
    ]
    return setting_table("Ranks of causes by contributions and in truth", rows, notes)


def erasure_table(erased: pa.Table) -> ResultTable:
    """How far the prediction moves back without the first visits of a ranking, and with these alone."""
    rows: list[dict[str, Any]] = []
    for ranking in RANKINGS:
        of_ranking = erased.filter(pc.equal(erased["ranking"], ranking))
        name = "integrated gradients" if ranking == "integrated" else ranking.replace("_", " ")
        row: dict[str, Any] = {"visits ranked by": name}
        for measure in ("comprehensiveness", "sufficiency"):
            for share in SHARES:
                part = of_ranking.filter(pc.equal(of_ranking["share"], share))
                values, patient = part[measure].to_numpy(), part["patient"].to_numpy()
                row[f"{measure}, {share:.0%}"] = _mean(values, patient)
        rows.append(row)
    notes = [
        "Percentage points by which the prediction moves towards its base: comprehensiveness when the first visits "
        "are left out (more is better), sufficiency when only they stay (less is better). Visits that push the "
        "prediction the way it lies come first; attention, the vector of the paper, has no sign. Random: three orders."
    ]
    return setting_table("Leaving out whole visits", rows, notes)


class _Reasons:
    """Reasons of one unit as arrays; those of mixed causes count in sums alone."""

    def __init__(self, table: pa.Table) -> None:
        patients = np.stack([table[name].to_numpy() for name in ("patient", "prediction")])
        of_row = np.unique(patients, axis=1, return_inverse=True)[1].ravel()
        sizes = np.abs(table["contribution"].to_numpy())
        is_told = pc.not_equal(table["cause"], MIXED)
        told = np.asarray(is_told)
        self._share, self._of = (sizes / np.bincount(of_row, sizes)[of_row])[told], of_row[told]
        table = table.filter(is_told)
        self.patient, self.cause = table["patient"].to_numpy(), np.array(table["cause"].to_pylist(), dtype=object)
        names = ("contribution", "change", "left_out")
        self.contribution, self.change, self.left_out = (table[name].to_numpy() for name in names)

    def __len__(self) -> int:
        return len(self.patient)

    @classmethod
    def of(cls, reasons: pa.Table, unit: str) -> "_Reasons":
        return cls(reasons.filter(pc.equal(reasons["unit"], unit)))

    def is_large(self, share: float, *, left_out: bool) -> NDArray[np.bool_]:
        """More than a share of all of the patient without signs; with `left_out`, that change has the same sign."""
        large: NDArray[np.bool_] = self._share > share
        return large & (np.sign(self.left_out) == np.sign(self.contribution)) if left_out else large

    def signs(self, shown: NDArray[np.bool_]) -> dict[str, Any]:
        """How many are shown, and how often their sign is right."""
        has_sign = shown & (np.abs(self.change) >= NO_EFFECT)
        right = (np.sign(self.contribution) == np.sign(self.change)).astype(np.float64)
        patients = len(np.unique(self._of))
        return {
            "per patient": float(shown.sum() / patients),
            "have a cause": _mean(has_sign[shown].astype(np.float64), self.patient[shown]),
            "right sign, of these": _mean(right[has_sign], self.patient[has_sign]),
            "right sign, of all": _mean((right * has_sign)[shown], self.patient[shown]),
        }


def _mean(values: NDArray[np.float64], patient: NDArray[Any]) -> MetricInterval | None:
    if not len(values):
        return None
    return clustered_interval(
        lambda labels, scores, weights=None: weighted_mean(labels, weights), values, values, patient
    )


def _concordance(
    value: NDArray[np.float64], change: NDArray[np.float64], patient: NDArray[Any], prediction: NDArray[np.float64]
) -> MetricInterval | None:
    first, second = np.nonzero(np.triu(prediction[:, None] == prediction[None, :], 1))
    differ = np.abs(change[first] - change[second]) >= NO_EFFECT
    first, second = first[differ], second[differ]
    agree = np.sign(change[first] - change[second]) == np.sign(value[first] - value[second])
    return _mean(agree.astype(np.float64), patient[first])


def _rank_correlation(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Correlation of ranks, which are those of all rows in every replicate."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(labels), rankdata(scores)])
    weights_RN = np.atleast_2d(np.ones(ranks.shape[1]) if weights is None else np.asarray(weights, np.float64))
    means_R2 = weights_RN @ ranks.T / weights_RN.sum(axis=1, keepdims=True)
    squares_R2 = weights_RN @ (ranks**2).T / weights_RN.sum(axis=1, keepdims=True) - means_R2**2
    both_R = weights_RN @ ranks.prod(axis=0) / weights_RN.sum(axis=1) - means_R2.prod(axis=1)
    found = both_R / np.sqrt(squares_R2.prod(axis=1))
    return float(found[0]) if weights is None else found
