# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""The card of claim-pt-base, from what its training left and from the tables of the benchmark.

From the repository root, after examples/train_claim_pt_base.sh and the tables:

    python -m reproduction.claim_pt.scripts.model_card --training runs/claim-pt-base/model \
        --claims runs/claim-pt-base/claims runs/claim-pt-base/medicare-claims \
        --coverage_of 'Tuva demo=runs/tuva' 'rif-synthea=runs/rif-synthea'

Writes model_cards/claim-pt-base/results.json, the card beside it, and the same card into the package's checkpoint.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claim_transformers import ClaimForPreTraining, resolve_checkpoint
from claim_transformers.sources.pipeline.loading import load_claims
from claim_transformers.training import run_script
from reproduction.engine.cards import card_results, write_card
from reproduction.engine.twins import CODINGS

TABLES = {
    "twins_asthma_exacerbation": "asthma admission within a year",
    "twins_suicide_attempt": "suicide attempt at the next encounter",
}
CHECKPOINT, COMMAND = "claim-pt-base", "examples/train_claim_pt_base.sh"
OBJECTIVE = (
    "next visit prediction (categories), category prediction of masked codes, and horizon prediction: which "
    "categories follow within a year, on inpatient visits apart"
)
OWN = "Claim-PT "


@dataclass
class CardArguments:
    """What the card is made from."""

    training: str = field(metadata={"help": "Folder that run_pretraining.py left."})
    claims: list[str] = field(metadata={"help": "Ingested claims that it was trained on."})
    coverage_of: list[str] = field(metadata={"help": "Ingested claims whose codes are looked up, as NAME=FOLDER."})
    docs: str = field(default="docs/benchmark", metadata={"help": "Folder with the tables of the benchmark."})


def measured(table: dict[str, Any], task: str) -> list[dict[str, Any]]:
    """Rows of the card: our models and their rivals on a cohort, in both codings."""
    rows = []
    for row in table["rows"]:
        is_own = row["model"].startswith(OWN)
        shown = f"{task}: {row['model'].removeprefix(OWN).strip(' +')}" if is_own else task
        for coding in CODINGS:
            found = row[coding]
            rows.append(
                {
                    "task": f"{shown}, {coding}",
                    "split": "test of several splits",
                    "model": CHECKPOINT if is_own else row["model"],
                    "metric": "AUROC",
                    "value": found["value"],
                    "interval": [found["low"], found["high"]],
                    "interval_level": found["level"],
                    "num_examples": found["clusters"],
                }
            )
    return rows


def main(arguments: CardArguments) -> None:
    folder = Path(resolve_checkpoint(CHECKPOINT))
    patients = load_claims("claims", arguments.claims)
    tables = {task: json.loads(Path(arguments.docs, f"{name}.json").read_text()) for name, task in TABLES.items()}
    results = card_results(
        ClaimForPreTraining.from_pretrained(folder),
        Path(arguments.training),
        Path(COMMAND),
        checkpoint=CHECKPOINT,
        coverage_of=arguments.coverage_of,
        texts={"objective": OBJECTIVE},
        data={
            "name": "claims of children and, to a twentieth, of Medicare patients from April 2013 to March 2018, in "
            "ICD-9 and then in ICD-10, simulated by this package: a simulation, no real patient",
            "is_simulated": True,
            "num_patients": {split: len(patients[split]) for split in ("train", "validation")},
            "num_visits": sum(map(len, patients["train"].with_format("arrow")["visit_day"][:].to_pylist())),
        },
        metrics=[row for task, table in tables.items() for row in measured(table, task)],
    )
    print(write_card(folder, results).read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_script(main, CardArguments)
