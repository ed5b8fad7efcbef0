"""A draft of a model card: what a trainer knows of its run, until `write_model_card` writes the measured results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from claim_transformers.claims.small_cells import MIN_SHOWN
from claim_transformers.hub.checkpoint_files import CARD_NAME

_MARK = "<!-- A draft by ClaimTrainer; a card of measured results stays as it is. -->"
_TAGS = ["claims", "health-insurance", "claim-transformers"]


def write_draft_card(
    folder: str | Path,
    *,
    model_class: str,
    settings: Mapping[str, Any],
    metrics: Mapping[str, float],
    examples: int,
    model_name: str | None = None,
    tags: list[str] | None = None,
    dataset: str | None = None,
    **card_data: Any,
) -> Path:
    """Write the `README.md` of a run, unless a card that is no draft lies there already."""
    path = Path(folder, CARD_NAME)
    if path.is_file() and _MARK not in path.read_text(encoding="utf-8"):
        return path
    front = ModelCardData(
        library_name="transformers",
        tags=sorted({*_TAGS, *(tags or [])}),
        **{name: value for name, value in card_data.items() if value is not None},
    )
    parts = [
        f"---\n{front.to_yaml()}\n---",
        _MARK,
        f"# {model_name or model_class}",
        f"A `{model_class}` of claim-transformers, for health-insurance claims as `ClaimTokenizer` writes them."
        + (f" Trained on: {dataset}." if dataset else "")
        + " This card is a draft: its figures have no interval and no rival. Do not use the model for decisions about "
        "patients.",
        "## Training\n\n" + _table("setting", settings),
    ]
    if metrics and examples >= MIN_SHOWN:
        shown = {name: f"{value:.4g}" for name, value in sorted(metrics.items())}
        parts.append("## Last evaluation\n\n" + _table("figure", shown))
    parts.append(
        "## Use\n\n```python\nimport claim_transformers\nfrom transformers import AutoModel, AutoTokenizer\n\n"
        "tokenizer = AutoTokenizer.from_pretrained(name)\nmodel = AutoModel.from_pretrained(name)\n```\n\n"
        "Without the package, `trust_remote_code=True` runs the Python files beside the weights, where there are any."
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _table(head: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {head} | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines)
