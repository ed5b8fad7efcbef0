"""Sharing checkpoints and datasets: names, model cards, and a push that lets nothing private out.

Names are imported when they are first used: pushing needs transformers, placing a checkpoint in the cache does not.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.hub.cards import metrics_of_comparison, write_model_card
    from claim_transformers.hub.dataset import push_dataset
    from claim_transformers.hub.errors import HubError, PushRefusedError
    from claim_transformers.hub.install import install_checkpoint
    from claim_transformers.hub.pipelines import (
        ClaimClassificationPipeline,
        ClaimEmbeddingPipeline,
        ClaimNextVisitPipeline,
    )
    from claim_transformers.hub.push import push_checkpoint, push_folder
    from claim_transformers.hub.saving import refuse_foreign_code, save_with_code

__all__ = [
    "ClaimClassificationPipeline", "ClaimEmbeddingPipeline", "ClaimNextVisitPipeline", "HubError", "PushRefusedError",
    "install_checkpoint", "metrics_of_comparison", "push_checkpoint", "push_dataset", "push_folder",
    "refuse_foreign_code", "save_with_code", "write_model_card",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__)
