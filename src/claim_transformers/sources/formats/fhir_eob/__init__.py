"""ExplanationOfBenefit of FHIR: claims as payers and CMS serve them, with Patient and Coverage."""

from pathlib import Path

from claim_transformers.sources.registry import Source

SOURCE = Source(
    name="fhir-eob",
    help="FHIR ExplanationOfBenefit, Patient and Coverage: bulk ndjson, bundles, single resources; three dialects.",
    read=f"{__name__}.source:read_fhir_eob",
    layouts=Path(__file__).parent / "layouts",
    is_by_patient=True,
    stage=f"{__name__}.source:stage_group",
)
