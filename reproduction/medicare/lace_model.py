"""The LACE index as a rival: points that were fixed by doctors, turned into probabilities on the validation split.

It needs six months before the admission, and revenue centres and places of service to know emergency care, so it has
a cohort of its own with the same stays in the same order.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.audit.recalibration import fit_isotonic
from claim_transformers.analysis.rivals.clinical_score import EMERGENCY_DAYS, lace_scores
from claim_transformers.analysis.rivals.features import read_labels
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition
from claim_transformers.training import Calibration

MOST_POINTS = 19
EMERGENCY_COLUMNS = ("rev", "pos")


@dataclass(frozen=True)
class LaceModel:
    """The index, recalibrated.

    Args:
        curve ([`Calibration`]): From points, as a share of all, to a probability.
        name (`str`, *optional*, defaults to `"LACE index"`): Name for tables.
        slug (`str`, *optional*, defaults to `"lace"`): Name for steps and files.
    """

    curve: Calibration
    name: str = "LACE index"
    slug: str = "lace"

    @classmethod
    def fit(cls, validation: pa.Table) -> "LaceModel":
        """Fit the curve.

        Args:
            validation (`pa.Table`): Validation examples of a cohort of [`lace_definition`].

        Returns:
            [`LaceModel`]: The model.

        Raises:
            ValueError: If there is one class only, or as `lace_scores`.
        """
        return cls(fit_isotonic(read_labels(validation), _share_of_points(validation)))

    def predict(self, examples: pa.Table) -> NDArray[np.float64]:
        """Probability of readmission of each example.

        Args:
            examples (`pa.Table`): Examples of a cohort of [`lace_definition`].

        Returns:
            `NDArray[float]` of shape `(examples,)`: Probabilities; the same for all stays of equal points.

        Raises:
            ValueError: As `lace_scores`.
        """
        return self.curve(_share_of_points(examples))


def lace_definition(definition: ReadmissionDefinition) -> ReadmissionDefinition:
    """Make the definition of the same stays with what the index has to see.

    Args:
        definition ([`ReadmissionDefinition`]): The definition of the other models.

    Returns:
        [`ReadmissionDefinition`]: Six months of history at least, revenue centres and places of service.

    Examples:
        >>> wide = lace_definition(ReadmissionDefinition("stays"))
        >>> wide.rule, wide.look_back_days, wide.code_columns
        ('stays', 183, ('diagnoses', 'procedures', 'hcpcs', 'drg', 'ndc', 'rev', 'pos'))
    """
    added = [name for name in EMERGENCY_COLUMNS if name not in definition.code_columns]
    days = max(definition.look_back_days, EMERGENCY_DAYS)
    return replace(definition, look_back_days=days, code_columns=(*definition.code_columns, *added))


def check_same_stays(examples: pa.Table, others: pa.Table) -> None:
    """Refuse two tables that are not of the same stays in the same order.

    Args:
        examples (`pa.Table`): Examples with `patient_id` and `discharge_day`.
        others (`pa.Table`): Examples of the same split of another cohort.

    Raises:
        ValueError: If they differ in length or a row is another stay; the message holds counts.

    Examples:
        >>> stays = pa.table({"patient_id": ["a", "b"], "discharge_day": [7, 9]})
        >>> check_same_stays(stays, stays)
        >>> check_same_stays(stays, stays.take([1, 0]))
        Traceback (most recent call last):
            ...
        ValueError: expected the same stays in the same order, found 2 of 2 rows that differ
    """
    if examples.num_rows != others.num_rows:
        raise ValueError(f"expected the same stays, found {examples.num_rows} and {others.num_rows} of them")
    differs = np.zeros(examples.num_rows, bool)
    for name in ("patient_id", "discharge_day"):
        differs |= pc.not_equal(examples[name], others[name]).to_numpy().astype(bool)
    if differs.any():
        found = f"found {int(differs.sum())} of {len(differs)} rows that differ"
        raise ValueError(f"expected the same stays in the same order, {found}")


def _share_of_points(examples: pa.Table) -> NDArray[np.float64]:
    return lace_scores(examples).total / MOST_POINTS
