"""Attrition table: how many patients each step left, and where the others went."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from claim_transformers.claims.small_cells import FEW, HIDDEN, Shown, is_small, show, show_counts


@dataclass(frozen=True)
class AttritionStep:
    """One row of the attrition table: what was asked, and how many patients were left.

    Args:
        step (`str`): What was asked, in words.
        patients (`int`): Patients left.
        removed (`int`): Patients that the step removed.
        reasons (`dict[str, int]`): Where those removed went, where that is known more closely: censored patients by
            what ended their observation, patients not drawn by their label.
        cases (`int`): Patients left with the outcome, once labels are known and where there is one outcome.
        controls (`int`): Patients left without it.

    Examples:
        >>> AttritionStep("alive", 90, 10).to_dict()
        {'step': 'alive', 'patients': 90, 'removed': 10}
    """

    step: str
    patients: int
    removed: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    cases: int | None = None
    controls: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values, without what does not apply."""
        row: dict[str, Any] = {"step": self.step, "patients": self.patients, "removed": self.removed}
        if self.reasons:
            row["reasons"] = dict(self.reasons)
        if self.cases is not None:
            row |= {"cases": self.cases, "controls": self.controls}
        return row


Ends = Mapping[str, Mapping[str, int]]  # what the examples are (cases, controls), and how many are in each split
_LABELS = ("cases", "controls")
_Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class ShownAttrition:
    """The attrition table as it may be shown: numbers, and marks for those that would tell of 1 to 10 people."""

    steps: Sequence[Mapping[str, Any]]  # What [`AttritionStep.to_dict`] gives of every step.
    ends: Mapping[str, Mapping[str, Shown]]  # Of cases and controls, or of all examples, how many are in each split.
    totals: Mapping[str, Shown]  # The same over all splits.
    splits: Mapping[str, Shown]  # Examples of each split.

    def to_list(self) -> list[dict[str, Any]]:
        """The steps for `attrition.json`; the last one holds `splits`, by split and what the examples are."""
        rows = [dict(step) for step in self.steps]
        if rows and self.splits:
            rows[-1]["splits"] = {
                split: {"all": self.splits[split], **{what: found[split] for what, found in self.ends.items()}}
                for split in self.splits
            }
        return rows


def show_attrition(steps: Sequence[AttritionStep], ends: Ends, *, raw_counts: bool = False) -> ShownAttrition:
    """Hide counts of 1 to 10 in a selection, and those that would give them away through any of its sums."""
    counts, sums = _tied_counts(steps, ends)
    last = len(steps) - 1
    # What is wanted most comes first: who is in at the end, who was there, then cases and controls.
    order: list[_Key] = [*((name, last) for name in ("patients", *_LABELS)), ("patients", 0)]
    order += [key for name in ("patients", *_LABELS) for key in counts if key[0] == name]
    ordered = {key: counts[key] for key in dict.fromkeys([*order, *counts]) if key in counts}
    shown = show_counts(ordered, sums, raw=raw_counts)
    if not raw_counts and any(is_small(counts.get((label, last), 0)) for label in _LABELS):
        # The definition may say how many controls there are per case, so that any count of examples gives both.
        of_examples = [key for key in shown if key[0] in ("end", "split") or last in key[1:2]]
        shown |= {key: HIDDEN for key in of_examples if counts[key] and shown[key] != FEW}
    rows = []
    for place, step in enumerate(steps):
        row = step.to_dict() | {name: shown[name, place] for name in ("patients", "removed")}
        if step.reasons:
            row["reasons"] = {reason: shown["reason", place, reason] for reason in step.reasons}
        row |= {label: shown[label, place] for label in _LABELS if label in row}
        rows.append(row)
    return ShownAttrition(
        rows,
        {what: {split: shown["end", what, split] for split in found} for what, found in ends.items()},
        {what: shown["end", what] for what in ends},
        {split: shown["split", split] for split in next(iter(ends.values()), {})},
    )


def read_attrition(rows: Sequence[Mapping[str, Any]], ends: Ends, *, raw_counts: bool = False) -> ShownAttrition:
    """What `attrition.json` holds as it may be shown: with its marks, or judged now where it has none."""
    splits = rows[-1].get("splits", {}) if rows else {}
    if any(_has_marks(value) for row in rows for name, value in row.items() if name != "step"):
        # They were saved as shown, ends included.
        return ShownAttrition(
            rows,
            {what: {split: found[what] for split, found in splits.items()} for what in ends},
            {},
            {split: found["all"] for split, found in splits.items()},
        )
    names = ("step", "patients", "removed", "reasons", *_LABELS)
    steps = [AttritionStep(**{name: row[name] for name in names if name in row}) for row in rows]
    return show_attrition(steps, ends, raw_counts=raw_counts)


def _has_marks(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_marks, value.values()))
    return isinstance(value, str)


def _tied_counts(steps: Sequence[AttritionStep], ends: Ends) -> tuple[dict[_Key, int], list[tuple[_Key, list[_Key]]]]:
    """Every count of a selection by what it is, those in between that are never printed, and what adds up to what."""
    counts: dict[_Key, int] = {}
    sums: list[tuple[_Key, list[_Key]]] = []
    for place, step in enumerate(steps):
        counts |= {("patients", place): step.patients, ("removed", place): step.removed}
        counts |= {("reason", place, reason): count for reason, count in step.reasons.items()}
        if step.reasons and step.removed >= sum(step.reasons.values()):
            counts["unexplained", place] = step.removed - sum(step.reasons.values())
            of_removed = [("reason", place, reason) for reason in step.reasons]
            sums.append((("removed", place), [*of_removed, ("unexplained", place)]))
        if step.cases is not None and step.controls is not None:
            counts |= {("cases", place): step.cases, ("controls", place): step.controls}
            sums.append((("patients", place), [("cases", place), ("controls", place)]))
    for place, (before, after) in enumerate(pairwise(steps), start=1):
        sums.append((("patients", place - 1), [("patients", place), ("removed", place)]))
        for label in _LABELS if before.cases is not None and after.cases is not None else ():
            lost = ("reason", place, f"{label} not drawn")
            counts.setdefault(lost, max(0, counts[label, place - 1] - counts[label, place]))
            sums.append(((label, place - 1), [(label, place), lost]))
    last = len(steps) - 1
    for what, found in ends.items():
        counts["end", what] = sum(found.values())
        counts |= {("end", what, split): count for split, count in found.items()}
        sums.append((("end", what), [("end", what, split) for split in found]))
        if (what, last) in counts:
            sums.append(((what, last), [("end", what)]))
    for split in next(iter(ends.values()), {}):
        counts["split", split] = sum(found[split] for found in ends.values())
        sums.append((("split", split), [("end", what, split) for what in ends]))
    if ends and steps:
        sums.append((("patients", last), [("end", what) for what in ends]))
    # A sum that does not hold is none that a reader could go by.
    return counts, [(total, parts) for total, parts in sums if counts[total] == sum(counts[part] for part in parts)]


def describe_steps(steps: Sequence[AttritionStep]) -> str:
    """Who is left after each step, as a part of a message."""
    return ", ".join(f"{step['step']}: {show(step['patients'])}" for step in show_attrition(steps, {}).steps)


def attrition_rows(attrition: ShownAttrition) -> list[tuple[str, str, str]]:
    """The attrition table as rows of text, with cases and controls where they are known and by split."""
    rows = []
    for step in attrition.steps:
        rows.append((str(step["step"]), show(step["patients"]), show(step["removed"])))
        rows += [(f"  {reason}", "", show(count)) for reason, count in step.get("reasons", {}).items()]
        if "cases" in step:
            rows.append(("  cases / controls", f"{show(step['cases'])} / {show(step['controls'])}", ""))
    rows += [(f"of these {name}", show(total), "") for name, total in attrition.totals.items()]
    for split in attrition.splits:
        counts = " / ".join(show(splits[split]) for splits in attrition.ends.values())
        rows.append((f"  {split}: {' / '.join(attrition.ends)}", counts, ""))
    return rows
