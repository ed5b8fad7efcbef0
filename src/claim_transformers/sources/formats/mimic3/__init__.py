"""MIMIC-III, the hospital tables of an intensive-care population."""

from pathlib import Path

from claim_transformers.sources.registry import Source

SOURCE = Source(
    name="mimic3",
    help="MIMIC-III or its demo, one admission as one inpatient claim.",
    read=f"{__name__}.source:read_mimic3",
    layouts=Path(__file__).parent / "layouts",
)
