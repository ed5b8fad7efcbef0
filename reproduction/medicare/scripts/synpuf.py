# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""Readmission on DE-SynPUF Sample 1: where a gain would be suspect, step by step what it comes from.

From the repository root, with the files in $CLAIMS_DATA_DIR/synpuf or its folder `sample1`:

    CLAIMS_DATA_DIR=path python -m reproduction.medicare.scripts.synpuf \
        --profile reproduction/medicare/profiles/full.yaml
"""

import os
from pathlib import Path

from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.contestants import FROM_SCRATCH, OURS
from reproduction.medicare.synpuf import before_index_scores, open_synpuf
from reproduction.medicare.tables import model_table


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    study, base = benchmark.study, benchmark.checkpoint()
    folder = os.environ.get("CLAIMS_DATA_DIR")
    if not folder or not study.profile.synpuf_stays:
        print("DE-SynPUF: left out, because CLAIMS_DATA_DIR is not set or the profile asks for no stays of it")
        return
    raw = Path(folder) / "synpuf"
    with benchmark.workspace.plan("DE-SynPUF", 11):
        cohort = open_synpuf(study, raw / "sample1" if (raw / "sample1").is_dir() else raw)
        models = [
            before_index_scores(study, cohort),
            study.count_scores(cohort, "lr"),
            study.count_scores(cohort, "gb"),
            study.encoder_scores(cohort, FROM_SCRATCH, base),
            study.encoder_scores(cohort, OURS, base),
        ]
    stays = cohort.examples["train"].num_rows
    notes = [
        f"Every inpatient claim by the plain rule; {stays:,} training stays. Synthetic: visits of a patient have no "
        "usable order, so what a sequence model adds to counts here is no finding about patients."
    ]
    table = model_table(
        models, cohort, title="Readmission on DE-SynPUF", notes=notes, replicates=study.profile.replicates
    )
    benchmark.publish({"medicare_synpuf": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
