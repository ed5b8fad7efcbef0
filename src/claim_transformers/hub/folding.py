"""Folding of what leaves: a classifier says the same without statistics of the patients that it learned from."""

import shutil
import tempfile
from pathlib import Path

from claim_transformers.claims.files import to_json
from claim_transformers.hub.checkpoint_files import read_strict_json
from claim_transformers.models.claim import ClaimForSequenceClassification
from claim_transformers.training.scoring.calibration import CALIBRATION_FILE, read_calibration, save_calibration

_WEIGHTS = "model*.safetensors*"


def fold_checkpoint(folder: Path) -> None:
    """Fold a classifier that has means and variances of its patients, in place; any other checkpoint stays as it is.

    Its calibration is that of the folded weights afterwards, since they say the same.
    """
    config = folder / "config.json"
    content = read_strict_json(config) if config.is_file() else {}
    is_classifier = ClaimForSequenceClassification.__name__ in (content.get("architectures") or ())
    if not content.get("classifier_rate") or not is_classifier:
        return
    calibration = read_calibration(folder) if (folder / CALIBRATION_FILE).is_file() else None
    model = ClaimForSequenceClassification.from_pretrained(folder)
    model.fold_statistics()
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        for path in folder.glob(_WEIGHTS):
            path.unlink()
        for path in Path(saved).glob(_WEIGHTS):
            shutil.copyfile(path, folder / path.name)
    config.write_text(to_json(content | {"classifier_rate": 0}), encoding="utf-8")
    if calibration is not None:
        save_calibration(folder, calibration)
