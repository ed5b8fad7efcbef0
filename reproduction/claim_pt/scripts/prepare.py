# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Simulate the populations, ingest them and build the cohorts; check that pretraining meets nobody of a cohort.

From the repository root:

    python -m reproduction.claim_pt.scripts.prepare --profile reproduction/claim_pt/profiles/full.yaml

Every other script of the benchmark does this too where it has not been done. Leaves the attrition tables and flow
charts (Figures 4 and 5 of Claim-PT) beside the other results, and prints the folder of everybody who is in a cohort:
`run_pretraining.py --exclude_cohort` takes it.
"""

import json

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.tables import setting_table

FIGURES = {"suicide_attempt": "figure4_suicide_cohort", "asthma_exacerbation": "figure5_asthma_cohort"}


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    populations, profile = benchmark.populations, benchmark.profile

    steps = 2 * len(profile.populations) + len(profile.cohorts) + 1
    with benchmark.workspace.plan("people", steps):
        for population in profile.populations:
            populations.claims(population)
        cohorts = {name: populations.cohort_folder(name) for name in profile.cohorts}
        excluded = populations.in_cohorts()

    names = []
    for name, folder in cohorts.items():
        definition = json.loads((folder / "cohort.json").read_text(encoding="utf-8"))
        attrition = json.loads((folder / "attrition.json").read_text(encoding="utf-8"))
        rows = [{key: step[key] for key in ("step", "patients", "removed")} for step in attrition]
        figure = FIGURES.get(name, f"cohort_{name}")
        notes, chart = [f"Source: {definition['source']}."], (folder / "flow_chart.svg").read_text(encoding="utf-8")
        setting_table(definition["title"], rows, notes, chart).save(benchmark.docs, figure)
        names.append(figure)

    outside = populations.outside()  # raises if a patient of a cohort were among them
    print(f"{len(outside['train']):,} patients to pretrain on, none of them in a cohort; those who are: {excluded}")
    benchmark.finish(*names)


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
