"""What a pretraining head says of a cohort's outcome, without a label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from claim_transformers.analysis.readout.cohort_outcome import outcome_prefixes
from reproduction.claim_pt.pretrained_features import NO_LABELS
from reproduction.engine.checkpoints import checkpoint_digest, load_pretrained
from reproduction.engine.tasks import Scores, Task


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
        from claim_transformers.analysis.readout.outcome_head import outcome_probability

        model, tokenizer = load_pretrained(self.checkpoint)
        codes, together = outcome_prefixes(task.cohort.definition)
        tokens = task.tokens(tokenizer)
        validation, test = (
            outcome_probability(model, tokens[split], tokenizer, codes, is_inpatient=bool(together))
            for split in ("validation", "test")
        )
        return Scores(validation, test)
