"""Rivals of a sequence model on counts: logistic regression and gradient boosting on what `count_features` reads.

A model is fitted once and can then be asked about any table of the same layout: another split, a later year, another
population. What it has no column for is left out.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.rivals.boosting import BoostingParameters
from claim_transformers.analysis.rivals.features import read_labels
from claim_transformers.analysis.rivals.linear_models import MAX_ITERATIONS, log_loss
from reproduction.medicare.count_features import CountFeatures, read_numbers

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FloatArray = NDArray[np.float64]

NAMES = {"lr": "Logistic regression", "gb": "Gradient boosting"}
# The `C` of scikit-learn, for thousands of columns of 0, 1 and log counts.
PENALTIES = (0.003, 0.01, 0.03, 0.1)
NUMBER_BINS = 8
BOOSTING = tuple(
    BoostingParameters(
        learning_rate=0.08, max_leaf_nodes=leaves, min_samples_leaf=40, l2_regularization=5.0, max_features=share
    )
    for leaves, share in ((3, 0.1), (4, 0.2), (8, 0.2), (16, 0.1))
)
# Most columns have two values; room for more costs time in every leaf.
MOST_BINS = 32
# Of each of the four blocks of codes and categories; trees take as long as there are columns, and more gained nothing.
MOST_OF_A_BLOCK = 100


class CountModel(Protocol):
    """What the tables and audits of the benchmark ask of a model."""

    @property
    def name(self) -> str:
        """Name for tables."""

    @property
    def slug(self) -> str:
        """Name for steps and files."""

    def predict(self, examples: pa.Table) -> FloatArray:
        """Probability of readmission of each example."""


@dataclass(frozen=True)
class FittedCountModel:
    """A fitted model and how to use it elsewhere.

    Args:
        name (`str`): Name for tables.
        slug (`str`): Name for steps and files.
        num_features (`int`): Columns that the model saw.
        parameters (`dict[str, float]`): What was chosen on the validation split.
        validation_loss (`float`): Log loss there.
    """

    name: str
    slug: str
    num_features: int
    parameters: Mapping[str, float]
    validation_loss: float
    _read: Callable[[pa.Table], Any] = field(repr=False)
    _score: Callable[[Any], FloatArray] = field(repr=False)

    def predict(self, examples: pa.Table) -> FloatArray:
        """Probability of readmission of each example.

        Args:
            examples (`pa.Table`): Examples of any readmission cohort.

        Returns:
            `NDArray[float]` of shape `(examples,)`: Probabilities.

        Raises:
            ValueError: If the last visit of an example is no inpatient visit.
        """
        # scikit-learn refuses a table without rows.
        return self._score(self._read(examples)) if examples.num_rows else np.zeros(0)


def fit_count_model(
    kind: Literal["lr", "gb"],
    train: pa.Table,
    validation: pa.Table,
    *,
    seed: int = 0,
    drop: Collection[str] = (),
) -> FittedCountModel:
    """Fit a model on counts, the best of four settings by log loss on the validation split.

    Args:
        kind (`str`): `"lr"`: logistic regression on all codes and categories, numbers in bins. `"gb"`: gradient
            boosting on the most common ones and the numbers as they are; trees are added while they help there too.
        train (`pa.Table`): Training examples of a readmission cohort.
        validation (`pa.Table`): Validation examples.
        seed (`int`, *optional*, defaults to 0): Seed of the columns that trees look at.
        drop (`Collection[str]`, *optional*): `"race"` and `"sex"` leave these inputs out.

    Returns:
        [`FittedCountModel`]: The model.

    Raises:
        ValueError: If the kind or what to drop is unknown, a split lacks one of the two labels, or no code has enough
            patients.
    """
    if kind not in NAMES:
        raise ValueError(f"expected a kind out of {', '.join(NAMES)}, found {kind!r}")
    splits = {"training": train, "validation": validation}
    labels = {name: read_labels(table) for name, table in splits.items()}
    for name, values in labels.items():
        if len(np.unique(values)) != 2:
            raise ValueError(f"expected both labels in the {name} split, found {len(np.unique(values))}")
    features = CountFeatures.fit(train, drop=drop, most=None if kind == "lr" else MOST_OF_A_BLOCK)
    read = _sparse_reader(features, train) if kind == "lr" else dense_reader(features, train)
    inputs = {name: read(table) for name, table in splits.items()}
    candidates = _linear_fits(inputs, labels) if kind == "lr" else _boosted_fits(inputs, labels, seed)
    losses = [log_loss(labels["validation"], score(inputs["validation"])) for _, score in candidates]
    best = int(np.argmin(losses))
    parameters, score = candidates[best]
    return FittedCountModel(NAMES[kind], kind, inputs["training"].shape[1], parameters, losses[best], read, score)


# ---- Logistic regression ----


def _sparse_reader(features: CountFeatures, train: pa.Table) -> Callable[[pa.Table], "csr_matrix"]:
    """Counts, and each number as one of a few bins with about equally many training examples, or as unknown."""
    shares = np.arange(1, NUMBER_BINS) / NUMBER_BINS
    known = [column[~np.isnan(column)] for column in read_numbers(train)[0].T]
    edges = [np.unique(np.quantile(column, shares)) if len(column) else np.zeros(0) for column in known]

    def read(examples: pa.Table) -> "csr_matrix":
        from scipy.sparse import csr_matrix, hstack

        values, _ = read_numbers(examples)
        rows, columns = values.shape
        bins = np.empty((rows, columns), np.int64)
        for column, edge in enumerate(edges):
            found = np.searchsorted(edge, values[:, column], side="right")
            bins[:, column] = np.where(np.isnan(values[:, column]), NUMBER_BINS, found)
        width = NUMBER_BINS + 1
        place = (bins + width * np.arange(columns)).ravel()
        shape = (rows, columns * width)
        binned = csr_matrix((np.ones(place.size), place, np.arange(rows + 1) * columns), shape=shape)
        return hstack([features.counts(examples), binned], format="csr")

    return read


def _linear_fits(
    inputs: Mapping[str, Any], labels: Mapping[str, NDArray[np.int64]]
) -> list[tuple[dict[str, float], Callable[[Any], FloatArray]]]:
    from sklearn.linear_model import LogisticRegression

    fits: list[tuple[dict[str, float], Callable[[Any], FloatArray]]] = []
    for C in PENALTIES:
        model = LogisticRegression(C=C, max_iter=MAX_ITERATIONS).fit(inputs["training"], labels["training"])
        fits.append(({"C": C}, lambda matrix, model=model: model.predict_proba(matrix)[:, 1]))  # type: ignore[misc]
    return fits


# ---- Gradient boosting ----


def dense_reader(features: CountFeatures, train: pa.Table) -> Callable[[pa.Table], NDArray[np.float32]]:
    """Counts beside numbers; trees bin every column, so single precision is enough."""
    # scikit-learn cannot bin a column without any number.
    known = ~np.isnan(read_numbers(train)[0]).all(axis=0)

    def read(examples: pa.Table) -> NDArray[np.float32]:
        values, _ = read_numbers(examples)
        counts = features.counts(examples).astype(np.float32)
        return np.hstack([values[:, known].astype(np.float32), counts.toarray()])

    return read


def _boosted_fits(
    inputs: Mapping[str, Any], labels: Mapping[str, NDArray[np.int64]], seed: int
) -> list[tuple[dict[str, float], Callable[[Any], FloatArray]]]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    held_out = {"X_val": inputs["validation"], "y_val": labels["validation"]}
    fits: list[tuple[dict[str, float], Callable[[Any], FloatArray]]] = []
    for setting in BOOSTING:
        model = HistGradientBoostingClassifier(
            **asdict(setting), max_bins=MOST_BINS, early_stopping=True, scoring="loss", tol=0.0, random_state=seed
        )
        model.fit(inputs["training"], labels["training"], **held_out)
        # The first validation score is that of no tree at all.
        trees = max(1, int(np.argmax(model.validation_score_)))

        def score(matrix: Any, model: Any = model, trees: int = trees) -> FloatArray:
            staged: FloatArray = next(islice(model.staged_predict_proba(matrix), trees - 1, None))
            return staged[:, 1]

        fits.append((asdict(setting) | {"trees": trees}, score))
    return fits
