"""Tables of next-visit recall, every number with an interval over resampled patients."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.training.bootstrap import MetricInterval, clustered_interval, paired_difference
from claim_transformers.training.metrics import Value, weighted_mean
from reproduction.claim_pt.next_visit_baselines import NextVisitScores
from reproduction.claim_pt.next_visit_task import (
    QUESTIONS,
    NextVisitRows,
    log_loss_of_rows,
    recall_of_rows,
)

KS = (5, 10, 20)
# Weights of the network against the count regression in their blend.
SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class NextVisitReport:
    """Recall of several models on the same held-out visits.

    Args:
        title (`str`): Heading.
        recalls (`dict[str, dict[str, dict[int, MetricInterval]]]`): By model, question and k.
        best_simple (`dict[str, dict[int, str]]`): The simple model with the highest recall, by question and k.
        differences (`dict[str, dict[str, dict[int, MetricInterval]]]`): Of every model that is not simple to that one,
            paired, by model, question and k.
        chosen (`dict[str, dict]`): What each model chose on the validation rows.
        facts (`dict`, *optional*): Sizes and settings, for the caption.
    """

    title: str
    recalls: Mapping[str, Mapping[str, Mapping[int, MetricInterval]]]
    best_simple: Mapping[str, Mapping[int, str]]
    differences: Mapping[str, Mapping[str, Mapping[int, MetricInterval]]]
    chosen: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return every figure unrounded, ready for JSON.

        Returns:
            `dict`: Plain values.
        """

        def plain(tree: Mapping[str, Mapping[str, Mapping[int, MetricInterval]]]) -> dict[str, Any]:
            return {
                name: {
                    question: {f"recall@{k}": interval.to_dict() for k, interval in found.items()}
                    for question, found in questions.items()
                }
                for name, questions in tree.items()
            }

        return {
            "title": self.title,
            **self.facts,
            "recalls": plain(self.recalls),
            "best_simple": {
                question: {f"recall@{k}": name for k, name in found.items()}
                for question, found in self.best_simple.items()
            },
            "differences_to_best_simple": plain(self.differences),
            "chosen": {name: dict(chosen) for name, chosen in self.chosen.items()},
        }

    def to_markdown(self) -> str:
        """Write one table per question.

        Returns:
            `str`: Markdown.
        """
        lines = [f"# {self.title}", "", *(f"- {name.replace('_', ' ')}: {fact}" for name, fact in self.facts.items())]
        for question in QUESTIONS:
            ks = list(next(iter(self.recalls.values()))[question])
            lines += [
                "",
                f"## {question.capitalize()}",
                "",
                "| model | " + " | ".join(f"recall@{k}" for k in ks) + " |",
            ]
            lines.append("|---|" + "---|" * len(ks))
            for name, questions in self.recalls.items():
                lines.append(_markdown_row(name, [str(questions[question][k]) for k in ks]))
            best = sorted(set(self.best_simple[question].values()))
            for name, questions in self.differences.items():
                cells = [_signed(questions[question][k]) for k in ks]
                lines.append(_markdown_row(f"{name}, minus the best simple model ({', '.join(best)})", cells))
        return "\n".join(lines) + "\n"

    def save(self, folder: str | Path, name: str) -> Path:
        """Write `NAME.md` and `NAME.json`.

        Args:
            folder (`str` or `Path`): Folder, made when absent.
            name (`str`): Stem of both files.

        Returns:
            `Path`: The Markdown file.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        (folder / f"{name}.md").write_text(self.to_markdown(), encoding="utf-8")
        return folder / f"{name}.md"


def compare_next_visit(
    models: Sequence[NextVisitScores],
    rows: NextVisitRows,
    *,
    title: str,
    ks: Sequence[int] = KS,
    replicates: int = 1000,
    facts: Mapping[str, Any] | None = None,
) -> NextVisitReport:
    """Measure models on the test rows, with paired differences to the best of the simple ones.

    The best simple model is the one with the highest recall on the test rows themselves, at each k: the comparison
    that is hardest to win.

    Args:
        models (`list[NextVisitScores]`): Models, at least one of them simple.
        rows ([`NextVisitRows`]): Test rows.
        title (`str`): Heading of the table.
        ks (`list[int]`, *optional*, defaults to `(5, 10, 20)`): Codes that are looked at.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        facts (`dict`, *optional*): Sizes and settings, for the caption.

    Returns:
        [`NextVisitReport`]: The table.

    Raises:
        ValueError: If no model is simple, or a name occurs twice.
    """
    names = [model.name for model in models]
    if not any(model.is_simple for model in models) or len(set(names)) < len(names):
        raise ValueError(f"expected models of different names, one of them simple, found {', '.join(names)}")
    unlabelled = np.zeros(len(rows))
    recalls: dict[str, dict[str, dict[int, MetricInterval]]] = {name: {} for name in names}
    differences: dict[str, dict[str, dict[int, MetricInterval]]] = {m.name: {} for m in models if not m.is_simple}
    best_simple: dict[str, dict[int, str]] = {}
    for question in QUESTIONS:
        found = {model.name: recall_of_rows(model.test, rows, ks, question) for model in models}
        for name in names:
            recalls[name][question] = {
                k: clustered_interval(_mean_of_scores, unlabelled, found[name][k], rows.patient, replicates=replicates)
                for k in ks
            }
        best_simple[question] = {
            k: max((m.name for m in models if m.is_simple), key=lambda name: recalls[name][question][k].value or 0.0)
            for k in ks
        }
        for name in differences:
            differences[name][question] = {
                k: paired_difference(
                    _mean_of_scores,
                    unlabelled,
                    found[name][k],
                    found[best_simple[question][k]][k],
                    rows.patient,
                    replicates=replicates,
                )
                for k in ks
            }
    chosen = {model.name: model.chosen for model in models if model.chosen}
    return NextVisitReport(title, recalls, best_simple, differences, chosen, dict(facts or {}))


def blend_with_counts(
    network: NextVisitScores, regression: NextVisitScores, validation: NextVisitRows, *, name: str
) -> NextVisitScores:
    """Add a linear skip from the counts of past codes to the log odds of a network, fitted apart and sparse.

    Both are averaged in log odds. Each has errors of its own from so few patients, so that the average is better than
    either; trained on top of each other instead, the second learns what the first fitted too well.

    Args:
        network ([`NextVisitScores`]): Log odds of the network.
        regression ([`NextVisitScores`]): Log odds of the logistic regression.
        validation ([`NextVisitRows`]): Rows that the weight of the network is chosen on.
        name (`str`): Name of the blend.

    Returns:
        [`NextVisitScores`]: The blend.
    """

    def mixed(share: float) -> list[npt.NDArray[np.float32]]:
        pairs = ((network.validation, regression.validation), (network.test, regression.test))
        return [np.asarray(share * deep + (1 - share) * linear, np.float32) for deep, linear in pairs]

    losses = {share: log_loss_of_rows(mixed(share)[0], validation) for share in SHARES}
    best = min(losses, key=losses.__getitem__)
    settings = {"share_of_network": best, "validation_log_loss": losses[best]}
    found = mixed(best)
    return NextVisitScores(name, found[0], found[1], settings)


def _mean_of_scores(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Mean of per-row recalls, in the form that the bootstrap takes; there are no labels."""
    return weighted_mean(scores, weights)


def _signed(interval: MetricInterval) -> str:
    if interval.value is None or interval.low is None or interval.high is None:
        return str(interval)
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _markdown_row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"
