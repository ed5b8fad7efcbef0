"""An explanation: what a prediction is made of, for a reader, for JSON and as a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

CODE, PATIENT, VISIT_TYPE, TIME = "code", "patient", "visit type", "time"
_VISIT = "visit"
PERCENTAGE_POINTS = "percentage points"
REASONS_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("code", pa.string()),
        ("name", pa.string()),
        ("visit", pa.int32()),
        ("days_before_index", pa.int32()),
        ("contribution", pa.float64()),
    ]
)
_NAME_WIDTH = 60
# A visit or a code is shown where it has more than this share of the contributions of all visits, or of all codes,
# without their signs: the sign of a smaller one is too often wrong (docs/benchmark, reasons_rule and reasons_sign).
SHOWN_VISIT_SHARE, SHOWN_CODE_SHARE = 0.1, 0.15


@dataclass(frozen=True)
class Explanation:
    """Signed contributions to one prediction: `base` and all of them add up to `prediction`, but for `unexplained`.

    It shows one record: keep it inside the boundary that the claims are in.

    Args:
        target (`str`): Name of the label that is predicted.
        unit (`str`): Unit of all numbers: `"percentage points"` of a probability, `"US dollars"` of an amount, or
            `"units of the outcome"`.
        base (`float`): Prediction for the same visits on the same days with average codes and an average patient.
        prediction (`float`): Prediction of the model.
        steps (`int`): Steps of the integral; 0 for `method="gradient"`, whose contributions do not add up.
        calibration (`str`): Method by which probabilities were calibrated, `"none"` where they are the model's own.
        reasons (`pa.Table`): One row per token: `kind` (`patient`, `code`, `visit type` or `time`), `code`, `name`,
            `visit` (number of the visit in view, 0 for the patient), `days_before_index` (days from the visit to the
            index date, without one to the last visit; null for the patient) and `contribution`.
        left_out (`Mapping[str, float]`, *optional*): Of each code that is large enough to be shown, how much less is
            predicted when it is left out of all visits.

    Examples:
        >>> rows = [
        ...     ("patient", "SEX/F", "female", 0, None, -1.0),
        ...     ("code", "HCPCS/99213", "99213", 1, 30, 0.5),
        ...     ("code", "HCPCS/99213", "99213", 2, 3, 1.5),
        ... ]
        >>> columns = [pa.array(column, field.type) for column, field in zip(zip(*rows), REASONS_SCHEMA)]
        >>> reasons = pa.table(columns, REASONS_SCHEMA)
        >>> left_out = {"HCPCS/99213": 2.5}
        >>> found = Explanation("readmitted", "percentage points", 12.0, 13.0, 16, "none", reasons, left_out)
        >>> found.codes.select(["code", "visits", "contribution", "shown"]).to_pylist()
        [{'code': 'HCPCS/99213', 'visits': 2, 'contribution': 2.0, 'shown': True}]
        >>> found.visits["contribution"].to_pylist(), found.unexplained
        ([0.5, 1.5], 0.0)
    """

    target: str
    unit: str
    base: float
    prediction: float
    steps: int
    calibration: str
    reasons: pa.Table
    left_out: Mapping[str, float] = field(default_factory=dict)

    @property
    def unexplained(self) -> float:
        """`float`: What is left of the prediction beside `base` and all contributions."""
        return self.prediction - self.base - float(pc.sum(self.reasons["contribution"], min_count=0).as_py())

    @property
    def visits(self) -> pa.Table:
        """`pa.Table`: One row per visit, the sum of its codes, its type and its time.

        It has the columns of `reasons`, and `shown`: whether it is more than 10 % of all visits without signs.
        """
        of_visits = self.reasons.filter(pc.greater(self.reasons["visit"], 0))
        sums = of_visits.group_by(["visit", "days_before_index"]).aggregate([("contribution", "sum")])
        types = of_visits.filter(pc.equal(of_visits["kind"], VISIT_TYPE))
        place = pc.index_in(sums["visit"], value_set=types["visit"].combine_chunks())
        columns = {
            "kind": pa.array([_VISIT], pa.string()).take(pa.array([0] * sums.num_rows, pa.int32())),
            "code": types["code"].take(place),
            "name": types["name"].take(place),
            "visit": sums["visit"],
            "days_before_index": sums["days_before_index"],
            "contribution": sums["contribution_sum"],
        }
        table = pa.table(columns, REASONS_SCHEMA).sort_by("visit")
        return table.append_column("shown", pa.array(is_large(table, SHOWN_VISIT_SHARE)))

    @property
    def codes(self) -> pa.Table:
        """`pa.Table`: `code`, `name`, `visits`, `contribution`, `left_out` and `shown` of each code.

        The largest is first. A code is shown where it is more than 15 % of all codes without signs, and the prediction
        changes the same way when it is left out of all visits.
        """
        table = self._summed(CODE)
        left_out = pa.array([self.left_out.get(code) for code in table["code"].to_pylist()], pa.float64())
        # What was not left out is too small to be shown.
        change = np.nan_to_num(left_out.to_numpy(zero_copy_only=False))
        shown = is_large(table, SHOWN_CODE_SHARE) & (np.sign(change) == np.sign(table["contribution"].to_numpy()))
        return table.append_column("left_out", left_out).append_column("shown", pa.array(shown))

    @property
    def patient(self) -> pa.Table:
        """`pa.Table`: The same of age, sex and what else describes the patient."""
        return self._summed(PATIENT)

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation in a form for JSON.

        Returns:
            `dict[str, Any]`: `target`, `unit`, `base`, `prediction`, `unexplained`, `steps`, `calibration`, and lists
            `patient`, `codes`, `visits` and `reasons`.
        """
        return {
            "target": self.target,
            "unit": self.unit,
            "base": self.base,
            "prediction": self.prediction,
            "unexplained": self.unexplained,
            "steps": self.steps,
            "calibration": self.calibration,
            "patient": self.patient.to_pylist(),
            "codes": self.codes.to_pylist(),
            "visits": self.visits.to_pylist(),
            "reasons": self.reasons.to_pylist(),
        }

    def to_table(self, top: int = 10) -> str:
        """Return the explanation as text for a terminal, with the codes and visits that are shown.

        Args:
            top (`int`, *optional*, defaults to `10`): Codes and visits at most, the largest first.

        Returns:
            `str`: One line per code, visit and fact of the patient, and sums that add up.
        """
        calibrated = "" if self.calibration == "none" else f", calibrated ({self.calibration})"
        lines = [f"{self.target}, {self.unit}{calibrated}", _line("base", "average codes and patient", self.base)]
        lines += [_line(row["code"], row["name"], row["contribution"], "+") for row in self.patient.to_pylist()]
        all_codes, all_visits = self.codes, _largest_first(self.visits, "visit")
        codes, visits = (table.filter(table["shown"]).slice(0, top) for table in (all_codes, all_visits))
        for row in codes.to_pylist():
            times = f" ({row['visits']} visits)" if row["visits"] > 1 else ""
            lines.append(_line(row["code"], row["name"], row["contribution"], "+", times))
        others = [("other codes", _total(all_codes) - _total(codes))] if codes.num_rows < all_codes.num_rows else []
        others += [(kind, total) for kind in (VISIT_TYPE, TIME) if (total := _total(self._of_kind(kind)))]
        lines += [_line(name, "", total, "+") for name, total in [*others, ("unexplained", self.unexplained)]]
        lines += [_line("prediction", "", self.prediction), *(["the same by visit:"] if all_visits.num_rows else [])]
        for row in visits.to_pylist():
            lines.append(_line(f"{row['days_before_index']} days before", row["name"], row["contribution"], "+"))
        if visits.num_rows < all_visits.num_rows:
            lines.append(_line("other visits", "", _total(all_visits) - _total(visits), "+"))
        return "\n".join(lines)

    def to_arrow(self) -> pa.Table:
        """Return tokens and visits in one table; the rows of kind `visit` are sums of others.

        Returns:
            `pa.Table`: `target`, the columns of `reasons`, `shown` (of codes, whether the code is, of visits, else
            null), `unit`, `base`, `prediction`, `calibration`.
        """
        codes = self.codes
        place = pc.index_in(self.reasons["code"], value_set=codes["code"].combine_chunks())
        of_code = pc.if_else(pc.equal(self.reasons["kind"], CODE), codes["shown"].combine_chunks().take(place), None)
        rows = pa.concat_tables([self.reasons.append_column("shown", of_code), self.visits])
        names = ("target", "unit", "base", "prediction", "calibration")
        same = {name: getattr(self, name) for name in names}
        columns = {
            name: pa.array([value]).take(pa.array([0] * rows.num_rows, pa.int32())) for name, value in same.items()
        }
        first, *last = columns.items()
        rows = rows.add_column(0, *first)
        for name, column in last:
            rows = rows.append_column(name, column)
        return rows

    def _of_kind(self, kind: str) -> pa.Table:
        return self.reasons.filter(pc.equal(self.reasons["kind"], kind))

    def _summed(self, kind: str) -> pa.Table:
        sums = (
            self._of_kind(kind)
            .group_by(["code", "name"])
            .aggregate([("visit", "count_distinct"), ("contribution", "sum")])
        )
        columns = [sums[name] for name in ("code", "name", "visit_count_distinct", "contribution_sum")]
        table = pa.table(columns, names=["code", "name", "visits", "contribution"])
        return _largest_first(table, "code")


def is_large(table: pa.Table, share: float) -> NDArray[np.bool_]:
    """Which contributions are more than a share of all in the table, without their signs."""
    sizes = np.abs(table["contribution"].to_numpy())
    large: NDArray[np.bool_] = sizes > share * sizes.sum()
    return large


def _largest_first(table: pa.Table, tie: str) -> pa.Table:
    """Rows by the size of their contribution, then by a column."""
    sized = table.append_column("size", pc.abs(table["contribution"]))
    return sized.sort_by([("size", "descending"), (tie, "ascending")]).drop_columns(["size"])


def _total(table: pa.Table) -> float:
    return float(pc.sum(table["contribution"], min_count=0).as_py())


def _line(code: str | None, name: str | None, value: float, sign: str = "", after: str = "") -> str:
    text = (name or "")[: _NAME_WIDTH - len(after)] + after
    return f"  {code or '':<20} {text:<{_NAME_WIDTH}} {value:{sign}10.3f}"
