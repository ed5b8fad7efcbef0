"""Serving: a prediction where it is used, as a card of CDS Hooks, and where it must not speak the reason alone.

Names are imported when they are first used; the room needs the extra `serve`.
"""

from typing import TYPE_CHECKING

from claim_transformers.lazy_names import lazy_names

if TYPE_CHECKING:
    from claim_transformers.serving.adt_report import AdtSummary, readmission_interval, report_adt
    from claim_transformers.serving.adt_stays import AdtFeed, read_adt
    from claim_transformers.serving.app import create_app
    from claim_transformers.serving.assessment import Assessment, Assessor, Silence
    from claim_transformers.serving.config import ServeConfig, load_config
    from claim_transformers.serving.index_stays import IndexStay
    from claim_transformers.serving.reasons import Reason
    from claim_transformers.serving.risk_intervals import save_risk_intervals

__all__ = [
    "AdtFeed", "AdtSummary", "Assessment", "Assessor", "IndexStay", "Reason", "ServeConfig", "Silence", "create_app",
    "load_config", "read_adt", "readmission_interval", "report_adt", "save_risk_intervals",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__)
