"""The claims that each checkpoint of the package learned, simulated again from its own note on pretraining."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim_transformers import load_claims
from claim_transformers.models.claim.form_claim import FORM_FILE
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
    checkpoint_folder = Path(resolve_checkpoint(checkpoint))
    noted = json.loads((checkpoint_folder / PROVENANCE).read_text(encoding="utf-8"))["simulation"]
    notes = noted if isinstance(noted, list) else [noted]
    claims = [_simulate(note, folder / str(number), patients) for number, note in enumerate(notes)]
    if not (checkpoint_folder / FORM_FILE).is_file():
        together: DatasetDict = load_claims("claims", claims, cache_dir=folder / "cache")
        return together
    county = claims[0].with_name("raw") / "county_features.parquet"
    cohort, sequences = folder / "cohort", folder / "sequences"
    bins = ("--county-features", county, "--county-bins-of", checkpoint)
    _run("cohort", "readmission", claims[0], cohort, "--rule", "stays", *bins)
    _run("sequences", cohort, sequences, "--form-of", checkpoint)
    learned: DatasetDict = load_claims("cohort", sequences)
    return learned


def _simulate(note: Mapping[str, Any], folder: Path, patients: int | None) -> Path:
    """Simulate and ingest the population of a note."""
    is_medicare = note.get("population") == "medicare"
    # A note of the first checkpoints tells no version of the simulation that can be asked for.
    asked = {"simulation_version": 2 if is_medicare else 1, **note}
    asked["patients"] = min(patients or note["patients"], note["patients"])
    names = ("patients", "seed", "start", "end", "icd10_from", "simulation_version")
    size = [text for name in names if name in asked for text in (f"--{name.replace('_', '-')}", asked[name])]
    _run("simulate", "medicare" if is_medicare else "pediatric", folder / "raw", *size)
    _run("ingest", "simulated", folder / "raw", folder / "claims")
    return folder / "claims"


def _run(*step: object) -> None:
    if not run_command(*step):
        raise RuntimeError(f"expected the command {step[0]} to end well, found that it failed")
