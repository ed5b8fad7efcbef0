# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""The card of medicare-encoder-base, from what its training left and from the table of models.

From the repository root, after examples/train_medicare_encoder_base.sh and the tables:

    python -m reproduction.medicare.scripts.model_card --training runs/medicare-encoder-base/model \
      --sequences runs/medicare-encoder-base/sequences \
      --coverage_of 'Tuva demo=runs/tuva' 'rif-synthea=runs/rif-synthea'

Writes model_cards/medicare-encoder-base/results.json, the card beside it, and the same card into the checkpoint.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import load_from_disk

from claim_transformers import ClaimForMaskedLM, resolve_checkpoint
from claim_transformers.training import run_script
from reproduction.engine.cards import card_results, write_card
from reproduction.engine.twins import CODINGS

CHECKPOINT, COMMAND = "medicare-encoder-base", "examples/train_medicare_encoder_base.sh"
TABLE, OWN = "medicare_twins.json", "Medicare encoder"
OBJECTIVE = (
    "masked token learning on hospital stays: 15 % of the codes of a stay and of the three months before it are"
    " hidden or replaced, and predicted from the other codes and the days between them"
)
INPUT = (
    "Diagnoses and procedures of ICD-9 and ICD-10, as categories that are the same in both; HCPCS in groups, MS-DRG, "
    "and drugs by their ingredient. Codes are rolled up and numbers are tokens, by the tokenizer "
    "itself: give it the stays of a readmission cohort as they are. `docs/readmission.md` has the whole way."
)


@dataclass
class CardArguments:
    """What the card is made from."""

    training: str = field(metadata={"help": "Folder that run_pretraining.py left."})
    sequences: str = field(metadata={"help": "Sequences that it was trained on."})
    coverage_of: list[str] = field(metadata={"help": "Ingested claims whose codes are looked up, as NAME=FOLDER."})
    docs: str = field(default="docs/benchmark", metadata={"help": "Folder with the tables of the benchmark."})


def measured(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the card: the encoder and its rivals in both codings."""
    return [
        {
            "task": f"readmission within 30 days, fine-tuned, {coding}",
            "split": "test",
            "metric": "AUROC",
            "num_examples": row[coding]["clusters"],
            "model": CHECKPOINT if row["model"] == OWN else row["model"],
            "value": row[coding]["value"],
            "interval": [row[coding]["low"], row[coding]["high"]],
            "interval_level": row[coding]["level"],
        }
        for row in table["rows"]
        for coding in CODINGS
    ]


def main(arguments: CardArguments) -> None:
    training, folder = Path(arguments.training), Path(resolve_checkpoint(CHECKPOINT))
    log = [json.loads(line) for line in (training / "training_log.jsonl").read_text().splitlines()]
    splits = {name: split.with_format("arrow")[:] for name, split in load_from_disk(arguments.sequences).items()}
    results = card_results(
        ClaimForMaskedLM.from_pretrained(folder),
        training,
        Path(COMMAND),
        checkpoint=CHECKPOINT,
        coverage_of=arguments.coverage_of,
        texts={"objective": OBJECTIVE, "input": INPUT},
        data={
            "name": "stays of a Medicare population, simulated by this package: a simulation, no real patient",
            "is_simulated": True,
            "num_patients": {name: len(splits[name]["patient_id"].unique()) for name in ("train", "validation")},
            "num_visits": sum(map(len, splits["train"]["visit_day"].to_pylist())),
        },
        metrics=measured(json.loads(Path(arguments.docs, TABLE).read_text())),
        num_steps=max(entry.get("step", 0) for entry in log),
    )
    print(write_card(folder, results).read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_script(main, CardArguments)
