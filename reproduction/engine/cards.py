"""Cards of the package's own checkpoints, from what their training left and from the tables of the benchmark."""

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGES = ("claim-transformers", "torch", "transformers", "datasets")
LICENSE, MIN_PATIENTS = "apache-2.0", 11


def card_results(
    model: "PreTrainedModel",
    training: Path,
    command: Path,
    *,
    checkpoint: str,
    texts: Mapping[str, str],
    data: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    coverage_of: Sequence[str] = (),
    num_steps: int | None = None,
) -> dict[str, Any]:
    """Gather the results that the card of a checkpoint is written from; claims are given as `NAME=FOLDER`."""
    from claim_transformers.training import coverage

    args, found = (json.loads((training / f"{name}.json").read_text()) for name in ("training_args", "all_results"))
    lines = command.read_text(encoding="utf-8").splitlines()
    return {
        "checkpoint": checkpoint,
        "model_class": type(model).__name__,
        "license": LICENSE,
        "num_parameters": model.num_parameters(),
        **texts,
        "data": dict(data),
        "vocabulary": {"size": model.config.vocab_size, "min_patients": MIN_PATIENTS},
        "training": {
            "command": "\n".join(line for line in lines if line and not line.startswith(("#", "set", "cd"))),
            "seed": args["seed"],
            "num_steps": args["max_steps"] if num_steps is None else num_steps,
            "wall_time_seconds": found["train_runtime"],
            "device": f"one CPU core ({platform.machine()}), shared",
        },
        "versions": {name: version(name) for name in PACKAGES},
        "metrics": list(metrics),
        "coverage": {
            name: coverage(checkpoint, folder).to_dict()
            for name, _, folder in (claims.partition("=") for claims in coverage_of)
        },
    }


def write_card(folder: Path, results: Mapping[str, Any], *, cards: Path = Path("model_cards")) -> Path:
    """Write the card of a checkpoint into it, and a copy with its results beside the others.

    Args:
        folder (`Path`): Folder of the checkpoint.
        results (`Mapping[str, Any]`): Of [`card_results`].
        cards (`Path`, *optional*, defaults to `model_cards`): Folder with a folder per checkpoint.

    Returns:
        `Path`: The card in the checkpoint.

    Raises:
        ValueError: As `write_model_card`.
    """
    from claim_transformers.hub import write_model_card

    out = cards / str(results["checkpoint"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    card = write_model_card(folder, results)
    shutil.copyfile(card, out / "README.md")
    return card
