"""The models of the tables, each with the same small search."""

from pathlib import Path

from reproduction.claim_pt.cold_start import GradientBoosting, LogisticRegression, RecentCounts, TrueRiskCeiling
from reproduction.claim_pt.neural_models import PAPER_GRID, FineTuned, FromScratch, LoRA, Recurrent
from reproduction.claim_pt.pretrained_features import LinearProbe, NextVisitHead
from reproduction.claim_pt.pretraining_heads import HorizonHead
from reproduction.engine.contestants import Contestant


def standard_contestants(
    checkpoint: str, *, paper_checkpoint: Path | None = None, epochs: int = 20, lora: bool = True
) -> list[Contestant]:
    """Give the models of Tables 1 and 2 in their order.

    Args:
        checkpoint (`str`): Folder or name of the pretrained model.
        paper_checkpoint (`Path`, *optional*): A model pretrained as the paper says, reported beside ours.
        epochs (`int`, *optional*, defaults to `20`): Epochs of every neural network.
        lora (`bool`, *optional*, defaults to `True`): Whether LoRA is among them, which needs `peft`.

    Returns:
        `list[Contestant]`: The models.

    Examples:
        >>> [contestant.name for contestant in standard_contestants("claim-pt-base")][:3]
        ['LR Sparse', 'LR Dense', 'LR Recent']
        >>> max(len(contestant.grid) for contestant in standard_contestants("claim-pt-base"))
        4
    """
    models: list[Contestant] = [
        LogisticRegression("sparse"),
        LogisticRegression("dense"),
        RecentCounts(checkpoint),
        GradientBoosting(),
        Recurrent(checkpoint, epochs, architecture="doctor_ai"),
        Recurrent(checkpoint, epochs, architecture="dipole"),
        Recurrent(checkpoint, epochs, architecture="retain"),
        FromScratch(checkpoint, epochs),
        NextVisitHead(checkpoint),
        HorizonHead(checkpoint),
        LinearProbe(checkpoint, "start"),
        LinearProbe(checkpoint, "pool"),
    ]
    if paper_checkpoint is not None:
        models.append(
            FineTuned(
                str(paper_checkpoint),
                epochs,
                PAPER_GRID,
                slug="claim-pt-paper",
                name="Claim-PT as in the paper + Fine-tune",
            )
        )
    models.append(FineTuned(checkpoint, epochs))
    if lora:
        models.append(LoRA(checkpoint, epochs))
    return [*models, TrueRiskCeiling()]
