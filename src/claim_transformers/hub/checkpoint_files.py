"""Files of a checkpoint that may be shared, by name, and their digests. Needs no transformers."""

import re

from claim_transformers.training.manifests import MANIFEST_NAME as MANIFEST_NAME
from claim_transformers.training.manifests import file_sha256 as file_sha256

CARD_NAME = "README.md"
_WEIGHT_FILES = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
_TEXT_FILES = re.compile(
    r"(config|tokenizer|tokenizer_config|special_tokens_map|vocab|categories|form|pretraining|manifest)\.json|README\.md"
)
_CODE_FILES = re.compile(r"[a-z][a-z0-9_]*\.py")


def is_allowed(name: str, *, with_code: bool) -> bool:
    """Whether a file of this name is shared."""
    patterns = (_WEIGHT_FILES, _TEXT_FILES, _CODE_FILES) if with_code else (_WEIGHT_FILES, _TEXT_FILES)
    return any(pattern.fullmatch(name) for pattern in patterns)
