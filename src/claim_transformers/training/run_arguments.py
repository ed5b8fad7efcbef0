"""What pretraining and fine-tuning are told beside training arguments, by scripts and by commands alike.

No engine is imported: the help of the commands is made of these fields.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

_RECIPES = Path(__file__).parent / "recipes"


@dataclass
class PretrainingArguments:
    """What pretraining is told beside [`ClaimTrainingArguments`]; the help of each field says what it is.

    Examples:
        >>> PretrainingArguments(["claims"], mask_probability=0.2).shares["mask_probability"]
        0.2
    """

    claims: list[str] = field(metadata={"help": "Ingested folders, or raw files of --source."})
    source: str = field(default="claims", metadata={"help": "'claims' for an ingested folder, or a raw format."})
    model_config: str = field(
        default="claim-pt-base",
        metadata={"help": "JSON with 'model' and 'tokenizer', or claim-pt-base or medicare-encoder-base."},
    )
    tokenizer: str | None = field(default=None, metadata={"help": "Folder or name; trained on the claims without it."})
    model_name_or_path: str | None = field(default=None, metadata={"help": "Checkpoint to extend and go on from."})
    min_patients: int = field(default=11, metadata={"help": "Training patients behind every token."})
    exclude_cohort: str | None = field(default=None, metadata={"help": "Cohort whose patients are left out."})
    until: str | None = field(default=None, metadata={"help": "Date, nothing known from which on is learned."})
    cohort: str | None = field(default=None, metadata={"help": "Cohort of whose outcomes the run says what it saw."})
    cp_mask_probability: float = field(default=0.0, metadata={"help": "Share of codes hidden for categories."})
    mask_probability: float = field(default=0.15, metadata={"help": "Share of codes hidden in masked token learning."})
    backoff_probability: float = field(default=0.0, metadata={"help": "Share of codes read as one of their groups."})

    @property
    def shares(self) -> dict[str, float]:
        """The probabilities, as [`pretraining_collator`] takes them."""
        return {name: value for name, value in vars(self).items() if name.endswith("_probability")}


@dataclass
class FineTuningArguments:
    """What fine-tuning on a cohort is told beside [`ClaimTrainingArguments`]; the help of each field says what it is.

    Examples:
        >>> FineTuningArguments("cohort", "claim-pt-base", start_at="scratch").shown_name
        'cohort: as claim-pt-base, from scratch'
    """

    cohort: str = field(metadata={"help": "Cohort, or its sequences: three splits with a column 'label'."})
    model_name_or_path: str = field(metadata={"help": "Checkpoint, folder or name; or the JSON of an architecture."})
    start_at: Literal["checkpoint", "head", "amounts", "scratch", "architecture"] = field(
        default="checkpoint",
        metadata={
            "help": "checkpoint; head: what pretraining says of the outcome; amounts: a regression of cost; scratch; "
            "or architecture."
        },
    )
    regression_loss: Literal["log", "tweedie", "two_part"] = field(
        default="tweedie", metadata={"help": "How an amount is learned, where the start is at amounts."}
    )
    name: str | None = field(default=None, metadata={"help": "Name of the model in tables."})

    @property
    def shown_name(self) -> str:
        """The name of the model in tables: that it is given, else by its outcome and what it began as."""
        if self.name:
            return self.name
        definition = Path(self.cohort, "cohort.json")
        named = json.loads(definition.read_text(encoding="utf-8")) if definition.is_file() else {}
        outcome = named.get("name") or Path(self.cohort).name
        base = Path(self.model_name_or_path).name.removesuffix(".json")
        is_fresh = self.start_at in ("scratch", "architecture")
        return f"{outcome}: as {base}, from scratch" if is_fresh else f"{outcome}: {base}, fine-tuned"


def recipe(name: str) -> Path:
    """A file of settings that ships, such as `pretraining.yaml` or `claim-pt-base.json`."""
    return _RECIPES / name
