# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""The card of medicare-encoder-base, from what its training left and from the table of models.

From the repository root, after examples/train_medicare_encoder_base.sh and the tables:

    python examples/benchmark/medicare/model_card.py --training runs/medicare-encoder-base/model \
      --sequences runs/medicare-encoder-base/sequences

Writes model_cards/medicare-encoder-base/results.json, the card beside it, and the same card into the checkpoint.
"""

import json
import platform
import shutil
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from datasets import load_from_disk

from claim_transformers import ClaimForMaskedLM, resolve_checkpoint
from claim_transformers.hub import write_model_card
from claim_transformers.training import parse_arguments

CHECKPOINT, COMMAND = "medicare-encoder-base", "examples/train_medicare_encoder_base.sh"
TABLE, OWN, VARIANTS = "medicare_models.json", "Medicare encoder", ("with", "visits", "as in")
OBJECTIVE = (
    "masked token learning on hospital stays: 15 % of the codes of a stay and of the three months before it are"
    " hidden or replaced, and predicted from the other codes and the days between them"
)
INPUT = (
    "Codes are rolled up and numbers are tokens: write your stays with `claim-transformers sequences COHORT OUT "
    "--form-of medicare-encoder-base` first. `docs/readmission.md` has the whole way."
)


@dataclass
class CardArguments:
    """What the card is made from."""

    training: str = field(metadata={"help": "Folder that run_pretraining.py left."})
    sequences: str = field(metadata={"help": "Sequences that it was trained on."})
    docs: str = field(default="docs/benchmark", metadata={"help": "Folder with the tables of the benchmark."})


def measured(table: dict) -> list[dict]:
    """Rows of the card: the encoder and its rivals; its variants stay in the table."""
    stays = int(table["notes"][0].split(" ")[0].replace(",", ""))
    shared = {
        "task": "readmission within 30 days, fine-tuned",
        "split": "test",
        "metric": "AUROC",
        "num_examples": stays,
    }
    return [
        {
            **shared,
            "model": CHECKPOINT if row["model"] == OWN else row["model"],
            "value": row["AUROC"]["value"],
            "interval": [row["AUROC"]["low"], row["AUROC"]["high"]],
            "interval_level": row["AUROC"]["level"],
        }
        for row in table["rows"]
        if not row["model"].startswith(VARIANTS)
    ]


def main(arguments: CardArguments) -> None:
    training, folder = Path(arguments.training), Path(resolve_checkpoint(CHECKPOINT))
    args, found = (json.loads((training / f"{name}.json").read_text()) for name in ("training_args", "all_results"))
    log = [json.loads(line) for line in (training / "training_log.jsonl").read_text().splitlines()]
    splits = {name: split.with_format("arrow")[:] for name, split in load_from_disk(arguments.sequences).items()}
    lines = Path(COMMAND).read_text(encoding="utf-8").splitlines()
    model = ClaimForMaskedLM.from_pretrained(folder)
    results = {
        "checkpoint": CHECKPOINT,
        "model_class": "ClaimForMaskedLM",
        "license": "apache-2.0",
        "num_parameters": model.num_parameters(),
        "objective": OBJECTIVE,
        "input": INPUT,
        "data": {
            "name": "stays of a Medicare population, simulated by this package: a simulation, no real patient",
            "is_simulated": True,
            "num_patients": {name: len(splits[name]["patient_id"].unique()) for name in ("train", "validation")},
            "num_visits": sum(map(len, splits["train"]["visit_day"].to_pylist())),
        },
        "vocabulary": {"size": model.config.vocab_size, "min_patients": 11},
        "training": {
            "command": "\n".join(line for line in lines if line and not line.startswith(("#", "set", "cd"))),
            "seed": args["seed"],
            "num_steps": max(entry.get("step", 0) for entry in log),
            "wall_time_seconds": found["train_runtime"],
            "device": f"one CPU core ({platform.machine()}), shared",
        },
        "versions": {name: version(name) for name in ("claim-transformers", "torch", "transformers", "datasets")},
        "metrics": measured(json.loads(Path(arguments.docs, TABLE).read_text())),
    }
    out = Path("model_cards", CHECKPOINT)
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    card = write_model_card(folder, results)
    shutil.copyfile(card, out / "README.md")
    print(card.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(*parse_arguments(CardArguments))
