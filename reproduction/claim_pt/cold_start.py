"""Contestants that are no neural network: logistic regression, gradient boosting, and the true risk as ceiling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from reproduction.engine.checkpoints import load_tokenizer, tokenizer_digest
from reproduction.engine.tables import CEILING, COLD_START
from reproduction.engine.tasks import Scores, Task

# As many settings as every other model has; they span what scikit-learn's users try first on log counts.
INVERSE_PENALTIES = (0.003, 0.01, 0.03, 0.1)
RECENT_COUNTS = (
    {"half_life_days": 90, "inverse_penalty": 0.03},
    {"half_life_days": 90, "inverse_penalty": 0.1},
    {"half_life_days": 180, "inverse_penalty": 0.03},
    {"half_life_days": 180, "inverse_penalty": 0.1},
)
BOOSTING = (
    {"learning_rate": 0.03, "max_leaf_nodes": 4},
    {"learning_rate": 0.03, "max_leaf_nodes": 8},
    {"learning_rate": 0.1, "max_leaf_nodes": 4},
    {"learning_rate": 0.1, "max_leaf_nodes": 8},
)


@dataclass(frozen=True)
class LogisticRegression:
    """LR Sparse and LR Dense of Claim-PT, Tables 1 and 2.

    Args:
        features (`str`): `"sparse"`, counts of codes, or `"dense"`, counts of categories.
    """

    features: Literal["sparse", "dense"]
    group: ClassVar[str] = COLD_START
    is_probability: ClassVar[bool] = True

    @property
    def slug(self) -> str:
        """Short name."""
        return f"lr-{self.features}"

    @property
    def name(self) -> str:
        """Name for tables."""
        return f"LR {self.features.title()}"

    @property
    def grid(self) -> Sequence[Mapping[str, Any]]:
        """Settings that are tried."""
        return [{"inverse_penalty": value} for value in INVERSE_PENALTIES]

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        return {"kind": "logistic regression", "features": self.features}

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted on the task: on any."""
        return True

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Fit the model and score validation and test."""
        from claim_transformers.analysis.rivals.baselines import fit_logistic_regression

        found = fit_logistic_regression(
            task.splits, features=self.features, rules=task.cohort.rules, seed=seed, **hyper
        )
        return Scores(found.scores["validation"], found.scores["test"], {"features": found.num_features})


@dataclass(frozen=True)
class RecentCounts:
    """LR Recent: logistic regression on counts of codes that fade with time, age and sex.

    The term that fine-tuning has beside the network, alone: what it brings without pretraining.

    Args:
        checkpoint (`str`): Checkpoint whose tokenizer is used.
    """

    checkpoint: str
    slug: ClassVar[str] = "lr-recent"
    name: ClassVar[str] = "LR Recent"
    group: ClassVar[str] = COLD_START
    is_probability: ClassVar[bool] = True
    grid: ClassVar[Sequence[Mapping[str, Any]]] = RECENT_COUNTS

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        return {"kind": "recent counts", "tokenizer": tokenizer_digest(self.checkpoint)}

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted on the task: with one label only."""
        return not task.cohort.is_multi_label

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Fit the model and score validation and test."""
        from sklearn.linear_model import LogisticRegression as Regression

        from claim_transformers.analysis.readout.outcome_head import count_tokens

        tokenizer = load_tokenizer(self.checkpoint)
        half_life_days = hyper["half_life_days"]
        counts = {
            split: count_tokens(tokens, len(tokenizer), half_life_days=half_life_days)
            for split, tokens in task.tokens(tokenizer).items()
        }
        model = Regression(C=hyper["inverse_penalty"], solver="liblinear", max_iter=2000, random_state=seed)
        model.fit(counts["train"], task.labels("train"))
        validation, test = (model.predict_proba(counts[split])[:, 1] for split in ("validation", "test"))
        return Scores(validation, test, {"features": int(counts["train"].shape[1])})


@dataclass(frozen=True)
class GradientBoosting:
    """Boosted trees on counts of codes and categories."""

    slug: ClassVar[str] = "gradient-boosting"
    name: ClassVar[str] = "Gradient boosting"
    group: ClassVar[str] = COLD_START
    is_probability: ClassVar[bool] = True
    grid: ClassVar[Sequence[Mapping[str, Any]]] = BOOSTING

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        return {"kind": "gradient boosting"}

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted on the task: with one label only."""
        return not task.cohort.is_multi_label

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Fit the model and score validation and test."""
        from claim_transformers.analysis.rivals.boosting import BoostingParameters, fit_gradient_boosting

        parameters = BoostingParameters(**hyper)
        found = fit_gradient_boosting(task.splits, rules=task.cohort.rules, parameters=parameters, seed=seed)
        details = {"features": found.num_features, "trees": found.parameters["trees"]}
        return Scores(found.scores["validation"], found.scores["test"], details)


@dataclass(frozen=True)
class TrueRiskCeiling:
    """The simulator's own risk: the ceiling that no model can pass but by chance."""

    slug: ClassVar[str] = "true-risk"
    name: ClassVar[str] = "True risk"
    group: ClassVar[str] = CEILING
    is_probability: ClassVar[bool] = True
    grid: ClassVar[Sequence[Mapping[str, Any]]] = ({},)

    def key(self) -> dict[str, Any]:
        """What decides about the scores beside the task."""
        return {"kind": "true risk"}

    def takes(self, task: Task) -> bool:
        """Whether there is a true risk: in simulated cohorts with one label."""
        return task.cohort.true_risk_file is not None and not task.cohort.is_multi_label

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Look the risk of validation and test patients up."""
        from claim_transformers.analysis import true_risk_scores

        true_risk = task.cohort.true_risk()
        validation, test = (
            true_risk_scores(task.splits[split], true_risk, task.cohort.definition) for split in ("validation", "test")
        )
        return Scores(validation, test)
