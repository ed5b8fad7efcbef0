"""CMS Research Identifiable Files: Medicare claims of the Chronic Conditions Warehouse."""

from pathlib import Path

from claim_transformers.sources.registry import Source, SourceOption, Stageable

SOURCE = Source(
    name="cms-rif",
    help="CMS Research Identifiable Files, all seven Medicare claim types, Part D and beneficiaries.",
    read=f"{__name__}.source:read_cms_rif",
    options=(
        SourceOption("layouts", Path, "Folder of layout files of another version."),
        SourceOption("county_crosswalk", Path, "CSV of ssacounty and fipscounty."),
        SourceOption("keep_denied", bool, "Keep denied claims.", False),
    ),
    layouts=Path(__file__).parent / "layouts",
    stageable=Stageable(
        find=f"{__name__}.source:find_deliveries",
        keys=(("CLM_ID",), ("PDE_ID",), ("BENE_ID", "RFRNC_YR")),
        options=("layouts",),
        repeatable=("beneficiary",),
    ),
    is_by_patient=True,
)
