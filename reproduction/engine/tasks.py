"""A cohort in one of its splits: what every model of a table is fitted on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.codes import CategoryRules, category_rules
from reproduction.engine.splits import Repeat, limit_training, number_patients, split_examples

if TYPE_CHECKING:
    import datasets

    from claim_transformers.models.claim import ClaimTokenizer

DEFINITION = "cohort.json"


@dataclass
class BenchmarkCohort:
    """All examples of a cohort, and what models need beside them.

    Args:
        name (`str`): Name of the cohort, for steps and tables.
        key (`str`): Digest of the cohort: two cohorts with one key are the same.
        examples (`pa.Table`): All examples, from `number_patients`.
        definition (`dict`): The definition that is saved with the cohort, with `sampled_share`.
        rules (`CategoryRules`): From code to category.
        true_risk_file (`Path`, *optional*): The simulator's risks, for evaluation only.
    """

    name: str
    key: str
    examples: pa.Table
    definition: Mapping[str, Any]
    rules: CategoryRules
    true_risk_file: Path | None = None
    _tokens: dict[str, pa.Table] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: str | Path, *, raw: str | Path | None = None, name: str | None = None) -> "BenchmarkCohort":
        """Read a cohort folder.

        Args:
            folder (`str` or `Path`): Folder that `claim-transformers cohort` or a step wrote; its name is the key.
            raw (`str` or `Path`, *optional*): Folder of the simulation, for true risks.
            name (`str`, *optional*): Another name than that of the definition.

        Returns:
            [`BenchmarkCohort`]: The cohort, whatever split its examples were saved in.

        Raises:
            ValueError: If the folder is no cohort.
        """
        from datasets import load_from_disk

        folder = Path(folder)
        if not (folder / DEFINITION).is_file():
            raise ValueError(
                f"expected a cohort with {DEFINITION} in {folder.name!r}, found none; run the script prepare first"
            )
        splits = load_from_disk(str(folder))
        examples = pa.concat_tables(split.with_format("arrow")[:] for split in splits.values() if len(split))
        definition = json.loads((folder / DEFINITION).read_text(encoding="utf-8"))
        return cls(
            name or str(definition["name"]).replace("_", "-"),
            folder.name,
            number_patients(examples),
            definition,
            category_rules(),
            None if raw is None else Path(raw) / "true_risk.parquet",
        )

    def true_risk(self) -> pa.Table:
        """Read the simulator's risks of the patients of the cohort.

        Returns:
            `pa.Table`: As the simulator writes them.

        Raises:
            ValueError: If the cohort is not of simulated claims.
        """
        if self.true_risk_file is None:
            raise ValueError(f"expected the risks of a simulation for {self.name!r}, found none")
        of_cohort = pc.is_in(pc.field("patient_id").cast(pa.string()), pc.unique(self.examples["patient_id"]))
        return pq.read_table(self.true_risk_file, filters=of_cohort)

    @property
    def label_names(self) -> list[str]:
        """Names of the labels where an example has a list of them."""
        return list(self.definition.get("label_names", ()))

    @property
    def is_multi_label(self) -> bool:
        """Whether an example has a list of labels instead of one."""
        kind = self.examples.schema.field("label").type
        return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind))

    def describe(self) -> str:
        """Say how many patients there are, and how the share of cases came about."""
        title, rows = self.definition["title"], self.examples.num_rows
        if self.is_multi_label:
            return f"{title}: {rows:,} patients, {len(self.label_names)} categories."
        cases = int(np.count_nonzero(self.examples["label"].to_numpy()))
        controls_share, cases_share = self.definition["sampled_share"]
        return (
            f"{title}: {cases:,} cases and {rows - cases:,} controls. Cases are {cases / rows:.0%} of the sample, "
            f"because {cases_share:.0%} of them and {controls_share:.1%} of the controls were kept; Brier score and "
            "calibration are of risks in the sample, not in the population."
        )

    def task(self, repeat: int, *, train_patients: int | None = None) -> "Task":
        """Split the cohort."""
        split = split_examples(self.examples, self.name, repeat)
        if train_patients is not None:
            split = limit_training(split, train_patients, self.name)
        return Task(self, split)

    def tokens(self, tokenizer: "ClaimTokenizer") -> pa.Table:
        """Tokenise all examples, once for all repeats and models that share a tokenizer."""
        from claim_transformers.training.tokenized_patients import tokenizer_digest

        digest = tokenizer_digest(tokenizer)
        if digest not in self._tokens:
            self._tokens[digest] = tokenizer.encode_table(self.examples)
        return self._tokens[digest]


@dataclass(frozen=True)
class Task:
    """A cohort in one split.

    Args:
        cohort ([`BenchmarkCohort`]): The cohort.
        repeat ([`Repeat`]): Its split.
    """

    cohort: BenchmarkCohort
    repeat: Repeat

    @property
    def splits(self) -> Mapping[str, pa.Table]:
        """`train`, `validation` and `test` as tables."""
        return self.repeat.splits

    def key(self) -> dict[str, Any]:
        """What decides about the task, for the parameters of a step."""
        return {"cohort": self.cohort.key, "split": self.repeat.key()}

    def labels(self, split: str) -> NDArray[np.int64]:
        """Labels of a split, `(N,)`, or `(N, K)` where an example has a list of them."""
        from claim_transformers.analysis.rivals.features import read_labels

        return read_labels(self.splits[split])

    def tokens(self, tokenizer: "ClaimTokenizer") -> dict[str, "datasets.Dataset"]:
        """Tokenised splits as data sets for the trainer."""
        import datasets

        table = self.cohort.tokens(tokenizer)
        return {
            name: datasets.Dataset(table.take(split["row"].combine_chunks()).combine_chunks())
            for name, split in self.splits.items()
        }


@dataclass(frozen=True)
class Scores:
    """What a model says of the validation and the test patients.

    Args:
        validation (`NDArray[float]`): Scores of shape `(N,)`, or `(N, K)` for several labels.
        test (`NDArray[float]`): The same for the test split.
        details (`dict`, *optional*): What JSON can hold: the best epoch, the number of features.
    """

    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    details: Mapping[str, Any] = field(default_factory=dict)


def predictions_table(task: Task, split: str, scores: NDArray[np.float64]) -> pa.Table:
    """Write scores down, one row per example and without identifiers.

    Args:
        task ([`Task`]): The task.
        split (`str`): `"validation"` or `"test"`.
        scores (`NDArray[float]`): Scores of the split in row order.

    Returns:
        `pa.Table`: `split`, `patient` (number of the patient in the cohort), and `label` and `score`; with several
        labels `ranks` instead: the place of each true label among all, from 1, and where the cohort says so `is_new`.

    Raises:
        ValueError: If there is not one score per example, or a score is not finite.
    """
    labels = task.labels(split)
    if scores.shape != labels.shape:
        raise ValueError(f"expected scores of shape {labels.shape} as the labels have, found {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, found NaN or infinity")
    columns: dict[str, Any] = {
        "split": pa.array([split] * len(labels)).dictionary_encode(),
        "patient": task.splits[split]["patient"].cast(pa.int32()),
    }
    if labels.ndim == 1:
        return pa.table({**columns, "label": labels.astype(np.int8), "score": scores})
    columns["ranks"] = ranks_of_labels(labels, scores)
    if "is_new" in task.splits[split].column_names:
        is_new = np.array(task.splits[split]["is_new"].to_pylist(), bool).reshape(labels.shape)
        columns["is_new"] = pa.ListArray.from_arrays(columns["ranks"].offsets, pa.array(is_new[labels == 1]))
    return pa.table(columns)


def ranks_of_labels(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> pa.Array:
    """Find the place of each true label among all labels of its row; of equal scores the earlier column is first.

    Args:
        labels (`NDArray[int]` of shape `(N, K)`): 0 or 1.
        scores (`NDArray[float]` of shape `(N, K)`): Larger means likelier.

    Returns:
        `pa.Array` of `list<int16>`: Places from 1, in the order of the columns.

    Examples:
        >>> ranks_of_labels(np.array([[1, 0, 1], [0, 0, 0]]), np.array([[0.2, 0.5, 0.9], [0.1, 0.2, 0.3]])).to_pylist()
        [[3, 1], []]
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, scores.shape[1] + 1)[None, :], axis=1)
    offsets = np.concatenate([[0], np.cumsum(labels.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(ranks[labels == 1].astype(np.int16)))
