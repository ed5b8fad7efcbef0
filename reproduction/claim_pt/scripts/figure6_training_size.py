# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Figure 6 of Claim-PT: what pretraining gains against the number of patients to learn from.

From the repository root:

    python -m reproduction.claim_pt.scripts.figure6_training_size --profile reproduction/claim_pt/profiles/full.yaml

Three populations: the institution of the pretraining, institution b with other patients and a shifted code mix, and
adults in intensive care. The last is the demo of MIMIC-III, run where the environment variable CLAIMS_DATA_DIR names a
folder with `mimic3_demo`; its 129 admissions are too few to score, so that only the way is shown.
"""

import os
from pathlib import Path

from claim_transformers.analysis import curve_plot
from claim_transformers.analysis.result_table import Cell
from claim_transformers.training import MetricInterval, run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.cold_start import LogisticRegression
from reproduction.claim_pt.neural_models import FineTuned, FromScratch
from reproduction.claim_pt.training_size import run_sizes, settings_of
from reproduction.claim_pt.transfer import describe_transfer
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.contestants import Contestant
from reproduction.engine.tables import setting_table

COHORT = "asthma_exacerbation"
CURVES = {"claim-pt-fine-tune": "pretrained", "transe": "from scratch", "lr-dense": "LR Dense"}


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    checkpoint, profile = str(benchmark.checkpoint()), benchmark.profile
    contestants: list[Contestant] = [
        FromScratch(checkpoint, profile.epochs),
        FineTuned(checkpoint, profile.epochs),
        LogisticRegression("dense"),
    ]
    settings = settings_of(benchmark.workspace, benchmark.populations.cohort(COHORT), contestants)
    rows: list[dict[str, Cell]] = []
    panels: dict[str, dict[str, dict[float, MetricInterval]]] = {}
    for population in profile.populations:
        cohort = benchmark.populations.cohort(COHORT, population)
        points = run_sizes(
            benchmark.workspace, cohort, contestants, settings, profile.training_sizes, repeats=profile.repeats
        )
        for point in points:
            found = {row.model.slug: row.metrics["AUROC"] for row in point.comparison.rows}
            rows.append(
                {
                    "population": f"institution {population}",
                    "patients": point.patients,
                    **{name: found[slug] for slug, name in CURVES.items()},
                    "gain of pretraining": point.gain,
                }
            )
            for slug, name in CURVES.items():
                curves = panels.setdefault(f"Institution {population}", {})
                curves.setdefault(name, {})[point.patients] = found[slug]
    notes = [
        "AUROC on the asthma cohort; settings and intervals as in Table 2. Gain: pretrained minus from scratch.",
        *_adults(checkpoint),
    ]
    picture = curve_plot(panels, xlabel="patients to learn from", ylabel="AUROC")
    table = setting_table("Figure 6: what pretraining gains", rows, notes, picture)
    benchmark.publish({"figure6_training_size": table})


def _adults(checkpoint: str) -> list[str]:
    folder = Path(os.environ.get("CLAIMS_DATA_DIR", ""), "mimic3_demo")
    if not os.environ.get("CLAIMS_DATA_DIR") or not folder.is_dir():
        return ["Adults in intensive care were left out: CLAIMS_DATA_DIR names no folder with mimic3_demo."]
    return [describe_transfer(checkpoint, "mimic3", folder, name="Adults in intensive care (MIMIC-III demo)")]


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
