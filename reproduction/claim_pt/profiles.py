"""Profile of the Claim-PT benchmark: how many patients, repeats and epochs, and how long models pretrain."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduction.claim_pt.populations import PediatricPlan
from reproduction.engine.profiles import fill, read_sizes


@dataclass(frozen=True)
class Pretraining:
    """How a model is pretrained by the benchmark itself.

    Args:
        config (`str`): JSON file with `model` and `tokenizer`, such as `examples/configs/claim-pt-paper.json`.
        max_steps (`int`): Optimizer steps.
        patients (`int`, *optional*): Most patients to pretrain on; all outside the cohorts without it.
        batch_size (`int`, *optional*, defaults to `64`): Patients per step.
        learning_rate (`float`, *optional*, defaults to `1e-3`): Highest learning rate.
        lr_scheduler_type (`str`, *optional*, defaults to `"cosine"`): How it falls.
        weight_decay (`float`, *optional*, defaults to `0.01`): Of AdamW.
        cp_mask_probability (`float`, *optional*, defaults to `0.0`): Share of codes hidden for category prediction.
        min_patients (`int`, *optional*, defaults to `11`): Patients behind every token.
        seed (`int`, *optional*, defaults to `0`): Seed of weights, batches and masks.
    """

    config: str
    max_steps: int
    patients: int | None = None
    batch_size: int = 64
    learning_rate: float = 1e-3
    lr_scheduler_type: str = "cosine"
    weight_decay: float = 0.01
    cp_mask_probability: float = 0.0
    min_patients: int = 11
    seed: int = 0


@dataclass(frozen=True)
class ClaimPTProfile:
    """All sizes of a run.

    Args:
        populations (`dict[str, PediatricPlan]`): By name; `"a"` is pretrained on and holds the cohorts of the
            tables. In the file, `simulation` holds fields that all of them have.
        cohorts (`dict[str, dict]`): Built-in cohorts, each with changes of its sampling.
        checkpoint (`str`, *optional*): Folder or name of the pretrained model; without it the benchmark pretrains one
            by `pretraining["base"]`.
        pretraining (`dict[str, Pretraining]`): `"paper"`, `"ablation"`, `"heads_and_layers"`, and `"base"` where there
            is no checkpoint.
        repeats (`int`, *optional*, defaults to `5`): Splits behind every number of the tables.
        epochs (`int`, *optional*, defaults to `20`): Epochs of every neural network on a cohort.
        training_sizes (`list[int]`, *optional*): Patients to learn from in Figure 6, beside all of them.
        heads, layers (`list[int]`, *optional*): Of the authors' extra plots.

    Raises:
        ValueError: If there is no population `"a"`, or neither a checkpoint nor a way to pretrain one.
    """

    populations: Mapping[str, PediatricPlan]
    cohorts: Mapping[str, Mapping[str, Any]]
    pretraining: Mapping[str, Pretraining]
    checkpoint: str | None = None
    repeats: int = 5
    epochs: int = 20
    training_sizes: tuple[int, ...] = (100, 200, 400)
    heads: tuple[int, ...] = (1, 2, 4, 10)
    layers: tuple[int, ...] = (1, 2, 4, 10, 12)
    name: str = "profile"

    def __post_init__(self) -> None:
        if "a" not in self.populations:
            raise ValueError(f"expected a population 'a', found {sorted(self.populations)}")
        if self.checkpoint is None and "base" not in self.pretraining:
            raise ValueError("expected a checkpoint or pretraining of 'base', found neither")

    @classmethod
    def load(cls, path: str | Path) -> "ClaimPTProfile":
        """Read a profile.

        Args:
            path (`str` or `Path`): YAML file.

        Returns:
            [`ClaimPTProfile`]: Its content, named after the file.

        Raises:
            ValueError: If a key is unknown or missing.

        Examples:
            >>> import tempfile
            >>> import yaml
            >>> path = Path(tempfile.mkdtemp(), "tiny.yaml")
            >>> content = {"populations": {"a": {"patients": 9, "seed": 1}}, "cohorts": {}, "pretraining": {}}
            >>> _ = path.write_text(yaml.safe_dump(content | {"checkpoint": "claim-pt-base"}))
            >>> ClaimPTProfile.load(path).populations["a"].patients
            9
            >>> _ = path.write_text(yaml.safe_dump(content | {"repeat": 3}))
            >>> ClaimPTProfile.load(path)
            Traceback (most recent call last):
                ...
            ValueError: tiny.yaml: expected keys among checkpoint, cohorts, epochs, ..., found 'repeat'
        """
        path = Path(path)
        by_name: dict[str, type] = {"populations": PediatricPlan, "pretraining": Pretraining}
        values = read_sizes(path, by_name=by_name, shared={"populations": "simulation"})
        values["cohorts"] = {name: changes or {} for name, changes in (values.get("cohorts") or {}).items()}
        return fill(cls, values, path.name)
