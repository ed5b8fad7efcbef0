"""Files of a checkpoint that may be shared, by name, how they are read, and their digests. Needs no transformers."""

import json
import re
from pathlib import Path
from typing import Any

from claim_transformers.claims.files import file_sha256 as file_sha256
from claim_transformers.hub.errors import PushRefusedError
from claim_transformers.models.claim.damage_claim import without_repeats
from claim_transformers.training.manifests import MANIFEST_NAME as MANIFEST_NAME

CARD_NAME = "README.md"
_WEIGHT_FILES = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
_TEXT_FILES = re.compile(
    r"(config|tokenizer_config|vocab|categories|form|pretraining|calibration|risk_intervals|manifest)\.json|README\.md"
)
_CODE_FILES = re.compile(r"[a-z][a-z0-9_]*\.py")


def is_allowed(name: str, *, with_code: bool) -> bool:
    """Whether a file of this name is shared."""
    patterns = (_WEIGHT_FILES, _TEXT_FILES, _CODE_FILES) if with_code else (_WEIGHT_FILES, _TEXT_FILES)
    return any(pattern.fullmatch(name) for pattern in patterns)


def read_strict_json(path: Path) -> dict[str, Any]:
    """Read a JSON object as the standard has it: UTF-8, one object, every key once, no NaN, nothing behind it."""
    try:
        content = json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=without_repeats, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        # Without the cause: it shows the text around the place.
        content = None
    if not isinstance(content, dict):
        raise PushRefusedError(f"expected one JSON object in {path.name!r}, found text that is none: save it again")
    return content


def refusal(path: Path, expected: str, found: str, cure: str) -> PushRefusedError:
    """The error of a file that holds something else than a checkpoint needs."""
    return PushRefusedError(f"expected {expected} in {path.name!r}, found {found}: {cure}")


def _refuse_constant(_: str) -> None:
    """Refuse `NaN` and `Infinity`."""
    raise ValueError("expected finite numbers, found others")
