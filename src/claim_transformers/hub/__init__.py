"""Sharing checkpoints and datasets: names, model cards, and a push that lets nothing private out.

Names are imported when they are first used: pushing needs transformers, placing a checkpoint in the cache does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claim_transformers.hub.cards import metrics_of_comparison, write_model_card
    from claim_transformers.hub.dataset import push_dataset
    from claim_transformers.hub.errors import HubError, PushRefusedError
    from claim_transformers.hub.install import install_checkpoint
    from claim_transformers.hub.push import push_checkpoint, push_folder
    from claim_transformers.hub.saving import refuse_foreign_code, save_with_code

_MODULE_OF_NAME = {
    "HubError": "errors",
    "PushRefusedError": "errors",
    "install_checkpoint": "install",
    "metrics_of_comparison": "cards",
    "push_checkpoint": "push",
    "push_dataset": "dataset",
    "push_folder": "push",
    "refuse_foreign_code": "saving",
    "save_with_code": "saving",
    "write_model_card": "cards",
}

__all__ = [
    "HubError",
    "PushRefusedError",
    "install_checkpoint",
    "metrics_of_comparison",
    "push_checkpoint",
    "push_dataset",
    "push_folder",
    "refuse_foreign_code",
    "save_with_code",
    "write_model_card",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
