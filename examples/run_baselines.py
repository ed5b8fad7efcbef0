# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Fit the models that a transformer has to beat, on the same cohort and the same split.

From the repository root:

    python examples/run_baselines.py --cohort runs/demo/cohort --output_dir runs/demo/models

Each model leaves `predictions.parquet` and `metrics.json` in a folder of its own under `output_dir`, and the same of
the validation split, in the form of `run_classification.py`. With `--true_risk`, for simulated claims only, the
simulator's own risk is scored as well: it is the ceiling that no model can pass but by chance.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_from_disk

from claim_transformers import (
    category_rules,
    fit_logistic_regression,
    run_script,
    save_predictions,
    true_risk_scores,
)
from claim_transformers.claims.files import to_json, write_file


@dataclass
class ScriptArguments:
    """What to fit, and where the results go."""

    cohort: str = field(metadata={"help": "Folder that 'claim-transformers cohort' wrote."})
    output_dir: str = field(metadata={"help": "Folder that gets one folder per model."})
    true_risk: str | None = field(default=None, metadata={"help": "The simulator's true_risk.parquet, if any."})
    seed: int = field(default=0, metadata={"help": "Seed of the solver."})


def main(arguments: ScriptArguments) -> None:
    cohort = load_from_disk(arguments.cohort)
    splits: dict[str, pa.Table] = {name: split.with_format("arrow")[:] for name, split in cohort.items()}
    out = Path(arguments.output_dir)

    for features in ("sparse", "dense"):
        result = fit_logistic_regression(splits, features=features, rules=category_rules(), seed=arguments.seed)
        folder = out / f"lr-{features}"
        save_predictions(
            folder, splits["validation"], result.scores["validation"], name=result.name, split="validation"
        )
        metrics = save_predictions(folder, splits["test"], result.scores["test"], name=result.name)
        details = {"num_features": result.num_features, "C": result.inverse_penalty, "weights": result.weights}
        write_file(folder / "model.json", to_json(details))
        print(f"{result.name}: {metrics}")

    if arguments.true_risk:
        definition = json.loads((Path(arguments.cohort) / "cohort.json").read_text(encoding="utf-8"))
        scores = true_risk_scores(splits["test"], pq.read_table(arguments.true_risk), definition)
        print(f"True risk: {save_predictions(out / 'true-risk', splits['test'], scores, name='True risk')}")


if __name__ == "__main__":
    run_script(main, ScriptArguments)
