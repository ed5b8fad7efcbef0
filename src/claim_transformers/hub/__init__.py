"""Sharing checkpoints and datasets: names, model cards, and a push that lets nothing private out."""

from .cards import metrics_of_comparison, write_model_card
from .dataset import push_dataset
from .errors import HubError, PushRefusedError
from .install import install_checkpoint
from .push import push_checkpoint, push_folder
from .saving import refuse_foreign_code, save_with_code

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
