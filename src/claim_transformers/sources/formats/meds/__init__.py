"""The Medical Event Data Standard: events of subjects, without claims."""

from pathlib import Path

from claim_transformers.sources.registry import Source

SOURCE = Source(
    name="meds",
    help="Medical Event Data Standard 0.3.3 or 0.4, events without claims.",
    publish=f"{__name__}.source:ingest_meds",
    layouts=Path(__file__).parent / "layouts",
)
