"""Profile of the Medicare benchmark: how many patients, epochs and replicates, and the sizes of its studies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from claim_transformers.training import FineTuning
from reproduction.engine.profiles import fill, read_sizes
from reproduction.medicare.drift_study import DriftOptions
from reproduction.medicare.populations import MedicarePlan
from reproduction.medicare.power_study import PowerOptions

STUDY, PRETRAINING, DRIFTED, PLAIN, BIASED = "study", "pretraining", "drifted", "plain", "biased"
POPULATIONS = (STUDY, PRETRAINING, DRIFTED, PLAIN, BIASED)


@dataclass(frozen=True)
class MaskedTraining:
    """How an encoder is pretrained.

    Args:
        epochs (`int`): Passes over the sequences.
        batch_size (`int`, *optional*, defaults to `128`): Sequences per step.
        learning_rate (`float`, *optional*, defaults to `2e-3`): Highest learning rate; it falls by a cosine.
        weight_decay (`float`, *optional*, defaults to `0.01`): Of AdamW.
        mask_probability (`float`, *optional*, defaults to `0.15`): Share of hidden codes (Lahlou et al., section 4.1).
        seed (`int`, *optional*, defaults to `0`): Seed of weights, batches and masks.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    mask_probability: float = 0.15
    seed: int = 0


@dataclass(frozen=True)
class MedicareProfile:
    """All sizes of a run.

    Args:
        populations (`dict[str, MedicarePlan]`): `"study"` holds the patients of the tables, `"pretraining"`
            those that encoders are pretrained on, `"drifted"` those of `"study"` in a world that changes; `"plain"`
            and `"biased"` are audited. In the file, `simulation` holds fields that all of them have.
        pretraining ([`MaskedTraining`]): Of all encoders of the tables, alike.
        fine_tuning ([`FineTuning`]): Of all encoders of the tables, alike.
        checkpoint (`str`, *optional*): The encoder itself; without it the benchmark pretrains one.
        depth (`str`, *optional*, defaults to `"category"`): How far codes are rolled up.
        paper (`MaskedTraining`, *optional*): Pretraining of the paper's own size, width 512; left out without it.
        training_sizes (`list[int]`, *optional*): Stays to learn from, beside all of them.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates behind an interval.
        power ([`PowerOptions`], *optional*): Sizes of the audits of the audit, on the populations `"plain"` and
            `"biased"`.
        drift ([`DriftOptions`], *optional*): Sizes of the drift study, on `"study"` and `"drifted"`.
        synpuf_stays (`int`, *optional*, defaults to `0`): Training stays of DE-SynPUF; 0 leaves that table out.

    Raises:
        ValueError: If a population is missing.
    """

    populations: Mapping[str, MedicarePlan]
    pretraining: MaskedTraining
    fine_tuning: FineTuning
    checkpoint: str | None = None
    depth: str = "category"
    paper: MaskedTraining | None = None
    training_sizes: tuple[int, ...] = (1000, 4000)
    replicates: int = 1000
    power: PowerOptions = field(default_factory=PowerOptions)
    drift: DriftOptions = field(default_factory=DriftOptions)
    synpuf_stays: int = 0
    name: str = "profile"

    def __post_init__(self) -> None:
        missing = set(POPULATIONS) - set(self.populations)
        if missing:
            raise ValueError(
                f"expected the populations {', '.join(POPULATIONS)}, found no {', '.join(sorted(missing))}"
            )

    @classmethod
    def load(cls, path: str | Path) -> "MedicareProfile":
        """Read a profile.

        Args:
            path (`str` or `Path`): YAML file.

        Returns:
            [`MedicareProfile`]: Its content, named after the file.

        Raises:
            ValueError: If a key is unknown or missing.

        Examples:
            >>> import tempfile
            >>> import yaml
            >>> path = Path(tempfile.mkdtemp(), "tiny.yaml")
            >>> people = {name: {"patients": 9, "seed": seed} for seed, name in enumerate(POPULATIONS)}
            >>> content = {"populations": people, "pretraining": {"epochs": 1}, "fine_tuning": {"epochs": 1}}
            >>> _ = path.write_text(yaml.safe_dump(content))
            >>> MedicareProfile.load(path).populations["study"].patients
            9
        """
        path = Path(path)
        single: dict[str, type] = {"pretraining": MaskedTraining, "paper": MaskedTraining, "fine_tuning": FineTuning}
        single |= {"power": PowerOptions, "drift": DriftOptions}
        shared = {"populations": "simulation"}
        values = read_sizes(path, by_name={"populations": MedicarePlan}, single=single, shared=shared)
        return fill(cls, values, path.name)
