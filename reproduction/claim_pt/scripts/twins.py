# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""The cohorts of Tables 1 and 2 in ICD-9 and in ICD-10: the same children, coded twice.

From the repository root:

    python -m reproduction.claim_pt.scripts.twins --profile reproduction/claim_pt/profiles/twins.yaml \
      --docs docs/benchmark

Claims of one population are written once and coded twice, so what differs between the columns is the coding. A probe
on patient vectors asks whether the model sees in which coding a record is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from claim_transformers.analysis import ResultTable
from claim_transformers.analysis.readout.probes import patient_vectors
from claim_transformers.sources.pipeline.loading import load_claims
from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.cold_start import GradientBoosting, LogisticRegression, RecentCounts, TrueRiskCeiling
from reproduction.claim_pt.neural_models import FineTuned
from reproduction.claim_pt.populations import FIRST
from reproduction.claim_pt.pretrained_features import LinearProbe, NextVisitHead
from reproduction.claim_pt.pretraining_heads import HorizonHead
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.checkpoints import load_pretrained
from reproduction.engine.contestants import Contestant, run_contestants
from reproduction.engine.tables import setting_table
from reproduction.engine.tasks import BenchmarkCohort
from reproduction.engine.twins import CODINGS, switch_probe, twin_table

POPULATIONS = dict(zip(CODINGS, (FIRST, "icd10"), strict=True))
TITLES = {
    "suicide_attempt": "Suicide attempt at the next encounter, in both codings",
    "asthma_exacerbation": "Asthma exacerbation within a year, in both codings",
}
PROBED_PATIENTS = 20_000


def contestants(checkpoint: str, epochs: int) -> list[Contestant]:
    """The models of Tables 1 and 2 that take minutes; the recurrent ones have no part in this question."""
    return [
        LogisticRegression("sparse"),
        RecentCounts(checkpoint),
        GradientBoosting(),
        NextVisitHead(checkpoint),
        HorizonHead(checkpoint),
        LinearProbe(checkpoint, "start"),
        FineTuned(checkpoint, epochs),
        TrueRiskCeiling(),
    ]


def twin_cohort(benchmark: ClaimPTBenchmark, name: str, population: str) -> BenchmarkCohort:
    """A cohort under the name that it has under both codings, which decides on its splits."""
    populations = benchmark.populations
    folder, raw = populations.cohort_folder(name, population), populations.raw(population)
    return BenchmarkCohort.load(folder, raw=raw, name=f"twins-{name.replace('_', '-')}")


def probed_vectors(benchmark: ClaimPTBenchmark, population: str) -> NDArray[np.float32]:
    """Vectors of the same children on the last day of the data."""
    model, tokenizer = load_pretrained(str(benchmark.checkpoint()))
    claims = benchmark.populations.claims(population)
    patients = load_claims("claims", claims, split="train", cache_dir=benchmark.workspace.folder / "cache")
    by_patient = patients.with_format("arrow")[:].sort_by("patient_id").slice(0, PROBED_PATIENTS)
    return patient_vectors(model, tokenizer.encode_table(by_patient))


def probe_table(benchmark: ClaimPTBenchmark) -> ResultTable:
    """The probe for the coding of a record."""
    found = switch_probe({coding: probed_vectors(benchmark, name) for coding, name in POPULATIONS.items()})
    rows: list[dict[str, Any]] = [{"asked of the patient vector": "in which coding is the record?", "AUROC": found}]
    notes = [
        f"{PROBED_PATIENTS:,} children, each under a coding drawn by lot; half of them teach the probe. 0.5 is chance."
    ]
    return setting_table("Whether the model sees the switch to ICD-10", rows, notes)


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    profile, tables = benchmark.profile, {}
    models = contestants(str(benchmark.checkpoint()), profile.epochs)
    for cohort in profile.cohorts:
        given = {coding: twin_cohort(benchmark, cohort, name) for coding, name in POPULATIONS.items()}
        scored = {
            coding: run_contestants(benchmark.workspace, found, models, repeats=profile.repeats)
            for coding, found in given.items()
        }
        tables[f"twins_{cohort}"] = twin_table(TITLES[cohort], scored, [given[CODINGS[0]].describe()])
    tables["twins_probe"] = probe_table(benchmark)
    benchmark.publish(tables)


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
