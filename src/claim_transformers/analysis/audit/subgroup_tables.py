"""Subgroup tables: one row per group, and one row per gap, without counts that would name anybody."""

from collections.abc import Sequence

from claim_transformers.analysis.audit.subgroups import MIN_SHOWN_PATIENTS, Subgroup, SubgroupAudit
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.training import MetricInterval

_HIDDEN = "hidden"
# Calibration lines further from 1 than this leave a bias of groups and a misfit of all rows hard to tell apart.
_SLOPE_TOLERANCE = 0.15


def subgroup_table(audit: SubgroupAudit, *, title: str = "The model by subgroup") -> ResultTable:
    """Show every group in one row: its size, its metrics, and what the audit says.

    A group of fewer than 11 patients shows no number, and one with fewer than 11 rows of either outcome no metric;
    where what is left out could be derived from the others of its attribute, the next smallest group hides its counts
    too (CMS cell-size policy).

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
    small, hidden = _suppressed(audit.subgroups, [found.patients for found in audit.subgroups])
    rare, unshared = _suppressed(audit.subgroups, [_smaller_class(found) for found in audit.subgroups])
    rows: list[dict[str, Cell]] = []
    for number, found in enumerate(audit.subgroups):
        row: dict[str, Cell] = {"attribute": found.attribute, "group": found.group}
        if number in small:
            row |= {"patients": f"<{MIN_SHOWN_PATIENTS}", "rows": _HIDDEN}
        else:
            keeps = number not in hidden
            row |= {"patients": found.patients if keeps else _HIDDEN, "rows": found.rows if keeps else _HIDDEN}
        row["outcome"] = None if number in small | hidden | rare | unshared else found.events / found.rows
        metrics = {gap.metric: gap.value for gap in found.gaps}
        row |= dict.fromkeys(metrics) if number in small | rare else metrics
        row["false negative rate"] = None if number in small | rare else _complement(metrics["recall"])
        row |= {"p Holm": None if number in small | rare else found.p_holm, "verdict": found.verdict}
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
    small, _ = _suppressed(audit.subgroups, [found.patients for found in audit.subgroups])
    rare, _ = _suppressed(audit.subgroups, [_smaller_class(found) for found in audit.subgroups])
    rows: list[dict[str, Cell]] = []
    for number, found in enumerate(audit.subgroups):
        for gap in found.gaps if number not in small | rare else ():
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


def _suppressed(subgroups: Sequence[Subgroup], counts: Sequence[int]) -> tuple[set[int], set[int]]:
    """Groups with counts of 1 to 10, and groups whose counts would give those away."""
    small: set[int] = set()
    hidden: set[int] = set()
    for attribute in dict.fromkeys(found.attribute for found in subgroups):
        of_attribute = [number for number, found in enumerate(subgroups) if found.attribute == attribute]
        of_attribute.sort(key=lambda number: counts[number])
        few = [number for number in of_attribute if counts[number] < MIN_SHOWN_PATIENTS]
        small |= set(few)
        # The total minus the groups that are shown gives what the others add up to.
        if few and sum(counts[number] for number in few) < MIN_SHOWN_PATIENTS:
            hidden |= set(of_attribute[len(few) : len(few) + 1])
    return small, hidden


def _smaller_class(found: Subgroup) -> int:
    return min(found.events, found.rows - found.events)


def _complement(interval: MetricInterval) -> MetricInterval:
    """One minus a rate, its ends exchanged."""
    value, low, high = (None if end is None else 1.0 - end for end in (interval.value, interval.high, interval.low))
    return MetricInterval(value, low, high, interval.clusters, interval.replicates, interval.level, interval.reason)


def _notes(audit: SubgroupAudit) -> list[str]:
    overall = audit.overall
    tested = [found.patients for found in audit.subgroups if found.p is not None]
    smallest = f"the smallest has {min(tested):,} patients" if tested else "none was large enough"
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
