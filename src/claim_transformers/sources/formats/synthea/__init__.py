"""Synthea, the simulator of patients, as its CSV exporter writes them."""

from pathlib import Path

from claim_transformers.sources.registry import Source

SOURCE = Source(
    name="synthea",
    help="CSV export of the Synthea simulator: patients, encounters, conditions, procedures, medications.",
    read=f"{__name__}.source:read_synthea",
    layouts=Path(__file__).parent / "layouts",
)
