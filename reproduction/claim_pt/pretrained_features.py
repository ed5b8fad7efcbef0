"""Contestants that leave a pretrained model as it is: linear probes, and the outcome read off the pretraining head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from claim_transformers.analysis.readout.cohort_outcome import outcome_prefixes
from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
from reproduction.engine.checkpoints import checkpoint_digest, load_pretrained
from reproduction.engine.tasks import BenchmarkCohort, Scores, Task

PROBE_PENALTIES = (0.0001, 0.001, 0.01, 0.1)
FROZEN, NO_LABELS = "frozen", "no labels"


@dataclass(frozen=True)
class LinearProbe:
    """Claim-PT Start and Claim-PT Pool: logistic regression on the vectors of a frozen model.

    Args:
        checkpoint (`str`): Folder or name of the pretrained model.
        pooling (`str`): `"start"`, the patient position, or `"pool"`, the visits.
    """

    checkpoint: str
    pooling: Literal["start", "pool"]
    group: ClassVar[str] = FROZEN
    is_probability: ClassVar[bool] = True

    @property
    def slug(self) -> str:
        """Short name."""
        return f"claim-pt-{self.pooling}"

    @property
    def name(self) -> str:
        """Name for tables."""
        return f"Claim-PT {self.pooling.title()}"

    @property
    def grid(self) -> Sequence[Mapping[str, Any]]:
        """Settings that are tried."""
        return [{"C": value} for value in PROBE_PENALTIES]

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        return {"kind": "probe", "pooling": self.pooling, "checkpoint": checkpoint_digest(self.checkpoint)}

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted on the task: on any."""
        return True

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Fit the probe and score validation and test."""
        from claim_transformers.analysis.readout.probes import fit_linear_probe

        everyone = _vectors(self.checkpoint, self.pooling, _Held(task.cohort))
        vectors = {split: everyone[table["row"].to_numpy()] for split, table in task.splits.items()}
        labels = {split: task.labels(split) for split in task.splits}
        found = fit_linear_probe(vectors, labels, hyper["C"], name=self.name, seed=seed)
        return Scores(found.scores["validation"], found.scores["test"], {"features": found.num_features})


@dataclass(frozen=True)
class NextVisitHead:
    """Claim-PT NVP: the probability that the next visit carries the outcome's codes, without a single label.

    Args:
        checkpoint (`str`): Folder or name of the pretrained model.
    """

    checkpoint: str
    slug: ClassVar[str] = "claim-pt-nvp"
    name: ClassVar[str] = "Claim-PT NVP"
    group: ClassVar[str] = NO_LABELS
    is_probability: ClassVar[bool] = False
    grid: ClassVar[Sequence[Mapping[str, Any]]] = ({},)

    def key(self) -> dict[str, Any]:
        """What decides about the scores beside the task."""
        return {"kind": "next visit head", "checkpoint": checkpoint_digest(self.checkpoint)}

    def takes(self, task: Task) -> bool:
        """Whether the head can be asked: for any outcome that is a set of codes or a category."""
        return True

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Score validation and test."""
        everyone = _next_visit_scores(self.checkpoint, _Held(task.cohort))
        validation, test = (everyone[task.splits[split]["row"].to_numpy()] for split in ("validation", "test"))
        return Scores(validation, test)


@dataclass(frozen=True)
class _Held:
    """A cohort that can be a key of a cache."""

    cohort: BenchmarkCohort

    def __hash__(self) -> int:
        return hash(self.cohort.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.cohort is self.cohort


# A frozen model says the same of a patient in every repeat, so each cohort is read once per process.
@lru_cache(maxsize=8)
def _vectors(checkpoint: str, pooling: Literal["start", "pool"], held: _Held) -> NDArray[np.float32]:
    from claim_transformers.analysis.readout.probes import patient_vectors

    model, tokenizer = load_pretrained(checkpoint)
    return patient_vectors(model, held.cohort.tokens(tokenizer), pooling)


@lru_cache(maxsize=8)
def _next_visit_scores(checkpoint: str, held: _Held) -> NDArray[np.float64]:
    from claim_transformers.analysis.readout.zero_shot import next_visit_probability

    model, tokenizer = load_pretrained(checkpoint)
    tokens = held.cohort.tokens(tokenizer)
    if held.cohort.is_multi_label:
        return next_visit_categories(model, tokenizer, tokens, held.cohort)
    codes, together = outcome_prefixes(held.cohort.definition)
    return next_visit_probability(model, tokens, tokenizer, codes, together_with=together, allow_wider=True)


def next_visit_categories(
    model: ClaimForPreTraining, tokenizer: ClaimTokenizer, tokens: pa.Table, cohort: BenchmarkCohort
) -> NDArray[np.float64]:
    """Read the probability of every category of a cohort's label off the next-visit head.

    A head over codes gives a category `1 - prod(1 - p)` over the codes that the category rules put there, a head over
    categories gives it outright. A category that the head does not know gets 0.

    Args:
        model ([`ClaimForPreTraining`]): A pretrained model.
        tokenizer ([`ClaimTokenizer`]): Its tokenizer.
        tokens (`pa.Table`): All examples of the cohort, tokenised.
        cohort ([`BenchmarkCohort`]): Gives the names of the labels and the category rules.

    Returns:
        `NDArray[float]` of shape `(examples, labels)`.
    """
    from claim_transformers.analysis.readout.probes import evaluating, token_batches
    from claim_transformers.codes import category_of

    if model.config.nvp_target == "category":
        outputs, categories = tokenizer.num_categories, list(tokenizer.category_names)
    else:
        outputs, categories = len(tokenizer), [""] * len(tokenizer)
        targets = [
            i for i in np.flatnonzero(tokenizer.target_mask).tolist() if "/" in tokenizer.convert_ids_to_tokens(i)
        ]
        codes = pa.array(tokenizer.convert_ids_to_tokens(targets), pa.string())
        for i, code, category in zip(
            targets, codes.to_pylist(), category_of(codes, cohort.rules).to_pylist(), strict=True
        ):
            # A category token stands for the codes of its category that have none of their own.
            categories[i] = category or code
    column_of = {name: column for column, name in enumerate(cohort.label_names)}
    pairs = [(row, column_of[name]) for row, name in enumerate(categories) if name in column_of]
    members = torch.zeros(outputs, len(column_of))
    if pairs:
        members[tuple(torch.tensor(pairs).T)] = 1.0
    scores = np.zeros((tokens.num_rows, len(column_of)))
    with evaluating(model):
        for rows, batch in token_batches(tokens, model.config, 256, model.device):
            logits = model.predict_next_visit(**batch).float().cpu()
            # log(1 - sigmoid(x)) = -softplus(x): small probabilities keep their digits.
            scores[rows] = -torch.expm1(-(torch.nn.functional.softplus(logits) @ members)).double().numpy()
    return scores
