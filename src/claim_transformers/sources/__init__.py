"""One file per raw format, read into the canonical tables; and `load_claims`, which gives them to `datasets`. No torch.

Names are imported when they are first used, so that the engine is loaded by those who read raw claims.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claim_transformers.sources.ingest import IngestSummary
    from claim_transformers.sources.loading import load_claims
    from claim_transformers.sources.meds_export import check_meds, export_meds

_MODULE_OF_NAME = {
    "IngestSummary": "ingest",
    "check_meds": "meds_export",
    "export_meds": "meds_export",
    "load_claims": "loading",
}

__all__ = ["IngestSummary", "check_meds", "export_meds", "load_claims"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
