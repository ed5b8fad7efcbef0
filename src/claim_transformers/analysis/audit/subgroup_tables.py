"""Subgroup tables: one row per group, and one row per gap, without counts that would name anybody."""

from collections.abc import Mapping, Sequence

from claim_transformers.analysis.audit.subgroups import Subgroup, SubgroupAudit
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.claims.small_cells import FEW, HIDDEN, Shown, show_counts
from claim_transformers.training import MetricInterval

_CLASSES = ("events", "others")
_SUMS_OF_GROUP = {
    "rows": _CLASSES,
    "events": ("hits", "missed"),
    "others": ("alarms", "quiet"),
    "flagged": ("hits", "alarms"),
}
# Counts that a rate gives back, with those that are shown beside it.
_PARTS = {
    "recall": ("hits", "missed"),
    "false positive rate": ("alarms", "quiet"),
    "precision": ("hits", "alarms"),
    "Youden index": ("hits", "missed", "alarms", "quiet"),
}
# Calibration lines further from 1 than this leave a bias of groups and a misfit of all rows hard to tell apart.
_SLOPE_TOLERANCE = 0.15


def subgroup_table(audit: SubgroupAudit, *, title: str = "The model by subgroup") -> ResultTable:
    """Show every group in one row: its size, its metrics, and what the audit says.

    A count of 1 to 10 is hidden, of patients, of rows with or without the outcome, flagged or not, and with it every
    rate that would give it back. Where it could be derived from the other groups of its attribute, another group hides
    its count too, see [`show_counts`].

    Args:
        audit ([`SubgroupAudit`]): From [`audit_subgroups`].
        title (`str`, *optional*): Heading.

    Returns:
        [`ResultTable`]: Columns `attribute`, `group`, `patients`, `rows`, `outcome`, the five metrics, `false negative
        rate`, `p Holm` and `verdict`.

    Examples:
        >>> from claim_transformers.analysis.audit.subgroups import audit_subgroups
        >>> labels, risks, sex = [0, 0, 0, 1] * 50, [0.2, 0.2, 0.2, 0.4] * 50, ["F"] * 192 + ["X"] * 8
        >>> audit = audit_subgroups(labels, risks, {"sex": sex}, threshold=0.3, replicates=20)
        >>> [row["patients"] for row in subgroup_table(audit).rows]
        ['hidden', '<11']
    """
    rows: list[dict[str, Cell]] = []
    for found, cells in zip(audit.subgroups, _shown_cells(audit.subgroups), strict=True):
        row: dict[str, Cell] = {"attribute": found.attribute, "group": found.group}
        row |= {"patients": cells["patients"], "rows": cells["rows"]}
        is_known = not any(isinstance(cells[name], str) for name in ("rows", *_CLASSES))
        row["outcome"] = found.events / found.rows if is_known else None
        metrics = {gap.metric: gap.value if _is_shown(gap.metric, cells) else None for gap in found.gaps}
        recall = metrics["recall"]
        row |= metrics | {"false negative rate": None if recall is None else _complement(recall)}
        is_rare = FEW in (cells[name] for name in ("patients", *_CLASSES))
        row |= {"p Holm": None if is_rare else found.p_holm, "verdict": found.verdict}
        rows.append(row)
    return ResultTable(title, rows, _notes(audit))


def gap_table(audit: SubgroupAudit, *, title: str = "Gaps between subgroups") -> ResultTable:
    """Show every gap in one row: its size, what an equally good model would show, and where a bias shows.

    Args:
        audit ([`SubgroupAudit`]): From [`audit_subgroups`].
        title (`str`, *optional*): Heading.

    Returns:
        [`ResultTable`]: Groups that [`subgroup_table`] hides are left out; metrics without `p` are described, not
        tested.
    """
    shown = shown_metrics(audit)
    rows: list[dict[str, Cell]] = []
    for found, metrics in zip(audit.subgroups, shown, strict=True):
        for gap in found.gaps:
            if gap.metric not in metrics:
                continue
            rows.append(
                {
                    "attribute": found.attribute,
                    "group": found.group,
                    "metric": gap.metric,
                    "group's": gap.value,
                    "gap to the rest": gap.gap,
                    "expected gap": gap.expected_gap,
                    "excess": gap.excess,
                    "p": gap.p,
                    "verdict": gap.verdict,
                }
            )
    return ResultTable(title, rows, _notes(audit))


def shown_metrics(audit: SubgroupAudit) -> list[set[str]]:
    """Of each group the metrics that give no count of 1 to 10 back."""
    return [
        {gap.metric for gap in found.gaps if _is_shown(gap.metric, cells)}
        for found, cells in zip(audit.subgroups, _shown_cells(audit.subgroups), strict=True)
    ]


def _is_shown(metric: str, cells: Mapping[str, Shown]) -> bool:
    """Whether all counts are shown that a metric is made of, or that it would tell."""
    parts = ("patients", "rows", *_CLASSES, *_PARTS.get(metric, ()))
    return not any(isinstance(cells[name], str) for name in parts)


def _shown_cells(subgroups: Sequence[Subgroup]) -> list[dict[str, Shown]]:
    """Of each group what may be shown of its counts; what they add up to over an attribute is known from others."""
    shown: dict[tuple[int, str], Shown] = {}
    for attribute in dict.fromkeys(found.attribute for found in subgroups):
        # A group is given up for another by its place, not by its size; the first in the alphabet goes first.
        counts = {number: _counts(found) for number, found in enumerate(subgroups) if found.attribute == attribute}
        groups = sorted(counts, reverse=True)
        names = list(counts[groups[0]])
        totals = {(-1, name): sum(counts[number][name] for number in groups) for name in names}
        cells = {(number, name): counts[number][name] for name in names for number in groups}
        sums = [((-1, name), [(number, name) for number in groups]) for name in names]
        sums += [
            ((number, whole), [(number, part) for part in parts])
            for number in (-1, *groups)
            for whole, parts in _SUMS_OF_GROUP.items()
        ]
        shown |= show_counts(totals | cells, sums, public=list(totals))
    by_group = [
        {name: cell for (of_group, name), cell in shown.items() if of_group == number}
        for number in range(len(subgroups))
    ]
    # Many rows of few patients are as few.
    return [cells | ({"rows": HIDDEN} if isinstance(cells["patients"], str) else {}) for cells in by_group]


def _counts(found: Subgroup) -> dict[str, int]:
    """Patients and rows of a group, by outcome and by flag; those flagged follow from the rates."""
    rates = {gap.metric: gap.value.value or 0.0 for gap in found.gaps}
    others = found.rows - found.events
    hits, alarms = round(rates["recall"] * found.events), round(rates["false positive rate"] * others)
    return {
        "patients": found.patients,
        "rows": found.rows,
        "events": found.events,
        "others": others,
        "hits": hits,
        "missed": found.events - hits,
        "alarms": alarms,
        "quiet": others - alarms,
        "flagged": hits + alarms,
    }


def _complement(interval: MetricInterval) -> MetricInterval:
    """One minus a rate, its ends exchanged."""
    value, low, high = (None if end is None else 1.0 - end for end in (interval.value, interval.high, interval.low))
    return MetricInterval(value, low, high, interval.clusters, interval.replicates, interval.level, interval.reason)


def _notes(audit: SubgroupAudit) -> list[str]:
    overall = audit.overall
    tested = [
        cells["patients"]
        for found, cells in zip(audit.subgroups, _shown_cells(audit.subgroups), strict=True)
        if found.p is not None
    ]
    sizes = [size for size in tested if not isinstance(size, str)]
    smallest = f"the smallest that is shown has {min(sizes):,} patients" if sizes else "none that is shown"
    notes = [
        f"Each group against all other rows; {audit.tests} groups tested, {smallest}. 95 % intervals draw patients. A "
        "verdict goes by two looks at what was observed, decided in advance: events over those expected, and how well "
        "the threshold tells events apart (Youden index) beside a calibrated model as good in the group as elsewhere; "
        f"family-wise level over groups {audit.level:.0%} (Holm). Other metrics are described. Outcomes that were not "
        f"recorded cannot be seen. Rows above {audit.threshold:.3f} are flagged.",
        f"All rows: AUROC {overall['AUROC']:.3f}, observed/expected {overall['observed/expected']:.3f}, slope of the "
        f"calibration line {overall['slope']:.3f}, recall {overall['recall']:.3f}, false positive rate "
        f"{overall['false positive rate']:.3f}.",
    ]
    if abs(overall["slope"] - 1) > _SLOPE_TOLERANCE or abs(overall["observed/expected"] - 1) > _SLOPE_TOLERANCE:
        notes.append("The scores are not calibrated over all rows: recalibrate before reading a verdict.")
    return notes
