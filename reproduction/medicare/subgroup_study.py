"""Is a model as good for one group as for another, and is it still when it cannot see race and sex?

Every model is audited on the same test stays at its own threshold, with the same draws of patients. The paper (section
5.3) masks "race- and gender-related variables" and looks again; the table side by side shows what that moves. Masking
does not make a model fair: what race stands for is on claims too, and where a group is readmitted more often than its
claims say, a model without race underestimates it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from claim_transformers.analysis.audit.patient_draws import REPLICATES
from claim_transformers.analysis.audit.subgroup_attributes import audit_attributes
from claim_transformers.analysis.audit.subgroup_tables import gap_table, subgroup_table
from claim_transformers.analysis.audit.subgroups import LEVEL, audit_subgroups
from claim_transformers.analysis.audit.threshold import gmean_threshold
from claim_transformers.analysis.result_table import Cell, ResultTable
from reproduction.engine.steps import Workspace
from reproduction.medicare.populations import example_patients
from reproduction.medicare.stored_tables import Tables, stored_tables

SHOWN = ("AUROC", "observed/expected")


@dataclass(frozen=True)
class AuditedModel:
    """What an audit needs of a model.

    Args:
        name (`str`): Name for the tables, such as `"LR, race and sex masked"`.
        probabilities (`NDArray[float]` of shape `(N,)`): Risks of the test stays, recalibrated on validation.
        threshold (`float`): Chosen on validation, see [`choose_thresholds`].
    """

    name: str
    probabilities: npt.NDArray[np.float64]
    threshold: float

    @property
    def slug(self) -> str:
        """Name for files.

        Examples:
            >>> AuditedModel("LR, race and sex masked", np.zeros(1), 0.5).slug
            'lr-race-and-sex-masked'
        """
        return slug_of(self.name)


def slug_of(name: str) -> str:
    """Turn a name into one for files.

    Args:
        name (`str`): Any name with a letter or a digit.

    Returns:
        `str`: Small letters, digits and `-`.

    Raises:
        ValueError: If nothing is left.

    Examples:
        >>> slug_of("Claim encoder (frozen)")
        'claim-encoder-frozen'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise ValueError(f"expected a name with a letter or a digit, found {name!r}")
    return slug


def choose_thresholds(labels: npt.ArrayLike, probabilities: Mapping[str, npt.ArrayLike]) -> dict[str, float]:
    """Choose the G-mean threshold of every model on validation.

    Args:
        labels (array of shape `(N,)`): Labels of the validation stays.
        probabilities (`Mapping[str, array of shape (N,)]`): Recalibrated risks of these stays by name of the model.

    Returns:
        `dict[str, float]`: Thresholds by name.

    Raises:
        ValueError: If the labels have one class, or shapes differ.

    Examples:
        >>> choose_thresholds([0, 0, 1, 1], {"LR": [0.1, 0.3, 0.5, 0.9]})
        {'LR': 0.4}
    """
    found = {name: float(gmean_threshold(labels, scores)) for name, scores in probabilities.items()}
    if any(np.isnan(list(found.values()))):
        raise ValueError("expected both classes in the validation split, found one; no threshold can be chosen")
    return found


def audit_models(
    workspace: Workspace,
    examples: pa.Table,
    labels: npt.ArrayLike,
    probabilities: Mapping[str, npt.ArrayLike],
    thresholds: Mapping[str, float],
    *,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Tables:
    """Audit several models on the same stays by sex, age, race, entitlement and region.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        examples (`pa.Table`): Test split of a readmission cohort.
        labels (array of shape `(N,)`): 0 or 1.
        probabilities (`Mapping[str, array of shape (N,)]`): Recalibrated risks by name of the model.
        thresholds (`Mapping[str, float]`): Thresholds by name, see [`choose_thresholds`].
        level (`float`, *optional*, defaults to `0.05`): Family-wise level of each audit.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        `dict[str, ResultTable]`: By file name `subgroups-MODEL` and `gaps-MODEL` of each model, and
        `subgroups-side-by-side`.

    Raises:
        ValueError: If there is no model, two names give one file name, or as [`audit_subgroups`].
        KeyError: If a model has no threshold.
    """
    models = [
        AuditedModel(name, np.asarray(risks, np.float64), float(thresholds[name]))
        for name, risks in probabilities.items()
    ]
    slugs = [model.slug for model in models]
    if not models or len(set(slugs)) < len(slugs):
        raise ValueError(f"expected models with names of their own, found the file names {slugs}")
    attributes, patients = audit_attributes(examples), example_patients(examples)
    labels = np.asarray(labels, np.int64)
    common: dict[str, Any] = {"level": level, "replicates": replicates, "seed": seed}
    # The draws go by patient, so who is who decides, and not how the patients are called.
    common |= {"stays": _digest(labels, patients, *attributes.values())}
    tables: Tables = {}
    for model in models:

        def make(model: AuditedModel = model) -> Tables:
            audit = audit_subgroups(
                labels,
                model.probabilities,
                attributes,
                threshold=model.threshold,
                patients=patients,
                level=level,
                replicates=replicates,
                seed=seed,
            )
            return {
                f"subgroups-{model.slug}": subgroup_table(audit, title=f"{model.name}: by subgroup"),
                f"gaps-{model.slug}": gap_table(audit, title=f"{model.name}: gaps between subgroups"),
            }

        parameters = {"model": model.name, "threshold": model.threshold, "risks": _digest(model.probabilities)}
        tables |= stored_tables(workspace, f"subgroups/{model.slug}", common | parameters, make)
    return tables | {"subgroups-side-by-side": side_by_side(models, tables)}


def side_by_side(models: list[AuditedModel], tables: Mapping[str, ResultTable]) -> ResultTable:
    """Put the groups of several models side by side.

    Args:
        models (`list[AuditedModel]`): The models.
        tables (`Mapping[str, ResultTable]`): With `subgroups-MODEL` of each.

    Returns:
        [`ResultTable`]: One row per group; what [`subgroup_table`] hides stays hidden.
    """
    rows: list[dict[str, Cell]] = []
    parts = [tables[f"subgroups-{model.slug}"].rows for model in models]
    for group in zip(*parts, strict=True):
        row: dict[str, Cell] = {name: group[0][name] for name in ("attribute", "group", "patients")}
        for model, found in zip(models, group, strict=True):
            row |= {f"{model.name}: {column}": found[column] for column in (*SHOWN, "verdict")}
        rows.append(row)
    note = (
        "Same stays and same draws of patients; each model at its own threshold. A model that cannot see a group may "
        "still know it from what else is on its claims."
    )
    return ResultTable("Models by subgroup, side by side", rows, [note])


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
