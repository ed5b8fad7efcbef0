"""Model cards written from one file of measured results, so that no number on a card is typed by hand."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from claim_transformers.claims.small_cells import MIN_SHOWN, show, show_count
from claim_transformers.hub.checkpoint_files import CARD_NAME

_TEMPLATE_PATH = Path(__file__).with_name("card_template.md")
# Every number and name on the card, with its type; `metrics` holds one entry per measured number.
_REQUIRED_RESULTS: dict[str, type | tuple[type, ...]] = {
    "checkpoint": str, "model_class": str, "license": str, "num_parameters": int, "objective": str, "data.name": str,
    "data.is_simulated": bool, "data.num_patients": dict, "data.num_visits": int, "vocabulary.size": int,
    "vocabulary.min_patients": int, "training.command": str, "training.seed": int, "training.num_steps": int,
    "training.wall_time_seconds": (int, float), "training.device": str, "versions": dict, "metrics": list,
}  # fmt: skip
# Of a model that asks for claims in a form of its own: how to make it. By name of claims: `to_dict` of their coverage.
_OPTIONAL_RESULTS = ("input", "coverage")
_REQUIRED_METRIC: dict[str, type | tuple[type, ...]] = {
    "task": str, "split": str, "model": str, "metric": str, "value": (int, float), "interval": list,
    "interval_level": (int, float), "num_examples": int,
}  # fmt: skip


def write_model_card(
    folder: str | Path, results: Mapping[str, Any] | str | Path, *, repo_id: str | None = None
) -> Path:
    """Write the `README.md` of a checkpoint from its measured results.

    Args:
        folder (`str` or `Path`): Folder of the saved checkpoint.
        results (`Mapping`, `str` or `Path`):
            Results, or the JSON file that holds them, with every entry of [`_REQUIRED_RESULTS`], and perhaps
            [`_OPTIONAL_RESULTS`]. An entry of `metrics` whose `model` equals `checkpoint` goes into the model index of
            the Hub too; others are rivals measured on the same examples.
        repo_id (`str`, *optional*): Name shown in the loading example. Defaults to `checkpoint`.

    Raises:
        ValueError: If a result is missing or of another type, a value or an interval is not finite, no number was
            measured for the checkpoint itself, one has fewer than 11 examples, or the configuration in the folder has
            another vocabulary size. No card is written then.

    Examples:
        >>> write_model_card(".", {"checkpoint": "claim-pt-tiny"})
        Traceback (most recent call last):
        ValueError: expected every measured result, found none for: model_class, license, ...
    """
    if not isinstance(results, Mapping):
        read: dict[str, Any] = json.loads(Path(results).read_text(encoding="utf-8"))
        return write_model_card(folder, read, repo_id=repo_id)
    _refuse_incomplete_results(results)
    folder = Path(folder)
    _refuse_other_checkpoint(folder, results)
    card_data = ModelCardData(
        license=results["license"],
        library_name="transformers",
        tags=["claims", "health-insurance", "claim-transformers"],
        model_name=results["checkpoint"],
        eval_results=list(_eval_results(results)),
    )
    card = ModelCard.from_template(
        card_data,
        template_path=str(_TEMPLATE_PATH),
        results=results,
        repo_id=repo_id or results["checkpoint"],
        show=show,
        show_count=show_count,
    )
    path = folder / CARD_NAME
    path.write_text(card.content, encoding="utf-8")
    return path


def _refuse_incomplete_results(results: Mapping[str, Any]) -> None:
    """Stop at results that would leave a gap on the card."""
    missing = list(_missing(results, _REQUIRED_RESULTS))
    metrics = results.get("metrics")
    for position, row in enumerate(metrics if isinstance(metrics, list) else []):
        missing += [f"metrics[{position}].{name}" for name in _missing(row, _REQUIRED_METRIC)]
    if missing:
        raise ValueError(f"expected every measured result, found none for: {', '.join(missing)}")
    for position, row in enumerate(results["metrics"]):
        # A percentile interval of a biased metric, such as a calibration error, need not hold the value itself.
        numbers = [row["value"], *row["interval"]]
        if len(numbers) != 3 or not all(map(_is_number, numbers)) or numbers[1] > numbers[2]:
            raise ValueError(
                f"expected metrics[{position}] to hold a value and an interval [low, high], found other numbers"
            )
        if row["num_examples"] < MIN_SHOWN:
            raise ValueError(
                f"expected metrics[{position}] of at least {MIN_SHOWN} examples, found fewer: so few patients are no "
                "number to publish"
            )
    if not any(row["model"] == results["checkpoint"] for row in results["metrics"]):
        raise ValueError("expected a measured metric whose model is the checkpoint, found only others")


def metrics_of_comparison(comparison: Mapping[str, Any], *, task: str, split: str = "test") -> list[dict[str, Any]]:
    """Turn the `results.json` of a comparison of models into entries of `metrics` for [`write_model_card`].

    Args:
        comparison (`Mapping`): What `Comparison.to_dict` of the analysis room returns.
        task (`str`): Name of the task.
        split (`str`, *optional*, defaults to `"test"`): Split that was scored.

    Raises:
        ValueError: If a metric is undefined or has no interval, or the number of examples is hidden.

    Examples:
        >>> found = {"value": 0.7, "low": 0.6, "high": 0.8, "level": 0.95}
        >>> comparison = {"examples": 90, "models": {"claim-pt-tiny": {"metrics": {"AUROC": found}}}}
        >>> metrics_of_comparison(comparison, task="readmission")[0]["interval"]
        [0.6, 0.8]
    """
    entries = []
    for model, measured in comparison["models"].items():
        for metric, found in measured["metrics"].items():
            if None in (found["value"], found["low"], found["high"]):
                raise ValueError(f"expected a value and an interval of {metric!r} for {model!r}, found none")
            if not isinstance(comparison["examples"], int):
                raise ValueError(f"expected a number of examples, found it {comparison['examples']!r}: a small cell")
            entry = {"task": task, "split": split, "model": model, "metric": metric, "value": found["value"]}
            entry |= {"interval": [found["low"], found["high"]], "interval_level": found["level"]}
            entries.append({**entry, "num_examples": comparison["examples"]})
    return entries


def _is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def _missing(content: object, required: Mapping[str, type | tuple[type, ...]]) -> Iterator[str]:
    """The dotted names that lead nowhere, or to something of another type."""
    for name, kind in required.items():
        found: object = content
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        # bool is an int in Python, and True is no count.
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool) or found in ("", {}, []):
            yield name


def _refuse_other_checkpoint(folder: Path, results: Mapping[str, Any]) -> None:
    """Stop when the results were measured with another vocabulary than the one in the folder."""
    path = folder / "config.json"
    if not path.is_file():
        return
    vocab_size = json.loads(path.read_text(encoding="utf-8")).get("vocab_size")
    if vocab_size != results["vocabulary"]["size"]:
        raise ValueError(
            f"expected results of this checkpoint with {vocab_size} tokens, found vocabulary.size "
            f"{results['vocabulary']['size']}: measure this checkpoint, then write its card"
        )


def _eval_results(results: Mapping[str, Any]) -> Iterator[EvalResult]:
    """The numbers of the checkpoint itself, with their intervals, for the model index."""
    for row in results["metrics"]:
        if row["model"] == results["checkpoint"]:
            yield EvalResult(
                task_type="tabular-classification",
                task_name=row["task"],
                dataset_type="claims",
                dataset_name=results["data"]["name"],
                dataset_config=row["task"],
                dataset_split=row["split"],
                metric_type=row["metric"],
                metric_value=row["value"],
                metric_args={
                    "confidence_interval": list(row["interval"]),
                    "confidence_level": row["interval_level"],
                    "num_examples": row["num_examples"],
                },
            )
