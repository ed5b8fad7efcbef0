"""Contestant that is the obvious way: a checkpoint under a new head, and `transformers.Trainer` with its defaults."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification
from claim_transformers.models.claim.classifier_claim import choose_classifier
from claim_transformers.training import DataCollatorForClaimClassification
from reproduction.engine.checkpoints import checkpoint_digest, checkpoint_folder, load_tokenizer
from reproduction.engine.silence import quiet
from reproduction.engine.tasks import Scores, Task


@dataclass(frozen=True)
class PlainTrainer:
    """What a user writes who has read nothing: three epochs, no validation split, no choice of settings.

    Args:
        checkpoint (`str`): Folder or name of the pretrained model.
    """

    checkpoint: str
    slug: ClassVar[str] = "plain-trainer"
    name: ClassVar[str] = "Claim-PT + plain Trainer"
    group: ClassVar[str] = "fine-tuned"
    is_probability: ClassVar[bool] = True
    grid: ClassVar[Sequence[Mapping[str, Any]]] = ({"epochs": 3},)

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        digest = checkpoint_digest(self.checkpoint)
        return {"kind": "plain trainer", "checkpoint": digest, "classifier": new_classifier()}

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted on the task: with one label only."""
        return not task.cohort.is_multi_label

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Train the model and score validation and test with its last weights."""
        from transformers import Trainer, TrainingArguments, set_seed

        tokenizer = load_tokenizer(self.checkpoint)
        set_seed(seed)
        with quiet(), tempfile.TemporaryDirectory() as folder:
            tokens = task.tokens(tokenizer)
            model = ClaimForSequenceClassification.from_pretrained(checkpoint_folder(self.checkpoint), num_labels=2)
            arguments = TrainingArguments(folder, num_train_epochs=hyper["epochs"], seed=seed, disable_tqdm=True)
            collator = DataCollatorForClaimClassification(tokenizer)
            trainer = Trainer(model, arguments, train_dataset=tokens["train"], data_collator=collator)
            trainer.train()
            logits = [trainer.predict(tokens[split]).predictions for split in ("validation", "test")]
        validation, test = (_risk(values) for values in logits)
        return Scores(validation, test)


def new_classifier() -> list[Any]:
    """What a new classifier on a pretrained encoder is by default, which decides about a fit as well."""
    pretrained = ClaimConfig(architectures=["ClaimForPreTraining"])
    return list(choose_classifier(pretrained, ClaimForSequenceClassification.__name__))


def _risk(logits: Any) -> Any:
    from scipy.special import softmax

    return softmax(logits.astype(float), axis=1)[:, 1]
