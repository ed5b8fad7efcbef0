"""Subgroups of a predicted number: whether what is predicted for each group is what was observed."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.patient_draws import draw
from claim_transformers.analysis.audit.subgroup_numbers import group_members
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.claims.small_cells import show_counts
from claim_transformers.training.metrics import FloatArray


def number_group_table(
    labels: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    attributes: Mapping[str, npt.ArrayLike],
    patients: npt.NDArray[np.int64],
    *,
    replicates: int,
    seed: int = 0,
) -> ResultTable:
    """One row per group: patients, mean predicted and observed, their ratio; nothing of fewer than 11 patients."""
    names, members = group_members(attributes, len(labels))
    member = np.stack(members, axis=1).astype(np.float64)

    def numbers(weights: FloatArray) -> FloatArray:
        rows, observed, predicted = (
            weights @ (member * values[:, None]) for values in (1 + 0 * labels, labels, scores)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.concatenate([observed / rows, predicted / rows, predicted / observed], axis=1)

    found = draw(numbers, len(labels), patients, replicates=replicates, seed=seed).intervals()
    counts = {name: len(np.unique(patients[own])) for name, own in zip(names, members, strict=True)}
    shown: dict[tuple[str, str], int | str] = {}
    for attribute in attributes:
        # Of a patient whose group changes, the groups add up to more: then nobody can subtract.
        own = {name: counts[name] for name in names if name[0] == attribute}
        total = {("all", ""): sum(own.values())}
        shown |= show_counts(total | own, [(("all", ""), list(own))], public=[("all", "")])
    rows: list[dict[str, Cell]] = []
    for place, (attribute, group) in enumerate(names):
        row: dict[str, Cell] = {"attribute": attribute, "group": group, "patients": shown[attribute, group]}
        measured = {"observed": 0, "predicted": 1, "predicted/observed": 2}
        is_hidden = isinstance(shown[attribute, group], str)
        rows.append(
            row | {name: None if is_hidden else found[at * len(names) + place] for name, at in measured.items()}
        )
    return ResultTable("What is predicted by subgroup", rows, ["95 % intervals draw patients."])
