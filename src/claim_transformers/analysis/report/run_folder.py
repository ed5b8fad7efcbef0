"""What a report reads from the folder of a run: models, splits, attrition, the ledger, where the claims come from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.analysis.audit.split_predictions import read_predictions
from claim_transformers.analysis.views.embedding_map import EmbeddingMap, map_patients
from claim_transformers.claims.ledger import show_entry
from claim_transformers.cohorts.attrition import Ends, ShownAttrition
from claim_transformers.training import auroc
from claim_transformers.training.cost_metrics import r2
from claim_transformers.training.manifests import MANIFEST_NAME
from claim_transformers.training.predictions import PREDICTIONS, file_of_split


def model_folders(run: Path) -> list[Path]:
    """Folders of the models that left predictions."""
    folders = sorted(path.parent for path in (run / "models").glob(f"*/{PREDICTIONS}"))
    if not folders:
        raise FileNotFoundError(f"expected predictions in {run.name}/models/<name>/{PREDICTIONS}, found none")
    return folders


def main_model(folders: Sequence[Path], wanted: str | None) -> Path:
    """The model that is looked at closely: the one that is asked for, else the best checkpoint on validation."""
    if wanted is not None:
        if wanted not in (names := [folder.name for folder in folders]):
            raise ValueError(f"expected one of the models {', '.join(names)}, found none of this name")
        return next(folder for folder in folders if folder.name == wanted)
    checkpoints = [folder for folder in folders if is_checkpoint(folder)] or list(folders)
    scored = [folder for folder in checkpoints if (folder / file_of_split(PREDICTIONS, "validation")).is_file()]
    return max(scored, key=_validation_score) if scored else checkpoints[0]


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a model of ours, which can be explained."""
    path = folder / "config.json"
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("model_type") == "claim"


def ends_of(splits: Mapping[str, pa.Table]) -> Ends:
    """Cases and controls in each split, or all examples where the outcome is a number."""
    labels = {name: table["label"].to_numpy() for name, table in splits.items()}
    if not all(np.isin(found, (0, 1)).all() for found in labels.values()):
        return {"examples": {name: len(found) for name, found in labels.items()}}
    return {
        what: {name: int((found == label).sum()) for name, found in labels.items()}
        for what, label in {"cases": 1, "controls": 0}.items()
    }


def sampled_share(definition: Mapping[str, Any], attrition: ShownAttrition) -> list[float] | None:
    """Shares of eligible cases and controls that were kept, unless they give a count back that the table hides."""
    counts = [step.get(what, 0) for step in attrition.steps[-2:] for what in ("cases", "controls")]
    shares: list[float] | None = definition.get("sampled_share")
    return None if any(isinstance(count, str) for count in counts) or shares == [1.0, 1.0] else shares


def ledger_rows(path: Path, *, raw_counts: bool) -> list[dict[str, Any]]:
    """Rows of the conservation ledger of the quality report, one per file and claim type."""
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    return [
        {"file": row["source_file"], "claim_type": row["claim_type"], "numbers": show_entry(row, raw=raw_counts)}
        for row in content["files"]
    ]


def provenance(run: Path, definition: Mapping[str, Any]) -> str:
    """Say whether the claims are simulated, as the cohort or the folder of claims has it; unknown is unknown."""
    facts = definition.get("claims")
    manifest = run / "claims" / "manifest.json"
    if facts is None and manifest.is_file():
        facts = json.loads(manifest.read_text(encoding="utf-8"))
    facts = facts or {}
    if simulation := facts.get("simulation"):
        made = f"version {simulation['version']}, seed {simulation['seed']}"
        return f"Claims are simulated ({made}); they describe nobody."
    source = f" of the source {facts['source']}" if facts.get("source") else ""
    return f"Whether these claims{source} are real or simulated is not recorded; treat them as real."


def checkpoint_facts(folder: Path) -> dict[str, str]:
    """What a checkpoint is: its digest as scores carry it, and what it was trained with."""
    if not is_checkpoint(folder):
        return {}
    from claim_transformers.training import Scorer

    facts = {"checkpoint (SHA-256, as in its scores)": Scorer.from_pretrained(str(folder)).checkpoint}
    manifest = folder / MANIFEST_NAME
    if manifest.is_file():
        content = json.loads(manifest.read_text(encoding="utf-8"))
        names = ("claim_transformers_version", "torch", "transformers", "python", "seed", "step")
        facts |= {name.replace("_", " "): str(content[name]) for name in names if content.get(name) is not None}
    return facts


def embedding_of(run: Path) -> EmbeddingMap | None:
    """A map of validation patients, whom pretraining has not seen."""
    files = sorted((run / "claims" / "patients").glob("validation-*.parquet"))
    if not files or not (run / "pretrained" / "config.json").is_file():
        return None
    from claim_transformers.models.claim import ClaimModel, ClaimTokenizer

    name = str(run / "pretrained")
    patients = pa.concat_tables(pq.read_table(file) for file in files)
    return map_patients(ClaimModel.from_pretrained(name), ClaimTokenizer.from_pretrained(name), patients)


def training_logs(run: Path, folders: Sequence[Path]) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """Logged figures of every training: heading, whether it is the pretraining, and the entries."""
    found = []
    for folder in (run / "pretrained", *folders):
        history, is_pretraining = folder / "training_log.jsonl", folder == run / "pretrained"
        if history.is_file():
            heading = "Pretraining" if is_pretraining else f"Training of {folder.name}"
            lines = history.read_text(encoding="utf-8").splitlines()
            found.append((heading, is_pretraining, [json.loads(line) for line in lines]))
    return found


def _validation_score(folder: Path) -> float:
    found = read_predictions(folder, "validation")
    return float((r2 if found.is_number else auroc)(found.labels, found.scores))
