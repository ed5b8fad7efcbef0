"""Attrition table: how many patients each step left, and where the others went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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


def attrition_rows(steps: Sequence[AttritionStep], ends: Ends) -> list[tuple[str, str, str]]:
    """The attrition table as rows of text, with cases and controls where they are known and by split (`ends`).

    Examples:
        >>> ends = {"cases": {"train": 20, "test": 10}, "controls": {"train": 40, "test": 20}}
        >>> for row in attrition_rows([AttritionStep("known", 90, 10, {"died": 10}, 30, 60)], ends): row
        ('known', '90', '10')
        ('  died', '', '10')
        ('  cases / controls', '30 / 60', '')
        ('of these cases', '30', '')
        ('of these controls', '60', '')
        ('  train: cases / controls', '20 / 40', '')
        ('  test: cases / controls', '10 / 20', '')
    """
    rows = []
    for step in steps:
        rows.append((step.step, f"{step.patients:,}", f"{step.removed:,}"))
        rows += [(f"  {reason}", "", f"{count:,}") for reason, count in step.reasons.items()]
        if step.cases is not None:
            rows.append(("  cases / controls", f"{step.cases:,} / {step.controls:,}", ""))
    rows += [(f"of these {name}", f"{sum(splits.values()):,}", "") for name, splits in ends.items()]
    for split in next(iter(ends.values()), {}):
        counts = " / ".join(f"{splits[split]:,}" for splits in ends.values())
        rows.append((f"  {split}: {' / '.join(ends)}", counts, ""))
    return rows
