# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Section 4 of Lahlou et al.: readmission by every model, at the G-mean threshold, calibrated, and by training size.

From the repository root:

    python -m reproduction.medicare.scripts.models --profile reproduction/medicare/profiles/full.yaml
"""

from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.claims_ceiling import ceiling_scores
from reproduction.medicare.contestants import AS_PAPER, FROM_SCRATCH, OURS, POOLED, WITHOUT_TIME
from reproduction.medicare.tables import gmean_table, model_table, recalibration_table, size_table

NOTE = (
    "The paper reports an AUROC of 0.91 and a recall of 0.91 on other claims, with transfers labelled 1 and three "
    "negatives sampled per positive: medicare_labels.md shows what these contribute."
)
PAPER_NOTE = (
    "Of the paper's size: {epochs} passes of pretraining instead of {ours}, fine-tuned with the settings that were "
    "chosen for width 128."
)


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    study, profile = benchmark.study, benchmark.profile
    cohort, base = study.cohort(), benchmark.checkpoint()
    replicates, notes = profile.replicates, [NOTE]

    steps = 11 + 3 * len(profile.training_sizes) + (0 if profile.paper is None else 4)
    with benchmark.workspace.plan("models of readmission", steps):
        models = [study.lace_scores(cohort), study.count_scores(cohort, "lr"), study.count_scores(cohort, "gb")]
        ours = study.encoder_scores(cohort, OURS, base)
        models += [ours, study.encoder_scores(cohort, FROM_SCRATCH, base)]
        models += [
            study.encoder_scores(cohort, variant, study.checkpoint(variant)) for variant in (WITHOUT_TIME, POOLED)
        ]
        if profile.paper is not None:
            notes.append(PAPER_NOTE.format(epochs=profile.paper.epochs, ours=profile.pretraining.epochs))
            chapters = study.cohort(depth="chapter")
            models.append(
                study.encoder_scores(chapters, AS_PAPER, study.checkpoint(AS_PAPER, profile.paper, depth="chapter"))
            )
        models += [ceiling_scores(study, cohort), study.true_risk(cohort)]
        sizes = [
            (
                stays,
                [
                    study.encoder_scores(cohort, OURS, base, stays=stays),
                    study.encoder_scores(cohort, FROM_SCRATCH, base, stays=stays),
                    study.count_scores(cohort, "lr", stays=stays),
                ],
            )
            for stays in profile.training_sizes
        ]
    everything = cohort.examples["train"].num_rows
    by_slug = {model.slug: model for model in models}
    sizes.append((everything, [by_slug[slug] for slug in (OURS.slug, FROM_SCRATCH.slug, "lr")]))

    tables = {
        "medicare_models": model_table(
            models, cohort, title="Readmission within 30 days: all models", notes=notes, replicates=replicates
        ),
        "medicare_threshold": gmean_table(models, cohort, replicates=replicates),
        "medicare_calibration": recalibration_table(ours, cohort, replicates=replicates),
        "medicare_training_size": size_table(sizes, cohort, replicates=replicates),
    }
    benchmark.publish(tables)


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
