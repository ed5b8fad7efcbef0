# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Figure 3 of Claim-PT: maps of codes and of patients for diabetes, asthma, depression and seizure, with scores.

From the repository root:

    python -m reproduction.claim_pt.scripts.figure3_embedding_maps --profile reproduction/claim_pt/profiles/full.yaml

Patients are those of the validation split outside every cohort. The scores are taken in the embeddings, not in the
pictures, and stand beside those of the same network with its initial weights and of an SVD of code counts.
"""

from typing import Any

from claim_transformers.analysis import write_embedding_figure
from claim_transformers.training import MetricInterval, run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.checkpoints import load_pretrained
from reproduction.engine.tables import setting_table

# Patients whose counts the SVD is fitted on; all of a large population would only take memory.
MOST_TRAINING_PATIENTS = 30_000
TITLES = {
    "codes": "codes",
    "patients": "patients",
    "patients_without_group_codes": "patients, codes of the four diseases hidden",
}


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    model, tokenizer = load_pretrained(str(benchmark.checkpoint()))
    outside = benchmark.populations.outside()
    train = outside["train"].select(range(min(MOST_TRAINING_PATIENTS, len(outside["train"]))))
    patients, training_patients = (split.with_format("arrow")[:] for split in (outside["validation"], train))

    content = write_embedding_figure(
        benchmark.docs, model, tokenizer, patients, training_patients=training_patients, seed=0
    )
    rows = [row for what, title in TITLES.items() for row in rows_of(title, content[what])]
    notes = [
        "![Codes](figure_3_codes.svg) ![Patients](figure_3_patients.svg)",
        "Silhouette: 0 where groups overlap, 1 where they are points. Purity: share of a point's nearest neighbours "
        "that are of its own group. Every group counts the same. Intervals are a bootstrap over points, with their "
        "neighbours as they are; differences are paired.",
        *(f"{TITLES[what].capitalize()}: {sizes_of(content[what])}." for what in ("codes", "patients")),
    ]
    setting_table("Figure 3: what pretraining learned", rows, notes).save(benchmark.docs, "figure3_embedding_maps")
    benchmark.finish("figure3_embedding_maps")


def rows_of(title: str, scored: dict[str, Any]) -> list[dict[str, str | float | MetricInterval | None]]:
    """One row per embedding of one thing that was scored."""
    rows = []
    for name, scores in scored["scores"].items():
        difference = scored["differences"].get(name)
        rows.append(
            {
                "what": title,
                "embedding": name,
                "silhouette": MetricInterval(**scores["silhouette"]),
                "purity": MetricInterval(**scores["purity"]),
                "purity by chance": round(scored["chance_purity"], 3),
                "purity, pretrained minus this": MetricInterval(**difference["purity"]) if difference else None,
            }
        )
    return rows


def sizes_of(scored: dict[str, Any]) -> str:
    """The groups and how many of each there are."""
    sizes = ", ".join(f"{size:,} {name}" for name, size in scored["groups"].items())
    return f"{sizes}; {scored['neighbours']} neighbours"


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
