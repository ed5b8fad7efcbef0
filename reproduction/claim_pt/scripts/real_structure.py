# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""Next-visit recall on sequences with real order, beside simple models: every visit from the second on is predicted.

From the repository root, for a MEDS folder of your own or those of $CLAIMS_DATA_DIR:

    python -m reproduction.claim_pt.scripts.real_structure reproduction/claim_pt/configs/meds_gibleed.yaml \
        --claims path/to/meds_gibleed
    CLAIMS_DATA_DIR=path python -m reproduction.claim_pt.scripts.real_structure \
        reproduction/claim_pt/configs/meds_synthea_1k.yaml --quick True

`--pretrain_on FOLDER` adds a model that learned another set first, `--shuffle True` destroys the order of visits, and
`synpuf_control.yaml` beside them is the negative control. Leaves NAME.md and NAME.json in `--tables FOLDER`.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from claim_transformers.sources.pipeline.loading import load_claims
from claim_transformers.training import Architecture, ClaimTrainingArguments, run_script
from reproduction.claim_pt.next_visit_study import NextVisitStudy

# A run of about a minute per set: the figures show that everything works, not how well.
QUICK = {"num_train_epochs": 3.0, "logging_steps": 500}


@dataclass
class ScriptArguments:
    """What this script adds to [`ClaimTrainingArguments`]."""

    name: str = field(metadata={"help": "Name of the table, and of the folder in $CLAIMS_DATA_DIR."})
    claims: str | None = field(default=None, metadata={"help": "Folder of the claims instead of $CLAIMS_DATA_DIR."})
    source: str = field(default="meds", metadata={"help": "Raw format, or 'claims' for an ingested folder."})
    model_config: str = field(
        default="reproduction/claim_pt/configs/claim-pt-meds.json",
        metadata={"help": "JSON with 'model' and 'tokenizer'."},
    )
    pretrain_on: str | None = field(default=None, metadata={"help": "MEDS folder that a further model learns first."})
    seeds: int = field(default=3, metadata={"help": "Networks that are averaged."})
    code_dropout: float = field(default=0.1, metadata={"help": "Share of codes hidden from the input in training."})
    visit_ages: bool = field(default=True, metadata={"help": "Whether the age is a code of every visit."})
    first_codes: bool = field(default=True, metadata={"help": "Whether a code that is new to the patient is marked."})
    min_patients: int = field(default=11, metadata={"help": "Training patients behind every code that is ranked."})
    max_patients: int | None = field(default=None, metadata={"help": "Patients of each split at most."})
    visit_type: str | None = field(default=None, metadata={"help": "Only visits of this claim type."})
    roll_up: bool = field(default=False, metadata={"help": "Rank categories (CCS, CCSR) instead of codes."})
    shuffle: bool = field(default=False, metadata={"help": "Shuffle the visits of each patient: no order is left."})
    replicates: int = field(default=1000, metadata={"help": "Bootstrap replicates behind every interval."})
    tables: str | None = field(default=None, metadata={"help": "Folder of the table instead of output_dir."})
    quick: bool = field(default=False, metadata={"help": "A minute per set: one network, three epochs."})


def find_claims(arguments: ScriptArguments) -> Path:
    """The folder that was given, or that of the name in $CLAIMS_DATA_DIR."""
    base = os.environ.get("CLAIMS_DATA_DIR")
    if arguments.claims is None and not base:
        raise ValueError(
            f"expected --claims FOLDER with a {arguments.source} data set, or CLAIMS_DATA_DIR with a folder "
            f"{arguments.name!r} in it, found neither"
        )
    path = Path(arguments.claims) if arguments.claims is not None else Path(str(base)) / arguments.name
    if not path.is_dir():
        raise ValueError(f"expected a folder of {arguments.source} data at {path}, found none; give --claims FOLDER")
    return path


def main(arguments: ScriptArguments, training_args: ClaimTrainingArguments) -> None:
    folder = find_claims(arguments)
    seeds = list(range(training_args.seed, training_args.seed + arguments.seeds))
    if arguments.quick:
        seeds, arguments.replicates = seeds[:1], 200
        for name, value in QUICK.items():
            setattr(training_args, name, value)
    study = NextVisitStudy(
        architecture=Architecture.from_json(arguments.model_config),
        training=training_args,
        code_dropout=arguments.code_dropout,
        visit_ages=arguments.visit_ages,
        first_codes=arguments.first_codes,
        min_patients=arguments.min_patients,
        max_patients=arguments.max_patients,
        visit_type=arguments.visit_type,
        roll_up=arguments.roll_up,
        shuffle=arguments.shuffle,
        quick=arguments.quick,
    )
    other = load_claims("meds", arguments.pretrain_on) if arguments.pretrain_on else None
    models, rows = study.run(load_claims(arguments.source, folder), seeds, other=other)
    title = f"Next visit on {arguments.name}" + (", visits shuffled" if arguments.shuffle else "")
    table = study.compare(models, rows, title=title, replicates=arguments.replicates)
    print(table.to_markdown())
    suffix = "-shuffled" if arguments.shuffle else ""
    print(table.save(arguments.tables or str(training_args.output_dir), arguments.name + suffix))


if __name__ == "__main__":
    run_script(main, ScriptArguments, ClaimTrainingArguments)
