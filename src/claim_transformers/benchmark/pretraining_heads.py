"""What a pretraining head says of a cohort's outcome: a contestant without labels, and a start for fine-tuning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from claim_transformers.benchmark.checkpoints import checkpoint_digest, load_pretrained
from claim_transformers.benchmark.frozen import NO_LABELS
from claim_transformers.benchmark.tasks import Scores, Task, outcome_prefixes

if TYPE_CHECKING:
    import datasets

    from claim_transformers.analysis.outcome_head import Readout

NEXT_ENCOUNTER = "next_encounter"


@dataclass(frozen=True)
class HorizonHead:
    """Claim-PT Horizon: the probability that the outcome follows within the horizon, without a single label.

    Args:
        checkpoint (`str`): Folder or name of a model that was pretrained with a horizon.
    """

    checkpoint: str
    slug: ClassVar[str] = "claim-pt-horizon"
    name: ClassVar[str] = "Claim-PT Horizon"
    group: ClassVar[str] = NO_LABELS
    is_probability: ClassVar[bool] = False
    grid: ClassVar[Sequence[Mapping[str, Any]]] = ({},)

    def key(self) -> dict[str, Any]:
        """What decides about the scores beside the task."""
        return {"kind": "horizon head", "checkpoint": checkpoint_digest(self.checkpoint)}

    def takes(self, task: Task) -> bool:
        """Whether the head can be asked: for one label, by a model that has it."""
        model, _ = load_pretrained(self.checkpoint)
        return not task.cohort.is_multi_label and model.horizon_decoder is not None

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Score validation and test."""
        from claim_transformers.analysis.outcome_head import outcome_probability

        model, tokenizer = load_pretrained(self.checkpoint)
        codes, together = outcome_prefixes(task.cohort.definition)
        tokens = task.tokens(tokenizer)
        validation, test = (
            outcome_probability(model, tokens[split], tokenizer, codes, is_inpatient=bool(together))
            for split in ("validation", "test")
        )
        return Scores(validation, test)


def start_from_pretraining_head(
    checkpoint: str,
    classifier: torch.nn.Module,
    task: Task,
    train: "datasets.Dataset",
    *,
    inverse_penalty: float = 0.03,
    seed: int = 0,
) -> None:
    """Let a classifier begin at what the pretraining head says of the outcome, in place.

    The next-visit head answers for cohorts about the next encounter, the horizon head for the others. A model that has
    no such head, or a head over codes, leaves the classifier as it is.

    Args:
        checkpoint (`str`): Folder or name of the pretrained model.
        classifier (`ClaimForSequenceClassification`): A classifier around its encoder.
        task ([`Task`]): The task.
        train (`datasets.Dataset`): Its tokenised training split.
        inverse_penalty (`float`, *optional*, defaults to `0.03`): `C` of the regression for counts of codes.
        seed (`int`, *optional*, defaults to `0`): Seed of the solver.
    """
    from claim_transformers.analysis.outcome_head import start_from_readout

    readout = _readout(checkpoint, task)
    if readout is not None:
        options = {"inverse_penalty": inverse_penalty, "seed": seed}
        start_from_readout(classifier, readout, train, task.labels("train"), **options)  # type: ignore[arg-type]


def _readout(checkpoint: str, task: Task) -> "Readout | None":
    """Rows of the head that answers the question of the cohort."""
    from claim_transformers.analysis.outcome_head import outcome_readout

    model, tokenizer = load_pretrained(checkpoint)
    definition = task.cohort.definition
    answers_next = model.config.nvp_target == "category"
    if task.cohort.is_multi_label:
        names = list(definition["label_names"])
        if not answers_next or not set(names) <= set(tokenizer.category_names):
            return None
        return outcome_readout(model, tokenizer, names, question="next_visit")
    codes, together = outcome_prefixes(definition)
    if definition["index"]["rule"] == NEXT_ENCOUNTER:
        return outcome_readout(model, tokenizer, codes, question="next_visit") if answers_next else None
    if model.horizon_decoder is None:
        return None
    return outcome_readout(model, tokenizer, codes, is_inpatient=bool(together))
