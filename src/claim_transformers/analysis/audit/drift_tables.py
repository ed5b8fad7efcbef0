"""Drift tables: one row per period, and one row per period and field."""

from collections.abc import Sequence

from claim_transformers.analysis.audit.drift import PeriodDrift
from claim_transformers.analysis.audit.stability import STABLE
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.claims.small_cells import hides_share, show_part
from claim_transformers.training import MetricInterval


def drift_table(measured: Sequence[PeriodDrift], *, title: str = "Drift by period") -> ResultTable:
    """Show every period in one row.

    Args:
        measured (`list[PeriodDrift]`): From [`measure_drift`].
        title (`str`, *optional*): Heading.

    Returns:
        [`ResultTable`]: Inputs, then performance; columns that no period has are left out.

    Raises:
        ValueError: If there is no period.
    """
    if not measured:
        raise ValueError("expected at least one period, found none")
    rows: list[dict[str, Cell]] = []
    for found in measured:
        moved = [field.field for field in found.fields if field.verdict != STABLE]
        row: dict[str, Cell] = {
            "period": found.period,
            "rows": show_part(found.rows, found.rows),
            "largest PSI": found.worst_field.index,
            "of field": found.worst_field.field,
            "fields that moved": len(moved),
            "unseen codes": found.unseen.occurrences if found.unseen else None,
            "codes backed off": found.unseen.backed_off if found.unseen else None,
            "domain AUROC": found.domain_auroc,
            "p domain": found.domain_p,
            "inputs": found.verdict,
            "estimated AUROC": found.estimated,
            "true AUROC": found.true,
            "estimated minus true": _minus(found.estimated, found.true),
            "p change": found.change_p,
            "performance": found.performance,
        }
        rows.append(row)
    empty = [name for name in rows[0] if all(row[name] is None for row in rows)]
    kept: list[dict[str, Cell]] = [{name: row[name] for name in row if name not in empty} for row in rows]
    note = (
        "PSI: population stability index, bins from the reference. A field has moved above 0.1 (marked above 0.25) and"
        " beyond what samples of the reference show. The domain classifier tells the period from the reference, "
        "cross-validated by patient. The estimated AUROC needs no labels: it is what calibrated probabilities let "
        "expect. p-values are corrected over the periods (Holm)."
    )
    return ResultTable(title, kept, [note])


def field_table(measured: Sequence[PeriodDrift], *, title: str = "Population stability by field") -> ResultTable:
    """Show every field of every period in one row.

    Args:
        measured (`list[PeriodDrift]`): From [`measure_drift`].
        title (`str`, *optional*): Heading.

    Returns:
        [`ResultTable`]: The index, the noise, the share of unseen categories and a verdict.
    """
    rows: list[dict[str, Cell]] = [
        {
            "period": found.period,
            "field": field.field,
            "PSI": field.index,
            "noise": field.noise,
            # A share of rows gives their number back.
            "unseen categories": None if hides_share(round(field.unseen * found.rows), found.rows) else field.unseen,
            "verdict": field.verdict,
        }
        for found in measured
        for field in found.fields
    ]
    return ResultTable(
        title, rows, ["Noise: what samples of the reference's own patients stay below, but for chance."]
    )


def _minus(one: MetricInterval | None, other: MetricInterval | None) -> float | None:
    if one is None or other is None or one.value is None or other.value is None:
        return None
    return one.value - other.value
