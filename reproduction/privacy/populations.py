"""The claims that each checkpoint of the package learned, simulated again from its own note on pretraining."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers import load_claims
from claim_transformers.models.claim.names_claim import resolve_checkpoint
from reproduction.engine.checkpoints import PROVENANCE
from reproduction.privacy.commands import run_command

if TYPE_CHECKING:
    from datasets import DatasetDict

CHECKPOINTS = ("claim-pt-base", "medicare-encoder-base")


def learned_by(checkpoint: str, folder: Path, *, patients: int | None = None) -> "DatasetDict":
    """Make the rows that a checkpoint was trained on, and those that were held out from it.

    Args:
        checkpoint (`str`): Name of a checkpoint of the package.
        folder (`Path`): Empty folder that takes the claims.
        patients (`int`, *optional*): Only the first patients, whose claims do not depend on the others.

    Returns:
        `DatasetDict`: `train`, which the checkpoint saw, `validation` and `test`.

    Raises:
        RuntimeError: If a command fails; what it says stands above.
    """
    note = json.loads(Path(resolve_checkpoint(checkpoint), PROVENANCE).read_text(encoding="utf-8"))["simulation"]
    is_medicare = note.get("population") == "medicare"
    # A note of the first checkpoints tells no version of the simulation that can be asked for.
    asked = {"simulation_version": 2 if is_medicare else 1, **note, "patients": patients or note["patients"]}
    names = ("patients", "seed", "start", "end", "icd10_from", "simulation_version")
    size = [text for name in names if name in asked for text in (f"--{name.replace('_', '-')}", asked[name])]
    raw, claims, cohort, sequences = (folder / name for name in ("raw", "claims", "cohort", "sequences"))
    steps: list[tuple[object, ...]] = [
        ("simulate", "medicare" if is_medicare else "pediatric", raw, *size),
        ("ingest", "simulated", raw, claims),
    ]
    if is_medicare:
        bins = ("--county-features", raw / "county_features.parquet", "--county-bins-of", checkpoint)
        steps += [
            ("cohort", "readmission", claims, cohort, "--rule", "stays", *bins),
            ("sequences", cohort, sequences, "--form-of", checkpoint),
        ]
    for step in steps:
        if not run_command(*step):
            raise RuntimeError(f"expected the command {step[0]} to end well, found that it failed")
    source, path = ("cohort", sequences) if is_medicare else ("claims", claims)
    learned: DatasetDict = load_claims(source, path, cache_dir=None if is_medicare else folder / "cache")
    return learned
