"""CMS DE-SynPUF, the synthetic Medicare claims of 2008 to 2010."""

from pathlib import Path

from claim_transformers.sources.registry import Source, SourceOption, Stageable

SOURCE = Source(
    name="synpuf",
    help="CMS DE-SynPUF, synthetic Medicare claims of 2008 to 2010.",
    read=f"{__name__}.source:read_synpuf",
    options=(
        SourceOption("sample", int, "Which of the 20 samples to fetch.", 1, is_of_fetching=True),
        SourceOption(
            "base_url",
            str,
            "Server to fetch it from, with the paths of CMS.",
            "https://www.cms.gov",
            is_of_fetching=True,
        ),
        SourceOption("county_crosswalk", Path, "CSV of ssacounty and fipscounty."),
        SourceOption("keep_denied", bool, "Keep denied lines of carrier claims.", False),
    ),
    layouts=Path(__file__).parent / "layouts",
    stageable=Stageable(
        find=f"{__name__}.source:find_deliveries",
        # Years of beneficiaries are told apart by the names of their files.
        keys=(("CLM_ID",), ("PDE_ID",), ("DESYNPUF_ID",)),
        repeatable=("beneficiary",),
    ),
    fetches=True,
    is_by_patient=True,
)
